// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated platform, see sim_platform.h. This file owns the platform's state, the
 * hooks of it_ops and of the table group's ops, and the locks that src/mm_iommu.c does not
 * use.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <asm/mmu_context.h>

#include "sim_platform.h"
#include "tce2_why.h"
#include "sim.h"
#include "tce2_mirror.h"
#include "tce2_mm_iommu.h"
#include "watch.h"

#define MAX_STALE  2
#define MAX_KILLED 1024
#define MAX_TABLES 64
#define HPA(tce)   ((tce) & ~0xfffULL)
#define PERM(tce)  ((tce) & 0xfffULL)
#define TCE_PERM   (TCE_READ | TCE_WRITE)

/* Entries of PLATFORM_ODD_FORMAT differ by this bit, which no address has set */
#define ODD (1ULL << 61)

/* Maximum number of entries of one hypercall, if the firmware has the feature for it */
#define INDIRECT 512

/* An entry, and its previous values that a device may still have cached */
struct entry {
	u64 live;
	u64 stale[MAX_STALE];
	u8 stales;
	u8 killed; /* number of stale values that the next flush removes */
};

/**
 * struct node - one node of the tree that a TCE table consists of
 * @table: the TCE table that the node belongs to
 * @level: level in the tree; 0 is the lowest
 * @number: number of the node in its level
 * @bytes: size of its memory
 * @watched: the node's memory; NULL under a hypervisor
 * @mem: the address of this memory as used by src/
 * @seen: content of the memory at the last platform_sync()
 * @entries: the entries as devices see them, for level 0
 */
struct node {
	struct fake_table *table;
	unsigned int level;
	u64 number;
	size_t bytes;
	struct watched *watched;
	__be64 *mem;
	__be64 *seen;
	struct entry *entries;
};

/* A node of the kernel's copy of a table, except the root; level 0 is the lowest */
struct copy {
	unsigned int level;
	u64 number;
};

/* Entries that tce_kill() was called for since the last flush() */
struct killed {
	u64 first, count;
};

/**
 * struct fake_table - a TCE table
 * @tbl: the table as src/ sees it
 * @pages: number of pages that the table and the kernel's copy of it take
 * @bits: log2 of the number of entries in a node
 * @kind: see enum platform_kind
 * @freed: the hook free() was called, see free_entries()
 * @nodes: nodes of the tree, the root first
 * @count: number of @nodes
 * @found: index in @nodes of the last node found
 * @copies: nodes of the kernel's copy, without the root
 * @nr_copies: number of @copies
 * @killed: entries that the next flush() removes from devices' caches
 * @kills: number of @killed
 */
struct fake_table {
	struct iommu_table tbl;
	u64 pages;
	unsigned int bits;
	enum platform_kind kind;
	bool freed;
	struct node **nodes;
	size_t count;
	size_t found;
	struct copy *copies;
	size_t nr_copies;
	struct killed killed[MAX_KILLED];
	unsigned int kills;
};

/* Counts of an IOMMU page: @held is the number of holds, @led the number of TCEs that map it */
struct reach {
	u64 key; /* address of the page | log2 of its size; 0 if the slot is free */
	u64 held;
	u64 led;
};

struct failure {
	unsigned int nth, times;
};

struct platform platform;
enum platform_kind platform_kind;

/* Number of table entries compared by one memcmp() */
#define COMPARED 64

static struct fake_table *tables[MAX_TABLES];
static struct fake_group groups[MAX_GROUPS];
static unsigned int nr_groups;
static struct failure failures[PLATFORM_FAULTS];
static struct reach *reaches;
static size_t reach_slots, reach_used;
static bool unordered; /* src/ has stored a TCE, and no mb() followed */

static const struct iommu_table_ops table_ops, hypervisor_ops;
/* Number of rwsems held by all threads, see platform_expect_unlocked() */
static unsigned int rwsems_held;

static const struct iommu_table_group_ops group_ops;

bool firmware_has_feature(unsigned long feature)
{
	return platform.features & feature;
}

/* Returns how many entries one hypercall writes or clears */
static u64 at_a_time(unsigned long calls_for_many)
{
	return firmware_has_feature(calls_for_many) ? INDIRECT : 1;
}

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
	platform.calls[what] += what == EVENT_DROP ? count : 1;
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

	/* A console may be slow, and other threads wait for the holder of a brief lock */
	if (!sim_preemptible())
		sim_bug("a message is printed with preemption disabled");
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	platform.complaints++;
}

/*
 * Injected failures
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
	platform.refused = 0;
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

static bool entry_fails(u64 hpa)
{
	if (hpa && hpa == platform.refused)
		platform.fired = true;
	return platform_fails(PLATFORM_XCHG) ||
	       (hpa && hpa == platform.refused);
}

/*
 * Counts of held pages, and of TCEs that map them
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
	struct tce2_region *region;
	u64 hpa = 0, flags;

	/* No other task may run here, because this lookup is not a step of src/ */
	sim_preempt_disable();
	region = tce2_region_find_held(cache, ua, shift);
	sim_preempt_enable();
	if (!tce2_extents_page(&region->extents, ua, shift, &hpa, &flags))
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

void platform_hold_page(u64 hpa, unsigned int shift)
{
	reach(hpa, shift)->held++;
	platform.held++;
}

static void count_dropped(u64 hpa, u64 ua, unsigned int shift)
{
	struct reach *r = reach(hpa, shift);

	if (!r->held)
		sim_bug("user address %llx is dropped but not held", ua);
	r->held--;
	platform.held--;
	if (r->led > r->held)
		sim_bug("user address %llx is dropped while a device can reach it",
			ua);
}

/* Wrappers of the functions that hold and drop memory, inserted by the linker (--wrap) */

/* Declared with the same types, to avoid compiler warnings */
__typeof__(tce2_page_hold) __real_tce2_page_hold, __wrap_tce2_page_hold;
__typeof__(tce2_page_hold_again) __real_tce2_page_hold_again, __wrap_tce2_page_hold_again;
__typeof__(tce2_page_drop) __real_tce2_page_drop, __wrap_tce2_page_drop;
__typeof__(tce2_page_drop_from) __real_tce2_page_drop_from,
	__wrap_tce2_page_drop_from;
