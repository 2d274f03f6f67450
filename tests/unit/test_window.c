// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of windows in src/ddw.c, ddw_window.c and ddw_group.c: creating and removing windows,
 * attaching and detaching groups, and the state after one of these operations has failed.
 */
#include "engine.h"

#define SIZE GIB(1)

/* Attaches two groups and removes the default window, so that slot 0 is free */
static void begin_empty(u32 max_levels)
{
	begin(2, max_levels);
	expect(tce2_ddw_remove(&ddw, 0), 0);
}

static void expect_no_window_of(int groups)
{
	expect(sim.now.charged, sim.now.pinned);
	expect(platform.tables, 0);
	for (int i = 0; i < 2 * groups; i++) {
		expect(!group[i / 2]->walks[i % 2], true);
		expect(!group[i / 2]->tg.tables[i % 2], true);
		expect(!ddw.window[i % 2], true);
	}
}

static void expect_no_window(void)
{
	expect_no_window_of(2);
}

TEST(a_failed_create_table_leaves_no_charge_and_no_window)
{
	static const int errors[][2] = {
		{ -ENOMEM, -ENOMEM }, { -EINVAL, -EINVAL }, { -EIO, -EIO },
		{ -55, -EIO },	      { 3, -EIO },
	};
	u64 start = 7;

	begin_empty(3);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct sim_counts before = sim.now;

		platform_fail(PLATFORM_CREATE, 1, 1);
		platform.error = errors[i][0];
		expect(create(SIZE, SHIFT, 1, &start), errors[i][1]);
		expect(start, 7);
		expect_counts(before);
		expect_no_window();
	}
	finish();
}

TEST(a_failed_set_window_is_undone_for_the_previous_groups)
{
	struct tce2_window *window;
	u64 start = 7;

	begin_empty(3);
	for (int nth = 1; nth <= 2; nth++) {
		struct sim_counts before = sim.now;

		platform_fail(PLATFORM_SET, nth, 1);
		expect(create(SIZE, SHIFT, 2, &start), -EIO);
		expect(start, 7);
		/* The window is freed after a grace period */
		sim_grace_period();
		expect_counts(before);
		expect_no_window();
	}
	expect(create(SIZE, SHIFT, 2, &start), 0);
	window = ddw.window[0];
	expect(platform_users(window->table.tbl), 5);
	expect(group[0]->walks[0] == window->table.tbl, true);
	expect(group[1]->walks[0] == window->table.tbl, true);
	expect(sim.now.charged, platform.pages);
	finish();
}

/* The window must not stay, because no tce_kill() would invalidate the group's devices */
TEST(a_window_is_removed_if_its_table_is_not_linked_to_the_group)
{
	u64 start = 7;

	begin_empty(3);
	for (int nth = 1; nth <= 2; nth++) {
		struct sim_counts before = sim.now;

		platform_fail(PLATFORM_LINK, nth, 1);
		expect(create(SIZE, SHIFT, 2, &start), -ENOMEM);
		expect(start, 7);
		/* The window is freed after a grace period */
		sim_grace_period();
		expect_counts(before);
		expect_no_window();
	}
	expect(tce2_ddw_detach(&ddw, &group[1]->group), 0);
	expect(create(SIZE, SHIFT, 2, &start), 0);
	expect(create(SIZE, SHIFT, 2, &start), 0);
	for (int nth = 1; nth <= 2; nth++) {
		platform_fail(PLATFORM_LINK, nth, 1);
		expect(tce2_ddw_attach(&ddw, &group[1]->group), -ENOMEM);
		expect(!group[1]->walks[0] && !group[1]->walks[1], true);
		expect(group[1]->owned, false);
	}
	expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
	finish();
}

TEST(attach_clears_both_slots_of_the_group_or_fails)
{
	struct sim_counts before;

	begin(1, 3);
	expect(group[0]->left, 0);
	group[1] = platform_group(3);
	before = sim.now;
	for (int nth = 1; nth <= 2; nth++) {
		platform_fail(PLATFORM_UNSET, nth, 1);
		expect(tce2_ddw_attach(&ddw, &group[1]->group), -EIO);
		expect_counts(before);
		expect(group[1]->owned, false);
	}
	expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
	expect(group[1]->left, 0);
	finish();
}

