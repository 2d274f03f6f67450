// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/page.c: brief requests that do not sleep, and other threads that change
 * the entry, its memory or its window meanwhile.
 */
#include <string.h>

#include <linux/sched.h>
#include <linux/vfio.h>

#include "client.h"
#include "engine.h"
#include "sim_user.h"
#include "tce2_ddw_page.h"
#include "tce2_kvm.h"
#include "tce2_page.h"
#include "tce2_uapi.h"
#include "tce2_why.h"

#define SIZE	MIB(16)
#define ENTRIES (SIZE >> SHIFT)
#define PAGES_4K(n) ((u64)(n) << (PAGE_SHIFT - SHIFT))

static struct tce2_window *window;
static struct tce2_region *region;

static long map_page(u64 index, u64 page, u64 perm)
{
	long ret;

	rcu_read_lock();
	ret = tce2_window_map_page(window, window->start + IOVA(index), UA + IOVA(page),
				   perm);
	rcu_read_unlock();
	return ret;
}

static long unmap_page(u64 index)
{
	long ret;

	rcu_read_lock();
	ret = tce2_window_unmap_page(window, window->start + IOVA(index));
	rcu_read_unlock();
	return ret;
}

/* Makes a window, of which the first entry of each of the first two leaves was mapped before */
static void begin_pages(u64 pages)
{
	u32 levels = platform_kind == PLATFORM_HYPERVISOR ? 1 : 2;

	page_counts = (struct tce2_counts){};

	begin(1, levels);
	region = memory(UA, pages);
	window = only_window(SIZE, levels);
	for (u64 leaf = 0; leaf < 2; leaf++) {
		expect(map(window, leaf * LEAF, 0, 1, RW), 0);
		expect(unmap(window, leaf * LEAF, 1), 0);
	}
	platform_forget_events();
}

/* Ends the test unless table, view and counts agree in the first two leaves */
static void expect_agreement(void)
{
	u64 mapped = 0;

	expect_in_step(window, 2 * LEAF);
	for (u64 i = 0; i < 2 * LEAF; i++)
		mapped += !!view_at(window, i);
	expect(tce2_mapped_sum(&region->mapped), 1 + mapped);
	expect(platform.held, mapped);
}

/* Runs a test where src/ stores TCEs, and where a hypervisor writes them */
static void on_both_platforms(void (*test)(void))
{
	static const enum platform_kind kinds[] = { PLATFORM_MEMORY, PLATFORM_HYPERVISOR };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		platform_kind = kinds[i];
		test();
	}
}

static bool ranges_used;

static void look_for_ranges(void)
{
	ranges_used |= !!window->ranges.last;
	platform_sync();
}

static void map_and_unmap_one(void)
{
	begin_pages(64);
	ranges_used = false;
	sim_watch(look_for_ranges);
	for (u64 perm = 1; perm <= RW; perm++) {
		u64 allocs = sim.now.allocs;

		expect(map_page(7, 3, perm), 0);
		expect(view_at(window, 7), (UA + IOVA(3)) | perm);
		expect_agreement();
		expect(unmap_page(7), 0);
		expect(view_at(window, 7), 0);
		expect_agreement();
		expect(sim.now.allocs, allocs);
	}
	sim_watch(platform_sync);
	expect(ranges_used, false);
	finish();
}

TEST(one_page_is_mapped_and_unmapped_without_a_range)
{
	on_both_platforms(map_and_unmap_one);
}

