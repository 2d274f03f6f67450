// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reviewed list of intended differences. Each refers to the row of
 * Documentation/differences.rst that says why; its condition names the request,
 * what both sides hold, and both answers, and it tells to the byte by how much
 * the charges differ. Its repair undoes the call where it has done something
 * that the other side refused, or does it on the other side.
 *
 * Some are not to be seen in the answers: what the in-tree driver has done
 * besides is known from reading it, and comes to light by its charge, or with
 * the calls that follow if it isn't repaired.
 *
 * Rows that one call at a time can't show have no rule: those about threads,
 * several groups, two containers of a process, failing firmware or memory, and
 * messages in the kernel's log. Rows about what would harm the kernel are in
 * differ_never.c.
 */
#include "differ.h"

#include <asm/eeh.h>
#include <stdlib.h>
#include <string.h>

/* log2 of the most bytes that one of several levels may have */
#define MOST_LEVEL_SHIFT 19

static int ours(const struct result *res)
{
	return res->a[OURS].ret;
}

static int intree(const struct result *res)
{
	return res->a[INTREE].ret;
}

static bool judged(const struct result *res, uint32_t nr)
{
	return res->call->nr == nr &&
	       may_call(&res->r->m, res->call) &&
	       head_is_valid(res->call);
}

/* Whether the limit leaves room on one side, as it was before the call */
bool fits(const struct result *res, enum side side, int64_t bytes)
{
	int64_t limit = res->r->m.limit;

	/* A size of 2^63 or more is negative here */
	return !limit || (bytes >= 0 && bytes <= limit - res->before[side]);
}

static void explain(struct result *res)
{
	res->explained = true;
}

static void must(struct result *res, enum side side, struct call call, int want)
{
	int ret = call_on(res->r, side, &call, NULL);

	if (ret != want)
		differs(res->r, call.nr,
			"%s says %d instead of %d to %s, which should have brought both sides together",
			side_name[side], ret, want, name_of(call.nr));
}

/*
 * MAP_DMA and UNMAP_DMA
 */

/* The range of such a request, and the window it begins in */
struct range {
	uint64_t iova;
	uint64_t size;
	struct window w;
	int slot;
};

static bool range_of(const struct result *res, struct range *range)
{
	const union request *arg = &res->call->arg;

	if (!res->r->m.enabled)
		return false;
	if (judged(res, VFIO_IOMMU_MAP_DMA)) {
		range->iova = arg->map.iova;
		range->size = arg->map.size;
	} else if (judged(res, VFIO_IOMMU_UNMAP_DMA)) {
		range->iova = arg->unmap.iova;
		range->size = arg->unmap.size;
	} else {
		return false;
	}
	range->slot = window_at(&res->r->m, range->iova, &range->w);
	return true;
}

static bool maps(const struct result *res, struct range *range)
{
	return res->call->nr == VFIO_IOMMU_MAP_DMA && range_of(res, range) &&
	       range->slot >= 0;
}

/* Makes one side's table say what the model says of a range */
static void restore(struct result *res, enum side side,
		    const struct range *range)
{
	const struct model *m = &res->r->m;
	const struct window *w = &range->w;
	uint64_t one = 1ULL << w->shift;
	uint64_t span = side == OURS ? w->size : window_span(w);
	uint64_t iova = range->iova & ~(one - 1);
	uint64_t last = range->iova + range->size - 1;

	if (!range->size || range->slot < 0 || !w->live)
		return;
	if (last - w->start >= span)
		last = w->start + span - 1;
	last |= one - 1;
	must(res, side, call_unmap(m, iova, last - iova + 1), 0);
	for (int i = 0; i < m->runs; i++) {
		struct run run = m->run[i];
		uint64_t run_last = run.iova + run.size - 1;
		uint64_t from = run.iova < iova ? iova : run.iova;
		uint64_t to = run_last < last ? run_last : last;

		if (from <= to)
			must(res, side,
			     call_map(m, from, run.ua + (from - run.iova),
				      to - from + 1, run.perm), 0);
	}
}

