// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: calls that threads begin at the same moment, between two barriers. Each
 * round is checked: the answers must fit some order of the calls, and the mappings,
 * registrations, charges and pins must fit the answers. If the answers show which call
 * came first, each possible order must occur in some round of a long race. This file has
 * the races of mappings and windows;
 * conformance_race_register.c has the races of registrations.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More than one leaf of the view, in 4 KiB IOMMU pages */
#define SIZE		MIB(4)
#define LAST		(SIZE - TCE_4K)
/* Start of the mapping, which is not the start of a leaf */
#define AT		(IOVA + TCE_4K)

/*
 * Map other memory before AT, and leave it mapped, so that the leaf is not a single run. In
 * a leaf that is a single run, most races between two threads would not show.
 */
static uint8_t *neighbour(struct vfio *v)
{
	uint8_t *ua = registered(v, base_page());

	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
	return ua;
}

/* Check that the mapping before AT is unchanged, and the only one of its memory */
static void expect_neighbour(struct vfio *v, uint8_t *ua)
{
	expect(spapr_unregister(v->fd, ua, base_page()), -EBUSY);
	device_reaches(v, 0, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	unregister_ok(v, ua, base_page());
}

static void device_reaches_both_ends(struct vfio *v, uint8_t *ua)
{
	device_reaches(v, 0, AT, ua);
	device_reaches(v, 0, AT + LAST, ua + LAST);
}

/*
 * Check that all of ua is mapped at AT: the region is busy while its first and last pages
 * are mapped, and while only its last page is mapped
 */
static void expect_mapped_whole(struct vfio *v, uint8_t *ua)
{
	if (now_and_then())
		device_reaches_both_ends(v, ua);
	expect(dma_unmap(v->fd, AT + TCE_4K, SIZE - 2 * TCE_4K), 0);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, AT, TCE_4K), 0);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, AT + LAST, TCE_4K), 0);
	unregister_ok(v, ua, SIZE);
	expect(spapr_register(v->fd, ua, SIZE), 0);
}

/*
 * Race: map, map
 */

static int map_one_of_two(struct call_race *race, int number)
{
	uint8_t **ua = race->arg;

	return dma_map(race->v->fd, AT, ua[number % 2], SIZE, READ_WRITE);
}

TEST(concurrent_maps_of_the_same_entries_leave_one_whole_mapping,
     .race = "map, map of the same entries", .intree = "defect 4", .crashes = true)
{
	uint8_t *ua[2] = { registered(v, SIZE), registered(v, SIZE) };
	uint8_t *before = neighbour(v);
	struct call_race race = {
		.v = v, .arg = ua, .run = map_one_of_two, .by_turns = true,
		.sides.outcome = {
			"times the second region was mapped in the end",
			"times the first region was mapped in the end",
		},
	};

	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		int first = spapr_unregister(v->fd, ua[0], SIZE);
		int last = first ? 0 : 1;

		expect(call_race_count(&race, 0, 1, 0), race.threads);
		/* The region that was mapped first has been replaced, so it is unregistered now */
		if (first) {
			expect(first, -EBUSY);
			unregister_ok(v, ua[1], SIZE);
		}
		expect(spapr_register(v->fd, ua[!last], SIZE), 0);
		expect_mapped_whole(v, ua[last]);
		/* The last map replaces the other map, so the side that mapped first has won */
		call_race_judge(&race, !last);
	}
	unregister_ok(v, ua[0], SIZE);
	unregister_ok(v, ua[1], SIZE);
	expect_neighbour(v, before);
}

/*
 * Each thread maps in a separate leaf that does not exist yet. The first of the maps also
 * makes the default window. If another map overwrote this window, its pages would stay
 * counted permanently (defect 15). Afterwards exactly one more window fits.
 */
#define APART		MIB(4)

static int map_first(struct call_race *race, int number)
{
	uint8_t *ua = race->arg;

	return dma_map(race->v->fd, IOVA + number * APART,
		       ua + number * base_page(), base_page(), READ_WRITE);
}

