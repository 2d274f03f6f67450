/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_DDW_PAGE_H
#define TCE2_DDW_PAGE_H

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/types.h>

#include "tce2_ddw.h"
#include "tce2_tce_v2.h"

/**
 * tce2_ddw_find_page() - find the window of a brief request
 * @ddw: the groups and windows
 * @iova: a bus address
 *
 * The function takes no lock. The owner may remove the window at any time, so the caller may
 * use the window only through tce2_window_map_page() and tce2_window_unmap_page(). These
 * functions check, with the entry's leaf locked, that the window still serves requests for one
 * page. A window is completely initialized and programmed for all groups before it does.
 *
 * Context: RCU read-side section, which keeps the window from being freed.
 * Return: the window that contains @iova and serves brief requests, or NULL.
 */
static __always_inline struct tce2_window *
tce2_ddw_find_page(const struct tce2_ddw *ddw, u64 iova)
{
	unsigned int slot;

	for (slot = 0; slot < ARRAY_SIZE(ddw->window); slot++) {
		/* Pairs with ddw_set_slot(); the address dependency orders the reads */
		struct tce2_window *window = READ_ONCE(ddw->window[slot]);

		if (window && READ_ONCE(window->serves_pages) &&
		    iova - window->start < window->size)
			return window;
	}
	return NULL;
}

#endif /* TCE2_DDW_PAGE_H */
