// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode: reading the region cache without locks or mapped memory.
 *
 * Owns the functions that also run with the data MMU off (MSR[DR] = 0), where
 * no page table may be trusted: finding a region by user address, translating,
 * the mapped counter, dirty marks, reading the userspace view, and finding and
 * putting page descriptors. They are written for it: they touch nothing but
 * structures in the linear mapping, call nothing, take no lock and make a
 * bounded number of steps (where processors meet at a counter, as many as it
 * takes to change it). src/realmode-check refuses the object if the compiler
 * made it otherwise.
 *
 * Writing a TCE is not among them. The device's cached translation would have
 * to be invalidated, and no kernel exports a way to do that in real mode since
 * KVM's own real-mode handlers went (5.19).
 *
 * Locks: none. The caller is inside an RCU read-side section (interrupts off
 * counts as one), or keeps the region alive by its mapped count.
 * Calls: nothing; inlines of cache, extents, mm_iommu, view, vmemmap.
 */
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/mm.h>

#include "tce2_kapi.h"
#include "tce2_mm_iommu.h"
#include "tce2_tce_v2.h"
#include "tce2_view_format.h"
#include "tce2_vmemmap.h"

/* Blocks of memory looked at for one IOMMU page; interrupts are off meanwhile */
#define RM_MAX_BLOCKS	512

/* Attempts to change a counter that others change at the same time */
#define RM_MAX_TRIES	64

/*
 * Returns true if an address is the same memory in real and in virtual mode: if it is
 * in the part of the linear mapping that exists under either MMU. This part is 2 PiB
 * or, with 4K pages, 61 TiB (H_KERN_VIRT_START, asm/book3s/64/hash-64k.h and
 * hash-4k.h). With the data MMU off the highest bits are ignored. Callers refuse other
 * addresses in virtual mode, too.
 */
static __always_inline bool rm_is_linear(const void *ptr)
{
	return (unsigned long)ptr - PAGE_OFFSET <
	       H_KERN_VIRT_START - PAGE_OFFSET;
}

/**
 * tce2_rm_lookup() - find the region that contains a range of user memory
 * @cache: the process's region cache
 * @ua: first user address
 * @bytes: length of the range, more than 0
 *
 * A region that is found did contain the range when it was read. One that is
 * not found may exist all the same if the tree was being changed.
 *
 * Context: RCU read-side, any interrupt state, data MMU on or off.
 * Return: the region, or NULL for "too hard"; tce2_memory_hold() is authoritative.
 */
noinstr struct tce2_region *tce2_rm_lookup(const struct tce2_cache *cache,
					   u64 ua, u64 bytes)
{
	if (!rm_is_linear(cache))
		return NULL;
	return tce2_region_find(cache, ua, bytes);
}
EXPORT_SYMBOL_GPL(tce2_rm_lookup);

/* Returns true if an IOMMU page is in the region; if @ua is below it, offset wraps */
static __always_inline bool rm_is_inside(const struct tce2_region *region, u64 ua,
					 unsigned int shift)
{
	u64 offset = ua - region->ua, size = region->size;

	return !(ua & ((1ULL << shift) - 1)) && offset < size &&
	       size - offset >= 1ULL << shift;
}

/* Returns true if an IOMMU page is in the region and has few enough blocks */
static __always_inline bool rm_is_easy(const struct tce2_region *region, u64 ua,
				       unsigned int shift)
{
	unsigned int block = region->extents.shift;

	return shift <= 63 && rm_is_inside(region, ua, shift) &&
	       (shift <= block || (1ULL << (shift - block)) <= RM_MAX_BLOCKS);
}

/**
 * tce2_rm_ua_to_hpa() - translate one IOMMU page
 * @region: the region
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 * @write: whether the device shall be able to write
 * @hpa: set to the page's host physical address
 *
 * The page must be physically contiguous and naturally aligned, whatever
 * backs it: every byte of it is pinned, so no more is needed for a device to
 * be kept inside the region. (The in-tree driver asks for hugetlb.)
 *
 * Context: as tce2_rm_lookup(). A step for each block of the page, at most
 * 512.
 * Return: TCE2_RM_OK, TCE2_RM_READ_ONLY, or TCE2_RM_TOO_HARD where the page is
 * not all in the region, scattered, misaligned or of too many blocks;
 * tce2_memory_hold() is authoritative.
 */
