// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of copies: tce2_ddw_copy() of src/ddw.c, tce2_window_copy_runs() and
 * tce2_window_map_runs() of src/tce_v2.c, and their operation in a vector.
 */
#include <string.h>

#include <linux/vfio.h>

#include "client.h"
#include "sim_trace.h"
#include "sim_user.h"
#include "tce2_uapi.h"
#include "tce2_why.h"
#include "uapi/vfio_spapr_tce2.h"

#define MOST	VFIO_TCE2_MAX_COPY
#define PAGE4	IOVA(1)

static const struct tce2_window_spec second_window = {
	.size = MIB(64), .page_shift = 12, .levels = 1,
};

static u64 create_window(const struct tce2_window_spec *spec)
{
	struct tce2_creation creation;

	expect(tce2_container_create_window(container, spec, &creation), 0);
	expect(tce2_container_publish_window(container, &creation), 0);
	return creation.start;
}

/* A client with two windows of 4K pages and registered memory */
FIXTURE(two);
FIXTURE_SETUP(two)
{
	begin_client(1);
	expect(tce2_container_register(container, UA, PAGES(MEMORY_PAGES)), 0);
	expect(create_window(&second_window), NOWHERE);
}

FIXTURE_TEARDOWN(two)
{
	end_client();
}

static struct tce2_window *window(int slot)
{
	return container->ddw.window[slot];
}

static struct iommu_table *tbl(int slot)
{
	return window(slot)->table.tbl;
}

static int map_at(u64 iova, u64 ua, u64 size, u64 perm)
{
	return tce2_container_map(container, REQUEST(iova, ua, size, perm));
}

static int copy(u64 iova, u64 source, u64 size)
{
	return tce2_errno(tce2_container_copy(container, iova, source, size));
}

static void expect_entry(int slot, u64 index, u64 want)
{
	expect(view_at(window(slot), index), want);
	expect(!platform_tce(tbl(slot), index), !want);
}

TEST_F(two, a_copy_maps_the_same_memory_without_pin_and_charge)
{
	struct sim_counts before;
	u64 pin_calls, charge_calls;

	expect(map_at(0, UA, PAGE4 * 8, RW), 0);
	expect(map_at(NOWHERE + MIB(32), UA, PAGE4, RW), 0);
	before = sim.now;
	pin_calls = sim.pin_calls;
	charge_calls = sim.charge_calls;
	expect(copy(NOWHERE + MIB(32), 0, PAGE4 * 8), 0);
	expect(sim.pin_calls, pin_calls);
	expect(sim.charge_calls, charge_calls);
	expect(sim.now.pinned, before.pinned);
	expect(sim.now.charged, before.charged);
	for (u64 i = 0; i < 8; i++) {
		expect_entry(0, i, (UA + IOVA(i)) | RW);
		expect_entry(1, (MIB(32) >> 12) + i, (UA + IOVA(i)) | RW);
	}
	expect_entry(1, (MIB(32) >> 12) + 8, 0);
	expect(platform.held, 16);
	/* The copy does not depend on its source */
	expect(tce2_container_unmap(container, 0, PAGE4 * 8), 0);
	expect_entry(1, MIB(32) >> 12, UA | RW);
}

/* Scattered runs with different permissions, over several leaves */
static void map_many(u64 first, u64 count)
{
	for (u64 i = 0; i < count; i++)
		expect(map_at(first + IOVA(i), UA + IOVA(i * 7 % MEMORY_PAGES), PAGE4,
			      1 + i % 3), 0);
}

TEST_F(two, a_copy_keeps_the_permissions_of_each_entry)
{
	map_many(IOVA(LEAF - 50), 100);
	expect(copy(NOWHERE + IOVA(LEAF * 3 - 20), IOVA(LEAF - 50), IOVA(100)), 0);
	for (u64 i = 0; i < 100; i++)
		expect_entry(1, LEAF * 3 - 20 + i,
			     (UA + IOVA(i * 7 % MEMORY_PAGES)) | (1 + i % 3));
	expect(platform.held, 200);
}

TEST_F(two, a_copy_replaces_earlier_mappings)
{
	expect(map_at(0, UA, IOVA(4), TCE2_PERM_READ), 0);
	expect(map_at(NOWHERE, UA + IOVA(10), IOVA(6), RW), 0);
	expect(copy(NOWHERE + IOVA(1), 0, IOVA(4)), 0);
	expect_entry(1, 0, (UA + IOVA(10)) | RW);
	for (u64 i = 0; i < 4; i++)
		expect_entry(1, 1 + i, (UA + IOVA(i)) | TCE2_PERM_READ);
	expect_entry(1, 5, (UA + IOVA(15)) | RW);
	expect(platform.held, 10);
}

