// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/kapi.c. A module finds a window by its table, and keeps the window until it
 * puts its reference, even if the container removes the window. Virtual mode and real mode
 * read the same TCEs.
 */
#include <string.h>

#include <linux/rcupdate.h>
#include <linux/wait.h>

#include <pthread.h>
#include <sched.h>

#include "engine.h"
#include "tce2_kapi.h"

static struct tce2_window *window, *handle;
static struct iommu_table *tbl;

static void begin_window(void)
{
	begin(1, 3);
	window = only_window(MIB(64), 1);
	tbl = window->table.tbl;
	handle = NULL;
	memory(UA, 6000);
}

FIXTURE(window_and_handle);

FIXTURE_SETUP(window_and_handle)
{
	begin_window();
}

FIXTURE_TEARDOWN(window_and_handle)
{
	finish();
}

static int remove_window(void)
{
	return tce2_ddw_remove(&ddw, 0);
}

/* In virtual mode a TCE must read as the client mapped it */
static void expect_virtual(u64 iova, u64 entry, u64 offset)
{
	u64 ua = NOTHING, perm = NOTHING;

	expect(tce2_window_read_tce(handle, iova, &ua, &perm), 0);
	expect(perm, entry & RW);
	expect(ua, entry ? (entry & ~RW) + offset : 0);
}

/* Real mode must read the same TCE, or decline if no TCE of the leaf was ever mapped */
static void expect_real(u64 iova, u64 entry, u64 offset, bool touched)
{
	u64 ua = NOTHING, perm = NOTHING;

	rcu_read_lock();
	expect(tce2_rm_read_tce(handle, iova, &ua, &perm),
	       touched ? TCE2_RM_OK : TCE2_RM_TOO_HARD);
	rcu_read_unlock();
	if (!touched) {
		expect(ua, NOTHING);
		expect(perm, NOTHING);
		return;
	}
	expect(perm, entry & RW);
	expect(ua, entry ? (entry & ~RW) + offset : 0);
}

static bool is_touched(u64 index)
{
	return tce2_view_next_touched(&handle->view, index, index + 1) == index;
}

static void expect_alike(u64 index)
{
	static const u64 offsets[] = { 0, 1, 0xffe, 0xfff };
	u64 entry = view_at(handle, index);

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		u64 iova = handle->start + IOVA(index) + offsets[i];

		expect_virtual(iova, entry, offsets[i]);
		expect_real(iova, entry, offsets[i], is_touched(index));
	}
}

static void expect_all_alike(u64 count)
{
	for (u64 i = 0; i < count; i++)
		expect_alike(i);
}

static void expect_no_answer(u64 iova, int error)
{
	u64 ua = NOTHING, perm = NOTHING;

	expect(tce2_window_read_tce(handle, iova, &ua, &perm), error);
	expect(tce2_rm_read_tce(handle, iova, &ua, &perm), TCE2_RM_TOO_HARD);
	expect(ua, NOTHING);
	expect(perm, NOTHING);
}

TEST_F(window_and_handle, a_window_is_found_only_by_its_table)
{
	struct iommu_table other;
	u64 start;

	other = *tbl;
	expect(!tce2_window_get(&other), true);
	expect(create(MIB(64), SHIFT, 1, &start), 0);
	for (int slot = 0; slot < 2; slot++) {
		struct tce2_window *want = ddw.window[slot];

		handle = tce2_window_get(want->table.tbl);
		expect(handle == want, true);
		tce2_window_put(handle);
	}
	tbl = ddw.window[1]->table.tbl;
	expect(tce2_ddw_remove(&ddw, start), 0);
	expect(!tce2_window_get(tbl), true);
	handle = tce2_window_get(ddw.window[0]->table.tbl);
	expect(handle == window, true);
	tce2_window_put(handle);
}

