// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of mapping and unmapping in src/tce_v2.c, most of them on every kind of platform.
 * A failed request changes nothing. Memory is dropped only when no device can reach it,
 * which the simulated platform checks in every test.
 */
#include <string.h>

#include "engine.h"

#define SIZE MIB(16)

/* Number of an IOMMU page in memory that is not contiguous if @scattered is set */
#define SCATTERED (900ULL << (PAGE_SHIFT - SHIFT))

#define AT    (LEAF - 20) /* the COUNT entries from AT on are in two leaves */
#define COUNT 40
#define MOST  (2 * LEAF + 64) /* number of entries to compare */

/**
 * struct state - the state that a failed map request must not change
 */
struct state {
	u64 sum, mapped, held, refs, view[MOST];
};

static struct tce2_region *region;
static struct tce2_window *window;
static struct state before;

/* Makes a window and registers memory; the table of a hypervisor has one level */
static void begin_map(u32 levels, u64 pages)
{
	if (platform_kind == PLATFORM_HYPERVISOR)
		levels = 1;
	begin(1, levels == 1 ? 1 : 5);
	region = memory(UA, pages);
	window = only_window(SIZE, levels);
}

static struct state look(void)
{
	struct state now = {
		.sum = platform_sum(window->table.tbl),
		.mapped = platform_mapped(window->table.tbl),
		.held = platform.held,
		.refs = tce2_mapped_sum(&region->mapped),
	};

	for (u64 i = 0; i < MOST; i++)
		now.view[i] = view_at(window, i);
	return now;
}

static void expect_unchanged(void)
{
	struct state now = look();

	expect(now.sum, before.sum);
	expect(now.mapped, before.mapped);
	expect(now.held, before.held);
	expect(now.refs, before.refs);
	/* A failed request keeps the levels that it has added, and their charge */
	expect(sim.now.charged, sim.now.pinned + window->table.charge.pages);
	expect(memcmp(now.view, before.view, sizeof(now.view)), 0);
	expect_in_step(window, MOST);
}

/* Ends the test unless all counts are equal to the number of mapped entries */
static void expect_exact(void)
{
	u64 mapped = 0;

	for (u64 i = 0; i < MOST; i++)
		mapped += view_at(window, i) != 0;
	expect(platform_mapped(window->table.tbl), mapped);
	expect(tce2_mapped_sum(&region->mapped), mapped + 1);
	expect(platform.held, mapped);
	expect_in_step(window, MOST);
}

static void map_nothing(void)
{
}

static void map_some(void)
{
	expect(map(window, AT + 3, 0, 9, TCE2_PERM_READ), 0);
	expect(map(window, AT + 19, 9, 2, RW), 0);
	expect(map(window, AT + 39, 30, 4, TCE2_PERM_WRITE), 0);
}

/* Maps all entries of the request, some of them to pages that the request maps */
static void map_all(void)
{
	expect(map(window, AT - 2, 400, COUNT + 4, RW), 0);
	expect(map(window, AT + 7, 107, 3, RW), 0);
}

static const struct {
	const char *row;
	void (*prepare)(void);
} olds[] = {
	{ "fresh", map_nothing },
	{ "partly mapped", map_some },
	{ "wholly mapped", map_all },
};

/*
 * Tests of platforms that write the entries for src/. The platform refuses one write here,
 * and a certain page in refuse_any_page(). The request then either fails, or writes the
 * entry in another way.
 */
