// SPDX-License-Identifier: GPL-2.0-only
/*
 * Results as TAP, and the results that several programs have in common.
 */
#include "lib.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned int count, failures;

/* Nothing is printed late, and the kernel's log counts from now on */
void tap_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_mark();
}

/* Print a result; return whether it is good */
bool tap(const char *name, bool ok)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++count, name);
	failures += !ok;
	return ok;
}

/* Print the plan; return the status of the program */
int tap_end(void)
{
	printf("1..%u\n", count);
	fflush(stdout);
	return failures || !count;
}

/* The module is loaded afterwards */
void tap_load_cycle(void)
{
	tap("in-tree backend, vfio-pci and then the module load", load_backends());
	tap("module unloads while unused", unload_module(OUR_MODULE));
	tap("module is gone once unloaded", !module_is_loaded(OUR_MODULE));
	tap("module loads again", load_ours());
	tap("module is there once loaded", module_is_loaded(OUR_MODULE));
}

void tap_bind_edus(void)
{
	bind_edus("# edu ");
	tap("both edu devices are bound to vfio-pci", edus_are_bound(2));
}

/* lockdep stops after its first complaint, which may have been before the mark */
static void tap_lockdep(void)
{
	char *stats, *at;

	if (access("/proc/lockdep_stats", F_OK))
		return;
	at = read_whole("/proc/lockdep_stats", &stats) ?
	     strstr(stats, "debug_locks:") : NULL;
	tap("lockdep still looks", at && atoi(at + strlen("debug_locks:")) == 1);
	free(stats);
}

void tap_no_complaints(void)
{
	tap_lockdep();
	tap("kernel log is free of warnings, BUGs and Oopses",
	    !log_print_complaints("# ", ANY_COMPLAINT));
	tap("and all of it is there", log_is_whole());
	tap("and the kernel is not tainted by any", no_new_taint());
}

/*
 * Unload the module for the last time. A kernel with kmemleak finds no leaks of the
 * module, neither while it is loaded nor afterwards. Memory to which only the module's
 * data led is found afterwards.
 */
void tap_unload_without_leaks(void)
{
	static const char *const name = "module unloads after everything it has served";
	struct text text;
	bool known;

	if (access(KMEMLEAK, F_OK)) {
		tap(name, unload_module(OUR_MODULE));
		return;
	}
	tap("leaked memory is looked for", find_leaks());
	tap("the module has leaked none", ours_has_no_leaks());
	known = text_of_ours(&text);
	tap(name, unload_module(OUR_MODULE));
	tap("and leaves none behind", known && ours_left_nothing(&text));
}
