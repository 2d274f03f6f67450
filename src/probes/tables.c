// SPDX-License-Identifier: GPL-2.0-only
/*
 * functions for TCE tables and groups
 *
 * The API has this form since "powerpc/vfio_spapr_tce: Add reference counting to
 * iommu_table" (Linux 4.12) and "powerpc/powernv/ioda: Split out TCE invalidation from
 * TCE updates" (Linux 5.4).
 */
#include <linux/iommu.h>

#include <asm/hvcall.h>
#include <asm/iommu.h>

#include "probe.h"

#define TCE2_API_TABLES
#include "tce2_kernel_api.h"
