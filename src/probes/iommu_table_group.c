// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table_group
 *
 * The API has this form since "powerpc/spapr: vfio: Switch from iommu_table to new
 * iommu_table_group" (Linux 4.2).
 */
#include <asm/iommu.h>

#include "probe.h"

#define TCE2_API_IOMMU_TABLE_GROUP
#include "tce2_kernel_api.h"

PROBE_VALUE(IOMMU_TABLE_GROUP_MAX_TABLES, 2);
