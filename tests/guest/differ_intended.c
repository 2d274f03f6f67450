// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reviewed list of intended differences. Each entry names the row of
 * Documentation/differences.rst that has the reason. The entry's condition checks the
 * request, the state of both sides and both answers, and states to the byte how the
 * charges differ. If only one side has carried out the call, the entry's repair undoes
 * the call on that side, or repeats the call on the other side.
 *
 * Some calls have equal answers, but a side effect in the in-tree driver, which is known
 * from its source. The test finds the side effect in the charge. Without a repair, the
 * answers of later calls would differ.
 *
 * Rows that a single call cannot show have no entry. These are rows about threads,
 * several groups, two containers of a process, failing firmware or memory, and messages
 * in the kernel log. Calls that would harm the kernel are in differ_never.c.
 */
#include "differ.h"

#include <asm/eeh.h>
#include <stdlib.h>
#include <string.h>

/* log2 of the largest level, in bytes, that this module allows in a table of several levels */
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

/* Check that the limit on locked memory allowed a side to charge @bytes in the call */
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
			"%s returned %d instead of %d from %s, called to repair a difference",
			side_name[side], ret, want, name_of(call.nr));
}

/*
 * MAP_DMA and UNMAP_DMA
 */

/* The range of a MAP or UNMAP, and the window that contains the first address */
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

/* Unmap and map a range on one side, so that its table agrees with the model again */
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
 * Return the in-tree driver's answer to a MAP with valid arguments. The driver maps one
 * IOMMU page after the other. If it fails to map a page, the driver clears all entries
 * that it has written. @done is set to the number of bytes mapped before the failure.
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

/* Return the in-tree driver's answer to a MAP or UNMAP that begins in one of its windows */
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

/* Return this module's answer to a MAP if all arguments except the memory are valid */
static int memory_ours(const struct result *res, const struct range *range)
{
	if (!all_registered(&res->r->m, res->call->arg.map.vaddr, range->size,
			    range->w.shift))
		return -EINVAL;
	return range->w.shift <= machine.page_shift ||
	       is_contiguous(res, range) ? 0 : -EINVAL;
}

/* Return this module's answer to a MAP or UNMAP if the limit on locked memory allows it */
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

/* Check that a request begins in a window, and that both answers are as predicted */
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

/*
 * Check for a range that exceeds the requested window size, but not the in-tree driver's
 * table, which has at least a page of TCEs on bare metal
 */
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

/* Find the part of the range of a MAP that the in-tree driver has mapped and then cleared */
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

/*
 * Check for large IOMMU pages over base pages that are contiguous by chance. Only this
 * module maps them.
 */
static bool is_large_page(struct result *res)
{
	struct range range;

	if (!takes_large_pages(res, &range) || ours(res))
		return false;
	explain(res);
	return true;
}

/* Check for large IOMMU pages over base pages that follow hugepages: the errors differ */
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
 * Check for a MAP that makes table levels, which this module charges. The charge cannot
 * exceed the limit here: the in-tree driver has charged all levels of the window, within
 * the same limit. A test in conformance_limit.c covers a MAP that exceeds the limit.
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
 * The default window, which a backend may make as a side effect of a call
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
 * Check whether this module keeps the default window that a failed TCE_CREATE has made.
 * It keeps the window only on pseries, and only if the requested window exceeds the limit.
 */
static bool ours_has_made_default(const struct result *res)
{
	return machine.hypervisor && creates(res) && ours(res) == -ENOMEM &&
	       fits(res, OURS, default_charge());
}

/*
 * Check whether the in-tree driver made the default window in this call. This module may
 * have made it, too.
 */
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

/* Repair: let this module make the default window, too, by a temporary mapping in it */
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

/* Check for a call that only the in-tree driver refuses: the default window exceeds the limit */
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

/* Check for a window that the platform of this machine cannot make */
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

/*
 * Check for a window with several levels that this module refuses because the levels are
 * large: the platform might fail to allocate a level later, when a client maps
 */
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

/*
 * Return the in-tree driver's charge for the table of a requested window, or 0 if the
 * driver fails before it makes the table
 */
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

/* Return the bus address of the window that exists only on the in-tree side */
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

/* The in-tree driver charges all possible levels of a table, this module existing levels only */
static bool is_all_charged(struct result *res)
{
	struct window w = wanted(res);

	if (!creates(res) || ours(res) || intree(res) || w.levels < 2)
		return false;
	res->skew += charge_in_tree(&w) - charge_ours(&w);
	return true;
}

/* Find the window that contains the address of a TCE_REMOVE; false if its table was not made */
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

/*
 * Check for a TCE_CREATE that exceeds the limit only with the in-tree driver, which charges
 * the default window and all levels of the new window
 */
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

