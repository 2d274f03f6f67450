// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table_group_ops: windows
 *
 * Follows: "powerpc/iommu: Reimplement the iommu_table_group_ops for pSeries"
 * (Linux 6.11), which left these alone. The hooks for ownership have probes of
 * their own.
 */
#include <asm/iommu.h>

#include "probe.h"

#define TCE2_API_IOMMU_TABLE_GROUP_OPS
#include "tce2_kernel_api.h"