/* The device may cache an entry as soon as it is written, and until it is invalidated */
TEST(one_page_is_dropped_after_its_translation_is_invalidated)
{
	static const enum platform_event wanted[] = {
		EVENT_ERASE, EVENT_KILL, EVENT_DROP,
	};

	begin_pages(64);
	expect(map_page(7, 3, RW), 0);
	expect(platform.events[0].what, EVENT_WRITE);
	expect(platform.events[1].what, EVENT_KILL);
	platform_forget_events();
	expect(unmap_page(7), 0);
	expect(platform.logged, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		expect(platform.events[i].what, wanted[i]);
	finish();
}

static void expect_declined(void)
{
	u64 sum = platform_sum(window->table.tbl), held = platform.held;

	/* The first leaf maps entries 10 to 20, and the second leaf has an array */
	expect(map_page(2 * LEAF, 3, RW), TCE2_NOT_BRIEF);
	expect(map_page(15, 3, RW), TCE2_NOT_BRIEF);
	expect(map_page(15, 5, TCE2_PERM_READ), TCE2_NOT_BRIEF);
	expect(map_page(30, 3, RW), TCE2_NOT_BRIEF);
	expect(map_page(21, 11, TCE2_PERM_READ), TCE2_NOT_BRIEF);
	expect(map_page(LEAF + 5, 3, 0), TCE2_NOT_BRIEF);
	expect(map_page(LEAF + 5, PAGES_4K(64), RW), TCE2_NOT_BRIEF);
	expect(unmap_page(2 * LEAF), TCE2_NOT_BRIEF);
	expect(unmap_page(15), TCE2_NOT_BRIEF);
	expect(unmap_page(9), TCE2_NOT_BRIEF);
	expect(unmap_page(21), TCE2_NOT_BRIEF);
	expect(unmap_page(LEAF + 5), TCE2_NOT_BRIEF);
	expect(platform_sum(window->table.tbl), sum);
	expect(platform.held, held);
	expect_agreement();
}

static void expect_declined_there(void)
{
	expect(map_page(21, 11, RW), TCE2_NOT_BRIEF);
	expect(unmap_page(20), TCE2_NOT_BRIEF);
}

static void run_in_another_process(void (*function)(void))
{
	struct mm_struct *first = sim.mm, *mm = sim_process();
	struct task_struct other;

	/* sim_process() has given @mm to the test's own task: undo this */
	sim.mm = first;
	sim_task_init(&other, mm);
	sim_switch_to(&other);
	function();
	sim_switch_to(NULL);
}

static void decline(void)
{
	begin_pages(64);
	expect(map(window, 10, 0, 11, RW), 0);
	expect(map(window, LEAF + 4, 0, 1, RW), 0);
	expect(map(window, LEAF + 9, 0, 1, RW), 0);
	expect_declined();
	run_in_another_process(expect_declined_there);
	expect(map_page(21, 11, RW), 0);
	expect(unmap_page(21), 0);
	finish();
}

TEST(a_page_request_that_needs_more_changes_nothing)
{
	on_both_platforms(decline);
}

/* Mapping the last unmapped entry of an array, or unmapping its only entry, can free it */
TEST(a_page_request_never_makes_or_frees_an_array)
{
	u64 allocs;

	begin_pages(1200);
	for (u64 i = 0; i < LEAF; i++)
		expect(map(window, i, 2 * i, 1, RW), 0);
	/* An entry of an array without unmapped entries is replaced; the array stays */
	allocs = sim.now.allocs;
	expect(map_page(0, 7, RW), 0);
	expect(map_page(LEAF - 1, 8, TCE2_PERM_READ), 0);
	expect_agreement();
	expect(sim.now.allocs, allocs);
	expect(unmap_page(77), 0);
	expect(map_page(77, 2 * 77, RW), TCE2_NOT_BRIEF);
	for (u64 i = 1; i < LEAF; i++)
		expect(unmap_page(i), i == 77 ? TCE2_NOT_BRIEF : 0);
	expect(unmap_page(0), TCE2_NOT_BRIEF);
	expect_agreement();
	finish();
}

/* Only the platform writes to these tables, and it may have to make a level */
TEST(a_page_is_not_mapped_in_a_table_of_another_format)
{
	static const enum platform_kind kinds[] = { PLATFORM_ODD_FORMAT, PLATFORM_ODD_PLACE };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		platform_kind = kinds[i];
		begin_pages(64);
		expect(map_page(7, 3, RW), TCE2_NOT_BRIEF);
		expect(map(window, 7, 3, 1, RW), 0);
		expect(unmap_page(7), 0);
		expect_agreement();
		finish();
	}
}

/* src/table.c has to charge the level and to allocate it, which may sleep */
TEST(a_page_is_not_mapped_in_a_level_that_does_not_exist)
{
	unsigned int nth = 0;
	u64 index, nodes;

	begin(1, 2);
	region = memory(UA, 64);
	window = only_window(GIB(1), 2);
	expect(map(window, 0, 0, 1, RW), 0);
	index = 1ULL << window->table.level_bits;
	/* A failed request for the first entry makes the leaf of the view, but no level */
	do {
		sim_fail(SIM_ALLOC, ++nth);
		expect(map(window, index, 1, 1, RW), -ENOMEM);
		sim_fail_nothing();
	} while (tce2_view_next_touched(&window->view, index, index + 1) != index);
	nodes = platform_made(window->table.tbl);
	expect(map_page(index, 1, RW), TCE2_NOT_BRIEF);
	expect(platform_made(window->table.tbl), nodes);
	expect(map(window, index, 1, 1, RW), 0);
	expect(platform_made(window->table.tbl), nodes + 1);
	expect(unmap_page(index), 0);
	expect(map_page(index, 1, RW), 0);
	finish();
}