static void restore_in_tree(struct result *res)
{
	struct range range;

	if (range_of(res, &range))
		restore(res, INTREE, &range);
}

static void restore_ours(struct result *res)
{
	struct range range;

	if (range_of(res, &range))
		restore(res, OURS, &range);
}

/*
 * What the in-tree driver says to a MAP that passes its checks, IOMMU page by
 * IOMMU page. In @done bytes that it has mapped, and wiped where it failed.
 */
static int build_in_tree(const struct model *m,
			 const struct vfio_iommu_type1_dma_map *map,
			 unsigned int shift, uint64_t *done)
{
	uint64_t one = 1ULL << shift;

	for (*done = 0; *done < map->size; *done += one) {
		uint64_t ua = map->vaddr + *done;
		const struct region *r = region_at(m, ua, one);

		if (!r || shift > largest_shift_in_tree(r))
			return -EINVAL;
		if (shift > machine.page_shift && !is_huge(ua))
			return -EPERM;
	}
	return 0;
}

/* What it says to a MAP or UNMAP that begins in one of its windows */
static int known_in_tree(const struct result *res, const struct range *range,
			 uint64_t *done)
{
	const struct vfio_iommu_type1_dma_map *map = &res->call->arg.map;
	uint64_t mask = (1ULL << range->w.shift) - 1;
	bool maps = res->call->nr == VFIO_IOMMU_MAP_DMA;

	*done = 0;
	if (range->size & mask ||
	    (maps && (map->vaddr & mask || !(map->flags & READ_WRITE))))
		return -EINVAL;
	if (range->iova & mask)
		return 1;
	return maps ? build_in_tree(&res->r->m, map, range->w.shift, done) : 0;
}

static bool is_contiguous(const struct result *res, const struct range *range)
{
	return side_contiguous(&res->r->side[OURS], res->call->actor,
			       res->call->arg.map.vaddr, range->size,
			       range->w.shift);
}

/* What this module says to a MAP that is in order but for its memory */
static int memory_ours(const struct result *res, const struct range *range)
{
	if (!all_registered(&res->r->m, res->call->arg.map.vaddr, range->size,
			    range->w.shift))
		return -EINVAL;
	return range->w.shift <= machine.page_shift ||
	       is_contiguous(res, range) ? 0 : -EINVAL;
}

/* What it says to any MAP or UNMAP, as long as no limit is met */
static int known_ours(const struct result *res, const struct range *range)
{
	const struct vfio_iommu_type1_dma_map *map = &res->call->arg.map;
	uint64_t off = range->iova - range->w.start;
	bool maps = res->call->nr == VFIO_IOMMU_MAP_DMA;
	uint64_t ua = maps ? map->vaddr : 0;

	if (range->slot < 0 || off >= range->w.size)
		return -ENXIO;
	if (!range->size || ua + range->size < ua ||
	    (range->iova | ua | range->size) & ((1ULL << range->w.shift) - 1) ||
	    range->size > range->w.size - off)
		return -EINVAL;
	if (!maps)
		return 0;
	return map->flags & READ_WRITE ? memory_ours(res, range) : -EINVAL;
}

/* Whether a request is in a window, and each side says what it has to */
static bool both_as_known(const struct result *res, struct range *range)
{
	uint64_t done;

	return range_of(res, range) && range->slot >= 0 &&
	       ours(res) != intree(res) &&
	       intree(res) == known_in_tree(res, range, &done) &&
	       ours(res) == known_ours(res, range);
}

static bool is_size_0(struct result *res)
{
	struct range range;

	if (!both_as_known(res, &range) || range.size || intree(res))
		return false;
	explain(res);
	return true;
}

static bool is_misaligned(struct result *res)
{
	struct range range;

	if (!both_as_known(res, &range) || intree(res) != 1)
		return false;
	explain(res);
	return true;
}

