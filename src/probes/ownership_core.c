// SPDX-License-Identifier: GPL-2.0-only
/*
 * take_ownership() called by the IOMMU core
 *
 * Follows: "powerpc/iommu: Add "borrowing" iommu_table_group_ops" (Linux 6.4),
 * which lets it fail, and came with "powerpc/iommu: Add iommu_ops to report
 * capabilities and allow blocking domains": from there on it is the core that
 * calls it, before a VFIO backend sees the group.
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table_group_ops, take_ownership,
	     long (*)(struct iommu_table_group *table_group));
PROBE_MEMBER(struct iommu_table_group_ops, release_ownership,
	     void (*)(struct iommu_table_group *table_group));
