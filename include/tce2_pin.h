/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_PIN_H
#define TCE2_PIN_H

#include <linux/types.h>

struct mm_struct;
struct page;
struct tce2_extents;

/**
 * struct tce2_pin_mapping - attributes of a process's mapping (VMA)
 * @end: first user address after the mapping, or after the range to be pinned if
 *	that is lower
 * @writable: the process may write to the mapping
 * @hugetlbfs: the mapping belongs to hugetlbfs
 */
struct tce2_pin_mapping {
	u64 end;
	bool writable;
	bool hugetlbfs;
};

int tce2_pin_check(struct mm_struct *mm, u64 ua, u64 end,
		   struct tce2_pin_mapping *first);
int tce2_pin_range(struct mm_struct *mm, u64 ua, u64 size,
		   const struct tce2_pin_mapping *first,
		   struct tce2_extents *ext);
int tce2_pin_compare(u64 ua, const u64 *hpa, int count, bool write, struct page **pages);
void tce2_pin_release(const struct tce2_extents *ext);

#endif /* TCE2_PIN_H */