TEST(concurrent_first_maps_make_one_default_window,
     .setup = BARE, .race = "first map, first map", .intree = "defect 15",
     .crashes = true)
{
	struct call_race race = {
		.v = v, .run = map_first, .by_turns = true,
		.sides.outcome = {
			"times an even thread was the first",
			"times an odd thread was the first",
		},
	};
	size_t size = MAX_THREADS * base_page();
	uint8_t *ua = memory(size);
	struct ledger before = ledger();

	race.arg = ua;
	call_race_begin(&race, race_threads());
	while (race_goes_on()) {
		open_container(v, 0);
		expect(spapr_register(v->fd, ua, size), 0);
		score->rounds++;
		call_race_run(&race);
		expect(call_race_count(&race, 0, 1, 0), race.threads);
		call_race_judge(&race, call_race_first(&race) % 2);
		expect(spapr_unregister(v->fd, ua, size), -EBUSY);
		expect(dma_unmap(v->fd, IOVA, MAX_THREADS * APART), 0);
		unregister_ok(v, ua, size);
		expect(new_window(v, 12, MIB(64), 1), WINDOW1_START);
		expect(window_create(v->fd, 12, MIB(64), 1, NULL), -ENOSPC);
		expect(window_remove(v->fd, WINDOW1_START), 0);
		expect(window_remove(v->fd, 0), 0);
		expect_in_order("without windows", before, 0);
		vfio_close(v);
	}
	call_race_end(&race);
}

/*
 * The threads map below a table level that does not exist yet: the platform allocates it
 * for the first thread. In the largest window of two levels a level takes 8 base pages.
 * A second allocation of the same level would never be freed (defect 20).
 */
#define LEVEL		(8 * base_page())
/* Distance of the mapped pages: they share a table level, but no leaf of the view */
#define LEAF		MIB(2)
/* Memory that other processes may use in the rounds after FIRST_ROUNDS, which fill caches */
#define NOISE		MIB(3)
#define FIRST_ROUNDS	128
#define LATER_ROUNDS	128

/* Bytes of a window with two levels of LEVEL bytes and with pages of 4 KiB */
static uint64_t tree_size(void)
{
	return (LEVEL / sizeof(uint64_t)) * (LEVEL / sizeof(uint64_t)) *
	       TCE_4K;
}

static int map_in_leaf(struct call_race *race, int number)
{
	uint64_t *start = race->arg;

	return dma_map(race->v->fd, start[0] + number * LEAF,
		       (void *)start[1], TCE_4K, READ_WRITE);
}

/* Return taken_memory() after an RCU grace period, in which more memory is freed */
static int64_t memory_at_rest(void)
{
	usleep(patient_ms(300) * 1000);
	return taken_memory();
}

TEST(concurrent_first_maps_below_one_level_leak_no_level,
     .race = "first map, first map below one level", .intree = "defect 20")
{
	uint64_t arg[2] = { 0, (uint64_t)registered(v, base_page()) };
	struct call_race race = {
		.v = v, .arg = arg, .run = map_in_leaf, .by_turns = true,
		.sides.outcome = {
			"times an even thread was the first",
			"times an odd thread was the first",
		},
	};
	int64_t before = 0, lost;

	if (under_hypervisor())
		skip("on pseries tables have one level");
	if (LEVEL * LATER_ROUNDS < 8 * NOISE)
		skip("with 4K pages a lost level is too small to be measured");
	call_race_begin(&race, race_threads());
	while (race_goes_on() ||
	       score->rounds < FIRST_ROUNDS + LATER_ROUNDS) {
		arg[0] = new_window(v, 12, tree_size(), 2);
		score->rounds++;
		call_race_run(&race);
		expect(call_race_count(&race, 0, 1, 0), race.threads);
		call_race_judge(&race, call_race_first(&race) % 2);
		expect(window_remove(v->fd, arg[0]), 0);
		if (score->rounds == FIRST_ROUNDS)
			before = memory_at_rest();
	}
	call_race_end(&race);
	lost = memory_at_rest() - before;
	dprintf(STDOUT_FILENO, "# free memory has shrunk by %lld KiB%s\n",
		(long long)lost >> 10, has_plain_slabs() ? "" :
		", which the kernel's debugging may use");
	if (has_plain_slabs() && lost > (int64_t)NOISE)
		fail("%lld bytes are lost", (long long)lost);
}

