// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extents: the compact store of a pinned range's physical addresses.
 *
 * Owns the format that include/tce2_extents.h describes. The store is built from
 * contiguous ranges of pages, with the largest block size that fits all of them. It is
 * independent of pins, processes and TCEs.
 *
 * Locks: none. One thread builds the store; afterwards only the dirty flags change.
 * Calls: the kernel's allocator.
 */
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "tce2_extents.h"

/* Number of pages that extents_are_adjacent() compares: a 2 MiB hugepage has 32 or more */
#define COMPARED	16

/* Returns the number of blocks in the first @bytes of the range */
static u64 extents_nr_blocks(const struct tce2_extents *ext, unsigned int shift,
			     u64 bytes)
{
	if (!bytes)
		return 0;
	return ((ext->ua + bytes - 1) >> shift) - (ext->ua >> shift) + 1;
}

/* Returns the number of levels of pointers for a number of entries */
static unsigned int extents_depth(u64 blocks)
{
	unsigned int depth = 0;

	while ((blocks - 1) >> ((depth + 1) * TCE2_EXTENT_NODE_SHIFT))
		depth++;
	return depth;
}

static void extents_init_shift(struct tce2_extents *ext, u64 ua, u64 size,
			       unsigned int shift)
{
	*ext = (struct tce2_extents){ .ua = ua, .size = size, .shift = shift };
	ext->depth = extents_depth(extents_nr_blocks(ext, shift, size));
}

/**
 * tce2_extents_init() - initialize an empty store
 * @ext: the extents
 * @ua: first user address, a multiple of the page size
 * @size: bytes that will be appended, more than 0
 *
 * The initial block size covers the whole range. It shrinks when an appended range does
 * not physically continue the last block.
 */
void tce2_extents_init(struct tce2_extents *ext, u64 ua, u64 size)
{
	extents_init_shift(ext, ua, size,
			   max_t(unsigned int, PAGE_SHIFT, fls64(size - 1)));
}

/*
 * Makes the missing nodes for block number @block, and sets *@tail to the node of the
 * block's entry. @blocks is the final number of blocks below *@node. After an error,
 * no new node is left.
 */
static int extents_add_nodes(u64 **node, unsigned int level, u64 block, u64 blocks,
			     u64 **tail)
{
	unsigned int shift = level * TCE2_EXTENT_NODE_SHIFT;
	u64 slot = block >> shift, first = slot << shift;
	u64 slots = min(TCE2_EXTENT_NODE, ((blocks - 1) >> shift) + 1);
	bool made = !*node;
	int ret;

	if (made)
		*node = kmalloc_array(slots, sizeof(**node),
				      GFP_KERNEL_ACCOUNT |
				      (level ? __GFP_ZERO : 0));
	if (!*node)
		return -ENOMEM;
	if (!level) {
		*tail = *node;
		return 0;
	}
	ret = extents_add_nodes((u64 **)&(*node)[slot], level - 1, block - first,
				blocks - first, tail);
	if (ret && made) {
		kfree(*node);
		*node = NULL;
	}
	return ret;
}

/* Makes the node that starts with the next entry */
static noinline int extents_begin_node(struct tce2_extents *ext)
{
	cond_resched();
	return extents_add_nodes(&ext->root, ext->depth, ext->blocks,
				 extents_nr_blocks(ext, ext->shift, ext->size),
				 &ext->tail);
}

/* Adds the entry of the next block */
static inline int extents_add_block(struct tce2_extents *ext, u64 entry)
{
	u64 slot = ext->blocks & (TCE2_EXTENT_NODE - 1);
	int ret;

	if (!slot) {
		ret = extents_begin_node(ext);
		if (ret)
			return ret;
	}
	ext->tail[slot] = entry;
	ext->blocks++;
	return 0;
}

/*
 * Rewrites the store with smaller blocks. Each old block is contiguous, so the new
 * blocks are contiguous, too. Calls are rare. noinline, because inlined code would make
 * the caller save more registers at each call.
 */
static noinline int extents_shrink_blocks(struct tce2_extents *ext, unsigned int shift)
{
	u64 step = 1ULL << shift, old_step = 1ULL << ext->shift;
	u64 ua = (ext->ua >> shift) << shift, end = ext->ua + ext->filled;
	u64 entry = *tce2_extents_entry(ext, ext->ua) + (ua & (old_step - 1));
	struct tce2_extents small;

	extents_init_shift(&small, ext->ua, ext->size, shift);
	small.filled = ext->filled;
	small.flags = ext->flags;
	for (;;) {
		if (extents_add_block(&small, entry)) {
			tce2_extents_free(&small);
			return -ENOMEM;
		}
		ua += step;
		if (ua >= end)
			break;
		/* Read an entry only where an old block begins */
		entry = ua & (old_step - 1) ? entry + step : *tce2_extents_entry(ext, ua);
	}
	tce2_extents_free(ext);
	*ext = small;
	return 0;
}

