// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table
 *
 * Follows: "powerpc/powernv: Add indirect levels to it_userspace" (Linux 4.19).
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table, it_indirect_levels, unsigned long);
PROBE_MEMBER(struct iommu_table, it_level_size, unsigned long);
PROBE_MEMBER(struct iommu_table, it_offset, unsigned long);
PROBE_MEMBER(struct iommu_table, it_base, unsigned long);
PROBE_MEMBER(struct iommu_table, it_page_shift, unsigned long);
PROBE_MEMBER(struct iommu_table, it_userspace, __be64 *);
PROBE_MEMBER(struct iommu_table, it_ops, struct iommu_table_ops *);
