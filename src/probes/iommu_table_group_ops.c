// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table_group_ops: windows
 *
 * All supported kernels have the same operations for windows: "powerpc/iommu: Reimplement
 * the iommu_table_group_ops for pSeries" (Linux 6.11) did not change them. The probes
 * ownership_*.c check the operations for ownership.
 */
#include <asm/iommu.h>

#include "probe.h"

#define TCE2_API_IOMMU_TABLE_GROUP_OPS
#include "tce2_kernel_api.h"