static void fail_at_any_tce(void)
{
	static const int errors[] = { -EIO, -ENOMEM, H_NOT_ENOUGH_RESOURCES,
				      44 };

	begin_map(1, 1200);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(olds); i++) {
		/* Contiguous memory, then memory that is not contiguous with 4K pages */
		u64 page = i < ARRAY_SIZE(olds) ? 100 : SCATTERED;
		unsigned int failed = 0;

		row = olds[i % ARRAY_SIZE(olds)].row;
		for (unsigned int nth = 1;; nth++) {
			int ret, error = errors[nth % ARRAY_SIZE(errors)];
			bool fired;

			olds[i % ARRAY_SIZE(olds)].prepare();
			before = look();
			platform_fail(PLATFORM_XCHG, nth, 1);
			platform.error = error;
			ret = map(window, AT, page, COUNT, RW);
			fired = platform.fired;
			platform_fail_nothing();
			if (ret) {
				expect(ret, error == -ENOMEM ? error : -EIO);
				expect_unchanged();
				failed++;
			}
			expect_exact();
			expect(unmap(window, 0, MOST), 0);
			if (!fired) {
				expect(ret, 0);
				expect(nth > COUNT, true);
				break;
			}
		}
		/* src/ may retry a refused entry, but not the window's first entry */
		if (platform_kind != PLATFORM_HYPERVISOR)
			expect(failed > 0, true);
	}
	finish();
}

static void refuse_any_page(void)
{
	static const int errors[] = { -EIO, H_NOT_ENOUGH_RESOURCES, 4 };

	begin_map(1, 1200);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(olds); i++) {
		u64 page = i < ARRAY_SIZE(olds) ? 100 : SCATTERED;

		row = olds[i % ARRAY_SIZE(olds)].row;
		for (unsigned int nth = 0; nth < COUNT; nth++) {
			olds[i % ARRAY_SIZE(olds)].prepare();
			before = look();
			/* Skip a page that a rollback would have to restore */
			if ((view_at(window, AT + nth) & ~RW) ==
			    UA + IOVA(page + nth))
				continue;
			platform.refused = hpa_at(UA + IOVA(page + nth));
			platform.error = errors[nth % ARRAY_SIZE(errors)];
			expect(map(window, AT, page, COUNT, RW), -EIO);
			platform_fail_nothing();
			expect_unchanged();
			expect_exact();
			expect(unmap(window, 0, MOST), 0);
		}
	}
	finish();
}

static void fail_to_restore(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(olds); i++) {
		begin_map(1, 1200);
		row = olds[i].row;
		olds[i].prepare();
		before = look();
		platform_fail(PLATFORM_XCHG, 30, 1000);
		platform_fail(PLATFORM_CLEAR, 1, 1000);
		expect(map(window, AT, SCATTERED, COUNT, RW), -EIO);
		platform_fail_nothing();
		expect(platform.complaints, 1);
		expect(tce2_mapped_sum(&region->mapped), before.refs + COUNT);
		expect(tce2_region_unregister(region), -EBUSY);
		expect(unmap(window, 0, MOST), 0);
		expect(platform_mapped(window->table.tbl), 0);
		expect(tce2_mapped_sum(&region->mapped), 1 + COUNT);
		/* The module holds these pages permanently, so the test drops them */
		drop_pages(proc, UA + IOVA(SCATTERED), SHIFT, COUNT);
		finish();
	}
}

static void kill_anywhere(void)
{
	const u64 count = 2 * LEAF + 5;

	begin_map(2, 2 * (IOVA(count) >> PAGE_SHIFT) + 16);
	expect(map(window, 3, 50, LEAF + 9, RW), 0);
	before = look();
	for (unsigned int nth = 1;; nth++) {
		int ret;

		sim_fail(SIM_SIGNAL, nth);
		ret = map(window, 1, count / 3, count, RW);
		if (!sim.fired) {
			expect(ret, 0);
			expect(nth > 4, true);
			break;
		}
		sim_fail_nothing();
		expect(ret, -EINTR);
		expect_unchanged();
	}
	sim_fail_nothing();
	expect_exact();
	finish();
}

