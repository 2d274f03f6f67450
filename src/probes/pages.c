// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinning and accounting memory
 *
 * The API has this form since "mm/gup: add a range variant of
 * unpin_user_pages_dirty_lock()" (Linux 5.14) and "mm: add account_locked_vm utility
 * function" (Linux 5.3).
 */
#include <linux/mm.h>

#include "probe.h"

#define TCE2_API_PAGES
#include "tce2_kernel_api.h"
