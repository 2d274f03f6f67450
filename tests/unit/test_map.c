// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping and unmapping of src/tce_v2.c: what fails leaves everything as it
 * was, and memory is given back only when no device can reach it. The latter
 * is watched by the platform in every test.
 */
#include <string.h>

#include "engine.h"

#define SIZE GIB(1)

/* The IOMMU page from which on memory is scattered, in base pages */
#define SCATTERED (900ULL << (PAGE_SHIFT - SHIFT))

#define AT    (LEAF - 20) /* 40 entries from here on lie in two leaves */
#define COUNT 40
#define MOST  (2 * LEAF + 64) /* entries that are looked at */

/**
 * struct state - all that a map request which fails leaves as it was
 */
struct state {
	u64 sum, mapped, held, refs, charged, view[MOST];
};

static struct tce2_region *region;
static struct tce2_window *window;
static struct state before;

/* A window of a table or more, and memory for it */
static void begin_map(u32 levels, u64 pages)
{
	begin(1, 5);
	region = memory(UA, pages);
	window = only_window(SIZE, levels);
}

static struct state look(void)
{
	struct state now = {
		.sum = platform_sum(window->tbl),
		.mapped = platform_mapped(window->tbl),
		.held = platform.held,
		.refs = region->mapped.counter,
		.charged = sim.now.charged,
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
	expect(memcmp(now.view, before.view, sizeof(now.view)), 0);
	expect_in_step(window, MOST);
}

/* Whose every count is that of an entry mapped */
static void expect_exact(void)
{
	u64 mapped = 0;

	for (u64 i = 0; i < MOST; i++)
		mapped += view_at(window, i) != 0;
	expect(platform_mapped(window->tbl), mapped);
	expect(region->mapped.counter, mapped + 1);
	expect(platform.held, mapped);
	expect_in_step(window, MOST);
}

static void map_nothing(void)
{
}

static void map_some(void)
{
	expect(map(window, AT + 3, 0, 9, TCE2_VIEW_READ), 0);
	expect(map(window, AT + 19, 9, 2, RW), 0);
	expect(map(window, AT + 39, 30, 4, TCE2_VIEW_WRITE), 0);
}

/* Among them the very entries that are to be mapped */
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

static void fail_at_any_tce(void)
{
	begin_map(1, 1200);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(olds); i++) {
		/* Contiguous memory, and such as is not with 4K pages */
		u64 page = i < ARRAY_SIZE(olds) ? 100 : SCATTERED;

		row = olds[i % ARRAY_SIZE(olds)].row;
		olds[i % ARRAY_SIZE(olds)].prepare();
		before = look();
		for (unsigned int nth = 1;; nth++) {
			int ret;

			platform_fail(PLATFORM_XCHG, nth, 1);
			platform.error = nth % 2 ? -EIO : -ENOMEM;
			ret = map(window, AT, page, COUNT, RW);
			if (!platform.fired) {
				expect(ret, 0);
				expect(nth > COUNT, true);
				platform_fail_nothing();
				break;
			}
			platform_fail_nothing();
			expect(ret < 0, true);
			expect_unchanged();
		}
		expect_exact();
		expect(unmap(window, 0, MOST), 0);
		expect_exact();
	}
	finish();
}

static void fail_to_restore(void)
{
	begin_map(1, 1200);
	map_all();
	before = look();
	platform_fail(PLATFORM_XCHG, 30, 1000);
	expect(map(window, AT, SCATTERED, COUNT, RW), -EIO);
	platform_fail_nothing();
	expect(platform.complaints, 1);
	expect(region->mapped.counter, before.refs + COUNT);
	expect(tce2_region_unregister(region), -EBUSY);
	expect(unmap(window, 0, MOST), 0);
	expect(platform_mapped(window->tbl), 0);
	expect(region->mapped.counter, 1 + COUNT);
	/* It is for ever, but this machine is to end clean */
	tce2_memory_drop(proc, UA + IOVA(SCATTERED), SHIFT, COUNT);
	finish();
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

static void a_map_that_lacks_memory_at_any_point_changes_nothing(void)
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
			expect(sim.now.charged,
			       sim.now.pinned + window->charged);
			if (!fired) {
				expect(ret, 0);
				break;
			}
			expect(ret, -ENOMEM);
			expect_unchanged();
		}
		expect_exact();
		finish();
	}
}

/* All in one leaf: writes, then kills, then a flush, then drops */
static void expect_order(enum platform_event last_change)
{
	size_t changed = 0, killed = 0, flushed = 0, dropped = 0;

	for (size_t i = platform.logged; i-- > 0;) {
		const struct event *e = &platform.events[i];

		if (!changed && e->what == last_change)
			changed = i + 1;
		if (!killed &&
		    (e->what == EVENT_KILL || e->what == EVENT_CLEAR))
			killed = i + 1;
		if (!flushed && e->what == EVENT_FLUSH)
			flushed = i + 1;
		if (e->what == EVENT_DROP)
			dropped = i + 1;
	}
	expect(changed > 0 && changed <= killed, true);
	expect(killed < flushed, true);
	expect(flushed < dropped, true);
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
		expect_order(EVENT_WRITE);
		expect(unmap(window, 2, 20), 0);
		expect(platform.calls[EVENT_DROP], 20);
		expect_order(EVENT_CLEAR);
	}
	expect(map(window, 0, 100, 30, RW), 0);
	platform_forget_events();
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(platform.calls[EVENT_DROP], 30);
	expect_order(EVENT_CLEAR);
	finish();
}