/* Both directions of an overlap, as memmove() */
TEST_F(two, source_and_destination_may_overlap)
{
	map_many(IOVA(10), 20);
	expect(copy(IOVA(15), IOVA(10), IOVA(20)), 0);
	for (u64 i = 0; i < 20; i++)
		expect_entry(0, 15 + i, (UA + IOVA(i * 7 % MEMORY_PAGES)) | (1 + i % 3));
	for (u64 i = 0; i < 5; i++)
		expect_entry(0, 10 + i, (UA + IOVA(i * 7 % MEMORY_PAGES)) | (1 + i % 3));
	expect(copy(IOVA(10), IOVA(15), IOVA(20)), 0);
	for (u64 i = 0; i < 20; i++)
		expect_entry(0, 10 + i, (UA + IOVA(i * 7 % MEMORY_PAGES)) | (1 + i % 3));
	expect(copy(IOVA(10), IOVA(10), IOVA(20)), 0);
	expect(platform.held, 25);
}

/**
 * struct bad_copy - a copy that is refused
 * @row: name of the row
 * @iova: destination
 * @source: source
 * @size: bytes
 * @error: errno
 * @why: rule
 */
static const struct bad_copy {
	const char *row;
	u64 iova, source, size;
	int error;
	enum tce2_why why;
} bad_copies[] = {
	{ "empty", NOWHERE, 0, 0, EINVAL, TCE2_WHY_EMPTY },
	{ "odd size", NOWHERE, 0, PAGE4 - 1, EINVAL, TCE2_WHY_MISALIGNED },
	{ "odd source", NOWHERE, 1, PAGE4, EINVAL, TCE2_WHY_MISALIGNED },
	{ "odd destination", NOWHERE + 1, 0, PAGE4, EINVAL, TCE2_WHY_MISALIGNED },
	{ "source in no window", NOWHERE, GIB(1), PAGE4, ENXIO, TCE2_WHY_NO_WINDOW },
	{ "destination in no window", GIB(1), 0, PAGE4, ENXIO, TCE2_WHY_NO_WINDOW },
	{ "source past its window", NOWHERE, GIB(1) - PAGE4, IOVA(2), EINVAL,
	  TCE2_WHY_PAST_WINDOW },
	{ "destination past its window", NOWHERE + MIB(64) - PAGE4, 0, IOVA(2), EINVAL,
	  TCE2_WHY_PAST_WINDOW },
	{ "all addresses", NOWHERE, 0, ~0ULL << 12, EINVAL, TCE2_WHY_PAST_WINDOW },
	{ "the last source", NOWHERE, ~0ULL << 12, PAGE4, ENXIO, TCE2_WHY_NO_WINDOW },
	{ "source not mapped", NOWHERE, IOVA(20), PAGE4, ENOENT,
	  TCE2_WHY_SOURCE_NOT_MAPPED },
	{ "source never used", NOWHERE, MIB(512), MIB(1), ENOENT,
	  TCE2_WHY_SOURCE_NOT_MAPPED },
	{ "hole in the source", NOWHERE, 0, IOVA(9), ENOENT, TCE2_WHY_SOURCE_NOT_MAPPED },
	{ "hole at the start", NOWHERE, IOVA(4), IOVA(2), ENOENT,
	  TCE2_WHY_SOURCE_NOT_MAPPED },
	{ "hole at the end", NOWHERE, IOVA(7), IOVA(3), ENOENT, TCE2_WHY_SOURCE_NOT_MAPPED },
};

TEST_F(two, a_refused_copy_changes_nothing_and_names_its_rule)
{
	struct sim_counts before;
	u64 sum[2];

	/* Entries 0 to 3 and 5 to 8 are mapped, and entry 0 of the destination */
	expect(map_at(0, UA, IOVA(4), RW), 0);
	expect(map_at(IOVA(5), UA, IOVA(4), RW), 0);
	expect(map_at(NOWHERE, UA, IOVA(1), RW), 0);
	sim_grace_period();
	before = sim.now;
	sum[0] = platform_sum(tbl(0));
	sum[1] = platform_sum(tbl(1));
	for (size_t i = 0; i < ARRAY_SIZE(bad_copies); i++) {
		const struct bad_copy *bad = &bad_copies[i];
		int ret = tce2_container_copy(container, bad->iova, bad->source, bad->size);

		row = bad->row;
		expect(tce2_errno(ret), -bad->error);
		expect(tce2_why_of(ret), bad->why);
		expect_counts(before);
		expect(platform.held, 9);
		expect(platform_sum(tbl(0)) == sum[0], true);
		expect(platform_sum(tbl(1)) == sum[1], true);
	}
}

