// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_load: for kernels whose VFIO refuses every device on POWER, as TAP. There the
 * module loads, says so, unloads and loads again, and can do nothing else.
 */
#include "machine.h"

#define EXPECTED	"VFIO of this kernel refuses every device on POWER"
#define LEVEL_NOTICE	5

static bool was_said(size_t times)
{
	return log_count_own(EXPECTED, LEVEL_NOTICE) == times;
}

int main(void)
{
	tap_begin();
	log_expect(EXPECTED);
	tap("nothing is said while the module is not loaded", was_said(0));
	tap_load_cycle();
	tap("each of the two loads has said once why there is nothing to serve", was_said(2));
	tap("module unloads in the end", unload_module(OUR_MODULE));
	tap_no_complaints();
	return tap_end();
}
