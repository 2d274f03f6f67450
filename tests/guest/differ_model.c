// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model: the state that both containers have after the same calls. This file applies
 * successful calls to the model, and computes each backend's charge for a window.
 */
#include "differ.h"

#include <stdlib.h>
#include <string.h>

/* Limit of the bus address bits that the levels and the page size of a table span */
#define MAX_BUS_ADDRESS_BITS	55

struct machine machine;

static uint64_t page(void)
{
	return 1ULL << machine.page_shift;
}

enum process process_of(enum actor actor)
{
	if (actor == CHILD)
		return FORKED;
	return actor == SECOND ? STRANGER : OWNER;
}

enum actor actor_of(enum process process)
{
	if (process == FORKED)
		return CHILD;
	return process == STRANGER ? SECOND : THREAD0;
}

void model_init(struct model *m, int64_t limit)
{
	memset(m, 0, sizeof(*m));
	m->bound = NOBODY;
	m->pending = true;
	m->limit = limit;
}

bool may_call(const struct model *m, const struct call *call)
{
	return m->bound == NOBODY || m->bound == process_of(call->actor);
}

/*
 * User memory, which has a fixed layout
 */

static bool within(uint64_t ua, uint64_t size, uint64_t start, uint64_t len)
{
	return ua >= start && ua - start <= len && size <= len - (ua - start);
}

bool is_huge(uint64_t ua)
{
	return machine.has_huge && within(ua, 1, HUGE, HUGE_PAGES * MIB(2));
}

static bool page_is_mapped(uint64_t ua)
{
	uint64_t hole = ARENA + (LOW_PAGES + RO_PAGES) * page();

	if (within(ua, 1, ARENA, ARENA_PAGES * page()))
		return !within(ua, 1, hole, HOLE_PAGES * page());
	if (within(ua, 1, SINK, page()))
		return true;
	return machine.has_huge &&
	       within(ua, 1, HUGE, HUGE_PAGES * MIB(2) + TAIL_BYTES);
}

static bool page_is_writable(uint64_t ua)
{
	return page_is_mapped(ua) &&
	       !within(ua, 1, ARENA + LOW_PAGES * page(), RO_PAGES * page());
}

static bool all_pages(uint64_t ua, uint64_t size, bool (*is)(uint64_t ua))
{
	if (size > MIB(256) || ua + size < ua)
		return false;
	for (uint64_t at = ua; at < ua + size; at += page())
		if (!is(at))
			return false;
	return true;
}

bool is_mapped(uint64_t ua, uint64_t size)
{
	return all_pages(ua, size, page_is_mapped);
}

bool is_writable(uint64_t ua, uint64_t size)
{
	return all_pages(ua, size, page_is_writable);
}

/* Count the base pages from @ua to the first page that is not writable */
uint64_t writable_pages(uint64_t ua, uint64_t size)
{
	uint64_t pages = 0;

	while (pages < size >> machine.page_shift &&
	       page_is_writable(ua + pages * page()))
		pages++;
	return pages;
}

/*
 * Validity of requests
 */

/* Return the size of a request: a backend reads these bytes, and writes no others */
size_t size_of_request(const struct call *call)
{
	switch (call->nr) {
	case VFIO_IOMMU_MAP_DMA:
		return sizeof(call->arg.map);
	case VFIO_IOMMU_UNMAP_DMA:
		return sizeof(call->arg.unmap);
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
	case VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY:
		return sizeof(call->arg.memory);
	case VFIO_IOMMU_SPAPR_TCE_GET_INFO:
		if (call->arg.argsz >= sizeof(call->arg.info))
			return sizeof(call->arg.info);
		return offsetof(struct vfio_iommu_spapr_tce_info, ddw);
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		return sizeof(call->arg.create);
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		return sizeof(call->arg.remove);
	case VFIO_EEH_PE_OP:
		if (call->arg.eeh.op == VFIO_EEH_PE_INJECT_ERR)
			return sizeof(call->arg.eeh);
		return 12;
	default:
		return 8;
	}
}

