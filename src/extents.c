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
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "tce2_extents.h"

/* Blocks needed for the bytes filled so far, at a given block size */
static u64 nr_blocks(const struct tce2_extents *ext, unsigned int shift)
{
	if (!ext->filled)
		return 0;
	return ((ext->ua + ext->filled - 1) >> shift) - (ext->ua >> shift) + 1;
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
	*ext = (struct tce2_extents){
		.ua = ua,
		.shift = max_t(unsigned int, PAGE_SHIFT, fls64(size - 1)),
	};
}

/*
 * Makes the nodes that block number @block, counted from the first of *@node,
 * lacks. Nothing is made if one can't be.
 */
static int add_nodes(u64 **node, unsigned int level, u64 block)
{
	u64 slot = block >> (level * TCE2_EXTENT_NODE_SHIFT);
	bool made = !*node;
	int ret;

	if (made)
		*node = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT |
				(level ? __GFP_ZERO : 0));
	if (!*node)
		return -ENOMEM;
	if (!level)
		return 0;

	ret = add_nodes((u64 **)&(*node)[slot], level - 1,
			block - (slot << (level * TCE2_EXTENT_NODE_SHIFT)));
	if (ret && made) {
		kfree(*node);
		*node = NULL;
	}
	return ret;
}

/* Puts another level on top, which the first block that needs it will fill */
static int add_level(struct tce2_extents *ext)
{
	u64 *root = kzalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);

	if (!root)
		return -ENOMEM;
	root[0] = (unsigned long)ext->root;
	ext->root = root;
	ext->depth++;
	return 0;
}

/* Makes room for one more block */
static int add_block(struct tce2_extents *ext)
{
	u64 block = ext->blocks;
	int ret = 0;

	if (block >> ((ext->depth + 1) * TCE2_EXTENT_NODE_SHIFT))
		ret = add_level(ext);
	if (!ret && !(block & (TCE2_EXTENT_NODE - 1)))
		ret = add_nodes(&ext->root, ext->depth, block);
	if (!ret)
		ext->blocks++;
	return ret;
}

/*
 * Rewrites the store with smaller blocks: each old block is contiguous, so its
 * parts differ from it by their distance alone.
 */
static int shrink_blocks(struct tce2_extents *ext, unsigned int shift)
{
	struct tce2_extents small = {
		.ua = ext->ua, .filled = ext->filled, .shift = shift,
	};
	u64 block, count = nr_blocks(ext, shift);
	u64 base = (ext->ua >> shift) << shift;

	for (block = 0; block < count; block++) {
		u64 ua = base + (block << shift);
		u64 in_range = max(ua, ext->ua);
		u64 old = *tce2_extents_entry(ext, in_range);
		u64 old_start = (in_range >> ext->shift) << ext->shift;

		if (!(block & (TCE2_EXTENT_NODE - 1)))
			cond_resched();
		if (add_block(&small)) {
			tce2_extents_free(&small);
			return -ENOMEM;
		}
		*tce2_extents_entry(&small, in_range) = old + (ua - old_start);
	}
	tce2_extents_free(ext);
	*ext = small;
	return 0;
}

/* Whether memory at @hpa continues the block that ends at the last byte filled */
static bool continues_block(const struct tce2_extents *ext, u64 hpa, u64 flags)
{
	u64 next = ext->ua + ext->filled;
	u64 entry = *tce2_extents_entry(ext, next - 1);
	u64 start = ((next - 1) >> ext->shift) << ext->shift;

	return entry + (next - start) == (hpa | flags);
}

static bool at_block_start(const struct tce2_extents *ext)
{
	u64 next = ext->ua + ext->filled;

	return !ext->filled || !(next & ((1ULL << ext->shift) - 1));
}

/**
 * tce2_extents_append() - add the next physically contiguous run
 * @ext: the extents, being built
 * @hpa: host physical address of the run, a multiple of the page size
 * @bytes: length of the run, a multiple of the page size, more than 0
 * @flags: TCE2_EXTENT_READONLY or 0
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM with nothing of the run added; then the store can be
 * read and freed, but no longer be appended to.
 */