static void lack_memory(void)
{
	for (int what = 0; what < 3; what++) {
		begin_map(2, 1200);
		for (unsigned int nth = 1;; nth++) {
			bool fired;
			int ret;

			before = look();
			if (what == 0)
				platform_fail(PLATFORM_USERADDR, nth, 1);
			else
				sim_fail(what == 1 ? SIM_ALLOC : SIM_CHARGE,
					 nth);
			ret = map(window, AT, 100, COUNT, RW);
			fired = sim.fired || platform.fired;
			sim_fail_nothing();
			platform_fail_nothing();
			if (!fired) {
				expect(ret, 0);
				break;
			}
			/* A request succeeds without memory for a hypervisor's list */
			if (ret || platform_kind != PLATFORM_HYPERVISOR) {
				expect(ret, -ENOMEM);
				expect_unchanged();
			}
			expect_exact();
		}
		expect_exact();
		finish();
	}
}

/* A request in one leaf must first change all entries, then kill, flush and drop */
static void expect_order(void)
{
	size_t changed = 0, killed = 0, flushed = 0, dropped = 0;
	/* A hypervisor invalidates entries without a call */
	bool kills = platform_kind != PLATFORM_HYPERVISOR;

	for (size_t i = platform.logged; i-- > 0;) {
		const struct event *e = &platform.events[i];
		bool change = e->what == EVENT_WRITE ||
			      e->what == EVENT_ERASE || e->what == EVENT_CLEAR;

		if (!changed && change)
			changed = i + 1;
		if (!killed && e->what == EVENT_KILL)
			killed = i + 1;
		if (!flushed && e->what == EVENT_FLUSH)
			flushed = i + 1;
		if (e->what == EVENT_DROP)
			dropped = i + 1;
	}
	expect(changed > 0 && changed < flushed, true);
	expect(flushed < dropped, true);
	expect(killed > 0, kills);
	if (kills)
		expect(changed < killed && killed < flushed, true);
	platform_forget_events();
}

static void look_at_order(void)
{
	begin_map(1, 1200);
	for (int i = 0; i < 2; i++) {
		u64 page = i ? SCATTERED : 200;

		expect(unmap(window, 0, 40), 0);
		expect(map(window, 4, page, 20, RW), 0);
		platform_forget_events();
		expect(map(window, 0, 100, 30, RW), 0);
		expect(platform.calls[EVENT_DROP], 20);
		expect_order();
		expect(unmap(window, 2, 20), 0);
		expect(platform.calls[EVENT_DROP], 20);
		expect_order();
	}
	expect(map(window, 0, 100, 30, RW), 0);
	platform_forget_events();
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(platform.calls[EVENT_DROP], 30);
	expect_order();
	finish();
}

static void clear_unknown(void)
{
	begin_map(1, 64);
	expect(map(window, 5, 0, 1, RW), 0);
	platform_poke(window->table.tbl, 9, 0x1000);
	expect(unmap(window, 9, 1), 0);
	expect(platform_tce(window->table.tbl, 9), 0);
	platform_poke(window->table.tbl, 11, 0x1000);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	finish();
}

/* Maps many large pages that are not contiguous, so that each step takes several calls */
static void map_many(void)
{
	const u64 count = 2 * 64 * LEAF + 4096 + 3;
	u64 kills = 0, flushes;
	struct tce2_region *large;

	begin(1, platform_kind == PLATFORM_HYPERVISOR ? 1 : 5);
	large = large_memory(IOVA(count));
	window = only_window(MIB(512), 1);
	/* Signals are checked for each leaf while preparing, then after each written leaf */
	sim_fail(SIM_SIGNAL, 1 + count / LEAF + 1);
	expect(map(window, 1, 0, count, RW), -EINTR);
	expect(sim.fired, true);
	sim_fail_nothing();
	expect(platform_mapped(window->table.tbl), 0);
	expect(tce2_mapped_sum(&large->mapped), 1);
	platform_forget_events();
	expect(map(window, 1, 0, count, RW), 0);
	expect(platform_mapped(window->table.tbl), count);
	expect(tce2_mapped_sum(&large->mapped), count + 1);
	/* At most a batch of leaves is written before a signal is noticed */
	expect(platform.calls[EVENT_FLUSH], 3);
	if (platform_kind == PLATFORM_MEMORY) {
		kills = 8192;
		expect(platform.calls[EVENT_KILL], 4 + 4 + 1);
	}
	/* Each batch of leaves is invalidated before any of it is dropped */
	platform_forget_events();
	expect(unmap(window, 0, count + 1), 0);
	expect(tce2_mapped_sum(&large->mapped), 1);
	flushes = platform.calls[EVENT_FLUSH];
	if (platform_kind == PLATFORM_MEMORY) {
		expect(flushes, 3);
		expect(platform.calls[EVENT_KILL], 4 + 4 + 1);
		expect(platform.calls[EVENT_CLEAR], 0);
	}
	if (kills)
		expect(platform.kill_most, kills);
	finish();
}

