// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/table.c: when entries are stored directly, when the platform writes them,
 * and which entries are invalidated.
 */
#include <asm/firmware.h>

#include "engine.h"

static struct tce2_region *region;
static struct tce2_window *window;
static struct tce2_table *table;

/* Makes a window; each lower table has 512 entries, or 8192 with 64K pages */
static void begin_table(u64 size, u32 levels)
{
	begin(1, platform_kind == PLATFORM_HYPERVISOR ? 1 : 5);
	region = memory(UA, 2048);
	window = only_window(size, levels);
	table = &window->table;
	platform_forget_events();
	platform.calls_to[PLATFORM_XCHG] = 0;
}

#define LOWER (1ULL << (PAGE_SHIFT - 3)) /* entries in a lower table */
#define NODE  TCE2_EXTENT_NODE

TEST(entries_are_stored_directly_once_the_platform_has_written_one)
{
	begin_table(MIB(16), 1);
	expect(table->layout, TCE2_TABLE_UNSEEN);
	expect(unmap(window, 0, 4096), 0);
	expect(table->layout, TCE2_TABLE_UNSEEN);
	expect(platform.calls[EVENT_CLEAR], 0);
	platform_fail(PLATFORM_XCHG, 1, 1);
	expect(map(window, 5, 0, 100, RW), -EIO);
	platform_fail_nothing();
	expect(table->layout, TCE2_TABLE_UNSEEN);
	expect(platform_mapped(table->tbl), 0);

	platform_forget_events();
	platform.calls_to[PLATFORM_XCHG] = 0;
	expect(map(window, 5, 0, 100, RW), 0);
	expect(table->layout, TCE2_TABLE_MEMORY);
	expect(platform.calls_to[PLATFORM_XCHG], 1);
	expect_in_step(window, 4096);
	/* Later requests do not call the platform */
	expect(map(window, 50, 300, 1000, TCE2_PERM_READ), 0);
	expect(map(window, 60, 7, 1, TCE2_PERM_WRITE), 0);
	expect(unmap(window, 55, 1), 0);
	expect(platform.calls_to[PLATFORM_XCHG], 1);
	expect(platform.calls[EVENT_CLEAR], 0);
	expect_in_step(window, 4096);
	finish();
}

TEST(the_platform_writes_entries_of_a_table_with_an_unknown_layout)
{
	for (u32 levels = 1; levels <= 3; levels++) {
		platform_kind = PLATFORM_ODD_FORMAT;
		for (int i = 0; i < 2; i++, platform_kind = PLATFORM_ODD_PLACE) {
			/* An entry of 0 leaves the layout open, a missing lower table does not */
			bool unseen = i && levels == 1;
			enum tce2_table_layout want =
				unseen ? TCE2_TABLE_UNSEEN :
					 TCE2_TABLE_PLATFORM;

			begin_table(MIB(16), levels);
			expect(table->layout, TCE2_TABLE_UNSEEN);
			expect(map(window, 5, 0, 100, RW), 0);
			expect(table->layout, want);
			expect(map(window, 50, 300, 1000, RW), 0);
			expect(unmap(window, 55, 10), 0);
			expect(table->layout, want);
			expect_in_step(window, 4096);
			finish();
		}
	}
	platform_kind = PLATFORM_MEMORY;
}

/* Tests contiguous and scattered memory, for each direction of the device's accesses */
TEST(entries_of_a_leaf_are_passed_to_the_hypervisor_in_one_call)
{
	platform_kind = PLATFORM_HYPERVISOR;
	for (int i = 0; i < 2; i++) {
		scattered = i;
		begin_table(MIB(16), 1);
		expect(table->layout, TCE2_TABLE_PLATFORM);
		for (u64 perm = 1; perm <= RW; perm++) {
			const u64 page = 2048ULL << (PAGE_SHIFT - SHIFT);

			platform_forget_events();
			expect(map(window, 5, page - 400, 400, perm), 0);
			expect(platform.calls[EVENT_WRITE], 1);
			expect_in_step(window, 500);
			expect(platform_tce(table->tbl, 7) & RW, perm);
			/* Replace some of the entries */
			expect(map(window, 9, page - 300, 200, perm), 0);
			expect(platform.calls[EVENT_WRITE], 2);
			expect_in_step(window, 500);
		}
		expect(unmap(window, 5, 400), 0);
		expect(platform.calls[EVENT_CLEAR], 1);
		expect(platform.calls[EVENT_KILL], 0);
		finish();
	}
	scattered = false;
}