__typeof__(tce2_page_drop_counted) __real_tce2_page_drop_counted,
	__wrap_tce2_page_drop_counted;
__typeof__(tce2_pages_uncount) __real_tce2_pages_uncount,
	__wrap_tce2_pages_uncount;
__typeof__(tce2_pages_hold) __real_tce2_pages_hold, __wrap_tce2_pages_hold;
__typeof__(tce2_pages_drop_from) __real_tce2_pages_drop_from,
	__wrap_tce2_pages_drop_from;
__typeof__(tce2_mirror_drop) __real_tce2_mirror_drop, __wrap_tce2_mirror_drop;
__typeof__(tce2_memory_hold_or_refuse) __real_tce2_memory_hold_or_refuse,
	__wrap_tce2_memory_hold_or_refuse;
__typeof__(tce2_memory_hold) __wrap_tce2_memory_hold;
__typeof__(tce2_memory_drop) __real_tce2_memory_drop, __wrap_tce2_memory_drop;
__typeof__(tce2_drop_batch_add) __real_tce2_drop_batch_add,
	__wrap_tce2_drop_batch_add;

int __wrap_tce2_memory_hold_or_refuse(struct tce2_cache *cache,
				      struct tce2_memory *memory)
{
	int ret;

	platform_sync();
	ret = __real_tce2_memory_hold_or_refuse(cache, memory);
	if (!ret)
		count_held(cache, memory->ua, memory->shift, memory->pages);
	return ret;
}

/* Other modules call this function, which ignores the rule of a refusal */
int __wrap_tce2_memory_hold(struct tce2_cache *cache, struct tce2_memory *memory)
{
	return tce2_errno(__wrap_tce2_memory_hold_or_refuse(cache, memory));
}

static void count_all_dropped(struct tce2_cache *cache, u64 ua,
			      unsigned int shift, u64 pages)
{
	platform_sync();
	log_event(EVENT_DROP, ua, pages);
	for (u64 i = 0; i < pages; i++)
		count_dropped(hpa_of(cache, ua + (i << shift), shift),
			      ua + (i << shift), shift);
}

void __wrap_tce2_memory_drop(struct tce2_cache *cache,
			     const struct tce2_memory *memory)
{
	count_all_dropped(cache, memory->ua, memory->shift, memory->pages);
	__real_tce2_memory_drop(cache, memory);
}

bool __wrap_tce2_page_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
			   bool write, u64 *hpa)
{
	bool held;

	platform_sync();
	held = __real_tce2_page_hold(cache, ua, shift, write, hpa);
	if (held)
		count_held(cache, ua, shift, 1);
	return held;
}

bool __wrap_tce2_page_hold_again(struct tce2_cache *cache, u64 ua, unsigned int shift,
				 bool write, u64 *hpa)
{
	bool held = __real_tce2_page_hold_again(cache, ua, shift, write, hpa);

	if (held)
		count_held(cache, ua, shift, 1);
	return held;
}

void __wrap_tce2_page_drop(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	count_all_dropped(cache, ua, shift, 1);
	__real_tce2_page_drop(cache, ua, shift);
}

void __wrap_tce2_page_drop_from(struct tce2_region *region, u64 ua,
				unsigned int shift)
{
	count_all_dropped(region->cache, ua, shift, 1);
	__real_tce2_page_drop_from(region, ua, shift);
}

struct tce2_region *__wrap_tce2_pages_hold(struct tce2_cache *cache,
					   const struct tce2_memory *memory)
{
	struct tce2_region *region;

	platform_sync();
	region = __real_tce2_pages_hold(cache, memory);
	if (region)
		count_held(cache, memory->ua, memory->shift, memory->pages);
	return region;
}

void __wrap_tce2_pages_drop_from(struct tce2_region *region, const struct tce2_memory *memory)
{
	count_all_dropped(region->cache, memory->ua, memory->shift, memory->pages);
	__real_tce2_pages_drop_from(region, memory);
}

/* Records the drop of a page that KVM has counted, at its address in the kernel's list */
static void count_counted_dropped(struct mm_struct *mm, u64 ua,
				  unsigned int shift)
{
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long hpa = 0;

	sim_preempt_disable();
	mem = mm_iommu_lookup(mm, ua, 1UL << shift);
	if (!mem || mm_iommu_ua_to_hpa(mem, ua, shift, &hpa))
		sim_bug("user address %llx is dropped but not in the kernel's list",
			ua);
	sim_preempt_enable();
	platform_sync();
	log_event(EVENT_DROP, ua, 1);
	count_dropped(hpa, ua, shift);
}

/*
 * The task that is in one of the wrappers below, or NULL. The wrapper records the drop, so
 * tce2_mirror_drop() must not record it again. Drops by other tasks meanwhile are recorded.
 */
static struct task_struct *dropping;

void __wrap_tce2_page_drop_counted(struct tce2_cache *cache, u64 ua,
				   unsigned int shift, bool write)
{
	struct task_struct *before;

	count_counted_dropped(cache->mm, ua, shift);
	before = dropping;
	dropping = current;
	__real_tce2_page_drop_counted(cache, ua, shift, write);
	dropping = before;
}

/* Does not record the drop: src/ calls tce2_drop_batch_add() next, which records it */
void __wrap_tce2_pages_uncount(struct tce2_cache *cache,
			       const struct tce2_memory *memory)
{
	struct task_struct *before = dropping;

	dropping = current;
	__real_tce2_pages_uncount(cache, memory);
	dropping = before;
}

void __wrap_tce2_mirror_drop(struct mm_struct *mm, u64 ua, unsigned int shift)
{
	if (dropping != current)
		count_counted_dropped(mm, ua, shift);
	__real_tce2_mirror_drop(mm, ua, shift);
}

void __wrap_tce2_drop_batch_add(struct tce2_drop_batch *batch,
				const struct tce2_memory *memory)
{
	count_all_dropped(batch->cache, memory->ua, memory->shift, memory->pages);
	__real_tce2_drop_batch_add(batch, memory);
}

/*
 * Entries of tables, and the hooks of it_ops
 */

