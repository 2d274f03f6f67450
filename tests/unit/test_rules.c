// SPDX-License-Identifier: GPL-2.0-only
/*
 * More tests of the map engine, for rules that only one test elsewhere checks: the points
 * at which a request stops, the state that a rollback restores, and the windows that a
 * cancelled request may remove.
 */
#include <asm/firmware.h>

#include "engine.h"

static struct tce2_window *window;
static struct tce2_region *region;

static void begin_window(unsigned int groups, u64 size, u32 levels)
{
	begin(groups, platform_kind == PLATFORM_HYPERVISOR ? 1 : 5);
	region = memory(UA, 4096);
	window = only_window(size, levels);
}

/* The request may have waited long for the table's mutex, so it checks for a signal */
TEST(table_prepare_stops_before_it_charges)
{
	const u64 leaf = 1ULL << (PAGE_SHIFT - 3);
	u64 charged;

	begin_window(1, IOVA(leaf * leaf), 2);
	charged = sim.now.charged;
	atomic_set(&ddw.hurry.stopping, 1);
	expect(tce2_table_prepare(&window->table, 0), -EAGAIN);
	atomic_set(&ddw.hurry.stopping, 0);
	sim_fail(SIM_SIGNAL, 1);
	expect(tce2_table_prepare(&window->table, 0), -EINTR);
	sim_fail(SIM_KILL, 1);
	expect(tce2_table_prepare(&window->table, 0), -EINTR);
	sim_fail_nothing();
	expect(sim.now.charged, charged);
	expect(tce2_table_prepare(&window->table, 0), 0);
	expect(sim.now.charged - charged, PAGE_SIZE >> PAGE_SHIFT);
	/* A level that is charged already needs no mutex */
	sim_fail(SIM_SIGNAL, 1);
	expect(tce2_table_prepare(&window->table, 1), 0);
	expect(sim.fired, false);
	finish();
}

/* The platform would print an error if an allocation failed */
TEST(table_write_checks_memory_before_the_platform_makes_levels)
{
	for (u32 levels = 2; levels <= 3; levels++) {
		u64 before, far;

		begin_window(1, TIB(1), levels);
		/* All levels for this entry are missing */
		far = 1ULL << (levels - 1) * window->table.level_bits;
		before = sim.unaccounted;
		expect(map(window, 0, 0, 1, RW), 0);
		expect(sim.unaccounted - before, levels - 1);
		expect(map(window, 1, 1, 1, RW), 0);
		/* The memory cgroup pays for no level, of the platform or of this module */
		expect(map(window, far, 1, 1, RW), 0);
		expect(sim.unaccounted - before, 2 * (levels - 1));
		finish();

		/* Without memory the platform is not called */
		begin_window(1, GIB(64), levels);
		for (u32 nth = 1; nth < levels; nth++) {
			const u64 index = (window->size >> SHIFT) - 1;
			u64 asked = platform.calls_to[PLATFORM_XCHG];
			struct tce2_cursor cursor = tce2_table_cursor(&window->table);
			struct tce2_blocks blocks;

			expect(tce2_table_prepare(&window->table, index), 0);
			sim_fail(SIM_ALLOC, nth);
			blocks = tce2_extents_blocks(&region->extents, UA, 1, SHIFT);
			expect(tce2_table_write(&window->table, &cursor, index, &blocks,
						RW, TCE2_WRITE_MAP),
			       -ENOMEM);
			expect(sim.fired, true);
			sim_fail_nothing();
			expect(platform.calls_to[PLATFORM_XCHG], asked);
		}
		finish();
	}
}

/* The signal that ends a request is still pending during its rollback */
TEST(rollback_does_not_stop_for_a_signal)
{
	static const enum platform_kind kinds[] = {
		PLATFORM_ODD_FORMAT, PLATFORM_ODD_PLACE, PLATFORM_HYPERVISOR,
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		platform_kind = kinds[i];
		begin_window(1, MIB(64), platform_kind == PLATFORM_HYPERVISOR ? 1 : 2);
		for (unsigned int nth = 1; nth <= 30; nth++) {
			expect(map(window, 0, 100, 20, RW), 0);
			platform.refused = hpa_at(UA + IOVA(15));
			sim_fail(nth % 2 ? SIM_KILL : SIM_SIGNAL, nth / 2 + 1);
			expect(map(window, 0, 0, 20, RW) < 0, true);
			sim_fail_nothing();
			platform_fail_nothing();
			expect(platform.complaints, 0);
			expect_in_step(window, 40);
			expect(tce2_mapped_sum(&region->mapped), 1 + 20);
		}
		finish();
	}
	platform_kind = PLATFORM_MEMORY;
}

static void begin_to_stop(void)
{
	atomic_set(&ddw.hurry.stopping, 1);
}

/* The caller would repeat the request after -EAGAIN, and leak memory each time */
TEST(a_map_that_leaks_memory_returns_eio_instead_of_eagain)
{
	for (int kept = 0; kept < 2; kept++) {
		begin_window(1, MIB(64), 1);
		window->kept_by_group = kept;
		/* VFIO's request comes after the first leaf is written */
		sim_when(SIM_AT_RESCHED, 2, begin_to_stop);
		expect(map(window, 0, 0, 2 * LEAF, RW), kept ? -EIO : -EAGAIN);
		atomic_set(&ddw.hurry.stopping, 0);
		expect(platform.complaints, kept);
		expect(tce2_mapped_sum(&region->mapped), 1 + (kept ? 2 * LEAF : 0));
		if (kept)
			drop_pages(proc, UA, SHIFT, 2 * LEAF);
		window->kept_by_group = false;
		finish();
	}
}

