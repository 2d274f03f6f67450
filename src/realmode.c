// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode: reading the region cache without locks or mapped memory.
 *
 * Owns the lookup of a region by user address and the translation of a user
 * address to a physical one. Virtual mode runs the lookup for each map request
 * and the translation for IOMMU pages of several blocks (src/mm_iommu.c). They
 * are written so that they can also run with the data MMU off: they touch
 * nothing but structures in the linear mapping, call nothing, take no lock and
 * make a bounded number of steps.
 *
 * So far nothing runs it with MSR[DR] clear and nothing is exported for that;
 * page lookup and reference drop for real mode are not here yet either.
 *
 * Locks: none. The caller is inside an RCU read-side section (interrupts off
 * counts as one), or keeps the region alive by its mapped count.
 * Calls: nothing.
 */
#include <linux/compiler.h>
#include <linux/rbtree.h>

#include "tce2_mm_iommu.h"
#include "tce2_realmode.h"

/*
 * A red-black tree of 2^64 nodes is no higher than this. A walk that races
 * with rebalancing may be led astray, but never round in a circle
 * (lib/rbtree.c, "Notes on lockless lookups").
 */
#define RM_MAX_DEPTH	128

/**
 * tce2_rm_lookup() - find the region that contains a range of user memory
 * @cache: the process's region cache
 * @ua: first user address
 * @bytes: length of the range, more than 0, not wrapping
 *
 * A region that is found did contain the range when it was read. One that is
 * not found may exist all the same if the tree was being changed: NULL means
 * "too hard" rather than "absent".
 *
 * Context: RCU read-side, any interrupt state, data MMU on or off.
 * Return: the region, or NULL.
 */
struct tce2_region *tce2_rm_lookup(const struct tce2_cache *cache, u64 ua,
				   u64 bytes)
{
	struct rb_node *node = READ_ONCE(cache->regions.rb_node);
	unsigned int depth;

	for (depth = 0; node && depth < RM_MAX_DEPTH; depth++) {
		struct tce2_region *region =
			rb_entry(node, struct tce2_region, node);

		if (ua < region->ua)
			node = READ_ONCE(node->rb_left);
		else if (ua - region->ua >= region->size)
			node = READ_ONCE(node->rb_right);
		else if (region->size - (ua - region->ua) >= bytes)
			return region;
		else
			return NULL;
	}
	return NULL;
}

/**
 * tce2_rm_ua_to_hpa() - translate one IOMMU page
 * @region: a region that contains the whole page
 * @ua: user address of the page, a multiple of 1 << @shift
 * @shift: log2 of the IOMMU page size in bytes
 * @write: whether the device shall be able to write
 * @hpa: set to the page's host physical address
 *
 * The page must be physically contiguous and naturally aligned, whatever
 * backs it: every byte of it is pinned, so no more is needed for a device to
 * be kept inside the region. (The in-tree driver asks for hugetlb.)
 *
 * Context: as tce2_rm_lookup(). A step for each block of the page, so at most
 * as many as it has base pages.
 * Return: TCE2_RM_OK, TCE2_RM_READ_ONLY, or TCE2_RM_TOO_HARD where the memory
 * is scattered or misaligned.
 */
enum tce2_rm_status tce2_rm_ua_to_hpa(const struct tce2_region *region, u64 ua,
				      unsigned int shift, bool write, u64 *hpa)
{
	const struct tce2_extents *ext = &region->extents;
	u64 step = 1ULL << ext->shift, end = ua + (1ULL << shift);
	u64 first = READ_ONCE(*tce2_extents_entry(ext, ua));
	u64 flags = first, start = (first & ~TCE2_EXTENT_FLAGS) +
				   (ua & (step - 1));
	u64 next;

	for (next = (ua & ~(step - 1)) + step; next < end; next += step) {
		u64 entry = READ_ONCE(*tce2_extents_entry(ext, next));

		if ((entry & ~TCE2_EXTENT_FLAGS) != start + (next - ua))
			return TCE2_RM_TOO_HARD;
		flags |= entry;
	}
	if (start & ((1ULL << shift) - 1))
		return TCE2_RM_TOO_HARD;
	if (write && (flags & TCE2_EXTENT_READONLY))
		return TCE2_RM_READ_ONLY;
	*hpa = start;
	return TCE2_RM_OK;
}
