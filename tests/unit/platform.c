// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated platform, see platform.h. Owns its state, the hooks that the
 * kernel calls it_ops and table group ops, and the locks that src/mm_iommu.c
 * does not use.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "platform.h"
#include "sim.h"
#include "tce2_mm_iommu.h"
#include "tce2_realmode.h"

#define CHUNK_SHIFT 9
#define CHUNK	    (1UL << CHUNK_SHIFT)
#define MAX_STALE   2
#define MAX_LOWER   64
#define MAX_KILLED  64
#define MAX_TABLES  64
#define HPA(tce)    ((tce) & ~0xfffULL)

/* An entry, and what a device may have cached of what it was before */
struct entry {
	u64 live;
	u64 stale[MAX_STALE];
	unsigned int stales;
};

struct chunk {
	u64 number;
	struct entry entries[CHUNK];
};

/* A table below the root, or the copy of one; level 0 is the lowest */
struct lower {
	bool copy;
	unsigned int level;
	u64 number;
};

/* Entries killed since the last flush */
struct killed {
	u64 first, count;
};

/**
 * struct fake_table - a table
 * @tbl: what src/ knows of it
 * @refs: references
 * @pages: what it takes
 * @chunks: entries that were ever written, by number
 * @count: how many of @chunks
 * @lower: tables below the root
 * @lowers: how many
 * @killed: see there
 * @kills: how many
 */
struct fake_table {
	struct iommu_table tbl;
	unsigned int refs;
	u64 pages;
	struct chunk **chunks;
	size_t count;
	struct lower lower[MAX_LOWER];
	unsigned int lowers;
	struct killed killed[MAX_KILLED];
	unsigned int kills;
};

/* How often a piece of memory is held, and how often a device is led there */
struct reach {
	u64 key; /* address | log2 of its size; 0 is free */
	u64 held;
	u64 led;
};

struct failure {
	unsigned int nth, times;
};

struct platform platform;

static struct fake_table *tables[MAX_TABLES];
static struct fake_group groups[MAX_GROUPS];
static unsigned int nr_groups;
static struct failure failures[PLATFORM_FAULTS];
static struct reach *reaches;
static size_t reach_slots, reach_used;

static const struct iommu_table_ops table_ops;
static const struct iommu_table_group_ops group_ops;

static struct fake_table *fake(struct iommu_table *tbl)
{
	return container_of(tbl, struct fake_table, tbl);
}

static struct fake_group *fake_group(struct iommu_table_group *tg)
{
	return container_of(tg, struct fake_group, tg);
}

static void log_event(enum platform_event what, u64 first, u64 count)
{
	platform.calls[what]++;
	if (platform.logged < MAX_EVENTS)
		platform.events[platform.logged++] =
			(struct event){ what, first, count };
}

void platform_forget_events(void)
{
	platform.logged = 0;
	memset(platform.calls, 0, sizeof(platform.calls));
}

void platform_complains(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	platform.complaints++;
}

/*
 * Failures
 */

void platform_fail(enum platform_fault fault, unsigned int nth,
		   unsigned int times)
{
	failures[fault] = (struct failure){ nth, times };
}

void platform_fail_nothing(void)
{
	memset(failures, 0, sizeof(failures));
	platform.fired = false;
	platform.error = -EIO;
}

bool platform_fails(enum platform_fault fault)
{
	struct failure *f = &failures[fault];

	platform.calls_to[fault]++;
	if (!f->nth || --f->nth)
		return false;
	platform.fired = true;
	if (--f->times)
		f->nth = 1;
	return true;
}

/*
 * What is held and where devices are led
 */

static struct reach *reach_slot(u64 key)
{
	size_t i = key * 0x9e3779b97f4a7c15ULL >> 20;

	for (;; i++) {
		struct reach *r = &reaches[i & (reach_slots - 1)];

		if (!r->key || r->key == key)
			return r;
	}
}

