// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: threads that make requests concurrently, without barriers. The answers must
 * fit some order of the calls, the counts must be exact at the end, and the kernel must
 * survive. If a call has two possible answers, both have to occur. Races in which each
 * round of calls is checked are in conformance_race_map.c and conformance_race_register.c.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE		KIB(512)

/* Data of the workers (struct workers, @arg): the memory they use, counts of their answers */
struct seen {
	uint8_t *ua;
	unsigned long done;
	unsigned long refused;
};

/* Count the answer of a call in @seen. Return true if the answer is 0 */
static bool is_done(struct seen *seen, int ret)
{
	__atomic_fetch_add(ret ? &seen->refused : &seen->done, 1,
			   __ATOMIC_RELAXED);
	return !ret;
}

static void pause_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

static void map_and_unmap_own_range(struct workers *workers, int number)
{
	uint64_t iova = IOVA + number * SIZE;
	uint8_t *ua = workers->arg;

	expect(dma_map(workers->v->fd, iova, ua + number * SIZE, SIZE,
		       READ_WRITE), 0);
	expect(dma_unmap(workers->v->fd, iova, SIZE), 0);
}

TEST(threads_may_map_different_ranges_at_once,
     .race = "map, map of another range", .intree = "defect 15")
{
	uint8_t *ua = registered(v, MAX_THREADS * SIZE);
	struct workers workers = { .v = v, .arg = ua };

	workers_start(&workers, race_threads(), map_and_unmap_own_range);
	race_wait();
	workers_stop(&workers);
	unregister_ok(v, ua, MAX_THREADS * SIZE);
}

/* Odd threads map one region, even threads the other, over the same entries */
static void map_and_unmap_same_range(struct workers *workers, int number)
{
	uint8_t **ua = workers->arg;

	expect(dma_map(workers->v->fd, IOVA, ua[number % 2], SIZE, READ_WRITE),
	       0);
	expect(dma_unmap(workers->v->fd, IOVA + number * TCE_4K, SIZE / 2), 0);
}

TEST(maps_and_unmaps_of_the_same_entries_keep_each_count_exact,
     .race = "map, map and unmap of the same entries", .intree = "defect 4",
     .crashes = true)
{
	uint8_t *ua[2] = { registered(v, SIZE), registered(v, SIZE) };
	struct workers workers = { .v = v, .arg = ua };

	workers_start(&workers, race_threads(), map_and_unmap_same_range);
	race_wait();
	workers_stop(&workers);
	expect(dma_map(v->fd, IOVA, ua[0], SIZE, READ_WRITE), 0);
	unregister_ok(v, ua[1], SIZE);
	device_reaches(v, 0, IOVA, ua[0]);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua[0], SIZE);
}

static void map_in_window_1(struct workers *workers, int number)
{
	uint64_t iova = WINDOW1_START + number * SIZE;
	struct seen *seen = workers->arg;
	int ret = dma_map(workers->v->fd, iova, seen->ua, SIZE, READ_WRITE);

	expect_either(ret, 0, -ENXIO);
	is_done(seen, ret);
	expect_either(dma_unmap(workers->v->fd, iova, SIZE), 0, -ENXIO);
}

/* The in-tree driver maps without a lock (defect 4) */
TEST(mapping_while_windows_are_created_and_removed_is_safe,
     .race = "map, remove and create window", .intree = "defect 4", .crashes = true)
{
	struct seen seen = { .ua = registered(v, SIZE) };
	struct workers workers = { .v = v, .arg = &seen };
	unsigned int levels = up_to_levels(v, 2);

	new_window(v, 12, GIB(1), 1);
	workers_start(&workers, race_threads(), map_in_window_1);
	while (race_round()) {
		expect(window_remove(v->fd, WINDOW1_START), 0);
		expect(new_window(v, 12, GIB(1), 1 + score->rounds % levels),
		       WINDOW1_START);
	}
	workers_stop(&workers);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	unregister_ok(v, seen.ua, SIZE);
	race_saw("maps in the window", seen.done);
	race_saw("maps without the window", seen.refused);
}