static struct node *find_node(struct fake_table *t, unsigned int level,
			      u64 number)
{
	for (size_t i = 0; i < t->count; i++) {
		size_t at = (t->found + i) % t->count;

		if (t->nodes[at]->level == level &&
		    t->nodes[at]->number == number) {
			t->found = at;
			return t->nodes[at];
		}
	}
	return NULL;
}

static struct entry *find_entry(struct fake_table *t, u64 index)
{
	struct node *node = find_node(t, 0, index >> t->bits);

	return node ? &node->entries[index & ((1ULL << t->bits) - 1)] : NULL;
}

static bool is_stale(const struct entry *e, u64 tce)
{
	for (unsigned int i = 0; i < e->stales; i++) {
		if (HPA(e->stale[i]) == HPA(tce))
			return true;
	}
	return false;
}

/* A device may cache any value that the entry ever had, until tce_kill() and flush() */
static void write_entry(struct fake_table *t, struct entry *e, u64 tce)
{
	u64 old = e->live;
	bool new = tce && !(tce & TCE_ALIEN) && !is_stale(e, tce) &&
		   (!old || HPA(old) != HPA(tce));
	struct reach *r;

	if (old && !is_stale(e, old)) {
		if (e->stales == MAX_STALE)
			sim_bug("an entry is written repeatedly without being invalidated");
		e->stale[e->stales++] = old;
	}
	/* A device may have cached the old value again after tce_kill(), until this write */
	e->killed = 0;
	e->live = tce;
	if (!new)
		return;
	r = reach(HPA(tce), t->tbl.it_page_shift);
	if (++r->led > r->held)
		sim_bug("a TCE maps %llx, which is not held", tce);
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

/* Returns the doubleword that the platform stores for a TCE */
static __be64 image(const struct fake_table *t, u64 tce)
{
	if (!tce || t->kind == PLATFORM_ODD_PLACE)
		return 0;
	return cpu_to_be64(t->kind == PLATFORM_ODD_FORMAT ? tce ^ ODD : tce);
}

static void put_image(struct fake_table *t, struct node *node, u64 slot,
		      u64 tce)
{
	if (!node->mem)
		return;
	node->mem[slot] = image(t, tce);
	node->seen[slot] = node->mem[slot];
}

/* Writes an entry as the platform does; a hypervisor invalidates it at once */
static void put_entry(struct fake_table *t, u64 index, u64 tce)
{
	struct node *node = find_node(t, 0, index >> t->bits);
	u64 slot = index & ((1ULL << t->bits) - 1);

	put_image(t, node, slot, tce);
	write_entry(t, &node->entries[slot], tce);
	if (t->kind == PLATFORM_HYPERVISOR)
		forget_stale(t, &node->entries[slot]);
}

static void check_tce(const struct fake_table *t, u64 tce)
{
	if (!tce)
		return;
	if ((tce & ((1ULL << t->tbl.it_page_shift) - 1)) != TCE_READ &&
	    (tce & ((1ULL << t->tbl.it_page_shift) - 1)) !=
		    (TCE_READ | TCE_WRITE))
		sim_bug("%llx is not a valid TCE of this hardware", tce);
}

/* Returns the first changed entry at or after @at and before @end, or @end */
static u64 differs_at(const struct node *node, u64 at, u64 end)
{
	while (at < end) {
		u64 count = min_t(u64, COMPARED - at % COMPARED, end - at);

		if (memcmp(node->mem + at, node->seen + at, 8 * count)) {
			while (node->mem[at] == node->seen[at])
				at++;
			return at;
		}
		at += count;
	}
	return end;
}

static void make_pages(struct fake_table *t, u64 bytes)
{
	u64 pages = bytes >> PAGE_SHIFT;

	t->pages += pages;
	platform.pages += pages;
	if (platform.pages + sim.now.pinned > sim.now.charged)
		sim_bug("a table is made without being charged");
}

static void add_node(struct fake_table *t, struct node *node)
{
	t->nodes = realloc(t->nodes, (t->count + 1) * sizeof(*t->nodes));
	t->nodes[t->count++] = node;
}

static void free_node(struct node *node)
{
	if (node->watched)
		watch_free(node->watched);
	free(node->seen);
	free(node->entries);
	free(node);
}

/*
 * Pages that src/ has allocated: nodes without a table. A node gets its table when src/ stores
 * its address in a node of the level above. @token is an allocation that kmalloc() counts, and
 * that can fail.
 */
static struct {
	struct node *node;
	void *token;
} loose[8];

/* Returns the place of a node in loose[], or ARRAY_SIZE(loose) */
static unsigned int find_loose(u64 pa)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(loose); i++) {
		if (loose[i].node && __pa(loose[i].node->mem) == pa)
			break;
	}
	return i;
}

static struct node *take_loose(unsigned int i)
{
	struct node *node = loose[i].node;

	kfree(loose[i].token);
	loose[i].node = NULL;
	return node;
}

struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	void *token = order > MAX_PAGE_ORDER ? NULL : kmalloc(1, gfp);
	struct node *node;
	unsigned int i = 0;

	if (!token)
		return NULL;
	while (loose[i].node)
		i++;
	node = calloc(1, sizeof(*node));
	node->bytes = PAGE_SIZE << order;
	node->watched = watch_new(node->bytes, node);
	node->mem = watch_array(node->watched);
	if (!(gfp & __GFP_ZERO))
		memset(node->mem, 0xa5, node->bytes);
	loose[i].node = node;
	loose[i].token = token;
	return (struct page *)node;
}

void __free_pages(struct page *page, unsigned int order)
{
	struct node *node = (struct node *)page;

	take_loose(find_loose(__pa(node->mem)));
	free_node(node);
}

void *page_address(const struct page *page)
{
	return ((const struct node *)page)->mem;
}

/* Adds a node that src/ has made to the tree, below number @at of the node above */
static void link_node(struct node *above, u64 at, struct node *node)
{
	struct fake_table *t = above->table;

	if (node->bytes != 8ULL << t->bits)
		sim_bug("src/ makes a table of the wrong size");
	node->table = t;
	node->level = above->level - 1;
	node->number = (above->number << t->bits) + at;
	node->seen = calloc(1, node->bytes);
	if (!node->level)
		node->entries = calloc(1ULL << t->bits, sizeof(struct entry));
	add_node(t, node);
	make_pages(t, node->bytes);
}

