/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_EXTENTS_H
#define TCE2_EXTENTS_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include <asm/page.h>

struct page;

/*
 * Extents store the physical addresses of a pinned range of user memory.
 *
 * The range is divided into blocks at user addresses that are multiples of
 * 1 << shift. shift is the largest value for which every block is physically
 * contiguous and of one protection. Each block has one 64-bit entry: the physical
 * address of the block's first byte, with flags in the low bits. So a range of 1 GiB
 * hugepages costs 8 bytes per GiB, and a scattered range 8 bytes per page. In both
 * cases, one index computation translates an address.
 *
 * A range may begin inside a block. The entry then holds the address at which the
 * whole block would begin. This address may wrap below zero; adding the low bits of
 * the user address wraps it back.
 *
 * Entries are stored in nodes of one page, below as many levels of pointer nodes as
 * needed. So no allocation is larger than a page, even for a large range. The last
 * node of each level has only the length that it needs. All nodes come from the slab
 * allocator, hence from the linear mapping: code that runs with the data MMU off can
 * follow the pointers.
 */
#define TCE2_EXTENT_NODE_SHIFT	(PAGE_SHIFT - 3)
#define TCE2_EXTENT_NODE	BIT(TCE2_EXTENT_NODE_SHIFT)

/* A device may have written to the block; see tce2_extents_mark_dirty() */
#define TCE2_EXTENT_DIRTY	BIT_ULL(0)
/* The block was pinned for reading only */
#define TCE2_EXTENT_READONLY	BIT_ULL(1)
#define TCE2_EXTENT_FLAGS	((1ULL << 12) - 1)

/**
 * struct tce2_extents - physical addresses of a range of user memory
 * @ua: first user address, a multiple of the page size
 * @size: bytes of the range
 * @filled: bytes appended so far, @size once the store is built
 * @shift: log2 of the block size in bytes, at least PAGE_SHIFT
 * @depth: levels of pointers above the entries
 * @blocks: entries made so far, at least one for each block with filled bytes
 * @flags: TCE2_EXTENT_READONLY if any block is read-only
 * @root: node of the highest level, NULL while there is no entry
 * @tail: node of the last entry made; unused once the store is built
 *
 * One thread builds the store, without a lock. Afterwards only TCE2_EXTENT_DIRTY
 * changes: any thread may set this flag, and no thread clears it.
 */
struct tce2_extents {
	u64 ua;
	u64 size;
	u64 filled;
	unsigned int shift;
	unsigned int depth;
	u64 blocks;
	u64 flags;
	u64 *root;
	u64 *tail;
};

/**
 * tce2_extents_entry() - find the entry of a user address
 * @ext: the extents
 * @ua: a user address inside the range
 *
 * Context: any, also with the data MMU off.
 * Return: the entry's address.
 */
static __always_inline u64 *tce2_extents_entry(const struct tce2_extents *ext,
					       u64 ua)
{
	u64 block = (ua >> ext->shift) - (ext->ua >> ext->shift);
	unsigned int level;
	u64 *node = ext->root;

	for (level = ext->depth; level; level--) {
		u64 slot = block >> (level * TCE2_EXTENT_NODE_SHIFT);

		node = (u64 *)node[slot & (TCE2_EXTENT_NODE - 1)];
	}
	return &node[block & (TCE2_EXTENT_NODE - 1)];
}

/**
 * tce2_extents_adjacent() - count the entries that are adjacent in memory
 * @ext: the extents
 * @ua: a user address in the filled part of the range
 *
 * Return: number of blocks from the block of @ua to the end of its node, or to the end of
 * the filled part if that is lower.
 */
static inline u64 tce2_extents_adjacent(const struct tce2_extents *ext, u64 ua)
{
	u64 block = (ua >> ext->shift) - (ext->ua >> ext->shift);
	u64 last = (ext->ua + ext->filled - 1) >> ext->shift;

	return min(TCE2_EXTENT_NODE - (block & (TCE2_EXTENT_NODE - 1)),
		   last - (ua >> ext->shift) + 1);
}