/*
 * Memory whose blocks have 1 << @order pages, with a node boundary. The blocks descend, so
 * no two are contiguous. If @odd is set, a page at the end makes each page a block.
 */
static void memory_of_blocks(u64 ua, u64 pages, unsigned int order, bool odd)
{
	u64 *pfn = sim_mmap(sim.mm, ua, PAGES(pages), PAGE_SHIFT, true);
	u64 first = ua >> PAGE_SHIFT, blocks = (pages >> order) + 2;

	for (u64 i = 0; i < pages; i++) {
		u64 page = (first & ((1ULL << order) - 1)) + i;

		pfn[i] = ((blocks - (page >> order)) << order) +
			 (page & ((1ULL << order) - 1));
	}
	if (odd) {
		pfn[pages - 1] = 3;
		pfn[pages - 2] = 5;
	}
	region = registered(proc, ua, PAGES(pages));
	expect(region->extents.shift, PAGE_SHIFT + (odd ? 0 : order));
	expect(region->extents.blocks > NODE, true);
}

/* Maps all pages of the region with IOMMU pages of @shift, and compares them */
static void map_blocks(u32 shift, u32 levels, u64 index)
{
	u64 first = (region->ua + BIT_ULL(shift) - 1) >> shift << shift;
	/* The last page of the region may be odd */
	u64 count = (region->ua + region->size - PAGES(2) - first) >> shift;
	u64 start;

	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(1ULL << (shift + 18), shift, levels, &start), 0);
	window = ddw.window[0];
	/* All entries are fresh, then all are replaced, each by the entry of another page */
	for (u64 i = 0; i < 2; i++) {
		down_read(&ddw.lock);
		expect(tce2_window_map(window,
				       REQUEST(start + ((index + i) << shift), first,
					       count << shift, i ? RW : TCE2_PERM_READ),
				       TCE2_STAYS),
		       0);
		up_read(&ddw.lock);
		expect_in_step(window, index + count + 2);
	}
	expect(tce2_ddw_remove(&ddw, start), 0);
	expect(create(MIB(16), SHIFT, 1, &start), 0);
}

static const struct {
	const char *row;
	unsigned int order; /* log2 of the pages in a block */
	bool odd;
	int larger; /* log2 of the base pages in an IOMMU page, may be negative */
	u64 first; /* first page of the region */
} block_rows[] = {
	{ "page and block are equal", 0, false, 0, 64 },
	{ "4 pages in a block", 2, false, 0, 64 },
	{ "4 pages in a block, begins inside a block", 2, false, 0, 67 },
	{ "4 blocks in a page", 2, true, 2, 64 },
	{ "2 blocks in a page", 2, true, 1, 64 },
	{ "4 blocks in a page, which crosses a node", 2, true, 2, 67 },
	{ "page and large block are equal", 2, false, 2, 64 },
	{ "smallest pages", 0, false, 12 - PAGE_SHIFT, 64 },
};