static size_t least_argsz(const struct call *call)
{
	if (call->nr == VFIO_IOMMU_SPAPR_TCE_GET_INFO)
		return offsetof(struct vfio_iommu_spapr_tce_info, ddw);
	return size_of_request(call);
}

/* Check that a backend can read the request */
bool is_read(const struct call *call)
{
	return call->where == IN_MEMORY || call->where == AT_PAGE_END ||
	       call->where == READ_ONLY_PAGE;
}

/* Check that argsz and flags are valid */
bool head_is_valid(const struct call *call)
{
	uint32_t known = 0;

	if (call->nr == VFIO_IOMMU_MAP_DMA)
		known = READ_WRITE;
	return is_read(call) && call->arg.argsz >= least_argsz(call) &&
	       !(call->arg.flags & ~known);
}

/*
 * Windows and their charges
 */

struct window window_of_default(void)
{
	return (struct window){
		.live = true, .size = machine.default_size,
		.shift = DEFAULT_SHIFT, .levels = 1,
	};
}

/*
 * Return the bytes that the in-tree driver's table for a window covers. On bare metal a table
 * has at least a page of TCEs.
 */
uint64_t window_span(const struct window *w)
{
	uint64_t least = (page() / 8) << w->shift;

	return machine.hypervisor || w->size > least ? w->size : least;
}

/* Return the slot of the window in which the in-tree driver finds an address, or -1 */
int window_at(const struct model *m, uint64_t iova, struct window *w)
{
	for (int slot = 0; slot < WINDOWS; slot++) {
		*w = m->window[slot];
		if (!slot && m->pending)
			*w = window_of_default();
		if (w->live && iova >= w->start &&
		    iova - w->start < window_span(w))
			return slot;
	}
	return -1;
}

int free_slot(const struct model *m)
{
	for (int slot = m->pending; slot < WINDOWS; slot++)
		if (!m->window[slot].live)
			return slot;
	return -1;
}

static unsigned int log2_of(uint64_t n)
{
	return 63 - __builtin_clzll(n);
}

/* Return log2 of the bytes of each table in a tree, computed as in pci-ioda-tce.c */
unsigned int level_shift(const struct window *w)
{
	unsigned int bits = log2_of(w->size) - w->shift;
	unsigned int shift = (bits + w->levels - 1) / w->levels + 3;

	return shift > machine.page_shift ? shift : machine.page_shift;
}

/* Check for a table with too many bus address bits, which the platform refuses at once */
bool spans_too_much(const struct window *w)
{
	return !machine.hypervisor &&
	       (level_shift(w) - 3) * w->levels + w->shift >=
	       MAX_BUS_ADDRESS_BITS;
}

static int64_t whole_pages(uint64_t bytes)
{
	return bytes & ~(page() - 1);
}

/* Return the table size that the platform reports and the in-tree driver charges, or 0 */
int64_t charge_in_tree(const struct window *w)
{
	uint64_t direct, table, bytes = 0;

	if (machine.hypervisor)
		return whole_pages(w->levels > 1 ? ~0U :
				   w->size >> (w->shift - 3));
	if (!w->levels || w->levels > machine.max_levels ||
	    w->size & (w->size - 1))
		return 0;
	table = w->size >> w->shift << 3;
	if (table < 0x1000)
		table = 0x1000;
	direct = 1ULL << level_shift(w);
	for (unsigned int level = w->levels; level; level--) {
		bytes += (table + direct - 1) & ~(direct - 1);
		table = table / direct << 3;
		if (table < direct)
			table = direct;
	}
	return whole_pages(2 * bytes);
}

/* Return the bytes that this module charges for a new window */
int64_t charge_ours(const struct window *w)
{
	if (w->levels == 1)
		return charge_in_tree(w);
	return whole_pages(2ULL << level_shift(w));
}

/* Return the number of entries or tables that the in-tree driver visits to clear a window */
uint64_t clear_steps(const struct window *w)
{
	uint64_t entries = window_span(w) >> w->shift;

	if (w->levels > 1)
		return entries >> (level_shift(w) - 3);
	return entries;
}