static struct reach *reach(u64 hpa, unsigned int shift)
{
	u64 key = hpa | shift;
	struct reach *r, *old = reaches;
	size_t slots = reach_slots;

	if (reach_used * 2 >= reach_slots) {
		reach_slots = slots ? slots * 2 : 1024;
		reaches = calloc(reach_slots, sizeof(*reaches));
		for (size_t i = 0; i < slots; i++) {
			if (old[i].key)
				*reach_slot(old[i].key) = old[i];
		}
		free(old);
	}
	r = reach_slot(key);
	if (!r->key) {
		r->key = key;
		reach_used++;
	}
	return r;
}

static u64 hpa_of(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	struct tce2_region *region = tce2_region_find_held(cache, ua, shift);
	u64 hpa = 0;

	if (tce2_rm_ua_to_hpa(region, ua, shift, false, &hpa) != TCE2_RM_OK)
		sim_bug("held memory %llx is not contiguous", ua);
	return hpa;
}

static void count_held(struct tce2_cache *cache, u64 ua, unsigned int shift,
		       u64 pages)
{
	for (u64 i = 0; i < pages; i++)
		reach(hpa_of(cache, ua + (i << shift), shift), shift)->held++;
	platform.held += pages;
}

static void count_dropped(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	struct reach *r = reach(hpa_of(cache, ua, shift), shift);

	log_event(EVENT_DROP, ua, 1);
	if (!r->held)
		sim_bug("user address %llx is dropped but not held", ua);
	r->held--;
	platform.held--;
	if (r->led > r->held)
		sim_bug("user address %llx is dropped while a device can reach "
			"it",
			ua);
}

/* Listening to what src/tce_v2.c calls: the linker puts these in between */

int __real_tce2_memory_hold(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, u64 pages, bool write);
void __real_tce2_memory_drop(struct tce2_cache *cache, u64 ua,
			     unsigned int shift, u64 pages);
void __real_tce2_drop_page(struct tce2_drop *drop, u64 ua, unsigned int shift);
int __wrap_tce2_memory_hold(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, u64 pages, bool write);
void __wrap_tce2_memory_drop(struct tce2_cache *cache, u64 ua,
			     unsigned int shift, u64 pages);
void __wrap_tce2_drop_page(struct tce2_drop *drop, u64 ua, unsigned int shift);

int __wrap_tce2_memory_hold(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, u64 pages, bool write)
{
	int ret = __real_tce2_memory_hold(cache, ua, shift, pages, write);

	if (!ret)
		count_held(cache, ua, shift, pages);
	return ret;
}

void __wrap_tce2_memory_drop(struct tce2_cache *cache, u64 ua,
			     unsigned int shift, u64 pages)
{
	for (u64 i = 0; i < pages; i++)
		count_dropped(cache, ua + (i << shift), shift);
	__real_tce2_memory_drop(cache, ua, shift, pages);
}

void __wrap_tce2_drop_page(struct tce2_drop *drop, u64 ua, unsigned int shift)
{
	count_dropped(drop->cache, ua, shift);
	__real_tce2_drop_page(drop, ua, shift);
}

/*
 * Entries
 */

/* The first chunk of at least @number, or the one behind the last */
static size_t chunk_from(const struct fake_table *t, u64 number)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->chunks[mid]->number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct entry *find_entry(struct fake_table *t, u64 index, bool make)
{
	u64 number = index >> CHUNK_SHIFT;
	size_t at = chunk_from(t, number);

	if (at == t->count || t->chunks[at]->number != number) {
		if (!make)
			return NULL;
		t->chunks =
			realloc(t->chunks, (t->count + 1) * sizeof(*t->chunks));
		memmove(t->chunks + at + 1, t->chunks + at,
			(t->count - at) * sizeof(*t->chunks));
		t->chunks[at] = calloc(1, sizeof(**t->chunks));
		t->chunks[at]->number = number;
		t->count++;
	}
	return &t->chunks[at]->entries[index & (CHUNK - 1)];
}

