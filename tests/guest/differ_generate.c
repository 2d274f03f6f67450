// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generate calls. Most are calls that a client might make in the current state of its
 * container. Some have one error, and some come from a process to which the container is
 * not bound. All random choices come from the seed.
 */
#include "differ.h"

#include <string.h>

/* splitmix64 */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t mix(uint64_t a, uint64_t b)
{
	struct rng rng = { a * 0xd1342543de82ef95ULL + b };

	return rng_next(&rng);
}

static uint64_t below(struct rng *rng, uint64_t n)
{
	return rng_next(rng) % n;
}

static bool percent(struct rng *rng, unsigned int n)
{
	return below(rng, 100) < n;
}

static uint64_t page(void)
{
	return 1ULL << machine.page_shift;
}

/*
 * Choice of the caller, and errors in a request
 */

static enum actor an_actor(struct rng *rng, const struct model *m)
{
	/* THREAD2 runs on another CPU than the other callers, so its calls take longer */
	static const enum actor owners[] = {
		THREAD0, THREAD0, THREAD0, THREAD0, THREAD1, THREAD1, THREAD1,
		THREAD2,
	};

	if (percent(rng, 6))
		return below(rng, ACTORS);
	if (m->bound == NOBODY && percent(rng, 12))
		return percent(rng, 50) ? CHILD : SECOND;
	if (m->bound == NOBODY || m->bound == OWNER)
		return owners[below(rng, ARRAY_SIZE(owners))];
	return actor_of(m->bound);
}

static enum where a_place(struct rng *rng)
{
	if (percent(rng, 70))
		return IN_MEMORY;
	if (percent(rng, 60))
		return AT_PAGE_END;
	return below(rng, BY_VALUE);
}

static uint32_t an_argsz(struct rng *rng, size_t size)
{
	const uint32_t sizes[] = {
		0, 4, 8, size - 1, size, size, size + 1, 4096, 1U << 31, ~0U,
		offsetof(struct vfio_iommu_spapr_tce_info, ddw), 12, 16, 24,
		below(rng, 64),
	};

	return sizes[below(rng, ARRAY_SIZE(sizes))];
}

/* Return a limit of valid sizes or addresses, or a number near such a limit */
static uint64_t a_number(struct rng *rng)
{
	static const uint64_t bases[] = {
		0, 1, KIB(4), KIB(64), MIB(2), GIB(1), GIB(2), GIB(4),
		1ULL << 44, WINDOW1_START, 1ULL << 63, ~0ULL, ARENA, HUGE,
		ELSEWHERE, 0xc000000000000000ULL,
	};
	static const int64_t offsets[] = { 0, 0, 0, 1, -1, 4096, -4096, 65536,
					   -65536 };

	return bases[below(rng, ARRAY_SIZE(bases))] +
	       offsets[below(rng, ARRAY_SIZE(offsets))];
}

/* Return a random 64-bit field of the request */
static uint64_t *a_field(struct rng *rng, struct call *call)
{
	union request *arg = &call->arg;

	switch (call->nr) {
	case VFIO_IOMMU_MAP_DMA:
		switch (below(rng, 3)) {
		case 0:
			return (uint64_t *)&arg->map.iova;
		case 1:
			return (uint64_t *)&arg->map.vaddr;
		default:
			return (uint64_t *)&arg->map.size;
		}
	case VFIO_IOMMU_UNMAP_DMA:
		return percent(rng, 50) ? &arg->unmap.iova : &arg->unmap.size;
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		return (uint64_t *)&arg->create.window_size;
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		return (uint64_t *)&arg->remove.start_addr;
	default:
		return (uint64_t *)(percent(rng, 50) ? &arg->memory.vaddr :
						       &arg->memory.size);
	}
}

