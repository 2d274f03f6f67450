// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "lines" of the benchmark: two threads on two processors that map and unmap one TCE or
 * several TCEs in each call. The plugin of QEMU (tests/profile/plugin.c) counts the loads and
 * stores of each processor by cache line. scripts/lab/profile.py finds the lines that are
 * written by one thread and used by the other thread, as perf c2c does with a
 * processor's counters.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>

#define THREADS		2
#define CALLS		256
#define FAR		MIB(512)	/* distance of TCEs in different leaves of the view */
#define WINDOW_SIZE	GIB(2)
#define MEMORY		MIB(256)	/* one or two regions whose mapped count has parts */

/**
 * struct place - the TCEs and the memory of the threads
 * @name: last part of the figure's name
 * @same_leaf: both threads map in one leaf
 * @windows: number of windows
 * @regions: number of regions
 * @bytes: bytes of all regions; 0 for one page in each region
 * @tces: number of TCEs that each call maps or unmaps
 */
struct place {
	const char *name;
	bool same_leaf;
	unsigned int windows;
	unsigned int regions;
	uint64_t bytes;
	unsigned int tces;
};

static const struct place places[] = {
	{ "one-leaf", true, 1, 1, MEMORY, 1 },
	{ "one-leaf-64-tces", true, 1, 1, MEMORY, 64 },
	{ "leaves", false, 1, 1, MEMORY, 1 },
	{ "leaves-64-tces", false, 1, 1, MEMORY, 64 },
	{ "leaves-of-a-small-region", false, 1, 1, 0, 1 },
	{ "leaves-and-regions", false, 1, 2, MEMORY, 1 },
	{ "windows-and-regions", false, 2, 2, MEMORY, 1 },
	{ "windows-and-regions-64-tces", false, 2, 2, MEMORY, 64 },
};

struct worker {
	pthread_t thread;
	unsigned int cpu;
	bool counts_map;
	uint64_t iova;
	uint8_t *ua;
	uint64_t size;
};

static pthread_barrier_t barrier;

static void stay_on_cpu(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void count_if(bool wanted)
{
	if (wanted)
		count_on();
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	int ret;

	stay_on_cpu(worker->cpu);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < CALLS; i++) {
		count_if(worker->counts_map);
		ret = dma_map(vfio.fd, worker->iova, worker->ua, worker->size, READ_WRITE);
		count_off();
		need(ret, "map");
		count_if(!worker->counts_map);
		ret = dma_unmap(vfio.fd, worker->iova, worker->size);
		count_off();
		need(ret, "unmap");
	}
	return NULL;
}

static uint64_t region_size(const struct place *place)
{
	return place->bytes ? place->bytes / place->regions : base_page();
}

static void measure_action(const struct place *place, bool counts_map, const uint64_t *window,
			   uint8_t *ua)
{
	struct worker workers[THREADS];
	uint64_t size = place->tces * base_page(), distance = place->same_leaf ? size : FAR;

	phase_begin(CALLS, "request", "lines.%s.%s", counts_map ? "map" : "unmap", place->name);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.cpu = i, .counts_map = counts_map,
			.iova = window[i % place->windows] + i * distance,
			.ua = ua + i % place->regions * region_size(place),
			.size = size,
		};
		need(pthread_create(&workers[i].thread, NULL, work, &workers[i]),
		     "start a thread");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
}

static void measure_place(const struct place *place, const uint64_t *window, uint8_t *ua)
{
	uint64_t size = region_size(place);

	for (unsigned int i = 0; i < place->regions; i++)
		need(spapr_register(vfio.fd, ua + i * size, size), "register");
	measure_action(place, true, window, ua);
	measure_action(place, false, window, ua);
	for (unsigned int i = 0; i < place->regions; i++)
		need(spapr_unregister(vfio.fd, ua + i * size, size), "unregister");
}

static void measure(void *arg)
{
	struct memory *mem = arg;
	uint64_t window[THREADS] = { 0 };
	unsigned int shift = __builtin_ctzll(base_page());

	print_module_symbols();
	need(window_remove(vfio.fd, 0), "remove the default window");
	for (unsigned int i = 0; i < THREADS; i++)
		need(window_create(vfio.fd, shift, WINDOW_SIZE, 1, &window[i]), "create window");
	for (size_t p = 0; p < ARRAY_SIZE(places); p++)
		measure_place(&places[p], window, mem->ua);
}

void bench_lines(void)
{
	struct memory mem;

	rounds = 1;
	count_memory();
	settle();
	if (memory_get(&mem, FRESH, MEMORY))
		each_backend(measure, &mem);
	memory_put(&mem);
}