TEST(a_request_is_for_one_page_if_its_size_and_addresses_are)
{
	static const struct {
		u64 iova, ua, size;
		bool want;
	} rows[] = {
		{ IOVA(3), UA, IOVA(1), true },
		{ IOVA(3), 0, IOVA(1), true },
		{ IOVA(3), UA, 0, false },
		{ IOVA(3), UA, IOVA(2), false },
		{ IOVA(3), UA, IOVA(1) / 2, false },
		{ IOVA(3), UA, IOVA(1) + 1, false },
		{ IOVA(3) + 1, UA, IOVA(1), false },
		{ IOVA(3), UA + 1, IOVA(1), false },
		{ IOVA(3), UA + IOVA(1) / 2, IOVA(1), false },
	};

	begin_pages(4);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect(tce2_page_is_one(window, rows[i].iova, rows[i].ua, rows[i].size),
		       rows[i].want);
	finish();
}

/* Replaces an entry of one kind by another, and drops the old page */
static void replace_pages(void)
{
	static const struct {
		u64 index, page, perm;
	} rows[] = {
		/* An entry in the middle of a run is mapped again as it was */
		{ 15, 5, RW },
		/* The only entry of a leaf; a mapping with other permissions */
		{ LEAF, 9, RW }, { LEAF, 10, TCE2_PERM_READ }, { LEAF, 10, RW },
	};

	u64 allocs;

	begin_pages(64);
	expect(map(window, 10, 0, 11, RW), 0);
	expect(map(window, LEAF, 3, 1, RW), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 held = platform.held;

		expect(map_page(rows[i].index, rows[i].page, rows[i].perm), 0);
		expect(view_at(window, rows[i].index),
		       (UA + IOVA(rows[i].page)) | rows[i].perm);
		expect(platform.held, held);
		expect_agreement();
	}
	/* Entries of an array, which is freed with its last entry */
	allocs = sim.now.allocs;
	expect(map(window, LEAF + 2, 40, 1, RW), 0);
	for (u64 page = 0; page < 4; page++) {
		expect(map_page(LEAF + 2, page, RW), 0);
		expect_agreement();
	}
	expect(sim.now.allocs, allocs + 1);
	expect(unmap(window, LEAF, 3), 0);
	expect(sim.now.allocs, allocs);
	finish();
}

TEST(a_page_request_replaces_an_entry_and_drops_its_page)
{
	on_both_platforms(replace_pages);
}

TEST(a_refused_replacement_leaves_the_old_entry)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_pages(64);
	expect(map_page(7, 3, TCE2_PERM_READ), 0);
	platform_fail(PLATFORM_XCHG, 1, 1);
	expect(map_page(7, 4, RW), -EIO);
	expect(platform.fired, true);
	platform_fail_nothing();
	expect(page_counts.requests[TCE2_REQUEST_MAP], 2);
	expect(view_at(window, 7), (UA + IOVA(3)) | TCE2_PERM_READ);
	expect_agreement();
	/* If the old entry can't be written either, a device may reach both pages */
	platform_fail(PLATFORM_XCHG, 1, 2);
	expect(map_page(7, 4, RW), -EIO);
	expect(platform.complaints, 1);
	expect(tce2_mapped_sum(&region->mapped), 3);
	platform_fail_nothing();
	expect(unmap_page(7), 0);
	/* finish() expects that no page is leaked, so drop it */
	tce2_page_drop(proc, UA + IOVA(4), SHIFT);
	finish();
}

static void close_the_registration(void)
{
	tce2_region_unregister_nofail(region);
}

