// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the userspace view of src/view.c: after any sequence of requests the view
 * has the same content as a plain array, but takes less memory.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define L	(unsigned int)TCE2_VIEW_LEAF
#define ARRAY	4096 /* bytes of a leaf's array */
#define NODE	512  /* bytes of a node of the tree */
#define FAR_UA	((1ULL << 52) - (1ULL << 30))
#define ENTRIES (4 * L)

static struct tce2_view view;
static unsigned int shift;
static u64 plain[ENTRIES]; /* expected content of the view */

static void begin_view(u64 entries, unsigned int page_shift)
{
	tce2_view_init(&view, entries, page_shift);
	shift = page_shift;
	memset(plain, 0, sizeof(plain));
}

static void end_view(void)
{
	expect(tce2_view_put(&view), true);
	expect(sim.now.allocs, 0);
	expect(sim.now.bytes, 0);
}

static struct tce2_view_run run_in_leaf(u64 index, u64 end, u64 ua, u64 perm)
{
	u64 last = tce2_view_leaf_end(index, end);

	return (struct tce2_view_run){ index, last - index, ua, perm,
				       false };
}

/* Acts as a map request, which prepares all leaves before it sets the first leaf */
static int try_set(u64 index, u64 count, u64 ua, u64 perm)
{
	u64 end = index + count;

	for (u64 i = index; i < end; i = tce2_view_leaf_end(i, end)) {
		struct tce2_view_run run =
			run_in_leaf(i, end, ua + ((i - index) << shift), perm);
		int ret = tce2_view_prepare(&view, &run);

		if (ret < 0)
			return ret;
	}
	sim_fail(SIM_ALLOC, 1);
	for (u64 i = index; i < end; i = tce2_view_leaf_end(i, end)) {
		struct tce2_view_run run =
			run_in_leaf(i, end, ua + ((i - index) << shift), perm);

		tce2_view_set(&view, &run);
		for (u64 k = i; k < i + run.count && k < ENTRIES; k++)
			plain[k] = (run.ua + ((k - i) << shift)) | perm;
	}
	/* A prepared set must not allocate */
	expect(sim.fired, false);
	sim_fail_nothing();
	return 0;
}

static void set(u64 index, u64 count, u64 ua, u64 perm)
{
	expect(try_set(index, count, ua, perm), 0);
}

/* Clears entries while all allocations without __GFP_NOFAIL fail */
static void clear(u64 index, u64 count)
{
	u64 end = index + count;

	sim_fail(SIM_ALLOC, 1);
	for (u64 i = index; i < end; i = tce2_view_leaf_end(i, end))
		tce2_view_clear(&view, i, tce2_view_leaf_end(i, end) - i);
	expect(sim.fired, false);
	sim_fail_nothing();
	for (u64 k = index; k < end && k < ENTRIES; k++)
		plain[k] = 0;
}

/* The runs from @from to @to must have the entries of @plain, and be as long as possible */
static void expect_runs(u64 from, u64 to)
{
	u64 index = from;
	struct tce2_view_run run;

	while (tce2_view_next(&view, index, to, &run)) {
		expect(run.index >= index && run.count > 0, true);
		expect(run.index + run.count <= to, true);
		expect(run.index / L, (run.index + run.count - 1) / L);
		for (; index < run.index; index++)
			expect(plain[index], 0);
		for (; index < run.index + run.count; index++)
			expect((run.ua + ((index - run.index) << shift)) |
				       run.perm,
			       plain[index]);
		/* A run ends at a leaf, at @to, or where the next entry does not continue it */
		if (index < to && index % L)
			expect(plain[index] ==
				       ((run.ua + (run.count << shift)) |
					run.perm),
			       false);
	}
	for (; index < to; index++)
		expect(plain[index], 0);
}

