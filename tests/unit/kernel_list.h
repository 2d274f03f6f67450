/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated kernel's list of regions (mm_iommu_*), in which KVM looks up user
 * memory and which the in-tree driver shares. It pins and charges as the kernel's
 * does, and ends the test when a region is used after it was freed, when a count
 * is dropped that nobody holds, or when a region is put once too often.
 */
#ifndef UNIT_KERNEL_LIST_H
#define UNIT_KERNEL_LIST_H

#include <linux/types.h>

struct mm_iommu_table_group_mem_t;
struct mm_struct;

/* Before each test. What a failed test has left is forgotten. */
void kernel_list_reset(void);

/* Regions of all processes that are listed */
unsigned int kernel_list_regions(void);
/* The region that begins at a user address, or NULL */
struct mm_iommu_table_group_mem_t *kernel_list_at(struct mm_struct *mm, u64 ua);
/* Users of a listed region */
u64 kernel_list_users(const struct mm_iommu_table_group_mem_t *mem);
/* Its mapped counter: 1, and 1 for each entry that somebody counts */
s64 kernel_list_mapped(const struct mm_iommu_table_group_mem_t *mem);
/*
 * Ends the test unless every listed region has as many counts as @counts
 * returns for its range, or none without @counts
 */
void kernel_list_expect_counts(s64 (*counts)(u64 ua, u64 bytes));

#endif /* UNIT_KERNEL_LIST_H */
