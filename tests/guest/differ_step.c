// SPDX-License-Identifier: GPL-2.0-only
/*
 * One step of a sequence: make a call on both sides, and compare the answers, the locked
 * memory and the pinned pages. Each difference must be intended.
 */
#include "differ.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_MS	5000

struct figures figures;

/* Record a difference, but only the first, because it may cause later differences */
void differs(struct run_state *r, uint32_t nr, const char *fmt, ...)
{
	va_list ap;

	if (r->failed[0])
		return;
	va_start(ap, fmt);
	vsnprintf(r->failed, sizeof(r->failed), fmt, ap);
	va_end(ap);
	r->failed_nr = nr;
}

/* Return the change of the count of pins since the last call of this function */
int64_t pins_moved(struct run_state *r)
{
	int64_t now = pins(), moved = now - r->pins;

	r->pins = now;
	return moved;
}

static bool unpins(const struct call *call, const struct answer *a)
{
	return call->nr == VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY && !a->ret;
}

/*
 * Reading the count of pins is slower than any call. Read it after calls that should
 * change it, and after every 16th of the other calls. Each check covers all calls on
 * both sides since the last reading.
 */
static bool is_time_for_pins(const struct call *call)
{
	static unsigned int turn;

	return call->nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY ||
	       call->nr == VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY ||
	       ++turn % 16 == 0;
}

/* Return the change of the pinned pages that an answer implies */
static int64_t pages_promised(const struct call *call, const struct answer *a)
{
	int64_t pages = call->arg.memory.size >> machine.page_shift;

	if (unpins(call, a))
		return -pages;
	if (call->nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY && !a->ret)
		return pages;
	return 0;
}

/* Compare the count of pins with the answers; the in-tree driver may unpin late */
static void check_pins(struct run_state *r, uint32_t nr)
{
	uint64_t until = now_ms() + SETTLE_MS;
	int64_t moved = pins_moved(r);

	if (moved != r->promised && r->late)
		intended_late_unpin();
	while (moved != r->promised && r->late && now_ms() < until) {
		usleep(1000);
		moved += pins_moved(r);
	}
	if (moved != r->promised)
		differs(r, nr, "%lld pages pinned instead of %lld",
			(long long)moved, (long long)r->promised);
	r->promised = 0;
	r->late = false;
}

static void promise(struct run_state *r, enum side side,
		    const struct call *call, const struct answer *a)
{
	r->promised += pages_promised(call, a);
	r->late |= side == INTREE && unpins(call, a);
}

/* Make a call on one side; return its answer, or -ETIMEDOUT, or -ECANCELED after a failure */
int call_on(struct run_state *r, enum side side, const struct call *call,
	    struct answer *answer)
{
	struct answer unused;

	if (!answer)
		answer = &unused;
	if (r->failed[0])
		return -ECANCELED;
	if (!side_call(&r->side[side], call, answer)) {
		differs(r, call->nr, "%s did not answer in time", side_name[side]);
		return -ETIMEDOUT;
	}
	promise(r, side, call, answer);
	if (side == INTREE && is_time_for_pins(call))
		check_pins(r, call->nr);
	return answer->ret;
}

/* Check this module's charge for a MAP of the sink: only new table levels are charged */
static void check_growth(struct run_state *r, const struct call *call,
			 int64_t charged)
{
	const struct vfio_iommu_type1_dma_map *map = &call->arg.map;
	int64_t bytes = 0;
	struct window w;
	int slot;

	if (call->nr != VFIO_IOMMU_MAP_DMA)
		return;
	slot = window_at(&r->m, map->iova, &w);
	if (slot >= 0) {
		bytes = growth(&r->m, slot, map->iova, map->size);
		model_grow(&r->m, slot, map->iova, map->size);
	}
	if (charged != bytes)
		differs(r, call->nr, "%s charges %lld bytes instead of %lld",
			side_name[OURS], (long long)charged, (long long)bytes);
}

/* Make a call that must succeed on both sides, and apply it to the model */
bool both_ok(struct run_state *r, struct call call)
{
	const int64_t *vmlck = &r->side[OURS].vmlck[process_of(call.actor)];
	int64_t before = *vmlck;
	struct answer a[SIDES];
	int ret[SIDES];

	for (int side = 0; side < SIDES; side++)
		ret[side] = call_on(r, side, &call, &a[side]);
	if (ret[OURS] != ret[INTREE] && !r->m.limit)
		differs(r, call.nr, "%s returns %d, %s returns %d from a call that must succeed",
			side_name[OURS], ret[OURS], side_name[INTREE],
			ret[INTREE]);
	if (ret[OURS] || ret[INTREE])
		return false;
	check_growth(r, &call, *vmlck - before);
	model_apply(&r->m, &call, &a[OURS]);
	return true;
}

