// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "threads" of the benchmark: threads that map and unmap at the same time, in one
 * leaf of a window's view, in different leaves, or in different windows. It measures wall
 * time, so the machine must run without -icount and have a CPU for each thread. The calls
 * are marked: in another boot, QEMU's plugin counts the instructions (tests/profile).
 */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>

#define MAX_THREADS	4
#define MAX_WINDOWS	2
#define WINDOW_SIZE	GIB(2)
#define FAR		MIB(256)	/* distance of TCEs in different leaves of the view */
#define MOST_TCES	64		/* of a request; four requests fit into a leaf */
#define LOOP_TCES	1024		/* TCEs that a thread maps, in all its requests */
#define LARGE_TCES	4096		/* of a large request */
#define LARGE_LOOPS	2

/**
 * struct place - the TCEs of the threads
 * @name: part of the figure's name
 * @windows: number of windows
 * @same_leaf: the TCEs of all threads are in one leaf of each window
 */
struct place {
	const char *name;
	unsigned int windows;
	bool same_leaf;
};

static const struct place places[] = {
	{ "one-leaf", 1, true },
	{ "leaves", 1, false },
	{ "windows", MAX_WINDOWS, false },
};

struct worker {
	pthread_t thread;
	unsigned int cpu;
	unsigned int loops;
	uint64_t iova;
	uint8_t *ua;
	uint64_t size;
	uint64_t began;
	uint64_t ended;
};

static pthread_barrier_t barrier;

/* The kernel balances too slowly for these short runs */
static void stay_on_cpu(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	int mapped, unmapped;

	stay_on_cpu(worker->cpu);
	pthread_barrier_wait(&barrier);
	worker->began = ticks();
	for (unsigned int i = 0; i < worker->loops; i++) {
		count_on();
		mapped = dma_map(vfio.fd, worker->iova, worker->ua, worker->size, READ_WRITE);
		unmapped = dma_unmap(vfio.fd, worker->iova, worker->size);
		count_off();
		need(mapped, "map");
		need(unmapped, "unmap");
	}
	worker->ended = ticks();
	return NULL;
}

/* Run the workers; return the time from the first call to the last, in nanoseconds */
static double run_threads(struct worker *workers, unsigned int count)
{
	uint64_t began = UINT64_MAX, ended = 0;

	pthread_barrier_init(&barrier, NULL, count);
	for (unsigned int i = 0; i < count; i++) {
		workers[i].cpu = i;
		need(pthread_create(&workers[i].thread, NULL, work, &workers[i]),
		     "start a thread");
	}
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		began = workers[i].began < began ? workers[i].began : began;
		ended = workers[i].ended > ended ? workers[i].ended : ended;
	}
	pthread_barrier_destroy(&barrier);
	return (ended - began) * (1e9 / __ppc_get_timebase_freq());
}

static const char wall[] = "ns of wall time per TCE";

static void measure_place(const struct place *place, unsigned int tces, unsigned int count,
			  const uint64_t *windows, uint8_t *ua)
{
	uint64_t size = tces * base_page(), distance = place->same_leaf ? size : FAR;
	struct worker workers[MAX_THREADS];
	double all = (double)count * LOOP_TCES;

	for (unsigned int i = 0; i < count; i++)
		workers[i] = (struct worker){
			.loops = LOOP_TCES / tces, .size = size, .ua = ua + i * size,
			.iova = windows[i % place->windows] + i * distance,
		};
	phase_begin(all, "TCE", "instructions.%s.%u-tces.%u-threads", place->name, tces, count);
	figure(run_threads(workers, count) / all, wall, "wall.%s.%u-tces.%u-threads",
	       place->name, tces, count);
}

static void measure_places(void *arg)
{
	static const unsigned int requests[] = { 1, MOST_TCES };
	unsigned int shift = __builtin_ctzll(base_page());
	const struct memory *mem = arg;
	uint64_t windows[MAX_WINDOWS];

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	need(window_remove(vfio.fd, 0), "remove the default window");
	for (unsigned int i = 0; i < MAX_WINDOWS; i++) {
		need(window_create(vfio.fd, shift, WINDOW_SIZE, 1, &windows[i]), "create window");
		need(dma_map(vfio.fd, windows[i], mem->ua, mem->size, READ_WRITE), "map");
		need(dma_unmap(vfio.fd, windows[i], mem->size), "unmap");
	}
	for (size_t p = 0; p < ARRAY_SIZE(places); p++)
		for (size_t r = 0; r < ARRAY_SIZE(requests); r++)
			for (unsigned int count = 1; count <= MAX_THREADS; count *= 2)
				measure_place(&places[p], requests[r], count, windows, mem->ua);
}

/* Large requests with 4K TCEs, each in several leaves */
static void measure_large(void *arg)
{
	const struct memory *mem = arg;
	uint64_t size = LARGE_TCES * TCE_4K, window;
	struct worker workers[MAX_THREADS];

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	need(window_create(vfio.fd, 12, GIB(1), 1, &window), "create window");
	need(dma_map(vfio.fd, window, mem->ua, mem->size, READ_WRITE), "map");
	need(dma_unmap(vfio.fd, window, mem->size), "unmap");
	for (unsigned int count = 1; count <= MAX_THREADS; count *= 2) {
		double all = (double)count * LARGE_LOOPS * LARGE_TCES;

		for (unsigned int i = 0; i < count; i++)
			workers[i] = (struct worker){
				.loops = LARGE_LOOPS, .size = size, .ua = mem->ua + i * size,
				.iova = window + i * size,
			};
		phase_begin(all, "TCE", "instructions.large.%u-threads", count);
		figure(run_threads(workers, count) / all, wall, "map-and-unmap.%u-threads",
		       count);
	}
}

void bench_threads(void)
{
	struct memory mem;

	if (memory_get(&mem, FRESH, MAX_THREADS * MOST_TCES * base_page()))
		each_backend(measure_places, &mem);
	memory_put(&mem);
	if (memory_get(&mem, THP, MAX_THREADS * LARGE_TCES * TCE_4K))
		each_backend(measure_large, &mem);
	memory_put(&mem);
}