/* Leaves with mapped entries must be found from any entry of the leaf */
static void expect_touched(void)
{
	for (u64 leaf = 0; leaf < ENTRIES / L; leaf++) {
		bool mapped = false;

		for (u64 i = leaf * L; i < (leaf + 1) * L; i++)
			mapped |= plain[i] != 0;
		if (mapped)
			expect(tce2_view_next_touched(&view, leaf * L + 7,
						      ENTRIES),
			       leaf * L + 7);
	}
}

static void expect_plain(void)
{
	expect_runs(0, ENTRIES);
	expect_touched();
}

/* Returns the number of arrays */
static u64 arrays(void)
{
	u64 nodes = 0;

	/* Four leaves need a single node */
	nodes = view.root ? 1 : 0;
	return sim.now.allocs - nodes;
}

#define U(n) (UA + ((u64)(n) << shift))

/*
 * Sequences of up to five requests in one leaf. After each request the view is compared
 * with the array, and the number of arrays is checked.
 */
static const struct {
	const char *row;
	struct {
		unsigned int first, count, page; /* page 0: clear */
		unsigned int perm;
		unsigned int arrays;
	} step[5];
} transitions[] = {
	{ "one entry", { { 0, 1, 1, RW, 0 }, { 0, 1, 0, 0, 0 } } },
	{ "the last entry", { { 511, 1, 1, RW, 0 }, { 511, 1, 0, 0, 0 } } },
	{ "a whole leaf", { { 0, 512, 1, RW, 0 }, { 0, 512, 0, 0, 0 } } },
	{ "extended at the end", { { 5, 5, 5, RW, 0 }, { 10, 5, 10, RW, 0 } } },
	{ "extended at the start", { { 10, 5, 10, RW, 0 }, { 5, 5, 5, RW, 0 } } },
	{ "overlapping the end", { { 5, 5, 5, RW, 0 }, { 8, 9, 8, RW, 0 } } },
	{ "overlapping the start", { { 8, 9, 8, RW, 0 }, { 5, 5, 5, RW, 0 } } },
	{ "inside", { { 5, 9, 5, RW, 0 }, { 7, 2, 7, RW, 0 } } },
	{ "gap of one entry after", { { 5, 5, 5, RW, 0 }, { 11, 5, 11, RW, 1 } } },
	{ "gap of one entry before", { { 11, 5, 11, RW, 0 }, { 5, 5, 5, RW, 1 } } },
	{ "address that does not continue", { { 5, 5, 5, RW, 0 }, { 10, 5, 11, RW, 1 } } },
	{ "another permission", { { 5, 5, 5, RW, 0 }, { 10, 5, 10, 1, 1 } } },
	{ "inside, another address", { { 5, 9, 5, RW, 0 }, { 7, 2, 9, RW, 1 } } },
	{ "same range, another address", { { 5, 9, 5, RW, 0 }, { 5, 9, 9, 1, 0 } } },
	{ "larger range, another address", { { 5, 9, 5, RW, 0 }, { 4, 11, 9, 2, 0 } } },
	{ "all except the first, another address",
	  { { 5, 9, 5, RW, 0 }, { 6, 9, 90, 2, 1 }, { 4, 1, 4, 1, 1 } } },
	{ "all except the last, another address",
	  { { 5, 9, 5, RW, 0 }, { 4, 9, 90, 2, 1 }, { 0, 512, 0, 0, 0 } } },
	{ "full leaf over an array",
	  { { 5, 9, 5, RW, 0 }, { 30, 1, 7, RW, 1 }, { 0, 512, 3, 1, 0 } } },
	{ "all except the first over an array",
	  { { 5, 9, 5, RW, 0 }, { 30, 1, 7, RW, 1 }, { 1, 511, 3, 1, 1 },
	    { 1, 511, 0, 0, 0 } } },
	{ "all except the last over an array",
	  { { 5, 9, 5, RW, 0 }, { 30, 1, 7, RW, 1 }, { 0, 511, 3, 1, 1 },
	    { 0, 511, 0, 0, 0 } } },
	{ "start cleared", { { 5, 9, 5, RW, 0 }, { 3, 4, 0, 0, 0 } } },
	{ "end cleared", { { 5, 9, 5, RW, 0 }, { 12, 4, 0, 0, 0 } } },
	{ "all except the first cleared", { { 5, 9, 5, RW, 0 }, { 6, 8, 0, 0, 0 } } },
	{ "all except the last cleared", { { 5, 9, 5, RW, 0 }, { 5, 8, 0, 0, 0 } } },
	{ "middle cleared",
	  { { 5, 9, 5, RW, 0 }, { 6, 7, 0, 0, 1 }, { 5, 1, 0, 0, 1 },
	    { 13, 1, 0, 0, 0 } } },
	{ "one entry in the middle cleared",
	  { { 0, 512, 1, RW, 0 }, { 300, 1, 0, 0, 1 }, { 0, 300, 0, 0, 1 },
	    { 301, 211, 0, 0, 0 } } },
	{ "entries beside it cleared",
	  { { 5, 9, 5, RW, 0 }, { 4, 1, 0, 0, 0 }, { 14, 1, 0, 0, 0 },
	    { 0, 5, 0, 0, 0 }, { 14, 498, 0, 0, 0 } } },
	{ "all cleared twice",
	  { { 5, 9, 5, RW, 0 }, { 5, 9, 0, 0, 0 }, { 0, 1, 0, 0, 0 },
	    { 0, 512, 0, 0, 0 }, { 9, 3, 1, 1, 0 } } },
	{ "an array overwritten",
	  { { 5, 9, 5, RW, 0 }, { 30, 9, 7, RW, 1 }, { 10, 25, 99, 1, 1 },
	    { 5, 30, 0, 0, 1 }, { 35, 4, 0, 0, 0 } } },
	{ "entries beside an array's cleared",
	  { { 5, 9, 5, RW, 0 }, { 30, 9, 7, RW, 1 }, { 14, 16, 0, 0, 1 },
	    { 0, 5, 0, 0, 1 }, { 5, 34, 0, 0, 0 } } },
};