TEST(a_killed_unmap_stops_after_a_batch_of_leaves)
{
	const u64 count = 3 * 64 * LEAF;

	begin(1, 1);
	map_contiguous(UA, 2, 16, true);
	region = registered(proc, UA, PAGES(2));
	window = only_window(MIB(512), 1);
	for (u64 i = 0; i < count; i += 4 * LEAF)
		expect(map(window, i, 0, 1, RW), 0);
	for (unsigned int nth = 1; nth <= 3; nth++) {
		/* The unmap checks for a signal at the leaves that are already cleared, too */
		sim_fail(SIM_SIGNAL, nth + 1);
		expect(unmap(window, 0, count), nth < 3 ? -EINTR : 0);
		sim_fail_nothing();
		expect(platform_mapped(window->table.tbl), 48 - 16 * nth);
		expect(tce2_mapped_sum(&region->mapped), 49 - 16 * nth);
	}
	tce2_region_unregister_nofail(region);
	finish();
}

/* Checks charges for leaves that are far apart, and for leaves that share levels */
static void charge_tables(void)
{
	for (u32 levels = 2; levels <= 3; levels++) {
		u64 bits = PAGE_SHIFT - 3, leaf = 1ULL << bits, charged;
		u64 last = (1ULL << bits * levels) - 4;
		const u64 at[] = {
			0,	  7,	leaf - 2,   leaf * 9, leaf * 9 + 4,
			last / 2, last, last - leaf
		};
		u64 before_window;

		begin(1, 5);
		region = memory(UA, 64);
		before_window = sim.now.charged;
		window = only_window(IOVA(last + 4), levels);
		expect(sim.now.charged, before_window + platform.pages);
		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			u64 asked;

			expect(map(window, at[i], 1, 4, RW), 0);
			expect(sim.now.charged, before_window + platform.pages);
			expect(window->table.charge.pages, platform.pages);
			charged = sim.now.charged;
			asked = platform.calls_to[PLATFORM_USERADDR];
			expect(map(window, at[i], 9, 4, RW), 0);
			expect(platform.calls_to[PLATFORM_USERADDR], asked);
			expect(sim.now.charged, charged);
		}
		expect(unmap(window, 0, last + 4), 0);
		expect(sim.now.charged, charged);
		expect(tce2_ddw_remove(&ddw, 0), 0);
		expect(sim.now.charged, before_window);
		finish();
	}
}

/*
 * Maps two entries of a table with 3 levels. Each is the first or the last entry below
 * a middle-level table. The second entry's middle-level table may exist already, and so may
 * the table before or after it.
 */
static void charge_pair(u64 first, u64 second, u64 entries)
{
	window = only_window(IOVA(entries), 3);
	expect(map(window, first, 1, 1, RW), 0);
	expect(window->table.charge.pages, platform.pages);
	expect(map(window, second, 1, 1, RW), 0);
	expect(window->table.charge.pages, platform.pages);
	expect(sim.now.charged, sim.now.pinned + platform.pages);
}

