// SPDX-License-Identifier: GPL-2.0-only
/*
 * Select the allocations and user copies that may fail. A given range of code must be in
 * their call trace, so other allocations of the same system call never fail. The selection
 * alone causes no failure: /proc/thread-self/fail-nth makes the nth selected call fail.
 */
#include "job_failnth.h"
#include "lib.h"
#include "machine.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define DEBUGFS		"/sys/kernel/debug"
#define SLAB		"/sys/kernel/slab"
#define PATH_SIZE	320

static const struct text nowhere;

static bool write_setting(const char *attribute, const char *setting, const char *value)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", attribute, setting);
	return write_text(path, value);
}

static bool write_range(const char *attribute, const char *which, const struct text *text)
{
	char setting[32], value[24];

	snprintf(setting, sizeof(setting), "%s-start", which);
	snprintf(value, sizeof(value), "%#llx", (unsigned long long)text->first);
	if (!write_setting(attribute, setting, value))
		return false;
	snprintf(setting, sizeof(setting), "%s-end", which);
	snprintf(value, sizeof(value), "%#llx", (unsigned long long)text->end);
	return write_setting(attribute, setting, value);
}

/* Select calls with @require in their call trace, unless @reject is in it, too */
static bool inject(const char *attribute, const struct text *require,
		   const struct text *reject)
{
	return write_setting(attribute, "probability", "0") &&
	       write_setting(attribute, "verbose", "0") &&
	       write_setting(attribute, "stacktrace-depth", "32") &&
	       write_range(attribute, "require", require) &&
	       write_range(attribute, "reject", reject);
}

/*
 * kmemleak and debugobjects allocate a record for each allocation, but also work without a
 * record. An xarray repeats a failed node allocation. So a single failure in these caches
 * has no effect: the request would succeed, and the sweep over its failures would end too
 * early.
 */
static bool is_harmless(const char *cache)
{
	return !strncmp(cache, "kmemleak_", strlen("kmemleak_")) ||
	       !strcmp(cache, "debug_objects_cache") || !strcmp(cache, "radix_tree_node");
}

static bool exclude_harmless(void)
{
	DIR *caches = opendir(SLAB);
	struct dirent *cache;
	char path[PATH_SIZE];
	bool ok = caches;

	while (ok && (cache = readdir(caches))) {
		if (cache->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), SLAB "/%s/failslab", cache->d_name);
		ok = write_text(path, is_harmless(cache->d_name) ? "0" : "1");
	}
	if (caches)
		closedir(caches);
	return ok && write_setting("failslab", "cache-filter", "Y");
}

/* Include allocations that may sleep or use highmem, and pages of order 0 */
static bool inject_into_all(void)
{
	return exclude_harmless() &&
	       write_setting("failslab", "ignore-gfp-wait", "N") &&
	       write_setting("fail_page_alloc", "ignore-gfp-wait", "N") &&
	       write_setting("fail_page_alloc", "ignore-gfp-highmem", "N") &&
	       write_setting("fail_page_alloc", "min-order", "0");
}

static bool inject_into_function(const char *name)
{
	struct text text;

	return text_of_function(name, &text) &&
	       inject("failslab", &text, &nowhere) &&
	       inject("fail_page_alloc", &text, &nowhere) &&
	       inject("fail_usercopy", &text, &nowhere) && inject_into_all();
}

/* do_init_module() calls a module's init function and the module notifiers */
bool inject_into_beginnings(void)
{
	return inject_into_function("do_init_module");
}

/* powernv calls this function when an owner returns a group */
bool inject_into_return(void)
{
	return inject_into_function("pnv_pci_ioda2_setup_default_config");
}

/* Return the range of a function, or an empty range if this kernel lacks the function */
static struct text function_or_nowhere(const char *name)
{
	struct text text;

	return text_of_function(name, &text) ? text : nowhere;
}

/*
 * Return the kernel function whose page allocations must not fail. On pseries the function
 * makes the table of a window: after one failure, pseries never creates a window for that
 * device again. On powernv it is part of SLUB, which repeats a failed page allocation, so
 * an injected failure would have no effect.
 */
static struct text no_pages_for(void)
{
	return function_or_nowhere(under_hypervisor() ? "spapr_tce_create_table" :
							"___slab_alloc");
}

bool inject_into_module(void)
{
	struct text platform = function_or_nowhere("spapr_tce_create_table");
	struct text no_pages = no_pages_for(), ours;

	return text_of_ours(&ours) && inject("failslab", &ours, &platform) &&
	       inject("fail_page_alloc", &ours, &no_pages) &&
	       inject("fail_usercopy", &ours, &nowhere) && inject_into_all();
}

void print_injection(void)
{
	struct text no_pages = no_pages_for(), ours;

	if (text_of_ours(&ours))
		printf("# failures are injected into calls from code at %#llx-%#llx, but not at %#llx-%#llx\n",
		       (unsigned long long)ours.first, (unsigned long long)ours.end,
		       (unsigned long long)no_pages.first,
		       (unsigned long long)no_pages.end);
}
