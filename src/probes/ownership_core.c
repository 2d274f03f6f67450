// SPDX-License-Identifier: GPL-2.0-only
/*
 * take_ownership() called by the IOMMU core
 *
 * The API has this form since "powerpc/iommu: Add "borrowing" iommu_table_group_ops"
 * (Linux 6.4), which lets take_ownership() fail. Linux 6.4 also has "powerpc/iommu: Add
 * iommu_ops to report capabilities and allow blocking domains". Since this commit the
 * IOMMU core calls take_ownership(), before a VFIO backend gets the group.
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table_group_ops, take_ownership,
	     long (*)(struct iommu_table_group *table_group));
PROBE_MEMBER(struct iommu_table_group_ops, release_ownership,
	     void (*)(struct iommu_table_group *table_group));
