// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: threads, containers and processes that register the same memory at the
 * same moment, or while another thread unmaps it. As in conformance_race_map.c, each
 * round is checked, and each possible order of the calls must occur in some round.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <sys/mman.h>
#include <unistd.h>

#define SIZE		MIB(4)

/*
 * Races: register, register; unregister, unregister
 */

static int register_all(struct call_race *race, int number)
{
	(void)number;
	return spapr_register(race->v->fd, race->arg, SIZE);
}

TEST(concurrent_registers_of_a_region_return_ebusy_except_one,
     .race = "register, register of the same region",
     .intree = "defect 18: unpins pages late")
{
	uint8_t *ua = memory(SIZE);
	struct ledger before = ledger();
	struct call_race race = {
		.v = v, .arg = ua, .run = register_all,
		.sides.outcome = {
			"times registered by the first thread",
			"times registered by another thread",
		},
	};

	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		expect(call_race_count(&race, 0, 1, 0), 1);
		expect(call_race_count(&race, 0, 1, -EBUSY),
		       race.threads - 1);
		call_race_judge(&race, race.answer[0]);
		expect_in_order("registered", before, SIZE);
		unregister_ok(v, ua, SIZE);
		expect_in_order("unregistered", before, 0);
	}
}

static size_t overlapping_size(int number)
{
	return SIZE + number % 2 * base_page();
}

static int register_overlapping(struct call_race *race, int number)
{
	return spapr_register(race->v->fd, race->arg,
			      overlapping_size(number));
}

/* Every other thread registers one page more */
TEST(exactly_one_of_concurrent_overlapping_registers_succeeds,
     .race = "register, register that overlaps", .intree = "defect 18: unpins pages late")
{
	uint8_t *ua = memory(overlapping_size(1));
	struct ledger before = ledger();
	struct call_race race = {
		.v = v, .arg = ua, .run = register_overlapping,
		.by_turns = true,
		.sides.outcome = {
			"times the shorter range won", "times the longer range won",
		},
	};

	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		int winner = call_race_count(&race, 0, 2, 0) ? 0 : 1;
		int all = call_race_count(&race, winner, 2, 0) +
			  call_race_count(&race, winner, 2, -EBUSY) +
			  call_race_count(&race, !winner, 2, -EINVAL);

		/* Another thread may have seen the range of a call that failed later */
		if (injecting())
			all = 1 + call_race_count(&race, 0, 1, -EBUSY) +
			      call_race_count(&race, 0, 1, -EINVAL);
		expect(call_race_count(&race, 0, 1, 0), 1);
		expect(all, race.threads);
		call_race_judge(&race, winner);
		expect_in_order("registered", before, overlapping_size(winner));
		unregister_ok(v, ua, overlapping_size(winner));
		expect_in_order("unregistered", before, 0);
	}
}

static int unregister_all(struct call_race *race, int number)
{
	(void)number;
	return spapr_unregister(race->v->fd, race->arg, base_page());
}

TEST(exactly_one_of_concurrent_unregisters_succeeds,
     .race = "unregister, unregister", .intree = "defect 18: unpins pages late")
{
	uint8_t *ua = memory(base_page());
	struct ledger before = ledger();
	struct call_race race = {
		.v = v, .arg = ua, .run = unregister_all,
		.sides.outcome = {
			"times unregistered by the first thread",
			"times unregistered by another thread",
		},
	};

	call_race_begin(&race, race_threads());
	while (race_goes_on()) {
		expect(spapr_register(v->fd, ua, base_page()), 0);
		score->rounds++;
		call_race_run(&race);
		expect(call_race_count(&race, 0, 1, 0), 1);
		/* EBUSY while the memory is being unpinned */
		expect(call_race_count(&race, 0, 1, -ENOENT) +
		       call_race_count(&race, 0, 1, -EBUSY),
		       race.threads - 1);
		call_race_judge(&race, race.answer[0]);
		expect_in_order("unregistered", before, 0);
	}
	call_race_end(&race);
}

/* Two containers and one region; even threads use the first container, odd threads the second */
struct shared_region {
	struct vfio *v[2];
	uint8_t *ua;
	uint64_t iova;
	bool unregister;
};

