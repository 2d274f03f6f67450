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

#define TCE2_API_EEH
#include "tce2_kernel_api.h"
