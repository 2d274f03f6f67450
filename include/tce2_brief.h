/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_BRIEF_H
#define TCE2_BRIEF_H

#include <linux/compiler.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "tce2_cache.h"
#include "tce2_kvm.h"
#include "tce2_tce_v2.h"

/* Common parts of src/page.c and src/pages.c, which carry out requests under a brief lock */

/* A request can't be carried out without sleeping, see tce2_window_map_page() */
#define TCE2_NOT_BRIEF	1

/**
 * tce2_brief_of() - find the brief lock of an entry's leaf
 * @window: the window
 * @index: the entry
 *
 * Return: the brief lock.
 */
static __always_inline struct tce2_brief *tce2_brief_of(struct tce2_window *window, u64 index)
{
	return &window->briefs[tce2_brief_number(index >> TCE2_VIEW_LEAF_SHIFT)];
}

/**
 * tce2_brief_may_use() - check whether a request that does not sleep may use a window
 * @window: the window; the caller holds the brief lock of the request's leaf
 *
 * KVM's hooks do not take brief locks, so a hooked view is excluded.
 *
 * Return: true if the request may change entries of the leaf.
 */
static __always_inline bool tce2_brief_may_use(const struct tce2_window *window)
{
	return likely(READ_ONCE(window->serves_pages)) && likely(!window->view.hooked) &&
	       likely(READ_ONCE(window->cache->mm) == current->mm);
}

/**
 * tce2_brief_wants_mirrors() - check whether a map request has to make mirrors
 * @window: the window; the caller holds the brief lock of the request's leaf
 *
 * Return: true if the request has to take the general path, see ddw_wants_mirrors().
 */
static __always_inline bool tce2_brief_wants_mirrors(const struct tce2_window *window)
{
	return unlikely(tce2_kvm_attached(window->kvm)) &&
	       READ_ONCE(window->cache->mirrors_due) && tce2_kvm_maps(window->kvm);
}

#endif /* TCE2_BRIEF_H */