/*
 * Check that the in-tree driver could not pin all pages of a range. REGISTER then returns
 * the number of pages that were pinned, or -EFAULT if no page was pinned.
 */
static bool is_short(const struct result *res, uint64_t ua, uint64_t size)
{
	uint64_t pages = writable_pages(ua, size);

	return pages < size >> machine.page_shift &&
	       intree(res) == (pages ? (int)pages : -EFAULT);
}

/* Check that a range is within the user address space (asm/task_size_64.h) */
static bool can_be_user(uint64_t ua, uint64_t size)
{
	uint64_t end = machine.page_shift == 16 ? 1ULL << 52 : 1ULL << 46;

	return size <= end && ua <= end - size;
}

/* Check whether this module finds unmapped memory in a range before it checks the limit */
static bool is_missing(const struct result *res, uint64_t ua, uint64_t size)
{
	return !can_be_user(ua, size) ||
	       (!is_mapped(ua, size) &&
		!overlaps_region(&res->r->m, ua, size));
}

/* Check that this module can register a range: it is mapped, new, and within the limit */
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

/* Check for a REGISTER that only the in-tree driver refuses: defects have used up its limit */
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
	/* Only this module's side has registered memory; sink_register() registers on both sides */
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

/* Check for UNREGISTER in an unbound container: this module checks the request first */
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

/* Check for a request that is refused in any state, because its arguments are invalid */
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
 * Repair: the malformed request has bound the in-tree side, and in the model both sides
 * are bound. Bind this module's side with a request that is valid but fails: the removal
 * of a window that does not exist.
 */
static void bind_ours(struct result *res)
{
	struct call call = call_remove(&res->r->m, 3);

	check_bound(res->r, OURS, false);
	check_bound(res->r, INTREE, true);
	must(res, OURS, call, -EINVAL);
}

/*
 * Extensions, EEH, and pages that are unpinned late
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

/* Return the error of this module if an EEH request is invalid, 0 if it looks for a PE */
static int eeh_refusal(const struct call *call)
{
	const struct vfio_eeh_pe_op *eeh = &call->arg.eeh;
	const size_t head = offsetof(struct vfio_eeh_pe_op, op) +
			    sizeof(eeh->op);
	bool injects = eeh->op == VFIO_EEH_PE_INJECT_ERR;

	/* This module reads the first fields, and reads the rest only to inject an error */
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

/* Not found in answers: intended_late_unpin() counts it when the count of pins is read */
static bool is_late_unpin(struct result *res)
{
	(void)res;
	return false;
}

/* The order is the order of the repairs: bind a side, make windows, then undo calls */
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
		.row = "IOMMU pages larger than the base page only over hugepages",
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
		.row = "MAP needs no charge for a new table level",
		.is = is_growth,
		.repair = note_growth,
	},
	{
		.name = "default window after UNMAP",
		.row = "UNMAP before the first MAP makes the default window",
		.is = is_default_of_unmap,
		.repair = make_default,
	},
	{
		.name = "default window after MAP",
		.row = "A refused MAP makes the default window",
		.is = is_default_of_map,
		.repair = make_default,
	},
	{
		.name = "beyond the size",
		.row = "A small window has a page of TCEs, more than asked for",
		.is = is_beyond_the_size,
		.repair = restore_in_tree,
	},
	{
		.name = "a failed MAP clears entries",
		.row = "A MAP that fails after some TCEs has wiped the earlier mapping",
		.is = is_wiped,
		.repair = restore_wiped,
	},
	{
		.name = "default window refused",
		.row = "A refused MAP makes the default window",
		.is = is_default_refused,
		.repair = give_up_after_map,
	},
	{
		.name = "bad window and no slot",
		.row = "Arguments are checked after the slot",
		.is = is_bad_and_no_slot,
	},
	{
		.name = "large levels and no slot",
		.row = "Arguments are checked after the slot",
		.is = is_large_level_and_no_slot,
	},
	{
		.name = "large levels",
		.row = "Levels larger than 512 KiB each are allocated while a client maps",
		.is = is_large_level_made,
		.repair = remove_in_tree,
	},
	{
		.name = "charge kept after a failed CREATE",
		.row = "A failing TCE_CREATE keeps its charge",
		.is = is_charge_kept,
		.repair = note_leak,
	},
	{
		.name = "answer of CREATE lost",
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
		.name = "all levels uncharged",
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
		.row = "REGISTER of a range with holes returns the number of pages that it pinned",
		.is = is_hole,
	},
	{
		.name = "REGISTER of unmapped memory over the limit",
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
		.row = "Overlap is found after pinning the whole range",
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