/* The platform removes the windows from the group, but the container keeps its tables */
TEST(adding_a_device_does_not_free_a_table_in_use)
{
	struct tce2_window *window;
	u64 start;

	for (int groups = 1; groups <= 2; groups++) {
		begin(groups, 3);
		window = only_window(MIB(64), 2);
		expect(create(SIZE, SHIFT, 2, &start), 0);
		memory(UA, 64);
		expect(map(window, 5, 0, 16, RW), 0);
		for (int i = 0; i < groups; i++) {
			/* When the second device is added, the slots are already empty */
			platform_add_device(group[i]);
			platform_add_device(group[i]);
			expect(!group[i]->walks[0], true);
		}
		expect(platform_users(window->table.tbl), 1);
		expect_in_step(window, 64);
		expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
		expect(tce2_ddw_attach(&ddw, &group[0]->group), 0);
		expect(group[0]->walks[0] == window->table.tbl, true);
		expect(group[0]->walks[1] == ddw.window[1]->table.tbl, true);
		expect(unmap(window, 5, 16), 0);
		finish();
	}
}

TEST(adding_a_device_removes_a_hypervisors_window_from_its_group)
{
	u64 start;

	platform_kind = PLATFORM_HYPERVISOR;
	begin(1, 1);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(SIZE, SHIFT, 1, &start), 0);
	platform_add_device(group[0]);
	expect(platform_users(ddw.window[0]->table.tbl), 1);
	finish();
}

TEST(a_second_group_of_a_hypervisor_is_refused)
{
	platform_kind = PLATFORM_HYPERVISOR;
	for (u32 max_levels = 0; max_levels <= 1; max_levels++) {
		begin(1, max_levels);
		group[1] = platform_group(max_levels);
		memory(UA, 16);
		for (int windows = 0; windows < 2; windows++) {
			struct sim_counts before = sim.now;

			expect(tce2_ddw_attach(&ddw, &group[1]->group), -EPERM);
			expect(tce2_ddw_attach(&ddw, &group[0]->group), -EBUSY);
			expect(group[1]->owned, false);
			expect(!group[1]->walks[0], true);
			expect_counts(before);
			expect(tce2_ddw_map(&ddw, proc, REQUEST(0, UA, IOVA(1), RW)), 0);
		}
		/* After the first group is detached, the second group can be attached */
		expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
		expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
		expect(ddw.default_pending, true);
		finish();
	}
}

/* Entries are cleared before the window is removed, and memory is dropped after that */
TEST(detaching_a_hypervisors_group_clears_and_removes_its_windows)
{
	u64 start;

	platform_kind = PLATFORM_HYPERVISOR;
	begin(1, 1);
	expect(create(MIB(64), SHIFT, 1, &start), 0);
	expect(start, NOWHERE);
	memory(UA, 600);
	expect(map(ddw.window[0], 1, 1, 5, RW), 0);
	expect(map(ddw.window[1], 700, 0, 600, RW), 0);
	/* The table is freed with the hypervisor's window */
	expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
	expect(platform.held, 0);
	expect(platform.tables, 0);
	expect(platform.complaints, 0);
	expect(group[0]->owned, false);
	expect(ddw.default_pending, false);
	expect_no_window_of(1);
	expect(tce2_ddw_remove(&ddw, 0), -ENXIO);
	/* The container can be used with the next group */
	expect(tce2_ddw_attach(&ddw, &group[0]->group), 0);
	expect(ddw.default_pending, true);
	finish();
}

TEST(a_pending_default_window_is_removed_with_a_hypervisors_group)
{
	platform_kind = PLATFORM_HYPERVISOR;
	begin(1, 1);
	expect(ddw.default_pending, true);
	expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
	expect(ddw.default_pending, false);
	expect(tce2_ddw_unmap(&ddw, 0, IOVA(1)), -ENXIO);
	finish();
}