static void each_transition(u64 base)
{
	for (size_t t = 0; t < ARRAY_SIZE(transitions); t++) {
		row = transitions[t].row;
		begin_view(ENTRIES, shift);
		for (int i = 0; i < 5 && transitions[t].step[i].count; i++) {
			u64 first = base + transitions[t].step[i].first;
			u64 count = transitions[t].step[i].count;
			u64 page = transitions[t].step[i].page;

			if (page)
				set(first, count, U(page),
				    transitions[t].step[i].perm);
			else
				clear(first, count);
			expect_plain();
			expect(arrays(), transitions[t].step[i].arrays);
		}
		clear(base, L);
		expect(arrays(), 0);
		expect_plain();
		/* A leaf that once had a mapping is counted as touched until the view ends */
		expect(tce2_view_next_touched(&view, 0, ENTRIES), base);
		end_view();
	}
	row = NULL;
}

TEST(a_leaf_changes_correctly_from_any_form_to_any_other)
{
	static const unsigned int shifts[] = { 12, 16, 24 };

	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		shift = shifts[i];
		each_transition(0);
		each_transition(3 * L);
	}
}

TEST(the_largest_and_smallest_runs_and_addresses_are_stored)
{
	static const u64 uas[] = { 0, 4096, FAR_UA,
				   (1ULL << 52) - (L << 12) };
	static const unsigned int spans[][2] = {
		{ 0, 1 }, { 0, 512 }, { 511, 1 }, { 1, 511 }, { 0, 511 },
		{ 255, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(uas); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(spans); k++) {
			for (u64 perm = 1; perm <= RW; perm++) {
				begin_view(ENTRIES, 12);
				set(L + spans[k][0], spans[k][1], uas[i], perm);
				expect_plain();
				expect(arrays(), 0);
				/* Clear one entry, so that an array stores the others */
				if (spans[k][1] >= 3) {
					clear(L + spans[k][0] + 1, 1);
					expect_plain();
					expect(arrays(), 1);
				}
				end_view();
			}
		}
	}
}