static bool is_stale(const struct entry *e, u64 tce)
{
	for (unsigned int i = 0; i < e->stales; i++) {
		if (HPA(e->stale[i]) == HPA(tce))
			return true;
	}
	return false;
}

/* A device may have cached any value that was ever there, until it is killed */
static void write_entry(struct fake_table *t, struct entry *e, u64 tce)
{
	u64 old = e->live;
	bool new = tce && !(tce & TCE_ALIEN) && !is_stale(e, tce) &&
		   (!old || HPA(old) != HPA(tce));
	struct reach *r;

	if (old && !is_stale(e, old)) {
		if (e->stales == MAX_STALE)
			sim_bug("an entry is written again and again, never "
				"killed");
		e->stale[e->stales++] = old;
	}
	e->live = tce;
	if (!new)
		return;
	r = reach(HPA(tce), t->tbl.it_page_shift);
	if (++r->led > r->held)
		sim_bug("a device is led to %llx, which is not held", tce);
}

static void forget_stale(struct fake_table *t, struct entry *e)
{
	for (unsigned int i = 0; i < e->stales; i++) {
		u64 tce = e->stale[i];

		if (!(tce & TCE_ALIEN) &&
		    (!e->live || HPA(tce) != HPA(e->live)))
			reach(HPA(tce), t->tbl.it_page_shift)->led--;
	}
	e->stales = 0;
}

/* The next entry from *index on that was ever written */
static struct entry *next_entry(struct fake_table *t, u64 *index, u64 end)
{
	size_t at = chunk_from(t, *index >> CHUNK_SHIFT);
	u64 first;

	if (*index >= end || at == t->count)
		return NULL;
	first = t->chunks[at]->number << CHUNK_SHIFT;
	if (first > *index)
		*index = first;
	return *index < end ? &t->chunks[at]->entries[*index & (CHUNK - 1)]
			    : NULL;
}

#define for_each_entry(t, e, index, first, end) \
	for (index = (first); (e = next_entry(t, &index, end)); index++)

static void check_range(struct fake_table *t, u64 index, u64 count)
{
	if (index < t->tbl.it_offset || !count ||
	    index - t->tbl.it_offset + count > t->tbl.it_size)
		sim_bug("entries %llx to %llx are not in the table", index,
			index + count);
}

static void make_pages(struct fake_table *t, u64 bytes)
{
	u64 pages = bytes >> PAGE_SHIFT;

	t->pages += pages;
	platform.pages += pages;
	if (platform.pages + sim.now.pinned > sim.now.charged)
		sim_bug("a table is made that was not charged for");
}

static bool has_lower(struct fake_table *t, struct lower want)
{
	for (unsigned int i = 0; i < t->lowers; i++) {
		struct lower *l = &t->lower[i];

		if (l->copy == want.copy && l->level == want.level &&
		    l->number == want.number)
			return true;
	}
	return false;
}

/* Makes the tables that lead to an entry, or their copies */
static void make_lower(struct fake_table *t, u64 index, bool copy)
{
	unsigned int bits = ilog2(t->tbl.it_level_size);

	for (unsigned int i = 0; i < t->tbl.it_indirect_levels; i++) {
		struct lower l = { copy, i, index >> (i + 1) * bits };

		if (has_lower(t, l))
			continue;
		if (t->lowers == MAX_LOWER)
			abort();
		t->lower[t->lowers++] = l;
		make_pages(t, t->tbl.it_level_size * 8);
	}
}

static u64 *useraddrptr(struct iommu_table *tbl, long index, bool alloc)
{
	static u64 somewhere;
	struct fake_table *t = fake(tbl);

	check_range(t, index, 1);
	if (!alloc)
		sim_bug("nobody here reads the kernel's copy");
	if (platform_fails(PLATFORM_USERADDR))
		return NULL;
	make_lower(t, index - tbl->it_offset, true);
	return &somewhere;
}