TEST(a_window_is_unused_without_mappings_references_and_keeping_groups)
{
	struct tce2_window *handle;
	unsigned int refs;

	begin_window(1, MIB(64), 1);
	refs = refcount_read(&window->refs);
	expect(tce2_window_stop_if_unused(window, refs), true);
	expect(tce2_window_stop_if_unused(window, refs - 1), false);
	handle = tce2_window_get(window->table.tbl);
	expect(tce2_window_stop_if_unused(window, refs), false);
	tce2_window_put(handle);
	/* A mapping makes the window used until it is unmapped, also in the last entry */
	expect(map(window, (MIB(64) >> SHIFT) - 1, 0, 1, RW), 0);
	expect(tce2_window_stop_if_unused(window, refs), false);
	expect(unmap(window, (MIB(64) >> SHIFT) - 1, 1), 0);
	expect(tce2_window_stop_if_unused(window, refs), true);
	window->kept_by_group = true;
	expect(tce2_window_stop_if_unused(window, refs), false);
	window->kept_by_group = false;
	finish();
}

/* The devices of that group may keep translations of the window until reboot */
TEST(cancel_leaves_a_default_window_that_a_group_kept)
{
	struct tce2_window_spec spec = { MIB(64), SHIFT, 1 };
	struct tce2_creation creation;

	begin(2, 3);
	expect(tce2_ddw_create(&ddw, proc, &spec, &creation), 0);
	platform_fail(PLATFORM_UNSET, 1, 1);
	expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
	expect(ddw.window[0]->kept_by_group, true);
	expect(ddw.window[1]->kept_by_group, false);
	tce2_ddw_cancel(&ddw, &creation);
	expect(!ddw.window[0], false);
	expect(!ddw.window[1], true);
	expect(ddw.default_pending, false);
	tce2_ddw_destroy(&ddw);
	platform_forget_leaked(1);
	finish();
}

/* The page frames of the two regions are adjacent, or not */
TEST(a_run_of_tces_ends_with_its_region_on_every_platform)
{
	for (int kind = 0; kind < PLATFORM_KINDS; kind++) {
		struct tce2_region *second;
		const u64 half = 12ULL << (PAGE_SHIFT - SHIFT);

		platform_kind = kind;
		for (int apart = 0; apart < 2; apart++) {
			begin(1, kind == PLATFORM_HYPERVISOR ? 1 : 5);
			region = memory(UA, 12);
			/* With @apart, a third region is between the two in memory */
			if (apart)
				memory(UA + PAGES(100), 3);
			second = memory(UA + PAGES(12), 12);
			window = only_window(MIB(64), 1);
			for (u64 from = 0; from < half; from += half / 4) {
				expect(map(window, from, from, 2 * half - from, RW), 0);
				expect_in_step(window, 2 * half + 4);
				expect(tce2_mapped_sum(&second->mapped), half + 1);
				expect(unmap(window, 0, 2 * half), 0);
			}
			expect(map(window, 0, 1, 2 * half, RW), -EINVAL);
			expect(tce2_mapped_sum(&second->mapped), 1);
			finish();
		}
	}
	platform_kind = PLATFORM_MEMORY;
}

TEST(hold_refuses_page_sizes_below_4_kib_and_of_64_bits)
{
	static const unsigned int shifts[] = { 0, 11, 64, 64 + SHIFT, ~0U };
	u64 hpa;

	begin(0, 5);
	region = memory(UA, 64);
	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		expect(hold_pages(proc, UA, shifts[i], 1, READ), -EINVAL);
		expect(tce2_mapped_sum(&region->mapped), 1);
	}
	expect(hold_pages(proc, UA, SHIFT, 0, READ), -EINVAL);
	expect(hold_pages(proc, UA, 63, 1, READ), -EINVAL);
	expect(hold_pages(proc, UA, SHIFT, 1, READ), 0);
	expect(tce2_page_hold(proc, UA, SHIFT, READ, &hpa), true);
	expect(tce2_mapped_sum(&region->mapped), 3);
	drop_pages(proc, UA, SHIFT, 1);
	tce2_page_drop(proc, UA, SHIFT);
	finish();
}

/* A region dropped by a hook of KVM, which can't sleep, is unpinned by a worker of the cache */
TEST(the_last_put_of_a_cache_waits_for_its_worker)
{
	struct tce2_cache *cache;
	u64 hpa;

	begin(0, 5);
	cache = new_process();
	map_contiguous(UA, 16, 100, true);
	region = registered(cache, UA, PAGES(16));
	expect(tce2_page_hold(cache, UA, SHIFT, READ, &hpa), true);
	tce2_region_unregister_nofail(region);
	expect(sim.now.pinned, 16);
	tce2_page_drop(cache, UA, SHIFT);
	expect(sim.now.pinned, 16);
	tce2_cache_put(cache);
	expect(sim.now.pinned, 0);
	expect(sim.now.charged, 0);
	finish();
}