/* Tables in memory stay for the other groups, with all their mappings */
TEST(detaching_a_group_keeps_windows_and_mappings_for_the_others)
{
	struct tce2_window *window;

	begin(2, 3);
	window = only_window(MIB(64), 2);
	memory(UA, 64);
	expect(map(window, 5, 0, 16, RW), 0);
	for (int i = 0; i < 2; i++) {
		expect(tce2_ddw_detach(&ddw, &group[i]->group), 0);
		expect(ddw.window[0] == window, true);
		expect(!group[i]->walks[0], true);
		expect(platform_users(window->table.tbl), 3 - 2 * i);
		expect(platform.held, 16);
		expect_in_step(window, 64);
	}
	expect(tce2_ddw_attach(&ddw, &group[0]->group), 0);
	expect(group[0]->walks[0] == window->table.tbl, true);
	expect(ddw.default_pending, false);
	finish();
}

static struct tce2_creation created(u32 levels)
{
	struct tce2_window_spec spec = { SIZE, SHIFT, levels };
	struct tce2_creation creation;

	expect(tce2_ddw_create(&ddw, proc, &spec, &creation), 0);
	return creation;
}

/* No request finds an unpublished window, but it has its slot and is programmed */
TEST(a_window_is_not_found_before_it_is_published)
{
	struct tce2_creation creation;
	struct tce2_window *window;

	begin_empty(3);
	memory(UA, 16);
	creation = created(2);
	window = creation.window;
	expect(creation.start, 0);
	expect(ddw.window[0] == window, true);
	expect(group[0]->walks[0] == window->table.tbl, true);
	expect(tce2_ddw_map(&ddw, proc, REQUEST(0, UA, IOVA(1), RW)), -ENXIO);
	expect(tce2_ddw_unmap(&ddw, 0, IOVA(1)), -ENXIO);
	expect(tce2_ddw_remove(&ddw, 0), -EINVAL);
	expect(!tce2_window_get(window->table.tbl), true);
	expect(tce2_ddw_publish(&ddw, &creation), 0);
	expect(tce2_ddw_map(&ddw, proc, REQUEST(0, UA, IOVA(1), RW)), 0);
	expect(view_at(window, 0), UA | RW);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect_no_window();
	finish();
}

TEST(an_attached_group_gets_unpublished_windows_too)
{
	struct tce2_creation creation;

	begin_empty(3);
	creation = created(1);
	group[1] = platform_group(3);
	expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
	expect(group[1]->walks[0] == creation.window->table.tbl, true);
	expect(tce2_ddw_publish(&ddw, &creation), 0);
	finish();
}

TEST(an_answer_that_cannot_be_written_removes_the_window)
{
	struct tce2_creation creation;
	struct sim_counts before;

	begin_empty(3);
	before = sim.now;
	creation = created(2);
	tce2_ddw_cancel(&ddw, &creation);
	sim_grace_period();
	expect_counts(before);
	expect_no_window();
	finish();
}

/* The client's thread may be killed during a page fault on the answer */
TEST(cancel_removes_a_window_despite_a_signal)
{
	struct tce2_creation creation;
	struct sim_counts before;

	begin_empty(3);
	before = sim.now;
	creation = created(2);
	sim_fail(SIM_KILL, 1);
	tce2_ddw_cancel(&ddw, &creation);
	sim_fail_nothing();
	sim_grace_period();
	expect_counts(before);
	expect_no_window();
	finish();
}

/* VFIO may release the container during a page fault on the answer */
TEST(an_unpublished_window_is_removed_with_the_container)
{
	struct tce2_creation creation;

	for (int published = 0; published < 2; published++) {
		begin_empty(3);
		creation = created(2);
		tce2_ddw_destroy(&ddw);
		expect(platform.tables, 0);
		if (published)
			expect(tce2_ddw_publish(&ddw, &creation), -ENXIO);
		else
			tce2_ddw_cancel(&ddw, &creation);
		expect_no_window();
		finish();
	}
}