noinstr enum tce2_rm_status
tce2_rm_ua_to_hpa(const struct tce2_region *region, u64 ua, unsigned int shift,
		  bool write, u64 *hpa)
{
	const struct tce2_extents *ext = &region->extents;
	u64 start, flags;

	if (!rm_is_linear(region) || !rm_is_linear(hpa))
		return TCE2_RM_TOO_HARD;
	/* Apart, for the registers that the general case takes */
	if (shift <= ext->shift) {
		if (!rm_is_inside(region, ua, shift))
			return TCE2_RM_TOO_HARD;
		tce2_extents_run(ext, ua, &start, &flags);
		if (start & ((1ULL << shift) - 1))
			return TCE2_RM_TOO_HARD;
	} else if (!rm_is_easy(region, ua, shift) ||
		   !tce2_extents_page(ext, ua, shift, &start, &flags)) {
		return TCE2_RM_TOO_HARD;
	}
	if (write && (flags & TCE2_EXTENT_READONLY))
		return TCE2_RM_READ_ONLY;
	*hpa = start;
	return TCE2_RM_OK;
}
EXPORT_SYMBOL_GPL(tce2_rm_ua_to_hpa);

/* Returns true if the region can have so many IOMMU pages */
static __always_inline bool rm_is_count(const struct tce2_region *region,
					u64 pages)
{
	return pages && pages <= region->size >> TCE2_MIN_PAGE_SHIFT;
}

/**
 * tce2_rm_mapped_get() - count pages of a region as mapped
 * @region: the region
 * @pages: IOMMU pages, more than 0 and no more than the region has of 4K
 *
 * From now on, and until they are dropped, the region stays pinned:
 * UNREGISTER_MEMORY says EBUSY, and the last container to be closed leaves it.
 *
 * Context: as tce2_rm_lookup().
 * Return: TCE2_RM_OK, or TCE2_RM_TOO_HARD if the region is going away;
 * tce2_memory_hold() is authoritative, and may find another.
 */
noinstr enum tce2_rm_status tce2_rm_mapped_get(struct tce2_region *region,
					       u64 pages)
{
	if (!rm_is_linear(region) || !rm_is_count(region, pages) ||
	    !tce2_region_hold(region, pages))
		return TCE2_RM_TOO_HARD;
	return TCE2_RM_OK;
}
EXPORT_SYMBOL_GPL(tce2_rm_mapped_get);

/**
 * tce2_rm_mapped_put() - drop pages of a region, unless they are the last
 * @region: the region
 * @pages: IOMMU pages, all held by the caller; as many as can be held at once
 *
 * Whoever drops the last one has to unpin the region, which real mode can't.
 *
 * Context: any interrupt state, data MMU on or off.
 * Return: TCE2_RM_OK, after which the region is the caller's no more; or
 * TCE2_RM_TOO_HARD, with the pages still held. tce2_memory_drop() always drops them.
 * (It drops adjacent pages, so call it once for each time a page is held.)
 */
noinstr enum tce2_rm_status tce2_rm_mapped_put(struct tce2_region *region,
					       u64 pages)
{
	unsigned int tries;
	s64 old, saw;

	if (!rm_is_linear(region) || !rm_is_count(region, pages))
		return TCE2_RM_TOO_HARD;
	old = atomic64_read(&region->mapped);
	for (tries = 0; tries < RM_MAX_TRIES && old > (s64)pages; tries++) {
		saw = atomic64_cmpxchg(&region->mapped, old, old - pages);
		if (saw == old)
			return TCE2_RM_OK;
		old = saw;
	}
	return TCE2_RM_TOO_HARD;
}
EXPORT_SYMBOL_GPL(tce2_rm_mapped_put);

/**
 * tce2_rm_mark_dirty() - remember that an IOMMU page may have been written to
 * @region: the region, of which the caller holds the page
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * The kernel is told when the region is unpinned.
 *
 * Context: as tce2_rm_ua_to_hpa().
 * Return: TCE2_RM_OK; TCE2_RM_READ_ONLY if nobody may write there;
 * TCE2_RM_TOO_HARD where the page is not all in the region or of too many
 * blocks; tce2_memory_hold() for writing is authoritative.
 */
noinstr enum tce2_rm_status tce2_rm_mark_dirty(struct tce2_region *region,
					       u64 ua, unsigned int shift)
{
	struct tce2_extents *ext = &region->extents;
	u64 step, end, at;

	if (!rm_is_linear(region) || !rm_is_easy(region, ua, shift))
		return TCE2_RM_TOO_HARD;
	step = 1ULL << ext->shift;
	end = ua + (1ULL << shift);
	for (at = ua; at < end; at = (at & ~(step - 1)) + step) {
		if (READ_ONCE(*tce2_extents_entry(ext, at)) &
		    TCE2_EXTENT_READONLY)
			return TCE2_RM_READ_ONLY;
	}
	for (at = ua; at < end; at = (at & ~(step - 1)) + step)
		tce2_extents_mark_block(ext, at);
	return TCE2_RM_OK;
}
EXPORT_SYMBOL_GPL(tce2_rm_mark_dirty);

