// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map engine: keeps a window's TCE table and its userspace view consistent.
 *
 * Owns the order of the steps of a request. A map request succeeds completely or
 * changes nothing:
 *
 *	1. hold the memory	so that it can't be unpinned
 *	2. prepare		allocate all memory, so that step 4 can't fail
 *	3. write the TCEs	after a failure, restore the entries from the view
 *	4. commit the view	and drop the pages of the old entries
 *
 * The page of an old entry is dropped, and may then be unpinned, only after the entry
 * was overwritten and the cached translation was invalidated.
 *
 * Also owns the life of a window, from its creation to its last reference.
 *
 * Locks: a window's range lock, for whole leaves of the view, so that only one
 * request at a time uses a leaf (src/page.c uses brief locks instead); also the leaves'
 * lock bits, if KVM's hooks use the view. The caller holds the lock of the window's owner
 * (struct tce2_ddw), which keeps the window live.
 * Calls: mm_iommu, table, view, dirty, platform (slots), range.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <asm/iommu.h>

#include "tce2_dirty.h"
#include "tce2_mm_iommu.h"
#include "tce2_platform.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

/* log2 of the largest number of base pages in an IOMMU page of a brief request */
#define MAX_BLOCKS_SHIFT	9

/*
 * Number of entries that are invalidated together, a multiple of a leaf. UNMAP_DMA
 * checks after each batch whether it has to stop.
 */
#define BATCH		(64 * TCE2_VIEW_LEAF)

/*
 * The steps of a map request are inlined. Clients mostly map a single TCE, for which
 * function calls and their arguments would cost as much as the steps themselves.
 */

/* Reschedules between two steps of a loop; a loop of one step must stay fast */
static void window_pause_before(u64 index, u64 end)
{
	if (index < end)
		cond_resched();
}

/**
 * tce2_window_create() - make a window with its table, view and locks
 * @window: zeroed memory for the window
 * @tg: the table group that makes the table
 * @slot: the window's slot
 * @spec: the window's size, page size and levels, checked by the caller
 * @cache: region cache of the process that owns the mappings
 * @hurry: counts of the writers of the owner's lock; must stay valid until
 *	tce2_window_retire()
 *
 * On powernv, the table is not in a slot of any group yet.
 *
 * Context: may sleep.
 * Return: 0, or an error of tce2_table_create().
 */
int tce2_window_create(struct tce2_window *window, struct iommu_table_group *tg,
		       int slot, const struct tce2_window_spec *spec,
		       struct tce2_cache *cache, const struct tce2_hurry *hurry)
{
	static struct lock_class_key ranges_key;
	const struct iommu_table *tbl;
	int ret;

	ret = tce2_table_create(&window->table, tg, slot, spec, cache->mm, hurry);
	if (ret)
		return ret;
	tbl = window->table.tbl;
	refcount_set(&window->refs, 1);
	window->live = true;
	window->cache = cache;
	/* Chosen by the platform, see tce2_platform_create_table() */
	window->start = (u64)tbl->it_offset << tbl->it_page_shift;
	window->size = spec->size;
	window->page_shift = tbl->it_page_shift;
	window->hurry = hurry;
	tce2_range_lock_init(&window->ranges, hurry, &ranges_key);
	tce2_range_add_briefs(&window->ranges, window->briefs, TCE2_VIEW_LEAF_SHIFT);
	tce2_view_init(&window->view, spec->size >> tbl->it_page_shift,
		       tbl->it_page_shift);
	INIT_LIST_HEAD(&window->link);
	return 0;
}

/*
 * Locks the leaves of a held range against KVM's hooks. In a removed window, all
 * leaves are locked already.
 */
static __always_inline void window_lock_out_hooks(struct tce2_window *window,
						  const struct tce2_range *range)
{
	if (unlikely(window->view.hooked) && window->live)
		tce2_view_lock(&window->view, range->first, range->last);
}

static __always_inline int
window_lock_leaves(struct tce2_window *window, struct tce2_range *range, u64 index,
		   u64 count, enum tce2_patience patience)
{
	u64 first = index & ~(TCE2_VIEW_LEAF - 1);
	u64 last = (index + count - 1) | (TCE2_VIEW_LEAF - 1);
	int ret = tce2_range_queue(&window->ranges, range, first,
				   last - first + 1, patience);

	if (!ret)
		window_lock_out_hooks(window, range);
	return ret;
}

static __always_inline void window_unlock_leaves(struct tce2_window *window,
						 struct tce2_range *range)
{
	if (unlikely(window->view.hooked) && window->live)
		tce2_view_unlock(&window->view, range->first, range->last);
	tce2_range_unlock(&window->ranges, range);
}

/* Returns true if a driver has pinned a page of the entries, which the caller holds */
static noinline bool window_has_pins(const struct tce2_window *window, u64 index, u64 count)
{
	u64 first = window->start + (index << window->page_shift);
	u64 last = first + (count << window->page_shift) - 1;
	unsigned long number = first >> PAGE_SHIFT;

	return xa_find(window->pins, &number, last >> PAGE_SHIFT, XA_PRESENT);
}

/* Returns TCE2_PINNED if a driver has pinned a page of the entries, which the caller holds */
static __always_inline int window_check_pins(const struct tce2_window *window, u64 index,
					     u64 count)
{
	return unlikely(window->pins) && window_has_pins(window, index, count) ?
	       TCE2_PINNED : 0;
}

/**
 * tce2_window_is_pinned() - check whether a driver has pinned a page of a window
 * @window: the window
 *
 * Context: the caller holds the owner's lock for writing, so no page can be pinned meanwhile.
 * Return: true if a driver has pinned a page.
 */
