// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_differ [OPTION...]: run tce2-differ, as TAP. Loads both backends,
 * runs tce2-differ, which compares them call by call, and checks the kernel log. OPTIONs are
 * those of tce2-differ.
 */
#include "machine.h"

int main(int argc, char **argv)
{
	(void)argc;
	tap_begin();
	tap("in-tree backend, vfio-pci and then the module load", load_backends());
	tap_bind_edus();
	argv[0] = "tce2-differ";
	tap("both backends answer alike except for intended differences",
	    !run_command(argv[0], argv));
	tap_unload_without_leaks();
	tap_no_complaints();
	return tap_end();
}
