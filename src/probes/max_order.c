// SPDX-License-Identifier: GPL-2.0-only
/*
 * MAX_ORDER
 *
 * Since "mm, treewide: redefine MAX_ORDER sanely" (Linux 6.4), MAX_ORDER is inclusive.
 * A probe can't detect this change in the headers.
 */
#include <linux/mmzone.h>

#include "probe.h"

static_assert(MAX_ORDER > 0);