bool tce2_window_is_pinned(const struct tce2_window *window)
{
	return window->pins &&
	       window_has_pins(window, 0, window->size >> window->page_shift);
}

/**
 * tce2_window_lock_range() - lock the leaves of a range of entries, ignoring signals
 * @window: the window
 * @range: memory of the caller, in use until tce2_window_unlock_leaves()
 * @index: first entry
 * @count: number of entries, more than 0
 *
 * Context: may sleep.
 */
void tce2_window_lock_range(struct tce2_window *window, struct tce2_range *range,
			    u64 index, u64 count)
{
	u64 first = index & ~(TCE2_VIEW_LEAF - 1);
	u64 last = (index + count - 1) | (TCE2_VIEW_LEAF - 1);

	tce2_range_lock_uninterruptible(&window->ranges, range, first, last - first + 1);
	window_lock_out_hooks(window, range);
}

/**
 * tce2_window_lock_all() - lock all entries against requests and KVM's hooks
 * @window: the window
 * @range: memory of the caller, in use until tce2_window_unlock_leaves()
 *
 * Context: may sleep; can't be interrupted.
 */
void tce2_window_lock_all(struct tce2_window *window, struct tce2_range *range)
{
	tce2_range_lock_uninterruptible(&window->ranges, range, 0,
					window->size >> window->page_shift);
	window_lock_out_hooks(window, range);
}

/**
 * tce2_window_lock_leaves() - lock the leaves of a range of entries, killably
 * @window: the window
 * @range: memory of the caller, in use until tce2_window_unlock_leaves()
 * @index: first entry
 * @count: number of entries, more than 0
 * @patience: condition to stop waiting for entries
 *
 * Does not require the window to be live.
 *
 * Context: may sleep.
 * Return: 0; -EINTR or -EAGAIN from tce2_range_queue(), with TCE2_STAYS only -EINTR.
 */
int tce2_window_lock_leaves(struct tce2_window *window, struct tce2_range *range,
			    u64 index, u64 count, enum tce2_patience patience)
{
	return window_lock_leaves(window, range, index, count, patience);
}

/**
 * tce2_window_unlock_leaves() - undo a function that locks leaves
 * @window: the window
 * @range: the range that was passed to that function
 */
void tce2_window_unlock_leaves(struct tce2_window *window, struct tce2_range *range)
{
	window_unlock_leaves(window, range);
}

/**
 * tce2_window_set() - let a group use a window
 * @window: the window
 * @tg: the table group
 * @slot: the window's slot
 * @set: set to true if the caller has to undo the call with tce2_window_unset()
 *
 * The function locks KVM's hooks out. A hook that unmaps an entry invalidates it only
 * for groups that the platform has linked to the table. A concurrent hook would miss
 * this group, which is not linked yet.
 *
 * Context: may sleep; the caller holds the owner's lock for writing.
 * Return: the return value of tce2_platform_set_slot().
 */
int tce2_window_set(struct tce2_window *window, struct iommu_table_group *tg,
		    int slot, bool *set)
{
	struct tce2_range range;
	int ret;

	tce2_window_lock_all(window, &range);
	ret = tce2_platform_set_slot(tg, slot, window->table.tbl, set);
	window_unlock_leaves(window, &range);
	return ret;
}

/**
 * tce2_window_unset() - remove a window from a group
 * @window: the window
 * @tg: the table group
 * @slot: the window's slot
 *
 * The function locks KVM's hooks out. Otherwise a concurrent hook would invalidate an
 * entry only for the groups that the platform has still linked to the table. Then the
 * hook would drop the page, although the platform may have failed to remove the window
 * from this group. After such a failure, pages that are unmapped in the window stay
 * pinned, and the table is never freed.
 *
 * Context: may sleep; the caller holds the owner's lock for writing.
 * Return: true; false if the platform failed to remove the window from the group.
 */
bool tce2_window_unset(struct tce2_window *window, struct iommu_table_group *tg,
		       int slot)
{
	struct tce2_range range;
	bool unset;

	tce2_window_lock_all(window, &range);
	unset = tce2_platform_unset_slot(tg, slot, window->table.tbl);
	if (!unset) {
		window->kept_by_group = true;
		WRITE_ONCE(window->slow_drop, true);
		WRITE_ONCE(window->serves_pages, false);
	}
	window_unlock_leaves(window, &range);
	return unset;
}

/* Returns the part of @run from @index to the end of the leaf of @index */
static __always_inline struct tce2_view_run
window_run_in_leaf(const struct tce2_window *window, const struct tce2_view_run *run,
		   u64 index)
{
	return (struct tce2_view_run){
		.index = index,
		.count = tce2_view_leaf_end(index, run->index + run->count) -
			 index,
		.ua = run->ua + ((index - run->index) << window->page_shift),
		.perm = run->perm,
	};
}

/*
 * Makes the bitmap of an entry's leaf if the window is tracked, see include/tce2_dirty.h. Comes
 * before the leaf's array is made: KVM's hooks map in each array that they find.
 */
static __always_inline int window_prepare_dirty(struct tce2_window *window, u64 index)
{
	return unlikely(window->dirty) ? tce2_dirty_prepare(window->dirty, index) : 0;
}

/*
 * Allocates the memory for the following steps of a map request. Sets *@replaces to
 * true if the request may replace mapped entries.
 */