/* Number of regions that are mapped, but not registered any more */
#define LEFT	16

static int register_shared(struct call_race *race, int number)
{
	struct shared_region *shared = race->arg;
	int fd = shared->v[number % 2]->fd;

	if (shared->unregister)
		return spapr_unregister(fd, shared->ua, base_page());
	return spapr_register(fd, shared->ua, base_page());
}

/* Check that a single call in each container returned 0, and all other calls @one or @other */
static void expect_one_each(const struct call_race *race, int one, int other)
{
	for (int i = 0; i < 2; i++) {
		int threads = (race->threads + 1 - i) / 2;
		int others = call_race_count(race, i, 2, one);

		if (other != one)
			others += call_race_count(race, i, 2, other);
		expect(call_race_count(race, i, 2, 0), 1);
		expect(others, threads - 1);
	}
}

TEST(two_containers_at_once_pin_and_unpin_a_region_once,
     .race = "register, register in another container",
     .intree = "defect 18: unpins pages late")
{
	struct vfio other;
	struct shared_region shared = { .v = { v, &other } };
	struct call_race race = {
		.arg = &shared, .run = register_shared, .by_turns = true,
		.sides.outcome = {
			"times one container was first", "times the other was first",
		},
	};
	struct ledger before;

	need_two_devices();
	open_container(&other, 1);
	shared.ua = memory(base_page());
	before = ledger();
	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		expect_one_each(&race, -EBUSY, -EBUSY);
		call_race_judge(&race, call_race_first(&race) % 2);
		expect_in_order("registered in both", before, base_page());
		shared.unregister = true;
		call_race_run(&race);
		/* EBUSY while the memory is being unpinned */
		expect_one_each(&race, -ENOENT, -EBUSY);
		call_race_judge(&race, call_race_first(&race) % 2);
		expect_in_order("unregistered in both", before, 0);
		shared.unregister = false;
	}
	vfio_close(&other);
}

/*
 * Unmap the last page of a region that no container has registered, while other threads
 * register the region again.
 */
static int unmap_or_register(struct call_race *race, int number)
{
	struct shared_region *shared = race->arg;

	if (number == 0)
		return dma_unmap(shared->v[1]->fd, shared->iova, base_page());
	return spapr_register(shared->v[1]->fd, shared->ua, base_page());
}

/* Make regions that are mapped, but that no container has registered any more */
static void leave_only_mapped(struct vfio *v, struct vfio *other, uint8_t *ua)
{
	uint64_t p = base_page();

	open_container(v, 0);
	for (int i = 0; i < LEFT; i++)
		expect(spapr_register(v->fd, ua + i * p, p), 0);
	expect(dma_map(other->fd, IOVA, ua, LEFT * p, READ_WRITE), 0);
	vfio_close(v);
	mprotect(ua, LEFT * p, PROT_READ);
}

/*
 * The process has lost write access to the page since the region was created. So
 * devices may write to the page only if the old region was joined, not if it was
 * created again.
 */
static bool is_created_again(const struct shared_region *shared)
{
	int fd = shared->v[1]->fd;
	int ret = dma_map(fd, shared->iova, shared->ua, base_page(),
			  READ_WRITE);

	expect_either(ret, 0, -EPERM);
	if (!ret)
		expect(dma_unmap(fd, shared->iova, base_page()), 0);
	return ret;
}

/* Run a round with one region; @bytes were pinned before, including this region */
static void take_up_region(struct call_race *race, struct ledger before,
			   int64_t bytes)
{
	struct shared_region *shared = race->arg;

	score->rounds++;
	call_race_run(race);
	expect(race->answer[0], 0);
	expect(call_race_count(race, 1, 1, 0), 1);
	expect(call_race_count(race, 1, 1, -EBUSY), race->threads - 2);
	expect_in_order("registered again", before, bytes);
	call_race_judge(race, !is_created_again(shared));
	unregister_ok(shared->v[1], shared->ua, base_page());
	expect_in_order("unregistered", before, bytes - base_page());
}

