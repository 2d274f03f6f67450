/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_PAGES_H
#define TCE2_PAGES_H

#include <linux/types.h>

#include "tce2_brief.h"

int tce2_window_map_pages(struct tce2_window *window, u64 iova, u64 ua, u64 size, u64 perm);
int tce2_window_unmap_pages(struct tce2_window *window, u64 iova, u64 size);

#endif /* TCE2_PAGES_H */