TEST(a_missing_upper_table_is_charged_in_any_order)
{
	const unsigned int bits = PAGE_SHIFT - 3;
	const u64 upper = 1ULL << 2 * bits, entries = upper << bits;
	const u64 at[] = {
		0, upper - 1, upper, 2 * upper - 1, 2 * upper, 3 * upper - 1,
		entries - upper - 1, entries - upper, entries - 1,
	};

	begin(1, 5);
	region = memory(UA, 64);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(at); k++)
			charge_pair(at[i], at[k], entries);
	}
	finish();
}

/* Whichever allocation fails, only recorded tables are charged */
TEST(a_table_that_cannot_be_recorded_is_not_charged)
{
	const u64 leaf = 1ULL << (PAGE_SHIFT - 3);
	bool fired = true;

	begin(1, 5);
	region = memory(UA, 64);
	for (unsigned int nth = 1; fired; nth++) {
		u64 charged;
		int ret;

		window = only_window(IOVA(leaf * leaf), 2);
		charged = window->table.charge.pages;
		sim_fail(SIM_ALLOC, nth);
		ret = map(window, leaf, 1, 1, RW);
		fired = sim.fired;
		sim_fail_nothing();
		expect(ret, fired ? -ENOMEM : 0);
		expect(window->table.charge.pages - charged,
		       window->table.leaves.count);
	}
	finish();
}

/* The model has the expected view entry of each TCE, 0 if nothing is mapped */
static u64 model[MOST];

/* Makes the platform refuse a page, unless a rollback would have to restore this page */
static void refuse_one(u64 index, u64 page, u64 count)
{
	for (u64 i = index; i < index + count; i++) {
		if ((model[i] & ~RW) == UA + IOVA(page))
			return;
	}
	platform.refused = hpa_at(UA + IOVA(page));
}

static void random_map(u64 *state, u64 pages)
{
	u64 count = 1 + rnd(state, rnd(state, 4) ? 70 : LEAF);
	u64 index = rnd(state, MOST - count), page = rnd(state, pages - count);
	u64 perm = 1 + rnd(state, 3);
	int ret;

	/* Inject at most one failure, so that the rollback succeeds */
	switch (rnd(state, 8)) {
	case 0:
		platform_fail(PLATFORM_XCHG, 1 + rnd(state, count + 3), 1);
		break;
	case 1:
		sim_fail(SIM_SIGNAL, 1 + rnd(state, 2 * (count / LEAF + 2)));
		break;
	case 2:
		refuse_one(index, page + rnd(state, count), count);
		break;
	}
	ret = map(window, index, page, count, perm);
	/* If the platform refuses a range, src/ retries each entry */
	if (ret)
		expect(ret, sim.fired ? -EINTR : -EIO);
	else
		expect(sim.fired, false);
	expect(platform.complaints, 0);
	platform_fail_nothing();
	sim_fail_nothing();
	for (u64 i = 0; !ret && i < count; i++)
		model[index + i] = (UA + IOVA(page + i)) | perm;
}

static void random_unmap(u64 *state)
{
	u64 count = 1 + rnd(state, rnd(state, 4) ? 100 : LEAF);
	u64 index = rnd(state, MOST - count);

	expect(unmap(window, index, count), 0);
	memset(model + index, 0, count * sizeof(*model));
}

static void do_at_random(void)
{
	const u64 frames = 2 * ((2 * LEAF + 64) >> (PAGE_SHIFT - SHIFT));
	u64 state = 20260, pages = frames << (PAGE_SHIFT - SHIFT);

	begin_map(2, frames);
	memset(model, 0, sizeof(model));
	for (int i = 0; i < 150; i++) {
		u64 what = rnd(&state, 40);

		if (what < 24) {
			random_map(&state, pages);
		} else if (what < 39) {
			random_unmap(&state);
		} else {
			u64 start;

			expect(tce2_ddw_remove(&ddw, 0), 0);
			expect(tce2_mapped_sum(&region->mapped), 1);
			expect(create(SIZE, SHIFT,
				      platform_kind == PLATFORM_HYPERVISOR ?
					      1 :
					      1 + rnd(&state, 3),
				      &start),
			       0);
			window = ddw.window[0];
			memset(model, 0, sizeof(model));
		}
		for (u64 j = 0; j < MOST; j++)
			expect(view_at(window, j), model[j]);
		expect_exact();
	}
	finish();
}

