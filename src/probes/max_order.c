// SPDX-License-Identifier: GPL-2.0-only
/*
 * MAX_ORDER
 *
 * Follows: "mm, treewide: redefine MAX_ORDER sanely" (Linux 6.4), which made it
 * inclusive and can't be told from the headers.
 */
#include <linux/mmzone.h>

#include "probe.h"

static_assert(MAX_ORDER > 0);
