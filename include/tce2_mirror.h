/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_MIRROR_H
#define TCE2_MIRROR_H

#include <linux/types.h>

struct mm_iommu_table_group_mem_t;
struct mm_struct;
struct tce2_extents;

void tce2_mirror_recharge(struct mm_struct *mm, u64 pages);
int tce2_mirror_create(struct mm_struct *mm, u64 ua, u64 pages,
		       struct mm_iommu_table_group_mem_t **mem);
void tce2_mirror_orphan(struct mm_struct *mm,
			struct mm_iommu_table_group_mem_t *mem,
			void (*gone)(void *arg), void *arg);
bool tce2_mirror_matches(struct mm_iommu_table_group_mem_t *mem,
			 const struct tce2_extents *ext, u64 ua, u64 end);
unsigned int tce2_mirror_shift(struct mm_iommu_table_group_mem_t *mem, u64 ua);
unsigned long tce2_mirror_count(struct mm_struct *mm);
void tce2_mirror_drop(struct mm_struct *mm, u64 ua, unsigned int shift);

#endif /* TCE2_MIRROR_H */
