// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brief requests for several pages of one leaf: map or unmap up to 512 TCEs without sleeping.
 *
 * Threads that map in different leaves should neither wait for each other nor write to the same
 * cache lines. So a request for adjacent entries of one leaf is carried out like a request for
 * one page (src/page.c): with the same lock, in the same order and with the same guarantees.
 * For a request that needs more, this file changes nothing and returns TCE2_NOT_BRIEF. The
 * caller then uses src/ddw.c. The header of src/page.c lists such requests. In this file there
 * are also requests that
 *
 *	- have an address or a size that is no multiple of the page size
 *	- have entries in several leaves, or memory in several regions
 *	- unmap entries that are not mapped, or replace only some entries
 *	- unmap or replace entries that do not map adjacent memory of one region
 *	- use pages that are larger than the kernel's pages, or map a region with read-only
 *	  memory for writing
 *	- use a table that only the platform can write, as in a hypervisor's guest, where a
 *	  hypercall costs more than all locks
 *
 * Locks: the brief lock of the leaf (include/tce2_range.h), as src/page.c.
 * Calls: kvm, table, mm_iommu, range; inlines of extents, view and why.
 */
#include <linux/compiler.h>
#include <linux/rcupdate.h>

#include "tce2_extents.h"
#include "tce2_mm_iommu.h"
#include "tce2_pages.h"
#include "tce2_tce_v2.h"
#include "tce2_view_page.h"
#include "tce2_why.h"

/*
 * Finds the entries of a request. Returns false if the request is not for adjacent entries of
 * one leaf. The address @ua is 0 for an unmap request.
 */
static bool pages_find_run(const struct tce2_window *window, u64 iova, u64 ua, u64 size,
			   struct tce2_view_run *run)
{
	u64 offset = iova - window->start, mask = (1ULL << window->page_shift) - 1;

	run->index = offset >> window->page_shift;
	run->count = size >> window->page_shift;
	run->ua = ua;
	return run->count && !((iova | ua | size) & mask) &&
	       run->count <= TCE2_VIEW_LEAF - (run->index & TCE2_LEAF_MASK) &&
	       size <= window->size - offset && window->page_shift <= PAGE_SHIFT;
}

/* Returns the memory of the entries of a run */
static struct tce2_memory pages_memory(const struct tce2_window *window,
				       const struct tce2_view_run *run)
{
	return (struct tce2_memory){
		.ua = run->ua,
		.pages = run->count,
		.shift = window->page_shift,
		.write = run->perm & TCE2_PERM_WRITE,
	};
}

/* Stores the TCEs of a run, whose pages the caller holds in @region */
static void pages_store(struct tce2_window *window, const struct tce2_view_run *run,
			const struct tce2_region *region, __be64 *tces)
{
	struct tce2_memory rest = pages_memory(window, run);

	while (rest.pages) {
		struct tce2_blocks blocks = tce2_extents_blocks(&region->extents, rest.ua,
								rest.pages, rest.shift);

		tce2_table_store(tces, &blocks, run->perm);
		tces += blocks.pages;
		tce2_memory_skip(&rest, blocks.pages);
	}
}

/*
 * Finds the region of the mapped pages of a run. Returns NULL if the caller must not drop the
 * pages, see page_region().
 */
static struct tce2_region *pages_region(const struct tce2_window *window,
					const struct tce2_memory *memory)
{
	struct tce2_region *region = tce2_region_find(window->cache, memory->ua,
						      memory->pages << memory->shift);

	return region && READ_ONCE(region->used) ? region : NULL;
}