/*
 * Returns true if memory at @hpa can be appended without shrinking the blocks: the
 * memory either continues the last block contiguously, or starts a new block.
 */
static bool extents_fits_block(const struct tce2_extents *ext, u64 hpa, u64 flags)
{
	u64 filled_to = (ext->ua + ext->filled) & ((1ULL << ext->shift) - 1);

	if (!filled_to || !ext->blocks)
		return true;
	return ext->tail[(ext->blocks - 1) & (TCE2_EXTENT_NODE - 1)] +
		filled_to == (hpa | flags);
}

/*
 * Appends the next physically contiguous range. Returns 0 or -ENOMEM. After an error, no
 * part of the range is counted in @filled, and the store can be read and freed, but not
 * appended to. Inline, because each hugepage needs a call.
 */
static inline int extents_append_run(struct tce2_extents *ext, u64 hpa, u64 bytes,
				     u64 flags)
{
	u64 ua = ext->ua + ext->filled, end = ua + bytes, step;
	int ret;

	if (!extents_fits_block(ext, hpa, flags)) {
		ret = extents_shrink_blocks(ext, __ffs64(ua));
		if (ret)
			return ret;
	}

	step = 1ULL << ext->shift;
	while (ua < end) {
		u64 offset = ua & (step - 1);
		u64 bytes_here = min(step - offset, end - ua);

		if (!offset || !ext->blocks) {
			ret = extents_add_block(ext, (hpa - offset) | flags);
			if (ret)
				return ret;
		}
		ua += bytes_here;
		hpa += bytes_here;
	}
	ext->filled += bytes;
	return 0;
}

/*
 * Returns true if COMPARED pages are adjacent.
 *
 * Takes one load, one subtraction and one OR for each page, and no branch: a registration of
 * transparent hugepages spends much of its time here. If the OR of all steps between the page
 * descriptors is one descriptor's size, then no step is larger than this size. And if the last
 * descriptor is COMPARED - 1 descriptors after the first one, then no step is smaller.
 */
static __always_inline bool extents_are_adjacent(struct page **pages)
{
	unsigned long steps = 0;
	unsigned int i;

#pragma GCC unroll 16
	for (i = 1; i < COMPARED; i++)
		steps |= (unsigned long)pages[i] - (unsigned long)pages[i - 1];
	return steps == sizeof(struct page) &&
	       pages[COMPARED - 1] == pages[0] + COMPARED - 1;
}

/*
 * Returns the length, in pages, of the contiguous range at the start of @pages.
 *
 * hugetlbfs maps a hugepage by a single page table entry, and pin_user_pages_fast()
 * pins all base pages of this entry at once. So in @pages, a base page of a hugepage is
 * followed by the rest of that hugepage, and the function need not compare every page.
 * This is true only if hugetlbfs itself has mapped the folio. A driver may map single
 * base pages of a hugepage, in any order. A transparent hugepage may also be mapped by
 * base pages.
 * In both cases, the function compares every page.
 */
static unsigned long extents_run_length(struct page **pages, unsigned long count,
					bool hugetlbfs)
{
	struct page **page = pages, **end = pages + count;
	struct folio *folio = page_folio(*pages);
	struct page *next = *pages;
	unsigned long run;

	if (hugetlbfs && folio_test_hugetlb(folio)) {
		run = min_t(unsigned long, count, folio_nr_pages(folio) -
			    folio_page_idx(folio, *pages));
		if (pages[run - 1] == *pages + run - 1)
			return run;
	}

	/* Adjacent page descriptors describe adjacent pages */
	BUILD_BUG_ON(!IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) &&
		     !IS_ENABLED(CONFIG_FLATMEM));
	while (end - page >= COMPARED && *page == next && extents_are_adjacent(page)) {
		page += COMPARED;
		next += COMPARED;
	}
	while (page < end && *page == next) {
		page++;
		next++;
	}
	return page - pages;
}

/* Writes one entry for each page. Adjacent page descriptors describe adjacent pages. */
static void extents_write_pages(u64 *entry, struct page **pages, u64 count, u64 flags)
{
	struct page *first = pfn_to_page(0);

	for (; count; count--)
		*entry++ = PFN_PHYS(*pages++ - first) | flags;
}

/* Appends pages to a store with blocks of one page */
static int extents_append_scattered(struct tce2_extents *ext, struct page **pages,
				    unsigned long count, u64 flags,
				    unsigned long *done)
{
	while (count) {
		u64 slot = ext->blocks & (TCE2_EXTENT_NODE - 1);
		u64 here = min_t(u64, count, TCE2_EXTENT_NODE - slot);
		int ret = slot ? 0 : extents_begin_node(ext);

		if (ret)
			return ret;
		extents_write_pages(ext->tail + slot, pages, here, flags);
		ext->blocks += here;
		ext->filled += here << PAGE_SHIFT;
		*done += here;
		pages += here;
		count -= here;
	}
	return 0;
}