/* The old entry is restored although its memory is unregistered in the same moment */
TEST(a_refused_replacement_restores_a_page_of_memory_unregistered_meanwhile)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_pages(4);
	memory(UA + PAGES(64), 4);
	expect(map_page(7, 3, TCE2_PERM_READ), 0);
	platform_fail(PLATFORM_XCHG, 1, 1);
	/* The other thread runs before the new page is counted */
	sim_when(SIM_AT_COUNT, 1, close_the_registration);
	expect(map_page(7, PAGES_4K(64), RW), -EIO);
	expect(platform.fired, true);
	expect(platform.complaints, 0);
	platform_fail_nothing();
	expect(view_at(window, 7), (UA + IOVA(3)) | TCE2_PERM_READ);
	expect_in_step(window, LEAF);
	expect(platform.held, 1);
	expect(unmap(window, 7, 1), 0);
	expect(sim.now.pinned, 4);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	finish();
}

TEST(a_page_of_unregistered_memory_is_not_replaced)
{
	begin_pages(4);
	memory(UA + PAGES(64), 4);
	expect(map_page(7, 3, RW), 0);
	tce2_region_unregister_nofail(region);
	expect(map_page(7, PAGES_4K(64), RW), TCE2_NOT_BRIEF);
	expect(map(window, 7, PAGES_4K(64), 1, RW), 0);
	expect(sim.now.pinned, 4);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	finish();
}

static void mix_at_random(void)
{
	u64 state = 7 + platform_kind, pages = by_effort(3000);

	begin_pages(64);
	by_page = 0;
	for (u64 i = 0; i < pages; i++) {
		u64 index = LEAF - 6 + rnd(&state, 12);
		u64 count = rnd(&state, 4) ? 1 : 1 + rnd(&state, 3);
		/* Mostly the page that continues a run */
		u64 page = rnd(&state, 3) ? index - (LEAF - 6) : rnd(&state, 20);

		if (rnd(&state, 2))
			expect(map(window, index, page, count, 1 + rnd(&state, 3)), 0);
		else
			expect(unmap(window, index, count), 0);
		if (!(i % 16))
			expect_agreement();
	}
	expect_agreement();
	/* About half of the requests for a page */
	expect(by_page > pages / 5, true);
	finish();
}

TEST(page_requests_and_others_keep_table_view_and_counts)
{
	on_both_platforms(mix_at_random);
}

TEST(a_write_that_a_hypervisor_refuses_leaves_the_entry_clear)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_pages(64);
	platform_fail(PLATFORM_XCHG, 1, 1);
	expect(map_page(7, 3, RW), -EIO);
	expect(platform.fired, true);
	expect(view_at(window, 7), 0);
	expect_agreement();
	platform_fail_nothing();
	/* A refused unmap is left to src/tce_v2.c, which tries again */
	expect(map_page(7, 3, RW), 0);
	platform_fail(PLATFORM_XCHG, 1, 1);
	expect(unmap_page(7), TCE2_NOT_BRIEF);
	expect(view_at(window, 7), (UA + IOVA(3)) | RW);
	platform_fail_nothing();
	expect_agreement();
	expect(unmap_page(7), 0);
	finish();
}

static void poke_entry(void)
{
	platform_poke(window->table.tbl, 7, hpa_at(UA + IOVA(3)) | TCE_READ | TCE_ALIEN);
}

TEST(memory_is_leaked_if_a_refused_entry_cannot_be_cleared)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin_pages(64);
	poke_entry();
	platform_fail(PLATFORM_XCHG, 1, 100);
	platform_fail(PLATFORM_CLEAR, 1, 100);
	expect(map_page(7, 3, RW), -EIO);
	expect(platform.complaints, 1);
	expect(tce2_mapped_sum(&region->mapped), 2);
	platform_fail_nothing();
	platform_poke(window->table.tbl, 7, 0);
	/* finish() expects that no page is leaked, so drop it */
	tce2_page_drop(proc, UA + IOVA(3), SHIFT);
	finish();
}

/*
 * Other threads, which run just before the request locks the leaf
 */

static void remove_it(void)
{
	expect(tce2_ddw_remove(&ddw, 0), 0);
	/* Another object may get the table's memory */
	sim_run_work();
}

static void remove_before(long (*request)(void))
{
	begin_pages(64);
	expect(map_page(7, 3, RW), 0);
	rcu_read_lock();
	expect(tce2_ddw_find_page(&ddw, IOVA(7)) == window, true);
	sim_when(SIM_AT_SWAP, 1, remove_it);
	expect(request(), TCE2_NOT_BRIEF);
	expect(!ddw.window[0], true);
	expect(!tce2_ddw_find_page(&ddw, IOVA(7)), true);
	rcu_read_unlock();
	expect(tce2_mapped_sum(&region->mapped), 1);
	finish();
}