static bool has_fields(uint32_t nr)
{
	return nr == VFIO_IOMMU_MAP_DMA || nr == VFIO_IOMMU_UNMAP_DMA ||
	       nr == VFIO_IOMMU_SPAPR_REGISTER_MEMORY ||
	       nr == VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY ||
	       nr == VFIO_IOMMU_SPAPR_TCE_CREATE ||
	       nr == VFIO_IOMMU_SPAPR_TCE_REMOVE;
}

static void spoil_field(struct rng *rng, struct call *call)
{
	uint64_t *field = a_field(rng, call);
	const uint64_t values[] = {
		0, *field + 1, *field - 1, *field + page(), *field - page(),
		*field + TCE_4K, *field - TCE_4K, *field * 2, *field / 2,
		-*field, *field | 1ULL << below(rng, 64), a_number(rng),
	};

	*field = values[below(rng, ARRAY_SIZE(values))];
}

/* Put one error into a call, or an unusual value */
static void spoil(struct rng *rng, struct call *call)
{
	size_t size = size_of_request(call);

	switch (below(rng, has_fields(call->nr) ? 6 : 3)) {
	case 0:
		call->where = below(rng, BY_VALUE);
		break;
	case 1:
		call->arg.argsz = an_argsz(rng, size);
		break;
	case 2:
		call->arg.flags ^= percent(rng, 20) ? ~0U :
				   1U << below(rng, 32);
		break;
	default:
		spoil_field(rng, call);
		break;
	}
}

/*
 * Requests that make sense
 */

static struct window a_window(struct rng *rng, const struct model *m)
{
	const struct window *w = &m->window[below(rng, WINDOWS)];

	if (!w->live)
		w = &m->window[w == m->window];
	if (w->live)
		return *w;
	return window_of_default();
}

static struct region a_region(struct rng *rng, const struct model *m)
{
	static const struct region none = { ARENA, KIB(64) };

	return m->regions ? m->region[below(rng, m->regions)] : none;
}

/* Return an address in a window, often at its ends or at a mapped range */
static uint64_t an_iova(struct rng *rng, const struct model *m,
			const struct window *w)
{
	uint64_t pages = w->size >> w->shift;

	if (m->runs && percent(rng, 30))
		return m->run[below(rng, m->runs)].iova;
	switch (below(rng, 8)) {
	case 0:
		return w->start + w->size - (1ULL << w->shift);
	case 1:
		return w->start;
	case 2:
		return w->start + (below(rng, pages) << w->shift);
	default:
		return w->start +
		       (below(rng, pages < 64 ? pages : 64) << w->shift);
	}
}

static void make_map(struct rng *rng, const struct model *m, struct call *call)
{
	struct window w = a_window(rng, m);
	struct region region = a_region(rng, m);
	uint64_t one = 1ULL << w.shift, pages, at;
	struct vfio_iommu_type1_dma_map *map = &call->arg.map;

	map->argsz = sizeof(*map);
	map->flags = READ_WRITE;
	if (percent(rng, 30))
		map->flags = percent(rng, 60) ? READ_ONLY : WRITE_ONLY;
	map->iova = an_iova(rng, m, &w) & ~(one - 1);
	at = (region.ua + one - 1) & ~(one - 1);
	pages = at - region.ua < region.size ?
		(region.size - (at - region.ua)) >> w.shift : 0;
	if (!pages) {
		map->vaddr = at;
		map->size = one;
		return;
	}
	if (pages > 1)
		at += below(rng, pages) << w.shift;
	map->vaddr = at;
	pages = (region.ua + region.size - at) >> w.shift;
	map->size = (1 + below(rng, pages)) << w.shift;
	if (percent(rng, 60) && map->size > 4 * one)
		map->size = (1 + below(rng, 4)) << w.shift;
	/* Map beyond the end of the region, where memory may not be registered */
	if (percent(rng, 8))
		map->size += one * (1 + below(rng, 3));
}

static void make_unmap(struct rng *rng, const struct model *m,
		       struct call *call)
{
	struct window w = a_window(rng, m);
	struct unmap *unmap = &call->arg.unmap;
	uint64_t pages;

