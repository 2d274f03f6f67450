// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brief requests for one page: map or unmap a single TCE without sleeping.
 *
 * Clients that map one TCE per call spend most of the time in the kernel's code and in the
 * invalidation. So this file does only what every such request needs: it holds the page,
 * writes the TCE, invalidates the entry, and changes the view, in the order of src/tce_v2.c and
 * with the same guarantees. For a request that needs more, this file changes nothing and
 * returns TCE2_NOT_BRIEF. The caller then uses src/ddw.c. Such requests
 *
 *	- unmap an entry that is not mapped
 *	- map the first entry of a leaf of the view, or of a level of the table
 *	- need an array of entries in a leaf, or make the array of a leaf unnecessary
 *	- drop a page of a region that is not registered any more
 *	- come from another process than the owner of the mappings
 *	- meet a request that uses the same leaf, or a leaf with the same brief lock, for too long
 *	- use a window that KVM's hooks use, that a group has kept, that is tracked (src/track.c),
 *	  or that is being removed, or a window with large pages (tce2_window_serve_pages())
 *
 * Locks: the brief lock of the entry's leaf (include/tce2_range.h). Threads that change the
 * window itself hold all of its entries, so no lock of the window's owner is needed.
 * Calls: kvm, table, mm_iommu, range; inlines of extents, view and why.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compiler.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "tce2_extents.h"
#include "tce2_kvm.h"
#include "tce2_mm_iommu.h"
#include "tce2_page.h"
#include "tce2_tce_v2.h"
#include "tce2_view_page.h"
#include "tce2_why.h"

/* The platform refused the new TCE, and then the old TCE. Used only inside this file. */
#define PAGE_LEAKED	(TCE2_NOT_BRIEF + 1)

/*
 * Finds the region of a mapped page. Returns NULL if the caller must not drop the page: either
 * the lookup raced with a change of the tree, or the region is not registered any more. In
 * the second case the drop of its last page has to unpin it, which may sleep.
 */
static __always_inline struct tce2_region *page_region(const struct tce2_window *window, u64 ua)
{
	struct tce2_region *region = tce2_region_find(window->cache, ua,
						      1ULL << window->page_shift);

	return likely(region) && likely(READ_ONCE(region->used)) ? region : NULL;
}

/*
 * Writes the TCE of a mapped page again. @region contains the page, which the entry still
 * holds. Returns 0, or an error if that is not possible.
 */
static int page_restore(struct tce2_window *window, u64 index, u64 old,
			const struct tce2_region *region)
{
	u64 ua = old & ~TCE2_VIEW_FLAGS, hpa, flags;

	if (!tce2_extents_page(&region->extents, ua, window->page_shift, &hpa, &flags))
		return -EINVAL;
	return tce2_table_exchange_page(&window->table, index, hpa, old & TCE2_PERM_RW);
}

/*
 * Restores an entry that the platform has refused to write, and drops the new page. @old is the
 * entry's old user address and permissions in region @replaced, or 0 if it was not mapped.
 * Returns -EIO, or PAGE_LEAKED if the platform refuses again and the new page stays held.
 */
static noinline int page_undo(struct tce2_window *window, u64 index, u64 ua, u64 old,
			      const struct tce2_region *replaced)
{
	struct tce2_stale stale = {};
	int ret;

	if (old)
		ret = page_restore(window, index, old, replaced);
	else
		ret = tce2_table_clear(&window->table, index, 1, TCE2_TABLE_ANY, &stale);
	tce2_table_invalidate_few(&window->table, index, 1);
	if (ret)
		return PAGE_LEAKED;
	tce2_page_drop(window->cache, ua, window->page_shift);
	return -EIO;
}

/* Reports a refused map request after the leaf is unlocked, because a console may be slow */
static noinline int page_report(u64 iova, int ret)
{
	if (ret == PAGE_LEAKED)
		pr_err_ratelimited("platform did not restore the TCE at bus address %#llx: leaking the memory that it maps\n",
				   iova);
	pr_debug("MAP_DMA at bus address %#llx: error %d\n", iova, -EIO);
	return -EIO;
}

/* Writes the TCE of a held page. Returns 0, or -EIO after which the caller must undo it. */
static __always_inline int page_write(struct tce2_window *window, u64 index, u64 hpa, u64 perm,
				      __be64 *tce)
{
	if (tce)
		*tce = cpu_to_be64(tce2_make_tce(hpa, perm));
	else if (unlikely(tce2_table_exchange_page(&window->table, index, hpa, perm)))
		return -EIO;
	tce2_table_invalidate_few(&window->table, index, 1);
	return 0;
}

