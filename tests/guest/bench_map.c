// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "map" of the benchmark: the cost of mapping, replacing and unmapping for
 * each layout of a window and each kind of memory. This part also measures a loop
 * that only stores TCEs, which is the lower bound for any backend, and unmapping
 * in windows that are almost empty.
 */
#include "bench.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define WARM_TCES	32768	/* calls with more TCEs are not repeated */
#define REPEATS		9

static const char per_tce[] = "instructions per TCE";
static const char per_call[] = "instructions per call";

struct layout {
	const char *name;
	unsigned int shift;
	unsigned int levels;
	uint64_t size;
};

static const struct layout layouts[] = {
	{ "4k-1-level", 12, 1, GIB(2) },
	{ "4k-2-levels", 12, 2, GIB(1024) },
	{ "64k-1-level", 16, 1, GIB(2) },
	{ "64k-2-levels", 16, 2, GIB(1024) },
	{ "2m-1-level", 21, 1, GIB(64) },
	{ "16m-1-level", 24, 1, GIB(64) },
	{ "1g-1-level", 30, 1, GIB(1024) },
};

static const struct {
	const char *name;
	uint64_t bytes;
} sizes[] = {
	{ "2m", MIB(2) }, { "256m", MIB(256) }, { "1g", GIB(1) },
};

struct job {
	struct memory mem;
	const struct layout *layout;
	uint64_t start;		/* bus address of the window */
};

/* An action on a range at the beginning of the window */
struct action {
	const char *name;
	int (*call)(const struct job *job, uint64_t size);
};

static int map(const struct job *job, uint64_t size)
{
	return dma_map(vfio.fd, job->start, job->mem.ua, size, READ_WRITE);
}

static int unmap(const struct job *job, uint64_t size)
{
	return dma_unmap(vfio.fd, job->start, size);
}

static const struct action actions[] = {
	{ "map", map }, { "replace", map }, { "unmap", unmap },
};

static void measure_size(const struct job *job, uint64_t size,
			 const char *size_name)
{
	double sample[ARRAY_SIZE(actions)][REPEATS];
	double tces = size >> job->layout->shift;
	int repeats = tces > WARM_TCES ? 1 : REPEATS;

	for (int i = 0; i < repeats; i++) {
		for (size_t a = 0; a < ARRAY_SIZE(actions); a++) {
			uint64_t start = ticks();
			int ret = actions[a].call(job, size);

			sample[a][i] = ns_since(start) / tces;
			need(ret, actions[a].name);
		}
	}
	for (size_t a = 0; a < ARRAY_SIZE(actions); a++)
		figure(median(sample[a], repeats),
		       tces > 1 ? per_tce : per_call, "%s.%s.%s.%s",
		       actions[a].name, job->layout->name, size_name,
		       kind_name[job->mem.kind]);
}

/* Measure the first map, which allocates table levels and the view; false if it fails */
static bool measure_first(const struct job *job)
{
	double tces = job->mem.size >> job->layout->shift;
	uint64_t start = ticks();
	int ret = map(job, job->mem.size);
	double took = ns_since(start);

	if (ret) {
		refused(ret, "map.%s.1g.%s", job->layout->name,
			kind_name[job->mem.kind]);
		return false;
	}
	need(unmap(job, job->mem.size), "unmap");
	figure(took / tces, tces > 1 ? per_tce : per_call, "first-map.%s.1g.%s",
	       job->layout->name, kind_name[job->mem.kind]);
	return true;
}

static void measure_sizes(const struct job *job)
{
	uint64_t page = 1ULL << job->layout->shift;

	if (page < MIB(2))
		measure_size(job, page, "1-tce");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (sizes[i].bytes >= page)
			measure_size(job, sizes[i].bytes, sizes[i].name);
}

static void measure_window(void *arg)
{
	struct job *job = arg;
	const struct layout *layout = job->layout;

	need(spapr_register(vfio.fd, job->mem.ua, job->mem.size), "register");
	need(window_create(vfio.fd, layout->shift, layout->size,
			   layout->levels, &job->start), "create window");
	settle();
	if (measure_first(job))
		measure_sizes(job);
	need(window_remove(vfio.fd, job->start), "remove window");
	need(spapr_unregister(vfio.fd, job->mem.ua, job->mem.size),
	     "unregister");
}

