// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of platforms that refuse entries without an error. src/ must notice the refusal
 * with few calls, and long requests must reschedule. In every test, sim_work() checks that
 * no request runs for too long.
 */
#include <asm/firmware.h>

#include "engine.h"

#define FOR_MANY (FW_FEATURE_PUT_TCE_IND | FW_FEATURE_STUFF_TCE)
#define ALWAYS	 1000000 /* more failures than any test causes */
#define NO_END	 (1ULL << 16) /* entries of a long request */
#define BATCH	 (64 * LEAF) /* entries that are invalidated together */

static struct tce2_region *region;
static struct tce2_window *window;
static struct iommu_table *tbl;

/* Platforms that have, or do not have, hypercalls that write or clear many entries */
static const struct {
	const char *row;
	enum platform_kind kind;
	unsigned long features;
} platforms[] = {
	{ "memory", PLATFORM_MEMORY, 0 },
	{ "odd format", PLATFORM_ODD_FORMAT, 0 },
	{ "hypervisor", PLATFORM_HYPERVISOR, FOR_MANY },
	{ "hypervisor that writes single entries", PLATFORM_HYPERVISOR,
	  FW_FEATURE_STUFF_TCE },
	{ "hypervisor that clears single entries", PLATFORM_HYPERVISOR,
	  FW_FEATURE_PUT_TCE_IND },
	{ "hypervisor with calls for single entries", PLATFORM_HYPERVISOR, 0 },
};

#define FIRST_ODD	 1
#define FIRST_HYPERVISOR 2

static void begin_window(size_t i, u64 size)
{
	row = platforms[i].row;
	platform_kind = platforms[i].kind;
	begin(1, platform_kind == PLATFORM_HYPERVISOR ? 1 : 5);
	platform.features = platforms[i].features;
	window = only_window(size, 1);
	tbl = window->table.tbl;
}

static void begin_refusal(size_t i)
{
	begin_window(i, MIB(64));
	region = memory(UA, 6000);
	platform_forget_events();
}

/* Makes the platform refuse to clear entries by any call */
static void clear_nothing(void)
{
	platform_fail(PLATFORM_CLEAR, 1, ALWAYS);
	platform_fail(PLATFORM_XCHG, 1, ALWAYS);
}

static void expect_held(u64 count)
{
	expect(platform.held, count);
	expect(tce2_mapped_sum(&region->mapped), count + 1);
}

/* The map is in an empty window, replaces a long run, or replaces single entries */
TEST(a_killed_long_map_rolls_back_and_reschedules)
{
	for (size_t i = 0; i < ARRAY_SIZE(platforms); i++) {
		/* A signal is checked for while each leaf is prepared, and after it is written */
		const unsigned int leaves = NO_END / LEAF;
		u64 sum, flushes;

		begin_window(i, IOVA(NO_END));
		region = large_memory(IOVA(NO_END));
		for (int old = 0; old < 3; old++) {
			if (old == 1)
				expect(map(window, 7, 3, 5000, RW), 0);
			for (u64 k = 0; old == 2 && k < 5000; k += 2)
				expect(map(window, k, 9, 1, RW), 0);
			sum = platform_sum(tbl);
			platform_forget_events();
			sim_fail(SIM_SIGNAL, leaves + 120);
			expect(map(window, 0, 0, NO_END, RW), -EINTR);
			expect(sim.fired, true);
			sim_fail_nothing();
			expect(platform_sum(tbl), sum);
			/* One flush after a batch, one after the rollback */
			flushes = platform.calls[EVENT_FLUSH];
			if (platform_kind == PLATFORM_MEMORY && !old)
				expect(flushes, 2);
			expect_held(platform_mapped(tbl));
		}
		expect(map(window, 0, 0, NO_END, RW), 0);
		expect_held(NO_END);
		expect(unmap(window, 0, NO_END), 0);
		expect_held(0);
		finish();
	}
}

/* The last entry of the request is mapped or not. The first entry is not mapped. */
TEST(a_refused_clear_is_retried_entry_by_entry)
{
	for (size_t i = FIRST_ODD; i < ARRAY_SIZE(platforms); i++) {
		begin_refusal(i);
		for (unsigned int nth = 1; nth <= 40; nth++) {
			expect(map(window, 500, 0, 30, RW), 0);
			platform_fail(PLATFORM_CLEAR, nth, 1);
			expect(unmap(window, 498, nth % 2 ? 32 : 40), 0);
			platform_fail_nothing();
			expect(platform_mapped(tbl), 0);
			expect_held(0);
		}
		finish();
	}
}

