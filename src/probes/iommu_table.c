// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table
 *
 * The API has this form since "powerpc/powernv: Add indirect levels to it_userspace"
 * (Linux 4.19).
 */
#include <asm/iommu.h>

#include "probe.h"

#define TCE2_API_IOMMU_TABLE
#include "tce2_kernel_api.h"
