// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pinning: keeps user memory in place while devices may reach it.
 *
 * Owns the pins of the memory that a struct tce2_extents describes, from
 * tce2_pin_range() to tce2_pin_release(). This file finds the process's mappings, pins
 * their pages in batches and stores the physical addresses. It does not use regions,
 * counts or charges.
 *
 * Locks: only mmap_lock, taken inside, for reading.
 * Calls: extents, the kernel's mm.
 */
#include <linux/hugetlb_inline.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "tce2_extents.h"
#include "tce2_pin.h"

/*
 * Number of pages to pin in one call: the pointers to them fill at most one page. With more
 * pointers, a kernel that clears memory it allocates (init_on_alloc) spends more on clearing
 * than is saved by fewer calls, even for a gigabyte.
 */
#define PIN_BATCH	(min_t(unsigned long, PAGE_SIZE, 16384UL) / sizeof(struct page *))
/* Number of base pages to unpin in one call */
#define RELEASE_BATCH	512ULL

/* Finds the mapping that contains @ua, and limits mapping->end to @end */
static int pin_find_mapping(struct mm_struct *mm, u64 ua, u64 end,
			    struct tce2_pin_mapping *mapping)
{
	struct vm_area_struct *vma;
	int ret = 0;

	mmap_read_lock(mm);
	vma = find_vma(mm, ua);
	if (!vma || vma->vm_start > ua) {
		ret = -EFAULT;
	} else {
		mapping->end = min_t(u64, end, vma->vm_end);
		mapping->writable = vma->vm_flags & VM_WRITE;
		mapping->hugetlbfs = is_vm_hugetlb_page(vma);
	}
	mmap_read_unlock(mm);
	return ret;
}

/**
 * tce2_pin_check() - check that a range of user memory has no holes
 * @mm: the process's mm
 * @ua: first user address
 * @end: first user address after the range
 * @first: set to the first mapping of the range
 *
 * Most ranges have only one mapping, which tce2_pin_range() then need not look up.
 *
 * Context: may sleep.
 * Return: 0, or -EFAULT if part of the range is not mapped.
 */
int tce2_pin_check(struct mm_struct *mm, u64 ua, u64 end,
		   struct tce2_pin_mapping *first)
{
	struct tce2_pin_mapping mapping;
	int ret;

