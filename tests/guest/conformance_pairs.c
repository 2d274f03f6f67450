// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: calls begun at the same moment, by threads that meet at a barrier
 * before and after. Each round is judged: the answers together must be those of
 * some order of the calls, and what is mapped, registered, charged and pinned
 * then must be what they say.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than one leaf of the map engine, in 4 KiB IOMMU pages */
#define SIZE		MIB(4)
#define LAST		(SIZE - TCE_4K)
/* Where it goes: not at the beginning of a leaf */
#define AT		(IOVA + TCE_4K)

/*
 * Mapped before AT for good, so that the leaf isn't one run, with which little
 * could go wrong between two threads
 */
static uint8_t *neighbour(struct vfio *v)
{
	uint8_t *ua = registered(v, base_page());

	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
	return ua;
}

/* It has stayed, alone */
static void expect_neighbour(struct vfio *v, uint8_t *ua)
{
	expect(spapr_unregister(v->fd, ua, base_page()), -EBUSY);
	device_reaches(v, 0, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	unregister_ok(v, ua, base_page());
}

/* What is lost stays lost, so it is enough to look every few rounds */
static void expect_in_order(const char *when, struct ledger before,
			    int64_t bytes)
{
	if (score->rounds % 8 == 1)
		expect_ledger(when, before, bytes);
}

static void device_reaches_both_ends(struct vfio *v, uint8_t *ua)
{
	device_reaches(v, 0, AT, ua);
	device_reaches(v, 0, AT + LAST, ua + LAST);
}

/* All of SIZE is mapped to ua: its first and last page each keep it busy */
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
 * Map and map
 */

static int map_one_of_two(struct contest *contest, int number)
{
	uint8_t **ua = contest->arg;

	return dma_map(contest->v->fd, AT, ua[number % 2], SIZE, READ_WRITE);
}

static void of_maps_of_the_same_entries_one_is_whole(struct vfio *v)
{
	uint8_t *ua[2] = { registered(v, SIZE), registered(v, SIZE) };
	uint8_t *before = neighbour(v);
	struct contest contest = { .v = v, .arg = ua, .run = map_one_of_two };

	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		int first = spapr_unregister(v->fd, ua[0], SIZE);
		int last = first ? 0 : 1;

		expect(contest_count(&contest, 0, 1, 0), contest.threads);
		/* One is as good as never mapped, and has been unregistered */
		if (first) {
			expect(first, -EBUSY);
			unregister_ok(v, ua[1], SIZE);
		}
		expect(spapr_register(v->fd, ua[!last], SIZE), 0);
		expect_mapped_whole(v, ua[last]);
	}
	unregister_ok(v, ua[0], SIZE);
	unregister_ok(v, ua[1], SIZE);
	expect_neighbour(v, before);
}

/*
 * Each its own leaf, of which none was there before, and the first of all makes
 * the default window (defect 15: one was lost). What one thread overwrites of
 * another's stays counted for good. Afterwards exactly one more window fits.
 */
#define APART		MIB(4)

static int map_first(struct contest *contest, int number)
{
	uint8_t *ua = contest->arg;

	return dma_map(contest->v->fd, IOVA + number * APART,
		       ua + number * base_page(), base_page(), READ_WRITE);
}

static void of_many_first_maps_one_makes_the_default_window(struct vfio *v)
{
	struct contest contest = { .v = v, .run = map_first };
	size_t size = MAX_THREADS * base_page();
	uint8_t *ua = memory(size);
	struct ledger before = ledger();

	contest.arg = ua;
	contest_begin(&contest, race_threads());
	while (race_goes_on()) {
		open_container(v, 0);
		expect(spapr_register(v->fd, ua, size), 0);
		score->rounds++;
		contest_run(&contest);
		expect(contest_count(&contest, 0, 1, 0), contest.threads);
		expect(spapr_unregister(v->fd, ua, size), -EBUSY);
		expect(dma_unmap(v->fd, IOVA, MAX_THREADS * APART), 0);
		unregister_ok(v, ua, size);
		expect(new_window(v, 12, MIB(64), 1), WINDOW1_START);
		expect(window_create(v->fd, 12, MIB(64), 1, NULL), -ENOSPC);
		expect(window_remove(v->fd, WINDOW1_START), 0);
		expect(window_remove(v->fd, 0), 0);
		expect_in_order("no window", before, 0);
		vfio_close(v);
	}
	contest_end(&contest);
}

