/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated kernel's list of regions (mm_iommu_*). KVM looks up user memory in this
 * list, and the in-tree driver registers memory in it. The list pins and charges as
 * the kernel's list does. It ends the test
 *
 *	- if a region is used after it was freed,
 *	- if a count is decremented that was not incremented,
 *	- if a region is put more often than it was got.
 */
#ifndef UNIT_KERNEL_LIST_H
#define UNIT_KERNEL_LIST_H

#include <linux/types.h>

struct mm_iommu_table_group_mem_t;
struct mm_struct;

/* Runs before each test: frees all regions that a failed test may have left */
void kernel_list_reset(void);

/* Returns the number of listed regions of all processes */
unsigned int kernel_list_regions(void);
/* Returns the region that begins at a user address, or NULL */
struct mm_iommu_table_group_mem_t *kernel_list_at(struct mm_struct *mm, u64 ua);
/* Returns the number of references to a listed region */
u64 kernel_list_users(const struct mm_iommu_table_group_mem_t *mem);
/* Returns the region's mapped count: 1 plus the number of counted entries */
s64 kernel_list_mapped(const struct mm_iommu_table_group_mem_t *mem);
/*
 * Ends the test unless each listed region is counted as often as @counts returns
 * for its range. If @counts is NULL, no region may be counted.
 */
void kernel_list_expect_counts(s64 (*counts)(u64 ua, u64 bytes));

#endif /* UNIT_KERNEL_LIST_H */