static long map_8(void)
{
	return map_page(8, 4, RW);
}

static long unmap_7(void)
{
	return unmap_page(7);
}

TEST(a_page_request_changes_nothing_in_a_window_removed_meanwhile)
{
	remove_before(map_8);
	remove_before(unmap_7);
}

static void hook_it(void)
{
	struct tce2_range range;

	expect(tce2_range_trylock(&window->ranges, &range, 0, ENTRIES), true);
	window->view.hooked = true;
	tce2_range_unlock(&window->ranges, &range);
}

TEST(a_page_request_is_declined_once_kvm_has_hooked_the_view)
{
	long (*const requests[])(void) = { map_8, unmap_7 };

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		begin_pages(64);
		expect(map_page(7, 3, RW), 0);
		sim_when(SIM_AT_SWAP, 1, hook_it);
		expect(requests[i](), TCE2_NOT_BRIEF);
		expect(window->view.hooked, true);
		expect(requests[i](), TCE2_NOT_BRIEF);
		/* A request that finds the window then does not lock the leaf any more */
		expect(!!tce2_ddw_find_page(&ddw, IOVA(7)), true);
		tce2_window_serve_pages(window);
		expect(!tce2_ddw_find_page(&ddw, IOVA(7)), true);
		window->serves_pages = true;
		expect(requests[i](), TCE2_NOT_BRIEF);
		window->view.hooked = false;
		expect(requests[i](), 0);
		finish();
	}
}

TEST(a_page_request_is_declined_while_mirrors_are_due)
{
	begin_pages(64);
	window->kvm->called = true;
	proc->mirrors_due = true;
	expect(map_page(7, 3, RW), TCE2_NOT_BRIEF);
	/* KVM can't map, so no mirror is made */
	window->kvm->tripped = true;
	expect(map_page(7, 3, RW), 0);
	expect(unmap_page(7), 0);
	window->kvm->tripped = false;
	proc->mirrors_due = false;
	expect(map_page(7, 3, RW), 0);
	proc->mirrors_due = true;
	expect(unmap_page(7), 0);
	window->kvm->called = false;
	expect(map_page(7, 3, RW), 0);
	proc->mirrors_due = false;
	finish();
}

/* Devices of the group may still use the translation */
TEST(a_page_request_is_declined_in_a_window_that_a_group_has_kept)
{
	begin_pages(64);
	expect(map_page(7, 3, RW), 0);
	platform_fail(PLATFORM_UNSET, 1, 1);
	expect(tce2_window_unset(window, &group[0]->tg, 0), false);
	platform_fail_nothing();
	for (int published = 0; published < 2; published++) {
		expect(map_page(8, 4, RW), TCE2_NOT_BRIEF);
		expect(unmap_page(7), TCE2_NOT_BRIEF);
		expect(!tce2_ddw_find_page(&ddw, IOVA(7)), true);
		/* The window may be published after the group has left */
		tce2_window_serve_pages(window);
	}
	window->kept_by_group = false;
	window->slow_drop = false;
	tce2_window_serve_pages(window);
	expect(unmap_page(7), 0);
	finish();
}

/* A thread that stops pins must not let brief requests use a tracked window again */
TEST(a_page_request_is_declined_in_a_tracked_window_that_drivers_could_pin)
{
	begin_pages(64);
	/* As in tce2_window_track() */
	window->slow_drop = true;
	tce2_window_accept_pins(window, NULL);
	expect(map_page(7, 3, RW), TCE2_NOT_BRIEF);
	window->slow_drop = false;
	tce2_window_accept_pins(window, NULL);
	expect(map_page(7, 3, RW), 0);
	expect(unmap_page(7), 0);
	finish();
}

/* One page may have many blocks, which a thread that can't sleep must not look up */
TEST(a_page_request_is_declined_in_a_window_with_large_pages)
{
	static const unsigned int shifts[] = { 24, 30 };

	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		bool served = shifts[i] <= PAGE_SHIFT + 9;
		u64 start;

		begin(1, 1);
		group[0]->tg.pgsizes |= BIT_ULL(shifts[i]);
		expect(create(GIB(8), shifts[i], 1, &start), 0);
		window = ddw.window[1];
		expect(!!tce2_ddw_find_page(&ddw, start), served);
		expect(window->serves_pages, served);
		finish();
	}
}