static void map_two_regions(void)
{
	const u64 half = 64ULL << (PAGE_SHIFT - SHIFT), count = 2 * half;
	struct tce2_region *second;

	begin_map(1, 64);
	memory(UA + PAGES(1000), 8);
	second = memory(UA + PAGES(64), 64);
	for (int i = 0; i < 2; i++) {
		expect(map(window, 5, 0, count, RW), 0);
		expect_in_step(window, count + 10);
		expect(tce2_mapped_sum(&region->mapped), half + 1);
		expect(tce2_mapped_sum(&second->mapped), half + 1);
	}
	expect(unmap(window, 0, half), 0);
	expect(unmap(window, 0, count + 10), 0);
	expect(tce2_mapped_sum(&region->mapped), 1);
	expect(tce2_mapped_sum(&second->mapped), 1);
	finish();
}

/* The removal must ignore the signal, because no other thread could complete it later */
TEST(a_killed_thread_still_removes_a_window_completely)
{
	begin_map(1, 1200);
	expect(map(window, 0, 0, 2 * LEAF, RW), 0);
	sim_fail(SIM_SIGNAL, 1);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(sim.fired, false);
	sim_fail_nothing();
	expect(tce2_mapped_sum(&region->mapped), 1);
	finish();
}

static const struct tce2_range *locked;
static u64 locked_first, locked_last;

/* Runs at each cond_resched() point of a request, and at each check for a signal */
static void look_at_lock(void)
{
	locked = window->ranges.last;
	if (locked) {
		locked_first = locked->first;
		locked_last = locked->last;
	}
	platform_sync();
}

/* Two threads must not change the same leaf of the view at once */
TEST(requests_lock_the_whole_leaves_that_they_touch)
{
	static const u64 wanted[][4] = {
		/* request: first entry, count; locked: first and last entry */
		{ 5, 1, 0, LEAF - 1 },
		{ 0, LEAF, 0, LEAF - 1 },
		{ LEAF - 1, 1, 0, LEAF - 1 },
		{ LEAF - 1, 2, 0, 2 * LEAF - 1 },
		{ LEAF, 1, LEAF, 2 * LEAF - 1 },
		{ 2 * LEAF + 9, 2 * LEAF, 2 * LEAF, 5 * LEAF - 1 },
	};

	begin_map(1, 1200);
	with_ranges = true;
	sim_watch(look_at_lock);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(wanted); i++) {
		const u64 *want = wanted[i % ARRAY_SIZE(wanted)];

		locked_first = 1;
		if (i < ARRAY_SIZE(wanted))
			expect(map(window, want[0], 0, want[1], RW), 0);
		else
			expect(unmap(window, want[0], want[1]), 0);
		expect(locked_first, want[2]);
		expect(locked_last, want[3]);
		expect(!window->ranges.last, true);
		/* Unmap skips leaves in which nothing is mapped, so map one entry */
		if (i >= ARRAY_SIZE(wanted))
			expect(map(window, want[0], 0, 1, RW), 0);
	}
	expect(unmap(window, 0, 5 * LEAF), 0);
	sim_watch(platform_sync);
	finish();
}

static void with_both_kinds_of_memory(void (*test)(void))
{
	scattered = false;
	test();
	row = NULL;
	scattered = true;
	test();
	row = NULL;
}

