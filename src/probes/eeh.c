// SPDX-License-Identifier: GPL-2.0-only
/*
 * EEH operations on a group
 *
 * The API has this form since Linux 4.20, which added the argument include_passed to
 * eeh_pe_reset(), for devices that are passed to a guest.
 */
#include <linux/iommu.h>

#include <asm/eeh.h>

#include "probe.h"

#define TCE2_API_EEH
#include "tce2_kernel_api.h"
