// SPDX-License-Identifier: GPL-2.0-only
/*
 * XArray and red-black trees
 *
 * Follows: "xarray: Add XArray load operation" (Linux 4.20).
 */
#include <linux/rbtree.h>
#include <linux/xarray.h>

#include "probe.h"

PROBE_FUNCTION(xa_load, void *(struct xarray *xa, unsigned long index));
PROBE_FUNCTION(xa_store, void *(struct xarray *xa, unsigned long index,
				void *entry, gfp_t gfp));
PROBE_FUNCTION(xa_erase, void *(struct xarray *xa, unsigned long index));
PROBE_FUNCTION(xa_find, void *(struct xarray *xa, unsigned long *index,
			       unsigned long max, xa_mark_t filter));
PROBE_FUNCTION(xa_destroy, void (struct xarray *xa));
PROBE_FUNCTION(xa_alloc_cyclic,
	       int (struct xarray *xa, u32 *id, void *entry,
		    struct xa_limit limit, u32 *next, gfp_t gfp));
PROBE_FUNCTION(xa_cmpxchg, void *(struct xarray *xa, unsigned long index,
				  void *old, void *entry, gfp_t gfp));
PROBE_FUNCTION(rb_insert_color,
	       void (struct rb_node *node, struct rb_root *root));
PROBE_FUNCTION(rb_erase, void (struct rb_node *node, struct rb_root *root));
PROBE_FUNCTION(rb_next, struct rb_node *(const struct rb_node *node));
PROBE_FUNCTION(rb_first_postorder,
	       struct rb_node *(const struct rb_root *root));
PROBE_FUNCTION(rb_next_postorder,
	       struct rb_node *(const struct rb_node *node));
PROBE_MEMBER(struct rb_root, rb_node, struct rb_node *);
PROBE_MEMBER(struct rb_node, rb_left, struct rb_node *);
PROBE_MEMBER(struct rb_node, rb_right, struct rb_node *);