/*
 * Windows that are almost empty
 */

#define SPARSE_SHIFT	16
#define SPARSE_LEVELS	2
#define SPARSE_SIZE	(1ULL << 48)
#define SPARSE_TCES	16

static void timed(uint64_t start, const char *name)
{
	double took = ns_since(start);

	figure(took, per_call, "%s", name);
}

static void measure_sparse(void *arg)
{
	struct memory *mem = arg;
	uint64_t window, start, step = SPARSE_SIZE / SPARSE_TCES;

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	start = ticks();
	need(window_create(vfio.fd, SPARSE_SHIFT, SPARSE_SIZE, SPARSE_LEVELS,
			   &window), "create window");
	timed(start, "window.create.256t");

	start = ticks();
	need(dma_unmap(vfio.fd, window, SPARSE_SIZE), "unmap nothing");
	timed(start, "unmap.empty-window.256t");

	start = ticks();
	for (int i = 0; i < SPARSE_TCES; i++)
		need(dma_map(vfio.fd, window + i * step, mem->ua,
			     1 << SPARSE_SHIFT, READ_WRITE), "map");
	figure(ns_since(start) / SPARSE_TCES, per_call,
	       "first-map.sparse-window.256t");

	start = ticks();
	need(dma_unmap(vfio.fd, window, SPARSE_SIZE), "unmap");
	timed(start, "unmap.sparse-window.256t");

	start = ticks();
	need(window_remove(vfio.fd, window), "remove window");
	timed(start, "window.remove.256t");
	need(spapr_unregister(vfio.fd, mem->ua, mem->size), "unregister");
}

/*
 * Measure the lower bound: a loop that stores big-endian TCEs. It stores them one
 * by one, because a device may read the table at any time.
 */
static void store_tces(uint64_t *table, uint64_t count)
{
	uint64_t tce = READ_WRITE;

	for (uint64_t i = 0; i < count; i++) {
		table[i] = htobe64(tce);
		tce += TCE_4K;
		asm volatile("" : : : "memory");
	}
}

static void measure_floor(void)
{
	uint64_t count = GIB(1) / TCE_4K, start;
	uint64_t *table = malloc(count * sizeof(*table));

	if (!table)
		return;
	store_tces(table, count);
	start = ticks();
	store_tces(table, count);
	figure(ns_since(start) / count, per_tce, "floor.store");
	free(table);
}

static bool makes_sense(const struct layout *layout, const struct memory *mem)
{
	uint64_t page = 1ULL << layout->shift;

	if (!offered(layout->shift, layout->levels))
		return false;
	switch (mem->kind) {
	case SCATTERED:
		return page <= base_page();
	case THP:
		return page <= MIB(2);
	default:
		return true;
	}
}

static void bench_kind(enum memory_kind kind)
{
	struct job job;

	if (!memory_get(&job.mem, kind, GIB(1))) {
		printf("BENCH-NOTE: no memory of kind %s\n", kind_name[kind]);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		job.layout = &layouts[i];
		if (makes_sense(job.layout, &job.mem))
			each_backend(measure_window, &job);
	}
	if (kind == HUGE_1G && offered(SPARSE_SHIFT, SPARSE_LEVELS))
		each_backend(measure_sparse, &job.mem);
	memory_put(&job.mem);
}

/* Measure 1 GiB in windows whose TCEs have the size of a base page */
static void bench_kind_short(enum memory_kind kind, unsigned int most_levels)
{
	struct job job;

	if (!memory_get(&job.mem, kind, GIB(1))) {
		printf("BENCH-NOTE: no memory of kind %s\n", kind_name[kind]);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		job.layout = &layouts[i];
		if (1ULL << layouts[i].shift == base_page() &&
		    layouts[i].levels <= most_levels &&
		    makes_sense(job.layout, &job.mem))
			each_backend(measure_window, &job);
	}
	memory_put(&job.mem);
}

void bench_map_short(void)
{
	bench_kind_short(HUGE_1G, 1);
	bench_kind_short(SCATTERED, 2);
}

void bench_map(void)
{
	measure_floor();
	bench_kind(HUGE_1G);
	bench_kind(THP);
	bench_kind(SCATTERED);
}
