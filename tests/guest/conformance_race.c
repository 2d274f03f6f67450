// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: threads against each other. Whatever the order turns out to be,
 * the answers must fit one, the counts must be exact at the end, and the kernel
 * must live. Each race runs for about a second.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RACE_MS		1000
#define SIZE		KIB(512)

static void race_for(unsigned int ms)
{
	usleep(ms * 1000);
}

static void map_and_unmap_own_range(struct crowd *crowd, int number)
{
	uint64_t iova = IOVA + number * SIZE;
	uint8_t *ua = crowd->arg;

	expect(dma_map(crowd->v->fd, iova, ua + number * SIZE, SIZE,
		       READ_WRITE), 0);
	expect(dma_unmap(crowd->v->fd, iova, SIZE), 0);
}

static void threads_may_map_different_ranges_at_once(struct vfio *v)
{
	uint8_t *ua = registered(v, 4 * SIZE);
	struct crowd crowd = { .v = v, .arg = ua };

	crowd_start(&crowd, 4, map_and_unmap_own_range);
	race_for(RACE_MS);
	crowd_stop(&crowd);
	unregister_ok(v, ua, 4 * SIZE);
}

/* Odd threads map one region, even ones the other, over the same entries */
static void map_and_unmap_same_range(struct crowd *crowd, int number)
{
	uint8_t **ua = crowd->arg;

	expect(dma_map(crowd->v->fd, IOVA, ua[number % 2], SIZE, READ_WRITE),
	       0);
	expect(dma_unmap(crowd->v->fd, IOVA + number * TCE_4K, SIZE / 2), 0);
}

static void threads_on_the_same_entries_keep_every_count(struct vfio *v)
{
	uint8_t *ua[2] = { registered(v, SIZE), registered(v, SIZE) };
	struct crowd crowd = { .v = v, .arg = ua };

	crowd_start(&crowd, 4, map_and_unmap_same_range);
	race_for(RACE_MS);
	crowd_stop(&crowd);
	expect(dma_map(v->fd, IOVA, ua[0], SIZE, READ_WRITE), 0);
	unregister_ok(v, ua[1], SIZE);
	device_reaches(v, 0, IOVA, ua[0]);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua[0], SIZE);
}

static void map_in_window_1(struct crowd *crowd, int number)
{
	uint64_t iova = WINDOW1_START + number * SIZE;

	expect_either(dma_map(crowd->v->fd, iova, crowd->arg, SIZE, READ_WRITE),
		      0, -ENXIO);
	expect_either(dma_unmap(crowd->v->fd, iova, SIZE), 0, -ENXIO);
}

/* Defect 4 */
static void mapping_while_windows_come_and_go_is_safe(struct vfio *v)
{
	uint8_t *ua = registered(v, SIZE);
	struct crowd crowd = { .v = v, .arg = ua };
	unsigned int levels = up_to_levels(v, 2);
	uint64_t begin = now_ms();

	new_window(v, 12, GIB(1), 1);
	crowd_start(&crowd, 3, map_in_window_1);
	for (int i = 0; now_ms() - begin < 2 * RACE_MS; i++) {
		expect(window_remove(v->fd, WINDOW1_START), 0);
		expect(new_window(v, 12, GIB(1), 1 + i % levels),
		       WINDOW1_START);
	}
	crowd_stop(&crowd);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	unregister_ok(v, ua, SIZE);
}

static void ask_for_info(struct crowd *crowd, int number)
{
	struct vfio_iommu_spapr_tce_info info;

	(void)number;
	expect(get_info(crowd->v->fd, &info), 0);
	expect(info.ddw.max_dynamic_windows_supported, 2);
}

/*
 * Exactly two windows fit, whoever makes them; a hypervisor's default window
 * only before the other
 */
static void make_and_remove_a_window(struct crowd *crowd, int number)
{
	uint64_t start;
	int ret = window_create(crowd->v->fd, 12, GIB(1), 1, &start);

	(void)number;
	if (ret != -EPERM || !under_hypervisor())
		expect_either(ret, 0, -ENOSPC);
	if (!ret)
		expect(window_remove(crowd->v->fd, start), 0);
}

