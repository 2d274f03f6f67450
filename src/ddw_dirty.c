// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages of a container's windows: the requests that track a window and read its record.
 *
 * Finds the window of a request, and gives it a record (struct tce2_dirty) or takes the record
 * away. The window owns the record. src/track.c carries out the steps in a window. A request
 * for many entries takes several steps, and releases the lock between them. The number of the
 * record shows whether the window is still tracked with the same record.
 *
 * Locks: lock of struct tce2_ddw: for writing through src/ddw.c, to begin and end tracking;
 * for reading in all other requests.
 * Calls: ddw, track, dirty.
 */
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "tce2_ddw.h"
#include "tce2_ddw_request.h"
#include "tce2_dirty.h"
#include "tce2_tce_v2.h"
#include "tce2_track.h"
#include "tce2_why.h"

/* Finds the published window that begins at a bus address, or NULL */
static struct tce2_window *ddw_window_at(struct tce2_ddw *ddw, u64 start)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (tce2_ddw_is_published(window) && window->start == start)
			return window;
	}
	return NULL;
}

/* Begins to track a window, and first makes it if it is the pending default window */
static int ddw_begin_track(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 start,
			   struct tce2_dirty *dirty)
{
	struct tce2_window *window;
	int ret = tce2_ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	if (start == tce2_ddw_first_table_group(ddw)->tce32_start)
		ret = tce2_ddw_create_default(ddw, cache);
	if (!ret) {
		window = ddw_window_at(ddw, start);
		ret = window ? tce2_window_track(window, dirty) :
			       tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	}
	tce2_ddw_unlock_for_client(ddw);
	return ret;
}

/* Makes the bitmaps of a few leaves; returns the value of tce2_window_cover(), or an error */
static int ddw_cover_some(struct tce2_ddw *ddw, u64 start, u64 id, u64 *index,
			  enum tce2_patience patience)
{
	struct tce2_window *window;
	int ret = tce2_ddw_begin_request(ddw);

	if (ret)
		return ret;
	window = ddw_window_at(ddw, start);
	ret = tce2_ddw_check_process(ddw);
	/* Another thread may have removed the window meanwhile, and made another */
	if (!ret && (!window || !window->dirty || window->dirty->id != id))
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	if (!ret)
		ret = tce2_window_cover(window, index, patience);
	if (!ret)
		WRITE_ONCE(window->dirty->complete, true);
	tce2_ddw_end_request(ddw);
	return ret;
}

/* Makes the bitmaps of all leaves that were mapped before the window was tracked */
static int ddw_cover(struct tce2_ddw *ddw, u64 start, u64 id)
{
	enum tce2_patience patience = TCE2_YIELDS;
	u64 index = 0;
	int ret, seen;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		seen = atomic_read(&ddw->writes);
		ret = ddw_cover_some(ddw, start, id, &index, patience);
		if (ret == -EAGAIN) {
			patience = TCE2_YIELDS_TO_VFIO;
			ret = tce2_ddw_wait_for_writer(ddw, seen) ?: 1;
		}
		cond_resched();
	} while (ret > 0);
	return ret;
}

/* Stops tracking after an error, unless the window is gone */
static void ddw_cancel_track(struct tce2_ddw *ddw, u64 start, u64 id)
{
	struct tce2_dirty *dirty = NULL;
	struct tce2_window *window;

	tce2_ddw_lock_for_client_uninterruptible(ddw);
	window = ddw_window_at(ddw, start);
	if (window)
		dirty = tce2_window_untrack(window, id);
	tce2_ddw_unlock_for_client(ddw);
	tce2_dirty_free(dirty);
}

/**
 * tce2_ddw_track() - begin to track the dirty pages of a window
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @start: first bus address of the window
 *
 * Makes the default window if it is pending and begins at @start. Otherwise no page could be
 * tracked until a map request has made the window, and a client would miss the pages of that
 * request. An error changes nothing, except that the default window may have been made, and
 * that brief requests may have taken the general path meanwhile.
 *
 * Context: may sleep.
 * Return:
 * * 0 - success
 * * -ENXIO - the container has no group
 * * -EINVAL - no window begins at @start, or it was removed meanwhile
 * * -EBUSY - the window is tracked already
 * * -ENOMEM - memory is short
 * * -EPERM - another process has taken the container over
 * * -EINTR - a fatal signal
 * * other errors - from tce2_ddw_create(), for the default window
 */