/* No run goes beyond the end of the range */
TEST(next_finds_the_runs_of_any_range_within_a_leaf)
{
	begin_view(ENTRIES, 16);
	set(100, 50, U(3), RW);
	set(L + 100, 50, U(3), RW);
	set(L + 150, 50, U(9), RW);
	for (u64 from = 95; from < 160; from += 3) {
		for (u64 to = from; to < 205; to += 7) {
			expect_runs(from, to);
			expect_runs(L + from, L + to);
			expect_runs(from, L + to);
		}
	}
	end_view();
}

TEST(next_skips_a_range_without_leaves)
{
	const u64 entries = 1ULL << 36, far = entries - 1;
	const u64 at[] = { 0, 1ULL << 20, (1ULL << 35) - 1, 1ULL << 35, far };
	struct tce2_view_run run;
	u64 index = 0;

	begin_view(entries, 12);
	expect(tce2_view_next_touched(&view, 0, entries), entries);
	expect(tce2_view_next(&view, 0, entries, &run), false);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		set(at[i], 1, U(i + 1), RW);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		expect(tce2_view_next_touched(&view, index, entries),
		       max(index, at[i] / L * L));
		expect(tce2_view_next(&view, index, entries, &run), true);
		expect(run.index, at[i]);
		expect(run.count, 1);
		expect(run.ua, U(i + 1));
		/* A range that ends before the entry contains nothing */
		expect(tce2_view_next(&view, index, at[i], &run), false);
		index = (at[i] / L + 1) * L;
	}
	expect(tce2_view_next(&view, index, entries, &run), false);
	expect(tce2_view_next_touched(&view, entries, entries), entries);
	expect(tce2_view_next(&view, entries, entries, &run), false);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		clear(at[i], 1);
	expect(tce2_view_next(&view, 0, entries, &run), false);
	expect(tce2_view_next_touched(&view, 0, entries), 0);
	/* Clearing makes no nodes */
	index = sim.now.allocs;
	clear(1ULL << 33, 3 * L);
	expect(sim.now.allocs, index);
	end_view();
}

/* Maps the first and the last entry of windows with 1 to 2^43 entries */
TEST(the_view_stores_first_and_last_entry_of_a_window_of_any_size)
{
	for (unsigned int bits = 0; bits <= 43; bits++) {
		u64 entries = 1ULL << bits;
		struct tce2_view_run run;

		begin_view(entries, 12);
		set(entries - 1, 1, U(1), RW);
		set(0, 1, U(1), RW);
		expect(tce2_view_next(&view, entries - 1, entries, &run), true);
		expect(run.index, entries - 1);
		expect(tce2_view_next(&view, 0, 1, &run), true);
		expect(run.index, 0);
		if (bits > TCE2_VIEW_LEAF_SHIFT)
			expect(tce2_view_next(&view, L, entries - 1, &run),
			       false);
		end_view();
	}
}