TEST(each_page_is_mapped_to_the_address_of_its_block)
{
	for (int kind = 0; kind < PLATFORM_KINDS; kind++) {
		for (size_t i = 0; i < ARRAY_SIZE(block_rows); i++) {
			u64 pages = (NODE + 24) << (block_rows[i].odd ? 0 :
						    block_rows[i].order);

			row = block_rows[i].row;
			platform_kind = kind;
			for (u32 levels = 1; levels <= 2; levels++) {
				if (kind == PLATFORM_HYPERVISOR && levels > 1)
					continue;
				begin(1, levels == 1 ? 1 : 5);
				group[0]->tg.pgsizes = ~0xfffULL;
				/* The simulated caches of devices are small */
				platform.no_flush = true;
				memory_of_blocks(PAGES(block_rows[i].first), pages,
						 block_rows[i].order,
						 block_rows[i].odd);
				map_blocks(PAGE_SHIFT + block_rows[i].larger, levels,
					   LEAF - 9);
				tce2_region_unregister_nofail(region);
				finish();
			}
		}
	}
}

/*
 * The platform makes the first lower table, which shows the format. src/table.c makes each of the
 * others when its first entry is written, and not again later.
 */
TEST(lower_tables_are_made_as_they_are_needed)
{
	const u64 count = 2 * LOWER + 40, most = 8 * LOWER;

	for (u32 levels = 2; levels <= 3; levels++) {
		u64 made;

		begin_table(IOVA(LOWER << (PAGE_SHIFT - 3)), levels);
		/* The ranges below assume this size of lower tables */
		if (table->tbl->it_level_size != LOWER)
			sim_bug("this test assumes another size of lower tables");
		expect(map(window, LOWER - 20, 0, 20, RW), 0);
		made = platform_made(table->tbl);
		expect(made, levels);
		expect(platform.calls_to[PLATFORM_XCHG], 1);
		for (u64 i = LOWER - 20; i < LOWER - 20 + count; i += 400)
			expect(map(window, i, 11,
				   min(400ULL, LOWER - 20 + count - i), RW),
			       0);
		expect(platform_made(table->tbl), made + 3);
		expect_in_step(window, most);
		expect(unmap(window, 0, most), 0);
		expect(platform.calls_to[PLATFORM_XCHG], 1);
		expect(platform_mapped(table->tbl), 0);
		finish();
	}
}

/* A request follows the links to a lower table once to prepare it, and once to write to it */
TEST(a_request_walks_once_to_each_lower_table)
{
	const u64 count = 2 * LOWER + 40, links = 4;

	for (u32 levels = 1; levels <= 2; levels++) {
		u64 walks = levels == 1 ? 0 : 2 * links;

		begin(1, 5);
		region = large_memory(IOVA(count));
		window = only_window(levels == 1 ? IOVA(4 * LOWER) :
				     IOVA(LOWER << (PAGE_SHIFT - 3)), levels);
		table = &window->table;
		expect(map(window, LOWER - 20, 0, count, RW), 0);
		/* Replace all entries, then map them after they were unmapped */
		for (int i = 0; i < 2; i++) {
			platform.walked = 0;
			expect(map(window, LOWER - 20, 0, count, RW), 0);
			expect(platform.walked, walks);
			expect(platform_mapped(table->tbl), count);
			expect(unmap(window, 0, 4 * LOWER), 0);
		}
		finish();
	}
}

TEST(a_lower_table_that_devices_may_not_write_to_is_not_used)
{
	__be64 *root, link;

	begin_table(IOVA(LOWER << (PAGE_SHIFT - 3)), 2);
	expect(map(window, 0, 0, 1, RW), 0);
	root = (__be64 *)table->tbl->it_base;
	link = root[0];
	expect(!tce2_table_walk(table, 0), false);
	root[0] = link & ~cpu_to_be64(TCE_PCI_WRITE);
	expect(!tce2_table_walk(table, 0), true);
	root[0] = link;
	finish();
}

static u64 other_entry;

/* Another thread maps an entry through the platform, as KVM's hooks do, and unmaps it again */
static void make_lower_table(void)
{
	enum dma_data_direction direction = DMA_BIDIRECTIONAL;
	unsigned long hpa = hpa_at(UA);

	expect(table->ops->xchg_no_kill(table->tbl, table->tbl->it_offset + other_entry,
					&hpa, &direction), 0);
	hpa = 0;
	direction = DMA_NONE;
	expect(table->ops->xchg_no_kill(table->tbl, table->tbl->it_offset + other_entry,
					&hpa, &direction), 0);
	tce2_table_invalidate_few(table, other_entry, 1);
}

