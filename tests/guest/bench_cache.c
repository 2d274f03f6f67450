// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's part about the region cache: what it costs to register and
 * unregister memory of every backing, and to find one region among many.
 */
#include "bench.h"

#include <stdio.h>

#define REPEATS		65	/* of short calls; the median counts */
#define LARGE_REPEATS	3	/* of long ones, each is reported */
#define MANY		256	/* one-page regions unregistered at once */

static const char per_page[] = "instructions per page";
static const char per_call[] = "instructions per call";

/* One region of a GiB */
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

/* Unregistering regions of one page, everything included */
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
 * Many regions
 */

static const unsigned int region_counts[] = { 1, 64, 1024, 8192 };

#define MAX_REGIONS	8192
#define IOVA		MIB(256)	/* in the default window, 4K TCEs */

/* REGISTER and UNREGISTER of one page more than there are */
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

/* MAP and UNMAP of one TCE that points into a region */
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

/* MAP and UNMAP of 512 TCEs that point into as many regions as it takes */
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
	if (memory_get(&mem, FRESH, 2 * MAX_REGIONS * base_page())) {
		each_backend(measure_small, mem.ua);
		each_backend(measure_regions, mem.ua);
		memory_put(&mem);
	}
}