static void threads_making_windows_never_get_the_same_one(struct vfio *v)
{
	struct crowd crowd = { .v = v };

	expect(window_remove(v->fd, 0), 0);
	crowd_start(&crowd, 3, make_and_remove_a_window);
	crowd_start(&crowd, 1, ask_for_info);
	race_for(RACE_MS);
	crowd_stop(&crowd);
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
}

/*
 * Rounds of one call a thread, begun together: the threads meet at a barrier
 * before and after.
 */
struct duel {
	struct vfio *v;
	uint8_t *ua;
	pthread_barrier_t barrier;
	bool over;
	int map;
	int other;
};

static void *duel_map(void *arg)
{
	struct duel *duel = arg;

	for (;;) {
		pthread_barrier_wait(&duel->barrier);
		if (duel->over)
			return NULL;
		duel->map = dma_map(duel->v->fd, IOVA, duel->ua, SIZE,
				    READ_WRITE);
		pthread_barrier_wait(&duel->barrier);
	}
}

static void duel_begin(struct duel *duel, pthread_t *thread,
		       void *(*run)(void *))
{
	pthread_barrier_init(&duel->barrier, NULL, 2);
	if (pthread_create(thread, NULL, run, duel))
		fail("pthread_create");
}

static void duel_end(struct duel *duel, pthread_t thread)
{
	duel->over = true;
	pthread_barrier_wait(&duel->barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&duel->barrier);
}

/* Now and then by the device, which takes its time */
static void check_mapped_whole(struct duel *duel, bool thorough)
{
	size_t last = SIZE - TCE_4K;

	if (thorough) {
		device_reaches(duel->v, 0, IOVA, duel->ua);
		device_reaches(duel->v, 0, IOVA + last, duel->ua + last);
	}
	expect(dma_unmap(duel->v->fd, IOVA, SIZE), 0);
}

/* Defect 2: a map that says 0 has mapped, and then unregister says EBUSY */
static void of_map_and_unregister_exactly_one_succeeds(struct vfio *v)
{
	struct duel duel = { .v = v, .ua = registered(v, SIZE) };
	int mapped_rounds = 0;
	pthread_t thread;
	uint64_t begin;

	device(v, 0);
	duel_begin(&duel, &thread, duel_map);
	begin = now_ms();
	while (now_ms() - begin < 2 * RACE_MS) {
		pthread_barrier_wait(&duel.barrier);
		duel.other = spapr_unregister(v->fd, duel.ua, SIZE);
		pthread_barrier_wait(&duel.barrier);
		if (duel.other == -EBUSY) {
			expect(duel.map, 0);
			check_mapped_whole(&duel, mapped_rounds++ < 3);
		} else {
			expect(duel.other, 0);
			expect(duel.map, -EINVAL);
			expect(spapr_register(v->fd, duel.ua, SIZE), 0);
		}
	}
	duel_end(&duel, thread);
	unregister_ok(v, duel.ua, SIZE);
}

static void *duel_register(void *arg)
{
	struct duel *duel = arg;

	for (;;) {
		pthread_barrier_wait(&duel->barrier);
		if (duel->over)
			return NULL;
		duel->other = spapr_register(duel->v->fd, duel->ua, SIZE);
		pthread_barrier_wait(&duel->barrier);
	}
}

static void of_two_registers_of_a_region_one_is_busy(struct vfio *v)
{
	struct duel duel = { .v = v, .ua = memory(SIZE) };
	struct ledger before = ledger();
	uint64_t begin = now_ms();
	pthread_t thread;
	int mine;

	duel_begin(&duel, &thread, duel_register);
	while (now_ms() - begin < RACE_MS) {
		pthread_barrier_wait(&duel.barrier);
		mine = spapr_register(v->fd, duel.ua, SIZE);
		pthread_barrier_wait(&duel.barrier);
		expect(mine, duel.other ? 0 : -EBUSY);
		expect(duel.other, mine ? 0 : -EBUSY);
		unregister_ok(v, duel.ua, SIZE);
	}
	duel_end(&duel, thread);
	expect_ledger("all unregistered", before, 0);
}