/*
 * Race: map, unmap
 */

static int map_or_unmap(struct call_race *race, int number)
{
	if (number % 2)
		return dma_unmap(race->v->fd, AT, SIZE);
	return dma_map(race->v->fd, AT, race->arg, SIZE, READ_WRITE);
}

TEST(the_last_of_concurrent_map_and_unmap_decides_for_each_entry,
     .race = "map, unmap", .intree = "defect 4", .crashes = true)
{
	uint8_t *ua = registered(v, SIZE), *before = neighbour(v);
	struct call_race race = {
		.v = v, .arg = ua, .run = map_or_unmap, .by_turns = true,
		.sides.outcome = {
			"times unmapped in the end", "times mapped in the end",
		},
	};

	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		int ret = spapr_unregister(v->fd, ua, SIZE);

		expect(call_race_count(&race, 0, 1, 0), race.threads);
		if (ret) {
			expect(ret, -EBUSY);
			expect_mapped_whole(v, ua);
		} else {
			expect(spapr_register(v->fd, ua, SIZE), 0);
		}
		call_race_judge(&race, ret);
	}
	unregister_ok(v, ua, SIZE);
	expect_neighbour(v, before);
}

/*
 * Race: map, remove window
 */

#define SMALL_WINDOW	MIB(16)

static int map_or_remove_window(struct call_race *race, int number)
{
	int fd = race->v->fd;

	if (number == 0)
		return window_remove(fd, WINDOW1_START);
	if (number == 1)
		return dma_unmap(fd, WINDOW1_START, SIZE);
	return dma_map(fd, WINDOW1_START, race->arg, SIZE, READ_WRITE);
}

TEST(maps_in_a_window_being_removed_leave_no_mapping,
     .race = "map and unmap, remove window", .intree = "defect 4", .crashes = true)
{
	uint8_t *ua = registered(v, SIZE);
	struct call_race race = {
		.v = v, .arg = ua, .run = map_or_remove_window,
		.sides.outcome = {
			"times removed before each map", "times removed after a map",
		},
	};
	struct ledger before;

	mapped(v, IOVA, base_page());
	before = ledger();
	call_race_begin(&race, race_threads());
	while (race_goes_on()) {
		expect(new_window(v, 12, SMALL_WINDOW, 1), WINDOW1_START);
		score->rounds++;
		call_race_run(&race);
		expect(race.answer[0], 0);
		for (int i = 1; i < race.threads; i++)
			expect_either(race.answer[i], 0, -ENXIO);
		call_race_judge(&race, call_race_count(&race, 2, 1, 0));
		unregister_ok(v, ua, SIZE);
		expect(spapr_register(v->fd, ua, SIZE), 0);
		expect_in_order("window removed", before, 0);
	}
	call_race_end(&race);
}

static int remove_window(struct call_race *race, int number)
{
	(void)number;
	return window_remove(race->v->fd, WINDOW1_START);
}

TEST(exactly_one_of_concurrent_window_removals_succeeds,
     .race = "remove window, remove window")
{
	struct call_race race = {
		.v = v, .run = remove_window,
		.sides.outcome = {
			"times removed by the first thread",
			"times removed by another thread",
		},
	};
	struct ledger before;

	mapped(v, IOVA, base_page());
	before = ledger();
	call_race_begin(&race, race_threads());
	while (race_goes_on()) {
		expect(new_window(v, 12, SMALL_WINDOW, 1), WINDOW1_START);
		score->rounds++;
		call_race_run(&race);
		expect(call_race_count(&race, 0, 1, 0), 1);
		expect(call_race_count(&race, 0, 1, -EINVAL),
		       race.threads - 1);
		call_race_judge(&race, race.answer[0]);
		expect_in_order("window removed", before, 0);
	}
	call_race_end(&race);
}

/*
 * Race: attach a group, create a window
 */

#define GROUP_WINDOW	(WINDOW1_START + MIB(1))

