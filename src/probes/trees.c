// SPDX-License-Identifier: GPL-2.0-only
/*
 * XArray and red-black trees
 *
 * The API has this form since "xarray: Add XArray load operation" (Linux 4.20).
 */
#include <linux/rbtree.h>
#include <linux/xarray.h>

#include "probe.h"

#define TCE2_API_TREES
#include "tce2_kernel_api.h"
