// SPDX-License-Identifier: GPL-2.0-only
/*
 * take_ownership() called by the IOMMU core, for a device
 *
 * The API has this form since "powerpc/iommu: Reimplement the iommu_table_group_ops for
 * pSeries" (Linux 6.11), which added the device argument.
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table_group_ops, take_ownership,
	     long (*)(struct iommu_table_group *table_group,
		      struct device *dev));
PROBE_MEMBER(struct iommu_table_group_ops, release_ownership,
	     void (*)(struct iommu_table_group *table_group,
		      struct device *dev));