static const u64 direction_perm[] = {
	[DMA_BIDIRECTIONAL] = TCE_READ | TCE_WRITE,
	[DMA_TO_DEVICE] = TCE_READ,
	[DMA_FROM_DEVICE] = TCE_WRITE,
};

static int xchg_no_kill(struct iommu_table *tbl, long index, unsigned long *hpa,
			enum dma_data_direction *direction)
{
	struct fake_table *t = fake(tbl);
	u64 tce = 0, at = index - tbl->it_offset;
	struct lower copy = { true, 0, at >> ilog2(tbl->it_level_size) };

	check_range(t, index, 1);
	log_event(EVENT_WRITE, index, 1);
	if (platform_fails(PLATFORM_XCHG))
		return platform.error;
	if (*direction != DMA_NONE) {
		tce = *hpa | direction_perm[*direction];
		if (tbl->it_indirect_levels && !has_lower(t, copy))
			sim_bug("entry %lx is written before its copy exists",
				index);
		make_lower(t, at, false);
	}
	if (*hpa & ((1ULL << tbl->it_page_shift) - 1))
		sim_bug("%lx is no address of an IOMMU page", *hpa);
	write_entry(t, find_entry(t, at, true), tce);
	return 0;
}

static void kill_entries(struct fake_table *t, u64 first, u64 count)
{
	if (t->kills == MAX_KILLED)
		sim_bug("kill after kill, and never a flush");
	t->killed[t->kills++] = (struct killed){ first, count };
	platform.kill_most = max(platform.kill_most, count);
}

/* Fails with part of it written and nothing of that invalidated */
static int set_tces(struct iommu_table *tbl, long index, long npages,
		    unsigned long uaddr, enum dma_data_direction direction,
		    unsigned long attrs)
{
	struct fake_table *t = fake(tbl);
	u64 at = index - tbl->it_offset;
	unsigned int bits = ilog2(tbl->it_level_size);

	check_range(t, index, npages);
	log_event(EVENT_WRITE, index, npages);
	for (u64 i = at; i < at + npages; i++) {
		if (platform_fails(PLATFORM_XCHG))
			return platform.error;
		if (tbl->it_indirect_levels &&
		    !has_lower(t, (struct lower){ false, 0, i >> bits }))
			sim_bug("the platform writes to a table that isn't "
				"there");
		write_entry(t, find_entry(t, i, true),
			    (uaddr + ((i - at) << tbl->it_page_shift)) |
				    direction_perm[direction]);
	}
	log_event(EVENT_KILL, index, npages);
	kill_entries(t, at, npages);
	return 0;
}

static void tce_kill(struct iommu_table *tbl, unsigned long index,
		     unsigned long pages)
{
	if (!pages || pages > 1UL << 31)
		sim_bug("firmware hangs when it invalidates %lu entries",
			pages);
	check_range(fake(tbl), index, pages);
	log_event(EVENT_KILL, index, pages);
	kill_entries(fake(tbl), index - tbl->it_offset, pages);
}

static void clear(struct iommu_table *tbl, long index, long npages)
{
	struct fake_table *t = fake(tbl);
	struct entry *e;
	u64 i;

	check_range(t, index, npages);
	log_event(EVENT_CLEAR, index, npages);
	index -= tbl->it_offset;
	for_each_entry(t, e, i, index, index + npages) write_entry(t, e, 0);
	kill_entries(t, index, npages);
}

static void flush(struct iommu_table *tbl)
{
	struct fake_table *t = fake(tbl);
	struct entry *e;
	u64 i;

	log_event(EVENT_FLUSH, 0, 0);
	for (; t->kills; t->kills--) {
		struct killed *k = &t->killed[t->kills - 1];

		for_each_entry(t, e, i, k->first, k->first + k->count)
			forget_stale(t, e);
	}
}

