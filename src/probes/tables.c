// SPDX-License-Identifier: GPL-2.0-only
/*
 * functions on tables and groups
 *
 * Follows: "powerpc/vfio_spapr_tce: Add reference counting to iommu_table"
 * (Linux 4.12) and "powerpc/powernv/ioda: Split out TCE invalidation from TCE
 * updates" (Linux 5.4).
 */
#include <linux/iommu.h>

#include <asm/iommu.h>

#include "probe.h"

PROBE_FUNCTION(iommu_tce_table_get,
	       struct iommu_table *(struct iommu_table *tbl));
PROBE_FUNCTION(iommu_tce_table_put, int (struct iommu_table *tbl));
PROBE_MEMBER(struct iommu_table, it_kref, struct kref);
PROBE_FUNCTION(iommu_flush_tce, void (struct iommu_table *tbl));
PROBE_FUNCTION(iommu_group_get_iommudata, void *(struct iommu_group *group));
PROBE_FUNCTION(iommu_group_id, int (struct iommu_group *group));