/*
 * Map and unmap
 */

static int map_or_unmap(struct contest *contest, int number)
{
	if (number % 2)
		return dma_unmap(contest->v->fd, AT, SIZE);
	return dma_map(contest->v->fd, AT, contest->arg, SIZE, READ_WRITE);
}

static void of_map_and_unmap_the_last_decides_for_every_entry(struct vfio *v)
{
	uint8_t *ua = registered(v, SIZE), *before = neighbour(v);
	struct contest contest = { .v = v, .arg = ua, .run = map_or_unmap };
	unsigned int maps = 0, unmaps = 0;

	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		int ret = spapr_unregister(v->fd, ua, SIZE);

		expect(contest_count(&contest, 0, 1, 0), contest.threads);
		if (ret) {
			expect(ret, -EBUSY);
			expect_mapped_whole(v, ua);
			maps++;
		} else {
			expect(spapr_register(v->fd, ua, SIZE), 0);
			unmaps++;
		}
	}
	dprintf(STDOUT_FILENO, "# %u times mapped in the end, %u times not\n",
		maps, unmaps);
	unregister_ok(v, ua, SIZE);
	expect_neighbour(v, before);
}

/*
 * Map and remove window
 */

#define SMALL_WINDOW	MIB(16)

static int map_or_remove_window(struct contest *contest, int number)
{
	int fd = contest->v->fd;

	if (number == 0)
		return window_remove(fd, WINDOW1_START);
	if (number == 1)
		return dma_unmap(fd, WINDOW1_START, SIZE);
	return dma_map(fd, WINDOW1_START, contest->arg, SIZE, READ_WRITE);
}

static void maps_in_a_window_that_goes_leave_nothing_mapped(struct vfio *v)
{
	uint8_t *ua = registered(v, SIZE);
	struct contest contest = {
		.v = v, .arg = ua, .run = map_or_remove_window,
	};
	struct ledger before;

	mapped(v, IOVA, base_page());
	before = ledger();
	contest_begin(&contest, race_threads());
	while (race_goes_on()) {
		expect(new_window(v, 12, SMALL_WINDOW, 1), WINDOW1_START);
		score->rounds++;
		contest_run(&contest);
		expect(contest.answer[0], 0);
		for (int i = 1; i < contest.threads; i++)
			expect_either(contest.answer[i], 0, -ENXIO);
		unregister_ok(v, ua, SIZE);
		expect(spapr_register(v->fd, ua, SIZE), 0);
		expect_in_order("window removed", before, 0);
	}
	contest_end(&contest);
}

static int remove_window(struct contest *contest, int number)
{
	(void)number;
	return window_remove(contest->v->fd, WINDOW1_START);
}

static void of_removals_of_a_window_exactly_one_succeeds(struct vfio *v)
{
	struct contest contest = { .v = v, .run = remove_window };
	struct ledger before;

	mapped(v, IOVA, base_page());
	before = ledger();
	contest_begin(&contest, race_threads());
	while (race_goes_on()) {
		expect(new_window(v, 12, SMALL_WINDOW, 1), WINDOW1_START);
		score->rounds++;
		contest_run(&contest);
		expect(contest_count(&contest, 0, 1, 0), 1);
		expect(contest_count(&contest, 0, 1, -EINVAL),
		       contest.threads - 1);
		expect_in_order("window removed", before, 0);
	}
	contest_end(&contest);
}

/*
 * Attach and create window
 */

#define GROUP_WINDOW	(WINDOW1_START + MIB(1))