static __always_inline int
window_prepare(struct tce2_window *window, const struct tce2_view_run *run,
	       bool *replaces)
{
	u64 index = run->index, end = index + run->count, prepared = index;
	int ret = tce2_must_stop(window->hurry);

	*replaces = false;
	while (!ret) {
		struct tce2_view_run in_leaf = window_run_in_leaf(window, run, index);

		ret = window_prepare_dirty(window, index) ?:
		      tce2_view_prepare(&window->view, &in_leaf);
		if (ret < 0)
			return ret;
		if (ret)
			*replaces = true;
		if (index >= prepared) {
			ret = tce2_table_prepare(&window->table, index);
			if (ret)
				return ret;
			prepared = tce2_table_end(&window->table, index);
		}
		index += in_leaf.count;
		if (index == end)
			return 0;
		cond_resched();
		ret = tce2_must_stop(window->hurry);
	}
	return ret;
}

/* Returns the user memory of a range of entries, which may span several regions */
static __always_inline struct tce2_memory
window_memory(const struct tce2_window *window, const struct tce2_view_run *run)
{
	return (struct tce2_memory){
		.ua = run->ua,
		.pages = run->count,
		.shift = window->page_shift,
		.write = run->perm & TCE2_PERM_WRITE,
	};
}

/* Returns the blocks of the first pages of a range, which the region contains */
static __always_inline struct tce2_blocks
window_first_blocks(const struct tce2_memory *memory)
{
	const struct tce2_region *region = memory->region;
	u64 in_region = (region->ua + region->size - memory->ua) >> memory->shift;

	return tce2_extents_blocks(&region->extents, memory->ua,
				   min(memory->pages, in_region), memory->shift);
}

/**
 * struct window_writer - state of a request that writes TCEs, leaf by leaf
 * @how: the reason for the writes
 * @region: the region of the last page, or NULL
 * @cursor: the lowest-level table of the last entry
 * @written: number of entries that may have been written so far
 */
struct window_writer {
	enum tce2_write how;
	struct tce2_region *region;
	struct tce2_cursor cursor;
	u64 written;
};

/*
 * Writes TCEs of one leaf, for memory that the caller holds. Adds the number of entries to
 * the written entries, even if the write fails: some of the entries may have been written.
 */
static int window_write_leaf(struct tce2_window *window,
			     const struct tce2_view_run *run,
			     struct window_writer *writer)
{
	struct tce2_memory memory = window_memory(window, run);
	u64 index = run->index;
	int ret;

	memory.region = writer->region;
	writer->written += run->count;
	while (memory.pages) {
		struct tce2_blocks blocks;

		if (!memory.region || !tce2_region_contains(memory.region, memory.ua))
			memory.region = tce2_region_find_held(window->cache, memory.ua,
							      memory.shift);
		if (!memory.region)
			return -EINVAL;
		blocks = window_first_blocks(&memory);
		ret = tce2_table_write(&window->table, &writer->cursor, index, &blocks,
				       run->perm, writer->how);
		if (ret)
			return ret;
		index += blocks.pages;
		tce2_memory_skip(&memory, blocks.pages);
	}
	writer->region = memory.region;
	return 0;
}

/*
 * Writes the TCEs of a mapping, and invalidates them in batches, because firmware may
 * need long for many entries. So a killed thread need not wait for all entries.
 */
static __always_inline int
window_write_tces(struct tce2_window *window, const struct tce2_view_run *run,
		  struct window_writer *writer)
{
	u64 index = run->index, end = index + run->count, stale = index;
	int ret;

	for (;;) {
		struct tce2_view_run in_leaf = window_run_in_leaf(window, run, index);

		ret = window_write_leaf(window, &in_leaf, writer);
		if (ret)
			return ret;
		index += in_leaf.count;
		if (index == end)
			break;
		if (!(index & (BATCH - 1))) {
			tce2_table_invalidate(&window->table, stale,
					      index - stale);
			stale = index;
		}
		cond_resched();
		ret = tce2_must_stop(window->hurry);
		if (ret)
			return ret;
	}
	tce2_table_invalidate(&window->table, stale, end - stale);
	return 0;
}

/*
 * Restores the TCEs of one leaf from the view. Returns false if the platform refused
 * to write or clear an entry.
 */
static bool window_restore_leaf(struct tce2_window *window, u64 index, u64 end,
				struct window_writer *writer, struct tce2_stale *stale)
{
	bool restored = true;

	while (index < end) {
		struct tce2_view_run run = { .index = end };

		tce2_view_next(&window->view, index, end, &run);
		if (index < run.index &&
		    tce2_table_clear(&window->table, index, run.index - index,
				     TCE2_TABLE_ANY, stale))
			restored = false;
		if (window_write_leaf(window, &run, writer))
			restored = false;
		index = run.index + run.count;
	}
	return restored;
}

/* Restores all TCEs that a failed map request may have written */
static bool window_restore_tces(struct tce2_window *window, u64 index, u64 count)
{
	struct window_writer writer = {
		.how = TCE2_WRITE_RESTORE,
		.cursor = tce2_table_cursor(&window->table),
	};
	u64 first = index, end = index + count;
	struct tce2_stale stale = {};
	bool restored = true;

	while (index < end) {
		u64 next = tce2_view_leaf_end(index, end);

		if (!window_restore_leaf(window, index, next, &writer, &stale))
			restored = false;
		index = next;
		window_pause_before(index, end);
	}
	/* Invalidate all entries, including the entries in @stale */
	tce2_table_invalidate(&window->table, first, count);
	return restored && !window->kept_by_group;
}

/* Marks the entries of one leaf that are mapped for writing as dirty, in a tracked window */
static noinline void window_mark_leaf(struct tce2_window *window, u64 index, u64 end)
{
	struct tce2_view_run old;

	while (tce2_view_next(&window->view, index, end, &old)) {
		if (old.perm & TCE2_PERM_WRITE)
			tce2_dirty_mark(window->dirty, old.index, old.count);
		index = old.index + old.count;
	}
}

