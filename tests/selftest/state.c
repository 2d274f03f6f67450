// SPDX-License-Identifier: GPL-2.0-only
/*
 * Self-test: print the state of vfio_spapr_tce2 for a process, as one line of numbers. Two
 * lines are equal if and only if the states are equal.
 *
 * A failing request must not change the state, so tests that make requests fail compare
 * the state before and after. Unlike main.c, this file reads the module's internal
 * structures and the tables that the hardware walks.
 *
 * Locks: the lock of the region cache, and the locks that tce2_window_get() takes.
 * Calls: the exported functions of vfio_spapr_tce2, the platform's table ops.
 */
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/rbtree.h>
#include <linux/sched.h>

#include <asm/iommu.h>
#include <asm/tce.h>

#include "selftest.h"
#include "tce2_kapi.h"
#include "tce2_mm_iommu.h"
#include "tce2_tce_v2.h"
#include "tce2_view_format.h"

/* Maximum number of tables to read; each device has two slots for tables */
#define MOST_TABLES	16
/* Maximum number of entries to read from a hypervisor's table, because this is slow */
#define MOST_GETS	1024
/* Maximum number of entries to look up in the view */
#define MOST_VIEWED	1024

#define TCE_PERM	(TCE_PCI_READ | TCE_PCI_WRITE)

/**
 * struct st_state - state of a process
 * @users: users of the process's cache, including the self-test
 * @regions: number of regions
 * @used: sum of the regions' used counts
 * @mapped: sum of the regions' mapped counts
 * @region_digest: digest of all regions with their counts and extents
 * @windows: number of the process's windows
 * @window_digest: digest of the windows' addresses and sizes
 * @charged: pages charged for the windows' tables
 * @entries: number of TCEs that map memory
 * @content: digest of these TCEs and of their entries in the view
 * @objects: number of users, windows, tables and view nodes. A failing request may leave
 *	more objects than before
 */
struct st_state {
	u64 users;
	u64 regions;
	u64 used;
	u64 mapped;
	u64 region_digest;
	u64 windows;
	u64 window_digest;
	u64 charged;
	u64 entries;
	u64 content;
	u64 objects;
};

/* Hash two numbers into one (after splitmix64) */
static u64 mix(u64 a, u64 b)
{
	a = (a + 0x9e3779b97f4a7c15ULL) ^ (b * 0xd6e8feb86659fd93ULL);
	a = (a ^ (a >> 30)) * 0xbf58476d1ce4e5b9ULL;
	a = (a ^ (a >> 27)) * 0x94d049bb133111ebULL;
	return a ^ (a >> 31);
}

static void add_region(struct st_state *state, const struct tce2_region *region)
{
	const struct tce2_extents *ext = &region->extents;
	u64 mapped = tce2_mapped_sum(&region->mapped);

	state->regions++;
	state->used += region->used;
	state->mapped += mapped;
	state->region_digest += mix(mix(region->ua, region->size),
				    mix(region->used, mapped)) +
				mix(mix(ext->filled, ext->shift),
				    mix(ext->blocks, ext->flags));
}

static void add_regions(struct st_state *state, struct tce2_cache *cache)
{
	struct rb_node *node;

	mutex_lock(&cache->lock);
	for (node = rb_first(&cache->regions); node; node = rb_next(node))
		add_region(state, rb_entry(node, struct tce2_region, node));
	mutex_unlock(&cache->lock);
	state->users = READ_ONCE(cache->users);
}

static void add_entry(struct st_state *state, struct tce2_window *window,
		      u64 index, u64 tce)
{
	u64 iova = window->start + (index << window->page_shift), ua, perm;

	state->content += mix(iova, tce);
	if (++state->entries <= MOST_VIEWED &&
	    !tce2_window_read_tce(window, iova, &ua, &perm))
		state->content += mix(iova ^ ua, perm);
}

/* Number of entries that are tested for 0 at once, because tables are long and mostly empty */
#define TOGETHER	8

static bool are_empty(const __be64 *tces)
{
	return !(tces[0] | tces[1] | tces[2] | tces[3] |
		 tces[4] | tces[5] | tces[6] | tces[7]);
}

/*
 * Add the TCEs of one level of a table in memory, and of all lower levels. @first is the
 * number of the first entry below @tces.
 */
static void add_tces(struct st_state *state, struct tce2_window *window,
		     const __be64 *tces, unsigned int level, u64 first)
{
	const struct iommu_table *tbl = window->table.tbl;
	u64 count = tbl->it_indirect_levels ? tbl->it_level_size : tbl->it_size;
	unsigned int shift = level * window->table.level_bits;
	u64 i;

	state->objects++;
	for (i = 0; i < count; i++) {
		u64 tce = be64_to_cpu(tces[i]);

		if (i % TOGETHER == 0 && i + TOGETHER <= count &&
		    are_empty(tces + i)) {
			i += TOGETHER - 1;
			continue;
		}
		if (!tce)
			continue;
		if (level)
			add_tces(state, window, __va(tce & ~TCE_PERM),
				 level - 1, first + (i << shift));
		else
			add_entry(state, window, first + i, tce);
	}
	cond_resched();
}