/* Records the tables that src/ has made below a node */
static void sync_links(struct node *node, u64 at, u64 end)
{
	for (at = differs_at(node, at, end); at < end; at = differs_at(node, at, end)) {
		u64 tce = be64_to_cpu(node->mem[at]);
		unsigned int i = find_loose(tce & ~(TCE_READ | TCE_WRITE));

		if (node->seen[at] || i == ARRAY_SIZE(loose) ||
		    (tce & (TCE_READ | TCE_WRITE)) != (TCE_READ | TCE_WRITE))
			sim_bug("src/ wrote %llx to an upper table", tce);
		node->seen[at] = node->mem[at];
		link_node(node, at, take_loose(i));
	}
}

static void sync_all_links(void)
{
	for (unsigned int i = 0; i < MAX_TABLES; i++) {
		struct fake_table *t = tables[i];

		for (size_t k = 0; t && k < t->count; k++) {
			if (t->nodes[k]->level && t->kind == PLATFORM_MEMORY)
				sync_links(t->nodes[k], 0, t->nodes[k]->bytes / 8);
		}
	}
}

/* Returns true if src/ has not stored to a node without a table */
static bool is_unused(const struct node *node)
{
	return !node->mem[0] && !memcmp(node->mem, node->mem + 1, node->bytes - 8);
}

/* Records the entries that src/ has stored in bytes @from to @to of a node */
static void sync_node(void *owner, size_t from, size_t to)
{
	struct node *node = owner;
	struct fake_table *t = node->table;
	u64 written = 0, erased = 0, first, at, end = to / 8;

	if (!t) {
		if (is_unused(node))
			return;
		/* The store to the table above may not have been recorded yet */
		sync_all_links();
		t = node->table;
	}
	if (!t)
		sim_bug("src/ wrote to a table that hardware can't find");
	at = differs_at(node, from / 8, end);
	if (at == end)
		return;
	if (node->level && t->kind == PLATFORM_MEMORY) {
		sync_links(node, at, end);
		return;
	}
	if (node->level || t->kind != PLATFORM_MEMORY)
		sim_bug("src/ wrote to a table that only the platform may write to");
	for (first = at; at < end; at = differs_at(node, at, end)) {
		u64 tce = be64_to_cpu(node->mem[at]);

		check_tce(t, tce);
		written += tce != 0;
		erased += !tce;
		node->seen[at] = node->mem[at];
		write_entry(t, &node->entries[at], tce);
	}
	unordered = true;
	first += (node->number << t->bits) + t->tbl.it_offset;
	if (written)
		log_event(EVENT_WRITE, first, written);
	if (erased)
		log_event(EVENT_ERASE, first, erased);
}

void platform_sync(void)
{
	watch_for_each(sync_node);
}

void platform_barrier(void)
{
	platform_sync();
	unordered = false;
}

bool platform_swap_unordered(bool now)
{
	bool before;

	platform_sync();
	before = unordered;
	unordered = now;
	return before;
}

/* Returns true for memory of tables: src/ calls pfn_valid() for no other memory */
bool pfn_valid(unsigned long pfn)
{
	platform.walked++;
	platform_sync();
	for (unsigned int i = 0; i < MAX_TABLES; i++) {
		struct fake_table *t = tables[i];

		for (size_t k = 0; t && k < t->count; k++) {
			u64 pa = __pa(t->nodes[k]->mem);

			if (pa && PFN_PHYS(pfn) - pa < t->nodes[k]->bytes)
				return true;
		}
	}
	return false;
}

/* Runs the body for each existing entry of a table, from @first to before @end */
#define for_each_entry(t, e, index, first, end)              \
	for (index = (first); index < (end); index++)        \
		if (!((e) = find_entry(t, index)))           \
			index |= (1ULL << (t)->bits) - 1;    \
		else

/* A hypervisor's table is accessible only while a group has it in a slot */
static void check_window(struct fake_table *t)
{
	if (t->kind != PLATFORM_HYPERVISOR)
		return;
	for (unsigned int i = 0; i < nr_groups * 2; i++) {
		if (groups[i / 2].walks[i % 2] == &t->tbl)
			return;
	}
	sim_bug("a hypercall is made for a window that the hypervisor does not have");
}

static void check_range(struct fake_table *t, u64 index, u64 count)
{
	if (index < t->tbl.it_offset || !count ||
	    index - t->tbl.it_offset + count > t->tbl.it_size)
		sim_bug("entries %llx to %llx are not in the table", index,
			index + count);
	check_window(t);
}

/* Makes a node; watch_new() detects stores beyond its end */
static struct node *make_node(struct fake_table *t, unsigned int level,
			      u64 number)
{
	struct node *node = calloc(1, sizeof(*node));
	size_t bytes = 8ULL << t->bits;

	*node = (struct node){
		.table = t,
		.level = level,
		.number = number,
		.bytes = bytes,
	};
	if (t->kind != PLATFORM_HYPERVISOR) {
		node->watched = watch_new(bytes, node);
		node->mem = watch_array(node->watched);
		node->seen = calloc(1, bytes);
	}
	if (!level)
		node->entries = calloc(1ULL << t->bits, sizeof(struct entry));
	add_node(t, node);
	return node;
}

static bool has_copy(const struct fake_table *t, unsigned int level, u64 number)
{
	for (size_t i = 0; i < t->nr_copies; i++) {
		if (t->copies[i].level == level &&
		    t->copies[i].number == number)
			return true;
	}
	return false;
}

/* Makes the nodes of the kernel's copy that lead to an entry */
static void make_copies(struct fake_table *t, u64 index)
{
	for (unsigned int i = 0; i < t->tbl.it_indirect_levels; i++) {
		u64 number = index >> (i + 1) * t->bits;

		if (has_copy(t, i, number))
			continue;
		t->copies = realloc(t->copies,
				    (t->nr_copies + 1) * sizeof(*t->copies));
		t->copies[t->nr_copies++] = (struct copy){ i, number };
		make_pages(t, 8ULL << t->bits);
	}
}