static void ask_for_info(struct workers *workers, int number)
{
	struct vfio_iommu_spapr_tce_info info;

	(void)number;
	expect(get_info(workers->v->fd, &info), 0);
	expect(info.ddw.max_dynamic_windows_supported, 2);
}

/*
 * At most two windows can exist, and any thread may make them. On pseries the default window
 * can be made only while there is no other window.
 */
static void make_and_remove_a_window(struct workers *workers, int number)
{
	uint64_t start;
	int ret = window_create(workers->v->fd, 12, GIB(1), 1, &start);

	(void)number;
	if (ret != -EPERM || !under_hypervisor())
		expect_either(ret, 0, -ENOSPC);
	if (is_done(workers->arg, ret))
		expect(window_remove(workers->v->fd, start), 0);
}

TEST(threads_creating_windows_never_get_the_same_window,
     .race = "create window, create window")
{
	struct seen seen = {};
	struct workers workers = { .v = v, .arg = &seen };

	expect(window_remove(v->fd, 0), 0);
	workers_start(&workers, race_threads() - 1, make_and_remove_a_window);
	workers_start(&workers, 1, ask_for_info);
	race_wait();
	workers_stop(&workers);
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	race_saw("windows made", seen.done);
	race_saw("windows refused, two existed", seen.refused);
}

/* One page stays mapped, and each attached device must reach it */
TEST(mapping_while_a_group_attaches_and_detaches_is_safe,
     .setup = TWO_GROUPS, .race = "attach and detach, map", .intree = "defect 5")
{
	uint8_t *ua = registered(v, MAX_THREADS * SIZE);
	uint8_t *stays = mapped(v, SINK_IOVA, base_page());
	struct workers workers = { .v = v, .arg = ua };

	workers_start(&workers, race_threads(), map_and_unmap_own_range);
	while (race_round()) {
		expect(vfio_detach(v, 1), 0);
		expect(vfio_attach(v, 1), 0);
		if (score->rounds % 32 == 1) {
			device_reaches(v, 1, SINK_IOVA, stays);
			device_reaches(v, 0, SINK_IOVA, stays);
		}
	}
	workers_stop(&workers);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 1, IOVA, ua);
	device_reaches(v, 0, IOVA, ua);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, MAX_THREADS * SIZE);
}

/*
 * Regions of one page: STAY regions stay registered. Beside them, each thread registers and
 * unregisters COME regions. There are few regions, so that more lookups meet a tree that is
 * being rebalanced.
 */
#define STAY		4
#define COME		3
#define BESIDE		(MAX_THREADS / 2 * COME)

/* Change the region tree while other threads search it */
static void register_and_unregister_beside(struct workers *workers, int number)
{
	size_t first = number / 2 * COME + (number % 2 ? BESIDE + STAY : 0);
	uint8_t *ua = (uint8_t *)workers->arg + first * base_page();

	for (int i = 0; i < COME; i++)
		expect(spapr_register(workers->v->fd, ua + i * base_page(),
				      base_page()), 0);
	for (int i = 0; i < COME; i++)
		expect(spapr_unregister(workers->v->fd, ua + i * base_page(),
					base_page()), 0);
}

/*
 * The last of the regions that stay is read-only. So most maps only look up the regions,
 * and return EPERM.
 */
TEST(regions_are_found_while_others_are_registered_and_unregistered,
     .race = "map, register and unregister elsewhere",
     .intree = "defects 12, 18: unpins pages late")
{
	size_t p = base_page();
	uint8_t *area = memory((2 * BESIDE + STAY) * p);
	uint8_t *ua = area + BESIDE * p;
	struct workers workers = { .v = v, .arg = area };
	struct ledger before;

	/* Make the default window now, so that its charge is in the ledger */
	mapped(v, SINK_IOVA, p);
	before = ledger();

	mprotect(ua + (STAY - 1) * p, p, PROT_READ);
	for (int i = 0; i < STAY; i++)
		expect(spapr_register(v->fd, ua + i * p, p), 0);
	workers_start(&workers, race_threads(), register_and_unregister_beside);
	while (race_round()) {
		expect(dma_map(v->fd, IOVA, ua, STAY * p, READ_WRITE), -EPERM);
		if (score->rounds % 16 == 1)
			expect(dma_map(v->fd, IOVA, ua, (STAY - 1) * p,
				       READ_WRITE), 0);
	}
	workers_stop(&workers);
	expect(dma_unmap(v->fd, IOVA, (STAY - 1) * p), 0);
	for (int i = 0; i < STAY; i++)
		unregister_ok(v, ua + i * p, p);
	expect_ledger("all unregistered", before, 0);
}