/* In the in-tree driver's window, but not in the one that was asked for */
static bool is_beyond_the_size(struct result *res)
{
	struct range range;
	uint64_t off;

	if (!both_as_known(res, &range))
		return false;
	off = range.iova - range.w.start;
	if (off < range.w.size && range.size <= range.w.size - off)
		return false;
	explain(res);
	return true;
}

/* The part of a MAP's range that the in-tree driver has mapped and wiped */
static bool wiped(const struct result *res, struct range *range)
{
	uint64_t done;

	if (!maps(res, range) || intree(res) >= 0 ||
	    intree(res) != known_in_tree(res, range, &done))
		return false;
	range->size = done;
	return done;
}

static bool is_wiped(struct result *res)
{
	struct range range;

	return wiped(res, &range) &&
	       any_mapped(&res->r->m, range.iova, range.size);
}

static void restore_wiped(struct result *res)
{
	struct range range;

	if (wiped(res, &range))
		restore(res, INTREE, &range);
}

static bool takes_large_pages(const struct result *res, struct range *range)
{
	return res->call->nr == VFIO_IOMMU_MAP_DMA &&
	       both_as_known(res, range) &&
	       range->w.shift > machine.page_shift;
}

/* Base pages that happen to be contiguous */
static bool is_large_page(struct result *res)
{
	struct range range;

	if (!takes_large_pages(res, &range) || ours(res))
		return false;
	explain(res);
	return true;
}

/* Base pages behind huge ones */
static bool is_not_contiguous(struct result *res)
{
	struct range range;

	if (!takes_large_pages(res, &range) || intree(res) != -EPERM ||
	    ours(res) != -EINVAL)
		return false;
	explain(res);
	return true;
}

/*
 * Levels that a mapping has made here are charged; there all were at once, so
 * that the limit, which is the same for both, can't be met by them: no rule is
 * for that. (A test of conformance_limit.c is.)
 */
static bool is_growth(struct result *res)
{
	struct range range;
	int64_t bytes;

	if (!maps(res, &range) || ours(res))
		return false;
	bytes = growth(&res->r->m, range.slot, range.iova, range.size);
	res->skew -= bytes;
	return bytes;
}

static void note_growth(struct result *res)
{
	struct range range;

	if (range_of(res, &range))
		model_grow(&res->r->m, range.slot, range.iova, range.size);
}

/*
 * The default window
 */

static int64_t default_charge(void)
{
	struct window w = window_of_default();

	return charge_in_tree(&w);
}

static bool creates(const struct result *res)
{
	return judged(res, VFIO_IOMMU_SPAPR_TCE_CREATE);
}

/*
 * This module takes it back when the window that was asked for can't be had, but
 * not a hypervisor's: where that one does not fit into the limit beside it
 */
static bool ours_has_made_default(const struct result *res)
{
	return machine.hypervisor && creates(res) && ours(res) == -ENOMEM &&
	       fits(res, OURS, default_charge());
}

/* Whether the in-tree driver has made it with this call, be it alone or not */
static bool makes_default(struct result *res, uint32_t nr)
{
	const struct model *m = &res->r->m;
	struct range range;

	if (!m->pending || res->call->nr != nr ||
	    !fits(res, INTREE, default_charge()))
		return false;
	if (!creates(res) && !range_of(res, &range))
		return false;
	if (nr != VFIO_IOMMU_UNMAP_DMA && !ours(res))
		return false;
	if (!ours_has_made_default(res))
		res->skew += default_charge();
	return true;
}

static bool is_default_of_map(struct result *res)
{
	return makes_default(res, VFIO_IOMMU_MAP_DMA);
}

static bool is_default_of_unmap(struct result *res)
{
	return makes_default(res, VFIO_IOMMU_UNMAP_DMA);
}

static bool is_default_of_create(struct result *res)
{
	return makes_default(res, VFIO_IOMMU_SPAPR_TCE_CREATE);
}

