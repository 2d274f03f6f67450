// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table_group
 *
 * Follows: "powerpc/spapr: vfio: Switch from iommu_table to new
 * iommu_table_group" (Linux 4.2).
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table_group, tce32_start, __u32);
PROBE_MEMBER(struct iommu_table_group, tce32_size, __u32);
PROBE_MEMBER(struct iommu_table_group, pgsizes, __u64);
PROBE_MEMBER(struct iommu_table_group, max_dynamic_windows_supported, __u32);
PROBE_MEMBER(struct iommu_table_group, max_levels, __u32);
PROBE_MEMBER(struct iommu_table_group, ops, struct iommu_table_group_ops *);
PROBE_VALUE(IOMMU_TABLE_GROUP_MAX_TABLES, 2);