/* Maps entry 8, and makes an array */
static void replace_it(void)
{
	expect(map(window, 8, 20, 1, TCE2_PERM_READ), 0);
	expect(map(window, 7, 21, 1, TCE2_PERM_READ), 0);
}

/* Another request changes the entry just before this request locks the leaf */
TEST(a_page_request_sees_the_entry_as_it_is_when_the_leaf_is_locked)
{
	begin_pages(64);
	expect(map_page(7, 3, RW), 0);
	sim_when(SIM_AT_SWAP, 1, replace_it);
	expect(map_page(8, 4, RW), 0);
	expect(view_at(window, 8), (UA + IOVA(4)) | RW);
	expect(view_at(window, 7), (UA + IOVA(21)) | TCE2_PERM_READ);
	expect_agreement();
	sim_when(SIM_AT_SWAP, 1, replace_it);
	expect(unmap_page(7), 0);
	expect(view_at(window, 7), 0);
	expect_agreement();
	finish();
}

static void unregister_it(void)
{
	expect(tce2_region_unregister(region), 0);
}

TEST(a_page_of_memory_unregistered_meanwhile_is_not_mapped)
{
	begin_pages(4);
	/* The other thread runs between the lookup of the region and the count */
	sim_when(SIM_AT_COUNT, 1, unregister_it);
	expect(map_page(7, 3, RW), TCE2_NOT_BRIEF);
	expect(view_at(window, 7), 0);
	expect_in_step(window, LEAF);
	expect(sim.now.pinned, 0);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	expect(map_page(7, 3, RW), 0);
	finish();
}

/* The last unmap unpins memory that only a closed container had registered */
TEST(the_last_page_of_unregistered_memory_is_unpinned_at_once)
{
	begin_pages(4);
	expect(map_page(7, 3, RW), 0);
	tce2_region_unregister_nofail(region);
	expect(sim.now.pinned, 4);
	expect(unmap_page(7), TCE2_NOT_BRIEF);
	expect(unmap(window, 7, 1), 0);
	expect(sim.now.pinned, 0);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	finish();
}

/*
 * Requests of a client, from src/uapi.c on
 */

static long send_map(u64 iova, u64 page)
{
	struct vfio_iommu_type1_dma_map request = {
		.argsz = 32,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = UA + IOVA(page),
		.iova = iova,
		.size = IOVA(1),
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_MAP_DMA, user_place(&request, 32));
}

static long send_unmap(u64 iova)
{
	struct vfio_iommu_type1_dma_unmap request = {
		.argsz = 24, .iova = iova, .size = IOVA(1),
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_UNMAP_DMA, user_place(&request, 24));
}

/* Opens a container with memory, and a second mapped entry in the default window */
static void begin_sender(void)
{
	begin_client(1);
	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(send_map(0, 0), 0);
	expect(send_map(IOVA(1), 1), 0);
	window = container->ddw.window[0];
}

static unsigned int ranges_seen;

static void count_ranges(void)
{
	ranges_seen += container->ddw.window[0] && window->ranges.last;
	platform_sync();
}

TEST(the_ioctls_read_the_request_once_and_try_a_page_request_first)
{
	begin_sender();
	ranges_seen = 0;
	sim_watch(count_ranges);
	expect(send_map(IOVA(2), 2), 0);
	expect(user.peeks, 1);
	expect(user.copies, 0);
	expect(send_unmap(IOVA(2)), 0);
	expect(user.peeks, 1);
	expect(user.copies, 0);
	expect(ranges_seen, 0);
	expect(refcount_read(&container->refs), 2);
	/* The end of a run that is mapped again, and an entry that is not mapped */
	expect(send_map(IOVA(1), 2), 0);
	expect(user.peeks, 1);
	expect(user.copies, 0);
	expect(send_unmap(IOVA(3)), 0);
	expect(user.peeks, 1);
	expect(user.copies, 0);
	expect(!!ranges_seen, true);
	expect(refcount_read(&container->refs), 2);
	sim_watch(platform_sync);
	end_client();
}

static unsigned int refs_at_wait;

static void look_at_refs(void)
{
	refs_at_wait = refcount_read(&container->refs);
}