void iommu_tce_kill(struct iommu_table *tbl, unsigned long entry,
		    unsigned long pages)
{
	tbl->it_ops->tce_kill(tbl, entry, pages);
}

void iommu_flush_tce(struct iommu_table *tbl)
{
	tbl->it_ops->flush(tbl);
}

static const struct iommu_table_ops table_ops = {
	.set = set_tces,
	.xchg_no_kill = xchg_no_kill,
	.tce_kill = tce_kill,
	.useraddrptr = useraddrptr,
	.clear = clear,
	.flush = flush,
};

u64 platform_tce(struct iommu_table *tbl, u64 index)
{
	struct entry *e = find_entry(fake(tbl), index, false);

	return e ? e->live : 0;
}

void platform_poke(struct iommu_table *tbl, u64 index, u64 tce)
{
	find_entry(fake(tbl), index, true)->live = tce | TCE_ALIEN;
}

u64 platform_mapped(struct iommu_table *tbl)
{
	u64 i, n = 0;
	struct entry *e;

	for_each_entry(fake(tbl), e, i, 0, tbl->it_size) n += e->live != 0;
	return n;
}

u64 platform_sum(struct iommu_table *tbl)
{
	u64 i, sum = 0;
	struct entry *e;

	for_each_entry(fake(tbl), e, i, 0, tbl->it_size)
	{
		if (e->live)
			sum += (e->live ^ (i << 20)) * 0x9e3779b97f4a7c15ULL;
	}
	return sum;
}

/*
 * Tables and groups
 */

static unsigned int table_shift(u32 page_shift, u64 size, u32 levels)
{
	unsigned int bits = ilog2(size) - page_shift;

	return max_t(unsigned int, (bits + levels - 1) / levels + 3,
		     PAGE_SHIFT);
}

/* In full, with the copy, which is all that a hypervisor leaves to Linux */
static unsigned long get_table_size(u32 page_shift, u64 size, u32 levels)
{
	unsigned long bytes = 0, at_level = 1;
	unsigned int shift = table_shift(page_shift, size, levels);

	for (u32 i = 0; i < levels; i++, at_level <<= shift - 3)
		bytes += at_level << shift;
	return platform.hypervisor ? bytes : 2 * bytes;
}

static long create_table(struct iommu_table_group *tg, int num, u32 page_shift,
			 u64 size, u32 levels, struct iommu_table **tblp)
{
	unsigned int shift = table_shift(page_shift, size, levels), i = 0;
	struct fake_table *t;

	if (tg->tables[num] || fake_group(tg)->walks[num])
		sim_bug("there is a table in slot %d", num);
	if (platform_fails(PLATFORM_CREATE))
		return platform.error;
	while (tables[i])
		i++;
	t = calloc(1, sizeof(*t));
	tables[i] = t;
	platform.tables++;
	t->refs = 1;
	t->tbl = (struct iommu_table){
		.it_size = size >> page_shift,
		.it_indirect_levels = levels - 1,
		.it_level_size = 1UL << (shift - 3),
		.it_offset = (num ? 1ULL << 59 : tg->tce32_start) >> page_shift,
		.it_page_shift = page_shift,
		.it_userspace = platform.no_copy ? NULL : (u64 *)t,
		.it_ops = (struct iommu_table_ops *)&table_ops,
	};
	if (!platform.no_copy)
		make_pages(t,
			   platform.hypervisor ? 1ULL << shift : 2ULL << shift);
	if (platform.hypervisor) {
		tg->tables[num] = &t->tbl;
		fake_group(tg)->walks[num] = &t->tbl;
		t->refs++;
	}
	*tblp = &t->tbl;
	return 0;
}