	ret = pin_find_mapping(mm, ua, end, first);
	if (ret)
		return ret;
	for (ua = first->end; ua < end; ua = mapping.end) {
		ret = pin_find_mapping(mm, ua, end, &mapping);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* Appends a batch of pinned pages to the extents; unpins the rest on error */
static int pin_append_batch(struct tce2_extents *ext, struct page **pages,
			    unsigned long count, u64 flags, bool hugetlbfs)
{
	unsigned long done;
	int ret = tce2_extents_append_pages(ext, pages, count, flags,
					    hugetlbfs, &done);

	if (ret)
		unpin_user_pages(pages + done, count - done);
	return ret;
}

/*
 * Returns true if a mapping of hugetlbfs still covers the pages after they were pinned.
 * Otherwise the process may have replaced this mapping before the pages were pinned. The
 * function does not notice this if there is a new hugetlbfs mapping at these addresses.
 */
static bool pin_is_hugetlbfs(struct mm_struct *mm, u64 ua, u64 size)
{
	struct tce2_pin_mapping mapping;

	return !pin_find_mapping(mm, ua, ua + size, &mapping) &&
	       mapping.hugetlbfs && mapping.end == ua + size;
}

/* Pins the part of a range that is in one mapping, @batch pages at a time */
static int pin_mapping(struct mm_struct *mm, struct tce2_extents *ext,
		       const struct tce2_pin_mapping *mapping,
		       struct page **pages, int batch)
{
	u64 flags = mapping->writable ? 0 : TCE2_EXTENT_READONLY;
	unsigned int gup_flags = FOLL_LONGTERM |
				 (mapping->writable ? FOLL_WRITE : 0);

	while (ext->ua + ext->filled < mapping->end) {
		u64 ua = ext->ua + ext->filled;
		int want = min_t(u64, (mapping->end - ua) >> PAGE_SHIFT, batch);
		bool hugetlbfs;
		int got, ret;

		if (fatal_signal_pending(current))
			return -EINTR;
		got = pin_user_pages_fast(ua, want, gup_flags, pages);
		if (got == -ENOMEM || got == -EINTR)
			return got;
		/* For example, FOLL_LONGTERM fails for holes, devices and some files */
		if (got <= 0)
			return -EFAULT;
		hugetlbfs = mapping->hugetlbfs &&
			    pin_is_hugetlbfs(mm, ua, (u64)got << PAGE_SHIFT);
		ret = pin_append_batch(ext, pages, got, flags, hugetlbfs);
		if (ret)
			return ret;
		if (ext->ua + ext->filled < mapping->end)
			cond_resched();
	}
	return 0;
}

/**
 * tce2_pin_range() - pin a range of the current process's memory
 * @mm: the current process's mm
 * @ua: first user address, a multiple of the page size
 * @size: bytes, a multiple of the page size, more than 0, not wrapping
 * @first: the first mapping of the range, from tce2_pin_check()
 * @ext: zeroed memory, set to the physical addresses
 *
 * Mappings without write permission are pinned for reading, and stored with
 * TCE2_EXTENT_READONLY.
 *
 * Context: may sleep, for as long as the process delays a page fault.
 * Return: 0; -EFAULT if part of the range can't be pinned; -ENOMEM; -EINTR after a
 * fatal signal. After an error nothing is pinned, and the caller must free @ext.
 */
int tce2_pin_range(struct mm_struct *mm, u64 ua, u64 size,
		   const struct tce2_pin_mapping *first,
		   struct tce2_extents *ext)
{
	int batch = min_t(u64, size >> PAGE_SHIFT, PIN_BATCH);
	struct tce2_pin_mapping mapping = *first;
	struct page **pages;
	int ret;

	pages = kmalloc_array(batch, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;

	tce2_extents_init(ext, ua, size);
	ret = pin_mapping(mm, ext, &mapping, pages, batch);
	while (!ret && mapping.end < ua + size) {
		ret = pin_find_mapping(mm, mapping.end, ua + size, &mapping);
		if (!ret)
			ret = pin_mapping(mm, ext, &mapping, pages, batch);
	}
	if (ret)
		tce2_pin_release(ext);
	kfree(pages);
	return ret;
}

/* Returns true if the pages have the given physical addresses */
static bool pin_is_same(struct page *const *pages, const u64 *hpa, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (page_to_pfn(pages[i]) != PHYS_PFN(hpa[i]))
			return false;
	}
	return true;
}

/**
 * tce2_pin_compare() - check that the current process maps the given pages
 * @ua: user address of the first page
 * @hpa: physical address of each page
 * @count: number of pages
 * @write: the process must be allowed to write to the pages
 * @pages: memory for @count pointers
 *
 * A page is the same if pinning it again gives the same physical address. The function pins
 * the pages, as tce2_pin_range() does, and unpins them at once. So it sees the pages to which
 * the process has access, and leaves its mappings as a registration would leave them.
 *
 * Context: may sleep, for as long as the process delays a page fault.
 * Return: 0; -EFAULT if a page is another page or can't be pinned; -ENOMEM; -EINTR after a
 * fatal signal.
 */
int tce2_pin_compare(u64 ua, const u64 *hpa, int count, bool write, struct page **pages)
{
	unsigned int gup_flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);

	while (count) {
		bool same;
		int got;

		if (fatal_signal_pending(current))
			return -EINTR;
		got = pin_user_pages_fast(ua, count, gup_flags, pages);
		if (got == -ENOMEM || got == -EINTR)
			return got;
		if (got <= 0)
			return -EFAULT;
		same = pin_is_same(pages, hpa, got);
		unpin_user_pages(pages, got);
		if (!same)
			return -EFAULT;
		ua += (u64)got << PAGE_SHIFT;
		hpa += got;
		count -= got;
		cond_resched();
	}
	return 0;
}

/*
 * Unpins blocks of one page each, whose entries are adjacent in memory. For a single page,
 * unpin_user_page() is several times faster than unpin_user_page_range_dirty_lock().
 * noinline, because inlined code would need more registers.
 */
static noinline void pin_release_pages(const u64 *entry, u64 count)
{
	struct page *first = pfn_to_page(0);

	for (; count; count--, entry++) {
		u64 block = READ_ONCE(*entry);
		struct page *page = first + PHYS_PFN(block);

		if (unlikely(block & TCE2_EXTENT_DIRTY) &&
		    !folio_test_dirty(page_folio(page)))
			unpin_user_page_range_dirty_lock(page, 1, true);
		else
			unpin_user_page(page);
	}
}

/* Unpins the memory from @ua on, and returns the number of unpinned bytes */
static __always_inline u64 pin_release_some(const struct tce2_extents *ext, u64 ua)
{
	u64 hpa, flags, bytes;

	if (ext->shift == PAGE_SHIFT) {
		u64 count = min(tce2_extents_adjacent(ext, ua), RELEASE_BATCH);

		pin_release_pages(tce2_extents_entry(ext, ua), count);
		return count << PAGE_SHIFT;
	}
	bytes = tce2_extents_run(ext, ua, &hpa, &flags);
	/* The fastest function for many pages of one folio */
	unpin_user_page_range_dirty_lock(pfn_to_page(PHYS_PFN(hpa)), bytes >> PAGE_SHIFT,
					 flags & TCE2_EXTENT_DIRTY);
	return bytes;
}

/**
 * tce2_pin_release() - unpin all memory that extents describe
 * @ext: the extents, which do not change
 *
 * Pages of blocks with TCE2_EXTENT_DIRTY are marked dirty, because a device could
 * write to them.
 *
 * Context: may sleep.
 */
void tce2_pin_release(const struct tce2_extents *ext)
{
	u64 ua = ext->ua, end = ext->ua + ext->filled;
	unsigned int calls = 0;

	while (ua < end) {
		ua += pin_release_some(ext, ua);
		if (!(++calls % 16))
			cond_resched();
	}
}
