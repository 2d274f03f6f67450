// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-job_load: test loading on kernels whose VFIO refuses every device on POWER. There the
 * module can only be loaded and unloaded. Each load logs that VFIO is unusable. Prints TAP.
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
	tap("VFIO is not reported as unusable before the module is loaded", was_said(0));
	tap_load_cycle();
	tap("each of the two loads logged once that VFIO refuses every device", was_said(2));
	tap("the module unloads at the end", unload_module(OUR_MODULE));
	tap_no_complaints();
	return tap_end();
}