/* Has this module make it too, by mapping something there for a moment */
static void make_default(struct result *res)
{
	struct run_state *r = res->r;

	if (!r->m.pending)
		return;
	if (!sink_register(r)) {
		r->over = true;
		return;
	}
	must(res, OURS, call_map(&r->m, 0, SINK, TCE_4K, READ_ONLY), 0);
	must(res, OURS, call_unmap(&r->m, 0, TCE_4K), 0);
	model_make_default(&r->m);
}

/* A limit that the in-tree driver meets where it makes the default window */
static bool is_default_refused(struct result *res)
{
	struct range range;

	if (!res->r->m.pending || !range_of(res, &range) ||
	    intree(res) != -ENOMEM || fits(res, INTREE, default_charge()) ||
	    ours(res) != known_ours(res, &range))
		return false;
	if (!ours(res) && res->call->nr == VFIO_IOMMU_MAP_DMA)
		res->skew -= default_charge();
	explain(res);
	return true;
}

static void give_up_after_map(struct result *res)
{
	if (!ours(res) && res->call->nr == VFIO_IOMMU_MAP_DMA)
		res->r->over = true;
}

/*
 * TCE_CREATE and TCE_REMOVE
 */

static struct window wanted(const struct result *res)
{
	return (struct window){
		.live = true,
		.size = res->call->arg.create.window_size,
		.shift = res->call->arg.create.page_shift,
		.levels = res->call->arg.create.levels,
	};
}

static bool offered(const struct window *w)
{
	return w->shift < 64 && machine.pgsizes >> w->shift & 1;
}

/* What no platform makes */
static bool is_bad(const struct window *w)
{
	return !offered(w) || !w->levels || w->levels > machine.max_levels ||
	       !w->size || w->size & (w->size - 1) || !(w->size >> w->shift) ||
	       spans_too_much(w);
}

static bool is_bad_and_no_slot(struct result *res)
{
	struct window w = wanted(res);

	if (!creates(res) || free_slot(&res->r->m) >= 0 || !is_bad(&w) ||
	    intree(res) != -ENOSPC || ours(res) != -EINVAL)
		return false;
	explain(res);
	return true;
}

/* Levels that the platform may not get when a client maps, refused here for that */
static bool is_large_level(const struct result *res, const struct window *w)
{
	return creates(res) && !machine.hypervisor && ours(res) == -ENOMEM &&
	       w->levels > 1 && !is_bad(w) &&
	       level_shift(w) > MOST_LEVEL_SHIFT;
}

static bool is_large_level_and_no_slot(struct result *res)
{
	struct window w = wanted(res);

	if (!is_large_level(res, &w) || intree(res) != -ENOSPC)
		return false;
	explain(res);
	return true;
}

static bool is_large_level_made(struct result *res)
{
	struct window w = wanted(res);

	if (!is_large_level(res, &w) || (intree(res) && intree(res) != -EFAULT))
		return false;
	res->skew += charge_in_tree(&w);
	explain(res);
	return true;
}

/* What the in-tree driver charges for a table that it then asks for, or 0 */
static int64_t charge_first(struct result *res)
{
	const struct model *m = &res->r->m;
	int64_t already = m->pending ? default_charge() : 0, bytes;
	struct window w = wanted(res);

	if (!creates(res) || free_slot(m) < 0 || !offered(&w) ||
	    !fits(res, INTREE, already))
		return 0;
	bytes = charge_in_tree(&w);
	return fits(res, INTREE, already + bytes) ? bytes : 0;
}

static bool is_charge_kept(struct result *res)
{
	int64_t bytes = charge_first(res);

	if (!bytes || intree(res) >= 0 || intree(res) == -EFAULT)
		return false;
	res->skew += bytes;
	return true;
}

static void note_leak(struct result *res)
{
	res->r->m.leaked += charge_first(res);
}

/* Where the window is that only the in-tree driver has */
static uint64_t start_in_tree(const struct model *m)
{
	return free_slot(m) ? WINDOW1_START : 0;
}