	unmap->argsz = sizeof(*unmap);
	if (m->runs && percent(rng, 60)) {
		const struct run *run = &m->run[below(rng, m->runs)];

		unmap->iova = run->iova;
		unmap->size = run->size;
		if (percent(rng, 50))
			return;
	} else {
		unmap->iova = an_iova(rng, m, &w);
	}
	pages = 1 + below(rng, 16);
	if (percent(rng, 5))
		pages = w.size >> w.shift;
	unmap->size = pages << w.shift;
}

static void make_register(struct rng *rng, const struct model *m,
			  struct call *call)
{
	struct vfio_iommu_spapr_register_memory *memory = &call->arg.memory;

	memory->argsz = sizeof(*memory);
	memory->vaddr = ARENA + below(rng, ARENA_PAGES) * page();
	memory->size = (1 + below(rng, percent(rng, 80) ? 4 : 40)) * page();
	if (machine.has_huge && percent(rng, 15)) {
		memory->vaddr = HUGE + below(rng, HUGE_PAGES) * MIB(2);
		memory->size = MIB(2) * (1 + below(rng, 3));
		if (percent(rng, 30))
			memory->size += page() * (1 + below(rng, 4));
		if (percent(rng, 15))
			memory->vaddr += page();
	}
	if (m->regions && percent(rng, 10)) {
		struct region region = a_region(rng, m);

		memory->vaddr = region.ua;
		memory->size = region.size;
		if (percent(rng, 60))
			spoil_field(rng, call);
	}
}

static void make_unregister(struct rng *rng, const struct model *m,
			    struct call *call)
{
	struct region region = a_region(rng, m);

	/* Prefer regions without mappings, which can be unregistered */
	for (int i = 0; i < 3 && region_is_mapped(m, &region); i++)
		region = a_region(rng, m);
	call->arg.memory.argsz = sizeof(call->arg.memory);
	call->arg.memory.vaddr = region.ua;
	call->arg.memory.size = region.size;
}

static unsigned int a_shift(struct rng *rng)
{
	static const unsigned int odd[] = {
		0, 11, 13, 15, 20, 22, 31, 32, 43, 62, 63, 64, 76, 140,
		1U << 31, (1U << 31) + 12,
	};
	unsigned int shifts[64], count = 0;

	if (percent(rng, 8))
		return odd[below(rng, ARRAY_SIZE(odd))];
	for (unsigned int shift = 0; shift < 64; shift++)
		if (machine.pgsizes >> shift & 1)
			shifts[count++] = shift;
	if (percent(rng, 50))
		return shifts[below(rng, 2)];
	return shifts[below(rng, count)];
}

static void make_create(struct rng *rng, const struct model *m,
			struct call *call)
{
	struct vfio_iommu_spapr_tce_create *create = &call->arg.create;
	unsigned int bits = below(rng, 15);

	(void)m;
	create->argsz = sizeof(*create);
	create->page_shift = a_shift(rng);
	create->levels = 1;
	if (percent(rng, 40)) {
		create->levels = percent(rng, 85) ? 2 + below(rng, 4) :
						    below(rng, 8);
		bits = below(rng, percent(rng, 70) ? 29 : 52);
	}
	if (machine.hypervisor) {
		create->levels = percent(rng, 90) ? 1 : below(rng, 4);
		bits = 10 + below(rng, 5);
	}
	if (percent(rng, 8))
		bits = below(rng, 64);
	create->window_size = 1ULL << ((create->page_shift & 63) + bits) % 64;
	if (machine.hypervisor && percent(rng, 30)) {
		create->page_shift = DEFAULT_SHIFT;
		create->window_size = machine.default_size;
	}
	if (percent(rng, 4))
		create->window_size -= 1ULL << (create->page_shift & 63);
	if (percent(rng, 50))
		create->start_addr = rng_next(rng);
}