/* Marks the entries of a failed map request, to which devices may have written meanwhile */
static noinline void window_mark_failed(struct tce2_window *window,
					const struct tce2_view_run *run, u64 written)
{
	u64 index = run->index, end = index + min(written, run->count);

	if (!window->dirty || !(run->perm & TCE2_PERM_WRITE))
		return;
	while (index < end) {
		u64 next = tce2_view_leaf_end(index, end);

		tce2_dirty_mark(window->dirty, index, next - index);
		index = next;
	}
}

/*
 * Drops the pages of entries of one leaf, after the entries were invalidated. If the
 * platform failed to remove the window from a group, the devices of this group may
 * still use the entries: the platform does not invalidate their translations any more.
 * In such a window the pages stay held. kvm_drop_entry() has the same rule.
 */
static void window_drop_leaf(struct tce2_window *window, struct tce2_drop_batch *batch,
			     u64 index, u64 end)
{
	struct tce2_view_run old;

	if (unlikely(window->dirty))
		window_mark_leaf(window, index, end);
	if (window->kept_by_group)
		return;
	while (tce2_view_next(&window->view, index, end, &old)) {
		struct tce2_memory memory = window_memory(window, &old);

		if (unlikely(old.counted))
			tce2_pages_uncount(window->cache, &memory);
		tce2_drop_batch_add(batch, &memory);
		index = old.index + old.count;
	}
}

/*
 * Enters a finished mapping into the view. window_write_tces() has invalidated the old
 * entries. So their pages can be dropped while the view is overwritten.
 */
static __always_inline void
window_commit_view(struct tce2_window *window, const struct tce2_view_run *run,
		   bool replaces)
{
	struct tce2_drop_batch batch = { .cache = window->cache };
	u64 index = run->index, end = index + run->count;

	while (index < end) {
		struct tce2_view_run in_leaf = window_run_in_leaf(window, run, index);

		if (replaces)
			window_drop_leaf(window, &batch, index, index + in_leaf.count);
		tce2_view_set(&window->view, &in_leaf);
		index += in_leaf.count;
		window_pause_before(index, end);
	}
	tce2_drop_batch_flush(&batch);
}

/* Undoes KVM's counts of the pages of one leaf; the pages stay held and mapped */
static void window_uncount_leaf(struct tce2_window *window, u64 index, u64 end)
{
	struct tce2_view_run run;

	while (index < end && tce2_view_next(&window->view, index, end, &run)) {
		struct tce2_memory memory = window_memory(window, &run);

		index = run.index + run.count;
		if (!run.counted)
			continue;
		tce2_pages_uncount(window->cache, &memory);
		run.counted = false;
		tce2_view_set(&window->view, &run);
	}
}

/**
 * tce2_window_uncount() - undo KVM's counts of the pages that the next leaf maps
 * @window: the window
 * @index: first entry of the walk; set to the first entry of the next call
 * @patience: condition to stop waiting for entries
 *
 * Afterwards the pages are held as if a request of the client had mapped them.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 1; 0 if no leaf is left; -EINTR or -EAGAIN from tce2_range_queue().
 */
int tce2_window_uncount(struct tce2_window *window, u64 *index, enum tce2_patience patience)
{
	u64 entries = window->size >> window->page_shift, at, end;
	struct tce2_range range;
	int ret;

	/* Only KVM's hooks count pages */
	if (!READ_ONCE(window->view.hooked))
		return 0;
	at = tce2_view_next_touched(&window->view, *index, entries);
	if (at == entries)
		return 0;
	end = tce2_view_leaf_end(at, entries);
	ret = window_lock_leaves(window, &range, at, end - at, patience);
	if (ret)
		return ret;
	window_uncount_leaf(window, at, end);
	window_unlock_leaves(window, &range);
	*index = end;
	return 1;
}

/**
 * tce2_window_map() - let devices reach a range of user memory
 * @window: the window
 * @request: the client's request
 * @patience: condition to stop waiting for entries
 *
 * The caller has checked the request. Addresses and size are multiples of the window's
 * page size. Size and permissions are not 0. The bus addresses are in the window, and
 * the user addresses do not wrap. Entries that were mapped before are replaced.
 * See VFIO_IOMMU_MAP_DMA in uapi/linux/vfio.h.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 0; or an error, with nothing changed: -EINVAL if part of the memory is not
 * registered, or an IOMMU page is scattered or misaligned in physical memory; -EPERM
 * if a device would write to memory that the process may only read; -ENOMEM if an
 * allocation fails or the charge exceeds RLIMIT_MEMLOCK; -EIO if the platform refuses
 * an entry; -EINTR after a fatal signal; -EAGAIN from tce2_range_queue() or
 * tce2_must_stop(); TCE2_PINNED. After -EAGAIN and TCE2_PINNED the caller must release the
 * owner's lock and restart the request.
 */
int tce2_window_map(struct tce2_window *window,
		    const struct tce2_map_request *request,
		    enum tce2_patience patience)
{
	struct tce2_view_run run = {
		.index = (request->iova - window->start) >> window->page_shift,
		.count = request->size >> window->page_shift,
		.ua = request->ua,
		.perm = request->perm,
	};
	struct tce2_memory memory = window_memory(window, &run);
	struct window_writer writer = { .how = TCE2_WRITE_MAP };
	struct tce2_range range;
	bool replaces;
	int ret;