static bool is_answer_lost(struct result *res)
{
	int64_t bytes = charge_first(res);

	if (!bytes || res->call->where != READ_ONLY_PAGE ||
	    intree(res) != -EFAULT || ours(res) != -EFAULT)
		return false;
	res->skew += bytes;
	return true;
}

static void remove_in_tree(struct result *res)
{
	const struct model *m = &res->r->m;

	must(res, INTREE, call_remove(m, start_in_tree(m)), 0);
}

/* All levels are charged there, what exists here */
static bool is_all_charged(struct result *res)
{
	struct window w = wanted(res);

	if (!creates(res) || ours(res) || intree(res) || w.levels < 2)
		return false;
	res->skew += charge_in_tree(&w) - charge_ours(&w);
	return true;
}

/* A window that a TCE_REMOVE's address lies in, not a pending one */
static bool removed_window(const struct result *res, struct window *w)
{
	const struct model *m = &res->r->m;
	int slot;

	if (!judged(res, VFIO_IOMMU_SPAPR_TCE_REMOVE))
		return false;
	slot = window_at(m, res->call->arg.remove.start_addr, w);
	return slot >= 0 && m->window[slot].live;
}

static bool is_all_given_back(struct result *res)
{
	struct window w;

	if (!removed_window(res, &w) || ours(res) || intree(res) ||
	    w.levels < 2)
		return false;
	res->skew += charge_ours(&w) + w.grown - charge_in_tree(&w);
	return true;
}

static bool is_inside(struct result *res)
{
	struct window w;

	if (!removed_window(res, &w) || intree(res) || ours(res) != -EINVAL ||
	    w.start == res->call->arg.remove.start_addr)
		return false;
	res->skew -= charge_in_tree(&w);
	explain(res);
	return true;
}

static void remove_ours(struct result *res)
{
	struct run_state *r = res->r;
	struct answer none = {};
	struct call call;
	struct window w = {};

	removed_window(res, &w);
	call = call_remove(&r->m, w.start);
	must(res, OURS, call, 0);
	model_apply(&r->m, &call, &none);
}

/* The limit is met there by the default window, or levels that don't exist */
static bool is_create_refused(struct result *res)
{
	const struct model *m = &res->r->m;
	int64_t already = m->pending ? default_charge() : 0;
	struct window w = wanted(res);

	if (!creates(res) || intree(res) != -ENOMEM || ours(res) == -ENOMEM)
		return false;
	if (fits(res, INTREE, already) &&
	    (free_slot(m) < 0 || !offered(&w) ||
	     fits(res, INTREE, already + charge_in_tree(&w))))
		return false;
	if (!ours(res)) {
		res->skew -= already + charge_ours(&w);
		if (already && fits(res, INTREE, already))
			res->skew += already;
	}
	explain(res);
	return true;
}

static void undo_create(struct result *res)
{
	struct run_state *r = res->r;

	if (ours(res))
		return;
	if (r->m.pending && !fits(res, INTREE, default_charge())) {
		r->over = true;
		return;
	}
	model_make_default(&r->m);
	must(res, OURS,
	     call_remove(&r->m, res->a[OURS].out.create.start_addr), 0);
}

/*
 * REGISTER_MEMORY and UNREGISTER_MEMORY
 */

static bool registers(const struct result *res, uint64_t *ua, uint64_t *size)
{
	*ua = res->call->arg.memory.vaddr;
	*size = res->call->arg.memory.size;
	return judged(res, VFIO_IOMMU_SPAPR_REGISTER_MEMORY);
}

/* The in-tree driver says how many pages it could pin, if not all or none */
static bool is_short(const struct result *res, uint64_t ua, uint64_t size)
{
	uint64_t pages = writable_pages(ua, size);

	return pages < size >> machine.page_shift &&
	       intree(res) == (pages ? (int)pages : -EFAULT);
}