/* All forms of leaves, also in the second window, which does not begin at 0 */
TEST_F(window_and_handle, real_and_virtual_mode_agree_on_every_form_of_leaf)
{
	u64 start;

	expect(create(MIB(64), SHIFT, 1, &start), 0);
	expect(start, NOWHERE);
	for (int slot = 0; slot < 2; slot++) {
		window = ddw.window[slot];
		handle = tce2_window_get(window->table.tbl);
		/* Leaves: a run that crosses a leaf's end, empty, an array, never mapped */
		expect(map(window, 500, 9, 100, RW), 0);
		expect(map(window, 2 * LEAF + 9, 70, 3, TCE2_PERM_READ), 0);
		expect(unmap(window, 2 * LEAF, LEAF), 0);
		expect(map(window, 3 * LEAF + 9, 70, 3, TCE2_PERM_READ), 0);
		expect(map(window, 3 * LEAF + 200, 7, 30, TCE2_PERM_WRITE), 0);
		expect(is_touched(2 * LEAF), true);
		expect(is_touched(4 * LEAF), false);
		expect_all_alike(5 * LEAF);
		expect_alike((MIB(64) >> SHIFT) - 1);
		tce2_window_put(handle);
	}
}

TEST_F(window_and_handle, reading_a_tce_outside_the_window_returns_enxio)
{
	u64 start;

	expect(create(MIB(64), SHIFT, 1, &start), 0);
	handle = tce2_window_get(ddw.window[1]->table.tbl);
	expect(map(ddw.window[1], 0, 0, 1, RW), 0);
	expect(map(ddw.window[1], (MIB(64) >> SHIFT) - 1, 0, 1, RW), 0);
	expect_no_answer(0, -ENXIO);
	expect_no_answer(start - 1, -ENXIO);
	expect_alike(0);
	expect_alike((MIB(64) >> SHIFT) - 1);
	expect_no_answer(start + MIB(64), -ENXIO);
	/* At these addresses a walk without a range check would reach entry 0 */
	for (unsigned int bits = 27; bits < 64; bits++) {
		expect_no_answer(start + (1ULL << bits), -ENXIO);
		expect_no_answer(start - (1ULL << bits), -ENXIO);
	}
	expect_no_answer(~0ULL, -ENXIO);
	tce2_window_put(handle);
}

TEST_F(window_and_handle, pointers_that_need_a_page_table_are_not_followed)
{
	u64 ua = NOTHING, perm = NOTHING;

	handle = tce2_window_get(tbl);
	expect(map(window, 0, 1, 1, RW), 0);
	for (unsigned int i = 0; i < NOT_LINEAR; i++) {
		expect(tce2_rm_read_tce(not_linear(handle, i), 0, &ua,
					&perm),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_read_tce(handle, 0, not_linear(&ua, i),
					&perm),
		       TCE2_RM_TOO_HARD);
		expect(tce2_rm_read_tce(handle, 0, &ua,
					not_linear(&perm, i)),
		       TCE2_RM_TOO_HARD);
		expect(ua, NOTHING);
		expect(perm, NOTHING);
	}
	expect_alike(0);
	tce2_window_put(handle);
}

TEST_F(window_and_handle, real_and_virtual_mode_agree_on_random_requests)
{
	u64 state = 9;

	handle = tce2_window_get(tbl);
	for (int i = 0; i < 400; i++) {
		u64 index = rnd(&state, 3 * LEAF);
		u64 count = 1 + rnd(&state, i % 3 ? 9 : LEAF);

		if (rnd(&state, 5) < 3)
			expect(map(window, index,
				   i % 2 ? index : rnd(&state, 5000), count,
				   1 + rnd(&state, 3)), 0);
		else
			expect(unmap(window, index, count), 0);
		for (int k = 0; k < 30; k++)
			expect_alike(rnd(&state, 4 * LEAF));
		sim_grace_period();
	}
	expect_all_alike(4 * LEAF);
	tce2_window_put(handle);
}

/*
 * Removal of a window that has a handle
 */