TEST(a_copy_to_a_pending_default_window_makes_the_window)
{
	begin_client(1);
	expect(tce2_container_register(container, UA, PAGES(MEMORY_PAGES)), 0);
	expect(copy(0, IOVA(5), PAGE4), -ENOENT);
	expect(!window(0), true);
	/* The default window is pending while slot 1 has a window */
	create_window(&second_window);
	expect(map_at(NOWHERE, UA, IOVA(3), RW), 0);
	expect(tce2_container_remove_window(container, 0), 0);
	container->ddw.default_pending = true;
	expect(copy(IOVA(5), NOWHERE + IOVA(3), PAGE4), -ENOENT);
	expect(!window(0), true);
	expect(copy(IOVA(5), NOWHERE, IOVA(3)), 0);
	expect_entry(0, 5, UA | RW);
	expect_entry(0, 7, (UA + IOVA(2)) | RW);
	end_client();
}

/* Window 0 has pages of 4 KiB, window 1 pages of 64 KiB */
TEST(a_copy_to_larger_pages_needs_aligned_and_adjacent_memory)
{
	const struct tce2_window_spec large = {
		.size = MIB(64), .page_shift = 16, .levels = 1,
	};

	begin_client(1);
	expect(tce2_container_register(container, UA, PAGES(MEMORY_PAGES)), 0);
	expect(create_window(&large), NOWHERE);
	expect(map_at(0, UA, KIB(128), RW), 0);
	expect(copy(NOWHERE, 0, KIB(64)), 0);
	expect_entry(1, 0, UA | RW);
	expect(copy(NOWHERE, 0, KIB(32)), -EINVAL);
	expect(copy(NOWHERE, KIB(32), KIB(64)), -EINVAL);
	/* Two halves of different memory, and of different permissions */
	expect(map_at(KIB(32), UA, KIB(32), RW), 0);
	expect(copy(NOWHERE + KIB(64), 0, KIB(64)), -EINVAL);
	expect(map_at(KIB(32), UA + KIB(32), KIB(32), TCE2_PERM_READ), 0);
	expect(copy(NOWHERE + KIB(64), 0, KIB(64)), -EINVAL);
	expect_entry(1, 1, 0);
	/* Back to smaller pages, at any of them */
	expect(map_at(NOWHERE + KIB(64), UA + KIB(64), KIB(64), RW), 0);
	expect(copy(MIB(1) + PAGE4, NOWHERE, KIB(128)), 0);
	expect_entry(0, (MIB(1) >> 12) + 1, UA | RW);
	expect_entry(0, (MIB(1) >> 12) + 32, (UA + KIB(124)) | RW);
	end_client();
}

TEST_F(two, a_copy_of_more_than_512_runs_returns_e2big)
{
	/* Every second page, so that no two are adjacent */
	for (u64 i = 0; i <= MOST; i++)
		expect(map_at(IOVA(i), UA + IOVA(i * 2 % MEMORY_PAGES), PAGE4, RW), 0);
	expect(copy(NOWHERE, 0, IOVA(MOST + 1)), -E2BIG);
	expect(platform_mapped(tbl(1)), 0);
	expect(copy(NOWHERE, 0, IOVA(MOST)), 0);
	expect(platform_mapped(tbl(1)), MOST);
	/* Adjacent pages are one run */
	for (u64 i = 0; i < MOST; i++)
		expect(map_at(IOVA(i), UA + IOVA(i % MEMORY_PAGES), PAGE4, RW), 0);
	expect(copy(NOWHERE, 0, IOVA(MOST + 1)), 0);
}

#define LATER	(UA + GIB(2)) /* memory of the second run */

/* Another thread unmaps the source and unregisters memory of the second run, if not held */
static bool gone;

static void unregister_memory(void)
{
	expect(tce2_container_unmap(container, 0, IOVA(8)), 0);
	gone = !tce2_container_unregister(container, LATER, PAGES(8));
}

