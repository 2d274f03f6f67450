// SPDX-License-Identifier: GPL-2.0-only
/*
 * take_ownership() called by the VFIO backend
 *
 * The API had this form until "powerpc/iommu: Add "borrowing" iommu_table_group_ops"
 * (Linux 6.4).
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table_group_ops, take_ownership,
	     void (*)(struct iommu_table_group *table_group));
PROBE_MEMBER(struct iommu_table_group_ops, release_ownership,
	     void (*)(struct iommu_table_group *table_group));