int tce2_extents_append(struct tce2_extents *ext, u64 hpa, u64 bytes, u64 flags)
{
	u64 filled = ext->filled, ua, end = ext->ua + ext->filled + bytes;
	int ret;

	if (!at_block_start(ext) && !continues_block(ext, hpa, flags)) {
		ret = shrink_blocks(ext, __ffs64(ext->ua + ext->filled));
		if (ret)
			return ret;
	}

	for (ua = ext->ua + ext->filled; ua < end; ua = ext->ua + ext->filled) {
		u64 start = (ua >> ext->shift) << ext->shift;
		u64 left = (1ULL << ext->shift) - (ua - start);

		if (at_block_start(ext)) {
			ret = add_block(ext);
			if (ret) {
				ext->filled = filled;
				return ret;
			}
			*tce2_extents_entry(ext, ua) =
				(hpa - (ua - start)) | flags;
		}
		left = min(left, end - ua);
		ext->filled += left;
		hpa += left;
	}
	return 0;
}

/* Replaces the last node of each level, which holds @blocks blocks, by a copy */
static void trim_nodes(u64 **node, unsigned int level, u64 blocks)
{
	u64 last = (blocks - 1) >> (level * TCE2_EXTENT_NODE_SHIFT);
	u64 *copy;

	if (level)
		trim_nodes((u64 **)&(*node)[last], level - 1, blocks -
			   (last << (level * TCE2_EXTENT_NODE_SHIFT)));
	if (last == TCE2_EXTENT_NODE - 1)
		return;
	copy = kmemdup(*node, (last + 1) * sizeof(*copy),
		       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (copy) {
		kfree(*node);
		*node = copy;
	}
}

/**
 * tce2_extents_trim() - give back what the finished store does not need
 * @ext: the extents, all runs appended
 *
 * A small region must not keep a whole page for its entries. krealloc() never
 * shrinks, hence the copies; where one can't be had, the memory is kept.
 * Context: may sleep.
 */
void tce2_extents_trim(struct tce2_extents *ext)
{
	trim_nodes(&ext->root, ext->depth, ext->blocks);
}

/**
 * tce2_extents_mark_dirty() - remember that the device may write to a range
 * @ext: the extents
 * @ua: first user address, inside the range
 * @bytes: how many, all inside the range, more than 0
 *
 * Concurrent callers can only set the same bit, so a plain store will do.
 * Context: may sleep.
 */
void tce2_extents_mark_dirty(struct tce2_extents *ext, u64 ua, u64 bytes)
{
	u64 step = 1ULL << ext->shift, last = ua + bytes - 1;

	for (ua &= ~(step - 1); ua <= last; ua += step) {
		u64 *entry = tce2_extents_entry(ext, max(ua, ext->ua));
		u64 old = READ_ONCE(*entry);

		if (!(old & TCE2_EXTENT_DIRTY))
			WRITE_ONCE(*entry, old | TCE2_EXTENT_DIRTY);
		if (!((ua >> ext->shift) & (TCE2_EXTENT_NODE - 1)))
			cond_resched();
	}
}

/**
 * tce2_extents_run() - the contiguous run that begins at a user address
 * @ext: the extents
 * @ua: a user address among the bytes filled
 * @hpa: set to the host physical address of @ua
 * @flags: set to the run's TCE2_EXTENT_* flags
 *
 * Return: bytes from @ua to the end of its block.
 */
u64 tce2_extents_run(const struct tce2_extents *ext, u64 ua, u64 *hpa,
		     u64 *flags)
{
	u64 entry = READ_ONCE(*tce2_extents_entry(ext, ua));
	u64 start = (ua >> ext->shift) << ext->shift;
	u64 end = ext->ua + ext->filled;

	*flags = entry & TCE2_EXTENT_FLAGS;
	*hpa = (entry & ~TCE2_EXTENT_FLAGS) + (ua - start);
	return min((1ULL << ext->shift) - (ua - start), end - ua);
}

static void free_nodes(u64 *node, unsigned int level, u64 blocks)
{
	u64 i, span = 1ULL << (level * TCE2_EXTENT_NODE_SHIFT);

	for (i = 0; level && i * span < blocks; i++)
		free_nodes((u64 *)node[i], level - 1,
			   min(blocks - i * span, span));
	kfree(node);
}

/**
 * tce2_extents_free() - free the store
 * @ext: the extents, built or half-built
 *
 * Context: any that may call kfree().
 */
void tce2_extents_free(struct tce2_extents *ext)
{
	free_nodes(ext->root, ext->depth, ext->blocks);
	ext->root = NULL;
	ext->depth = 0;
	ext->blocks = 0;
}