TEST(an_unpublished_window_is_removed_with_a_hypervisors_group)
{
	struct tce2_creation creation;

	platform_kind = PLATFORM_HYPERVISOR;
	for (int published = 0; published < 2; published++) {
		begin(1, 1);
		creation = created(1);
		expect(creation.start, NOWHERE);
		expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
		expect(platform.tables, 0);
		expect(platform.complaints, 0);
		if (published)
			expect(tce2_ddw_publish(&ddw, &creation), -ENXIO);
		else
			tce2_ddw_cancel(&ddw, &creation);
		finish();
	}
}

/* VFIO holds a lock that all containers share while it attaches a group */
TEST(attach_allocates_outside_the_memory_cgroup)
{
	struct sim before;

	begin_empty(3);
	before = sim;
	group[1] = platform_group(3);
	expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
	expect(sim.accounted, before.accounted);
	expect(sim.unaccounted, before.unaccounted + 1);
	finish();
}

/* Another thread has mapped in the window, or another module has a reference to it */
TEST(a_cancelled_create_keeps_a_default_window_in_use)
{
	struct tce2_creation creation;

	for (int use = 0; use < 3; use++) {
		struct tce2_window *other = NULL;

		begin(2, 3);
		memory(UA, 16);
		creation = created(2);
		expect(creation.start, NOWHERE);
		if (use == 1)
			expect(tce2_ddw_map(&ddw, proc, REQUEST(0, UA, IOVA(1), RW)), 0);
		if (use == 2)
			other = tce2_window_get(ddw.window[0]->table.tbl);
		tce2_ddw_cancel(&ddw, &creation);
		expect(ddw.default_pending, !use);
		expect(!ddw.window[0], !use);
		expect(!ddw.window[1], true);
		if (other)
			tce2_window_put(other);
		finish();
	}
}

/* The default window was removed, and another window was made in its slot */
TEST(a_cancelled_create_does_not_remove_a_window_made_meanwhile)
{
	struct tce2_creation creation;
	struct tce2_window *window;
	u64 start;

	begin(2, 3);
	creation = created(2);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(SIZE, SHIFT, 1, &start), 0);
	expect(start, 0);
	window = ddw.window[0];
	tce2_ddw_cancel(&ddw, &creation);
	expect(ddw.window[0] == window, true);
	expect(ddw.default_pending, false);
	expect(!ddw.window[1], true);
	finish();
}

TEST(a_failed_create_makes_the_default_window_pending_again)
{
	struct sim_counts before;
	u64 start;

	begin(2, 3);
	before = sim.now;
	for (int what = 0; what < 2; what++) {
		platform_fail(what ? PLATFORM_SET : PLATFORM_CREATE,
			      what ? 4 : 2, 1);
		expect(create(SIZE, SHIFT, 2, &start) < 0, true);
		expect(platform.fired, true);
		platform_fail_nothing();
		expect(ddw.default_pending, true);
		sim_grace_period();
		expect_counts(before);
		expect_no_window();
	}
	finish();
}

TEST(a_failed_create_keeps_the_default_window_of_a_hypervisor)
{
	u64 start;

	begin(1, 1);
	platform.hypervisor = true;
	platform_fail(PLATFORM_CREATE, 2, 1);
	expect(create(SIZE, SHIFT, 1, &start), -EIO);
	expect(ddw.default_pending, false);
	expect(!ddw.window[0], false);
	expect(!ddw.window[1], true);
	expect(sim.now.charged, platform.pages);
	finish();
}

/* The platform allocates levels during MAP_DMA, and prints an error if memory is short */
TEST(create_refuses_levels_larger_than_512_kib)
{
	const unsigned int most = 19 - 3; /* log2 of the TCEs in a level of 512 KiB */
	u64 start;

	begin(1, 5);
	expect(create(2ULL << (2 * most + 12), 12, 2, &start), -ENOMEM);
	expect(ddw.default_pending, true);
	expect(create(1ULL << (2 * most + 12), 12, 2, &start), 0);
	finish();
}