/* Each thread unregisters the same page whenever no thread has it mapped */
static void map_and_try_to_unregister(struct workers *workers, int number)
{
	uint64_t iova = IOVA + number * MIB(4);
	int fd = workers->v->fd, ret;
	struct seen *seen = workers->arg;
	uint8_t *ua = seen->ua;

	expect_either(spapr_register(fd, ua, base_page()), 0, -EBUSY);
	ret = dma_map(fd, iova, ua, TCE_4K, READ_WRITE);
	expect_either(ret, 0, -EINVAL);
	if (is_done(seen, ret)) {
		expect(spapr_unregister(fd, ua, base_page()), -EBUSY);
		expect(dma_unmap(fd, iova, TCE_4K), 0);
	}
	ret = spapr_unregister(fd, ua, base_page());
	if (ret != -ENOENT)
		expect_either(ret, 0, -EBUSY);
}

TEST(memory_mapped_by_a_thread_cannot_be_unregistered_by_another,
     .race = "map and unmap, register and unregister", .intree = "defects 2, 3")
{
	struct seen seen = { .ua = memory(base_page()) };
	struct workers workers = { .v = v, .arg = &seen };
	struct ledger before;

	mapped(v, SINK_IOVA, base_page());
	before = ledger();
	workers_start(&workers, race_threads(), map_and_try_to_unregister);
	race_wait();
	workers_stop(&workers);
	expect_either(spapr_unregister(v->fd, seen.ua, base_page()), 0,
		      -ENOENT);
	expect_ledger("all unregistered", before, 0);
	race_saw("times mapped", seen.done);
	race_saw("times not mapped, because it was unregistered", seen.refused);
}

/* Make requests that change nothing, or that the backend refuses */
static void ask_anything(int fd)
{
	struct vfio_iommu_spapr_tce_info info;

	get_info(fd, &info);
	eeh_op(fd, VFIO_EEH_PE_GET_STATE);
	check_extension(fd, VFIO_EEH);
	call(fd, VFIO_IOMMU_ENABLE, NULL);
	call(fd, VFIO_IOMMU_DISABLE, NULL);
}

/* Accept any answer, because the container may be closed at any moment */
static void do_anything(struct workers *workers, int number)
{
	int fd = workers->v->fd;
	uint8_t *ua = workers->arg;
	uint64_t iova = IOVA + number * SIZE;

	spapr_register(fd, ua + number * SIZE, SIZE);
	race_served(!dma_map(fd, iova, ua, SIZE, READ_WRITE));
	dma_map(fd, WINDOW1_START, ua, SIZE, READ_WRITE);
	dma_unmap(fd, iova, SIZE);
	spapr_unregister(fd, ua + number * SIZE, SIZE);
	ask_anything(fd);
	if (number == 0 && !window_create(fd, 12, MIB(64), 1, NULL))
		window_remove(fd, WINDOW1_START);
}

/* Let the calls of other threads begin: wait for a time that differs from round to round */
static void let_them_begin(void)
{
	pause_ms(1 + score->rounds * 7 % 50);
}

