// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinning and accounting memory
 *
 * Follows: "mm/gup: add a range variant of unpin_user_pages_dirty_lock()"
 * (Linux 5.14), and "mm: add account_locked_vm utility function" (Linux 5.3).
 */
#include <linux/mm.h>

#include "probe.h"

PROBE_FUNCTION(pin_user_pages_fast,
	       int (unsigned long start, int nr_pages, unsigned int gup_flags,
		    struct page **pages));
PROBE_FUNCTION(unpin_user_page, void (struct page *page));
PROBE_FUNCTION(unpin_user_pages,
	       void (struct page **pages, unsigned long npages));
PROBE_FUNCTION(unpin_user_page_range_dirty_lock,
	       void (struct page *page, unsigned long npages,
		     bool make_dirty));
PROBE_FUNCTION(account_locked_vm,
	       int (struct mm_struct *mm, unsigned long pages, bool inc));
PROBE_FUNCTION(vmalloc_to_page, struct page *(const void *addr));
PROBE_MEMBER(struct page, _refcount, atomic_t);