/* Makes the nodes that lead to an entry, and links them */
static void make_tables(struct fake_table *t, u64 index)
{
	struct node *above = t->nodes[0];

	for (unsigned int i = t->tbl.it_indirect_levels; i-- > 0;) {
		u64 number = index >> (i + 1) * t->bits;
		struct node *node = find_node(t, i, number);

		if (!node) {
			node = make_node(t, i, number);
			make_pages(t, node->bytes);
			put_image(t, above, number & ((1ULL << t->bits) - 1),
				  __pa(node->mem) | TCE_READ | TCE_WRITE);
		}
		above = node;
	}
}

static u64 *useraddrptr(struct iommu_table *tbl, long index, bool alloc)
{
	static u64 somewhere;
	struct fake_table *t = fake(tbl);

	platform_sync();
	check_range(t, index, 1);
	if (!alloc)
		sim_bug("src/ reads the kernel's copy of a table");
	if (platform_fails(PLATFORM_USERADDR))
		return NULL;
	make_copies(t, index - tbl->it_offset);
	return &somewhere;
}

static const u64 direction_perm[] = {
	[DMA_BIDIRECTIONAL] = TCE_READ | TCE_WRITE,
	[DMA_TO_DEVICE] = TCE_READ,
	[DMA_FROM_DEVICE] = TCE_WRITE,
};

/* On IODA2 a TCE with write permission has read permission, too */
static u64 make_tce(const struct fake_table *t, u64 hpa,
		    enum dma_data_direction direction)
{
	u64 tce = hpa | direction_perm[direction];

	if (t->kind != PLATFORM_HYPERVISOR && (tce & TCE_WRITE))
		tce |= TCE_READ;
	if (hpa & ((1ULL << t->tbl.it_page_shift) - 1))
		sim_bug("%llx is not the address of an IOMMU page", hpa);
	return tce;
}

static int xchg_no_kill(struct iommu_table *tbl, long index, unsigned long *hpa,
			enum dma_data_direction *direction)
{
	struct fake_table *t = fake(tbl);
	u64 at = index - tbl->it_offset, old;

	platform_sync();
	check_range(t, index, 1);
	sim_work(1);
	log_event(EVENT_WRITE, index, 1);
	if (entry_fails(*hpa))
		return platform.error;
	if (*direction != DMA_NONE)
		make_tables(t, at);
	else if (*hpa)
		sim_bug("a TCE has an address but no permission");
	else if (!find_entry(t, at))
		return 0;
	old = find_entry(t, at)->live;
	put_entry(t, at, *direction == DMA_NONE ?
				 0 :
				 make_tce(t, *hpa, *direction));
	if (platform.taken) {
		platform.taken--;
		put_entry(t, at, 0);
	}
	*hpa = HPA(old);
	*direction = !PERM(old)		  ? DMA_NONE :
		     PERM(old) == TCE_READ ? DMA_TO_DEVICE :
		     PERM(old) == TCE_WRITE ? DMA_FROM_DEVICE :
					      DMA_BIDIRECTIONAL;
	return 0;
}

static void flush(struct iommu_table *tbl)
{
	struct fake_table *t = fake(tbl);
	struct entry *e;
	u64 i;

	for (; t->kills; t->kills--) {
		struct killed *k = &t->killed[t->kills - 1];

		for_each_entry(t, e, i, k->first, k->first + k->count) {
			if (e->killed)
				forget_stale(t, e);
		}
	}
}

/* Marks the stale values of entries: devices discard them with the next flush() */
static void kill_entries(struct fake_table *t, u64 first, u64 count)
{
	struct entry *e;
	u64 i;

	log_event(EVENT_KILL, first + t->tbl.it_offset, count);
	if (t->kills == MAX_KILLED)
		sim_bug("too many calls of tce_kill() without a flush()");
	t->killed[t->kills++] = (struct killed){ first, count };
	for_each_entry(t, e, i, first, first + count) e->killed = e->stales;
	if (platform.no_flush)
		flush(&t->tbl);
}

/* The platform walks the table's list of groups, which RCU protects */
static void check_in_rcu_section(void)
{
	if (!sim_readers())
		sim_bug("the platform is called outside an RCU read-side section");
}

/* If an entry fails, the previous entries stay written and are not invalidated */
static int set_tces(struct iommu_table *tbl, long index, long npages,
		    unsigned long uaddr, enum dma_data_direction direction,
		    unsigned long attrs)
{
	struct fake_table *t = fake(tbl);
	u64 at = index - tbl->it_offset;

	platform_sync();
	check_in_rcu_section();
	check_range(t, index, npages);
	sim_work(1);
	log_event(EVENT_WRITE, index, npages);
	for (u64 i = at; i < at + npages; i++) {
		u64 hpa = uaddr + ((i - at) << tbl->it_page_shift);

		if (entry_fails(hpa))
			return platform.error;
		if (!find_entry(t, i))
			sim_bug("the platform writes to a table that does not exist");
		put_entry(t, i, make_tce(t, hpa, direction));
	}
	kill_entries(t, at, npages);
	return 0;
}

/*
 * A hypercall writes up to 512 entries, and stops at an entry that the hypervisor refuses.
 * Linux then makes no further call, and returns no error. Only after
 * H_NOT_ENOUGH_RESOURCES Linux clears the entries of earlier calls, and returns the error.
 * Without FW_FEATURE_PUT_TCE_IND each hypercall writes one entry, and Linux skips an entry
 * that is refused.
 */
static int set_hypervisor(struct iommu_table *tbl, long index, long npages,
			  unsigned long uaddr,
			  enum dma_data_direction direction,
			  unsigned long attrs)
{
	struct fake_table *t = fake(tbl);
	u64 at = index - tbl->it_offset, i;
	u64 many = at_a_time(FW_FEATURE_PUT_TCE_IND);
	bool resources = platform.error == H_NOT_ENOUGH_RESOURCES;

	check_range(t, index, npages);
	log_event(EVENT_WRITE, index, npages);
	for (i = 0; i < npages; i++) {
		u64 hpa = uaddr + (i << tbl->it_page_shift);

		sim_work(i % many == 0);
		if (!entry_fails(hpa)) {
			/* A hypervisor sets read permission for any direction */
			put_entry(t, at + i,
				  make_tce(t, hpa, direction) | TCE_READ);
			continue;
		}
		if (many > 1 || resources)
			break;
	}
	if (i == npages || !resources)
		return 0;
	i -= i % many;
	while (i--)
		put_entry(t, at + i, 0);
	return platform.error;
}

