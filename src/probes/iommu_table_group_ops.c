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

PROBE_MEMBER(struct iommu_table_group_ops, get_table_size,
	     unsigned long (*)(__u32 page_shift, __u64 window_size,
			       __u32 levels));
PROBE_MEMBER(struct iommu_table_group_ops, create_table,
	     long (*)(struct iommu_table_group *table_group, int num,
		      __u32 page_shift, __u64 window_size, __u32 levels,
		      struct iommu_table **ptbl));
PROBE_MEMBER(struct iommu_table_group_ops, set_window,
	     long (*)(struct iommu_table_group *table_group, int num,
		      struct iommu_table *tblnew));
PROBE_MEMBER(struct iommu_table_group_ops, unset_window,
	     long (*)(struct iommu_table_group *table_group, int num));