	ret = window_lock_leaves(window, &range, run.index, run.count, patience);
	if (ret)
		return ret;
	ret = tce2_memory_hold_or_refuse(window->cache, &memory);
	if (ret)
		goto unlock;
	/* After the check of the memory: a refused request must not make a driver unpin */
	ret = window_check_pins(window, run.index, run.count) ?:
	      window_prepare(window, &run, &replaces);
	if (ret)
		goto drop;
	writer.region = memory.region;
	writer.cursor = tce2_table_cursor(&window->table);
	ret = window_write_tces(window, &run, &writer);
	if (unlikely(ret))
		window_mark_failed(window, &run, writer.written);
	if (ret && !window_restore_tces(window, run.index, writer.written)) {
		/* A device may reach the memory, so it stays pinned permanently */
		pr_err_ratelimited("platform did not restore TCEs from bus address %#llx on: leaking the memory that they map\n",
				   request->iova);
		/* -EAGAIN would restart the request, and each restart would leak */
		if (ret == -EAGAIN)
			ret = -EIO;
		goto unlock;
	}
	if (ret)
		goto drop;
	window_commit_view(window, &run, replaces);
	goto unlock;

drop:
	tce2_memory_drop(window->cache, &memory);
unlock:
	window_unlock_leaves(window, &range);
	return ret;
}

/**
 * struct window_copy - state of tce2_window_copy_runs()
 * @first: the first entry to copy
 * @runs: the runs so far, at the bus addresses of the destination
 * @nr: number of elements of @runs in use
 * @most: number of elements of @runs
 */
struct window_copy {
	u64 first;
	struct tce2_map_request *runs;
	u32 nr;
	u32 most;
};

/* Adds a run to the last run if they are adjacent in user memory; false if there is no room */
static bool window_copy_add(const struct tce2_window *window, struct window_copy *copy,
			    const struct tce2_view_run *run, u64 iova)
{
	struct tce2_map_request *last = copy->nr ? &copy->runs[copy->nr - 1] : NULL;
	u64 size = run->count << window->page_shift;

	if (last && last->ua + last->size == run->ua && last->perm == run->perm) {
		last->size += size;
		return true;
	}
	if (copy->nr == copy->most)
		return false;
	copy->runs[copy->nr++] = (struct tce2_map_request){
		.iova = iova + ((run->index - copy->first) << window->page_shift),
		.ua = run->ua,
		.size = size,
		.perm = run->perm,
	};
	return true;
}

/* Copies the mappings of one leaf, each entry of which must be mapped */
static int window_copy_leaf(const struct tce2_window *window, struct window_copy *copy,
			    u64 index, u64 end, u64 iova)
{
	struct tce2_view_run run;

	while (index < end) {
		if (!tce2_view_next(&window->view, index, end, &run) || run.index != index)
			return tce2_refuse(-ENOENT, TCE2_WHY_SOURCE_NOT_MAPPED);
		if (!window_copy_add(window, copy, &run, iova))
			return tce2_refuse(-E2BIG, TCE2_WHY_TOO_MANY_RUNS);
		index += run.count;
	}
	return 0;
}

/**
 * tce2_window_copy_runs() - find the user memory that a range of bus addresses maps
 * @window: the window
 * @source: the range, which the caller has checked like the range of tce2_window_unmap(); @ua
 *	and @perm are not used
 * @iova: bus address to which the caller copies the range
 * @runs: set to map requests for consecutive bus addresses from @iova on
 * @nr: number of elements of @runs; set to the number of elements in use
 * @patience: condition to stop waiting for entries
 *
 * All runs existed at the same moment, because all leaves are locked together. The function
 * returns without a lock: the memory may be unmapped, and even unregistered, before the caller
 * maps it.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 0; -ENOENT if part of the range is not mapped; -E2BIG if there are more runs;
 * -EINTR or -EAGAIN in the same cases as tce2_window_map().
 */
int tce2_window_copy_runs(struct tce2_window *window, const struct tce2_map_request *source,
			  u64 iova, struct tce2_map_request *runs, u32 *nr,
			  enum tce2_patience patience)
{
	u64 index = (source->iova - window->start) >> window->page_shift;
	u64 end = index + (source->size >> window->page_shift);
	struct window_copy copy = { .first = index, .runs = runs, .most = *nr };
	struct tce2_range range;
	int ret;

	ret = window_lock_leaves(window, &range, index, end - index, patience);
	if (ret)
		return ret;
	while (!ret && index < end) {
		u64 next = tce2_view_leaf_end(index, end);

		ret = window_copy_leaf(window, &copy, index, next, iova);
		index = next;
		window_pause_before(index, end);
		if (!ret && index < end)
			ret = tce2_must_stop(window->hurry);
	}
	window_unlock_leaves(window, &range);
	*nr = copy.nr;
	return ret;
}

/* Returns the entries of a map request, which the caller has checked */
static struct tce2_view_run window_run(const struct tce2_window *window,
				       const struct tce2_map_request *request)
{
	return (struct tce2_view_run){
		.index = (request->iova - window->start) >> window->page_shift,
		.count = request->size >> window->page_shift,
		.ua = request->ua,
		.perm = request->perm,
	};
}

/* Returns the memory of a map request, which the caller has checked */
static struct tce2_memory window_request_memory(const struct tce2_window *window,
						const struct tce2_map_request *request)
{
	struct tce2_view_run run = window_run(window, request);

	return window_memory(window, &run);
}

static void window_drop_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			     u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct tce2_memory memory = window_request_memory(window, &runs[i]);

		tce2_memory_drop(window->cache, &memory);
	}
}

