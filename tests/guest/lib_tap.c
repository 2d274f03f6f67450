// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print results as TAP, and check the results that several programs share.
 */
#include "lib.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned int count, failures;

/* Line-buffer stdout, and check the kernel log from this point on */
void tap_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_mark();
}

/* Print a result; return @ok */
bool tap(const char *name, bool ok)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++count, name);
	failures += !ok;
	return ok;
}

/* Print the plan; return the exit status of the program */
int tap_end(void)
{
	printf("1..%u\n", count);
	fflush(stdout);
	return failures || !count;
}

/* Load and unload the module; it is loaded afterwards */
void tap_load_cycle(void)
{
	tap("in-tree driver, vfio-pci and this module load in this order", load_backends());
	tap("module unloads while unused", unload_module(OUR_MODULE));
	tap("module is not in /proc/modules after it is unloaded", !module_is_loaded(OUR_MODULE));
	tap("module loads again", load_ours());
	tap("module is in /proc/modules after it is loaded again", module_is_loaded(OUR_MODULE));
}

void tap_bind_edus(void)
{
	bind_edus("# edu ");
	tap("both edu devices are bound to vfio-pci", edus_are_bound(2));
}

/* Check that lockdep is enabled: it disables itself at any complaint, also before the mark */
static void tap_lockdep(void)
{
	char *stats, *at;

	if (access("/proc/lockdep_stats", F_OK))
		return;
	at = read_whole("/proc/lockdep_stats", &stats) ?
	     strstr(stats, "debug_locks:") : NULL;
	tap("lockdep is still enabled", at && atoi(at + strlen("debug_locks:")) == 1);
	free(stats);
}

void tap_no_complaints(void)
{
	tap_lockdep();
	tap("kernel log is free of warnings, BUGs and Oopses",
	    !log_print_complaints("# ", ANY_COMPLAINT));
	tap("no line of the kernel log is lost", log_is_whole());
	tap("the kernel is not tainted by a warning, BUG or Oops", no_new_taint());
}

/*
 * Unload the module for the last time. On a kernel with kmemleak, look for leaks before and
 * after the unload. Memory that only the module's data points to is found after the
 * unload.
 */
void tap_unload_without_leaks(void)
{
	static const char *const name = "module unloads after all tests";
	struct text text;
	bool known;

	if (access(KMEMLEAK, F_OK)) {
		tap(name, unload_module(OUR_MODULE));
		return;
	}
	tap("kmemleak can scan for leaks", find_leaks());
	tap("the loaded module has leaked no memory", ours_has_no_leaks());
	known = text_of_ours(&text);
	tap(name, unload_module(OUR_MODULE));
	tap("the unloaded module has leaked no memory", known && ours_left_nothing(&text));
}
