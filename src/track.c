// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracked windows: begins and ends the record of dirty pages of a window, and reads it.
 *
 * A window is tracked from tce2_window_track() to tce2_window_untrack(). While it is tracked,
 * the map engine makes a bitmap for each leaf that it maps, and marks the entries that it
 * unmaps or replaces; so do KVM's hooks. Brief requests take the general path. A window
 * that is not tracked pays only for a check in each leaf that is mapped or unmapped.
 *
 * Owns the steps of the requests about dirty pages. Locks: leaves of the window, a few at a
 * time. The caller holds the owner's lock (struct tce2_ddw).
 * Calls: tce_v2, dirty, view.
 */
#include <linux/minmax.h>
#include <linux/sched.h>

#include "tce2_dirty.h"
#include "tce2_tce_v2.h"
#include "tce2_track.h"
#include "tce2_why.h"

/* Number of leaves to hold together, a power of two */
#define TRACK_LEAVES	8

static u64 track_batch_end(u64 index, u64 end)
{
	return min(end, (index | (TRACK_LEAVES * TCE2_VIEW_LEAF - 1)) + 1);
}

/**
 * tce2_window_track() - begin to track a window
 * @window: the window, published
 * @dirty: the record, not complete
 *
 * Afterwards the caller has to make the bitmaps of all leaves that are mapped already, with
 * tce2_window_cover().
 *
 * Context: may sleep; the caller holds the owner's lock for writing.
 * Return: 0, or -EBUSY if the window is tracked already.
 */
int tce2_window_track(struct tce2_window *window, struct tce2_dirty *dirty)
{
	struct tce2_range range;
	int ret = 0;

	tce2_window_lock_all(window, &range);
	if (window->dirty) {
		ret = tce2_refuse(-EBUSY, TCE2_WHY_TRACKED);
	} else {
		WRITE_ONCE(window->dirty, dirty);
		WRITE_ONCE(window->slow_drop, true);
		WRITE_ONCE(window->serves_pages, false);
	}
	tce2_window_unlock_leaves(window, &range);
	return ret;
}

/**
 * tce2_window_untrack() - stop tracking a window
 * @window: the window
 * @id: number of the record, or 0 for any complete record
 *
 * Context: may sleep; the caller holds the owner's lock for writing.
 * Return: the record, which the caller frees; NULL if the window is not tracked, or has another
 * record.
 */
struct tce2_dirty *tce2_window_untrack(struct tce2_window *window, u64 id)
{
	struct tce2_dirty *found;
	struct tce2_range range;

	tce2_window_lock_all(window, &range);
	found = window->dirty;
	if (found && (id ? found->id != id : !READ_ONCE(found->complete)))
		found = NULL;
	if (found) {
		WRITE_ONCE(window->dirty, NULL);
		WRITE_ONCE(window->slow_drop, window->kept_by_group);
		tce2_window_serve_pages(window);
	}
	tce2_window_unlock_leaves(window, &range);
	return found;
}

/**
 * tce2_window_cover() - make the bitmaps of the next leaves that are mapped
 * @window: the window, which is tracked
 * @index: first entry of the walk; set to the first entry of the next call
 * @patience: condition to stop waiting for entries
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 1; 0 if no leaf is left; -ENOMEM; -EINTR or -EAGAIN from tce2_range_queue().
 */
int tce2_window_cover(struct tce2_window *window, u64 *index, enum tce2_patience patience)
{
	u64 entries = window->size >> window->page_shift, at, end;
	struct tce2_range range;
	int ret;

	at = tce2_view_next_touched(&window->view, *index, entries);
	if (at == entries)
		return 0;
	end = track_batch_end(at, entries);
	ret = tce2_window_lock_leaves(window, &range, at, end - at, patience);
	if (ret)
		return ret;
	while (!ret && at < end) {
		ret = tce2_dirty_prepare(window->dirty, at);
		at = tce2_view_next_touched(&window->view, tce2_view_leaf_end(at, end),
					    end);
	}
	tce2_window_unlock_leaves(window, &range);
	*index = end;
	return ret ? ret : 1;
}

/* Sets the bits of the entries of one leaf to which devices may have written */
static void track_leaf(struct tce2_window *window, struct tce2_track *track, u64 index,
		       u64 end)
{
	u64 first = index, at;
	struct tce2_view_run run;

	tce2_dirty_read(window->dirty, index, end - index, track->bits,
			index - track->first);
	if (track->clear)
		tce2_dirty_clear(window->dirty, first, end - first);
	while (index < end && tce2_view_next(&window->view, index, end, &run)) {
		index = run.index + run.count;
		if (!(run.perm & TCE2_PERM_WRITE))
			continue;
		for (at = run.index - track->first; at < index - track->first; at++)
			track->bits[at / 64] |= BIT_ULL(at % 64);
	}
}

/**
 * tce2_window_get_dirty() - read which of the next entries devices may have written to
 * @window: the window, which is tracked
 * @track: the walk
 * @patience: condition to stop waiting for entries
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 1; 0 if no entry is left; -EINTR or -EAGAIN from tce2_range_queue().
 */
int tce2_window_get_dirty(struct tce2_window *window, struct tce2_track *track,
			  enum tce2_patience patience)
{
	struct tce2_range range;
	u64 index, end;
	int ret;

	index = tce2_view_next_touched(&window->view, track->next, track->end);
	track->next = index;
	if (index == track->end)
		return 0;
	end = track_batch_end(index, track->end);
	ret = tce2_window_lock_leaves(window, &range, index, end - index, patience);
	if (ret)
		return ret;
	for (; index < end; index = tce2_view_leaf_end(index, end))
		track_leaf(window, track, index, tce2_view_leaf_end(index, end));
	tce2_window_unlock_leaves(window, &range);
	track->next = end;
	return 1;
}

/**
 * tce2_window_restore_dirty() - record entries again that a walk has cleared
 * @window: the window, which is tracked
 * @track: the walk, which may be incomplete
 *
 * Also records entries that are still mapped for writing. This is harmless: unmapping such an
 * entry records it, too.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading. Ignores signals.
 */
void tce2_window_restore_dirty(struct tce2_window *window, const struct tce2_track *track)
{
	u64 index = track->first;

	while (index < track->next) {
		u64 end = track_batch_end(index, track->next);
		struct tce2_range range;

		tce2_window_lock_range(window, &range, index, end - index);
		for (; index < end; index = tce2_view_leaf_end(index, end))
			tce2_dirty_restore(window->dirty, index,
					   tce2_view_leaf_end(index, end) - index,
					   track->bits, index - track->first);
		tce2_window_unlock_leaves(window, &range);
		cond_resched();
	}
}