/* The container, and so the module, might go away while the request waits for a page fault */
TEST(a_page_request_waits_for_its_structure_only_with_a_reference)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = 32, .flags = VFIO_DMA_MAP_FLAG_READ, .vaddr = UA + IOVA(2),
		.iova = IOVA(2), .size = IOVA(1),
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = 24, .iova = IOVA(1), .size = IOVA(1),
	};

	begin_sender();
	for (int unmaps = 0; unmaps < 2; unmaps++) {
		u64 arg = unmaps ? user_place(&unmap, 24) : user_place(&map, 32);
		unsigned int refs = refcount_read(&container->refs);

		refs_at_wait = 0;
		user.absent = true;
		user.other_at = 1;
		user.other = look_at_refs;
		expect(tce2_uapi_ioctl(cookie, unmaps ? VFIO_IOMMU_UNMAP_DMA :
				       VFIO_IOMMU_MAP_DMA, arg), 0);
		expect(user.peeks, 1);
		expect(user.copies, 1);
		expect(refs_at_wait, refs + 1);
		expect(refcount_read(&container->refs), refs);
	}
	expect(view_at(window, 1), 0);
	expect(view_at(window, 2), (UA + IOVA(2)) | TCE2_PERM_READ);
	end_client();
}

/* A brief request that meets the cancelled creation of a window */

static unsigned int unlocks, meet_at;
static int met;

static void map_at_unlock(void)
{
	struct tce2_window *found;

	if (++unlocks != meet_at)
		return;
	spin_unlocked = NULL;
	rcu_read_lock();
	found = tce2_ddw_find_page(&ddw, IOVA(8));
	if (found)
		met = tce2_window_map_page(found, IOVA(8), UA, RW);
	rcu_read_unlock();
	spin_unlocked = map_at_unlock;
}

TEST(a_page_mapped_while_a_creation_is_cancelled_stays_mapped)
{
	struct tce2_window_spec spec = { MIB(64), SHIFT, 1 };
	unsigned int kept = 0, declined = 0;

	meet_at = 0;
	do {
		struct tce2_creation creation;

		begin(1, 2);
		region = memory(UA, 64);
		/* Makes the default window, too */
		expect(tce2_ddw_create(&ddw, proc, &spec, &creation), 0);
		window = ddw.window[0];
		expect(map(window, 7, 0, 1, RW), 0);
		expect(unmap(window, 7, 1), 0);
		met = TCE2_NOT_BRIEF;
		meet_at++;
		unlocks = 0;
		spin_unlocked = map_at_unlock;
		tce2_ddw_cancel(&ddw, &creation);
		spin_unlocked = NULL;
		expect(ddw.default_pending, met == TCE2_NOT_BRIEF);
		if (met == TCE2_NOT_BRIEF) {
			declined++;
			expect(!ddw.window[0], true);
		} else {
			kept++;
			expect(met, 0);
			expect(view_at(ddw.window[0], 8), UA | RW);
			expect(unmap(ddw.window[0], 8, 1), 0);
		}
		finish();
	} while (unlocks >= meet_at);
	expect(kept > 0, true);
	expect(declined > 1, true);
}

TEST(a_page_request_with_an_invalid_structure_returns_einval)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = 31, .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = UA + IOVA(2), .iova = IOVA(2), .size = IOVA(1),
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = 23, .iova = IOVA(1), .size = IOVA(1),
	};

	begin_sender();
	for (int i = 0; i < 2; i++) {
		expect(tce2_uapi_ioctl(cookie, VFIO_IOMMU_MAP_DMA, user_place(&map, 32)),
		       -EINVAL);
		expect(tce2_uapi_ioctl(cookie, VFIO_IOMMU_UNMAP_DMA,
				       user_place(&unmap, 24)),
		       -EINVAL);
		/* Next, a structure of the right size with an unknown flag */
		map.argsz = 32;
		map.flags |= 1 << 2;
		unmap.argsz = 24;
		unmap.flags = 1;
	}
	expect(view_at(window, 1), (UA + IOVA(1)) | RW);
	expect(view_at(window, 2), 0);
	end_client();
}

TEST(a_page_request_outside_all_windows_returns_enxio)
{
	begin_sender();
	expect(send_map(window->start + window->size, 2), -ENXIO);
	expect(send_unmap(window->start + window->size), -ENXIO);
	expect(send_map(-IOVA(1), 2), -ENXIO);
	end_client();
}

