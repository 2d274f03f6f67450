// SPDX-License-Identifier: GPL-2.0-only
/*
 * EEH operations on a group
 *
 * Follows: the argument that eeh_pe_reset() got in Linux 4.20, for devices
 * passed to a guest.
 */
#include <linux/iommu.h>

#include <asm/eeh.h>

#include "probe.h"

PROBE_FUNCTION(eeh_enabled, bool (void));
PROBE_FUNCTION(eeh_iommu_group_to_pe,
	       struct eeh_pe *(struct iommu_group *group));
PROBE_FUNCTION(eeh_pe_set_option, int (struct eeh_pe *pe, int option));
PROBE_FUNCTION(eeh_pe_get_state, int (struct eeh_pe *pe));
PROBE_FUNCTION(eeh_pe_reset,
	       int (struct eeh_pe *pe, int option, bool include_passed));
PROBE_FUNCTION(eeh_pe_configure, int (struct eeh_pe *pe));
PROBE_FUNCTION(eeh_pe_inject_err,
	       int (struct eeh_pe *pe, int type, int func, unsigned long addr,
		    unsigned long mask));