/* Whether a process can have such addresses (asm/task_size_64.h) */
static bool can_be_user(uint64_t ua, uint64_t size)
{
	uint64_t end = machine.page_shift == 16 ? 1ULL << 52 : 1ULL << 46;

	return size <= end && ua <= end - size;
}

/* Whether this module misses memory there, before it looks at the limit */
static bool is_missing(const struct result *res, uint64_t ua, uint64_t size)
{
	return !can_be_user(ua, size) ||
	       (!is_mapped(ua, size) &&
		!overlaps_region(&res->r->m, ua, size));
}

/* Whether there is nothing against a registration here but its limit */
static bool can_be_registered(const struct result *res, uint64_t ua,
			      uint64_t size)
{
	return is_mapped(ua, size) && fits(res, OURS, size) &&
	       !overlaps_region(&res->r->m, ua, size);
}

static bool is_hole(struct result *res)
{
	uint64_t ua, size;

	if (!registers(res, &ua, &size) || !is_missing(res, ua, size) ||
	    !is_short(res, ua, size) || intree(res) < 0 ||
	    ours(res) != -EFAULT)
		return false;
	explain(res);
	return true;
}

static bool is_unmapped_over_limit(struct result *res)
{
	uint64_t ua, size;

	if (!registers(res, &ua, &size) || !is_missing(res, ua, size) ||
	    intree(res) != -ENOMEM || fits(res, INTREE, size) ||
	    ours(res) != -EFAULT)
		return false;
	explain(res);
	return true;
}

static bool is_read_only(struct result *res)
{
	uint64_t ua, size;

	if (!registers(res, &ua, &size) || !is_short(res, ua, size) ||
	    !can_be_registered(res, ua, size) || ours(res))
		return false;
	res->skew -= size;
	explain(res);
	return true;
}

/* Here there is room left in the limit; there defects have used it up */
static bool is_register_refused(struct result *res)
{
	uint64_t ua, size;

	if (!registers(res, &ua, &size) || intree(res) != -ENOMEM ||
	    fits(res, INTREE, size) || !can_be_registered(res, ua, size) ||
	    ours(res))
		return false;
	res->skew -= size;
	explain(res);
	return true;
}

static void unregister_ours(struct result *res)
{
	const union request *arg = &res->call->arg;
	struct run_state *r = res->r;

	must(res, OURS, call_unregister(&r->m, arg->memory.vaddr,
					arg->memory.size), 0);
	/* It has been enabled by that */
	if (!r->m.enabled && !sink_register(r))
		r->over = true;
}

static bool is_overlap(struct result *res)
{
	uint64_t ua, size;

	if (!registers(res, &ua, &size) || ours(res) != -EINVAL ||
	    !overlaps_region(&res->r->m, ua, size))
		return false;
	if (!is_short(res, ua, size) &&
	    !(intree(res) == -ENOMEM && !fits(res, INTREE, size)))
		return false;
	explain(res);
	return true;
}

static bool is_misplaced(const struct call *call)
{
	return (call->arg.memory.vaddr | call->arg.memory.size) &
	       ((1ULL << machine.page_shift) - 1);
}

/* Here the request is read before anything else */
static bool is_never_bound(struct result *res)
{
	const struct call *call = res->call;
	int want = -ENOENT;

	if (!is_read(call))
		want = -EFAULT;
	else if (!head_is_valid(call) || is_misplaced(call))
		want = -EINVAL;
	if (call->nr != VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY ||
	    res->r->m.bound != NOBODY || intree(res) != -EPERM ||
	    ours(res) != want)
		return false;
	explain(res);
	return true;
}

/* Whether a request is refused for what it says, whatever there is */
static bool is_malformed(const struct call *call)
{
	uint64_t ua = call->arg.memory.vaddr, size = call->arg.memory.size;

	if (!head_is_valid(call))
		return true;
	return call->nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY &&
	       (!size || is_misplaced(call) || !can_be_user(ua, size));
}