/**
 * tce2_extents_run() - find the contiguous memory that begins at a user address
 * @ext: the extents
 * @ua: a user address in the filled part of the range
 * @hpa: set to the host physical address of @ua
 * @flags: set to the block's TCE2_EXTENT_* flags
 *
 * Return: bytes from @ua to the end of its block, or to the end of the filled part if
 * that is lower.
 */
static __always_inline u64
tce2_extents_run(const struct tce2_extents *ext, u64 ua, u64 *hpa, u64 *flags)
{
	u64 entry = READ_ONCE(*tce2_extents_entry(ext, ua));
	u64 start = (ua >> ext->shift) << ext->shift;
	u64 end = ext->ua + ext->filled;

	*flags = entry & TCE2_EXTENT_FLAGS;
	*hpa = (entry & ~TCE2_EXTENT_FLAGS) + (ua - start);
	return min((1ULL << ext->shift) - (ua - start), end - ua);
}

/**
 * tce2_extents_page() - find the host physical address of an IOMMU page of any size
 * @ext: the extents
 * @ua: first user address, a multiple of 1 << @shift
 * @shift: log2 of the IOMMU page size in bytes; the page lies inside the range
 * @hpa: set to the host physical address of @ua
 * @flags: set to the union of the TCE2_EXTENT_* flags of all blocks of the page
 *
 * Context: any, also with the data MMU off. The time grows with the number of blocks.
 * Return: true; false if the page is scattered or misaligned in physical memory.
 */
static __always_inline bool tce2_extents_page(const struct tce2_extents *ext,
					      u64 ua, unsigned int shift,
					      u64 *hpa, u64 *flags)
{
	u64 step = 1ULL << ext->shift, end = ua + (1ULL << shift);
	u64 first = READ_ONCE(*tce2_extents_entry(ext, ua));
	u64 start = (first & ~TCE2_EXTENT_FLAGS) + (ua & (step - 1));
	u64 next;

	*hpa = start;
	*flags = first & TCE2_EXTENT_FLAGS;
	for (next = (ua & ~(step - 1)) + step; next < end; next += step) {
		u64 entry = READ_ONCE(*tce2_extents_entry(ext, next));

		if ((entry & ~TCE2_EXTENT_FLAGS) != start + (next - ua))
			return false;
		*flags |= entry & TCE2_EXTENT_FLAGS;
	}
	return !(start & ((1ULL << shift) - 1));
}

/**
 * struct tce2_blocks - the blocks of a range of IOMMU pages, to translate many at once
 * @entry: entry of the block in which the first page begins. The entries of the
 *	following blocks are adjacent in memory
 * @offset: bytes from the beginning of this block to the first page; 0 if IOMMU pages
 *	are not smaller than blocks
 * @pages: number of IOMMU pages. Each page begins in a block of the same node
 * @shift: log2 of the block size in bytes
 * @page_shift: log2 of the IOMMU page size in bytes
 *
 * Each IOMMU page is contiguous and aligned in physical memory, which the caller has
 * checked before (tce2_memory_hold()). So the block in which a page begins suffices to
 * translate the page. The structure is on the stack of one thread, and valid while the
 * caller holds the pages.
 */
struct tce2_blocks {
	const u64 *entry;
	u64 offset;
	u64 pages;
	unsigned int shift;
	unsigned int page_shift;
};

/**
 * tce2_extents_blocks() - find the blocks of a range of IOMMU pages
 * @ext: the extents
 * @ua: first user address, a multiple of 1 << @page_shift
 * @pages: number of IOMMU pages, more than 0, all inside the range
 * @page_shift: log2 of the IOMMU page size in bytes
 *
 * Return: the blocks of as many of the pages as begin in the first page's node.
 */