static long set_window(struct iommu_table_group *tg, int num,
		       struct iommu_table *tbl)
{
	if (platform_fails(PLATFORM_SET))
		return platform.error;
	if (platform.hypervisor)
		return tg->tables[num] == tbl ? 0 : -EPERM;
	if (tg->tables[num] || fake_group(tg)->walks[num])
		sim_bug("slot %d of a group is set twice", num);
	tg->tables[num] = tbl;
	fake_group(tg)->walks[num] = tbl;
	fake(tbl)->refs++;
	return 0;
}

/* Should the hardware refuse, Linux forgets the table all the same (IODA2) */
static long unset_window(struct iommu_table_group *tg, int num)
{
	struct iommu_table *tbl = tg->tables[num];
	bool fails = platform_fails(PLATFORM_UNSET);

	if (!tbl)
		sim_bug("slot %d of a group is unset but was not set", num);
	tg->tables[num] = NULL;
	if (!fails)
		fake_group(tg)->walks[num] = NULL;
	iommu_tce_table_put(tbl);
	return fails ? platform.error : 0;
}

static void take_ownership(struct iommu_table_group *tg)
{
	if (fake_group(tg)->owned)
		sim_bug("a group is taken twice");
	fake_group(tg)->owned = true;
	platform.owned++;
}

static void release_ownership(struct iommu_table_group *tg)
{
	if (!fake_group(tg)->owned)
		sim_bug("a group is given back that was not taken");
	if (tg->tables[0] || tg->tables[1])
		sim_bug("a group is given back with windows");
	fake_group(tg)->owned = false;
	platform.owned--;
}

static const struct iommu_table_group_ops group_ops = {
	.get_table_size = get_table_size,
	.create_table = create_table,
	.set_window = set_window,
	.unset_window = unset_window,
	.take_ownership = take_ownership,
	.release_ownership = release_ownership,
};

static void free_table(struct fake_table *t)
{
	for (unsigned int i = 0; i < MAX_TABLES; i++) {
		if (tables[i] == t)
			tables[i] = NULL;
	}
	platform.tables--;
	platform.pages -= t->pages;
	for (size_t i = 0; i < t->count; i++)
		free(t->chunks[i]);
	free(t->chunks);
	free(t);
}

int iommu_tce_table_put(struct iommu_table *tbl)
{
	struct fake_table *t = fake(tbl);

	if (--t->refs)
		return 0;
	for (unsigned int i = 0; i < nr_groups * 2; i++) {
		if (groups[i / 2].walks[i % 2] == tbl)
			sim_bug("a table is freed that hardware walks");
	}
	if (platform_mapped(tbl))
		sim_bug("a table is freed in which something is mapped");
	free_table(t);
	return 1;
}

unsigned int platform_users(const struct iommu_table *tbl)
{
	return fake((struct iommu_table *)tbl)->refs;
}

void *iommu_group_get_iommudata(struct iommu_group *group)
{
	return group->data;
}

struct fake_group *platform_group(u32 max_levels)
{
	struct fake_group *g = &groups[nr_groups++];

	*g = (struct fake_group){
		.tg = {
			.tce32_size = 1U << 30,
			.pgsizes = BIT_ULL(12) | BIT_ULL(16) | BIT_ULL(24),
			.max_dynamic_windows_supported = 2,
			.max_levels = max_levels,
			.ops = (struct iommu_table_group_ops *)&group_ops,
		},
	};
	g->group.data = &g->tg;
	return g;
}

static void free_everything(void)
{
	for (unsigned int i = 0; i < MAX_TABLES; i++) {
		if (tables[i])
			free_table(tables[i]);
	}
	free(reaches);
	reaches = NULL;
	reach_slots = 0;
	reach_used = 0;
}

void platform_reset(void)
{
	free_everything();
	memset(&platform, 0, sizeof(platform));
	nr_groups = 0;
	platform_fail_nothing();
	wait_for_others = false;
}

void platform_forget_leaked(u64 want)
{
	if (platform.tables != want)
		sim_bug("%llu tables are leaked, not %llu", platform.tables,
			want);
	for (unsigned int i = 0; i < MAX_TABLES; i++) {
		if (tables[i])
			free_table(tables[i]);
	}
	memset(groups, 0, sizeof(groups));
}

