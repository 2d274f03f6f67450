// SPDX-License-Identifier: GPL-2.0-only
/*
 * MAX_PAGE_ORDER
 *
 * The macro exists since "mm, treewide: rename MAX_ORDER to MAX_PAGE_ORDER" (Linux 6.8).
 */
#include <linux/mmzone.h>

#include "probe.h"

static_assert(MAX_PAGE_ORDER > 0);