static int attach_or_create_window(struct contest *contest, int number)
{
	struct vfio *v = contest->v;

	if (number == 0)
		return vfio_attach(v, 1);
	if (number == 1)
		return window_remove(v->fd, WINDOW1_START);
	return window_create(v->fd, 12, SMALL_WINDOW, 1, NULL);
}

/* What the device takes would be most of the time in every round */
static void a_group_that_joins_has_the_windows_that_there_are(struct vfio *v)
{
	struct contest contest = { .v = v, .run = attach_or_create_window };
	uint8_t *ua;

	need_groups_that_share();
	open_container(v, 0);
	ua = mapped(v, IOVA, base_page());
	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		int windows = contest_count(&contest, 2, 1, 0) -
			      (contest.answer[1] == 0);
		int map = dma_map(v->fd, GROUP_WINDOW, ua, base_page(),
				  READ_WRITE);

		expect(contest.answer[0], 0);
		expect_either(contest.answer[1], 0, -EINVAL);
		expect_either(windows, 0, 1);
		expect(map, windows ? 0 : -ENXIO);
		if (score->rounds % 16 == 1) {
			device_reaches(v, 1, IOVA, ua);
			if (windows)
				device_reaches(v, 1, GROUP_WINDOW, ua);
		}
		expect(vfio_detach(v, 1), 0);
		if (windows)
			expect(window_remove(v->fd, WINDOW1_START), 0);
	}
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

/*
 * Map and unregister
 */

static int map_or_unregister(struct contest *contest, int number)
{
	int fd = contest->v->fd;

	if (number == 0)
		return spapr_unregister(fd, contest->arg, SIZE);
	return dma_map(fd, AT, contest->arg, SIZE, READ_WRITE);
}

/* Defect 2: a map that says 0 has mapped, and then unregister says EBUSY */
static void of_map_and_unregister_exactly_one_succeeds(struct vfio *v)
{
	uint8_t *ua = registered(v, SIZE);
	struct contest contest = { .v = v, .arg = ua, .run = map_or_unregister };
	unsigned int maps = 0, unregisters = 0;

	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		int others = contest.threads - 1;

		if (contest.answer[0]) {
			expect(contest.answer[0], -EBUSY);
			expect(contest_count(&contest, 1, 1, 0), others);
			expect_mapped_whole(v, ua);
			maps++;
		} else {
			expect(contest_count(&contest, 1, 1, -EINVAL), others);
			expect(spapr_register(v->fd, ua, SIZE), 0);
			unregisters++;
		}
	}
	dprintf(STDOUT_FILENO, "# %u maps, %u unregisters succeeded\n", maps,
		unregisters);
	unregister_ok(v, ua, SIZE);
}

/*
 * Register and register, unregister and unregister
 */

static int register_all(struct contest *contest, int number)
{
	(void)number;
	return spapr_register(contest->v->fd, contest->arg, SIZE);
}

static void of_registers_of_a_region_all_but_one_are_busy(struct vfio *v)
{
	uint8_t *ua = memory(SIZE);
	struct ledger before = ledger();
	struct contest contest = { .v = v, .arg = ua, .run = register_all };

	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		expect(contest_count(&contest, 0, 1, 0), 1);
		expect(contest_count(&contest, 0, 1, -EBUSY),
		       contest.threads - 1);
		expect_in_order("registered", before, SIZE);
		unregister_ok(v, ua, SIZE);
		expect_in_order("unregistered", before, 0);
	}
}

static size_t overlapping_size(int number)
{
	return SIZE + number % 2 * base_page();
}

static int register_overlapping(struct contest *contest, int number)
{
	return spapr_register(contest->v->fd, contest->arg,
			      overlapping_size(number));
}