static void make_remove(struct rng *rng, const struct model *m,
			struct call *call)
{
	struct window w = a_window(rng, m);
	struct vfio_iommu_spapr_tce_remove *remove = &call->arg.remove;

	remove->argsz = sizeof(*remove);
	remove->start_addr = w.start;
	if (percent(rng, 20))
		remove->start_addr += below(rng, w.size >> w.shift) << w.shift;
}

static void make_eeh(struct rng *rng, struct call *call)
{
	/* Exclude resets, which take seconds (differ_never.c) */
	static const uint32_t ops[] = {
		VFIO_EEH_PE_DISABLE, VFIO_EEH_PE_ENABLE,
		VFIO_EEH_PE_UNFREEZE_IO, VFIO_EEH_PE_UNFREEZE_DMA,
		VFIO_EEH_PE_GET_STATE, VFIO_EEH_PE_GET_STATE,
		VFIO_EEH_PE_INJECT_ERR, 10, 11, 1U << 31, ~0U,
	};
	struct vfio_eeh_pe_op *eeh = &call->arg.eeh;

	eeh->argsz = percent(rng, 70) ? sizeof(*eeh) : 12;
	eeh->op = ops[below(rng, ARRAY_SIZE(ops))];
	/* Make the type or the function invalid: with valid values an error would be injected */
	eeh->err.type = percent(rng, 50) ? 99 : below(rng, 2);
	eeh->err.func = percent(rng, 50) ? 20 + below(rng, 9) : ~0U;
	if (eeh->err.type == 99 && percent(rng, 60))
		eeh->err.func = below(rng, 20);
}

static void make_info(struct rng *rng, struct call *call)
{
	memset(&call->arg, 0xa5, sizeof(call->arg));
	call->arg.argsz = percent(rng, 50) ? sizeof(call->arg.info) :
			  an_argsz(rng, sizeof(call->arg.info));
}

static void make_unknown(struct rng *rng, struct call *call)
{
	static const uint32_t unknown[] = {
		VFIO_IOMMU_ENABLE, VFIO_IOMMU_DISABLE,
		_IO(VFIO_TYPE, VFIO_BASE + 22), _IO(VFIO_TYPE, VFIO_BASE + 23),
		_IO(VFIO_TYPE, 255), _IO('?', 0), 0xffffffff,
		VFIO_GET_API_VERSION, VFIO_SET_IOMMU,
	};
	static const uint64_t extensions[] = {
		0, VFIO_TYPE1_IOMMU, VFIO_SPAPR_TCE_IOMMU, VFIO_TYPE1v2_IOMMU,
		VFIO_EEH, VFIO_SPAPR_TCE_v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU,
		VFIO_NOIOMMU_IOMMU, 9, 10, 1ULL << 32, ~0ULL,
	};

	uint64_t extension = extensions[below(rng, ARRAY_SIZE(extensions))];

	if (percent(rng, 40)) {
		call->nr = VFIO_CHECK_EXTENSION;
		call->where = BY_VALUE;
		call->arg.value = extension;
		return;
	}
	call->nr = unknown[below(rng, ARRAY_SIZE(unknown))];
	call->arg.argsz = sizeof(uint64_t);
	if (call->nr == VFIO_SET_IOMMU || call->nr == VFIO_GET_API_VERSION) {
		call->where = BY_VALUE;
		call->arg.value = VFIO_SPAPR_TCE_v2_IOMMU;
	}
}

/* Choose an ioctl that a client is likely to call next in this state */
static uint32_t a_number_of_ioctl(struct rng *rng, const struct model *m)
{
	bool windows = m->pending || m->window[0].live || m->window[1].live;
	unsigned int die = below(rng, 100);

	if (!windows && percent(rng, 40))
		return VFIO_IOMMU_SPAPR_TCE_CREATE;
	if (!m->regions && percent(rng, 50))
		return VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	if (die < 32)
		return VFIO_IOMMU_MAP_DMA;
	if (die < 52)
		return VFIO_IOMMU_UNMAP_DMA;
	if (die < 66)
		return VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
	if (die < 78)
		return VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY;
	if (die < 84)
		return VFIO_IOMMU_SPAPR_TCE_CREATE;
	if (die < 88)
		return VFIO_IOMMU_SPAPR_TCE_REMOVE;
	if (die < 92)
		return VFIO_IOMMU_SPAPR_TCE_GET_INFO;
	return die < 95 ? VFIO_EEH_PE_OP : 0;
}