TEST(closing_the_container_during_calls_is_safe,
     .setup = BARE, .race = "close of the container, any ioctl",
     .intree = "defect 4", .crashes = true)
{
	uint8_t *ua = memory(MAX_THREADS * SIZE);
	struct ledger before = ledger();

	while (race_round()) {
		struct workers workers = { .v = v, .arg = ua };
		int fd;

		open_container(v, 0);
		fd = v->fd;
		workers_start(&workers, race_threads(), do_anything);
		let_them_begin();
		close(fd);
		/* The group keeps the container open, so close the group, too */
		close(v->group[0]);
		v->fd = -1;
		v->group[0] = -1;
		pause_ms(score->rounds % 8);
		workers_stop(&workers);
		vfio_close(v);
		expect_ledger("container closed", before, 0);
	}
	race_saw("maps during the race", score->served);
}

/*
 * When the last group is detached, the backend's data of the container is freed. The VFIO
 * core reads container->iommu_data without a lock before it calls the backend. The backend
 * can't prevent this, but it can wait for calls that have begun. These calls must leave no
 * resources in use.
 */
TEST(closing_the_group_during_calls_is_safe,
     .setup = BARE, .race = "close of the last group, any ioctl",
     .intree = "defect 4", .crashes = true)
{
	uint8_t *ua = memory(MAX_THREADS * SIZE);
	struct ledger before = ledger();

	while (race_round()) {
		struct workers workers = { .v = v, .arg = ua };

		open_container(v, 0);
		workers_start(&workers, race_threads(), do_anything);
		let_them_begin();
		close(v->group[0]);
		v->group[0] = -1;
		pause_ms(score->rounds % 8);
		workers_stop(&workers);
		/* All resources are released, although the container is open */
		expect_ledger("group closed", before, 0);
		vfio_close(v);
	}
	race_saw("maps during the race", score->served);
}

static bool have_turned(void *arg)
{
	return score->turns != *(uint64_t *)arg;
}

/* Wait until a thread has made its calls once, however slow the machine is */
static void await_turn(uint64_t before)
{
	expect_soon("the calls of one thread are made", have_turned, &before);
}

static void be_busy(struct vfio *v)
{
	uint64_t turns = score->turns;
	struct workers *workers = calloc(1, sizeof(*workers));

	if (!workers)
		fail("cannot allocate memory for the test itself");
	open_container(v, 0);
	workers->v = v;
	workers->arg = memory(MAX_THREADS * SIZE);
	workers_start(workers, race_threads(), do_anything);
	await_turn(turns);
}

static void be_busy_until_killed(void *v)
{
	be_busy(v);
	for (;;)
		pause();
}

TEST(a_kill_during_calls_is_safe,
     .setup = BARE, .race = "kill, any ioctl", .intree = "defect 4", .crashes = true)
{
	struct found before = found();

	while (race_round()) {
		uint64_t turns = score->turns;
		int pid = start_child(be_busy_until_killed, v);

		await_turn(turns);
		let_them_begin();
		kill_child(pid);
		expect_soon("pages unpinned, backend unused", as_found,
			    &before);
	}
	race_saw("maps during the race", score->served);
}

static void be_busy_and_exit(void *v)
{
	be_busy(v);
	let_them_begin();
}

TEST(an_exit_during_calls_is_safe,
     .setup = BARE, .race = "exit, any ioctl", .intree = "defect 4", .crashes = true)
{
	struct found before = found();

	while (race_round()) {
		in_child(be_busy_and_exit, v);
		expect_soon("pages unpinned, backend unused", as_found,
			    &before);
	}
	race_saw("maps during the race", score->served);
}

/* exec ends the other threads during their calls; in odd rounds the container stays open */
static void be_busy_and_exec(void *arg)
{
	struct vfio *v = arg;
	int null = open("/dev/null", O_WRONLY);

	if (null < 0)
		fail("/dev/null: %s", strerror(errno));
	be_busy(v);
	if (score->rounds % 2) {
		fcntl(v->fd, F_SETFD, 0);
		fcntl(v->group[0], F_SETFD, 0);
	}
	let_them_begin();
	dup2(null, STDOUT_FILENO);
	execl("/proc/self/exe", "conformance", "--list", NULL);
	_exit(127);
}