int tce2_ddw_track(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 start)
{
	struct tce2_dirty *dirty = tce2_dirty_alloc();
	u64 id;
	int ret;

	if (!dirty)
		return -ENOMEM;
	id = dirty->id;
	ret = ddw_begin_track(ddw, cache, start, dirty);
	if (ret) {
		tce2_dirty_free(dirty);
		return ret;
	}
	/* From now on, the window owns the record */
	ret = ddw_cover(ddw, start, id);
	if (ret)
		ddw_cancel_track(ddw, start, id);
	return ret;
}

/**
 * tce2_ddw_untrack() - stop tracking the dirty pages of a window
 * @ddw: the groups and windows
 * @start: first bus address of the window
 *
 * Context: may sleep.
 * Return: 0; -ENXIO if the container has no group; -EINVAL if no window begins at @start, or
 * if it is not tracked; -EINTR after a fatal signal.
 */
int tce2_ddw_untrack(struct tce2_ddw *ddw, u64 start)
{
	struct tce2_dirty *dirty = NULL;
	struct tce2_window *window;
	int ret = tce2_ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	window = ddw_window_at(ddw, start);
	if (!window)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	else
		dirty = tce2_window_untrack(window, 0);
	tce2_ddw_unlock_for_client(ddw);
	if (!ret && !dirty)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NOT_TRACKED);
	tce2_dirty_free(dirty);
	return ret;
}

/* Begins a walk along a tracked window, or checks that the walk can continue */
static int ddw_check_track(const struct tce2_bus_range *range, u64 iova, u64 size,
			   struct tce2_track *track)
{
	const struct tce2_window *window = range->window;

	if (!window || !window->dirty || !READ_ONCE(window->dirty->complete) ||
	    (track->id && track->id != window->dirty->id))
		return tce2_refuse(-EINVAL, TCE2_WHY_NOT_TRACKED);
	if (track->id)
		return 0;
	if (size >> window->page_shift > TCE2_TRACK_MOST)
		return tce2_refuse(-EINVAL, TCE2_WHY_TOO_MANY);
	track->id = window->dirty->id;
	track->first = (iova - window->start) >> window->page_shift;
	track->end = track->first + (size >> window->page_shift);
	track->next = track->first;
	return 0;
}

static int ddw_get_some_dirty(struct tce2_ddw *ddw, u64 iova, u64 size,
			      struct tce2_track *track, enum tce2_patience patience)
{
	const struct tce2_map_request request = { .iova = iova, .size = size };
	struct tce2_bus_range range;
	int ret = tce2_ddw_begin_request(ddw);

	if (ret)
		return ret;
	ret = tce2_ddw_check_process(ddw) ?: tce2_ddw_find_range(ddw, &request, &range) ?:
	      ddw_check_track(&range, iova, size, track) ?:
	      tce2_window_get_dirty(range.window, track, patience);
	tce2_ddw_end_request(ddw);
	return ret;
}

/**
 * tce2_ddw_get_dirty() - read which pages devices may have written to
 * @ddw: the groups and windows
 * @iova: first bus address
 * @size: bytes
 * @track: the bitmap, large enough, and 0; @clear is set by the caller, the other members are 0
 *
 * An error changes nothing.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -ENXIO - @iova is in no window
 * * -EINVAL - the range is empty, misaligned, too large, or reaches past the window; or the
 *   window is not tracked
 * * -EINTR - a fatal signal
 */
int tce2_ddw_get_dirty(struct tce2_ddw *ddw, u64 iova, u64 size, struct tce2_track *track)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = fatal_signal_pending(current) ? -EINTR :
		      ddw_get_some_dirty(ddw, iova, size, track, patience);
		if (ret == -EAGAIN) {
			patience = TCE2_YIELDS_TO_VFIO;
			ret = tce2_ddw_wait_for_writer(ddw, seen) ?: 1;
		}
		cond_resched();
	} while (ret > 0);
	if (ret)
		tce2_ddw_restore_dirty(ddw, iova, track);
	return ret;
}

/**
 * tce2_ddw_restore_dirty() - undo the effect of tce2_ddw_get_dirty() on the record
 * @ddw: the groups and windows
 * @iova: first bus address
 * @track: the walk
 *
 * Has no effect if the window was removed, or is not tracked with the same record any more.
 *
 * Context: may sleep; can't be interrupted.
 */
void tce2_ddw_restore_dirty(struct tce2_ddw *ddw, u64 iova, const struct tce2_track *track)
{
	struct tce2_bus_range range;

	if (!track->clear || !track->id)
		return;
	/* Not killable, as tce2_ddw_publish() */
	down_read(&ddw->lock);
	if (!tce2_ddw_find_window(ddw, iova, &range) && range.window &&
	    range.window->dirty && range.window->dirty->id == track->id)
		tce2_window_restore_dirty(range.window, track);
	up_read(&ddw->lock);
}