/* Finds the hypervisor's table with a number (LIOBN) */
static struct fake_table *table_of(unsigned long liobn)
{
	struct fake_table *t = liobn - 1 < MAX_TABLES ? tables[liobn - 1] : NULL;

	if (!t || t->kind != PLATFORM_HYPERVISOR)
		sim_bug("a hypercall names table %lu, which does not exist", liobn);
	return t;
}

/* Writes a list of TCEs, and stops at a TCE that the hypervisor refuses */
static long put_list(struct fake_table *t, u64 index, const __be64 *list, u64 count)
{
	u64 at = index - t->tbl.it_offset;

	if (!firmware_has_feature(FW_FEATURE_PUT_TCE_IND))
		sim_bug("a hypercall is made that the hypervisor does not have");
	if (!count || count > INDIRECT || (uintptr_t)list % 4096)
		sim_bug("a list of %llu TCEs at %p is not valid", count, list);
	check_range(t, index, count);
	sim_work(1);
	log_event(EVENT_WRITE, index, count);
	if (platform.lost) {
		platform.lost--;
		return 0;
	}
	for (u64 i = 0; i < count; i++) {
		u64 tce = be64_to_cpu(list[i]);

		if (!(tce & TCE_PERM) ||
		    tce & ((1ULL << t->tbl.it_page_shift) - 1) & ~TCE_PERM)
			sim_bug("%llx is not a valid TCE of a hypervisor", tce);
		if (entry_fails(HPA(tce)))
			return platform.error;
		put_entry(t, at + i, tce);
	}
	return 0;
}

long plpar_hcall_norets(unsigned long opcode, ...)
{
	unsigned long liobn, ioba, list, count;
	struct fake_table *t;
	va_list ap;

	va_start(ap, opcode);
	liobn = va_arg(ap, unsigned long);
	ioba = va_arg(ap, unsigned long);
	list = va_arg(ap, unsigned long);
	count = va_arg(ap, unsigned long);
	va_end(ap);
	if (opcode != H_PUT_TCE_INDIRECT)
		sim_bug("the hypervisor has no hypercall %lx", opcode);
	t = table_of(liobn);
	if (ioba & ((1ULL << t->tbl.it_page_shift) - 1))
		sim_bug("%lx is not the bus address of an entry", ioba);
	return put_list(t, ioba >> t->tbl.it_page_shift, __va(list), count);
}

static void tce_kill(struct iommu_table *tbl, unsigned long index,
		     unsigned long pages)
{
	if (!pages || pages > 1UL << 31)
		sim_bug("firmware hangs when it invalidates %lu entries",
			pages);
	platform_sync();
	check_in_rcu_section();
	if (unordered)
		sim_bug("a TCE is invalidated before mb() orders its store");
	check_range(fake(tbl), index, pages);
	sim_work(1);
	kill_entries(fake(tbl), index - tbl->it_offset, pages);
	platform.kill_most = max_t(u64, platform.kill_most, pages);
}

static void clear(struct iommu_table *tbl, long index, long npages)
{
	struct fake_table *t = fake(tbl);
	struct entry *e;
	u64 i;

	platform_sync();
	check_in_rcu_section();
	check_range(t, index, npages);
	sim_work(1);
	log_event(EVENT_CLEAR, index, npages);
	index -= tbl->it_offset;
	if (platform_fails(PLATFORM_CLEAR))
		return;
	for_each_entry(t, e, i, index, index + npages) put_entry(t, i, 0);
	kill_entries(t, index, npages);
}

/* Like set_hypervisor(), stops at a refused call, or skips it if a call clears one entry */
static void clear_hypervisor(struct iommu_table *tbl, long index, long npages)
{
	u64 many = at_a_time(FW_FEATURE_STUFF_TCE), at = index - tbl->it_offset;
	bool fails = false;

	check_range(fake(tbl), index, npages);
	log_event(EVENT_CLEAR, index, npages);
	for (u64 i = 0; i < npages; i++) {
		if (i % many == 0) {
			sim_work(1);
			fails = platform_fails(PLATFORM_CLEAR);
		}
		if (fails && many > 1)
			break;
		if (!fails)
			put_entry(fake(tbl), at + i, 0);
	}
}

static unsigned long get(struct iommu_table *tbl, long index)
{
	struct entry *e;

	/* get() is called often, so compare only tables in which src/ may store */
	if (fake(tbl)->kind == PLATFORM_MEMORY)
		platform_sync();
	check_range(fake(tbl), index, 1);
	sim_work(1);
	e = find_entry(fake(tbl), index - tbl->it_offset);
	return e ? e->live : 0;
}

void iommu_tce_kill(struct iommu_table *tbl, unsigned long entry,
		    unsigned long pages)
{
	if (tbl->it_ops->tce_kill)
		tbl->it_ops->tce_kill(tbl, entry, pages);
	else if (!pages)
		sim_bug("tce_kill() is called for no entries");
}

void iommu_flush_tce(struct iommu_table *tbl)
{
	platform_sync();
	log_event(EVENT_FLUSH, 0, 0);
	if (tbl->it_ops->flush)
		tbl->it_ops->flush(tbl);
	platform_barrier();
}

/* The hook free(): frees the entries, before iommu_tce_table_put() frees the table */
static void free_entries(struct iommu_table *tbl)
{
	fake(tbl)->freed = true;
}

static const struct iommu_table_ops table_ops = {
	.set = set_tces,
	.xchg_no_kill = xchg_no_kill,
	.tce_kill = tce_kill,
	.useraddrptr = useraddrptr,
	.clear = clear,
	.get = get,
	.flush = flush,
	.free = free_entries,
};