TEST(a_page_request_is_refused_while_its_window_is_not_published)
{
	struct tce2_window_spec spec = { MIB(64), SHIFT, 1 };
	struct tce2_creation creation;

	begin_sender();
	expect(tce2_container_create_window(container, &spec, &creation), 0);
	rcu_read_lock();
	expect(!tce2_ddw_find_page(&container->ddw, creation.start), true);
	rcu_read_unlock();
	expect(send_map(creation.start, 2), -ENXIO);
	expect(tce2_container_publish_window(container, &creation), 0);
	expect(send_map(creation.start, 2), 0);
	expect(send_unmap(creation.start), 0);
	end_client();
}

static void release_it(void)
{
	tce2_container_release(cookie);
}

/* VFIO may close the container while a request that has no reference is about to lock */
TEST(a_page_request_after_release_returns_einval)
{
	for (int unmaps = 0; unmaps < 2; unmaps++) {
		begin_sender();
		tce2_container_put(container);
		sim_when(SIM_AT_SWAP, 1, release_it);
		expect(unmaps ? send_unmap(IOVA(1)) : send_map(IOVA(2), 2), -EINVAL);
		expect(unmaps ? send_unmap(IOVA(1)) : send_map(IOVA(2), 2), -EINVAL);
		cookie = NULL;
		expect(sim.now.pinned, 0);
		expect(sim.now.modules, 0);
		platform_expect_nothing_left();
		sim_grace_period();
		tce2_container_exit();
	}
}

/* A request that the general path has to carry out is counted there */
TEST(each_page_request_is_counted_once)
{
	u64 maps, unmaps;

	begin_sender();
	maps = tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP);
	unmaps = tce2_journal_requests(&container->journal, TCE2_REQUEST_UNMAP);
	for (int i = 0; i < 3; i++) {
		expect(send_map(IOVA(i), 2), 0);
		expect(send_unmap(IOVA(i)), 0);
		expect(send_unmap(IOVA(i)), 0);
	}
	expect(send_map(IOVA(LEAF), 2), 0);
	expect(send_map(-IOVA(1), 2), -ENXIO);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP), maps + 5);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_UNMAP), unmaps + 6);
	end_client();
}

/*
 * VFIO may close the container when a request has carried out its work and has unlocked the
 * leaf, but has not returned. The counts of requests are then freed.
 */
TEST(a_page_request_does_not_use_the_counts_after_its_work)
{
	for (int unmaps = 0; unmaps < 2; unmaps++) {
		begin_sender();
		tce2_container_put(container);
		sim_when(SIM_AT_PREEMPT, 1, release_it);
		expect(unmaps ? send_unmap(IOVA(1)) : send_map(IOVA(2), 2), 0);
		expect(send_unmap(IOVA(1)), -EINVAL);
		cookie = NULL;
		expect(sim.now.pinned, 0);
		platform_expect_nothing_left();
		sim_grace_period();
		tce2_container_exit();
	}
}

static void exchange_cookies(void **other)
{
	void *old = cookie;

	cookie = *other;
	*other = old;
}

/* The memory is registered, but only through another container of the process */
TEST(a_page_request_needs_memory_registered_through_its_container)
{
	struct tce2_window_spec spec = { MIB(64), SHIFT, 1 };
	struct tce2_container *other;
	struct tce2_creation creation;
	void *other_cookie;

	begin_sender();
	other_cookie = tce2_container_open();
	other = tce2_container_get(other_cookie);
	group[1] = platform_group(3);
	expect(tce2_container_attach(other, &group[1]->group), 0);
	expect(tce2_container_create_window(other, &spec, &creation), 0);
	expect(tce2_container_publish_window(other, &creation), 0);
	/* So that the leaf exists */
	expect(tce2_container_map(other, REQUEST(creation.start, UA, IOVA(1), RW)), 0);
	exchange_cookies(&other_cookie);
	expect(send_map(creation.start + IOVA(1), 1), -EPERM);
	expect(send_unmap(creation.start), -EPERM);
	exchange_cookies(&other_cookie);
	expect(send_map(IOVA(2), 2), 0);
	tce2_container_put(other);
	tce2_container_release(other_cookie);
	end_client();
}

TEST(a_page_request_of_another_process_returns_eperm)
{
	begin_sender();
	be_another_process();
	expect(send_map(IOVA(2), 2), -EPERM);
	expect(send_unmap(IOVA(1)), -EPERM);
	be_first_process();
	expect(send_unmap(IOVA(1)), 0);
	end_client();
}