/* A request that is refused or has no effect leaves the default window pending */
TEST(unmap_before_any_map_makes_no_default_window)
{
	struct sim_counts before;

	begin(1, 3);
	before = sim.now;
	expect(tce2_ddw_unmap(&ddw, 0, IOVA(1)), 0);
	expect(ddw.default_pending, true);
	expect_counts(before);
	expect_no_window_of(1);
	finish();
}

TEST(refused_map_makes_no_default_window)
{
	static const struct tce2_map_request refused[] = {
		{ 0, UA, 0, RW },
		{ 0, UA, IOVA(1), 0 },
		{ 1, UA, IOVA(1), RW },
		{ 0, UA + 1, IOVA(1), RW },
		{ 0, UA, IOVA(1) + 1, RW },
		{ GIB(1) - IOVA(1), UA, IOVA(2), RW },
		{ 0, UA + PAGES(16), IOVA(1), RW }, /* not registered */
	};

	begin(1, 3);
	memory(UA, 16);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct sim_counts before = sim.now;

		expect(tce2_ddw_map(&ddw, proc, &refused[i]), -EINVAL);
		expect(ddw.default_pending, true);
		expect_counts(before);
		expect_no_window_of(1);
	}
	expect(tce2_ddw_map(&ddw, proc, REQUEST(0, UA, IOVA(1), RW)), 0);
	expect(ddw.default_pending, false);
	finish();
}

TEST(an_invalid_create_returns_einval_even_if_no_slot_is_free)
{
	u64 start;

	begin_empty(3);
	expect(create(SIZE, SHIFT, 1, &start), 0);
	expect(create(SIZE, SHIFT, 1, &start), 0);
	expect(create(SIZE, SHIFT + 1, 1, &start), -EINVAL);
	expect(create(3 * SIZE, SHIFT, 1, &start), -EINVAL);
	expect(create(SIZE, SHIFT, 0, &start), -EINVAL);
	expect(create(SIZE, SHIFT, 4, &start), -EINVAL);
	expect(create(SIZE, SHIFT, 1, &start), -ENOSPC);
	finish();
}

/* A hypervisor may support one window, and refuse all requests after a failed request */
TEST(create_makes_at_most_the_windows_that_each_group_supports)
{
	struct sim_counts before;
	u64 start;

	begin(2, 3);
	group[1]->tg.max_dynamic_windows_supported = 1;
	before = sim.now;
	platform.calls_to[PLATFORM_CREATE] = 0;
	/* The default window is pending in the only slot */
	expect(create(SIZE, SHIFT, 1, &start), -ENOSPC);
	expect(platform.calls_to[PLATFORM_CREATE], 0);
	expect(ddw.default_pending, true);
	expect_counts(before);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(SIZE, SHIFT, 1, &start), 0);
	expect(create(SIZE, SHIFT, 1, &start), -ENOSPC);
	expect(platform.calls_to[PLATFORM_CREATE], 1);
	finish();
}

TEST(group_without_the_page_size_of_a_window_is_refused)
{
	struct sim_counts before;
	u64 start;

	begin(1, 3);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(create(SIZE, 16, 1, &start), 0);
	group[1] = platform_group(3);
	group[1]->tg.pgsizes = BIT_ULL(12);
	before = sim.now;
	expect(tce2_ddw_attach(&ddw, &group[1]->group), -EPERM);
	expect(group[1]->owned, false);
	expect(!group[1]->walks[0], true);
	expect_counts(before);
	expect(tce2_ddw_remove(&ddw, start), 0);
	expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
	finish();
}

