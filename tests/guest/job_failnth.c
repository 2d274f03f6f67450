// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_failnth [OPTION...]: injected failures, as TAP, on a kernel that can inject
 * them. Loads the module with each allocation failing in turn, says which allocations
 * and user copies may fail then, has tce2-conformance go through all of them, and looks
 * at the kernel's log and for leaked memory. OPTIONs are those of tce2-conformance.
 *
 * What may fail is what the module under test has called (job_failnth_inject.c). What
 * VFIO does with failures of its own calls is not tested.
 */
#include "job_failnth.h"
#include "lib.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SELFTEST	OUR_MODULE "_selftest"
#define FUNCTIONS	8	/* of a PCI device */

/*
 * VFIO would have the in-tree backend handle a container that this module failed to open.
 * (It is loaded once more before it is unloaded, which this module has to notice.)
 */
static bool unload_in_tree(void)
{
	return unload_module(IN_TREE_MODULE) && load_module(IN_TREE_MODULE) &&
	       unload_module(IN_TREE_MODULE) && !module_is_loaded(IN_TREE_MODULE);
}

static int run_conformance(int argc, char **argv)
{
	char **arguments = calloc(argc + 3, sizeof(*arguments));
	int status;

	if (!arguments)
		return -1;
	arguments[0] = "tce2-conformance";
	arguments[1] = "--fail-nth";
	arguments[2] = "--times";
	memcpy(arguments + 3, argv + 1, (argc - 1) * sizeof(*arguments));
	status = run_command(arguments[0], arguments);
	free(arguments);
	return status;
}

/* The platform would set up the group again because of a second device */
static bool remove_neighbours(void)
{
	char edu[SLOTS][PCI_ADDRESS], path[64];
	size_t found = find_edus(edu, SLOTS);

	for (size_t i = 0; i < found; i++) {
		char *function = &edu[i][strlen(edu[i]) - 1], own = *function;

		for (int number = 0; number < FUNCTIONS; number++) {
			*function = '0' + number;
			snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", edu[i]);
			if (*function != own && !access(path, F_OK) &&
			    !remove_device(edu[i]))
				return false;
		}
	}
	return found;
}

/* The platform reports with a call trace what it could not do, so this comes last */
static void tap_bypass(void)
{
	if (under_hypervisor())
		return;
	tap("the module loads once more", load_ours());
	tap("each device is alone in its group", remove_neighbours());
	tap("what a group's return calls can be made to fail", inject_into_return());
	tap("a group that the platform could not set up reaches nothing",
	    succeeds_in_child(bypass_reaches_nothing, NULL));
	tap_unload_without_leaks();
	tap("and the kernel complains of nothing but memory",
	    !log_print_complaints("# ", FAULTS_ONLY));
}

static void tap_loading(void)
{
	tap("this kernel injects failures", !access("/proc/self/fail-nth", W_OK));
	tap("and finds leaks", !access(KMEMLEAK, F_OK));
	tap("in-tree backend, vfio-pci and then the module load", load_backends());
	tap("what loading calls can be made to fail", inject_into_beginnings());
	tap("this module is loaded whole or not at all", sweep_loading_ours());
	tap("and is told of the in-tree backend whole, or says so", sweep_loading_in_tree());
	log_expect(ASKED_FIRST);
	tap("the in-tree backend unloads", unload_in_tree());
}

int main(int argc, char **argv)
{
	int status;

	tap_begin();
	/* A case of tce2-conformance maps the disk into its memory */
	load_disk();
	tap_loading();
	tap("the self-test loads", load_module(SELFTEST));
	tap_bind_edus();
	tap("what the module calls can be made to fail", inject_into_module());
	print_injection();

	status = run_conformance(argc, argv);
	/* Status 1: a case has failed */
	tap("tce2-conformance runs to its end", status == 0 || status == 1);

	tap("the self-test unloads", unload_module(SELFTEST));
	tap_unload_without_leaks();
	tap_no_complaints();
	tap_bypass();
	return tap_end() || status;
}
