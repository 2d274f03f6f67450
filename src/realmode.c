// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode: reads the region cache and views without locks or page tables.
 *
 * Owns the functions that also run with the data MMU off (MSR[DR] = 0), where
 * page tables can't be used. They find regions, translate user addresses, change
 * the mapped count, mark pages dirty, read the userspace view, and find and put
 * page descriptors.
 *
 * These functions access only structures in the linear mapping, call no function
 * and take no lock. The number of their steps is limited, except that an atomic
 * change of a count is repeated while other CPUs change the count. The build
 * runs src/realmode-check, which refuses the object if the compiler added calls or
 * data.
 *
 * No function writes a TCE. The device's cached translation would have to be
 * invalidated. Since Linux 5.19 removed KVM's real-mode handlers, no kernel
 * exports a way to do so in real mode.
 *
 * Locks: none. The caller is inside an RCU read-side section (interrupts off
 * counts as such a section), or holds a page of the region (mapped count).
 * Calls: nothing; inlines of cache, extents, mapped, mm_iommu, view, vmemmap.
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

/* Limit of blocks read for one IOMMU page, because interrupts may be off meanwhile */
#define RM_MAX_BLOCKS	512

/* Attempts to change a count that other CPUs change at the same time */
#define RM_MAX_TRIES	64

/*
 * Returns true if an address refers to the same memory in real and in virtual mode. Such
 * an address lies in the part of the linear mapping that the hash MMU and radix both
 * have. This part is 2 PiB or, with 4K pages, 61 TiB (H_KERN_VIRT_START,
 * asm/book3s/64/hash-64k.h and hash-4k.h). With the data MMU off the highest bits are
 * ignored. The functions of this file also refuse other addresses in virtual mode.
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
 * A region that is found contained the range when the tree was read. If another
 * thread changes the tree at the same time, an existing region may not be found.
 *
 * Context: RCU read-side section, any interrupt state, data MMU on or off.
 * Return: the region, or NULL if no region was found or @cache is not in the linear
 * mapping. NULL is not authoritative: call tce2_memory_hold() in virtual mode.
 */
noinstr struct tce2_region *tce2_rm_lookup(const struct tce2_cache *cache,
					   u64 ua, u64 bytes)
{
	if (!rm_is_linear(cache))
		return NULL;
	return tce2_region_find(cache, ua, bytes);
}
EXPORT_SYMBOL_GPL(tce2_rm_lookup);

/*
 * Returns true if an IOMMU page is aligned and in the region. If @ua is below the
 * region, the offset wraps and is larger than the size.
 */
static __always_inline bool rm_is_inside(const struct tce2_region *region, u64 ua,
					 unsigned int shift)
{
	u64 offset = ua - region->ua, size = region->size;

	return !(ua & ((1ULL << shift) - 1)) && offset < size &&
	       size - offset >= 1ULL << shift;
}

/* Returns true if an IOMMU page is in the region and has at most RM_MAX_BLOCKS blocks */
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
 * @write: true if the device will write to the page
 * @hpa: set to the page's host physical address
 *
 * The IOMMU page must be physically contiguous and naturally aligned. Any kind of
 * memory may back it: every byte is pinned, so a device can't reach memory outside the
 * region. The in-tree driver requires hugepages.
 *
 * Context: same as tce2_rm_lookup(). Takes one step for each block of the page, at most
 * 512 steps.
 * Return:
 * * TCE2_RM_OK - success
 * * TCE2_RM_READ_ONLY - @write is true, and devices may not write to the page
 * * TCE2_RM_TOO_HARD - the page is not completely in the region, is scattered or
 *   misaligned, or has too many blocks; or a pointer is not in the linear mapping.
 *   tce2_memory_hold() is authoritative
 */