/* Holds the memory of all runs, or of none */
static int window_hold_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			    u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct tce2_memory memory = window_request_memory(window, &runs[i]);
		int ret = tce2_memory_hold_or_refuse(window->cache, &memory);

		if (ret) {
			window_drop_runs(window, runs, i);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/*
 * Returns true if the run after run number @i begins in the leaf of @in_leaf. The leaf then
 * needs an array, which must stay until that run is entered.
 */
static bool window_leaf_goes_on(const struct tce2_view_run *run, u32 i, u32 nr,
				const struct tce2_view_run *in_leaf)
{
	u64 end = in_leaf->index + in_leaf->count;

	return i + 1 < nr && end == run->index + run->count && end % TCE2_VIEW_LEAF;
}

/* Allocates the memory for the following steps, for run number @i; see window_prepare() */
static int window_prepare_run(struct tce2_window *window, const struct tce2_view_run *run,
			      u32 i, u32 nr, bool *replaces)
{
	u64 index = run->index, end = index + run->count, prepared = index;

	while (index < end) {
		struct tce2_view_run in_leaf = window_run_in_leaf(window, run, index);
		int ret = tce2_must_stop(window->hurry) ?: window_prepare_dirty(window, index);

		if (ret)
			return ret;
		ret = window_leaf_goes_on(run, i, nr, &in_leaf) ?
		      tce2_view_prepare_array(&window->view, index) :
		      tce2_view_prepare(&window->view, &in_leaf);
		if (ret < 0)
			return ret;
		*replaces |= ret;
		if (index >= prepared) {
			ret = tce2_table_prepare(&window->table, index);
			if (ret)
				return ret;
			prepared = tce2_table_end(&window->table, index);
		}
		index += in_leaf.count;
		cond_resched();
	}
	return 0;
}

static int window_prepare_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			       u32 nr, bool *replaces)
{
	int ret = 0;
	u32 i;

	*replaces = false;
	for (i = 0; !ret && i < nr; i++) {
		struct tce2_view_run run = window_run(window, &runs[i]);

		ret = window_prepare_run(window, &run, i, nr, replaces);
	}
	return ret;
}

/* Marks the entries of a failed request that maps several runs, see window_mark_failed() */
static noinline void window_mark_failed_runs(struct tce2_window *window,
					     const struct tce2_map_request *runs, u64 written)
{
	while (written) {
		struct tce2_view_run run = window_run(window, runs++);

		window_mark_failed(window, &run, written);
		written -= min(written, run.count);
	}
}

/* Writes the TCEs of all runs. After an error, restores them, and sets *@leaked if it can't. */
static noinline int window_write_runs(struct tce2_window *window,
				      const struct tce2_map_request *runs, u32 nr,
				      bool *leaked)
{
	u64 first = window_run(window, &runs[0]).index;
	struct window_writer writer = {
		.how = TCE2_WRITE_MAP,
		.cursor = tce2_table_cursor(&window->table),
	};
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < nr; i++) {
		struct tce2_view_run run = window_run(window, &runs[i]);

		ret = window_write_tces(window, &run, &writer);
		/* Not after the last run, as in window_write_tces() */
		if (!ret && i + 1 < nr)
			ret = tce2_must_stop(window->hurry);
		cond_resched();
	}
	if (ret)
		window_mark_failed_runs(window, runs, writer.written);
	*leaked = ret && !window_restore_tces(window, first, writer.written);
	return ret;
}

/* Enters run number @i into the view, as window_commit_view() */
static void window_commit_run(struct tce2_window *window, const struct tce2_view_run *run,
			      u32 i, u32 nr, bool replaces)
{
	struct tce2_drop_batch batch = { .cache = window->cache };
	u64 index = run->index, end = index + run->count;

	while (index < end) {
		struct tce2_view_run in_leaf = window_run_in_leaf(window, run, index);

		if (replaces)
			window_drop_leaf(window, &batch, index, index + in_leaf.count);
		if (window_leaf_goes_on(run, i, nr, &in_leaf))
			tce2_view_fill(&window->view, &in_leaf);
		else
			tce2_view_set(&window->view, &in_leaf);
		index += in_leaf.count;
		cond_resched();
	}
	tce2_drop_batch_flush(&batch);
}

static void window_commit_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			       u32 nr, bool replaces)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct tce2_view_run run = window_run(window, &runs[i]);

		window_commit_run(window, &run, i, nr, replaces);
	}
}

/* Implements tce2_window_map_runs() for leaves that the caller has locked */
static int window_map_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			   u32 nr)
{
	struct tce2_view_run first = window_run(window, &runs[0]);
	struct tce2_view_run last = window_run(window, &runs[nr - 1]);
	bool replaces, leaked = false;
	int ret = window_hold_runs(window, runs, nr);

	if (ret)
		return ret;
	/* As in tce2_window_map(), after the check of the memory */
	ret = window_check_pins(window, first.index, last.index + last.count - first.index) ?:
	      window_prepare_runs(window, runs, nr, &replaces) ?:
	      window_write_runs(window, runs, nr, &leaked);
	if (leaked) {
		/* As in tce2_window_map() */
		pr_err_ratelimited("platform did not restore TCEs from bus address %#llx on: leaking the memory that they map\n",
				   runs[0].iova);
		return ret == -EAGAIN ? -EIO : ret;
	}
	if (ret)
		window_drop_runs(window, runs, nr);
	else
		window_commit_runs(window, runs, nr, replaces);
	return ret;
}

/**
 * tce2_window_map_runs() - map several ranges of user memory at consecutive bus addresses
 * @window: the window
 * @runs: map requests, which the caller has checked like the request of tce2_window_map(); each
 *	begins at the end of the previous request
 * @nr: number of requests, more than 0
 * @patience: condition to stop waiting for entries
 *
 * All requests succeed, or nothing is changed.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: same as tce2_window_map().
 */
