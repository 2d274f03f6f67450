// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print results and figures of a scenario. Check at its end that all counters (pinned pages,
 * free hugepages, use counts) have the same values as at its beginning.
 */
#include "lib.h"
#include "scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGEPAGES	"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define SETTLE_TRIES	10

static char scenario[32];
static const char *leak;

/* Counts at the beginning of the scenario */
static int64_t pins_before, hugepages_before;

/* Ioctl counts at the end of the last phase: all counts as text, MAP_DMA and UNMAP_DMA */
static char *phase;
static long long maps, unmaps;

void set_scenario(const char *name, const char *option)
{
	snprintf(scenario, sizeof(scenario), "%s%s%s", name, *option ? "-" : "", option);
}

/* Print a line that tests/runner/clients.py reads for its table */
void figure_text(const char *name, const char *value)
{
	printf("# figure %s %s %s\n", scenario, name, value);
}

void figure(const char *name, long long value)
{
	printf("# figure %s %s %lld\n", scenario, name, value);
}

void figure_of(const char *kind, const char *name, long long value)
{
	printf("# figure %s %s-%s %lld\n", scenario, kind, name, value);
}

/* Print a result of the scenario as TAP; return @ok */
bool judge(const char *name, bool ok)
{
	char text[160];
	bool skipped = !ok && !settings.is_ours;

	snprintf(text, sizeof(text), "%s: %s%s", scenario, name,
		 skipped ? " # SKIP the in-tree driver fails it" : "");
	tap(text, ok || skipped);
	if (skipped)
		figure("failed", 1);
	return ok;
}

void judge_handled(const char *what)
{
	char name[64];

	snprintf(name, sizeof(name), "%s handles %s", settings.backend, what);
	judge(name, handled_by_backend());
}

/* Report a result as skipped, because a known defect of the kernel prevents it */
void tap_known(const char *name, const char *reason)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: %s # SKIP %s", scenario, name, reason);
	tap(text, true);
}

/* Record that KVM leaks a reference to a table: the module will stay in use */
void kvm_leaks(const char *reason)
{
	leak = reason;
}

/* Return the reason of the leak, or NULL if KVM has leaked no reference */
const char *kvm_leak(void)
{
	return leak;
}

static int use_count(const char *module)
{
	int count = module_refs(module);

	return count > 0 ? count : 0;
}

static void print_use_counts(void)
{
	printf("# use counts of " OUR_MODULE " and " IN_TREE_MODULE ": %d %d\n",
	       use_count(OUR_MODULE), use_count(IN_TREE_MODULE));
}

/* Check that only the expected backend is in use, which then handles all containers */
bool handled_by_backend(void)
{
	const char *other = settings.is_ours ? IN_TREE_MODULE : OUR_MODULE;
	bool ok = use_count(settings.module) && !use_count(other);

	if (!ok)
		print_use_counts();
	return ok;
}

static bool counts_are_zero(void)
{
	return !use_count(OUR_MODULE) && !use_count(IN_TREE_MODULE);
}

bool is_unused(void)
{
	bool ok = counts_are_zero();

	if (!ok)
		print_use_counts();
	return ok;
}

/* Wait for asynchronous work: until all pages are unpinned and no backend is in use */
void settle(void)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		if (pins() == pins_before && counts_are_zero())
			break;
		usleep(500000);
	}
}

bool no_page_left_pinned(void)
{
	int64_t left = pins() - pins_before;

	figure("pins-left", left);
	return !left;
}

bool hugepages_are_back(void)
{
	int64_t lost = hugepages_before - read_number(HUGEPAGES);

	figure("hugepages-lost", lost);
	return !lost;
}

static void forget_phase(void)
{
	free(phase);
	phase = NULL;
}

/* Return the client's count of an ioctl at the end of the last phase */
long long phase_calls(const char *request)
{
	size_t len = strlen(request);

	for (char *line = phase; line && *line; line = strchr(line, '\n') + 1)
		if (!strncmp(line, request, len) && line[len] == ' ')
			return atoll(line + len);
	return 0;
}

static void print_ioctls(const char *name)
{
	for (char *line = phase, *end; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		printf("# ioctls %s %s %.*s\n", scenario, name, (int)(end - line), line);
	}
}

/* End a phase of the scenario: print its ioctl counts, return its number of MAP_DMA ioctls */
long long phase_ends(const char *name)
{
	long long maps_before = maps, unmaps_before = unmaps;
	size_t len;

	forget_phase();
	read_whole(IOCTLS, &phase);
	/* The file may have no complete line yet */
	len = phase ? strlen(phase) : 0;
	if (len && phase[len - 1] != '\n')
		forget_phase();
	maps = phase_calls("MAP_DMA");
	unmaps = phase_calls("UNMAP_DMA");
	figure_of("map", name, maps - maps_before);
	figure_of("unmap", name, unmaps - unmaps_before);
	print_ioctls(name);
	return maps - maps_before;
}

/* Begin a scenario: read the counts that must be the same at its end */
void scenario_begins(const char *name, const char *option)
{
	set_scenario(name, option);
	/* Wait: earlier direct I/O unpins its last pages asynchronously */
	sleep(1);
	pins_before = pins();
	hugepages_before = read_number(HUGEPAGES);
	unlink(IOCTLS);
	forget_phase();
	maps = 0;
	unmaps = 0;
	printf("# scenario %s\n", scenario);
}

void scenario_ends(void)
{
	settle();
	judge("no page is left pinned", no_page_left_pinned());
	if (kvm_leak()) {
		tap_known("neither backend is in use afterwards", kvm_leak());
		figure("use-count", use_count(settings.module));
	} else {
		judge("neither backend is in use afterwards", is_unused());
	}
}
