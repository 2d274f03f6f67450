// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel API: windows for other kernel modules, in virtual mode.
 *
 * Owns the list of windows, in which other modules find a window by its table
 * (include/tce2_kapi.h), and reads windows in virtual mode. The owner of a window
 * publishes the window after the window's address has been written to the client, and
 * unpublishes the window before removing it. If another module has found a window, the
 * window stays until that module puts it.
 *
 * The rest of the API is in other files: src/realmode.c for real mode, and exported
 * functions of the core (include/tce2_exported.h).
 *
 * Locks: list_lock. It comes after the owner's lock, and is the innermost lock.
 * Calls: tce_v2, view.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/refcount.h>

#include <asm/iommu.h>

#include "tce2_kapi.h"
#include "tce2_kapi_publish.h"
#include "tce2_tce_v2.h"

/* All published windows; protected by list_lock */
static LIST_HEAD(windows);
static DEFINE_MUTEX(list_lock);

/**
 * tce2_window_publish() - let other modules find a window
 * @window: the window, completely set up
 *
 * Context: may sleep.
 */
void tce2_window_publish(struct tce2_window *window)
{
	mutex_lock(&list_lock);
	list_add(&window->link, &windows);
	mutex_unlock(&list_lock);
}

/**
 * tce2_window_unpublish() - stop other modules from finding a window
 * @window: the window, published or not
 *
 * Modules that have found the window keep their references.
 *
 * Context: may sleep.
 */
void tce2_window_unpublish(struct tce2_window *window)
{
	mutex_lock(&list_lock);
	list_del_init(&window->link);
	mutex_unlock(&list_lock);
}

/* Finds the published window of a table, and gets a reference to the window */
static struct tce2_window *kapi_find_window(const struct iommu_table *tbl)
	__must_hold(&list_lock)
{
	struct tce2_window *window;

	lockdep_assert_held(&list_lock);
	list_for_each_entry(window, &windows, link) {
		if (window->table.tbl == tbl) {
			refcount_inc(&window->refs);
			return window;
		}
	}
	return NULL;
}

/**
 * tce2_window_get() - get the window of a TCE table
 * @tbl: the table, for example from struct iommu_table_group; the pointer is compared,
 *	not dereferenced
 *
 * The caller must put the window with tce2_window_put().
 *
 * Context: may sleep, for as long as a map request takes; the caller must not hold
 * mmap_lock.
 * Return: the window with a reference for the caller; NULL if no published window of
 * this module has this table, or after a fatal signal.
 */
struct tce2_window *tce2_window_get(const struct iommu_table *tbl)
{
	struct tce2_window *window;
	struct tce2_range range;

	mutex_lock(&list_lock);
	window = kapi_find_window(tbl);
	mutex_unlock(&list_lock);
	if (!window)
		return NULL;
	/* With all leaves locked, no thread is freeing an array without a grace period */
	if (tce2_window_lock_leaves(window, &range, 0,
				    window->size >> window->page_shift, TCE2_STAYS)) {
		tce2_window_put(window);
		return NULL;
	}
	window->view.has_external_readers = true;
	tce2_window_unlock_leaves(window, &range);
	return window;
}
EXPORT_SYMBOL_GPL(tce2_window_get);

/**
 * tce2_window_read_tce() - read the user address that a TCE maps
 * @window: the window
 * @iova: a bus address
 * @ua: set to the user address that @iova is mapped to
 * @perm: set to the permissions of devices: TCE2_PERM_READ, TCE2_PERM_WRITE or both;
 *	0 if @iova is not mapped
 *
 * Waits for a map or unmap request that is changing the entry.
 *
 * Context: may sleep; the caller must not hold mmap_lock.
 * Return:
 * * 0 - success
 * * -ENODEV - the window was removed
 * * -ENXIO - @iova is outside the window
 * * -EINTR - a fatal signal
 */
int tce2_window_read_tce(struct tce2_window *window, u64 iova, u64 *ua,
			 u64 *perm)
{
	u64 offset = iova - window->start, index;
	struct tce2_view_run run = {};
	struct tce2_range range;
	int ret;

	if (iova < window->start || offset >= window->size)
		return -ENXIO;
	index = offset >> window->page_shift;
	ret = tce2_window_lock_leaves(window, &range, index, 1, TCE2_STAYS);
	if (ret)
		return ret;
	if (!window->live) {
		ret = -ENODEV;
		goto unhold;
	}
	tce2_view_next(&window->view, index, index + 1, &run);
	*perm = run.perm;
	*ua = run.perm ? run.ua + offset - (index << window->page_shift) : 0;
unhold:
	tce2_window_unlock_leaves(window, &range);
	return ret;
}
EXPORT_SYMBOL_GPL(tce2_window_read_tce);