static void make_call(struct rng *rng, const struct model *m,
		      struct call *call, uint32_t nr)
{
	call->nr = nr;
	switch (nr) {
	case VFIO_IOMMU_MAP_DMA:
		make_map(rng, m, call);
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		make_unmap(rng, m, call);
		break;
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
		make_register(rng, m, call);
		break;
	case VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY:
		make_unregister(rng, m, call);
		break;
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		make_create(rng, m, call);
		break;
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		make_remove(rng, m, call);
		break;
	case VFIO_IOMMU_SPAPR_TCE_GET_INFO:
		make_info(rng, call);
		break;
	case VFIO_EEH_PE_OP:
		make_eeh(rng, call);
		break;
	default:
		make_unknown(rng, call);
		break;
	}
}

/* Make a request map memory that is mapped elsewhere, and this module copy that mapping */
static void make_copy(struct rng *rng, const struct model *m, struct call *call)
{
	const struct run *run = &m->run[below(rng, m->runs)];
	uint64_t offset = percent(rng, 60) ? 0 : below(rng, run->size / TCE_4K) * TCE_4K;
	struct vfio_iommu_type1_dma_map *map = &call->arg.map;

	map->vaddr = run->ua + offset;
	map->flags = run->perm;
	map->size = run->size - offset;
	if (percent(rng, 50) && map->size > 16 * TCE_4K)
		map->size = (1 + below(rng, 16)) * TCE_4K;
	call->source = run->iova + offset;
	call->form = AS_COPY;
}

/* Choose some valid maps and unmaps to be vectors on this module */
static void make_vector(struct rng *rng, const struct model *m, struct call *call)
{
	if (call->nr != VFIO_IOMMU_MAP_DMA && call->nr != VFIO_IOMMU_UNMAP_DMA)
		return;
	if (call->where != IN_MEMORY || !head_is_valid(call) || !percent(rng, 30))
		return;
	call->form = AS_VECTOR;
	if (call->nr == VFIO_IOMMU_MAP_DMA && m->runs && percent(rng, 40))
		make_copy(rng, m, call);
}

/*
 * Generation of steps
 */

static struct op a_call(struct rng *rng, const struct model *m)
{
	struct op op = { .kind = CALL, .count = 1 };
	struct call *call = &op.call[0];

	call->actor = an_actor(rng, m);
	call->where = a_place(rng);
	make_call(rng, m, call, a_number_of_ioctl(rng, m));
	if (call->where != BY_VALUE && percent(rng, 15))
		spoil(rng, call);
	make_vector(rng, m, call);
	return op;
}

/* Generate a malformed request of an ioctl that binds the container */
struct op generate_malformed(struct rng *rng, const struct model *m)
{
	static const uint32_t nrs[] = {
		VFIO_IOMMU_SPAPR_REGISTER_MEMORY, VFIO_IOMMU_SPAPR_TCE_CREATE,
		VFIO_IOMMU_SPAPR_TCE_REMOVE,
	};
	struct op op = { .kind = CALL, .count = 1 };
	struct call *call = &op.call[0];