/* One page more in every other thread */
static void of_overlapping_registers_exactly_one_succeeds(struct vfio *v)
{
	uint8_t *ua = memory(overlapping_size(1));
	struct ledger before = ledger();
	struct contest contest = {
		.v = v, .arg = ua, .run = register_overlapping,
	};

	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		int winner = contest_count(&contest, 0, 2, 0) ? 0 : 1;
		int all = contest_count(&contest, winner, 2, 0) +
			  contest_count(&contest, winner, 2, -EBUSY) +
			  contest_count(&contest, !winner, 2, -EINVAL);

		expect(contest_count(&contest, 0, 1, 0), 1);
		expect(all, contest.threads);
		expect_in_order("registered", before, overlapping_size(winner));
		unregister_ok(v, ua, overlapping_size(winner));
		expect_in_order("unregistered", before, 0);
	}
}

static int unregister_all(struct contest *contest, int number)
{
	(void)number;
	return spapr_unregister(contest->v->fd, contest->arg, base_page());
}

static void of_unregisters_of_a_region_exactly_one_succeeds(struct vfio *v)
{
	uint8_t *ua = memory(base_page());
	struct ledger before = ledger();
	struct contest contest = { .v = v, .arg = ua, .run = unregister_all };

	contest_begin(&contest, race_threads());
	while (race_goes_on()) {
		expect(spapr_register(v->fd, ua, base_page()), 0);
		score->rounds++;
		contest_run(&contest);
		expect(contest_count(&contest, 0, 1, 0), 1);
		expect(contest_count(&contest, 0, 1, -ENOENT),
		       contest.threads - 1);
		expect_in_order("unregistered", before, 0);
	}
	contest_end(&contest);
}

/* Two containers, threads by turns in one and the other, and one region */
struct shared_region {
	struct vfio *v[2];
	uint8_t *ua;
	bool unregister;
};

static int register_shared(struct contest *contest, int number)
{
	struct shared_region *shared = contest->arg;
	int fd = shared->v[number % 2]->fd;

	if (shared->unregister)
		return spapr_unregister(fd, shared->ua, base_page());
	return spapr_register(fd, shared->ua, base_page());
}

/* Of the threads of each container one has succeeded */
static void expect_one_each(const struct contest *contest, int others)
{
	for (int i = 0; i < 2; i++) {
		int threads = (contest->threads + 1 - i) / 2;

		expect(contest_count(contest, i, 2, 0), 1);
		expect(contest_count(contest, i, 2, others), threads - 1);
	}
}

static void two_containers_at_once_pin_and_unpin_a_region_once(struct vfio *v)
{
	struct vfio other;
	struct shared_region shared = { .v = { v, &other } };
	struct contest contest = { .arg = &shared, .run = register_shared };
	struct ledger before;

	if (vfio_devices() < 2)
		skip("needs two edu devices");
	open_container(&other, 1);
	shared.ua = memory(base_page());
	before = ledger();
	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		expect_one_each(&contest, -EBUSY);
		expect_in_order("registered in both", before, base_page());
		shared.unregister = true;
		contest_run(&contest);
		expect_one_each(&contest, -ENOENT);
		expect_in_order("unregistered in both", before, 0);
		shared.unregister = false;
	}
	vfio_close(&other);
}

/* One container unmaps the last page while the other takes the region up again */
static int abandon_or_join(struct contest *contest, int number)
{
	struct shared_region *shared = contest->arg;

	if (number == 0)
		return dma_unmap(shared->v[1]->fd, IOVA, base_page());
	return spapr_register(shared->v[1]->fd, shared->ua, base_page());
}

static void a_region_is_joined_or_made_anew_while_its_last_user_goes(
	struct vfio *v)
{
	struct vfio other;
	struct shared_region shared = { .v = { v, &other } };
	struct contest contest = { .arg = &shared, .run = abandon_or_join };
	struct ledger before;
	uint8_t *ua;

