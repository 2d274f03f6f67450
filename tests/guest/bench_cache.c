// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "cache" of the benchmark: the cost of registering and unregistering memory
 * of each kind, and of finding one region among many.
 */
#include "bench.h"

#include <stdio.h>

#define REPEATS		65	/* for short calls; the median is printed */
#define LARGE_REPEATS	3	/* for long calls; each value is printed */
#define MANY		256	/* one-page regions in measure_small() */
#define IOVA		MIB(256)	/* in the default window, 4K TCEs */

static const char per_page[] = "instructions per page";
static const char per_call[] = "instructions per call";

/* Register and unregister one region of 1 GiB */
static void measure_large_once(const struct memory *mem)
{
	const char *kind = kind_name[mem->kind];
	double pages = mem->size / base_page();
	double took;
	uint64_t start;

	settle();
	start = ticks();
	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	took = ns_since(start);
	figure(took / pages, per_page, "cache.register.%s", kind);

	start = ticks();
	need(spapr_unregister(vfio.fd, mem->ua, mem->size), "unregister");
	took = ns_since(start);
	figure(took, per_call, "cache.unregister-returns.%s", kind);
	took += deferred_ns();
	figure(took / pages, per_page, "cache.unregister-total.%s", kind);
}

static void measure_large(void *arg)
{
	for (int i = 0; i < LARGE_REPEATS; i++)
		measure_large_once(arg);
}

/* Register base pages, let a device write to all of them, and unregister them */
static void measure_dirty_once(const struct memory *mem, const char *variant)
{
	double took;
	uint64_t start;

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	need(dma_map(vfio.fd, IOVA, mem->ua, mem->size, READ_WRITE), "map");
	need(dma_unmap(vfio.fd, IOVA, mem->size), "unmap");
	settle();
	start = ticks();
	need(spapr_unregister(vfio.fd, mem->ua, mem->size), "unregister");
	took = ns_since(start) + deferred_ns();
	figure(took / (mem->size / base_page()), per_page,
	       "cache.unregister-total.%s", variant);
}

/*
 * Measure twice on new memory. The first time this module has to mark the pages dirty when it
 * unpins them. The second time they are dirty. The in-tree driver marks pages dirty
 * when it unmaps them.
 */
static void measure_dirty(void *arg)
{
	struct memory mem;

	(void)arg;
	if (memory_get(&mem, SCATTERED, MIB(256))) {
		measure_dirty_once(&mem, "newly-dirty");
		measure_dirty_once(&mem, "dirty");
	}
	memory_put(&mem);
}

/* Measure unregistering MANY regions of one page, including the deferred work */
static void measure_small(void *arg)
{
	uint8_t *ua = arg;
	uint64_t start;
	double took;

	for (int i = 0; i < MANY; i++)
		need(spapr_register(vfio.fd, ua + i * base_page(), base_page()),
		     "register a page");
	settle();
	start = ticks();
	for (int i = 0; i < MANY; i++)
		need(spapr_unregister(vfio.fd, ua + i * base_page(),
				      base_page()), "unregister a page");
	took = ns_since(start);
	took += deferred_ns();
	figure(took / MANY, per_call, "cache.unregister-total.one-page");
}

/*
 * Calls by the number of registered regions
 */

static const unsigned int region_counts[] = { 1, 64, 1024, 8192 };

#define MAX_REGIONS	8192

/* Register and unregister one page while @regions other regions are registered */
static void measure_one_more(uint8_t *ua, unsigned int regions)
{
	double reg[REPEATS], unreg[REPEATS];

	for (int i = 0; i < REPEATS; i++) {
		uint64_t start = ticks();

		need(spapr_register(vfio.fd, ua, base_page()), "register");
		reg[i] = ns_since(start);
		start = ticks();
		need(spapr_unregister(vfio.fd, ua, base_page()), "unregister");
		unreg[i] = ns_since(start);
	}
	figure(median(reg, REPEATS), per_call,
	       "cache.register.one-page.%u-regions", regions);
	figure(median(unreg, REPEATS), per_call,
	       "cache.unregister-returns.one-page.%u-regions", regions);
}

/* Map and unmap one TCE of a region */
static void measure_one_tce(uint8_t *ua, unsigned int regions,
			    const char *which)
{
	double map[REPEATS], unmap[REPEATS];

	for (int i = 0; i < REPEATS; i++) {
		uint64_t start = ticks();

		need(dma_map(vfio.fd, IOVA, ua, TCE_4K, READ_WRITE), "map");
		map[i] = ns_since(start);
		start = ticks();
		need(dma_unmap(vfio.fd, IOVA, TCE_4K), "unmap");
		unmap[i] = ns_since(start);
	}
	figure(median(map, REPEATS), per_call, "map.one-tce.%u-regions.%s",
	       regions, which);
	figure(median(unmap, REPEATS), per_call, "unmap.one-tce.%u-regions.%s",
	       regions, which);
}

/* Map and unmap 512 TCEs over several adjacent regions of one page */
static void measure_many_tces(uint8_t *ua, unsigned int regions)
{
	double tces = MIB(2) / TCE_4K;
	uint64_t start = ticks();

	need(dma_map(vfio.fd, IOVA, ua, MIB(2), READ_WRITE), "map");
	figure(ns_since(start) / tces, "instructions per TCE",
	       "map.512-tces.%u-regions.middle", regions);
	start = ticks();
	need(dma_unmap(vfio.fd, IOVA, MIB(2)), "unmap");
	figure(ns_since(start) / tces, "instructions per TCE",
	       "unmap.512-tces.%u-regions.middle", regions);
}

static void measure_regions(void *arg)
{
	uint8_t *ua = arg;
	unsigned int have = 0;

	for (size_t i = 0; i < ARRAY_SIZE(region_counts); i++) {
		unsigned int want = region_counts[i];

		for (; have < want; have++)
			need(spapr_register(vfio.fd, ua + have * base_page(),
					    base_page()), "register a page");
		measure_one_more(ua + want * base_page(), want);
		measure_one_tce(ua, want, "first");
		measure_one_tce(ua + want / 2 * base_page(), want, "middle");
		measure_one_tce(ua + (want - 1) * base_page(), want, "last");
		if (want / 2 * base_page() >= MIB(2))
			measure_many_tces(ua + want / 2 * base_page(), want);
	}
}

/* Measure 1 GiB, then one page and one TCE, while one region is registered */
static void measure_short(void *arg)
{
	const struct memory *mem = arg;

	measure_large_once(mem);
	need(spapr_register(vfio.fd, mem->ua, base_page()), "register a page");
	measure_one_more(mem->ua + base_page(), 1);
	measure_one_tce(mem->ua, 1, "first");
}

void bench_cache_short(void)
{
	struct memory mem;

	if (memory_get(&mem, FRESH, GIB(1)))
		each_backend(measure_short, &mem);
	memory_put(&mem);
}

void bench_cache(void)
{
	struct memory mem;

	for (enum memory_kind kind = 0; kind < KINDS; kind++) {
		if (memory_get(&mem, kind, GIB(1)))
			each_backend(measure_large, &mem);
		else
			printf("BENCH-NOTE: no memory of kind %s\n",
			       kind_name[kind]);
		memory_put(&mem);
	}
	each_backend(measure_dirty, NULL);
	if (memory_get(&mem, FRESH, 2 * MAX_REGIONS * base_page())) {
		each_backend(measure_small, mem.ua);
		each_backend(measure_regions, mem.ua);
		memory_put(&mem);
	}
}