/*
 * Calls for repairs and for the sink
 */

static struct call call_of(const struct model *m, uint32_t nr, size_t size)
{
	return (struct call){
		.nr = nr, .actor = actor_of(m->bound), .where = IN_MEMORY,
		.arg.argsz = size,
	};
}

struct call call_register(const struct model *m, uint64_t ua, uint64_t size)
{
	struct call call = call_of(m, VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
				   sizeof(call.arg.memory));

	call.arg.memory.vaddr = ua;
	call.arg.memory.size = size;
	return call;
}

struct call call_unregister(const struct model *m, uint64_t ua, uint64_t size)
{
	struct call call = call_register(m, ua, size);

	call.nr = VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY;
	return call;
}

struct call call_map(const struct model *m, uint64_t iova, uint64_t ua,
		     uint64_t size, uint32_t perm)
{
	struct call call = call_of(m, VFIO_IOMMU_MAP_DMA,
				   sizeof(call.arg.map));

	call.arg.map.flags = perm;
	call.arg.map.iova = iova;
	call.arg.map.vaddr = ua;
	call.arg.map.size = size;
	return call;
}

struct call call_unmap(const struct model *m, uint64_t iova, uint64_t size)
{
	struct call call = call_of(m, VFIO_IOMMU_UNMAP_DMA,
				   sizeof(call.arg.unmap));

	call.arg.unmap.iova = iova;
	call.arg.unmap.size = size;
	return call;
}

struct call call_create(const struct model *m, unsigned int shift,
			uint64_t size, unsigned int levels)
{
	struct call call = call_of(m, VFIO_IOMMU_SPAPR_TCE_CREATE,
				   sizeof(call.arg.create));

	call.arg.create.page_shift = shift;
	call.arg.create.window_size = size;
	call.arg.create.levels = levels;
	return call;
}

struct call call_remove(const struct model *m, uint64_t start)
{
	struct call call = call_of(m, VFIO_IOMMU_SPAPR_TCE_REMOVE,
				   sizeof(call.arg.remove));

	call.arg.remove.start_addr = start;
	return call;
}

/*
 * Comparison of the answers
 */

/* Return the number of bytes of the structure that can be compared after the call */
static size_t bytes_seen(const struct call *call)
{
	if (call->where == IN_MEMORY || call->where == READ_ONLY_PAGE)
		return ARG_BYTES;
	return call->where == AT_PAGE_END ? size_of_request(call) : 0;
}

/* Check whether a call may have written to byte @i of its structure */
static bool may_write(const struct call *call, const struct answer *a, size_t i)
{
	size_t start = offsetof(struct vfio_iommu_spapr_tce_create, start_addr);

	if (a->ret)
		return false;
	if (call->nr == VFIO_IOMMU_SPAPR_TCE_CREATE)
		return i >= start && i < start + sizeof(uint64_t);
	return call->nr == VFIO_IOMMU_SPAPR_TCE_GET_INFO &&
	       i < size_of_request(call);
}

/* Compare the structures after the call, even if the return values differ as intended */
static void compare_structures(struct result *res)
{
	const struct call *call = res->call;

	for (size_t i = 0; i < bytes_seen(call); i++) {
		uint8_t byte[SIDES];

		for (int side = 0; side < SIDES; side++) {
			byte[side] = res->a[side].out.byte[i];
			if (byte[side] != call->arg.byte[i] &&
			    !may_write(call, &res->a[side], i))
				differs(res->r, call->nr,
					"%s writes %#x to byte %zu of the structure",
					side_name[side], byte[side], i);
		}
		if (byte[OURS] != byte[INTREE] &&
		    res->a[OURS].ret == res->a[INTREE].ret)
			differs(res->r, call->nr,
				"byte %zu of the structure is %#x after %s, %#x after %s",
				i, byte[OURS], side_name[OURS], byte[INTREE],
				side_name[INTREE]);
	}
}

static void compare_answers(struct result *res)
{
	const struct answer *ours = &res->a[OURS], *intree = &res->a[INTREE];

	if (ours->ret != intree->ret && !res->explained)
		differs(res->r, res->call->nr, "%s returns %d, %s returns %d",
			side_name[OURS], ours->ret, side_name[INTREE],
			intree->ret);
	compare_structures(res);
}

static void compare_charges(struct result *res)
{
	int64_t skew = res->charged[INTREE] - res->charged[OURS];

	if (skew != res->skew)
		differs(res->r, res->call->nr,
			"%s charges %lld bytes, %s %lld (a difference of %lld is intended)",
			side_name[OURS], (long long)res->charged[OURS],
			side_name[INTREE], (long long)res->charged[INTREE],
			(long long)res->skew);
}