TEST_F(two, memory_unregistered_during_a_copy_is_not_mapped)
{
	unsigned int refused = 0;
	u64 pinned;

	map_contiguous(LATER, 8, 1000, true);
	expect(tce2_container_register(container, LATER, PAGES(8)), 0);
	pinned = sim.now.pinned;
	for (unsigned int nth = 1; nth < 10; nth++) {
		int ret;

		gone = false;
		expect(map_at(0, UA, IOVA(4), RW), 0);
		expect(map_at(IOVA(4), LATER, IOVA(4), RW), 0);
		sim_when(SIM_AT_LOOKUP, nth, unregister_memory);
		ret = copy(NOWHERE, 0, IOVA(8));
		sim_when(SIM_AT_LOOKUP, 0, NULL);
		expect(ret, gone ? -EINVAL : 0);
		if (!gone) {
			expect(tce2_container_unmap(container, NOWHERE, IOVA(8)), 0);
			continue;
		}
		refused++;
		expect(platform.held, 0);
		expect(platform_mapped(tbl(1)), 0);
		expect(sim.now.pinned, pinned - 8);
		expect(tce2_container_register(container, LATER, PAGES(8)), 0);
	}
	/* Before the first run is held, and before the second */
	expect(refused >= 2, true);
}

/*
 * Two runs meet in a leaf that becomes one run before the second is entered: the first run
 * fills the only hole of the leaf, and the second replaces the rest.
 */
TEST_F(two, a_copy_enters_its_runs_in_a_leaf_that_the_first_run_has_filled)
{
	const u64 ua = UA + GIB(1);

	map_contiguous(ua, IOVA(LEAF) >> PAGE_SHIFT, 1000, true);
	expect(tce2_container_register(container, ua, IOVA(LEAF)), 0);
	for (u64 i = 1; i < LEAF; i++)
		expect(map_at(NOWHERE + IOVA(i), ua + IOVA(i), PAGE4, RW), 0);
	expect(map_at(0, ua, PAGE4, RW), 0);
	for (u64 i = 1; i < 40; i++)
		expect(map_at(IOVA(i), ua + IOVA(3 * i), PAGE4, TCE2_PERM_READ), 0);
	expect(copy(NOWHERE, 0, IOVA(40)), 0);
	expect_entry(1, 0, ua | RW);
	for (u64 i = 1; i < 40; i++)
		expect_entry(1, i, (ua + IOVA(3 * i)) | TCE2_PERM_READ);
	for (u64 i = 40; i < LEAF; i++)
		expect_entry(1, i, (ua + IOVA(i)) | RW);
	expect(platform.held, LEAF + 40);
	expect(tce2_container_unmap(container, NOWHERE, IOVA(LEAF)), 0);
	expect(platform.held, 40);
}

/* Makes each call of a kind fail in turn: the copy returns @want and changes nothing */
static void each_fails_in_turn(enum sim_fault fault, int want)
{
	bool fired = true;

	for (unsigned int nth = 1; fired; nth++) {
		struct sim_counts before;
		u64 sum;
		int ret;

		two_setup();
		map_many(IOVA(LEAF - 20), 40);
		expect(map_at(NOWHERE + IOVA(LEAF - 10), UA, IOVA(3), RW), 0);
		before = sim.now;
		sum = platform_sum(tbl(1));
		sim_fail(fault, nth);
		ret = copy(NOWHERE + IOVA(LEAF - 10), IOVA(LEAF - 20), IOVA(40));
		fired = sim.fired;
		sim_fail_nothing();
		if (ret) {
			expect(ret, want);
			expect(fired, true);
			expect(platform_sum(tbl(1)) == sum, true);
			expect(platform.held, 43);
			expect(sim.now.pinned, before.pinned);
			expect(sim.now.charged, before.charged);
			expect(view_at(window(1), LEAF - 10), UA | RW);
			expect(view_at(window(1), LEAF - 7), 0);
			expect(copy(NOWHERE + IOVA(LEAF - 10), IOVA(LEAF - 20), IOVA(40)), 0);
		}
		expect(platform.held, 80);
		expect(nth > 1 || fired, true);
		two_teardown();
		sim_reset();
	}
}

TEST(any_failed_allocation_makes_a_copy_return_enomem)
{
	each_fails_in_turn(SIM_ALLOC, -ENOMEM);
}