noinstr enum tce2_rm_status
tce2_rm_ua_to_hpa(const struct tce2_region *region, u64 ua, unsigned int shift,
		  bool write, u64 *hpa)
{
	const struct tce2_extents *ext = &region->extents;
	u64 start, flags;

	if (!rm_is_linear(region) || !rm_is_linear(hpa))
		return TCE2_RM_TOO_HARD;
	/* A separate path for one block, because the general path needs more registers */
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

/* Returns true if the region may contain this number of IOMMU pages */
static __always_inline bool rm_is_count(const struct tce2_region *region,
					u64 pages)
{
	return pages && pages <= region->size >> TCE2_MIN_PAGE_SHIFT;
}

/**
 * tce2_rm_mapped_get() - count pages of a region as mapped
 * @region: the region
 * @pages: number of IOMMU pages, more than 0, at most the region's size in 4K pages
 *
 * The region stays pinned until the pages are dropped. Until then UNREGISTER_MEMORY
 * returns -EBUSY, and closing the last container does not unpin the region.
 *
 * Context: same as tce2_rm_lookup().
 * Return:
 * * TCE2_RM_OK - success
 * * TCE2_RM_TOO_HARD - the region is not registered any more, @pages is invalid, or
 *   @region is not in the linear mapping; tce2_memory_hold() is authoritative, and may
 *   find another region
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
 * @pages: number of IOMMU pages, all held by the caller; the same limit as for
 *	tce2_rm_mapped_get()
 *
 * The thread that drops the last page must unpin the region, which is impossible in
 * real mode.
 *
 * Context: any interrupt state, data MMU on or off.
 * Return:
 * * TCE2_RM_OK - the caller no longer holds the pages, so they no longer keep the
 *   region
 * * TCE2_RM_TOO_HARD - the caller still holds the pages. It must drop them in virtual
 *   mode with tce2_memory_drop(), which can't fail. One call of tce2_memory_drop()
 *   drops each page of a range once, so a page held several times needs several calls
 */
noinstr enum tce2_rm_status tce2_rm_mapped_put(struct tce2_region *region,
					       u64 pages)
{
	unsigned int tries;
	s64 old, saw;

	if (!rm_is_linear(region) || !rm_is_count(region, pages))
		return TCE2_RM_TOO_HARD;
	if (tce2_mapped_add_part(&region->mapped, -(s64)pages))
		return TCE2_RM_OK;
	old = atomic64_read(&region->mapped.count);
	for (tries = 0; tries < RM_MAX_TRIES && old > (s64)pages; tries++) {
		saw = atomic64_cmpxchg(&region->mapped.count, old, old - pages);
		if (saw == old)
			return TCE2_RM_OK;
		old = saw;
	}
	return TCE2_RM_TOO_HARD;
}
EXPORT_SYMBOL_GPL(tce2_rm_mapped_put);

/**
 * tce2_rm_mark_dirty() - mark an IOMMU page as dirty
 * @region: the region; the caller holds the page in this region
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * The kernel's pages are marked dirty when the region is unpinned.
 *
 * Context: same as tce2_rm_ua_to_hpa().
 * Return:
 * * TCE2_RM_OK - success
 * * TCE2_RM_READ_ONLY - devices may not write to the page
 * * TCE2_RM_TOO_HARD - the page is not completely in the region or has too many
 *   blocks, or @region is not in the linear mapping; tce2_memory_hold() for writing is
 *   authoritative
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
 * @ua: set to the user address that @iova is mapped to
 * @perm: set to the permissions of devices: TCE2_PERM_READ, TCE2_PERM_WRITE or both;
 *	0 if @iova is not mapped
 *
 * The result was correct at some moment between call and return. The client mapped this
 * user address, but its memory may be unpinned by now.
 *
 * Context: same as tce2_rm_lookup().
 * Return:
 * * TCE2_RM_OK - success
 * * TCE2_RM_TOO_HARD - @iova is outside the window, no entry near @iova was ever
 *   mapped, the entry is being changed, or the window was removed; or a pointer is not in
 *   the linear mapping. tce2_window_read_tce() is authoritative
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
 * @pfn: page frame number of memory that the caller holds
 * @page: set to the descriptor's address in the linear mapping. This address differs
 *	from the address that pfn_to_page() returns, but refers to the same memory in
 *	real and in virtual mode
 *
 * Context: same as tce2_rm_lookup().
 * Return: TCE2_RM_OK; or TCE2_RM_TOO_HARD if the descriptor was not found or a pointer
 * is not in the linear mapping. pfn_to_page() is authoritative.
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
 * tce2_rm_put_page_unless_one() - put a reference to a page unless it is the last
 * @cache: the region cache
 * @page: descriptor from tce2_rm_pfn_to_page(), of a page to which the caller
 *	has a reference (get_page())
 *
 * The first descriptor of a large page contains the page's reference count.
 *
 * Context: same as tce2_rm_lookup().
 * Return:
 * * TCE2_RM_OK - the caller no longer has the reference
 * * TCE2_RM_TOO_HARD - the caller still has the reference. In virtual mode put_page()
 *   of the descriptor from pfn_to_page() always puts the reference
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