/* Implements tce2_window_map_page(); the caller holds the brief lock of the entry's leaf */
static __always_inline int page_map(struct tce2_window *window, u64 index, u64 ua, u64 perm)
{
	struct tce2_region *replaced = NULL;
	struct tce2_view_change change;
	__be64 *tce;
	u64 hpa, old;

	if (!tce2_brief_may_use(window) || tce2_brief_wants_mirrors(window) ||
	    unlikely(!tce2_view_plan_set(&window->view, index, ua, perm, &old, &change)))
		return TCE2_NOT_BRIEF;
	if (old) {
		replaced = page_region(window, old & ~TCE2_VIEW_FLAGS);
		if (unlikely(!replaced))
			return TCE2_NOT_BRIEF;
	}
	tce = tce2_table_find(&window->table, index);
	/* The platform may have to make a level of the table */
	if (!tce && unlikely(window->table.tbl->it_base))
		return TCE2_NOT_BRIEF;
	if (unlikely(!tce2_page_hold(window->cache, ua, window->page_shift,
				     perm & TCE2_PERM_WRITE, &hpa)))
		return TCE2_NOT_BRIEF;
	/* The request is carried out or refused in this file, and not again by src/ddw.c */
	tce2_count(window->counts, TCE2_REQUEST_MAP);
	if (unlikely(page_write(window, index, hpa, perm, tce)))
		return page_undo(window, index, ua, old, replaced);
	tce2_view_apply(&change);
	if (replaced)
		tce2_page_drop_from(replaced, old & ~TCE2_VIEW_FLAGS, window->page_shift);
	return 0;
}

/**
 * tce2_window_map_page() - map one page without sleeping, if possible
 * @window: the window; the caller found it in its RCU read-side section
 * @iova: bus address, in the window
 * @ua: user address
 * @perm: permissions for devices, see struct tce2_map_request
 *
 * Maps an entry in a leaf of the view that exists, and replaces an old mapping. The function
 * takes the same steps in the same order as tce2_window_map(), but allocates no memory, and
 * locks only the entry's leaf, with a brief lock. It serves only the process that owns the
 * mappings. All checks come before the first change, so a request that the function does not
 * carry out has changed nothing. The caller has checked both addresses with
 * tce2_page_is_one(). The function checks the rest of the request.
 *
 * Context: RCU read-side section in process context; the owner's lock is not needed.
 * Return: 0; -EIO if the platform refuses the entry, with nothing changed; TCE2_NOT_BRIEF,
 * with nothing changed, if the caller has to call tce2_window_map().
 */
int tce2_window_map_page(struct tce2_window *window, u64 iova, u64 ua, u64 perm)
{
	u64 index = (iova - window->start) >> window->page_shift;
	struct tce2_brief *brief = tce2_brief_of(window, index);
	int ret;

	if (unlikely(!perm) || !tce2_brief_lock(&window->ranges, brief))
		return TCE2_NOT_BRIEF;
	ret = page_map(window, index, ua, perm);
	tce2_brief_unlock(&window->ranges, brief);
	if (unlikely(ret && ret != TCE2_NOT_BRIEF))
		ret = page_report(iova, ret);
	return ret;
}

/* Implements tce2_window_unmap_page(); the caller holds the brief lock of the entry's leaf */
static __always_inline int page_unmap(struct tce2_window *window, u64 index)
{
	struct tce2_view_change change;
	struct tce2_region *region;
	u64 ua;

	if (!tce2_brief_may_use(window) ||
	    unlikely(!tce2_view_plan_remove(&window->view, index, &ua, &change)))
		return TCE2_NOT_BRIEF;
	region = page_region(window, ua);
	if (unlikely(!region) ||
	    unlikely(tce2_table_take_out(&window->table, index)))
		return TCE2_NOT_BRIEF;
	tce2_count(window->counts, TCE2_REQUEST_UNMAP);
	tce2_view_apply(&change);
	tce2_page_drop_from(region, ua, window->page_shift);
	return 0;
}

/**
 * tce2_window_unmap_page() - unmap one page without sleeping, if possible
 * @window: the window; the caller found it in its RCU read-side section
 * @iova: bus address, in the window
 *
 * Unmaps an entry that is mapped. The function takes the same steps in the same order as
 * tce2_window_unmap(). The caller has checked @iova with tce2_page_is_one(). Otherwise like
 * tce2_window_map_page().
 *
 * Context: RCU read-side section in process context; the owner's lock is not needed.
 * Return: 0; TCE2_NOT_BRIEF, with nothing changed, if the caller has to call
 * tce2_window_unmap().
 */
int tce2_window_unmap_page(struct tce2_window *window, u64 iova)
{
	u64 index = (iova - window->start) >> window->page_shift;
	struct tce2_brief *brief = tce2_brief_of(window, index);
	int ret;

	if (!tce2_brief_lock(&window->ranges, brief))
		return TCE2_NOT_BRIEF;
	ret = page_unmap(window, index);
	tce2_brief_unlock(&window->ranges, brief);
	return ret;
}