/* One page more in one thread than in the other */
static void of_two_overlapping_registers_one_is_refused(struct vfio *v)
{
	struct duel duel = { .v = v, .ua = memory(SIZE + base_page()) };
	struct ledger before = ledger();
	uint64_t begin = now_ms();
	pthread_t thread;
	int mine;

	duel_begin(&duel, &thread, duel_register);
	while (now_ms() - begin < RACE_MS) {
		pthread_barrier_wait(&duel.barrier);
		mine = spapr_register(v->fd, duel.ua, SIZE + base_page());
		pthread_barrier_wait(&duel.barrier);
		expect(mine, duel.other ? 0 : -EINVAL);
		expect(duel.other, mine ? 0 : -EINVAL);
		unregister_ok(v, duel.ua, mine ? SIZE : SIZE + base_page());
	}
	duel_end(&duel, thread);
	expect_ledger("all unregistered", before, 0);
}

/* Defect 15: afterwards exactly one more window fits */
static void two_first_maps_make_one_default_window(struct vfio *v)
{
	for (int round = 0; round < 10; round++) {
		struct duel duel = { .v = v };
		pthread_t thread;
		int mine;

		open_container(v, 0);
		duel.ua = registered(v, 2 * SIZE);
		duel_begin(&duel, &thread, duel_map);
		pthread_barrier_wait(&duel.barrier);
		mine = dma_map(v->fd, IOVA + SIZE, duel.ua + SIZE, SIZE,
			       READ_WRITE);
		pthread_barrier_wait(&duel.barrier);
		duel_end(&duel, thread);
		expect(mine, 0);
		expect(duel.map, 0);
		expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
		expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
		expect(dma_unmap(v->fd, IOVA, 2 * SIZE), 0);
		unregister_ok(v, duel.ua, 2 * SIZE);
		vfio_close(v);
	}
}

static void mapping_while_a_group_comes_and_goes_is_safe(struct vfio *v)
{
	uint8_t *ua = registered(v, 4 * SIZE);
	struct crowd crowd = { .v = v, .arg = ua };

	crowd_start(&crowd, 2, map_and_unmap_own_range);
	for (int i = 0; i < 5; i++) {
		expect(vfio_detach(v, 1), 0);
		expect(vfio_attach(v, 1), 0);
	}
	crowd_stop(&crowd);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 1, IOVA, ua);
	device_reaches(v, 0, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, 4 * SIZE);
}

/* Any answer will do: the container may end at any moment */
static void do_anything(struct crowd *crowd, int number)
{
	int fd = crowd->v->fd;
	uint8_t *ua = crowd->arg;
	uint64_t iova = IOVA + number * SIZE;

	dma_map(fd, iova, ua, SIZE, READ_WRITE);
	dma_map(fd, WINDOW1_START, ua, SIZE, READ_WRITE);
	dma_unmap(fd, iova, SIZE);
	spapr_register(fd, ua + number * SIZE, SIZE);
	spapr_unregister(fd, ua + number * SIZE, SIZE);
	if (number == 0 && !window_create(fd, 12, GIB(1), 1, NULL))
		window_remove(fd, WINDOW1_START);
}

static void closing_the_container_during_calls_is_safe(struct vfio *v)
{
	uint8_t *ua = memory(4 * SIZE);

	for (int i = 0; i < 5; i++) {
		struct crowd crowd = { .v = v, .arg = ua };
		int fd;

		open_container(v, 0);
		fd = v->fd;
		crowd_start(&crowd, 3, do_anything);
		race_for(200);
		close(fd);
		race_for(20);
		crowd_stop(&crowd);
		v->fd = -1;
		vfio_close(v);
	}
}