	call->actor = below(rng, ACTORS);
	make_call(rng, m, call, nrs[below(rng, ARRAY_SIZE(nrs))]);
	switch (below(rng, 4)) {
	case 0:
		call->where = percent(rng, 50) ? CUT_SHORT : AT_NULL;
		break;
	case 1:
		call->arg.argsz -= 1 + below(rng, call->arg.argsz);
		break;
	case 2:
		call->arg.flags = 1U << below(rng, 32);
		break;
	default:
		call->nr = VFIO_IOMMU_SPAPR_REGISTER_MEMORY;
		make_register(rng, m, call);
		call->arg.memory.size += TCE_4K / 2;
		break;
	}
	return op;
}

/* Generate calls by all threads at the same time; try again if burst_may_be() refuses them */
static struct op a_burst(struct rng *rng, const struct model *m)
{
	static const uint32_t nrs[] = {
		VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
		VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
	};
	struct op op;
	int tries = 0;

	do {
		op = (struct op){ .kind = BURST, .count = MAX_BURST };
		for (int i = 0; i < MAX_BURST; i++) {
			struct call *call = &op.call[i];

			call->actor = THREAD0 + i;
			call->where = IN_MEMORY;
			make_call(rng, m, call,
				  nrs[below(rng, ARRAY_SIZE(nrs))]);
		}
	} while (!burst_may_be(m, &op) && ++tries < 20);
	return op;
}

/* Choose an address that was unmapped before, in a window that still exists */
static bool a_gone_iova(struct rng *rng, const struct model *m, uint64_t *iova)
{
	struct window w;

	for (int tries = 0; tries < MAX_GONE; tries++) {
		*iova = m->gone[below(rng, MAX_GONE)];
		if (*iova && window_at(m, *iova, &w) >= 0 && !run_at(m, *iova))
			return true;
	}
	return false;
}

static uint64_t a_mapped_iova(struct rng *rng, const struct model *m)
{
	const struct run *run = &m->run[below(rng, m->runs)];
	uint64_t pages = run->size / TCE_4K;

	switch (below(rng, 4)) {
	case 0:
		return run->iova + run->size;
	case 1:
		return run->iova + run->size - TCE_4K;
	default:
		return run->iova + below(rng, pages) * TCE_4K;
	}
}

static uint64_t an_iova_to_probe(struct rng *rng, const struct model *m)
{
	struct window w = a_window(rng, m);
	uint64_t iova;

	if (percent(rng, 50) && a_gone_iova(rng, m, &iova))
		return iova;
	if (m->runs && percent(rng, 80))
		return a_mapped_iova(rng, m);
	if (percent(rng, 30))
		return w.start + w.size;
	return an_iova(rng, m, &w) & ~(TCE_4K - 1);
}

/* Return an address that is mapped read-only, or 0 if the search finds no such address */
static uint64_t a_read_only_iova(struct rng *rng, const struct model *m)
{
	for (int tries = 0; m->runs && tries < 8; tries++) {
		const struct run *run = &m->run[below(rng, m->runs)];

		if (run->perm == READ_ONLY)
			return run->iova +
			       below(rng, run->size / TCE_4K) * TCE_4K;
	}
	return 0;
}

/* Generate a probe, which is also the last step of each sequence */
struct op generate_last(struct rng *rng, const struct model *m)
{
	struct op op = { .kind = PROBE, .count = MAX_PROBES };

	for (int i = 0; i < op.count; i++) {
		uint64_t iova = 0;

		if (i < MAX_WRITES && percent(rng, 40))
			iova = a_read_only_iova(rng, m);
		op.iova[i] = iova ? iova : an_iova_to_probe(rng, m);
	}
	return op;
}

struct op generate(struct rng *rng, const struct model *m)
{
	bool has_room = (m->window[0].live &&
			 m->window[0].shift <= machine.page_shift) ||
			(m->window[1].live &&
			 m->window[1].shift <= machine.page_shift);

	if (m->enabled && m->bound == OWNER && !m->pending && percent(rng, 4))
		return a_burst(rng, m);
	if (percent(rng, 1))
		return (struct op){ .kind = FORK };
	if (m->runs && has_room && below(rng, 300) == 0)
		return generate_last(rng, m);
	return a_call(rng, m);
}