TEST(a_create_that_lacks_memory_at_any_point_leaves_no_window)
{
	static const enum sim_fault faults[] = { SIM_ALLOC, SIM_CHARGE,
						 SIM_KILL };
	u64 start;

	begin(2, 3);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		for (unsigned int nth = 1;; nth++) {
			struct sim_counts before;
			int ret;

			sim_grace_period();
			before = sim.now;
			sim_fail(faults[i], nth);
			ret = create(SIZE, SHIFT, 2, &start);
			if (!sim.fired) {
				sim_fail_nothing();
				expect(ret, 0);
				break;
			}
			sim_fail_nothing();
			expect(ret, faults[i] == SIM_KILL ? -EINTR : -ENOMEM);
			sim_grace_period();
			expect_counts(before);
			expect(ddw.default_pending, true);
			expect_no_window();
		}
		expect(tce2_ddw_remove(&ddw, 0), 0);
		expect(tce2_ddw_remove(&ddw, NOWHERE), 0);
		expect_no_window();
		ddw.default_pending = true;
	}
	finish();
}

TEST(a_window_that_the_platform_keeps_has_its_table_leaked)
{
	struct tce2_window *window;

	begin(2, 3);
	window = only_window(SIZE, 1);
	memory(UA, 64);
	expect(map(window, 0, 0, 16, RW), 0);
	platform_fail(PLATFORM_UNSET, 2, 1);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(platform.complaints, 1);
	expect(platform.tables, 1);
	expect(platform_mapped(group[1]->walks[0]), 0);
	expect(sim.now.charged, sim.now.pinned);
	expect(platform.held, 0);
	tce2_ddw_destroy(&ddw);
	platform_forget_leaked(1);
	finish();
}

TEST(a_window_that_a_leaving_group_keeps_has_its_table_leaked)
{
	struct tce2_window *window;
	struct tce2_region *region;

	begin(2, 3);
	window = only_window(SIZE, 1);
	region = memory(UA, 64);
	expect(map(window, 0, 0, 16, RW), 0);
	platform_fail(PLATFORM_UNSET, 1, 1);
	expect(tce2_ddw_detach(&ddw, &group[0]->group), 0);
	expect(window->kept_by_group, true);
	/* Devices may keep translations of all of these entries permanently */
	expect(unmap(window, 0, 4), 0);
	expect(map(window, 4, 40, 8, RW), 0);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	expect(tce2_mapped_sum(&region->mapped), 1 + 16 + 8);
	expect(tce2_region_unregister(region), -EBUSY);
	expect(platform.tables, 1);
	expect(sim.now.charged, sim.now.pinned);
	/* The module holds these pages permanently, so the test drops them */
	drop_pages(proc, UA, SHIFT, 16);
	drop_pages(proc, UA + IOVA(40), SHIFT, 8);
	tce2_ddw_destroy(&ddw);
	platform_forget_leaked(1);
	finish();
}

TEST(a_table_is_leaked_if_undoing_a_failed_create_fails_too)
{
	u64 start;

	begin_empty(3);
	platform_fail(PLATFORM_SET, 2, 1);
	platform_fail(PLATFORM_UNSET, 1, 1);
	expect(create(SIZE, SHIFT, 1, &start), -EIO);
	expect(platform.tables, 1);
	expect(platform.complaints, 1);
	expect(sim.now.charged, 0);
	expect(!ddw.window[0], true);
	tce2_ddw_destroy(&ddw);
	platform_forget_leaked(1);
	finish();
}

TEST(attach_fails_if_a_window_cannot_be_set_for_the_group)
{
	u64 start;

	begin(1, 3);
	expect(create(SIZE, SHIFT, 2, &start), 0);
	expect(start, NOWHERE);
	group[1] = platform_group(3);
	for (int nth = 1; nth <= 2; nth++) {
		platform_fail(PLATFORM_SET, nth, 1);
		expect(tce2_ddw_attach(&ddw, &group[1]->group), -EIO);
		expect(!group[1]->walks[0] && !group[1]->walks[1], true);
		expect(group[1]->owned, false);
		expect(platform_users(ddw.window[0]->table.tbl), 3);
		expect(platform_users(ddw.window[1]->table.tbl), 3);
	}
	expect(tce2_ddw_attach(&ddw, &group[1]->group), 0);
	expect(platform_users(ddw.window[1]->table.tbl), 5);
	finish();
}