/* Count the tables of the userspace copy for KVM, which is a tree like the hardware's */
static u64 count_copies(const struct iommu_table *tbl, const __be64 *copy,
			unsigned int level)
{
	u64 i, count = 1;

	for (i = 0; level && i < tbl->it_level_size; i++) {
		u64 below = be64_to_cpu(copy[i]);

		if (below)
			count += count_copies(tbl, __va(below & ~TCE_PERM),
					      level - 1);
	}
	return count;
}

/* Count the nodes and arrays of the view */
static u64 count_nodes(u64 word, unsigned int level)
{
	u64 i, count = 1;

	if (!level)
		return tce2_word_is_array(word);
	if (!word)
		return 0;
	for (i = 0; i < TCE2_NODE_SLOTS; i++)
		count += count_nodes(((u64 *)word)[i], level - 1);
	return count;
}

/* Add the TCEs of a hypervisor's table in the range of a request */
static void ask_for_tces(struct st_state *state, struct tce2_window *window,
			 u64 iova, u64 size)
{
	struct iommu_table *tbl = window->table.tbl;
	u64 entries = window->size >> window->page_shift, i, index;

	if (iova < window->start || iova - window->start >= window->size)
		return;
	index = (iova - window->start) >> window->page_shift;
	for (i = 0; i <= size >> window->page_shift && i < MOST_GETS; i++) {
		u64 tce;

		if (index + i >= entries)
			break;
		tce = tbl->it_ops->get(tbl, tbl->it_offset + index + i);
		if (tce & TCE_PERM)
			add_entry(state, window, index + i, tce);
	}
}

static void add_window(struct st_state *state, struct tce2_window *window,
		       u64 iova, u64 size)
{
	struct iommu_table *tbl = window->table.tbl;

	state->windows++;
	state->window_digest += mix(mix(window->start, window->size),
				    window->page_shift);
	state->charged += window->table.charge.pages;
	if (!size)
		return;
	state->objects += count_nodes(window->view.root, window->view.depth) +
			  count_copies(tbl, tbl->it_userspace,
				       tbl->it_indirect_levels);
	if (tbl->it_base)
		add_tces(state, window, (const __be64 *)tbl->it_base,
			 tbl->it_indirect_levels, 0);
	else
		ask_for_tces(state, window, iova, size);
}

/* Add a table to @seen; return false if it was added before, because groups share a window */
static bool is_new(struct iommu_table **seen, unsigned int *count,
		   struct iommu_table *tbl)
{
	unsigned int i;

	for (i = 0; i < *count; i++) {
		if (seen[i] == tbl)
			return false;
	}
	if (*count == MOST_TABLES)
		return false;
	seen[(*count)++] = tbl;
	return true;
}

static void add_windows(struct st_state *state, u64 iova, u64 size)
{
	struct iommu_table *seen[MOST_TABLES];
	struct pci_dev *pdev = NULL;
	unsigned int count = 0, slot;

	for_each_pci_dev(pdev) {
		struct iommu_group *group = iommu_group_get(&pdev->dev);
		struct iommu_table_group *tg =
			group ? iommu_group_get_iommudata(group) : NULL;

		for (slot = 0; tg && slot < IOMMU_TABLE_GROUP_MAX_TABLES;
		     slot++) {
			struct iommu_table *tbl = tg->tables[slot];
			struct tce2_window *window = NULL;

			if (tbl && is_new(seen, &count, tbl))
				window = tce2_window_get(tbl);
			if (!window)
				continue;
			if (window->cache->mm == current->mm)
				add_window(state, window, iova, size);
			tce2_window_put(window);
		}
		iommu_group_put(group);
	}
}

/**
 * st_state() - print the state of the current process
 * @cache: region cache of the process
 * @iova: first bus address of a request
 * @size: bytes of the request; if 0, no TCE is read. A hypervisor's table is read only in
 *	the range of the request, a table in memory completely
 * @text: buffer for the numbers
 * @len: bytes of the buffer
 *
 * The process must have a single running thread, and no other process may use its
 * containers. This function calls tce2_window_get() for each window. Afterwards the view
 * of the window frees arrays by RCU.
 */
void st_state(struct tce2_cache *cache, u64 iova, u64 size, char *text,
	      size_t len)
{
	struct st_state state = {};

	add_regions(&state, cache);
	add_windows(&state, iova, size);
	state.objects += state.users + state.windows;
	snprintf(text, len,
		 "state %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx %llx\n",
		 state.users, state.regions, state.used, state.mapped,
		 state.region_digest, state.windows, state.window_digest,
		 state.charged, state.entries, state.content,
		 state.objects);
}
