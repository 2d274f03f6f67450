// SPDX-License-Identifier: GPL-2.0-only
/*
 * the kernel's list of registered memory
 *
 * Follows: "KVM: PPC: Check if IOMMU page is contained in the pinned physical page"
 * (Linux 4.19), which gave mm_iommu_ua_to_hpa() a page size, and
 * "powerpc/mm/iommu/vfio_spapr_tce: Change mm_iommu_get to reference a region"
 * (Linux 5.0), which brought mm_iommu_new().
 */
#include <linux/mm_types.h>

#include <asm/mmu_context.h>

#include "probe.h"

PROBE_FUNCTION(mm_iommu_new,
	       long (struct mm_struct *mm, unsigned long ua,
		     unsigned long entries,
		     struct mm_iommu_table_group_mem_t **pmem));
PROBE_FUNCTION(mm_iommu_put,
	       long (struct mm_struct *mm,
		     struct mm_iommu_table_group_mem_t *mem));
PROBE_FUNCTION(mm_iommu_lookup,
	       struct mm_iommu_table_group_mem_t *(struct mm_struct *mm,
						   unsigned long ua,
						   unsigned long size));
PROBE_FUNCTION(mm_iommu_ua_to_hpa,
	       long (struct mm_iommu_table_group_mem_t *mem, unsigned long ua,
		     unsigned int pageshift, unsigned long *hpa));
PROBE_FUNCTION(mm_iommu_mapped_dec,
	       void (struct mm_iommu_table_group_mem_t *mem));
PROBE_MEMBER(mm_context_t, iommu_group_mem_list, struct list_head);