static bool has_grown(const struct model *m, int slot, unsigned int bits,
		      uint64_t table)
{
	for (int i = 0; i < m->growns; i++)
		if (m->grown[i].slot == slot &&
		    m->grown[i].first >> bits <= table &&
		    table <= m->grown[i].last >> bits)
			return true;
	return false;
}

/*
 * Return the bytes that this module charges for the table levels that a mapping makes:
 * all levels between the root and the mapped entries that no earlier mapping has made.
 */
int64_t growth(const struct model *m, int slot, uint64_t iova, uint64_t size)
{
	const struct window *w = &m->window[slot];
	uint64_t first = (iova - w->start) >> w->shift, missing = 0;
	uint64_t last = first + (size >> w->shift) - 1;

	for (unsigned int level = 1; level < w->levels; level++) {
		unsigned int bits = level * (level_shift(w) - 3);
		uint64_t table = first >> bits;

		for (; table <= last >> bits; table++)
			missing += !has_grown(m, slot, bits, table);
	}
	return w->levels < 2 ? 0 : missing * (1LL << level_shift(w));
}

/*
 * Registered regions and mapped ranges
 */

bool overlaps_region(const struct model *m, uint64_t ua, uint64_t size)
{
	for (int i = 0; i < m->regions; i++)
		if (ua < m->region[i].ua + m->region[i].size &&
		    m->region[i].ua < ua + size)
			return true;
	return false;
}

int find_region(const struct model *m, uint64_t ua, uint64_t size)
{
	for (int i = 0; i < m->regions; i++)
		if (m->region[i].ua == ua && m->region[i].size == size)
			return i;
	return -1;
}

/* Return the region that contains the whole range, or NULL */
const struct region *region_at(const struct model *m, uint64_t ua,
			       uint64_t size)
{
	for (int i = 0; i < m->regions; i++)
		if (within(ua, size, m->region[i].ua, m->region[i].size))
			return &m->region[i];
	return NULL;
}

/*
 * Return log2 of the largest IOMMU page that the in-tree driver allows in a region. If
 * the region begins with a hugepage, the alignment of the region decides, even if other
 * pages are base pages. Otherwise only base pages are allowed.
 */
unsigned int largest_shift_in_tree(const struct region *r)
{
	unsigned int shift = __builtin_ctzll(r->ua | r->size);

	if (!is_huge(r->ua))
		return machine.page_shift;
	return shift < 21 ? shift : 21;
}

/* Check that each IOMMU page of a range is within a region */
bool all_registered(const struct model *m, uint64_t ua, uint64_t size,
		    unsigned int shift)
{
	uint64_t one = 1ULL << shift;

	if (size > MIB(256) || ua + size < ua)
		return false;
	for (uint64_t at = ua; at < ua + size; at += one)
		if (!region_at(m, at, one))
			return false;
	return true;
}

const struct run *run_at(const struct model *m, uint64_t iova)
{
	for (int i = 0; i < m->runs; i++)
		if (iova >= m->run[i].iova &&
		    iova - m->run[i].iova < m->run[i].size)
			return &m->run[i];
	return NULL;
}

bool region_is_mapped(const struct model *m, const struct region *r)
{
	for (int i = 0; i < m->runs; i++)
		if (m->run[i].ua < r->ua + r->size &&
		    r->ua < m->run[i].ua + m->run[i].size)
			return true;
	return false;
}

static bool runs_meet(const struct run *run, uint64_t iova, uint64_t size)
{
	return run->iova - iova < size || iova - run->iova < run->size;
}

bool any_mapped(const struct model *m, uint64_t iova, uint64_t size)
{
	for (int i = 0; i < m->runs; i++)
		if (runs_meet(&m->run[i], iova, size))
			return true;
	return false;
}

static void add_run(struct model *m, uint64_t iova, uint64_t size, uint64_t ua,
		    uint32_t perm)
{
	if (m->runs == MAX_RUNS) {
		fputs("differ: too many runs in the model\n", stderr);
		exit(2);
	}
	m->run[m->runs++] = (struct run){ iova, size, ua, perm };
}

/* Record the ends of an unmapped range, where later probes look for stale translations */
static void note_gone(struct model *m, uint64_t first, uint64_t last)
{
	m->gone[m->gone_next++ % MAX_GONE] = first & ~(TCE_4K - 1);
	m->gone[m->gone_next++ % MAX_GONE] = last & ~(TCE_4K - 1);
}

