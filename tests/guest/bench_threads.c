// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "threads" of the benchmark: threads that map and unmap separate ranges of one
 * window. It measures wall time, so the machine must run without -icount and have a
 * CPU for each thread.
 */
#include "bench.h"

#include <pthread.h>

#define MAX_THREADS	4
#define RANGE		MIB(16)		/* bytes that each thread maps, 4096 TCEs */
#define LOOPS		16

struct worker {
	pthread_t thread;
	uint64_t iova;
	uint8_t *ua;
};

static pthread_barrier_t barrier;

static void *work(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(&barrier);
	for (int i = 0; i < LOOPS; i++) {
		need(dma_map(vfio.fd, worker->iova, worker->ua, RANGE,
			     READ_WRITE), "map");
		need(dma_unmap(vfio.fd, worker->iova, RANGE), "unmap");
	}
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void measure_threads(unsigned int count, uint64_t window, uint8_t *ua)
{
	struct worker workers[MAX_THREADS];
	double tces = (double)count * LOOPS * (RANGE / TCE_4K);
	uint64_t start;

	pthread_barrier_init(&barrier, NULL, count + 1);
	for (unsigned int i = 0; i < count; i++) {
		workers[i].iova = window + i * RANGE;
		workers[i].ua = ua + i * RANGE;
		need(pthread_create(&workers[i].thread, NULL, work,
				    &workers[i]), "start a thread");
	}
	pthread_barrier_wait(&barrier);
	start = ticks();
	pthread_barrier_wait(&barrier);
	figure(ns_since(start) / tces, "ns of wall time per TCE",
	       "map-and-unmap.%u-threads", count);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
}

static void measure(void *arg)
{
	struct memory *mem = arg;
	uint64_t window;

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	need(window_create(vfio.fd, 12, GIB(1), 1, &window), "create window");
	need(dma_map(vfio.fd, window, mem->ua, mem->size, READ_WRITE), "map");
	need(dma_unmap(vfio.fd, window, mem->size), "unmap");
	for (unsigned int count = 1; count <= MAX_THREADS; count *= 2)
		measure_threads(count, window, mem->ua);
	need(window_remove(vfio.fd, window), "remove window");
	need(spapr_unregister(vfio.fd, mem->ua, mem->size), "unregister");
}

void bench_threads(void)
{
	struct memory mem;

	if (memory_get(&mem, THP, MAX_THREADS * RANGE))
		each_backend(measure, &mem);
	memory_put(&mem);
}