	if (vfio_devices() < 2)
		skip("needs two edu devices");
	open_container(&other, 1);
	/* It has its own, and the default window that is charged once and for all */
	mapped(&other, SINK_IOVA, base_page());
	ua = shared.ua = memory(base_page());
	before = ledger();
	contest_begin(&contest, race_threads());
	while (race_goes_on()) {
		open_container(v, 0);
		expect(spapr_register(v->fd, ua, base_page()), 0);
		expect(dma_map(other.fd, IOVA, ua, base_page(), READ_WRITE), 0);
		/* Nobody has it registered now, but it is mapped */
		vfio_close(v);
		score->rounds++;
		contest_run(&contest);
		expect(contest.answer[0], 0);
		expect(contest_count(&contest, 1, 1, 0), 1);
		expect_in_order("registered once more", before, base_page());
		unregister_ok(&other, ua, base_page());
		expect_in_order("unregistered", before, 0);
	}
	contest_end(&contest);
	vfio_close(&other);
}

/*
 * munmap and register, map
 */

static void map_again(uint8_t *ua, size_t size)
{
	if (mmap(ua, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != ua)
		fail("mmap");
}

/* Away and back, so that registering may see it whole, in part or not */
static int munmap_or_register(struct contest *contest, int number)
{
	uint8_t *ua = contest->arg, *half = ua + SIZE / 2;

	for (int i = 0; !number && i < 8; i++) {
		munmap(half, SIZE / 2);
		map_again(half, SIZE / 2);
	}
	if (!number)
		return 0;
	return spapr_register(contest->v->fd, ua, SIZE);
}

static void registering_what_is_being_unmapped_pins_all_or_nothing(
	struct vfio *v)
{
	uint8_t *ua = memory(SIZE);
	struct contest contest = { .v = v, .arg = ua, .run = munmap_or_register };
	unsigned int faults = 0, registers = 0;
	struct ledger before = ledger();

	contest_begin(&contest, race_threads());
	while (contest_round(&contest)) {
		int done = contest_count(&contest, 1, 1, 0);
		int faulted = contest_count(&contest, 1, 1, -EFAULT);

		/* Who comes after one that has succeeded is busy */
		expect(done + faulted + contest_count(&contest, 1, 1, -EBUSY),
		       contest.threads - 1);
		expect_either(done, 0, 1);
		faults += faulted;
		registers += done;
		expect_in_order("registered or not", before, done ? SIZE : 0);
		if (done)
			unregister_ok(v, ua, SIZE);
		expect_in_order("unregistered", before, 0);
	}
	dprintf(STDOUT_FILENO, "# %u found a hole, %u registered\n", faults,
		registers);
}

static int munmap_or_map(struct contest *contest, int number)
{
	uint8_t *ua = contest->arg;

	if (number == 0)
		return munmap(ua, SIZE);
	return dma_map(contest->v->fd, IOVA, ua, SIZE, READ_WRITE);
}

/*
 * What is registered can be mapped although the process has it no more, for it
 * is pinned; a page given back and used by somebody else would be a disaster
 */
static void mapping_what_is_being_unmapped_maps_what_was_registered(
	struct vfio *v)
{
	uint8_t *ua = memory(SIZE);
	struct contest contest = { .v = v, .arg = ua, .run = munmap_or_map };
	struct ledger before;

	/* What the default window costs isn't the matter */
	mapped(v, SINK_IOVA, base_page());
	before = ledger();
	contest_begin(&contest, race_threads());
	while (race_goes_on()) {
		map_again(ua, SIZE);
		expect(spapr_register(v->fd, ua, SIZE), 0);
		score->rounds++;
		contest_run(&contest);
		expect(contest_count(&contest, 0, 1, 0), contest.threads);
		expect_in_order("unmapped from the process", before, SIZE);
		expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
		expect(dma_unmap(v->fd, IOVA, SIZE), 0);
		unregister_ok(v, ua, SIZE);
		expect_in_order("unregistered", before, 0);
	}
	contest_end(&contest);
}

/*
 * Two processes and one container
 */

/* Shared by two processes, which have the same descriptors */
struct owners {
	pthread_barrier_t barrier;
	volatile int fd;
	volatile bool over;
	volatile int answer;
	uint8_t *ua;
};

static void be_the_other_owner(struct owners *owners)
{
	for (;;) {
		pthread_barrier_wait(&owners->barrier);
		if (owners->over)
			_exit(0);
		owners->answer = spapr_register(owners->fd, owners->ua,
						base_page());
		race_turn();
		pthread_barrier_wait(&owners->barrier);
		/* The winner's goes with the container */
		pthread_barrier_wait(&owners->barrier);
	}
}

static int start_the_other_owner(struct owners *owners)
{
	pthread_barrierattr_t attr;
	int pid;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&owners->barrier, &attr, 2);
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		fail("clone");
	if (!pid)
		be_the_other_owner(owners);
	race_has_threads(1);
	return pid;
}

