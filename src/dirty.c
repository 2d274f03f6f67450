// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages: the bits of entries that were mapped for writing and are not mapped any more.
 *
 * Owns struct tce2_dirty, which include/tce2_dirty.h describes. A request passes ranges of
 * entries of one leaf, which it holds.
 *
 * Locks: none. The caller holds the entries in the window's range lock, or
 * the lock bit of their leaf.
 * Calls: the kernel's allocator.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "tce2_dirty.h"
#include "tce2_view.h"

#define BITMAP_WORDS	(TCE2_VIEW_LEAF / 64)

static atomic64_t last_id;

/**
 * tce2_dirty_alloc() - allocate a record without bitmaps
 *
 * The record and its bitmaps are charged to the process's memory cgroup. A bitmap takes 64 bytes
 * for each leaf of 512 entries that is mapped, a 64th of the hardware's table.
 *
 * Context: may sleep.
 * Return: the record, or NULL if memory is short.
 */
struct tce2_dirty *tce2_dirty_alloc(void)
{
	struct tce2_dirty *dirty = kzalloc(sizeof(*dirty), GFP_KERNEL_ACCOUNT);

	if (!dirty)
		return NULL;
	dirty->id = atomic64_inc_return(&last_id);
	xa_init_flags(&dirty->bitmaps, XA_FLAGS_ACCOUNT);
	return dirty;
}

/**
 * tce2_dirty_free() - free a record and its bitmaps
 * @dirty: the record, which no thread uses any more; may be NULL
 *
 * Context: may sleep.
 */
void tce2_dirty_free(struct tce2_dirty *dirty)
{
	unsigned long leaf = 0;
	u64 *bitmap;

	if (!dirty)
		return;
	while ((bitmap = xa_find(&dirty->bitmaps, &leaf, ~0UL, XA_PRESENT))) {
		kfree(bitmap);
		leaf++;
		cond_resched();
	}
	xa_destroy(&dirty->bitmaps);
	kfree(dirty);
}

static u64 *dirty_bitmap(const struct tce2_dirty *dirty, u64 index)
{
	return xa_load((struct xarray *)&dirty->bitmaps, index >> TCE2_VIEW_LEAF_SHIFT);
}

/**
 * tce2_dirty_prepare() - make the bitmap of a leaf, unless it exists
 * @dirty: the record
 * @index: an entry of the leaf
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int tce2_dirty_prepare(struct tce2_dirty *dirty, u64 index)
{
	u64 *bitmap;
	int ret;

	if (dirty_bitmap(dirty, index))
		return 0;
	bitmap = kcalloc(BITMAP_WORDS, sizeof(*bitmap), GFP_KERNEL_ACCOUNT);
	if (!bitmap)
		return -ENOMEM;
	ret = xa_err(xa_store(&dirty->bitmaps, index >> TCE2_VIEW_LEAF_SHIFT, bitmap,
			      GFP_KERNEL_ACCOUNT));
	if (ret)
		kfree(bitmap);
	return ret;
}

/**
 * tce2_dirty_mark() - record entries that a device may have written to
 * @dirty: the record
 * @index: first entry
 * @count: number of entries, all of one leaf
 *
 * Has no effect in a leaf without a bitmap. Such a leaf was mapped before the tracking began, and
 * tce2_window_cover() has not made its bitmap yet.
 *
 * Context: any context that may take a spinlock.
 */
void tce2_dirty_mark(struct tce2_dirty *dirty, u64 index, u64 count)
{
	u64 *bitmap = dirty_bitmap(dirty, index);
	u64 at = index & (TCE2_VIEW_LEAF - 1);

	for (; bitmap && count; count--, at++)
		bitmap[at / 64] |= BIT_ULL(at % 64);
}

/**
 * tce2_dirty_read() - add the recorded entries to a bitmap
 * @dirty: the record
 * @index: first entry
 * @count: number of entries, all of one leaf
 * @bits: the bitmap
 * @at: number of the bit of the first entry
 *
 * Context: any.
 */
void tce2_dirty_read(const struct tce2_dirty *dirty, u64 index, u64 count, u64 *bits,
		     u64 at)
{
	const u64 *bitmap = dirty_bitmap(dirty, index);
	u64 from = index & (TCE2_VIEW_LEAF - 1);

	for (; bitmap && count; count--, from++, at++) {
		if (bitmap[from / 64] & BIT_ULL(from % 64))
			bits[at / 64] |= BIT_ULL(at % 64);
	}
}

/**
 * tce2_dirty_clear() - forget recorded entries
 * @dirty: the record
 * @index: first entry
 * @count: number of entries, all of one leaf
 *
 * Context: any.
 */
void tce2_dirty_clear(struct tce2_dirty *dirty, u64 index, u64 count)
{
	u64 *bitmap = dirty_bitmap(dirty, index);
	u64 at = index & (TCE2_VIEW_LEAF - 1);

	for (; bitmap && count; count--, at++)
		bitmap[at / 64] &= ~BIT_ULL(at % 64);
}

/**
 * tce2_dirty_restore() - record the entries of a bitmap again
 * @dirty: the record
 * @index: first entry
 * @count: number of entries, all of one leaf
 * @bits: the bitmap
 * @at: number of the bit of the first entry
 *
 * Context: any.
 */
void tce2_dirty_restore(struct tce2_dirty *dirty, u64 index, u64 count, const u64 *bits,
			u64 at)
{
	for (; count; count--, index++, at++) {
		if (bits[at / 64] & BIT_ULL(at % 64))
			tce2_dirty_mark(dirty, index, 1);
	}
}
