/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_PAGE_H
#define TCE2_PAGE_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "tce2_brief.h"

int tce2_window_map_page(struct tce2_window *window, u64 iova, u64 ua, u64 perm);
int tce2_window_unmap_page(struct tce2_window *window, u64 iova);

/**
 * tce2_page_is_one() - check whether a request is for one page of a window
 * @window: the window
 * @iova: bus address
 * @ua: user address; 0 for an unmap request
 * @size: bytes
 *
 * Context: any.
 * Return: true if the request is for one page, and both addresses are aligned.
 */
static __always_inline bool tce2_page_is_one(const struct tce2_window *window, u64 iova,
					     u64 ua, u64 size)
{
	return size == 1ULL << window->page_shift && !((iova | ua) & (size - 1));
}

#endif /* TCE2_PAGE_H */