TEST(register_during_the_last_unmap_joins_or_recreates_the_region,
     .setup = BARE, .race = "last unmap, register", .intree = "defect 3")
{
	struct vfio other;
	struct shared_region shared = { .v = { v, &other } };
	struct call_race race = {
		.arg = &shared, .run = unmap_or_register,
		.sides.outcome = { "times created again", "times joined" },
	};
	struct ledger before;
	uint8_t *ua;

	need_two_devices();
	open_container(&other, 1);
	/* Charge the other container's memory and default window before ledger() */
	mapped(&other, SINK_IOVA, base_page());
	ua = memory(LEFT * base_page());
	before = ledger();
	call_race_begin(&race, race_threads());
	while (race_goes_on()) {
		leave_only_mapped(v, &other, ua);
		for (int i = 0; i < LEFT; i++) {
			shared.ua = ua + i * base_page();
			shared.iova = IOVA + i * base_page();
			take_up_region(&race, before,
				       (LEFT - i) * base_page());
		}
		mprotect(ua, LEFT * base_page(), PROT_READ | PROT_WRITE);
	}
	call_race_end(&race);
	vfio_close(&other);
}

/*
 * Race: close, register. Close puts the container's reference to the region, without checking
 * for other users. Meanwhile another container registers and unregisters the region.
 */

static int close_or_register(struct call_race *race, int number)
{
	struct shared_region *shared = race->arg;
	int fd = shared->v[1]->fd;

	if (number == 0) {
		vfio_close(shared->v[0]);
		return 0;
	}
	do {
		expect(spapr_register(fd, shared->ua, base_page()), 0);
		if (race->done)
			return 1;
		expect(spapr_unregister(fd, shared->ua, base_page()), 0);
	} while (!race->done);
	return 0;
}

TEST(a_region_registered_elsewhere_outlives_the_close_of_a_container,
     .setup = BARE, .race = "close, register and unregister in another container",
     .intree = "defect 18: unpins pages late")
{
	struct vfio other;
	struct shared_region shared = { .v = { v, &other } };
	struct call_race race = {
		.arg = &shared, .run = close_or_register,
		.sides.outcome = {
			"times registered at the close", "times not registered",
		},
	};
	struct ledger before;

	need_two_devices();
	open_container(&other, 1);
	shared.ua = memory(base_page());
	before = ledger();
	call_race_begin(&race, 2);
	while (race_goes_on()) {
		open_container(v, 0);
		expect(spapr_register(v->fd, shared.ua, base_page()), 0);
		score->rounds++;
		call_race_run(&race);
		call_race_judge(&race, !race.answer[1]);
		if (race.answer[1]) {
			expect_in_order("registered in one", before,
					base_page());
			unregister_ok(&other, shared.ua, base_page());
		}
		expect_in_order("unregistered", before, 0);
	}
	call_race_end(&race);
	vfio_close(&other);
}

/*
 * Races: munmap, register; munmap, map
 */