void platform_expect_nothing_left(void)
{
	if (platform.tables || platform.pages)
		sim_bug("left behind: %llu tables", platform.tables);
	if (platform.owned)
		sim_bug("left behind: a group that was taken");
	for (unsigned int i = 0; i < nr_groups * 2; i++) {
		if (groups[i / 2].walks[i % 2])
			sim_bug("left behind: a window of a group");
	}
	for (size_t i = 0; i < reach_slots; i++) {
		if (reaches[i].held || reaches[i].led)
			sim_bug("left behind: %llx is held %llu times",
				reaches[i].key, reaches[i].held);
	}
	free_everything();
}

/*
 * Locks
 */

void init_rwsem(struct rw_semaphore *sem)
{
	*sem = (struct rw_semaphore){};
}

void down_read(struct rw_semaphore *sem)
{
	sim_may_sleep("down_read");
	if (sem->writer)
		sim_bug("deadlock: down_read");
	sem->readers++;
}

void up_read(struct rw_semaphore *sem)
{
	rwsem_assert_held(sem);
	sem->readers--;
}

void down_write(struct rw_semaphore *sem)
{
	sim_may_sleep("down_write");
	if (sem->writer || sem->readers)
		sim_bug("deadlock: down_write");
	sem->writer = true;
}

int down_write_killable(struct rw_semaphore *sem)
{
	if (sim_fails(SIM_KILL))
		return -EINTR;
	down_write(sem);
	return 0;
}

void up_write(struct rw_semaphore *sem)
{
	rwsem_assert_held_write(sem);
	sem->writer = false;
}

void rwsem_assert_held(struct rw_semaphore *sem)
{
	if (!sem->writer && !sem->readers)
		sim_bug("a rwsem that should be held is not");
}

void rwsem_assert_held_write(struct rw_semaphore *sem)
{
	if (!sem->writer)
		sim_bug("a rwsem that should be held for writing is not");
}

void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->held = false;
}

void spin_lock(spinlock_t *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->owner = pthread_self();
	lock->held = true;
}

void spin_unlock(spinlock_t *lock)
{
	spin_assert_held(lock);
	lock->held = false;
	pthread_mutex_unlock(&lock->mutex);
}

void spin_assert_held(spinlock_t *lock)
{
	if (!lock->held || !pthread_equal(lock->owner, pthread_self()))
		sim_bug("a spinlock that should be held is not");
}

__thread const bool *wait_killed;
bool wait_for_others;

void init_waitqueue_head(wait_queue_head_t *wait)
{
	pthread_mutex_init(&wait->mutex, NULL);
	pthread_cond_init(&wait->woken, NULL);
	wait->waiters = 0;
}

unsigned int wait_count(wait_queue_head_t *wait)
{
	unsigned int count;

	pthread_mutex_lock(&wait->mutex);
	count = wait->waiters;
	pthread_mutex_unlock(&wait->mutex);
	return count;
}

void wake_up_all(wait_queue_head_t *wait)
{
	pthread_mutex_lock(&wait->mutex);
	pthread_cond_broadcast(&wait->woken);
	pthread_mutex_unlock(&wait->mutex);
}

void wait_enter(wait_queue_head_t *wait)
{
	pthread_mutex_lock(&wait->mutex);
	wait->waiters++;
}

bool wait_interrupted(wait_queue_head_t *wait)
{
	if (wait_killed && *(const volatile bool *)wait_killed)
		return true;
	if (!wait_for_others)
		sim_bug("a thread waits for what nobody will do");
	pthread_cond_wait(&wait->woken, &wait->mutex);
	return false;
}

void wait_leave(wait_queue_head_t *wait)
{
	wait->waiters--;
	pthread_mutex_unlock(&wait->mutex);
}
