// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel API: windows for other kernel modules, in virtual mode.
 *
 * Owns the list of windows, in which other modules find a window by its table
 * (include/tce2_kapi.h), and reading a window in virtual mode. A window's owner
 * publishes the window when its client has been told the address, and unpublishes it
 * before removing it.
 * A window that another module found stays until the module puts it.
 *
 * The rest of the API is in other files: src/realmode.c for real mode, and functions of
 * the core that are exported as they are (include/tce2_exported.h).
 *
 * Locks: the list's lock. It comes after the owner's lock, and no other lock is
 * taken while it is held.
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

/* All published windows */
static LIST_HEAD(windows);
static DEFINE_MUTEX(list_lock);

/**
 * tce2_window_publish() - let other modules find a window
 * @window: the window, complete
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
 * tce2_window_get() - get the window that a TCE table belongs to
 * @tbl: the table, for example from struct iommu_table_group; the pointer is compared,
 *	not dereferenced
 *
 * tce2_window_put() puts the window.
 *
 * Context: may sleep, for as long as a map request takes; mmap_lock is not held.
 * Return: the window with a reference for the caller, or NULL if no published window
 * of this backend has such a table, or after a fatal signal.
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
	/* No thread frees an array while all leaves are held */
	if (tce2_window_lock_leaves(window, &range, 0,
				    window->size >> window->page_shift)) {
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
 * @ua: set to the user address that @iova leads to
 * @perm: set to TCE2_PERM_READ, TCE2_PERM_WRITE or both: what devices may do;
 *	0 if nothing is mapped there
 *
 * Waits for a map or unmap request that is changing the entry.
 *
 * Context: may sleep; mmap_lock is not held.
 * Return: 0; -ENODEV if the window was removed; -ENXIO if @iova is outside the
 * window; -EINTR after a fatal signal.
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
	ret = tce2_window_lock_leaves(window, &range, index, 1);
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
