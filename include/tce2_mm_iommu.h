/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_MM_IOMMU_H
#define TCE2_MM_IOMMU_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "tce2_cache.h"
#include "tce2_exported.h"

/**
 * struct tce2_drop_batch - IOMMU pages of one region that are dropped together
 * @cache: the region cache
 * @region: the region of all pages gathered so far, or NULL
 * @count: number of pages gathered so far
 *
 * Lives on the stack of one thread; see tce2_drop_batch_add().
 */
struct tce2_drop_batch {
	struct tce2_cache *cache;
	struct tce2_region *region;
	u64 count;
};

int tce2_region_register(struct tce2_cache *cache, u64 ua, u64 size,
			 struct tce2_region **regionp);
int tce2_region_unregister(struct tce2_region *region);
void tce2_region_unregister_nofail(struct tce2_region *region);
int tce2_cache_unmirror(struct tce2_cache *cache);

bool tce2_page_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		    bool write, u64 *hpa);
bool tce2_page_hold_again(struct tce2_cache *cache, u64 ua, unsigned int shift,
			  bool write, u64 *hpa);
void tce2_page_drop(struct tce2_cache *cache, u64 ua, unsigned int shift);
void tce2_page_drop_from(struct tce2_region *region, u64 ua, unsigned int shift);
void tce2_page_drop_counted(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, bool write);
struct tce2_region *tce2_pages_hold(struct tce2_cache *cache, const struct tce2_memory *memory);
void tce2_pages_drop_from(struct tce2_region *region, const struct tce2_memory *memory);
void tce2_pages_uncount(struct tce2_cache *cache, const struct tce2_memory *memory);

int tce2_memory_hold_or_refuse(struct tce2_cache *cache, struct tce2_memory *memory);
s64 tce2_memory_run(const struct tce2_memory *memory, u64 *hpa);
struct tce2_region *tce2_region_find_held(struct tce2_cache *cache, u64 ua,
					  unsigned int shift);
void tce2_drop_batch_add(struct tce2_drop_batch *batch,
			 const struct tce2_memory *memory);
void tce2_drop_batch_flush(struct tce2_drop_batch *batch);

/**
 * tce2_memory_skip() - remove the first pages from a range of user memory
 * @memory: the range. Its region member is not updated, so the new first page may be
 *	in another region
 * @pages: number of pages to remove
 */
static __always_inline void tce2_memory_skip(struct tce2_memory *memory, u64 pages)
{
	memory->ua += pages << memory->shift;
	memory->pages -= pages;
}

/**
 * tce2_region_hold() - add IOMMU pages to a region's mapped count
 * @region: the region; the caller's RCU read-side section keeps it from being freed
 * @pages: number of IOMMU pages, more than 0
 *
 * Context: RCU read-side section, any interrupt state, data MMU on or off.
 * Return: true; false if no container has the region registered any more, or if the
 * region is being destroyed. After false, the caller must not map the memory.
 */
static __always_inline bool tce2_region_hold(struct tce2_region *region,
					     u64 pages)
{
	return READ_ONCE(region->used) && tce2_mapped_add(&region->mapped, pages);
}

/**
 * tce2_page_hold_counted() - count a page as mapped after KVM has counted it
 * @cache: the region cache
 * @ua: user address of an IOMMU page no larger than the kernel's pages
 *
 * KVM has found the page's physical address in the kernel's list of registered memory,
 * and has counted the page there. tce2_page_drop_counted() decrements both counts. A region
 * ends at the boundary of a kernel page, so no IOMMU page of this size crosses the
 * region's end.
 *
 * Context: RCU read-side section.
 * Return: true; false if the caller has to undo KVM's count: the region has no
 * mirror, the mirror is being removed, or the lookup raced with a change of the
 * tree and missed the region.
 */
static __always_inline bool
tce2_page_hold_counted(const struct tce2_cache *cache, u64 ua)
{
	struct tce2_region *region = tce2_region_find(cache, ua, 0);

	return region && READ_ONCE(region->mirror) &&
	       tce2_mapped_add(&region->mapped, 1);
}

#endif /* TCE2_MM_IOMMU_H */
