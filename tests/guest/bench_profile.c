// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "profile" of the benchmark: mapping, unmapping and registering, with marks for
 * the plugin of QEMU that counts instructions by address (tests/profile/plugin.c). The
 * plugin knows only addresses, so this part also prints the addresses of the functions
 * of modules, and a line for each phase:
 *
 *	PROFILE: {"phase": ..., "figure": ..., "backend": ..., "unit": ..., "units": ...}
 *	SYMBOLS: new, and then
 *	SYMBOL: ADDRESS NAME MODULE
 *
 * scripts/lab/profile.py makes tables of the plugin's output and these lines.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define CALLS		512		/* calls that map or unmap one TCE */
#define WARM_UP		8		/* calls that are not counted */

static unsigned int phases;
static unsigned int most_levels;

void phase_begin(double units, const char *unit, const char *name, ...)
{
	va_list ap;

	printf("PROFILE: {\"phase\": %u, \"figure\": \"", ++phases);
	va_start(ap, name);
	vprintf(name, ap);
	va_end(ap);
	printf("\", \"backend\": \"%s\", \"unit\": \"%s\", \"units\": %.0f}\n",
	       backend_name(), unit, units);
	asm volatile("or 22,22,22" : : : "memory");
}

void print_module_symbols(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char line[512], name[256], module[64], kind;
	uint64_t address;

	need(!symbols, "open /proc/kallsyms");
	puts("SYMBOLS: new");
	while (fgets(line, sizeof(line), symbols))
		if (sscanf(line, "%" SCNx64 " %c %255s [%63[^]]]", &address, &kind, name,
			   module) == 4 && (kind == 't' || kind == 'T'))
			printf("SYMBOL: %" PRIx64 " %s %s\n", address, name, module);
	fclose(symbols);
}

/**
 * struct job - a window, and the memory to map
 * @mem: memory, one region
 * @levels: levels of the window's table
 * @start: bus address of the window
 */
struct job {
	struct memory mem;
	unsigned int levels;
	uint64_t start;
};

static void map(const struct job *job, uint64_t size)
{
	int ret;

	count_on();
	ret = dma_map(vfio.fd, job->start, job->mem.ua, size, READ_WRITE);
	count_off();
	need(ret, "map");
}

static void unmap(const struct job *job, uint64_t size)
{
	int ret;

	count_on();
	ret = dma_unmap(vfio.fd, job->start, size);
	count_off();
	need(ret, "unmap");
}

static unsigned int page_shift(void)
{
	return __builtin_ctzll(base_page());
}

static void name_window(const struct job *job, char *name, size_t size)
{
	snprintf(name, size, "%uk-%u-level%s", 1 << (page_shift() - 10), job->levels,
		 job->levels > 1 ? "s" : "");
}

static void begin(const struct job *job, double tces, const char *action, const char *size)
{
	char window[32];

	name_window(job, window, sizeof(window));
	phase_begin(tces, "TCE", "%s.%s.%s.%s", action, window, size, kind_name[job->mem.kind]);
}

static void profile_one_tce(const struct job *job)
{
	static const char *const actions[] = { "map", "unmap" };

	for (int i = 0; i < WARM_UP; i++) {
		map(job, base_page());
		unmap(job, base_page());
	}
	/* Each phase has the same calls; only the calls of its action are counted */
	for (size_t a = 0; a < ARRAY_SIZE(actions); a++) {
		begin(job, CALLS, actions[a], "1-tce");
		for (int i = 0; i < CALLS; i++) {
			if (!a)
				map(job, base_page());
			else
				need(dma_map(vfio.fd, job->start, job->mem.ua, base_page(),
					     READ_WRITE), "map");
			if (a)
				unmap(job, base_page());
			else
				need(dma_unmap(vfio.fd, job->start, base_page()), "unmap");
		}
	}
}

static void profile_all(const struct job *job)
{
	double tces = job->mem.size / base_page();

	begin(job, tces, "map", "1g");
	map(job, job->mem.size);
	begin(job, tces, "replace", "1g");
	map(job, job->mem.size);
	begin(job, tces, "unmap", "1g");
	unmap(job, job->mem.size);
}

static void profile_window(struct job *job)
{
	uint64_t size = job->levels > 1 ? GIB(1024) : GIB(2);

	need(window_create(vfio.fd, page_shift(), size, job->levels, &job->start),
	     "create window");
	settle();
	need(dma_map(vfio.fd, job->start, job->mem.ua, job->mem.size, READ_WRITE), "map");
	need(dma_unmap(vfio.fd, job->start, job->mem.size), "unmap");
	profile_one_tce(job);
	profile_all(job);
	need(window_remove(vfio.fd, job->start), "remove window");
}

static void profile_region(void *arg)
{
	struct job *job = arg;
	const char *kind = kind_name[job->mem.kind];
	double pages = job->mem.size / base_page();
	int ret;

	print_module_symbols();
	settle();
	phase_begin(pages, "page", "cache.register.%s", kind);
	count_on();
	ret = spapr_register(vfio.fd, job->mem.ua, job->mem.size);
	count_off();
	need(ret, "register");
	if (job->mem.kind == SCATTERED)
		for (job->levels = 1; job->levels <= most_levels; job->levels++)
			profile_window(job);
	phase_begin(pages, "page", "cache.unregister-returns.%s", kind);
	count_on();
	ret = spapr_unregister(vfio.fd, job->mem.ua, job->mem.size);
	count_off();
	need(ret, "unregister");
}

void bench_profile(void)
{
	static const enum memory_kind kinds[] = { SCATTERED, THP };
	struct job job;

	rounds = 1;
	/* Ask before a turn begins: offered() attaches the device's group itself */
	most_levels = offered(page_shift(), 2) ? 2 : 1;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (memory_get(&job.mem, kinds[i], GIB(1)))
			each_backend(profile_region, &job);
		else
			printf("BENCH-NOTE: no memory of kind %s\n", kind_name[kinds[i]]);
		memory_put(&job.mem);
	}
}