static int attach_or_create_window(struct call_race *race, int number)
{
	struct vfio *v = race->v;

	if (number == 0)
		return vfio_attach(v, 1);
	if (number == 1)
		return window_remove(v->fd, WINDOW1_START);
	return window_create(v->fd, 12, SMALL_WINDOW, 1, NULL);
}

/**
 * struct watch - the second group's window, as the platform logs it
 * @log: descriptor of the log
 * @has: 1 if the group has the window, else 0
 * @given: number of times that the platform gave the window to the group
 */
struct watch {
	int log;
	int has;
	unsigned long given;
};

static void watch_window(struct watch *watch)
{
	char record[LOG_RECORD], name[16];

	snprintf(name, sizeof(name), "pci %.7s", vfio_device_name(1));
	while (next_record(watch->log, record)) {
		if (!strstr(record, name))
			continue;
		if (strstr(record, "Setting up window#1")) {
			watch->has++;
			watch->given++;
		} else if (strstr(record, "Removing DMA window #1")) {
			/* The platform logs this also when a group without the window attaches */
			watch->has = 0;
		}
	}
}

/*
 * Only DMA of the group's device shows that the group lacks a window, or has kept a
 * removed window. DMA in each round would be too slow, so the test reads the platform's
 * messages in the log.
 */
TEST(a_group_that_attaches_gets_exactly_the_existing_windows,
     .setup = BARE, .race = "attach, create and remove window", .intree = "defect 5")
{
	struct call_race race = {
		.v = v, .run = attach_or_create_window,
		.sides.outcome = {
			"times attached before most of the other calls",
			"times attached after most of the other calls",
		},
	};
	unsigned long windows_seen[2] = {};
	struct watch watch = {};
	uint8_t *ua;

	need_groups_that_share();
	watch.log = follow_log();
	open_container(v, 0);
	ua = mapped(v, IOVA, base_page());
	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		int windows = call_race_count(&race, 2, 1, 0) -
			      (race.answer[1] == 0);
		int map = dma_map(v->fd, GROUP_WINDOW, ua, base_page(),
				  READ_WRITE);

		expect(race.answer[0], 0);
		expect_either(race.answer[1], 0, -EINVAL);
		expect_either(windows, 0, 1);
		expect(map, windows ? 0 : -ENXIO);
		windows_seen[windows]++;
		call_race_judge(&race, race.place[0] >= race.threads / 2);
		if (score->rounds % 16 == 1) {
			device_reaches(v, 1, IOVA, ua);
			if (windows)
				device_reaches(v, 1, GROUP_WINDOW, ua);
		}
		watch_window(&watch);
		expect(watch.has, windows);
		expect(vfio_detach(v, 1), 0);
		watch_window(&watch);
		expect(watch.has, 0);
		if (windows)
			expect(window_remove(v->fd, WINDOW1_START), 0);
	}
	race_saw("times without a window in the end", windows_seen[0]);
	race_saw("times with a window in the end", windows_seen[1]);
	race_saw("windows given to the group", watch.given);
	close(watch.log);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

/*
 * Race: map, unregister
 */

static int map_or_unregister(struct call_race *race, int number)
{
	int fd = race->v->fd;

	if (number == 0)
		return spapr_unregister(fd, race->arg, SIZE);
	return dma_map(fd, AT, race->arg, SIZE, READ_WRITE);
}

/* If the map succeeds first, UNREGISTER_MEMORY must return EBUSY (defect 2) */
TEST(either_map_or_a_concurrent_unregister_succeeds,
     .race = "map, unregister", .intree = "defects 2, 3")
{
	uint8_t *ua = registered(v, SIZE);
	struct call_race race = {
		.v = v, .arg = ua, .run = map_or_unregister,
		.sides.outcome = { "times unregistered", "times mapped" },
	};

	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		int others = race.threads - 1;

		if (race.answer[0]) {
			expect(race.answer[0], -EBUSY);
			expect(call_race_count(&race, 1, 1, 0), others);
			expect_mapped_whole(v, ua);
		} else {
			expect(call_race_count(&race, 1, 1, -EINVAL), others);
			expect(spapr_register(v->fd, ua, SIZE), 0);
		}
		call_race_judge(&race, race.answer[0]);
	}
	unregister_ok(v, ua, SIZE);
}