TEST(a_lower_table_that_another_thread_makes_first_is_used)
{
	for (u32 levels = 2; levels <= 3; levels++) {
		struct tce2_cursor cursor = {};
		struct tce2_stale stale = {};
		struct tce2_blocks blocks;
		u64 made, allocs, far;

		begin_table(TIB(1), levels);
		expect(map(window, 0, 0, 1, RW), 0);
		made = platform_made(table->tbl);
		/* All lower tables for this entry are missing */
		far = 1ULL << ((levels - 1) * table->level_bits);
		expect(tce2_table_prepare(table, far), 0);
		allocs = sim.now.allocs;
		other_entry = far + 7;
		/* Just before src/table.c stores the address of its table */
		sim_when(SIM_AT_SWAP, 1, make_lower_table);
		blocks = tce2_extents_blocks(&region->extents, UA, 1, SHIFT);
		expect(hold_pages(proc, UA, SHIFT, 1, true), 0);
		expect(tce2_table_write(table, &cursor, far, &blocks, RW, TCE2_WRITE_MAP), 0);
		expect(tce2_table_clear(table, far, 1, 1, &stale), 0);
		tce2_table_invalidate(table, stale.index, stale.count);
		drop_pages(proc, UA, SHIFT, 1);
		expect(platform_made(table->tbl), made + levels - 1);
		expect(sim.now.allocs, allocs);
		expect(map(window, far, 0, 1, RW), 0);
		expect_in_step(window, LOWER);
		finish();
	}
}

/*
 * If tables are in memory, the allocations for view and levels are the only steps that can fail
 */
static void fail_to_make_lower_tables(bool by_platform, int old)
{
	const u64 at = LOWER - 20, count = 2 * LOWER + 40;
	const u64 pages = count >> (PAGE_SHIFT - SHIFT);
	unsigned int nth;

	begin(1, 5);
	region = memory(UA, pages + 64);
	window = only_window(IOVA(LOWER << (PAGE_SHIFT - 3)), 2);
	table = &window->table;
	if (old)
		expect(map(window, at + 3, 50, 30, TCE2_PERM_READ), 0);
	if (old > 1)
		expect(map(window, at + 7, 9, 2, TCE2_PERM_WRITE), 0);
	for (nth = 1;; nth++) {
		u64 sum = platform_sum(table->tbl);
		u64 held = platform.held;
		int ret;

		platform.error = -ENOMEM;
		if (by_platform)
			platform_fail(PLATFORM_XCHG, nth, 1);
		else
			sim_fail(SIM_ALLOC, nth);
		ret = map(window, at, 0, count, RW);
		platform_fail_nothing();
		sim_fail_nothing();
		if (!ret)
			break;
		expect(ret, -ENOMEM);
		expect(platform_sum(table->tbl), sum);
		expect(platform.held, held);
		expect(tce2_mapped_sum(&region->mapped), 1 + held);
		expect_in_step(window, 4 * LOWER);
		expect(sim.now.charged, sim.now.pinned + table->charge.pages);
		/* No entry may stay mapped in levels made before the failure */
		if (!old)
			expect(platform_mapped(table->tbl), 0);
	}
	/* The platform makes only the first lower table */
	expect(nth > 1, !by_platform || !old);
	expect_in_step(window, 4 * LOWER);
	finish();
}

TEST(a_lower_table_that_cannot_be_made_changes_nothing)
{
	for (int old = 0; old < 3; old++) {
		fail_to_make_lower_tables(true, old);
		fail_to_make_lower_tables(false, old);
	}
}

