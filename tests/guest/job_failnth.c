// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_failnth [OPTION...]: test failures of allocations and user copies, on a kernel
 * with fault injection. Prints TAP. Loads the module with each allocation failing in turn.
 * Then selects the allocations and user copies that may fail, and runs tce2-conformance with
 * each of them failing. Checks the kernel log and kmemleak. OPTIONs are passed to
 * tce2-conformance.
 *
 * Only calls made by the module under test may fail (job_failnth_inject.c). Failures of
 * VFIO's calls are not tested.
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
 * Unload the in-tree driver. Otherwise VFIO would try the in-tree driver whenever this
 * module failed to open a container. Reload the in-tree driver once before: this module
 * must notice the load, and register again to stay first in VFIO's list.
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

/* Leave one device in each group: for a second device the platform would repeat the setup */
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

/* Run this last: the platform logs failed operations with a call trace */
static void tap_bypass(void)
{
	if (under_hypervisor())
		return;
	tap("the module loads after the conformance tests", load_ours());
	tap("each device is alone in its group", remove_neighbours());
	tap("failures can be injected into the return of a group", inject_into_return());
	tap("a device reaches no memory after the setup of its group failed",
	    succeeds_in_child(bypass_reaches_nothing, NULL));
	tap_unload_without_leaks();
	tap("the kernel log has no faults after failed group returns",
	    !log_print_complaints("# ", FAULTS_ONLY));
}

static void tap_loading(void)
{
	tap("this kernel has fault injection", !access("/proc/self/fail-nth", W_OK));
	tap("this kernel has kmemleak", !access(KMEMLEAK, F_OK));
	tap("in-tree driver, vfio-pci and this module load in this order", load_backends());
	tap("failures can be injected into module loading", inject_into_beginnings());
	tap("loading this module succeeds or leaves nothing loaded", sweep_loading_ours());
	tap("this module stays first in VFIO's list, or logs that it is not",
	    sweep_loading_in_tree());
	log_expect(ASKED_FIRST);
	tap("the in-tree driver unloads", unload_in_tree());
}

int main(int argc, char **argv)
{
	int status;

	tap_begin();
	/* A case of tce2-conformance maps the disk with mmap() */
	load_disk();
	tap_loading();
	tap("the self-test loads", load_module(SELFTEST));
	tap_bind_edus();
	tap("failures can be injected into calls by the module", inject_into_module());
	print_injection();

	status = run_conformance(argc, argv);
	/* Status 1: a case failed, but all cases ran */
	tap("tce2-conformance runs to its end", status == 0 || status == 1);

	tap("the self-test unloads", unload_module(SELFTEST));
	tap_unload_without_leaks();
	tap_no_complaints();
	tap_bypass();
	return tap_end() || status;
}