/*
 * The last group takes the backend's part of the container with it. The core
 * looks that part up without a lock before it calls the backend, which can't
 * be helped from here; what can is that calls already inside are waited for.
 */
static void closing_the_group_during_calls_is_safe(struct vfio *v)
{
	uint8_t *ua = memory(4 * SIZE);

	for (int i = 0; i < 5; i++) {
		struct crowd crowd = { .v = v, .arg = ua };

		open_container(v, 0);
		crowd_start(&crowd, 3, do_anything);
		race_for(200);
		close(v->group[0]);
		v->group[0] = -1;
		race_for(20);
		crowd_stop(&crowd);
		vfio_close(v);
	}
}

static void busy_process(void *arg)
{
	struct vfio *v = arg;
	struct crowd crowd = { .v = v };

	open_container(v, 0);
	crowd.arg = memory(4 * SIZE);
	crowd_start(&crowd, 3, do_anything);
	for (;;)
		pause();
}

/* The runner's oracle says whether all of it was given back */
static void a_kill_in_the_middle_of_calls_is_safe(struct vfio *v)
{
	for (int i = 0; i < 3; i++) {
		int pid = start_child(busy_process, v);

		race_for(400 + i * 33);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* Shared by the owner of a container and a process with the same descriptors */
struct intrusion {
	volatile int fd;
	volatile bool stop;
	volatile long undone;
	uint8_t *ua;
};

/* Another mm, so whatever it asks of a bound container is not permitted */
static void intrude(struct intrusion *shared)
{
	while (!shared->stop)
		if (!spapr_unregister(shared->fd, shared->ua, base_page()))
			shared->undone++;
	_exit(0);
}

static void a_stranger_cannot_slip_in_while_the_container_is_bound(
	struct vfio *v)
{
	struct intrusion *shared =
		mmap(NULL, base_page(), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t end = now_ms() + RACE_MS;
	int pid;

	if (shared == MAP_FAILED)
		fail("mmap");
	shared->fd = -1;
	shared->ua = memory(base_page());
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		fail("clone");
	if (!pid)
		intrude(shared);

	while (now_ms() < end) {
		open_container(v, 0);
		shared->fd = v->fd;
		expect(spapr_register(v->fd, shared->ua, base_page()), 0);
		expect(spapr_unregister(v->fd, shared->ua, base_page()), 0);
		vfio_close(v);
	}
	shared->stop = true;
	waitpid(pid, NULL, 0);
	expect(shared->undone, 0);
}

static const struct test tests[] = {
	TEST(threads_may_map_different_ranges_at_once,
	     .intree = "defect 15"),
	TEST(threads_on_the_same_entries_keep_every_count,
	     .intree = "defect 4", .crashes = true),
	TEST(mapping_while_windows_come_and_go_is_safe, .intree = "defect 4",
	     .crashes = true),
	TEST(threads_making_windows_never_get_the_same_one),
	TEST(of_map_and_unregister_exactly_one_succeeds,
	     .intree = "defects 2, 3"),
	TEST(of_two_registers_of_a_region_one_is_busy,
	     .intree = "defect 18: unpins later"),
	TEST(of_two_overlapping_registers_one_is_refused,
	     .intree = "defect 18: unpins later"),
	TEST(two_first_maps_make_one_default_window, .setup = BARE,
	     .intree = "defect 15", .crashes = true),
	TEST(mapping_while_a_group_comes_and_goes_is_safe, .setup = TWO_GROUPS,
	     .intree = "defect 5"),
	TEST(closing_the_container_during_calls_is_safe, .setup = BARE,
	     .intree = "defect 4", .crashes = true),
	TEST(closing_the_group_during_calls_is_safe, .setup = BARE,
	     .intree = "defect 4", .crashes = true),
	TEST(a_kill_in_the_middle_of_calls_is_safe, .setup = BARE,
	     .intree = "defect 4", .crashes = true),
	TEST(a_stranger_cannot_slip_in_while_the_container_is_bound,
	     .setup = BARE, .intree = "the process is checked once"),
};

SUITE(race_suite, tests);
