// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_differ [OPTION...]: load both backends, run tce2-differ, which compares them
 * call by call, and check the kernel log. Prints TAP. OPTIONs are passed to tce2-differ.
 */
#include "machine.h"

int main(int argc, char **argv)
{
	(void)argc;
	tap_begin();
	tap("in-tree driver, vfio-pci and this module load in this order", load_backends());
	tap_bind_edus();
	argv[0] = "tce2-differ";
	tap("both backends answer alike except for intended differences",
	    !run_command(argv[0], argv));
	tap_unload_without_leaks();
	tap_no_complaints();
	return tap_end();
}
