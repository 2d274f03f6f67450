// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extents: the compact store of a pinned range's physical addresses.
 *
 * Owns the format that include/tce2_extents.h describes: building it run by
 * run, finding the largest block size as it goes, reading it back as runs.
 * It knows nothing of pins, processes or TCEs.
 *
 * Locks: none. One thread builds; afterwards only the dirty flag changes.
 * Calls: the kernel's allocator.
 */
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "tce2_extents.h"

/* Blocks that the first @bytes of the range take at a given block size */
static u64 extents_nr_blocks(const struct tce2_extents *ext, unsigned int shift,
			     u64 bytes)
{
	if (!bytes)
		return 0;
	return ((ext->ua + bytes - 1) >> shift) - (ext->ua >> shift) + 1;
}

/* Levels of pointers that a number of entries needs */
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
 * tce2_extents_init() - begin an empty store
 * @ext: the extents
 * @ua: first user address, a multiple of the page size
 * @size: bytes that will be appended, more than 0
 *
 * The block size begins as one that holds the whole range and shrinks as
 * appended runs turn out not to be contiguous.
 */
void tce2_extents_init(struct tce2_extents *ext, u64 ua, u64 size)
{
	extents_init_shift(ext, ua, size,
			   max_t(unsigned int, PAGE_SHIFT, fls64(size - 1)));
}

/*
 * Makes the nodes that block number @block lacks, of the @blocks that there
 * will be below *@node, and finds the one of its entry. Nothing is made if one
 * can't be.
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

/* Makes the node that the next entry begins */
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
 * blocks are contiguous, too. noinline, as it is rare: inlined, it would make the
 * caller save more registers for every run.
 */
static noinline int extents_shrink_blocks(struct tce2_extents *ext, unsigned int shift)
{
	u64 block, count = extents_nr_blocks(ext, shift, ext->filled);
	u64 base = (ext->ua >> shift) << shift;
	struct tce2_extents small;

	extents_init_shift(&small, ext->ua, ext->size, shift);
	small.filled = ext->filled;
	small.flags = ext->flags;
	for (block = 0; block < count; block++) {
		u64 ua = base + (block << shift);
		u64 in_range = max(ua, ext->ua);
		u64 old = *tce2_extents_entry(ext, in_range);
		u64 old_start = (in_range >> ext->shift) << ext->shift;

		if (extents_add_block(&small, old + (ua - old_start))) {
			tce2_extents_free(&small);
			return -ENOMEM;
		}
	}
	tce2_extents_free(ext);
	*ext = small;
	return 0;
}

/*
 * Whether memory at @hpa goes on where the last block left off, so that the
 * block is contiguous; or begins a new block, which then need not be.
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
 * Adds the next physically contiguous run. Returns 0, or -ENOMEM with nothing of
 * it added; then the store can be read and freed, but no longer be appended to.
 * (Inline, because it runs for each huge page.)
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
 * Counts the pages, from the first one on, that are contiguous in memory.
 *
 * A huge page of hugetlbfs is mapped by a single page table entry, from which
 * pin_user_pages_fast() takes all pages at once. So the pages that follow one of its
 * pages are the rest of the huge page. That holds only where hugetlbfs itself has
 * mapped the folio. A driver may map single pages of a hugetlb folio, in any order. A
 * transparent huge page may be mapped page by page, too. In both cases every page has
 * to be compared.
 */
static unsigned long extents_run_length(struct page **pages, unsigned long count,
					bool hugetlbfs)
{
	struct page **page = pages + 1, **end = pages + count;
	struct folio *folio = page_folio(*pages);
	struct page *next = *pages + 1;
	unsigned long run;

	if (hugetlbfs && folio_test_hugetlb(folio)) {
		run = min_t(unsigned long, count, folio_nr_pages(folio) -
			    folio_page_idx(folio, *pages));
		if (pages[run - 1] == *pages + run - 1)
			return run;
	}

	/* Page descriptors are as contiguous as what they describe */
	BUILD_BUG_ON(!IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) &&
		     !IS_ENABLED(CONFIG_FLATMEM));
	/* Unrolled: over huge pages much of a registration is spent here */
	while (end - page >= 4 && page[0] == next && page[1] == next + 1 &&
	       page[2] == next + 2 && page[3] == next + 3) {
		page += 4;
		next += 4;
	}
	while (page < end && *page == next) {
		page++;
		next++;
	}
	return page - pages;
}

/* Adds pages each as a block of its own, once that is the size of blocks */
static int extents_append_scattered(struct tce2_extents *ext, struct page **pages,
				    unsigned long count, u64 flags,
				    unsigned long *done)
{
	unsigned long i;
	int ret = 0;

	for (i = 0; i < count; i++) {
		ret = extents_add_block(ext, PFN_PHYS(page_to_pfn(pages[i])) | flags);
		if (ret)
			break;
	}
	ext->filled += (u64)i << PAGE_SHIFT;
	*done += i;
	return ret;
}

/**
 * tce2_extents_append_pages() - add the next pages
 * @ext: the extents, being built
 * @pages: the pages, in the order of their user addresses
 * @count: how many
 * @flags: TCE2_EXTENT_READONLY or 0
 * @hugetlbfs: whether the pages are from a mapping of hugetlbfs
 * @done: set to the number of pages that were added, @count unless an error is returned
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM; then the store can be read and freed, but no longer be
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

/**
 * tce2_extents_mark_blocks() - tce2_extents_mark_dirty() for any range
 * @ext: the extents
 * @ua: first user address, inside the range
 * @bytes: how many, all inside the range, more than 0
 *
 * Context: may sleep.
 */
void tce2_extents_mark_blocks(struct tce2_extents *ext, u64 ua, u64 bytes)
{
	u64 step = 1ULL << ext->shift, last = ua + bytes - 1;
	unsigned int blocks = 0;

	for (;;) {
		tce2_extents_mark_block(ext, ua);
		ua = (ua | (step - 1)) + 1;
		if (ua - 1 >= last)
			break;
		if (!(++blocks % TCE2_EXTENT_NODE))
			cond_resched();
	}
}

static void extents_free_nodes(u64 *node, unsigned int level, u64 blocks)
{
	u64 i, span = 1ULL << (level * TCE2_EXTENT_NODE_SHIFT);

	for (i = 0; level && i * span < blocks; i++) {
		extents_free_nodes((u64 *)node[i], level - 1,
				   min(blocks - i * span, span));
		if (!(i % 64))
			cond_resched();
	}
	kfree(node);
}

/**
 * tce2_extents_free() - free the store
 * @ext: the extents, built or half-built
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