static bool is_bound_by_refused(struct result *res)
{
	return res->r->m.bound == NOBODY && binds(res->call) &&
	       is_malformed(res->call) && ours(res) < 0;
}

/*
 * By now the model says that both are bound. Here it is done with a request
 * that is in order, for a window that isn't there.
 */
static void bind_ours(struct result *res)
{
	struct call call = call_remove(&res->r->m, 3);

	check_bound(res->r, OURS, false);
	check_bound(res->r, INTREE, true);
	must(res, OURS, call, -EINVAL);
}

/*
 * The rest
 */

static bool is_v1(struct result *res)
{
	if (res->call->nr != VFIO_CHECK_EXTENSION ||
	    res->call->arg.value != VFIO_SPAPR_TCE_IOMMU ||
	    intree(res) != 1 || ours(res))
		return false;
	explain(res);
	return true;
}

/* What this module says of a request before it looks for an endpoint, or 0 */
static int eeh_refusal(const struct call *call)
{
	const struct vfio_eeh_pe_op *eeh = &call->arg.eeh;
	const size_t head = offsetof(struct vfio_eeh_pe_op, op) +
			    sizeof(eeh->op);
	bool injects = eeh->op == VFIO_EEH_PE_INJECT_ERR;

	/* Of one that injects an error the first fields are read, then all */
	if (!is_read(call) && !(injects && call->where == CUT_SHORT))
		return -EFAULT;
	if (eeh->argsz < head || eeh->flags || eeh->op > VFIO_EEH_PE_INJECT_ERR)
		return -EINVAL;
	if (!injects)
		return 0;
	if (eeh->argsz < sizeof(*eeh))
		return -EINVAL;
	if (!is_read(call))
		return -EFAULT;
	if (eeh->err.func > EEH_ERR_FUNC_MAX)
		return -EINVAL;
	return eeh->err.type > EEH_ERR_TYPE_64 ? -ERANGE : 0;
}

static bool is_eeh_without_pe(struct result *res)
{
	if (res->call->nr != VFIO_EEH_PE_OP ||
	    !may_call(&res->r->m, res->call) || intree(res) != -ENODEV ||
	    !ours(res) || ours(res) != eeh_refusal(res->call))
		return false;
	explain(res);
	return true;
}

/* Counted where pins are looked at */
static bool is_late_unpin(struct result *res)
{
	(void)res;
	return false;
}