/* Remove a range from all mapped ranges; keep the parts of each before and after the range */
void model_unmap(struct model *m, uint64_t iova, uint64_t size)
{
	if (!size)
		return;
	for (int i = 0; i < m->runs; ) {
		struct run old = m->run[i];
		uint64_t old_last = old.iova + old.size - 1;
		uint64_t last = iova + size - 1;

		if (!runs_meet(&old, iova, size)) {
			i++;
			continue;
		}
		m->run[i] = m->run[--m->runs];
		if (old.iova < iova)
			add_run(m, old.iova, iova - old.iova, old.ua, old.perm);
		if (old_last > last)
			add_run(m, last + 1, old_last - last,
				old.ua + (last + 1 - old.iova), old.perm);
		note_gone(m, old.iova < iova ? iova : old.iova,
			  old_last > last ? last : old_last);
	}
}

void model_make_default(struct model *m)
{
	if (!m->pending)
		return;
	m->pending = false;
	m->window[0] = window_of_default();
}

void model_grow(struct model *m, int slot, uint64_t iova, uint64_t size)
{
	int64_t bytes = growth(m, slot, iova, size);
	struct window *w = &m->window[slot];
	uint64_t first = (iova - w->start) >> w->shift;

	if (!bytes)
		return;
	if (m->growns == MAX_GROWN) {
		fputs("differ: too many grown tables in the model\n", stderr);
		exit(2);
	}
	w->grown += bytes;
	m->grown[m->growns++] = (struct grown){
		slot, first, first + (size >> w->shift) - 1,
	};
}

static void forget_growth(struct model *m, int slot)
{
	for (int i = 0; i < m->growns; )
		if (m->grown[i].slot == slot)
			m->grown[i] = m->grown[--m->growns];
		else
			i++;
}

static void apply_map(struct model *m, const struct call *call)
{
	const struct vfio_iommu_type1_dma_map *map = &call->arg.map;

	if (m->pending && map->iova < machine.default_size)
		model_make_default(m);
	model_unmap(m, map->iova, map->size);
	add_run(m, map->iova, map->size, map->vaddr, map->flags);
}

static void apply_create(struct model *m, const struct call *call,
			 const struct answer *a)
{
	int slot = free_slot(m);

	model_make_default(m);
	m->window[slot] = (struct window){
		.live = true,
		.start = a->out.create.start_addr,
		.size = call->arg.create.window_size,
		.shift = call->arg.create.page_shift,
		.levels = call->arg.create.levels,
	};
}

static void apply_remove(struct model *m, uint64_t start)
{
	if (m->pending && !start) {
		m->pending = false;
		return;
	}
	for (int slot = 0; slot < WINDOWS; slot++) {
		struct window *w = &m->window[slot];

		if (!w->live || w->start != start)
			continue;
		model_unmap(m, w->start, w->size);
		forget_growth(m, slot);
		w->live = false;
		return;
	}
}

static void apply_unregister(struct model *m, const struct call *call)
{
	int i = find_region(m, call->arg.memory.vaddr, call->arg.memory.size);

	if (i >= 0)
		m->region[i] = m->region[--m->regions];
}

/* Apply a call that has succeeded on both sides */
void model_apply(struct model *m, const struct call *call,
		 const struct answer *a)
{
	switch (call->nr) {
	case VFIO_IOMMU_MAP_DMA:
		apply_map(m, call);
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		model_unmap(m, call->arg.unmap.iova, call->arg.unmap.size);
		break;
	case VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
		m->region[m->regions++] = (struct region){
			call->arg.memory.vaddr, call->arg.memory.size,
		};
		m->enabled = true;
		break;
	case VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY:
		apply_unregister(m, call);
		break;
	case VFIO_IOMMU_SPAPR_TCE_CREATE:
		apply_create(m, call, a);
		break;
	case VFIO_IOMMU_SPAPR_TCE_REMOVE:
		apply_remove(m, call->arg.remove.start_addr);
		break;
	}
}