TEST(a_clear_that_is_always_refused_keeps_the_memory_held)
{
	for (size_t i = FIRST_ODD; i < ARRAY_SIZE(platforms); i++) {
		u64 sum;

		begin_refusal(i);
		expect(map(window, 1, 0, 2000, TCE2_PERM_READ), 0);
		sum = platform_sum(tbl);
		clear_nothing();
		expect(unmap(window, 0, 4096), -EIO);
		expect(unmap(window, 7, 2), -EIO);
		platform_fail_nothing();
		expect(platform_sum(tbl), sum);
		expect_in_step(window, 2010);
		expect_held(2000);
		expect(tce2_region_unregister(region), -EBUSY);
		expect(unmap(window, 0, 4096), 0);
		expect(platform_mapped(tbl), 0);
		expect_held(0);
		finish();
	}
}

/* One entry stays mapped: each entry in turn, at the end of a leaf or not */
TEST(unmap_notices_any_entry_that_was_not_cleared)
{
	for (size_t i = FIRST_ODD; i < ARRAY_SIZE(platforms); i++) {
		begin_refusal(i);
		for (unsigned int nth = 1; nth <= 20; nth++) {
			expect(map(window, 500, 0, 20, 1 + nth % 3), 0);
			platform_fail(PLATFORM_CLEAR, 1, ALWAYS);
			platform_fail(PLATFORM_XCHG, nth, 1);
			expect(unmap(window, 500, 20), -EIO);
			platform_fail_nothing();
			/* The other entries are clear, but the view can't record which */
			expect(platform_mapped(tbl), 1);
			expect_held(20);
			expect(unmap(window, 500, 20), 0);
			expect_held(0);
			expect(platform_mapped(tbl), 0);
		}
		finish();
	}
}

TEST(a_refused_clear_does_not_stop_the_unmap_of_other_batches)
{
	for (size_t i = FIRST_ODD; i < ARRAY_SIZE(platforms); i++) {
		begin_window(i, MIB(512));
		region = memory(UA, 64);
		for (u64 k = 0; k < 3; k++)
			expect(map(window, k * BATCH, k, 1, RW), 0);
		platform_fail(PLATFORM_XCHG, 1, 1);
		platform_fail(PLATFORM_CLEAR, 1, 1);
		expect(unmap(window, 0, 2 * BATCH + 1), -EIO);
		platform_fail_nothing();
		expect(platform_tce(tbl, 0) != 0, true);
		expect(platform_mapped(tbl), 1);
		expect_held(1);
		expect(view_at(window, 0), UA | RW);
		expect(view_at(window, BATCH), 0);
		finish();
	}
}

/* An entry without permissions is clear, whatever its address (LoPAR 3.2.2.2) */
TEST(an_entry_without_permissions_is_clear)
{
	/* This platform's entries are all read back */
	begin_refusal(ARRAY_SIZE(platforms) - 1);
	expect(map(window, 0, 0, 1, RW), 0);
	expect(unmap(window, 0, 1), 0);
	platform_poke(tbl, 9, 0x1000);
	platform_fail(PLATFORM_CLEAR, 1, 2);
	platform.calls_to[PLATFORM_XCHG] = 0;
	expect(unmap(window, 8, 2), 0);
	expect(platform.calls_to[PLATFORM_XCHG], 0);
	expect(platform_mapped(tbl), 1);
	platform_fail_nothing();
	finish();
}

TEST(a_window_that_cannot_be_cleared_leaks_its_mapped_memory)
{
	for (size_t i = FIRST_HYPERVISOR; i < ARRAY_SIZE(platforms); i++) {
		for (int detach = 0; detach < 2; detach++) {
			begin_refusal(i);
			expect(map(window, 3, 0, 30, RW), 0);
			clear_nothing();
			if (detach)
				expect(tce2_ddw_detach(&ddw, &group[0]->group),
				       0);
			else
				expect(tce2_ddw_remove(&ddw, 0), 0);
			platform_fail_nothing();
			expect(platform.complaints, 1);
			expect(platform.tables, 0);
			expect(sim.now.charged, sim.now.pinned);
			expect_held(30);
			expect(tce2_region_unregister(region), -EBUSY);
			/* The module holds these pages permanently, so the test drops them */
			drop_pages(proc, UA, SHIFT, 30);
			finish();
		}
	}
}