/**
 * tce2_extents_append_pages() - append the next pages of the range
 * @ext: the extents, not yet complete
 * @pages: the pages, in the order of their user addresses
 * @count: number of pages
 * @flags: TCE2_EXTENT_READONLY or 0
 * @hugetlbfs: the pages belong to a mapping of hugetlbfs
 * @done: set to the number of appended pages, which is @count on success
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM. After an error, the store can be read and freed, but not
 * appended to.
 */
int tce2_extents_append_pages(struct tce2_extents *ext, struct page **pages,
			      unsigned long count, u64 flags, bool hugetlbfs,
			      unsigned long *done)
{
	*done = 0;
	ext->flags |= flags;
	while (*done < count) {
		struct page **page = pages + *done;
		unsigned long run;
		int ret;

		if (ext->shift == PAGE_SHIFT)
			return extents_append_scattered(ext, page, count - *done, flags,
							done);
		run = extents_run_length(page, count - *done, hugetlbfs);
		ret = extents_append_run(ext, PFN_PHYS(page_to_pfn(*page)),
					 (u64)run << PAGE_SHIFT, flags);
		if (ret)
			return ret;
		*done += run;
	}
	return 0;
}

/* Marks the blocks from number @block to the end of their node, or to @end. Returns the next. */
static u64 extents_mark_node(const struct tce2_extents *ext, u64 block, u64 end)
{
	u64 base = ext->ua >> ext->shift;
	u64 *entry = tce2_extents_entry(ext, (base + block) << ext->shift);
	u64 next = min((block | (TCE2_EXTENT_NODE - 1)) + 1, end);

	for (; block < next; block++)
		tce2_extents_mark_entry(entry++);
	return next;
}

/**
 * tce2_extents_mark_blocks() - record that devices may write to several blocks
 * @ext: the extents
 * @ua: first user address, inside the range
 * @bytes: bytes, more than 0, all inside the range
 *
 * Implements tce2_extents_mark_dirty() for a range that crosses a block boundary.
 *
 * Context: may sleep.
 */
void tce2_extents_mark_blocks(struct tce2_extents *ext, u64 ua, u64 bytes)
{
	u64 base = ext->ua >> ext->shift, block = (ua >> ext->shift) - base;
	u64 end = ((ua + bytes - 1) >> ext->shift) - base + 1;

	for (;;) {
		block = extents_mark_node(ext, block, end);
		if (block == end)
			break;
		cond_resched();
	}
}

/**
 * tce2_extents_mark_few() - record that devices may write to a short range
 * @ext: the extents
 * @ua: first user address, inside the range
 * @bytes: bytes, more than 0, all inside the range
 *
 * Same as tce2_extents_mark_dirty(), but does not sleep.
 *
 * Context: any. The time grows with the number of blocks.
 */
void tce2_extents_mark_few(struct tce2_extents *ext, u64 ua, u64 bytes)
{
	u64 base = ext->ua >> ext->shift, block = (ua >> ext->shift) - base;
	u64 end = ((ua + bytes - 1) >> ext->shift) - base + 1;

	while (block < end)
		block = extents_mark_node(ext, block, end);
}

/**
 * tce2_extents_bits() - combine the physical addresses of some blocks
 * @ext: the extents, complete
 * @ua: user address in the first block; set to the first address after the last block
 * @blocks: number of blocks, fewer if the range ends before
 *
 * Return: the bitwise OR of the addresses at which the blocks begin. Its lowest bit that
 * is set shows the alignment of the blocks.
 */
u64 tce2_extents_bits(const struct tce2_extents *ext, u64 *ua, unsigned int blocks)
{
	u64 end = ext->ua + ext->filled, bits = 0;

	for (; blocks && *ua < end; blocks--) {
		bits |= READ_ONCE(*tce2_extents_entry(ext, *ua)) & ~TCE2_EXTENT_FLAGS;
		*ua = ((*ua >> ext->shift) + 1) << ext->shift;
	}
	return bits;
}

static void extents_free_nodes(u64 *node, unsigned int level, u64 blocks)
{
	u64 i, span = 1ULL << (level * TCE2_EXTENT_NODE_SHIFT);

	for (i = 0; node && level && i * span < blocks; i++) {
		extents_free_nodes((u64 *)node[i], level - 1,
				   min(blocks - i * span, span));
		if (!(i % 64))
			cond_resched();
	}
	kfree(node);
}

/**
 * tce2_extents_free() - free the store
 * @ext: the extents; the store may be incomplete
 *
 * Context: may sleep.
 */
void tce2_extents_free(struct tce2_extents *ext)
{
	extents_free_nodes(ext->root, ext->depth, ext->blocks);
	ext->root = NULL;
	ext->depth = 0;
	ext->blocks = 0;
}