TEST(an_exec_during_calls_is_safe,
     .setup = BARE, .race = "exec, any ioctl", .intree = "defect 4", .crashes = true)
{
	struct found before = found();

	while (race_round()) {
		in_child(be_busy_and_exec, v);
		expect_soon("pages unpinned, backend unused", as_found,
			    &before);
	}
	race_saw("maps during the race", score->served);
}

/* Register the thread's range, map it, write to it, unmap it and unregister it */
static void register_map_and_write(struct workers *workers, int number)
{
	uint8_t *ua = (uint8_t *)workers->arg + number * SIZE;
	uint64_t iova = IOVA + number * SIZE;

	expect(spapr_register(workers->v->fd, ua, SIZE), 0);
	expect(dma_map(workers->v->fd, iova, ua, SIZE, READ_WRITE), 0);
	for (size_t off = 0; off < SIZE; off += base_page())
		ua[off] = number;
	expect(dma_unmap(workers->v->fd, iova, SIZE), 0);
	expect(spapr_unregister(workers->v->fd, ua, SIZE), 0);
}

struct forked {
	uint8_t *ua;
	uint8_t *stays;
};

static void scribble_on_all(void *arg)
{
	struct forked *forked = arg;

	memset(forked->ua, 0xff, MAX_THREADS * SIZE);
	memset(forked->stays, 0xff, base_page());
}

/* fork() write-protects pages to copy them later, except pinned pages */
TEST(forks_while_threads_map_keep_mapped_pages_with_the_device,
     .race = "fork, register and map", .intree = "defect 18: unpins pages late")
{
	struct forked forked = {
		.ua = memory(MAX_THREADS * SIZE),
		.stays = mapped(v, SINK_IOVA, base_page()),
	};
	struct ledger before = ledger();
	struct workers workers = { .v = v, .arg = forked.ua };

	workers_start(&workers, race_threads(), register_map_and_write);
	while (race_round()) {
		int pid = start_child(scribble_on_all, &forked);

		/* Parent and child write; the device must keep the parent's page */
		memset(forked.stays, score->rounds, PROBE);
		expect_child_ok(pid);
		if (score->rounds % 16 == 1)
			device_reaches(v, 0, SINK_IOVA, forked.stays);
	}
	workers_stop(&workers);
	device_reaches(v, 0, SINK_IOVA, forked.stays);
	expect_ledger("after the forks", before, 0);
	for (int i = 0; i < race_threads(); i++)
		/* If the thread has never written, the page has the initial value 1 */
		expect_either(forked.ua[i * SIZE], i, 1);
}

/* Shared by the owner of a container and a process with the same descriptors */
struct intrusion {
	volatile int fd;
	volatile bool stop;
	long undone;
	long not_permitted;
	long not_found;
	uint8_t *ua;
};

/* This process has another mm, so its requests to a bound container return EPERM */
static void intrude(void *arg)
{
	struct intrusion *shared = arg;

	for (; !shared->stop; race_turn()) {
		int ret = spapr_unregister(shared->fd, shared->ua, base_page());

		shared->undone += !ret;
		shared->not_permitted += ret == -EPERM;
		shared->not_found += ret == -ENOENT;
	}
}

TEST(another_process_cannot_unregister_while_the_container_is_bound,
     .setup = BARE, .race = "register, unregister of another process",
     .with_others = true, .intree = "checks the process only once")
{
	struct intrusion *shared = shared_memory(sizeof(*shared));
	int pid;

	shared->fd = -1;
	shared->ua = memory(base_page());
	pid = start_child_with_files(intrude, shared);
	race_has_threads(1);
	while (race_round()) {
		open_container(v, 0);
		shared->fd = v->fd;
		expect(spapr_register(v->fd, shared->ua, base_page()), 0);
		expect(spapr_unregister(v->fd, shared->ua, base_page()), 0);
		vfio_close(v);
	}
	shared->stop = true;
	expect_child_ok(pid);
	expect(shared->undone, 0);
	race_saw("times EPERM", shared->not_permitted);
	race_saw("times ENOENT, before the registration", shared->not_found);
}