/* To roll back an entry that was not mapped, src/ clears it. The platform refuses this, too. */
TEST(a_failed_map_that_cannot_be_cleared_keeps_the_memory_held)
{
	for (size_t i = FIRST_ODD; i < ARRAY_SIZE(platforms); i++) {
		for (int stuck = 0; stuck < 2; stuck++) {
			begin_refusal(i);
			expect(map(window, 5, 50, 1, RW), 0);
			/* One write is refused, and all clears */
			platform.refused = hpa_at(UA + IOVA(LEAF + 7));
			platform_fail(PLATFORM_CLEAR, 1, ALWAYS);
			if (stuck)
				platform_fail(PLATFORM_XCHG, 1, ALWAYS);
			expect(map(window, 0, 0, 2 * LEAF, RW), -EIO);
			platform_fail_nothing();
			/* xchg_no_kill() clears the entries, unless it fails as clear() does */
			expect(platform.complaints, stuck);
			if (stuck) {
				expect_held(1 + 2 * LEAF);
				drop_pages(proc, UA, SHIFT, 2 * LEAF);
			} else {
				expect_in_step(window, 2 * LEAF);
			}
			expect_held(1);
			finish();
		}
	}
}

/* All entries are restored, but devices of the detached group may have cached new entries */
TEST(a_failed_map_in_a_window_kept_by_a_group_keeps_the_memory_held)
{
	begin_refusal(FIRST_ODD);
	window->kept_by_group = true;
	platform.refused = hpa_at(UA + IOVA(7));
	expect(map(window, 0, 0, 20, RW), -EIO);
	expect(platform.complaints, 1);
	expect_held(20);
	expect_in_step(window, 20);
	drop_pages(proc, UA, SHIFT, 20);
	window->kept_by_group = false;
	finish();
}

/* Two calls are allowed for each leaf: @count entries touch at most @count / LEAF + 2 leaves */
static u64 calls_for(u64 count)
{
	return (count + 255) / 256 + 4;
}

static u64 calls_of_map(u64 index, u64 count)
{
	u64 before = sim.work;

	expect(map(window, index, index, count, RW), 0);
	return sim.work - before;
}

static u64 calls_of_unmap(u64 index, u64 count)
{
	u64 before = sim.work;

	expect(unmap(window, index, count), 0);
	return sim.work - before;
}

static void expect_few(u64 calls, u64 count)
{
	if (calls > calls_for(count))
		sim_bug("%llu calls for %llu entries", calls, count);
}

/* Entries before and after the request, in the same leaf, may be mapped */
TEST(mapping_fresh_entries_takes_few_hypercalls)
{
	static const u64 counts[] = { 1, 2, 32, 100, 256, 511, 512, 513, 1500 };
	static const u64 firsts[] = { 0, 1, 31, 511, 512, 700 };

	begin_refusal(FIRST_HYPERVISOR);
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
			u64 first = firsts[f], end = first + counts[c];

			expect_few(calls_of_map(first, end - first),
				   end - first);
			expect_few(calls_of_unmap(first, end - first),
				   end - first);
			/* Map neighbours that are adjacent to the run in memory, or are not */
			for (u64 page = 0; page < 2; page++) {
				if (first)
					expect(map(window, first - 1,
						   page ? 7 : first - 1, 1, RW),
					       0);
				expect(map(window, end, page ? 9 : end, 3, RW),
				       0);
				expect_few(calls_of_map(first, end - first),
					   end - first);
				expect_in_step(window, end + 10);
				expect_few(calls_of_unmap(first, end - first),
					   end - first);
				expect_in_step(window, end + 10);
				expect(unmap(window, 0, end + 10), 0);
			}
		}
	}
	expect(map(window, 0, 0, 32, RW), 0);
	for (u64 i = 32; i < 4096; i += 32)
		expect(calls_of_map(i, 32), 2);
	finish();
}

/* The hypercall for a list reports errors, so reading the last entry back is enough */
TEST(one_entry_of_each_list_is_read_back)
{
	begin_refusal(FIRST_HYPERVISOR);
	expect(map(window, 2 * LEAF + 9, 0, 1, RW), 0);
	for (int i = 0; i < 2; i++) {
		expect(calls_of_map(0, 4 * LEAF), 4 * 2);
		expect_in_step(window, 4 * LEAF);
	}
	finish();
}