/* Implements tce2_window_map_pages(); the caller holds the brief lock of the leaf */
static int pages_map(struct tce2_window *window, const struct tce2_view_run *run)
{
	struct tce2_memory memory = pages_memory(window, run), old_memory = memory;
	struct tce2_region *region, *replaced = NULL;
	struct tce2_view_change_run change;
	__be64 *tces;
	u64 old;

	if (!tce2_brief_may_use(window) || tce2_brief_wants_mirrors(window) ||
	    !tce2_view_plan_set_run(&window->view, run, &old, &change))
		return TCE2_NOT_BRIEF;
	if (old) {
		old_memory.ua = old & ~TCE2_VIEW_FLAGS;
		replaced = pages_region(window, &old_memory);
		if (!replaced)
			return TCE2_NOT_BRIEF;
	}
	/* A lowest-level table consists of whole leaves, so the TCEs are adjacent */
	tces = tce2_table_find(&window->table, run->index);
	if (!tces)
		return TCE2_NOT_BRIEF;
	region = tce2_pages_hold(window->cache, &memory);
	if (!region)
		return TCE2_NOT_BRIEF;
	tce2_count(window->counts, TCE2_REQUEST_MAP);
	pages_store(window, run, region, tces);
	tce2_table_invalidate_few(&window->table, run->index, run->count);
	tce2_view_apply_run(&change);
	if (replaced)
		tce2_pages_drop_from(replaced, &old_memory);
	return 0;
}

/**
 * tce2_window_map_pages() - map several pages of one leaf without sleeping, if possible
 * @window: the window; the caller found it in its RCU read-side section
 * @iova: first bus address, in the window
 * @ua: first user address
 * @size: bytes
 * @perm: permissions for devices, see struct tce2_map_request
 *
 * Same as tce2_window_map_page() for entries of which none or all are mapped. The function
 * checks the request.
 *
 * Context: RCU read-side section in process context; the owner's lock is not needed.
 * Return: 0; TCE2_NOT_BRIEF, with nothing changed, if the caller has to call
 * tce2_window_map().
 */
int tce2_window_map_pages(struct tce2_window *window, u64 iova, u64 ua, u64 size, u64 perm)
{
	struct tce2_view_run run = { .perm = perm };
	struct tce2_brief *brief;
	int ret;

	if (!perm || !pages_find_run(window, iova, ua, size, &run))
		return TCE2_NOT_BRIEF;
	brief = tce2_brief_of(window, run.index);
	if (!tce2_brief_lock(&window->ranges, brief))
		return TCE2_NOT_BRIEF;
	ret = pages_map(window, &run);
	tce2_brief_unlock(&window->ranges, brief);
	return ret;
}

static void pages_clear(__be64 *tces, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++)
		WRITE_ONCE(tces[i], 0);
}

/* Implements tce2_window_unmap_pages(); the caller holds the brief lock of the leaf */
static int pages_unmap(struct tce2_window *window, struct tce2_view_run *run)
{
	struct tce2_view_change_run change;
	struct tce2_memory memory;
	struct tce2_region *region;
	__be64 *tces;

	if (!tce2_brief_may_use(window) ||
	    !tce2_view_plan_remove_run(&window->view, run->index, run->count, &run->ua,
				       &change))
		return TCE2_NOT_BRIEF;
	memory = pages_memory(window, run);
	region = pages_region(window, &memory);
	tces = tce2_table_find(&window->table, run->index);
	if (!region || !tces)
		return TCE2_NOT_BRIEF;
	tce2_count(window->counts, TCE2_REQUEST_UNMAP);
	pages_clear(tces, run->count);
	tce2_table_invalidate_few(&window->table, run->index, run->count);
	tce2_view_apply_run(&change);
	tce2_pages_drop_from(region, &memory);
	return 0;
}

/**
 * tce2_window_unmap_pages() - unmap several pages of one leaf without sleeping, if possible
 * @window: the window; the caller found it in its RCU read-side section
 * @iova: first bus address, in the window
 * @size: bytes
 *
 * Unmaps entries that are all mapped, to adjacent memory of one region. Otherwise like
 * tce2_window_map_pages().
 *
 * Context: RCU read-side section in process context; the owner's lock is not needed.
 * Return: 0; TCE2_NOT_BRIEF, with nothing changed, if the caller has to call
 * tce2_window_unmap().
 */
int tce2_window_unmap_pages(struct tce2_window *window, u64 iova, u64 size)
{
	struct tce2_view_run run = {};
	struct tce2_brief *brief;
	int ret;

	if (!pages_find_run(window, iova, 0, size, &run))
		return TCE2_NOT_BRIEF;
	brief = tce2_brief_of(window, run.index);
	if (!tce2_brief_lock(&window->ranges, brief))
		return TCE2_NOT_BRIEF;
	ret = pages_unmap(window, &run);
	tce2_brief_unlock(&window->ranges, brief);
	return ret;
}