TEST(a_partly_written_run_is_completed_entry_by_entry)
{
	platform_kind = PLATFORM_HYPERVISOR;
	for (u64 nth = 1; nth <= 40; nth++) {
		begin_table(MIB(16), 1);
		expect(map(window, 0, 200, 100, TCE2_PERM_READ), 0);
		/* One entry is refused once, without an error */
		platform_fail(PLATFORM_XCHG, nth, 1);
		platform.error = nth % 2 ? 4 : H_NOT_ENOUGH_RESOURCES;
		expect(map(window, 10, 0, 40, RW), 0);
		expect(platform.fired, true);
		platform_fail_nothing();
		expect_in_step(window, 200);
		finish();
	}
}

TEST(a_map_that_lacks_hypervisor_resources_restores_old_entries)
{
	platform_kind = PLATFORM_HYPERVISOR;
	for (u64 page = 0; page < 500; page += 13) {
		begin_table(MIB(16), 1);
		expect(map(window, 0, 600, 512, TCE2_PERM_READ), 0);
		platform.refused = hpa_at(UA + IOVA(page));
		platform.error = H_NOT_ENOUGH_RESOURCES;
		expect(map(window, 3, 0, 500, RW), -EIO);
		platform_fail_nothing();
		expect_in_step(window, 512);
		expect(tce2_mapped_sum(&region->mapped), 513);
		finish();
	}
}

/* If the last entry of a range did not change, it does not show that all were written */
TEST(a_refused_entry_is_noticed_although_the_last_entry_is_correct)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_table(MIB(16), 1);
	expect(map(window, 0, 0, 10, RW), 0);
	expect(map(window, 4, 50, 1, RW), 0);
	platform.refused = hpa_at(UA + IOVA(4));
	expect(map(window, 0, 0, 10, RW), -EIO);
	platform_fail_nothing();
	expect_in_step(window, 20);
	finish();
}

/* Linux writes single entries if the hypervisor lacks hcall-multi-tce */
TEST(a_refused_entry_is_noticed_if_entries_are_written_one_by_one)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_table(MIB(16), 1);
	platform.features &= ~FW_FEATURE_PUT_TCE_IND;
	expect(map(window, 0, 100, 10, RW), 0);
	platform.refused = hpa_at(UA + IOVA(4));
	expect(map(window, 0, 0, 10, RW), -EIO);
	platform_fail_nothing();
	expect_in_step(window, 20);
	finish();
}

static void expect_event(size_t i, enum platform_event what, u64 first,
			 u64 count)
{
	expect(i < platform.logged, true);
	expect(platform.events[i].what, what);
	expect(platform.events[i].first, first);
	expect(platform.events[i].count, count);
}

TEST(invalidate_splits_into_batches_and_counts_from_bus_address_0)
{
	u64 start, offset;

	begin(1, 5);
	expect(create(MIB(512), SHIFT, 1, &start), 0);
	expect(start, NOWHERE);
	window = ddw.window[1];
	offset = NOWHERE >> SHIFT;
	platform_forget_events();
	tce2_table_invalidate(&window->table, 7, 0);
	expect(platform.logged, 0);
	tce2_table_invalidate(&window->table, 7, 8192);
	expect(platform.logged, 2);
	expect_event(0, EVENT_KILL, offset + 7, 8192);
	expect(platform.events[1].what, EVENT_FLUSH);
	platform_forget_events();
	tce2_table_invalidate(&window->table, 5, 3 * 8192 + 1);
	expect(platform.logged, 5);
	for (int i = 0; i < 3; i++)
		expect_event(i, EVENT_KILL, offset + 5 + 8192 * i, 8192);
	expect_event(3, EVENT_KILL, offset + 5 + 8192 * 3, 1);
	expect(platform.events[4].what, EVENT_FLUSH);
	finish();
}

/* Writes foreign entries: the simulated platform does not check their memory */
static void poke(u64 first, u64 count)
{
	for (u64 i = first; i < first + count; i++)
		platform_poke(table->tbl, i, PFN_PHYS(i) | TCE_READ);
}