int tce2_window_map_runs(struct tce2_window *window, const struct tce2_map_request *runs,
			 u32 nr, enum tce2_patience patience)
{
	struct tce2_view_run first = window_run(window, &runs[0]);
	struct tce2_view_run last = window_run(window, &runs[nr - 1]);
	struct tce2_range range;
	int ret;

	ret = window_lock_leaves(window, &range, first.index,
				 last.index + last.count - first.index, patience);
	if (ret)
		return ret;
	ret = window_map_runs(window, runs, nr);
	window_unlock_leaves(window, &range);
	return ret;
}

/* Counts the entries of one leaf from @index to the last mapped entry before @end */
static u64 window_count_to_mapped(const struct tce2_window *window, u64 index, u64 end)
{
	u64 first = index, mapped = 0;
	struct tce2_view_run run;

	while (tce2_view_next(&window->view, index, end, &run)) {
		index = run.index + run.count;
		mapped = index - first;
	}
	return mapped;
}

/*
 * Clears a range in hardware. Skips leaves in which no entry was ever mapped, except the
 * leaf of @index. Clears all entries of the other leaves, mapped or not. After a return
 * of 0, no device uses the old translations any more, except in a window with
 * kept_by_group set.
 */
static int window_clear_tces(struct tce2_window *window, u64 index, u64 end)
{
	struct tce2_stale stale = {};
	int ret = 0;

	do {
		u64 next = tce2_view_leaf_end(index, end), mapped = 0;

		if (!tce2_table_in_memory(&window->table))
			mapped = window_count_to_mapped(window, index, next);
		if (tce2_table_clear(&window->table, index, next - index,
				     mapped, &stale))
			ret = -EIO;
		index = tce2_view_next_touched(&window->view, next, end);
		window_pause_before(index, end);
	} while (index < end);
	tce2_table_invalidate(&window->table, stale.index, stale.count);
	return ret;
}

/* Clears invalidated entries in the view, and drops their pages */
static void window_clear_view(struct tce2_window *window, u64 index, u64 end)
{
	struct tce2_drop_batch batch = { .cache = window->cache };

	do {
		u64 next = tce2_view_leaf_end(index, end);

		window_drop_leaf(window, &batch, index, next);
		tce2_view_clear(&window->view, index, next - index);
		index = tce2_view_next_touched(&window->view, next, end);
	} while (index < end);
	tce2_drop_batch_flush(&batch);
}

/*
 * Unmaps entries that the caller holds, and skips leaves that were never mapped.
 * Entries that the platform fails to clear stay mapped, and their memory stays pinned.
 */
static int window_clear_range(struct tce2_window *window, u64 index, u64 end,
			      bool stoppable)
{
	int ret = 0, stop;

	if (stoppable && fatal_signal_pending(current))
		return -EINTR;
	index = tce2_view_next_touched(&window->view, index, end);
	while (index < end) {
		u64 next = min(end, (index | (BATCH - 1)) + 1);

		if (window_clear_tces(window, index, next))
			ret = -EIO;
		else
			window_clear_view(window, index, next);
		window_pause_before(next, end);
		index = tce2_view_next_touched(&window->view, next, end);
		stop = stoppable && index < end ? tce2_must_stop(window->hurry) : 0;
		if (stop)
			return stop;
	}
	return ret;
}

/**
 * tce2_window_unmap() - unmap a range of bus addresses
 * @window: the window
 * @iova: first bus address
 * @size: bytes, more than 0
 * @patience: condition to stop waiting for entries
 *
 * The caller has checked that the range is in the window, and that @iova and @size are
 * multiples of the window's page size. Entries that are not mapped are skipped. After a
 * return of 0, no device reaches memory through these addresses, with one exception: if
 * the platform failed to remove the window from a group, this group's devices may still
 * reach the memory. The memory then stays pinned permanently.
 * See VFIO_IOMMU_UNMAP_DMA in uapi/linux/vfio.h.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 0; -EINTR or -EAGAIN in the same cases as tce2_window_map(), possibly with
 * part of the range unmapped; TCE2_PINNED, with nothing unmapped; -EIO if the platform
 * failed to clear some entries, which stay mapped.
 */
int tce2_window_unmap(struct tce2_window *window, u64 iova, u64 size,
		      enum tce2_patience patience)
{
	u64 index = (iova - window->start) >> window->page_shift;
	u64 count = size >> window->page_shift;
	struct tce2_range range;
	int ret;

	ret = window_lock_leaves(window, &range, index, count, patience);
	if (ret)
		return ret;
	ret = window_check_pins(window, index, count) ?:
	      window_clear_range(window, index, index + count, true);
	window_unlock_leaves(window, &range);
	return ret;
}

/**
 * tce2_window_get_view() - get a reference to the view of a window, for debugfs
 * @window: the window, found in the caller's RCU read-side section
 *
 * Context: RCU read-side section.
 * Return: same as tce2_view_get().
 */
bool tce2_window_get_view(struct tce2_window *window)
{
	return tce2_view_get(&window->view);
}

/**
 * tce2_window_scan() - copy the next leaf of a window, for debugfs
 * @window: the window, with a reference of the caller to its view (tce2_window_get_view())
 * @scan: the walk
 *
 * Does not wait, and no other thread waits for it. Arrays that other threads retire meanwhile
 * are freed after a grace period.
 *
 * Context: RCU read-side section, in which the caller got the reference.
 * Return: same as tce2_view_copy_next().
 */
int tce2_window_scan(struct tce2_window *window, struct tce2_scan *scan)
{
	u64 last = ((window->size >> window->page_shift) - 1) >> TCE2_VIEW_LEAF_SHIFT;
	int ret = tce2_view_copy_next(&window->view, scan->leaf, last, &scan->copy);

	if (ret <= 0)
		return ret;
	scan->bytes += tce2_view_leaf_bytes(&window->view, scan->previous,
					    scan->copy.leaf);
	scan->previous = scan->copy.leaf;
	scan->leaf = scan->copy.leaf + 1;
	scan->index = scan->copy.leaf << TCE2_VIEW_LEAF_SHIFT;
	return ret;
}