/* Runs a test on all platforms from @first on */
static void on_platforms(enum platform_kind first, void (*test)(void))
{
	for (int kind = first; kind < PLATFORM_KINDS; kind++) {
		platform_kind = kind;
		with_both_kinds_of_memory(test);
	}
}

TEST(a_map_that_fails_at_any_tce_restores_every_old_entry)
{
	on_platforms(PLATFORM_HYPERVISOR, fail_at_any_tce);
}

TEST(a_map_of_any_page_that_is_refused_restores_every_old_entry)
{
	on_platforms(PLATFORM_HYPERVISOR, refuse_any_page);
}

TEST(a_map_that_is_killed_at_any_point_changes_nothing)
{
	on_platforms(PLATFORM_MEMORY, kill_anywhere);
}

TEST(a_map_that_lacks_memory_at_any_point_changes_nothing)
{
	on_platforms(PLATFORM_MEMORY, lack_memory);
}

TEST(memory_stays_held_if_old_entries_cannot_be_restored)
{
	on_platforms(PLATFORM_HYPERVISOR, fail_to_restore);
}

TEST(no_page_is_dropped_before_its_entry_is_cleared_and_invalidated)
{
	on_platforms(PLATFORM_MEMORY, look_at_order);
}

TEST(an_unmap_clears_entries_that_are_not_in_the_view)
{
	on_platforms(PLATFORM_MEMORY, clear_unknown);
}

TEST(many_entries_are_unmapped_and_invalidated_in_batches)
{
	for (int kind = 0; kind < PLATFORM_KINDS; kind++) {
		platform_kind = kind;
		map_many();
	}
}

TEST(tables_are_charged_when_made_and_refunded_with_the_window)
{
	static const enum platform_kind kinds[] = { PLATFORM_MEMORY,
						    PLATFORM_ODD_FORMAT,
						    PLATFORM_ODD_PLACE };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		platform_kind = kinds[i];
		charge_tables();
	}
}

TEST(random_requests_agree_with_a_naive_model)
{
	on_platforms(PLATFORM_MEMORY, do_at_random);
}

TEST(a_request_may_span_adjacent_regions)
{
	on_platforms(PLATFORM_MEMORY, map_two_regions);
}

/* Checking the blocks of one IOMMU page can take as long as writing a leaf */
TEST(a_map_reschedules_for_each_page_of_many_blocks)
{
	const unsigned int shift = PAGE_SHIFT + 4, pages = 8;
	struct tce2_region *region;
	u64 start, before;

	begin(1, 3);
	group[0]->tg.pgsizes |= BIT_ULL(shift);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(GIB(1), shift, 1, &start), 0);
	scattered = true;
	region = memory(UA, (2 * pages) << 4);
	expect(region->extents.shift, PAGE_SHIFT);
	before = sim.rests;
	down_read(&ddw.lock);
	expect(tce2_window_map(ddw.window[0], REQUEST(start, UA, pages << shift, RW),
			       TCE2_STAYS),
	       0);
	up_read(&ddw.lock);
	expect(sim.rests - before >= pages, true);
	scattered = false;
	finish();
}

/* Checks regions, windows, nodes of trees and arrays of views, but not groups */
TEST(allocations_that_outlive_a_request_are_charged_to_the_memory_cgroup)
{
	struct tce2_window *window;
	u64 uncharged;

	begin(2, 3);
	uncharged = sim.now.unaccounted;
	scattered = true;
	memory(UA, 64);
	window = only_window(GIB(1), 3);
	for (u64 i = 0; i < GIB(1) >> SHIFT; i += 64 * LEAF) {
		expect(map(window, i, 0, 1, RW), 0);
		expect(map(window, i + 2, 0, 1, RW), 0);
		expect(map(window, i + LEAF, 0, 4, RW), 0);
		/* To split a run, unmap makes an array with __GFP_NOFAIL */
		expect(unmap(window, i + LEAF + 1, 1), 0);
		expect(sim.now.unaccounted, uncharged);
	}
	finish();
}