/* A hypervisor returns no error, although it has stored nothing */
TEST(a_list_that_is_lost_is_written_entry_by_entry)
{
	begin_refusal(FIRST_HYPERVISOR);
	for (int old = 0; old < 2; old++) {
		for (u64 count = 2; count <= LEAF; count += 51) {
			if (old)
				expect(map(window, 7, 1000, LEAF + 7, RW), 0);
			platform.lost = 1;
			expect(map(window, 3, 0, count, RW), 0);
			expect(platform.lost, 0);
			expect_in_step(window, 3 * LEAF);
			expect(unmap(window, 0, 3 * LEAF), 0);
		}
	}
	finish();
}

/* Without memory for a list, the platform writes contiguous ranges, and all are read back */
TEST(a_list_without_memory_is_written_by_the_platform)
{
	begin_refusal(FIRST_HYPERVISOR);
	/* The view has its memory already */
	expect(map(window, 0, 3000, LEAF, RW), 0);
	for (int i = 0; i < 2; i++) {
		kfree(xchg(&window->table.list, NULL));
		sim_fail(SIM_ALLOC, 1);
		expect(calls_of_map(0, LEAF), 1 + LEAF);
		expect(sim.fired, true);
		sim_fail_nothing();
		expect_in_step(window, 2 * LEAF);
	}
	finish();
}

/* Each thread of a window takes a separate list, and the table keeps one of them */
TEST(a_table_keeps_one_list_for_the_next_request)
{
	__be64 *list;
	u64 allocs;

	begin_refusal(FIRST_HYPERVISOR);
	expect(!window->table.list, true);
	/* A single entry needs no list */
	expect(map(window, 0, 0, 1, RW), 0);
	expect(!window->table.list, true);
	expect(map(window, 0, 0, 9, RW), 0);
	list = window->table.list;
	expect(!list, false);
	allocs = sim.now.allocs;
	expect(map(window, 0, 0, LEAF, RW), 0);
	expect(window->table.list == list, true);
	expect(sim.now.allocs, allocs);
	/* Another thread uses the list */
	window->table.list = NULL;
	expect(map(window, 0, 9, LEAF, RW), 0);
	expect(sim.now.allocs, allocs + 1);
	expect(!window->table.list, false);
	expect(window->table.list == list, false);
	kfree(list);
	expect_in_step(window, LEAF + 1);
	finish();
}

TEST(a_refused_entry_is_noticed_on_every_hypervisor)
{
	for (size_t i = FIRST_HYPERVISOR; i < ARRAY_SIZE(platforms); i++) {
		begin_refusal(i);
		for (int old = 0; old < 2; old++) {
			for (u64 page = 0; page < 12; page++) {
				if (old)
					expect(map(window, 0, 100, 10, RW), 0);
				platform.refused = hpa_at(UA + IOVA(page));
				expect(map(window, 0, 0, 10, RW),
				       page < 10 ? -EIO : 0);
				platform_fail_nothing();
				expect_in_step(window, 20);
				expect_held(platform_mapped(tbl));
				expect(unmap(window, 0, 20), 0);
			}
		}
		finish();
	}
}

/* The last entry of the range may look correct, because it did not change */
TEST(a_refused_entry_is_noticed_during_a_rollback)
{
	for (size_t i = FIRST_HYPERVISOR; i < ARRAY_SIZE(platforms); i++) {
		u64 leaks = 0;

		begin_refusal(i);
		for (unsigned int nth = 1; nth <= 40; nth++) {
			expect(map(window, 0, 100, 10, RW), 0);
			platform.refused = hpa_at(UA + IOVA(6));
			platform_fail(PLATFORM_XCHG, nth, 1);
			expect(map(window, 0, 0, 10, RW), -EIO);
			platform_fail_nothing();
			/* If the rollback could not restore an entry, the log has a line */
			if (platform.complaints == leaks)
				expect_in_step(window, 20);
			expect(unmap(window, 0, 10), 0);
			if (platform.complaints > leaks)
				drop_pages(proc, UA, SHIFT, 10);
			leaks = platform.complaints;
			expect_held(0);
		}
		expect(leaks < 40, true);
		finish();
	}
}

static u64 perm_at(u64 index)
{
	return platform_tce(tbl, index) & (TCE_READ | TCE_WRITE);
}