/**
 * tce2_window_serve_pages() - let brief requests use a window
 * @window: the window, complete and linked to its groups
 *
 * In some windows all requests take the general path, src/ddw.c: windows that KVM's hooks use,
 * that drivers may pin, that a group has kept, that are tracked, or that have large pages. A
 * large page may consist of many blocks, too many to look up without sleeping. src/realmode.c
 * has the same limit.
 *
 * If KVM's first hook runs at the same time, brief requests may find the window
 * afterwards, but they see that the view is hooked (tce2_brief_may_use()).
 *
 * Context: the caller holds the owner's lock at least for reading. The window is not tracked.
 */
void tce2_window_serve_pages(struct tce2_window *window)
{
	WRITE_ONCE(window->serves_pages,
		   !window->slow_drop && !READ_ONCE(window->view.hooked) &&
		   !READ_ONCE(window->pins) &&
		   window->page_shift <= PAGE_SHIFT + MAX_BLOCKS_SHIFT);
}

/**
 * tce2_window_accept_pins() - let drivers of emulated devices pin pages of a window, or stop
 * @window: the window
 * @pins: the pinned pages of the window's owner; NULL to forbid pins, if no page is pinned
 *
 * KVM's hooks can't notify a driver, so they do not change entries of a window with @pins set
 * (kvm_hook_view()). If hooks already use the window, drivers can't pin its pages.
 *
 * Context: may sleep; the caller holds the owner's lock for writing.
 */
void tce2_window_accept_pins(struct tce2_window *window, struct xarray *pins)
{
	struct tce2_range range;

	tce2_window_lock_all(window, &range);
	if (!window->view.hooked)
		WRITE_ONCE(window->pins, pins);
	if (window->published)
		tce2_window_serve_pages(window);
	window_unlock_leaves(window, &range);
}

/**
 * tce2_window_stop_if_unused() - check whether a window can be removed without side effects
 * @window: the window, which the caller removes if it is unused
 * @refs: number of this module's own references to the window
 *
 * A window is in use if an entry is mapped, if another module has a reference to the
 * window, or if the platform failed to remove the window from a group. Brief requests,
 * which do not take the owner's lock, can't use an unused window after the check.
 *
 * Context: may sleep; the caller holds the owner's lock for writing. KVM's hooks may map
 * an entry right after the check. Another module may get a reference right after the
 * check if the window is published.
 * Return: true if the window is not in use.
 */
bool tce2_window_stop_if_unused(struct tce2_window *window, unsigned int refs)
{
	struct tce2_range range;
	struct tce2_view_run run;
	bool empty;

	if (window->kept_by_group || refcount_read(&window->refs) > refs)
		return false;
	tce2_window_lock_all(window, &range);
	empty = !tce2_view_next(&window->view, 0,
				window->size >> window->page_shift, &run);
	if (empty)
		WRITE_ONCE(window->serves_pages, false);
	window_unlock_leaves(window, &range);
	return empty;
}

/**
 * tce2_window_retire() - unmap all entries and forbid new mappings
 * @window: the window, unpublished; brief requests may still map, but no other requests
 *
 * Other modules may still have references to the window, and KVM may have references
 * to the table. Both find nothing mapped. The caller keeps its own reference to the
 * window.
 *
 * Context: may sleep; the caller holds the owner's lock for writing. Can't fail, and
 * ignores signals.
 */
void tce2_window_retire(struct tce2_window *window)
{
	u64 count = window->size >> window->page_shift;
	struct tce2_dirty *dirty;
	struct tce2_range range;

	/* Other modules, KVM's hooks and brief requests may still hold leaves */
	tce2_window_lock_all(window, &range);
	if (window_clear_range(window, 0, count, false))
		pr_err_ratelimited("platform did not clear TCEs of the window at %#llx: leaking the memory that they map\n",
				   window->start);
	/* Other modules may have references to the window after its owner is freed */
	tce2_range_forget_hurry(&window->ranges);
	/* Afterwards window_unlock_leaves() keeps all leaves locked against hooks */
	WRITE_ONCE(window->live, false);
	WRITE_ONCE(window->serves_pages, false);
	dirty = window->dirty;
	WRITE_ONCE(window->dirty, NULL);
	window_unlock_leaves(window, &range);
	tce2_dirty_free(dirty);
}

/**
 * tce2_window_release_table() - put a window's reference to its table
 * @window: the window, retired and removed from every group
 *
 * Context: may sleep.
 * Return: the return value of tce2_table_release().
 */
struct tce2_charge tce2_window_release_table(struct tce2_window *window)
{
	return tce2_table_release(&window->table, !window->kept_by_group);
}

static void window_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct tce2_window, rcu));
}

/**
 * tce2_window_put_view() - put a reference to the view of a window
 * @window: the window
 *
 * Frees the window with the last reference, which may be the reference of a reader of debugfs.
 *
 * Context: may sleep.
 */
void tce2_window_put_view(struct tce2_window *window)
{
	/* A brief request may still read @serves_pages, in an RCU read-side section */
	if (tce2_view_put(&window->view))
		call_rcu(&window->rcu, window_free_rcu);
}

/**
 * tce2_window_put() - put a reference to a window
 * @window: the window; the caller must not use it any more, in real or virtual mode
 *
 * Context: may sleep.
 */
void tce2_window_put(struct tce2_window *window)
{
	if (refcount_dec_and_test(&window->refs))
		tce2_window_put_view(window);
}
EXPORT_SYMBOL_GPL(tce2_window_put);