TEST(clearing_merges_adjacent_ranges_to_be_invalidated_together)
{
	struct tce2_stale stale = {};

	begin_table(MIB(64), 1);
	expect(map(window, 8000, 0, 1, RW), 0);
	platform_forget_events();

	/* Entries that are 0 are invalidated, too: devices may have cached their old values */
	tce2_table_clear(table, 5, 100, TCE2_TABLE_ANY, &stale);
	expect(stale.index, 5);
	expect(stale.count, 100);
	/* A range directly after the earlier range is merged with it */
	poke(110, 402);
	tce2_table_clear(table, 105, 407, TCE2_TABLE_ANY, &stale);
	expect(stale.index, 5);
	expect(stale.count, 507);
	expect(platform_mapped(table->tbl), 1);
	tce2_table_clear(table, 512, 512, TCE2_TABLE_ANY, &stale);
	expect(stale.count, 1019);
	expect(platform.calls[EVENT_KILL], 0);
	/* Clearing a range that is not adjacent first invalidates the earlier range */
	tce2_table_clear(table, 2000, 1, TCE2_TABLE_ANY, &stale);
	expect(platform.calls[EVENT_KILL], 1);
	expect(stale.index, 2000);
	expect(stale.count, 1);
	tce2_table_clear(table, 2001, 1, TCE2_TABLE_ANY, &stale);
	expect(stale.count, 2);
	/* Clearing a range directly before the earlier range also invalidates the earlier range */
	poke(1999, 1);
	tce2_table_clear(table, 1999, 1, TCE2_TABLE_ANY, &stale);
	expect(stale.index, 1999);
	expect(stale.count, 1);
	expect(platform.calls[EVENT_KILL], 2);
	expect(platform_mapped(table->tbl), 1);
	tce2_table_invalidate(table, stale.index, stale.count);
	expect(platform.calls[EVENT_CLEAR], 0);
	finish();
}

TEST(the_platform_clears_entries_of_a_missing_lower_table)
{
	struct tce2_stale stale = {};

	begin_table(IOVA(LOWER << (PAGE_SHIFT - 3)), 2);
	expect(map(window, 3, 0, 1, RW), 0);
	platform_forget_events();
	expect(tce2_table_clear(table, 5 * LOWER, 512, TCE2_TABLE_ANY, &stale), 0);
	expect(stale.count, 0);
	expect(platform.calls[EVENT_CLEAR], 1);
	expect(platform.calls[EVENT_FLUSH], 1);
	expect(tce2_table_clear(table, 6 * LOWER, 1, TCE2_TABLE_ANY, &stale), 0);
	expect(platform_made(table->tbl), 2);
	expect_in_step(window, 512);
	finish();
}

/* -ENOMEM is returned unchanged, every other error as -EIO */
TEST(errors_of_the_platform_become_enomem_or_eio)
{
	static const int errors[][2] = {
		{ -ENOMEM, -ENOMEM }, { -EIO, -EIO }, { -EPERM, -EIO },
		{ 44, -EIO }, { H_NOT_ENOUGH_RESOURCES, -EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		begin_table(MIB(16), 1);
		platform_fail(PLATFORM_XCHG, 1, 1);
		platform.error = errors[i][0];
		expect(map(window, 0, 0, 3, RW), errors[i][1]);
		expect(tce2_mapped_sum(&region->mapped), 1);
		finish();
	}
}

/* The windows have 16 and 64 entries, and a leaf has 512 */
TEST(a_window_smaller_than_a_leaf_is_mapped_to_its_end)
{
	for (int kind = 0; kind < PLATFORM_KINDS; kind++) {
		platform_kind = kind;
		for (u64 count = 1; count <= 64; count *= 4) {
			begin_table(IOVA(count < 16 ? 16 : count), 1);
			count = count < 16 ? 16 : count;
			expect(map(window, 0, 1, count, RW), 0);
			expect(map(window, count - 1, 0, 1, RW), 0);
			expect_in_step(window, count);
			expect(unmap(window, 0, count), 0);
			expect(platform_mapped(table->tbl), 0);
			expect(tce2_mapped_sum(&region->mapped), 1);
			finish();
		}
	}
}