/* Check for an ioctl that binds an unbound container to the calling process */
bool binds(const struct call *call)
{
	return call->nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY ||
	       call->nr == VFIO_IOMMU_SPAPR_TCE_CREATE ||
	       call->nr == VFIO_IOMMU_SPAPR_TCE_REMOVE;
}

/* Check whether a side is bound: then a call by another process is refused */
void check_bound(struct run_state *r, enum side side, bool bound)
{
	struct call call = call_of(&r->m, VFIO_IOMMU_SPAPR_TCE_GET_INFO,
				   sizeof(call.arg.info));
	int want = bound ? -EPERM : 0, ret;

	call.actor = r->m.bound == OWNER ? SECOND : THREAD0;
	ret = call_on(r, side, &call, NULL);
	if (ret != want)
		differs(r, call.nr,
			"%s returns %d to another process, expected %d",
			side_name[side], ret, want);
}

static void check_both_bound(struct run_state *r)
{
	for (int side = 0; side < SIDES && !r->failed[0]; side++)
		check_bound(r, side, true);
}

static void settle(struct result *res)
{
	bool applies[MAX_INTENDED] = {};
	struct run_state *r = res->r;
	bool bound = r->m.bound == NOBODY && binds(res->call);

	intended_explain(res, applies);
	compare_answers(res);
	compare_charges(res);
	if (r->failed[0])
		return;
	if (res->a[OURS].ret == 0 && res->a[INTREE].ret == 0)
		model_apply(&r->m, res->call, &res->a[OURS]);
	if (bound)
		r->m.bound = process_of(res->call->actor);
	intended_repair(res, applies);
	if (bound)
		check_both_bound(r);
}

static void step_both(struct run_state *r, const struct call *call)
{
	struct result res = { .r = r, .call = call };
	enum process process = process_of(call->actor);

	for (int side = 0; side < SIDES; side++) {
		res.before[side] = r->side[side].vmlck[process];
		call_on(r, side, call, &res.a[side]);
		res.charged[side] = res.a[side].vmlck - res.before[side];
	}
	figures.calls++;
	figures.vectors += call->form == AS_VECTOR && !res.a[OURS].ret;
	figures.copies += call->form == AS_COPY && !res.a[OURS].ret;
	if (!r->failed[0])
		settle(&res);
}

static bool is_one_of(int ret, const int *may_be, int count)
{
	for (int i = 0; i < count; i++)
		if (may_be[i] && ret == may_be[i])
			return true;
	return false;
}

/* Make a call on this module only, which must refuse it */
static void step_ours(struct run_state *r, const struct call *call,
		      const struct never *never)
{
	int64_t before = r->side[OURS].vmlck[process_of(call->actor)];
	struct answer a = {};
	int ret = call_on(r, OURS, call, &a);
	struct call bind;

	figures.only_ours++;
	if (!is_one_of(ret, never->may_be, ARRAY_SIZE(never->may_be)))
		differs(r, call->nr, "%s returns %d from a call that must be refused (%s)",
			side_name[OURS], ret, never->name);
	else if (a.vmlck != before)
		differs(r, call->nr, "%s has charged %lld bytes for a refused call (%s)",
			side_name[OURS], (long long)(a.vmlck - before),
			never->name);
	if (r->m.bound != NOBODY || !binds(call))
		return;
	/* The refused call may have bound this side, so bind both sides */
	r->m.bound = process_of(call->actor);
	bind = call_remove(&r->m, 3);
	for (int side = 0; side < SIDES; side++)
		call_on(r, side, &bind, NULL);
	check_both_bound(r);
}

static void step_call(struct run_state *r, const struct call *call)
{
	struct never *never = never_for(&r->m, call);

	if (!never) {
		step_both(r, call);
		return;
	}
	never->count++;
	if (!never->nobody)
		step_ours(r, call, never);
}

/*
 * Bursts: calls that succeed, with the same result in any order
 */

static bool in_window(const struct model *m, uint64_t iova, uint64_t size)
{
	struct window w;
	int slot = window_at(m, iova, &w);

	return slot >= 0 && w.levels == 1 && w.shift <= machine.page_shift &&
	       size && !((iova | size) & ((1ULL << w.shift) - 1)) &&
	       iova - w.start < w.size && size <= w.size - (iova - w.start);
}