/* Operations as on powernv, see @no_flush of struct platform */
static const struct iommu_table_ops no_flush_ops = {
	.set = set_tces,
	.xchg_no_kill = xchg_no_kill,
	.tce_kill = tce_kill,
	.useraddrptr = useraddrptr,
	.clear = clear,
	.get = get,
	.free = free_entries,
};

static const struct iommu_table_ops hypervisor_ops = {
	.set = set_hypervisor,
	.xchg_no_kill = xchg_no_kill,
	.useraddrptr = useraddrptr,
	.clear = clear_hypervisor,
	.get = get,
	.free = free_entries,
};

u64 platform_tce(struct iommu_table *tbl, u64 index)
{
	struct fake_table *t = fake(tbl);
	struct node *node = find_node(t, 0, index >> t->bits);
	u64 slot = index & ((1ULL << t->bits) - 1);

	if (!node)
		return 0;
	if (node->mem && node->mem[slot] != node->seen[slot])
		platform_sync();
	return node->entries[slot].live;
}

void platform_poke(struct iommu_table *tbl, u64 index, u64 tce)
{
	struct fake_table *t = fake(tbl);
	struct node *node = find_node(t, 0, index >> t->bits);
	u64 slot = index & ((1ULL << t->bits) - 1);

	put_image(t, node, slot, tce | TCE_ALIEN);
	node->entries[slot].live = tce | TCE_ALIEN;
}

u64 platform_mapped(struct iommu_table *tbl)
{
	struct fake_table *t = fake(tbl);
	u64 n = 0;

	platform_sync();
	for (size_t k = 0; k < t->count; k++) {
		const struct node *node = t->nodes[k];

		for (u64 i = 0; !node->level && i < node->bytes / 8; i++)
			n += node->entries[i].live != 0;
	}
	return n;
}

u64 platform_sum(struct iommu_table *tbl)
{
	struct fake_table *t = fake(tbl);
	u64 sum = 0;

	platform_sync();
	for (size_t k = 0; k < t->count; k++) {
		const struct node *node = t->nodes[k];

		for (u64 i = 0; !node->level && i < node->bytes / 8; i++) {
			u64 at = (node->number << t->bits) + i;
			u64 live = node->entries[i].live;

			/* A hypervisor may make a write-only entry readable: ignore that */
			if (live & TCE_WRITE)
				live |= TCE_READ;
			if (live)
				sum += (live ^ (at << 20)) *
				       0x9e3779b97f4a7c15ULL;
		}
	}
	return sum;
}

