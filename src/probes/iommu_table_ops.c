// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct iommu_table_ops
 *
 * Follows: "powerpc/powernv/ioda: Split out TCE invalidation from TCE updates"
 * (Linux 5.4), which brought xchg_no_kill and tce_kill, and "KVM: PPC: Book3s:
 * Retire H_PUT_TCE/etc real mode handlers" (Linux 5.19), which took an argument
 * from the former.
 */
#include <asm/iommu.h>

#include "probe.h"

PROBE_MEMBER(struct iommu_table_ops, set,
	     int (*)(struct iommu_table *tbl, long index, long npages,
		     unsigned long uaddr, enum dma_data_direction direction,
		     unsigned long attrs));
PROBE_MEMBER(struct iommu_table_ops, xchg_no_kill,
	     int (*)(struct iommu_table *tbl, long index, unsigned long *hpa,
		     enum dma_data_direction *direction));
PROBE_MEMBER(struct iommu_table_ops, tce_kill,
	     void (*)(struct iommu_table *tbl, unsigned long index,
		      unsigned long pages));
PROBE_MEMBER(struct iommu_table_ops, useraddrptr,
	     __be64 *(*)(struct iommu_table *tbl, long index, bool alloc));
PROBE_MEMBER(struct iommu_table_ops, clear,
	     void (*)(struct iommu_table *tbl, long index, long npages));
PROBE_MEMBER(struct iommu_table_ops, get,
	     unsigned long (*)(struct iommu_table *tbl, long index));
PROBE_MEMBER(struct iommu_table_ops, flush,
	     void (*)(struct iommu_table *tbl));
PROBE_MEMBER(struct iommu_table_ops, free, void (*)(struct iommu_table *tbl));