/* In the order of their repairs: who is bound, what is made, what is undone */
static struct intended list[] = {
	{
		.name = "a refused request binds",
		.row = "REGISTER binds the container to the process even if malformed",
		.is = is_bound_by_refused,
		.repair = bind_ours,
	},
	{
		.name = "MAP of size 0",
		.row = "Size 0: returns 0",
		.is = is_size_0,
	},
	{
		.name = "misaligned iova",
		.row = "Misaligned iova: returns 1",
		.is = is_misaligned,
	},
	{
		.name = "large IOMMU page",
		.row = "IOMMU pages larger than the base page only over hugetlb",
		.is = is_large_page,
		.repair = restore_ours,
	},
	{
		.name = "not contiguous",
		.row = "IOMMU page over memory that is not contiguous: EINVAL or EPERM",
		.is = is_not_contiguous,
	},
	{
		.name = "growth is charged",
		.row = "Windows grow page by page with no charge",
		.is = is_growth,
		.repair = note_growth,
	},
	{
		.name = "default window after UNMAP",
		.row = "UNMAP before anything was mapped makes the default window",
		.is = is_default_of_unmap,
		.repair = make_default,
	},
	{
		.name = "default window after MAP",
		.row = "A refused MAP makes the default window all the same",
		.is = is_default_of_map,
		.repair = make_default,
	},
	{
		.name = "beyond the size",
		.row = "A window has at least a page of TCEs, more than asked for",
		.is = is_beyond_the_size,
		.repair = restore_in_tree,
	},
	{
		.name = "a failed MAP wipes",
		.row = "A MAP that fails half-way has wiped what was mapped",
		.is = is_wiped,
		.repair = restore_wiped,
	},
	{
		.name = "default window refused",
		.row = "A refused MAP makes the default window all the same",
		.is = is_default_refused,
		.repair = give_up_after_map,
	},
	{
		.name = "bad and no slot",
		.row = "Arguments are judged after the slot",
		.is = is_bad_and_no_slot,
	},
	{
		.name = "large levels and no slot",
		.row = "Arguments are judged after the slot",
		.is = is_large_level_and_no_slot,
	},
	{
		.name = "large levels",
		.row = "Levels larger than 512 KiB each are allocated while a client maps",
		.is = is_large_level_made,
		.repair = remove_in_tree,
	},
	{
		.name = "charge kept",
		.row = "A failing TCE_CREATE keeps its charge",
		.is = is_charge_kept,
		.repair = note_leak,
	},
	{
		.name = "answer lost",
		.row = "Its answer can't be written: EFAULT, the window stays",
		.is = is_answer_lost,
		.repair = remove_in_tree,
	},
	{
		.name = "all levels charged",
		.row = "The whole table is charged, all levels",
		.is = is_all_charged,
	},
	{
		.name = "all levels given back",
		.row = "The whole table is charged, all levels",
		.is = is_all_given_back,
	},
	{
		.name = "CREATE over the limit",
		.row = "The whole table is charged, all levels",
		.is = is_create_refused,
		.repair = undo_create,
	},
	{
		.name = "default window after CREATE",
		.row = "A failing TCE_CREATE has made the default window",
		.is = is_default_of_create,
		.repair = make_default,
	},
	{
		.name = "REMOVE inside a window",
		.row = "TCE_REMOVE with an address inside a window removes it",
		.is = is_inside,
		.repair = remove_ours,
	},
	{
		.name = "REGISTER with holes",
		.row = "REGISTER of a range with holes returns how many pages it pinned",
		.is = is_hole,
	},
	{
		.name = "REGISTER of nothing over the limit",
		.row = "REGISTER of a range that is neither mapped nor within the limit: ENOMEM",
		.is = is_unmapped_over_limit,
	},
	{
		.name = "REGISTER of read-only memory",
		.row = "REGISTER of read-only memory: EFAULT",
		.is = is_read_only,
		.repair = unregister_ours,
	},
	{
		.name = "REGISTER over the limit",
		.row = "The whole table is charged, all levels",
		.is = is_register_refused,
		.repair = unregister_ours,
	},
	{
		.name = "overlap after pinning",
		.row = "Overlap is found after pinning everything",
		.is = is_overlap,
	},
	{
		.name = "UNREGISTER in a fresh container",
		.row = "UNREGISTER in a fresh container: EPERM",
		.is = is_never_bound,
	},
	{
		.name = "late unpinning",
		.row = "Unregistered pages are unpinned some time later",
		.is = is_late_unpin,
	},
	{
		.name = "v1 extension",
		.row = "CHECK_EXTENSION of v1 in a v2 container: 1",
		.is = is_v1,
	},
	{
		.name = "EEH without a PE",
		.row = "EEH_PE_OP is checked group by group",
		.is = is_eeh_without_pe,
	},
};

_Static_assert(ARRAY_SIZE(list) <= MAX_INTENDED, "MAX_INTENDED is too small");

void intended_explain(struct result *res, bool *applies)
{
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		applies[i] = list[i].is(res);
		list[i].count += applies[i];
	}
}

void intended_repair(struct result *res, const bool *applies)
{
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		if (applies[i] && list[i].repair && !res->r->over)
			list[i].repair(res);
}

void intended_late_unpin(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i].count += list[i].is == is_late_unpin;
}

void intended_print(void)
{
	printf("# intended differences (Documentation/differences.rst):\n");
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		printf("# %6lu  %s (%s)\n", list[i].count, list[i].name,
		       list[i].row);
}