TEST(a_set_that_cannot_be_prepared_changes_nothing)
{
	static const struct {
		u64 index, count, page;
	} requests[] = {
		{ 40, 600, 77 }, { 1, 3, 99 }, { 192 * L - 2, L, 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		unsigned int nth = 1;
		int ret;

		begin_view(1ULL << 30, 12);
		set(0, 100, U(1), RW);
		set(L + 10, 20, U(5), TCE2_PERM_READ);
		for (;; nth++) {
			sim_fail(SIM_ALLOC, nth);
			ret = try_set(requests[i].index, requests[i].count,
				      U(requests[i].page), TCE2_PERM_WRITE);
			sim_fail_nothing();
			expect_plain();
			if (!ret)
				break;
			expect(ret, -ENOMEM);
		}
		expect(nth > 1, true);
		end_view();
	}
}

TEST(a_first_set_may_fail_for_each_level_of_the_tree)
{
	unsigned int nth;

	begin_view(1ULL << 36, 12);
	for (nth = 1;; nth++) {
		int ret;

		sim_fail(SIM_ALLOC, nth);
		ret = try_set((1ULL << 35) + 5, 1, U(0), RW);
		sim_fail_nothing();
		if (!ret)
			break;
		expect(ret, -ENOMEM);
		expect(tce2_view_next_touched(&view, 0, 1ULL << 36),
		       1ULL << 36);
		expect_plain();
		/* Start again with an empty tree */
		end_view();
		begin_view(1ULL << 36, 12);
	}
	expect(nth, 1 + view.depth);
	end_view();
}

TEST(prepare_returns_1_if_the_leaf_has_mappings)
{
	struct tce2_view_run run;

	begin_view(ENTRIES, 12);
	run = run_in_leaf(5, 9, U(5), RW);
	expect(tce2_view_prepare(&view, &run), 0);
	tce2_view_set(&view, &run);
	expect(tce2_view_prepare(&view, &run), 1);
	run = run_in_leaf(100, 101, U(5), RW);
	expect(tce2_view_prepare(&view, &run), 1);
	expect(arrays(), 1);
	run = run_in_leaf(300, 301, U(5), RW);
	expect(tce2_view_prepare(&view, &run), 1);
	tce2_view_clear(&view, 0, L);
	expect(arrays(), 0);
	expect(tce2_view_prepare(&view, &run), 0);
	end_view();
}

TEST(clearing_cannot_fail_and_allocates_at_most_4_kib_with_nofail)
{
	begin_view(ENTRIES, 12);
	set(0, 2 * L, U(1), RW);
	expect(sim.nofail, 0);
	clear(L - 5, 10);
	expect(sim.nofail, 0);
	clear(50, 1);
	expect(sim.nofail, 1);
	clear(60, 1);
	expect(sim.nofail, 1);
	expect(sim.largest <= ARRAY, true);
	expect_plain();
	end_view();
}

static struct tce2_view_run others_run;

static void other_thread(void)
{
	others_run = run_in_leaf(5 * L, 5 * L + 3, U(9), RW);
	expect(tce2_view_prepare(&view, &others_run), 0);
	tce2_view_set(&view, &others_run);
}

TEST(a_node_that_another_thread_makes_first_is_used)
{
	struct tce2_view_run run;

	for (unsigned int nth = 1; nth <= 3; nth++) {
		begin_view(1ULL << 24, 12);
		expect(view.depth, 3);
		sim_when(SIM_AT_SWAP, nth, other_thread);
		set(3, 2, U(1), RW);
		expect(tce2_view_next(&view, 5 * L, 6 * L, &run), true);
		expect(run.ua, others_run.ua);
		expect(tce2_view_next(&view, 0, L, &run), true);
		expect(run.index, 3);
		expect(sim.now.allocs, 3);
		end_view();
	}
}

TEST(contiguous_entries_cost_a_word_for_each_leaf)
{
	const u64 entries = 1ULL << 20;

	begin_view(entries, 12);
	set(0, entries, U(0), RW);
	/* 32 nodes of words, and one node above them */
	expect(sim.now.bytes, (entries / L / 64 + 1) * NODE);
	expect(sim.now.bytes <= entries / L * 9, true);
	expect(sim.now.slab_bytes, sim.now.bytes);
	/* Small runs in another order give the same result */
	for (u64 i = 0; i < 64; i++)
		set(((i * 37) & 63) * 8, 8, U(((i * 37) & 63) * 8), RW);
	expect(sim.now.bytes, (entries / L / 64 + 1) * NODE);
	end_view();
}

TEST(isolated_entries_cost_at_most_8_bytes_for_each_entry_of_their_leaf)
{
	const u64 entries = 1ULL << 16, leaves = entries / L;

	begin_view(entries, 12);
	for (u64 i = 0; i < entries; i += 2)
		set(i, 1, U(7 * (i % 9)), RW);
	expect(sim.now.bytes, leaves * ARRAY + (leaves / 64 + 1) * NODE);
	/* Cleared entries cost only the nodes of the tree */
	clear(0, entries);
	expect(sim.now.bytes, (leaves / 64 + 1) * NODE);
	end_view();
}

static void random_step(u64 *state)
{
	u64 longest = rnd(state, 3) ? 12 : rnd(state, 3) ? L : 2 * L;
	u64 count = 1 + rnd(state, longest);
	u64 index = rnd(state, ENTRIES - count + 1);
	u64 ua = U(index), perm = RW;

	/* Often choose a run that continues its neighbours, or begins at a leaf's start */
	if (!rnd(state, 3))
		ua = U(rnd(state, 3 * ENTRIES));
	if (!rnd(state, 4))
		perm = 1 + rnd(state, 3);
	if (!rnd(state, 6))
		index -= min(index % L, index);
	if (!rnd(state, 12)) {
		index = index / L * L;
		count = L;
	}
	if (rnd(state, 9) < 5) {
		if (!rnd(state, 8))
			sim_fail(SIM_ALLOC, 1 + rnd(state, 3));
		if (try_set(index, count, ua, perm))
			sim_fail_nothing();
	} else {
		clear(index, count);
	}
}

/* @step determines the order. An array becomes a word again once all its entries are one run. */
TEST(an_array_that_is_filled_in_any_order_collapses_to_a_word)
{
	static const unsigned int steps[] = { 1, 3, 5, 97, 255, 257, 509, 511 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		begin_view(ENTRIES, i % 2 ? 16 : 12);
		for (unsigned int n = 0, at = 3; n < L; n++) {
			expect(n < 2 || steps[i] == 1 || steps[i] == L - 1 ||
			       arrays() == 1, true);
			set(L + at, 1, U(70 + at), RW);
			at = (at + steps[i]) % L;
		}
		expect(arrays(), 0);
		expect_plain();
		/* Later requests behave as in any other leaf */
		set(L + 9, 1, U(1), RW);
		expect(arrays(), 1);
		expect_plain();
		clear(0, 4 * L);
		expect(arrays(), 0);
		end_view();
	}
}

TEST(a_full_array_of_several_runs_is_not_collapsed)
{
	static const struct {
		u64 at, page, perm;
	} odd[] = {
		{ 0, 1, RW }, { L - 1, 1, RW }, { 200, 201, RW },
		{ 0, 0, TCE2_PERM_READ }, { L - 1, L - 1, TCE2_PERM_WRITE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		begin_view(ENTRIES, 12);
		for (u64 k = 0; k < L; k += 2)
			set(k, 1, U(k), RW);
		for (u64 k = 1; k < L; k += 2)
			if (k != odd[i].at && k != 255)
				set(k, 1, U(k), RW);
		set(odd[i].at, 1, U(odd[i].page), odd[i].perm);
		expect(arrays(), 1);
		set(255, 1, U(255), RW);
		expect(arrays(), 1);
		expect_plain();
		end_view();
	}
}

TEST(random_requests_agree_with_a_plain_array)
{
	for (unsigned int page_shift = 12; page_shift <= 16; page_shift += 4) {
		u64 state = 7 + page_shift;

		begin_view(ENTRIES, page_shift);
		for (int i = 0; i < 20000; i++) {
			random_step(&state);
			if (i < 500 || !(i % 8))
				expect_plain();
			if (!(i % 1000)) {
				end_view();
				begin_view(ENTRIES, page_shift);
			}
		}
		clear(0, ENTRIES);
		expect(arrays(), 0);
		end_view();
	}
}
