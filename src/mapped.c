// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapped count: counts the mapped and held pages of a region, in one part for each CPU.
 *
 * Owns struct tce2_mapped, which include/tce2_mapped.h describes.
 *
 * Locks: none. The caller holds the cache lock to gather or spread a count.
 * Calls: the kernel's allocator.
 */
#include <linux/cpumask.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "tce2_mapped.h"

/*
 * log2 of the bytes of a region for each part of its count. So the parts need at most 1/524288
 * of the region's memory. The tests with real threads set a lower value.
 */
#ifndef PART_SHIFT
#define PART_SHIFT	26
#endif

/**
 * tce2_mapped_init() - initialize the mapped count of a new region to 1
 * @mapped: zeroed memory for the count
 * @bytes: size of the region
 *
 * Without memory for parts, the count has no parts.
 *
 * Context: may sleep.
 */
void tce2_mapped_init(struct tce2_mapped *mapped, u64 bytes)
{
	u64 parts = min_t(u64, bytes >> PART_SHIFT, roundup_pow_of_two(nr_cpu_ids));

	atomic64_set(&mapped->count, 1);
	mapped->gathered = true;
	if (parts < 2)
		return;
	parts = rounddown_pow_of_two(parts);
	mapped->parts = kcalloc(parts, sizeof(*mapped->parts),
				GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NORETRY);
	mapped->mask = parts - 1;
	tce2_mapped_spread(mapped);
}

/**
 * tce2_mapped_free() - free the parts of a mapped count
 * @mapped: the mapped count of a region that no thread uses any more
 *
 * Context: any context that may take a spinlock.
 */
void tce2_mapped_free(struct tce2_mapped *mapped)
{
	kfree(mapped->parts);
}

/**
 * tce2_mapped_gather() - move all parts to @count
 * @mapped: the mapped count of a registered region
 *
 * No effect if the parts are gathered already. Afterwards @count is the mapped count, until
 * tce2_mapped_spread().
 *
 * Context: the caller holds the cache lock.
 */
void tce2_mapped_gather(struct tce2_mapped *mapped)
{
	unsigned int i;
	s64 sum = 0;

	if (mapped->gathered)
		return;
	mapped->gathered = true;
	/* A thread whose part is gathered uses @count, which still includes TCE2_SPREAD */
	for (i = 0; i <= mapped->mask; i++)
		sum += atomic64_xchg(&mapped->parts[i].count, 0) - TCE2_SPREAD;
	atomic64_add(sum - TCE2_SPREAD, &mapped->count);
}

/**
 * tce2_mapped_spread() - let all CPUs use their parts
 * @mapped: the mapped count of a registered region
 *
 * Undoes tce2_mapped_gather(). No effect if the count has no parts, or is spread already.
 *
 * Context: the caller holds the cache lock, or no other thread knows the region yet.
 */
void tce2_mapped_spread(struct tce2_mapped *mapped)
{
	unsigned int i;

	if (!mapped->parts || !mapped->gathered)
		return;
	mapped->gathered = false;
	atomic64_add(TCE2_SPREAD, &mapped->count);
	for (i = 0; i <= mapped->mask; i++) {
		/*
		 * A thread that drops a page from @count must find TCE2_SPREAD there if the
		 * page was held in a part
		 */
		atomic64_set_release(&mapped->parts[i].count, TCE2_SPREAD);
	}
}