static void an_unmap_clears_entries_that_the_view_does_not_know(void)
{
	begin_map(1, 64);
	expect(map(window, 5, 0, 1, RW), 0);
	platform_poke(window->tbl, 9, 0x1000);
	expect(unmap(window, 9, 1), 0);
	expect(platform_tce(window->tbl, 9), 0);
	platform_poke(window->tbl, 11, 0x1000);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	finish();
}

/* Large pages in no order, so many that invalidating takes two calls */
static void large_counts_are_invalidated_in_batches(void)
{
	const u64 count = BIT(20) + 4096 + 3, big = IOVA(count) >> 24;
	struct tce2_region *large;
	u64 *pfn;

	begin(1, 5);
	sim.large_shift = 24;
	pfn = sim_mmap(sim.mm, UA, (big + 1) << 24, 24, true);
	for (u64 i = 0; i <= big; i++)
		pfn[i] = SIM_BIG + ((big - i) << (24 - PAGE_SHIFT));
	large = registered(proc, UA, (big + 1) << 24);
	window = only_window(GIB(8), 1);
	platform_fail(PLATFORM_XCHG, count - 1, 1);
	expect(map(window, 1, 0, count, RW), -EIO);
	expect(platform.fired, true);
	expect(platform_mapped(window->tbl), 0);
	expect(large->mapped.counter, 1);
	expect(platform.kill_most, BIT(20));
	expect(map(window, 1, 0, count, RW), 0);
	expect(platform_mapped(window->tbl), count);
	expect(large->mapped.counter, count + 1);
	expect(unmap(window, 0, count + 1), 0);
	expect(large->mapped.counter, 1);
	expect(platform.kill_most <= BIT(20), true);
	tce2_region_abandon(large);
	finish();
}

/* Where a hole of unmapped leaves parts them, and where they share tables */
static void tables_are_charged_as_they_come_and_refunded_with_the_window(void)
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
			u64 asked = platform.calls_to[PLATFORM_USERADDR];

			expect(map(window, at[i], 1, 4, RW), 0);
			expect(sim.now.charged, before_window + platform.pages);
			expect(window->charged, platform.pages);
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

/* A model: what each entry maps, 0 for nothing */
static u64 model[MOST];

static u64 rnd(u64 *state, u64 limit)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*state >> 33) % limit;
}

static void random_map(u64 *state, u64 pages)
{
	u64 count = 1 + rnd(state, rnd(state, 4) ? 70 : LEAF);
	u64 index = rnd(state, MOST - count), page = rnd(state, pages - count);
	u64 perm = 1 + rnd(state, 3);
	int ret;

	if (!rnd(state, 4))
		platform_fail(PLATFORM_XCHG, 1 + rnd(state, count + 3), 1);
	ret = map(window, index, page, count, perm);
	expect(ret, platform.fired ? -EIO : 0);
	platform_fail_nothing();
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
	for (int i = 0; i < (LEAF > 1000 ? 60 : 400); i++) {
		u64 what = rnd(&state, 40);

		if (what < 24) {
			random_map(&state, pages);
		} else if (what < 39) {
			random_unmap(&state);
		} else {
			u64 start;

			expect(tce2_ddw_remove(&ddw, 0), 0);
			expect(region->mapped.counter, 1);
			expect(create(SIZE, SHIFT, 1 + rnd(&state, 3), &start),
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

static void with_both_kinds_of_memory(void (*test)(void))
{
	scattered = false;
	test();
	row = NULL;
	scattered = true;
	test();
}

static void a_map_that_fails_at_any_tce_restores_every_old_entry(void)
{
	with_both_kinds_of_memory(fail_at_any_tce);
}

static void a_map_that_is_killed_at_any_point_changes_nothing(void)
{
	with_both_kinds_of_memory(kill_anywhere);
}

static void memory_stays_held_if_old_entries_cannot_be_restored(void)
{
	with_both_kinds_of_memory(fail_to_restore);
}

static void nothing_is_dropped_before_it_is_cleared_and_invalidated(void)
{
	with_both_kinds_of_memory(look_at_order);
}

static void random_requests_agree_with_a_naive_model(void)
{
	with_both_kinds_of_memory(do_at_random);
}

static const struct test map_tests[] = {
	TEST(a_map_that_fails_at_any_tce_restores_every_old_entry),
	TEST(memory_stays_held_if_old_entries_cannot_be_restored),
	TEST(a_map_that_is_killed_at_any_point_changes_nothing),
	TEST(a_map_that_lacks_memory_at_any_point_changes_nothing),
	TEST(nothing_is_dropped_before_it_is_cleared_and_invalidated),
	TEST(an_unmap_clears_entries_that_the_view_does_not_know),
	TEST(large_counts_are_invalidated_in_batches),
	TEST(tables_are_charged_as_they_come_and_refunded_with_the_window),
	TEST(random_requests_agree_with_a_naive_model),
};

SUITE(map_suite, map_tests);