TEST_F(window_and_handle, reading_a_tce_of_a_removed_window_returns_enodev)
{
	struct tce2_window *second;
	u64 allocs;

	handle = tce2_window_get(tbl);
	second = tce2_window_get(tbl);
	expect(second == handle, true);
	expect(map(window, 5, 5, 9, RW), 0);
	expect(map(window, 50, 9, 9, RW), 0);
	expect(platform.held, 18);
	expect(remove_window(), 0);
	/* All counts and the charge are released, although the handle exists */
	expect(platform.held, 0);
	expect(platform.tables, 0);
	expect(!tce2_window_get(tbl), true);
	expect_no_answer(IOVA(5), -ENODEV);
	expect_no_answer(IOVA(4000), -ENODEV);
	expect_no_answer(MIB(64), -ENXIO);
	sim_grace_period();
	allocs = sim.now.allocs;
	tce2_window_put(second);
	expect(sim.now.allocs, allocs);
	expect_no_answer(IOVA(5), -ENODEV);
	/* Frees the window and the two levels of its tree */
	tce2_window_put(handle);
	expect(sim.now.allocs < allocs, true);
}

TEST(a_window_outlives_its_container_and_the_cache)
{
	begin_window();
	handle = tce2_window_get(tbl);
	expect(map(window, 5, 5, 9, RW), 0);
	tce2_ddw_destroy(&ddw);
	expect_no_answer(IOVA(5), -ENODEV);
	expect(platform.held, 0);
	finish();
	expect_no_answer(IOVA(5), -ENODEV);
	tce2_window_put(handle);
}

TEST_F(window_and_handle, putting_a_handle_does_not_affect_the_container)
{
	for (int i = 0; i < 3; i++) {
		handle = tce2_window_get(tbl);
		expect(map(window, 5 * i, 5, 4, RW), 0);
		tce2_window_put(handle);
	}
	expect(platform.held, 12);
	expect_in_step(window, 20);
}

static void remove_it(void)
{
	expect(remove_window(), 0);
}

/* Another thread removes the window after the lookup, before the leaves are locked */
TEST_F(window_and_handle, a_window_removed_during_get_returns_enodev_or_null)
{
	u64 start;

	expect(map(window, 5, 5, 9, RW), 0);
	expect(map(window, 50, 9, 9, RW), 0);
	sim_when(SIM_AT_UNLOCK, 1, remove_it);
	handle = tce2_window_get(tbl);
	expect(handle == window, true);
	expect_no_answer(IOVA(5), -ENODEV);
	tce2_window_put(handle);

	expect(create(MIB(64), SHIFT, 1, &start), 0);
	tbl = ddw.window[0]->table.tbl;
	sim_when(SIM_AT_LOCK, 1, remove_it);
	expect(!tce2_window_get(tbl), true);
}

TEST_F(window_and_handle, a_kill_ends_the_wait_for_a_locked_leaf)
{
	static const bool killed = true;
	struct tce2_range range;
	u64 ua, perm;

	handle = tce2_window_get(tbl);
	expect(tce2_range_lock(&window->ranges, &range, 0, LEAF), 0);
	wait_killed = &killed;
	expect(!tce2_window_get(tbl), true);
	/* References of the owner, KVM's hooks and the first handle, but not of the killed get() */
	expect(window->refs.refs, 3);
	expect(tce2_window_read_tce(handle, 0, &ua, &perm), -EINTR);
	/* Other leaves can be read */
	expect(tce2_window_read_tce(handle, IOVA(LEAF), &ua, &perm), 0);
	wait_killed = NULL;
	tce2_range_unlock(&window->ranges, &range);
	expect_virtual(0, 0, 0);
	tce2_window_put(handle);
}

static struct tce2_range reading;

/* Another thread unlocks the leaf as soon as a thread waits for it */
static void *end_reading(void *arg)
{
	while (!wait_count(&completions))
		sched_yield();
	expect(platform.held, 9);
	tce2_range_unlock(&window->ranges, &reading);
	return arg;
}