static void expect_perms(u64 first, u64 count, u64 want)
{
	for (u64 i = first; i < first + count; i++)
		expect(perm_at(i), want);
}

/* With a table in memory devices can read write-only entries, because IODA2 allows it */
TEST(devices_cannot_read_write_only_entries_of_a_hypervisor)
{
	for (size_t i = 0; i < ARRAY_SIZE(platforms); i++) {
		u64 want = TCE_WRITE;

		begin_refusal(i);
		if (platform_kind != PLATFORM_HYPERVISOR)
			want |= TCE_READ;
		expect(map(window, 0, 0, 1, TCE2_PERM_WRITE), 0);
		expect(map(window, 1, 1, 600, TCE2_PERM_WRITE), 0);
		expect_perms(0, 601, want);
		/* Write-only entries replace others, and are restored after a failed request */
		expect(map(window, 100, 7, 300, RW), 0);
		expect_perms(100, 300, TCE_READ | TCE_WRITE);
		expect(map(window, 200, 9, 50, TCE2_PERM_WRITE), 0);
		expect_perms(200, 50, want);
		sim_fail(SIM_SIGNAL, 5);
		expect(map(window, 90, 2000, 1000, RW), -EINTR);
		sim_fail_nothing();
		expect_perms(0, 100, want);
		expect_perms(100, 100, TCE_READ | TCE_WRITE);
		expect_perms(200, 50, want);
		expect_perms(250, 150, TCE_READ | TCE_WRITE);
		expect_perms(400, 201, want);
		expect_perms(601, 20, 0);
		expect_in_step(window, 1200);
		finish();
	}
}

TEST(an_entry_that_kvm_clears_at_once_leaves_the_layout_unknown)
{
	begin_refusal(0);
	platform.taken = 1;
	for (int i = 0; i < 2; i++) {
		expect(map(window, 5, i, 20, RW), 0);
		expect(window->table.layout,
		       i ? TCE2_TABLE_MEMORY : TCE2_TABLE_UNSEEN);
		expect_in_step(window, 40);
	}
	finish();

	/* One write-only entry, or several, in a tree of tables */
	for (u64 count = 1; count <= 20; count += 19) {
		begin(1, 5);
		region = memory(UA, 64);
		window = only_window(GIB(64), 2);
		tbl = window->table.tbl;
		platform.taken = 1;
		expect(map(window, 5, 0, count, TCE2_PERM_WRITE), 0);
		expect(window->table.layout, TCE2_TABLE_UNSEEN);
		expect_in_step(window, 40);
		expect(map(window, 5, 1, count, TCE2_PERM_WRITE), 0);
		expect(window->table.layout, TCE2_TABLE_MEMORY);
		expect_in_step(window, 40);
		finish();
	}
}

/* Once a table's layout is known, the platform writes no entry and makes no level any more */
TEST(a_known_layout_of_a_table_does_not_change)
{
	u64 lower;

	begin(1, 5);
	region = memory(UA, 64);
	window = only_window(GIB(64), 2);
	tbl = window->table.tbl;
	lower = tbl->it_level_size;
	expect(map(window, 5, 0, 20, RW), 0);
	platform.calls_to[PLATFORM_XCHG] = 0;
	platform_forget_events();
	expect(map(window, 3 * lower, 1, 20, RW), 0);
	expect(window->table.layout, TCE2_TABLE_MEMORY);
	expect(platform.calls_to[PLATFORM_XCHG], 0);
	expect_in_step(window, 3 * lower + 40);
	finish();
}

static void find_other_layout(void)
{
	window->table.layout = TCE2_TABLE_PLATFORM;
}

TEST(the_first_of_two_threads_decides_the_layout_of_a_table)
{
	begin_refusal(0);
	/* This request fails, but makes the leaf of the view */
	platform_fail(PLATFORM_XCHG, 1, 1);
	expect(map(window, 5, 0, 20, RW), -EIO);
	platform_fail_nothing();
	expect(window->table.layout, TCE2_TABLE_UNSEEN);
	sim_when(SIM_AT_SWAP, 1, find_other_layout);
	expect(map(window, 5, 0, 20, RW), 0);
	expect(window->table.layout, TCE2_TABLE_PLATFORM);
	expect_in_step(window, 40);
	expect(map(window, 5, 3, 20, RW), 0);
	expect(window->table.layout, TCE2_TABLE_PLATFORM);
	expect_in_step(window, 40);
	finish();
}