TEST(a_fatal_signal_at_any_point_makes_a_copy_return_eintr)
{
	each_fails_in_turn(SIM_SIGNAL, -EINTR);
}

TEST(a_kill_during_any_wait_makes_a_copy_return_eintr)
{
	each_fails_in_turn(SIM_KILL, -EINTR);
}

/* Each TCE of a copy is refused in turn: all TCEs are restored */
TEST(a_tce_that_the_platform_refuses_leaves_the_destination_unchanged)
{
	for (unsigned int nth = 1; nth <= 40; nth++) {
		u64 sum;

		platform_kind = PLATFORM_ODD_FORMAT;
		two_setup();
		map_many(IOVA(LEAF - 20), 40);
		map_many(NOWHERE + IOVA(LEAF - 15), 10);
		sum = platform_sum(tbl(1));
		platform.error = -EIO;
		platform_fail(PLATFORM_XCHG, nth, 1);
		expect(copy(NOWHERE + IOVA(LEAF - 10), IOVA(LEAF - 20), IOVA(40)), -EIO);
		expect(platform.fired, true);
		platform_fail_nothing();
		expect(platform_sum(tbl(1)) == sum, true);
		expect(platform.held, 50);
		expect(copy(NOWHERE + IOVA(LEAF - 10), IOVA(LEAF - 20), IOVA(40)), 0);
		two_teardown();
		platform_kind = PLATFORM_MEMORY;
	}
}

/* All entries are restored, but devices of the detached group may have cached new entries */
TEST(a_failed_copy_in_a_window_kept_by_a_group_keeps_the_memory_held)
{
	platform_kind = PLATFORM_ODD_FORMAT;
	two_setup();
	map_many(0, 10);
	window(1)->kept_by_group = true;
	platform.refused = hpa_at(UA + IOVA(9 * 7));
	expect(copy(NOWHERE, 0, IOVA(10)), -EIO);
	expect(platform.complaints, 1);
	expect(platform.held, 20);
	expect(platform_mapped(tbl(1)), 0);
	for (u64 i = 0; i < 10; i++)
		drop_pages(container->cache, UA + IOVA(i * 7), SHIFT, 1);
	window(1)->kept_by_group = false;
	two_teardown();
	platform_kind = PLATFORM_MEMORY;
}

static struct vfio_tce2_range element;
static s32 result;

static long send(struct vfio_tce2_range one)
{
	struct {
		struct vfio_tce2_range element;
		u64 result;
		struct vfio_tce2_ranges vector;
	} blob = {
		.element = one,
		.vector = {
			.argsz = sizeof(struct vfio_tce2_ranges), .count = 1,
			.ranges = USER_END - sizeof(blob),
			.results = USER_END - sizeof(blob) + offsetof(typeof(blob), result),
		},
	};
	long ret = tce2_uapi_ioctl(cookie, VFIO_IOMMU_TCE2_RANGES,
				   user_place(&blob, sizeof(blob)) +
				   offsetof(typeof(blob), vector));

	user_look(&blob, sizeof(blob));
	result = (s32)blob.result;
	return ret;
}

TEST_F(two, a_copy_in_a_vector_is_counted_and_traced)
{
	char want[200];

	expect(tce2_uapi_ioctl(NULL, VFIO_CHECK_EXTENSION, VFIO_TCE2_COPY), 1);
	expect(map_at(0, UA, IOVA(4), RW), 0);
	element = (struct vfio_tce2_range){
		.iova = NOWHERE, .vaddr = 0, .size = IOVA(4), .op = VFIO_TCE2_OP_COPY,
	};
	expect(VFIO_TCE2_OP_COPY, 4);
	sim_trace(true);
	expect(send(element), 0);
	snprintf(want, sizeof(want), "copy %llu %llx 0 %llx 0\nranges %llu 1 1 0\n",
		 container->id, NOWHERE, IOVA(4), container->id);
	expect(strcmp(sim_events, want), 0);
	sim_trace(false);
	expect_entry(1, 3, (UA + IOVA(3)) | RW);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_COPY), 1);
	element.flags = 1;
	expect(send(element), -EINVAL);
	expect(result, -EINVAL);
	element.flags = 0;
	element.reserved = 1;
	expect(send(element), -EINVAL);
	element.reserved = 0;
	element.vaddr = IOVA(1);
	expect(send(element), -ENOENT);
	expect(result, -ENOENT);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_COPY), 4);
}