static __always_inline struct tce2_blocks
tce2_extents_blocks(const struct tce2_extents *ext, u64 ua, u64 pages,
		    unsigned int page_shift)
{
	u64 base = ext->ua >> ext->shift, first = (ua >> ext->shift) - base;
	u64 last = ((ua + (pages << page_shift) - 1) >> ext->shift) - base;
	u64 offset = ua & ((1ULL << ext->shift) - 1), in_node;

	if ((first ^ last) >> TCE2_EXTENT_NODE_SHIFT) {
		in_node = TCE2_EXTENT_NODE - (first & (TCE2_EXTENT_NODE - 1));
		pages = (((in_node << ext->shift) - offset - 1) >> page_shift) + 1;
	}
	return (struct tce2_blocks){
		.entry = tce2_extents_entry(ext, ua),
		.offset = offset,
		.pages = pages,
		.shift = ext->shift,
		.page_shift = page_shift,
	};
}

/**
 * tce2_blocks_hpa() - translate an IOMMU page
 * @blocks: the blocks
 * @page: number of the page, less than the number of pages of @blocks
 *
 * Return: the host physical address of the page.
 */
static __always_inline u64 tce2_blocks_hpa(const struct tce2_blocks *blocks, u64 page)
{
	u64 at = blocks->offset + (page << blocks->page_shift);
	u64 entry = READ_ONCE(blocks->entry[at >> blocks->shift]);

	return (entry & ~TCE2_EXTENT_FLAGS) + (at & ((1ULL << blocks->shift) - 1));
}

/**
 * tce2_blocks_skip() - remove the first pages
 * @blocks: the blocks
 * @pages: number of pages to remove. If this number is the number of pages of @blocks,
 *	no page of @blocks may be translated any more
 */
static __always_inline void tce2_blocks_skip(struct tce2_blocks *blocks, u64 pages)
{
	u64 at = blocks->offset + (pages << blocks->page_shift);

	blocks->entry += at >> blocks->shift;
	blocks->offset = at & ((1ULL << blocks->shift) - 1);
	blocks->pages -= pages;
}

/**
 * tce2_extents_mark_entry() - record that devices may write to the block of an entry
 * @entry: the entry
 *
 * Concurrent callers can only set the same bit, so a plain store suffices.
 */
static __always_inline void tce2_extents_mark_entry(u64 *entry)
{
	u64 old = READ_ONCE(*entry);

	if (!(old & TCE2_EXTENT_DIRTY))
		WRITE_ONCE(*entry, old | TCE2_EXTENT_DIRTY);
}

/**
 * tce2_extents_mark_block() - record that devices may write to a block
 * @ext: the extents
 * @ua: a user address in the block
 */
static __always_inline void tce2_extents_mark_block(struct tce2_extents *ext,
						    u64 ua)
{
	tce2_extents_mark_entry(tce2_extents_entry(ext, ua));
}

void tce2_extents_init(struct tce2_extents *ext, u64 ua, u64 size);
int tce2_extents_append_pages(struct tce2_extents *ext, struct page **pages,
			      unsigned long count, u64 flags, bool hugetlbfs,
			      unsigned long *done);
void tce2_extents_mark_blocks(struct tce2_extents *ext, u64 ua, u64 bytes);
void tce2_extents_mark_few(struct tce2_extents *ext, u64 ua, u64 bytes);
u64 tce2_extents_bits(const struct tce2_extents *ext, u64 *ua, unsigned int blocks);
void tce2_extents_free(struct tce2_extents *ext);

/**
 * tce2_extents_mark_dirty() - record that devices may write to a range
 * @ext: the extents
 * @ua: first user address, inside the range
 * @bytes: bytes, more than 0, all inside the range
 *
 * Context: may sleep.
 */
static inline void tce2_extents_mark_dirty(struct tce2_extents *ext, u64 ua,
					   u64 bytes)
{
	if (!((ua ^ (ua + bytes - 1)) >> ext->shift))
		tce2_extents_mark_block(ext, ua);
	else
		tce2_extents_mark_blocks(ext, ua, bytes);
}

#endif /* TCE2_EXTENTS_H */