static void map_again(uint8_t *ua, size_t size)
{
	if (mmap(ua, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != ua)
		fail("mmap");
}

/* Unmap half of the memory and map it again: a registration finds all of it, or a hole */
static int munmap_or_register(struct call_race *race, int number)
{
	uint8_t *ua = race->arg, *half = ua + SIZE / 2;

	if (number)
		return spapr_register(race->v->fd, ua, SIZE);
	do {
		munmap(half, SIZE / 2);
		map_again(half, SIZE / 2);
	} while (!race->done);
	return 0;
}

TEST(registering_memory_during_munmap_pins_all_or_nothing,
     .race = "munmap, register", .intree = "defect 18: unpins pages late")
{
	uint8_t *ua = memory(SIZE);
	struct call_race race = {
		.v = v, .arg = ua, .run = munmap_or_register,
		.sides.outcome = {
			"times a hole was found", "times registered",
		},
	};
	struct ledger before = ledger();

	call_race_begin(&race, race_threads());
	while (call_race_round(&race)) {
		int done = call_race_count(&race, 1, 1, 0);
		int faulted = call_race_count(&race, 1, 1, -EFAULT);

		/* After a call has succeeded, other calls return EBUSY */
		expect(done + faulted + call_race_count(&race, 1, 1, -EBUSY),
		       race.threads - 1);
		expect_either(done, 0, 1);
		call_race_judge(&race, done);
		expect_in_order("registered or not", before, done ? SIZE : 0);
		if (done)
			unregister_ok(v, ua, SIZE);
		expect_in_order("unregistered", before, 0);
	}
}

static int munmap_or_map(struct call_race *race, int number)
{
	uint8_t *ua = race->arg;

	if (number == 0)
		return munmap(ua, SIZE);
	return dma_map(race->v->fd, IOVA, ua, SIZE, READ_WRITE);
}

/*
 * Registered memory is pinned, so it can be mapped after the process has unmapped it. The
 * device must not reach pages that were freed and reused.
 */
TEST(mapping_memory_during_munmap_maps_the_registered_pages,
     .race = "munmap, map", .intree = "defect 18: unpins pages late")
{
	uint8_t *ua = memory(SIZE);
	struct call_race race = {
		.v = v, .arg = ua, .run = munmap_or_map,
		.sides.outcome = {
			"times unmapped before it was mapped",
			"times after a thread had mapped it",
		},
	};
	struct ledger before;

	/* Make the default window now, so that its charge is in the ledger */
	mapped(v, SINK_IOVA, base_page());
	before = ledger();
	call_race_begin(&race, race_threads());
	while (race_goes_on()) {
		map_again(ua, SIZE);
		expect(spapr_register(v->fd, ua, SIZE), 0);
		score->rounds++;
		call_race_run(&race);
		expect(call_race_count(&race, 0, 1, 0), race.threads);
		call_race_judge(&race, race.place[0]);
		expect_in_order("unmapped from the process", before, SIZE);
		expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
		expect(dma_unmap(v->fd, IOVA, SIZE), 0);
		unregister_ok(v, ua, SIZE);
		expect_in_order("unregistered", before, 0);
	}
	call_race_end(&race);
}

/*
 * Race: two processes bind one container
 */

/* Data of two processes with the same descriptor table */
struct owners {
	pthread_barrier_t barrier;
	volatile int fd;
	volatile bool over;
	volatile int answer;
	struct race_sides sides;
	uint8_t *ua;
};

static void be_the_other_owner(void *arg)
{
	struct owners *owners = arg;

	for (;;) {
		pthread_barrier_wait(&owners->barrier);
		if (owners->over)
			return;
		sides_delay(&owners->sides, true);
		owners->answer = spapr_register(owners->fd, owners->ua,
						base_page());
		race_turn();
		pthread_barrier_wait(&owners->barrier);
		/* Wait for the close, which removes the winner's registration */
		pthread_barrier_wait(&owners->barrier);
	}
}

static int start_the_other_owner(struct owners *owners)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&owners->barrier, &attr, 2);
	race_has_threads(1);
	return start_child_with_files(be_the_other_owner, owners);
}

TEST(exactly_one_of_two_processes_that_bind_a_container_owns_it,
     .setup = BARE, .race = "register, register of another process",
     .with_others = true, .intree = "checks the process only once")
{
	struct owners *owners = shared_memory(sizeof(*owners));
	int64_t locked = vmlck();
	int pid;

	owners->sides = (struct race_sides){
		.outcome = {
			"times the first process bound it", "times the other process bound it",
		},
	};
	owners->ua = memory(base_page());
	pid = start_the_other_owner(owners);
	while (race_round()) {
		int mine;

		open_container(v, 0);
		owners->fd = v->fd;
		pthread_barrier_wait(&owners->barrier);
		sides_delay(&owners->sides, false);
		mine = spapr_register(v->fd, owners->ua, base_page());
		pthread_barrier_wait(&owners->barrier);
		expect(mine, owners->answer ? 0 : -EPERM);
		expect(owners->answer, mine ? 0 : -EPERM);
		expect(vmlck() - locked, mine ? 0 : base_page());
		vfio_close(v);
		expect(vmlck(), locked);
		sides_record(&owners->sides, mine);
		pthread_barrier_wait(&owners->barrier);
	}
	owners->over = true;
	pthread_barrier_wait(&owners->barrier);
	expect_child_ok(pid);
	sides_report(&owners->sides);
}
