// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "vector" of the benchmark: mapping and unmapping 512 pages, each by a separate
 * request, in 512 calls or in one call (VFIO_IOMMU_TCE2_RANGES), and copying these mappings with
 * VFIO_TCE2_OP_COPY. Two patterns, as in the clients:
 *
 *	pages	DPDK: pages of a memory segment that are not physically contiguous, at
 *		ascending bus addresses
 *	guest	QEMU: single pages all over the memory, as a guest with an emulated IOMMU
 *		maps them, unmaps them and maps others at the same bus addresses
 */
#include "bench.h"

#include <stdio.h>

#define COUNT		512
#define REPEATS		9
#define START		MIB(256)	/* in the default window, 4K TCEs */

static const char per_request[] = "instructions per request";

struct pattern {
	const char *name;
	uint32_t step;		/* pages from a request to the next; odd, so that all differ */
};

static const struct pattern patterns[] = {
	{ "pages", 1 }, { "guest", 237 },
};

static struct vfio_tce2_range maps[COUNT], unmaps[COUNT];

static void fill(const struct pattern *pattern, uint8_t *ua)
{
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t page = i * pattern->step % COUNT;
		uint64_t iova = START + page * TCE_4K;

		maps[i] = map_range(iova, ua + page * base_page(), TCE_4K, READ_WRITE);
		unmaps[i] = unmap_range(iova, TCE_4K);
	}
}

static void map_singly(void)
{
	for (uint32_t i = 0; i < COUNT; i++)
		need(dma_map(vfio.fd, maps[i].iova, (void *)(uintptr_t)maps[i].vaddr,
			     TCE_4K, READ_WRITE), "map");
}

static void unmap_singly(void)
{
	for (uint32_t i = 0; i < COUNT; i++)
		need(dma_unmap(vfio.fd, unmaps[i].iova, TCE_4K), "unmap");
}

static void map_together(void)
{
	uint32_t done;

	need(run_ranges(vfio.fd, maps, COUNT, 0, NULL, &done), "map a vector");
}

static void unmap_together(void)
{
	uint32_t done;

	need(run_ranges(vfio.fd, unmaps, COUNT, 0, NULL, &done), "unmap a vector");
}

/* Copies the mappings of all pages to other bus addresses of the window */
static void measure_copy(void)
{
	struct vfio_tce2_range one = copy_range(START + MIB(64), START, COUNT * TCE_4K);
	double took[REPEATS];
	uint32_t done;

	need(run_ranges(vfio.fd, maps, COUNT, 0, NULL, &done), "map a vector");
	for (int i = 0; i < REPEATS; i++) {
		uint64_t start = ticks();

		need(run_ranges(vfio.fd, &one, 1, 0, NULL, &done), "copy");
		took[i] = ns_since(start) / COUNT;
	}
	figure(median(took, REPEATS), "instructions per TCE", "vector.copy.512-runs");
	need(dma_unmap(vfio.fd, START + MIB(64), COUNT * TCE_4K), "unmap");
	need(dma_unmap(vfio.fd, START, COUNT * TCE_4K), "unmap");
}

static void measure(const char *pattern, const char *how, void (*map)(void),
		    void (*unmap)(void))
{
	double map_ns[REPEATS], replace_ns[REPEATS], unmap_ns[REPEATS];

	for (int i = 0; i < REPEATS; i++) {
		uint64_t start = ticks();

		map();
		map_ns[i] = ns_since(start) / COUNT;
		start = ticks();
		map();
		replace_ns[i] = ns_since(start) / COUNT;
		start = ticks();
		unmap();
		unmap_ns[i] = ns_since(start) / COUNT;
	}
	figure(median(map_ns, REPEATS), per_request, "vector.map.%s.%s", pattern, how);
	figure(median(replace_ns, REPEATS), per_request, "vector.replace.%s.%s", pattern, how);
	figure(median(unmap_ns, REPEATS), per_request, "vector.unmap.%s.%s", pattern, how);
}

static void measure_patterns(void *arg)
{
	struct memory *mem = arg;

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	/* Makes the default window, and the leaves of all bus addresses */
	need(dma_map(vfio.fd, START, mem->ua, COUNT * TCE_4K, READ_WRITE), "map");
	need(dma_unmap(vfio.fd, START, COUNT * TCE_4K), "unmap");
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		fill(&patterns[i], mem->ua);
		measure(patterns[i].name, "512-calls", map_singly, unmap_singly);
		if (check_extension(vfio.fd, VFIO_TCE2_RANGES) <= 0)
			continue;
		measure(patterns[i].name, "1-call", map_together, unmap_together);
		/* The mappings are the same after both patterns */
		if (i == 0)
			measure_copy();
	}
	need(spapr_unregister(vfio.fd, mem->ua, mem->size), "unregister");
}

void bench_vector(void)
{
	struct memory mem;

	if (!memory_get(&mem, SCATTERED, COUNT * base_page())) {
		printf("BENCH-NOTE: no memory of kind %s\n", kind_name[SCATTERED]);
		return;
	}
	each_backend(measure_patterns, &mem);
	memory_put(&mem);
}