/* Removal ignores the signal, because it must not fail */
TEST_F(window_and_handle, a_killed_removal_still_waits_for_a_reader)
{
	static const bool killed = true;
	pthread_t thread;

	expect(map(window, 5, 5, 9, RW), 0);
	handle = tce2_window_get(tbl);
	expect(tce2_range_lock(&window->ranges, &reading, 0, LEAF), 0);
	wait_for_others = true;
	wait_killed = &killed;
	expect(pthread_create(&thread, NULL, end_reading, NULL), 0);
	expect(remove_window(), 0);
	pthread_join(thread, NULL);
	wait_killed = NULL;
	wait_for_others = false;
	expect(platform.held, 0);
	expect_no_answer(IOVA(5), -ENODEV);
	tce2_window_put(handle);
}

/*
 * Freeing of arrays, and reads while a TCE changes
 */

TEST_F(window_and_handle, an_array_is_freed_after_a_grace_period_if_a_handle_exists)
{
	for (int external = 0; external < 2; external++) {
		u64 allocs;

		if (external)
			handle = tce2_window_get(tbl);
		expect(map(window, 0, 5, 9, RW), 0);
		allocs = sim.now.allocs;
		expect(map(window, 50, 9, 9, RW), 0);
		expect(sim.now.allocs, allocs + 1);
		expect(unmap(window, 0, LEAF), 0);
		expect(sim.now.allocs, allocs + external);
		sim_grace_period();
		expect(sim.now.allocs, allocs);
	}
	tce2_window_put(handle);
}

TEST_F(window_and_handle, an_array_older_than_the_handle_is_freed_after_a_grace_period)
{
	u64 allocs;

	expect(map(window, 0, 5, 9, RW), 0);
	allocs = sim.now.allocs;
	expect(map(window, 50, 9, 9, RW), 0);
	handle = tce2_window_get(tbl);
	expect(unmap(window, 0, LEAF), 0);
	expect(sim.now.allocs, allocs + 1);
	sim_grace_period();
	expect(sim.now.allocs, allocs);
	tce2_window_put(handle);
}

static void change_it(void)
{
	expect(unmap(window, 0, LEAF), 0);
	sim_grace_period();
}

TEST(real_mode_reads_a_changing_tce_without_tearing)
{
	for (unsigned int nth = 1; nth <= 8; nth++) {
		u64 ua = NOTHING, perm = NOTHING;
		enum tce2_rm_status status;

		begin_window();
		handle = tce2_window_get(tbl);
		expect(map(window, 0, 5, 9, RW), 0);
		expect(map(window, 50, 9, 9, RW), 0);
		rcu_read_lock();
		sim_when(SIM_AT_READ, nth, nth % 2 ? change_it : remove_it);
		status = tce2_rm_read_tce(handle, IOVA(3), &ua, &perm);
		sim_when(SIM_AT_READ, 0, NULL);
		rcu_read_unlock();
		if (status != TCE2_RM_OK)
			expect(ua, NOTHING);
		else if (perm)
			expect(ua, UA + IOVA(8));
		else
			expect(ua, 0);
		tce2_window_put(handle);
		finish();
		sim_expect_nothing_left();
		sim_reset();
	}
}

/* Beyond the window the tree of its view would wrap to entry 0 */
TEST(an_address_past_a_window_that_fills_its_tree_is_refused)
{
	static const u64 sizes[] = { MIB(128), GIB(8) };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 start;

		begin_window();
		expect(create(sizes[i], SHIFT, 2, &start), 0);
		window = ddw.window[1];
		expect(window->view.depth, i + 1);
		handle = tce2_window_get(window->table.tbl);
		expect(map(window, 0, 0, 1, RW), 0);
		expect(map(window, (sizes[i] >> SHIFT) - 1, 0, 1, RW), 0);
		expect_alike(0);
		expect_alike((sizes[i] >> SHIFT) - 1);
		expect_no_answer(start - 1, -ENXIO);
		expect_no_answer(start + sizes[i], -ENXIO);
		expect_no_answer(start + sizes[i] + 0xfff, -ENXIO);
		expect_no_answer(start + 2 * sizes[i], -ENXIO);
		tce2_window_put(handle);
		finish();
	}
}
