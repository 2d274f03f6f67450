/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's region list, faked by ../../../kernel_list.c */
#ifndef SIM_SHIM_ASM_MMU_CONTEXT_H
#define SIM_SHIM_ASM_MMU_CONTEXT_H

#include <linux/types.h>

struct mm_iommu_table_group_mem_t;
struct mm_struct;

long mm_iommu_new(struct mm_struct *mm, unsigned long ua, unsigned long entries,
		  struct mm_iommu_table_group_mem_t **pmem);
struct mm_iommu_table_group_mem_t *
mm_iommu_get(struct mm_struct *mm, unsigned long ua, unsigned long entries);
long mm_iommu_put(struct mm_struct *mm, struct mm_iommu_table_group_mem_t *mem);
struct mm_iommu_table_group_mem_t *
mm_iommu_lookup(struct mm_struct *mm, unsigned long ua, unsigned long size);
long mm_iommu_ua_to_hpa(struct mm_iommu_table_group_mem_t *mem,
			unsigned long ua, unsigned int pageshift,
			unsigned long *hpa);
bool mm_iommu_preregistered(struct mm_struct *mm);
long mm_iommu_mapped_inc(struct mm_iommu_table_group_mem_t *mem);
void mm_iommu_mapped_dec(struct mm_iommu_table_group_mem_t *mem);

#endif /* SIM_SHIM_ASM_MMU_CONTEXT_H */