static void of_two_processes_that_bind_a_container_one_owns_it(struct vfio *v)
{
	struct owners *owners = shared_memory(sizeof(*owners));
	int64_t locked = vmlck();
	int pid, wins = 0;

	owners->ua = memory(base_page());
	pid = start_the_other_owner(owners);
	while (race_round()) {
		int mine;

		open_container(v, 0);
		owners->fd = v->fd;
		pthread_barrier_wait(&owners->barrier);
		mine = spapr_register(v->fd, owners->ua, base_page());
		pthread_barrier_wait(&owners->barrier);
		expect(mine, owners->answer ? 0 : -EPERM);
		expect(owners->answer, mine ? 0 : -EPERM);
		expect(vmlck() - locked, mine ? 0 : base_page());
		vfio_close(v);
		expect(vmlck(), locked);
		wins += !mine;
		pthread_barrier_wait(&owners->barrier);
	}
	owners->over = true;
	pthread_barrier_wait(&owners->barrier);
	expect_child_ok(pid);
	dprintf(STDOUT_FILENO, "# the first process won %d times\n", wins);
}

static const struct test tests[] = {
	TEST(of_maps_of_the_same_entries_one_is_whole,
	     .race = "map, map of the same entries", .intree = "defect 4",
	     .crashes = true),
	TEST(of_many_first_maps_one_makes_the_default_window, .setup = BARE,
	     .race = "first map, first map", .intree = "defect 15",
	     .crashes = true),
	TEST(of_map_and_unmap_the_last_decides_for_every_entry,
	     .race = "map, unmap", .intree = "defect 4", .crashes = true),
	TEST(maps_in_a_window_that_goes_leave_nothing_mapped,
	     .race = "map and unmap, remove window", .intree = "defect 4",
	     .crashes = true),
	TEST(of_removals_of_a_window_exactly_one_succeeds,
	     .race = "remove window, remove window"),
	TEST(a_group_that_joins_has_the_windows_that_there_are, .setup = BARE,
	     .race = "attach, create and remove window", .intree = "defect 5"),
	TEST(of_map_and_unregister_exactly_one_succeeds,
	     .race = "map, unregister", .intree = "defects 2, 3"),
	TEST(of_registers_of_a_region_all_but_one_are_busy,
	     .race = "register, register of the same region",
	     .intree = "defect 18: unpins later"),
	TEST(of_overlapping_registers_exactly_one_succeeds,
	     .race = "register, register that overlaps",
	     .intree = "defect 18: unpins later"),
	TEST(of_unregisters_of_a_region_exactly_one_succeeds,
	     .race = "unregister, unregister",
	     .intree = "defect 18: unpins later"),
	TEST(two_containers_at_once_pin_and_unpin_a_region_once,
	     .race = "register, register in another container",
	     .intree = "defect 18: unpins later"),
	TEST(a_region_is_joined_or_made_anew_while_its_last_user_goes,
	     .setup = BARE, .race = "last unmap, register",
	     .intree = "defect 3"),
	TEST(registering_what_is_being_unmapped_pins_all_or_nothing,
	     .race = "munmap, register",
	     .intree = "defect 18: unpins later"),
	TEST(mapping_what_is_being_unmapped_maps_what_was_registered,
	     .race = "munmap, map", .intree = "defect 18: unpins later"),
	TEST(of_two_processes_that_bind_a_container_one_owns_it, .setup = BARE,
	     .race = "register, register of another process",
	     .intree = "the process is checked once"),
};

SUITE(pairs_suite, tests);