static bool succeeds(const struct model *m, const struct call *call)
{
	const union request *arg = &call->arg;

	if (call->where != IN_MEMORY || !head_is_valid(call) || !m->enabled)
		return false;
	switch (call->nr) {
	case VFIO_IOMMU_MAP_DMA:
		return in_window(m, arg->map.iova, arg->map.size) &&
		       arg->map.flags && !(arg->map.vaddr & (TCE_4K - 1)) &&
		       all_registered(m, arg->map.vaddr, arg->map.size,
				      DEFAULT_SHIFT);
	case VFIO_IOMMU_UNMAP_DMA:
		return in_window(m, arg->unmap.iova, arg->unmap.size);
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
		return arg->memory.size && !m->limit &&
		       is_writable(arg->memory.vaddr, arg->memory.size) &&
		       !overlaps_region(m, arg->memory.vaddr, arg->memory.size);
	default:
		return false;
	}
}

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a - b < b_size || b - a < a_size;
}

/* Get iova and size of a MAP or UNMAP; their structures differ */
static void bus_range(const struct call *call, uint64_t *iova, uint64_t *size)
{
	bool map = call->nr == VFIO_IOMMU_MAP_DMA;

	*iova = map ? call->arg.map.iova : call->arg.unmap.iova;
	*size = map ? call->arg.map.size : call->arg.unmap.size;
}

static bool commute(const struct call *a, const struct call *b)
{
	bool a_registers = a->nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	bool b_registers = b->nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	uint64_t iova[2], size[2];

	if (a->actor == b->actor)
		return false;
	if (a_registers && b_registers)
		return !meet(a->arg.memory.vaddr, a->arg.memory.size,
			     b->arg.memory.vaddr, b->arg.memory.size);
	if (a_registers || b_registers)
		return true;
	bus_range(a, &iova[0], &size[0]);
	bus_range(b, &iova[1], &size[1]);
	return !meet(iova[0], size[0], iova[1], size[1]);
}

/*
 * Check that all calls of a burst must succeed in this state. In a shortened sequence the
 * state may differ from the state for which the burst was generated.
 */
bool burst_may_be(const struct model *m, const struct op *op)
{
	if (m->bound != OWNER || m->pending)
		return false;
	for (int i = 0; i < op->count; i++) {
		if (process_of(op->call[i].actor) != OWNER ||
		    !succeeds(m, &op->call[i]))
			return false;
		for (int j = 0; j < i; j++)
			if (!commute(&op->call[i], &op->call[j]))
				return false;
	}
	return true;
}

/* Make the calls of a burst on one side; return the charge, read after all calls */
static int64_t burst_on(struct run_state *r, enum side side,
			const struct op *op, struct answer *a)
{
	int64_t before = r->side[side].vmlck[OWNER];
	struct call look = { .nr = VFIO_CHECK_EXTENSION, .where = BY_VALUE };

	if (!side_burst(&r->side[side], op, a)) {
		differs(r, op->call[0].nr, "%s did not answer a burst in time",
			side_name[side]);
		return 0;
	}
	for (int i = 0; i < op->count; i++)
		promise(r, side, &op->call[i], &a[i]);
	call_on(r, side, &look, NULL);
	return r->side[side].vmlck[OWNER] - before;
}

static void step_burst(struct run_state *r, const struct op *op)
{
	struct answer a[SIDES][MAX_BURST];
	int64_t charged[SIDES];

	if (!burst_may_be(&r->m, op))
		return;
	for (int side = 0; side < SIDES; side++)
		charged[side] = burst_on(r, side, op, a[side]);
	check_pins(r, op->call[0].nr);
	figures.bursts++;
	figures.calls += op->count;
	if (charged[OURS] != charged[INTREE])
		differs(r, op->call[0].nr,
			"in a burst %s charges %lld bytes, %s charges %lld",
			side_name[OURS], (long long)charged[OURS],
			side_name[INTREE], (long long)charged[INTREE]);
	for (int i = 0; i < op->count && !r->failed[0]; i++) {
		if (a[OURS][i].ret || a[INTREE][i].ret)
			differs(r, op->call[i].nr,
				"in call %d of a burst %s returns %d, %s returns %d", i,
				side_name[OURS], a[OURS][i].ret,
				side_name[INTREE], a[INTREE][i].ret);
		else
			model_apply(&r->m, &op->call[i], &a[OURS][i]);
	}
}

static void step_fork(struct run_state *r)
{
	/* Do not fork if the container is bound to the old child, which the new child replaces */
	if (r->m.bound == FORKED)
		return;
	for (int side = 0; side < SIDES; side++)
		if (!side_fork(&r->side[side]))
			differs(r, 0, "the owner of %s cannot fork",
				side_name[side]);
	figures.forks++;
}

void step(struct run_state *r, const struct op *op)
{
	switch (op->kind) {
	case CALL:
		step_call(r, &op->call[0]);
		break;
	case BURST:
		step_burst(r, op);
		break;
	case FORK:
		step_fork(r);
		break;
	case PROBE:
		probe(r, op);
		break;
	}
}