/**
 * tce2_rm_read_tce() - read the user address that a TCE maps
 * @window: the window
 * @iova: a bus address
 * @ua: set to the user address that it leads to
 * @perm: set to TCE2_PERM_READ, TCE2_PERM_WRITE or both: what devices may do;
 *	0 if nothing is mapped there
 *
 * The answer was right at some moment between the call and the return. It tells what
 * the client mapped; the memory may be unpinned by now.
 *
 * Context: as tce2_rm_lookup().
 * Return: TCE2_RM_OK; TCE2_RM_TOO_HARD if @iova is outside the window, if nothing was
 * ever mapped near it, while the entry is being changed, or if the window is gone: then
 * tce2_window_read_tce() is authoritative.
 */
noinstr enum tce2_rm_status
tce2_rm_read_tce(const struct tce2_window *window, u64 iova, u64 *ua, u64 *perm)
{
	unsigned int shift;
	u64 entry;

	if (!rm_is_linear(window) || !rm_is_linear(ua) || !rm_is_linear(perm) ||
	    !READ_ONCE(window->live) || iova < window->start ||
	    iova - window->start >= window->size)
		return TCE2_RM_TOO_HARD;
	shift = window->page_shift;
	if (!tce2_view_peek(&window->view, (iova - window->start) >> shift,
			    &entry))
		return TCE2_RM_TOO_HARD;
	*perm = entry & TCE2_PERM_RW;
	*ua = *perm ? (entry & ~TCE2_VIEW_FLAGS) +
		      (iova & ((1ULL << shift) - 1)) : 0;
	return TCE2_RM_OK;
}
EXPORT_SYMBOL_GPL(tce2_rm_read_tce);

/**
 * tce2_rm_pfn_to_page() - find the descriptor of a registered page
 * @cache: the region cache, for which tce2_cache_find_pages() returned 0
 * @pfn: page frame number, of memory that the caller holds
 * @page: set to where the descriptor is in the linear mapping: not the address
 *	that pfn_to_page() gives, but the same memory, in either mode
 *
 * Context: as tce2_rm_lookup().
 * Return: TCE2_RM_OK, or TCE2_RM_TOO_HARD; pfn_to_page() is authoritative.
 */
noinstr enum tce2_rm_status tce2_rm_pfn_to_page(const struct tce2_cache *cache,
						u64 pfn, struct page **page)
{
	const struct tce2_vmemmap *index;
	struct page *found;

	if (!rm_is_linear(cache) || !rm_is_linear(page) ||
	    pfn >> (MAX_PHYSMEM_BITS - PAGE_SHIFT))
		return TCE2_RM_TOO_HARD;
	index = READ_ONCE(cache->descriptors);
	found = index ? tce2_vmemmap_find(index, index->base +
					  pfn * sizeof(struct page)) : NULL;
	if (!found)
		return TCE2_RM_TOO_HARD;
	*page = found;
	return TCE2_RM_OK;
}
EXPORT_SYMBOL_GPL(tce2_rm_pfn_to_page);

/**
 * tce2_rm_put_page_unless_one() - drop a reference to a page unless it is the
 * last
 * @cache: the region cache
 * @page: a descriptor of tce2_rm_pfn_to_page(), of a page to which the caller
 *	has a reference (get_page())
 *
 * Of a large page, its first descriptor has the count.
 *
 * Context: as tce2_rm_lookup().
 * Return: TCE2_RM_OK, after which the page is the caller's no more; or
 * TCE2_RM_TOO_HARD, with the reference kept. In virtual mode, put_page() of the page
 * that pfn_to_page() returns always drops it.
 */
noinstr enum tce2_rm_status
tce2_rm_put_page_unless_one(const struct tce2_cache *cache, struct page *page)
{
	const struct tce2_vmemmap *index;
	unsigned int tries;
	struct page *head;
	int old, saw;

	if (!rm_is_linear(cache) || !rm_is_linear(page))
		return TCE2_RM_TOO_HARD;
	index = READ_ONCE(cache->descriptors);
	if (!index)
		return TCE2_RM_TOO_HARD;
	head = compound_head(page);
	if (head != page)
		head = tce2_vmemmap_find(index, (unsigned long)head);
	if (!head)
		return TCE2_RM_TOO_HARD;
	old = atomic_read(&head->_refcount);
	for (tries = 0; tries < RM_MAX_TRIES && old > 1; tries++) {
		saw = atomic_cmpxchg(&head->_refcount, old, old - 1);
		if (saw == old)
			return TCE2_RM_OK;
		old = saw;
	}
	return TCE2_RM_TOO_HARD;
}
EXPORT_SYMBOL_GPL(tce2_rm_put_page_unless_one);