u64 platform_made(struct iommu_table *tbl)
{
	platform_sync();
	return fake(tbl)->count;
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

/* Returns the size of a full table with its copy; a hypervisor's table has only the copy */
static unsigned long get_table_size(u32 page_shift, u64 size, u32 levels)
{
	unsigned long bytes = 0, at_level = 1;
	unsigned int shift = table_shift(page_shift, size, levels);

	for (u32 i = 0; i < levels; i++, at_level <<= shift - 3)
		bytes += at_level << shift;
	return platform.hypervisor ? bytes : 2 * bytes;
}

/* Returns the first bus address of a window */
static u64 window_start(const struct iommu_table_group *tg, int num,
			u32 page_shift, u64 size)
{
	bool other = page_shift != 12 || size != tg->tce32_size;

	return num || (platform.elsewhere && other) ? 1ULL << 59 : tg->tce32_start;
}

static long create_table(struct iommu_table_group *tg, int num, u32 page_shift,
			 u64 size, u32 levels, struct iommu_table **tblp)
{
	unsigned int shift = table_shift(page_shift, size, levels), i = 0;
	struct fake_table *t;

	if (tg->tables[num] || fake_group(tg)->walks[num])
		sim_bug("a table is made for slot %d, which has one already", num);
	if (platform_fails(PLATFORM_CREATE))
		return platform.error;
	while (tables[i])
		i++;
	t = calloc(1, sizeof(*t));
	tables[i] = t;
	platform.tables++;
	t->tbl = (struct iommu_table){
		.it_kref = { { 1 } },
		.it_size = size >> page_shift,
		.it_indirect_levels = levels - 1,
		.it_index = i + 1,
		/* pseries does not set this field */
		.it_level_size = platform.hypervisor ? 0 : 1UL << (shift - 3),
		.it_offset = window_start(tg, num, page_shift, size) >> page_shift,
		.it_page_shift = page_shift,
		.it_userspace = (u64 *)t,
		.it_ops = (struct iommu_table_ops *)(platform.hypervisor ?
							     &hypervisor_ops :
						     platform.no_flush ?
							     &no_flush_ops :
							     &table_ops),
	};
	t->bits = shift - 3;
	t->kind = platform.hypervisor ? PLATFORM_HYPERVISOR : platform_kind;
	t->tbl.it_base = (unsigned long)make_node(t, levels - 1, 0)->mem;
	make_pages(t, platform.hypervisor ? 1ULL << shift : 2ULL << shift);
	if (platform.hypervisor) {
		tg->tables[num] = &t->tbl;
		fake_group(tg)->walks[num] = &t->tbl;
		iommu_tce_table_get(&t->tbl);
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
	if (fake_group(tg)->left)
		sim_bug("a group is programmed before its slots are cleared");
	fake_group(tg)->walks[num] = tbl;
	if (platform_fails(PLATFORM_LINK))
		return 0;
	tg->tables[num] = tbl;
	iommu_tce_table_get(tbl);
	return 0;
}

/* Linux forgets the table even if the hardware refuses to unset it (IODA2) */
static long unset_window(struct iommu_table_group *tg, int num)
{
	struct iommu_table *tbl = tg->tables[num];
	bool fails = platform_fails(PLATFORM_UNSET);

	if (!fake_group(tg)->walks[num] && !(fake_group(tg)->left & BIT(num)))
		sim_bug("slot %d of a group is unset but was not set", num);
	if (!fails)
		fake_group(tg)->left &= ~BIT(num);
	tg->tables[num] = NULL;
	if (!fails)
		fake_group(tg)->walks[num] = NULL;
	if (tbl)
		iommu_tce_table_put(tbl);
	/* The firmware call is slow, so other threads may run */
	sim_point(SIM_AT_RESCHED);
	return fails ? platform.error : 0;
}

/*
 * Returns a bit mask of slots: IODA2 may have left a table in a slot, although tables[] of
 * the table group is NULL
 */
static unsigned int left_in(const struct iommu_table_group *tg)
{
	return tg->max_levels > 1 ? BIT(0) | BIT(1) : 0;
}

static void take_ownership(struct iommu_table_group *tg)
{
	if (fake_group(tg)->owned)
		sim_bug("ownership of a group is taken twice");
	fake_group(tg)->owned = true;
	platform.owned++;
}

static void release_ownership(struct iommu_table_group *tg)
{
	if (!fake_group(tg)->owned)
		sim_bug("ownership of a group is released but was not taken");
	if (tg->tables[0] || tg->tables[1])
		sim_bug("ownership of a group is released while it has windows");
	fake_group(tg)->owned = false;
	fake_group(tg)->left = left_in(tg);
	platform.owned--;
}

/*
 * For each added device, the platform takes ownership of the group, and treats the table
 * in slot 0 as its default table. So IODA2 also puts the reference of the table's creator.
 */
void platform_add_device(struct fake_group *g)
{
	struct iommu_table *tbl = g->tg.tables[0];

	if (!tbl)
		return;
	unset_window(&g->tg, 0);
	if (!platform.hypervisor)
		iommu_tce_table_put(tbl);
	/* IODA2 closes the bypass, which also removes the table in slot 1 */
	g->walks[1] = NULL;
	/* Unsetting the slots again has no effect */
	g->left |= BIT(0) | BIT(1);
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
		free_node(t->nodes[i]);
	free(t->nodes);
	free(t->copies);
	free(t);
}

/* Returns true for a hypervisor that refuses all clears: its tables are freed while mapped */
static bool keeps_entries(const struct fake_table *t)
{
	return t->kind == PLATFORM_HYPERVISOR &&
	       failures[PLATFORM_CLEAR].nth && failures[PLATFORM_XCHG].nth;
}

static void forget_entries(struct fake_table *t)
{
	struct entry *e;
	u64 i;

	for_each_entry(t, e, i, 0, t->tbl.it_size) {
		if (!e->live)
			continue;
		write_entry(t, e, 0);
		forget_stale(t, e);
	}
}

struct iommu_table *iommu_tce_table_get(struct iommu_table *tbl)
{
	refcount_inc(&tbl->it_kref.refcount);
	return tbl;
}

/* Returns true for a table that the simulated platform has not made */
static bool is_software(const struct iommu_table *tbl)
{
	return tbl->it_ops->xchg_no_kill && !tbl->it_ops->get;
}

int iommu_tce_table_put(struct iommu_table *tbl)
{
	struct fake_table *t;

	if (!refcount_dec_and_test(&tbl->it_kref.refcount))
		return 0;
	if (is_software(tbl)) {
		tbl->it_ops->free(tbl);
		kfree(tbl);
		return 1;
	}
	t = fake(tbl);
	for (unsigned int i = 0; i < nr_groups * 2; i++) {
		if (groups[i / 2].walks[i % 2] == tbl)
			sim_bug("a table is freed while a group's hardware walks it");
	}
	if (platform_mapped(tbl) && !keeps_entries(t))
		sim_bug("a table is freed with mapped entries");
	if (platform_mapped(tbl))
		forget_entries(t);
	tbl->it_ops->free(tbl);
	if (!t->freed)
		sim_bug("a table is freed without calling its free hook");
	free_table(t);
	return 1;
}

unsigned int platform_users(const struct iommu_table *tbl)
{
	return kref_read(&tbl->it_kref);
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
	g->group.id = nr_groups - 1;
	g->left = left_in(&g->tg);
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
	rwsems_held = 0;
	free_everything();
	memset(&platform, 0, sizeof(platform));
	nr_groups = 0;
	platform_fail_nothing();
	platform.hypervisor = platform_kind == PLATFORM_HYPERVISOR;
	if (platform.hypervisor)
		platform.features = FW_FEATURE_PUT_TCE_IND |
				    FW_FEATURE_STUFF_TCE;
	wait_for_others = false;
	wait_killed = NULL;
	unordered = false;
	sim_watch(platform_sync);
}

void platform_forget_leaked(u64 want)
{
	if (platform.tables != want)
		sim_bug("%llu tables are leaked, not %llu", platform.tables,
			want);
	for (unsigned int i = 0; i < MAX_TABLES; i++) {
		if (!tables[i])
			continue;
		tables[i]->tbl.it_ops->free(&tables[i]->tbl);
		free_table(tables[i]);
	}
	memset(groups, 0, sizeof(groups));
}

void platform_expect_nothing_left(void)
{
	if (platform.tables || platform.pages)
		sim_bug("left behind: %llu tables", platform.tables);
	if (platform.owned)
		sim_bug("left behind: ownership of a group");
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
 * Locks that src/mm_iommu.c does not use
 */

void init_rwsem(struct rw_semaphore *sem)
{
	*sem = (struct rw_semaphore){};
}

void down_read(struct rw_semaphore *sem)
{
	sim_may_sleep("down_read");
	sim_rest(); /* a request begins */
	if (sem->writer)
		sim_bug("deadlock: down_read");
	sem->readers++;
	rwsems_held++;
}

int down_read_killable(struct rw_semaphore *sem)
{
	if (sim_fails(SIM_KILL))
		return -EINTR;
	down_read(sem);
	return 0;
}

int down_read_trylock(struct rw_semaphore *sem)
{
	if (sem->writer)
		return 0;
	sem->readers++;
	rwsems_held++;
	return 1;
}

void up_read(struct rw_semaphore *sem)
{
	rwsem_assert_held(sem);
	sem->readers--;
	rwsems_held--;
}

void down_write(struct rw_semaphore *sem)
{
	sim_may_sleep("down_write");
	sim_rest();
	if (sem->writer || sem->readers)
		sim_bug("deadlock: down_write");
	sem->writer = true;
	rwsems_held++;
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
	rwsems_held--;
}

void platform_expect_unlocked(const char *what)
{
	if (rwsems_held)
		sim_bug("%s: faults with a rwsem held", what);
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
