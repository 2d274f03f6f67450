// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "growth" of the benchmark: how the cost of mapping one TCE grows with the
 * number of TCEs in a call and with the number of regions. The machine has too
 * little memory for MOST_TCES, so one hugepage is mapped repeatedly in the user
 * address space.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_TCES	(1ULL << 20)
#define REPEATS		3
#define RUN_TCES	1024
#define MOST_REGIONS	8192

static const char per_tce[] = "instructions per TCE";

static void measure_map(uint64_t start, uint8_t *ua, uint64_t tces,
			const char *variant)
{
	double mapped[REPEATS], unmapped[REPEATS];
	uint64_t began;

	for (int i = 0; i < REPEATS; i++) {
		began = ticks();
		need(dma_map(vfio.fd, start, ua, tces * TCE_4K, READ_WRITE),
		     "map");
		mapped[i] = ns_since(began) / tces;
		began = ticks();
		need(dma_unmap(vfio.fd, start, tces * TCE_4K), "unmap");
		unmapped[i] = ns_since(began) / tces;
	}
	figure(median(mapped, REPEATS), per_tce, "growth.map.%s", variant);
	figure(median(unmapped, REPEATS), per_tce, "growth.unmap.%s", variant);
}

static void measure_sizes(void *arg)
{
	uint64_t start, tces;
	uint8_t *ua = arg;
	char variant[32];

	need(spapr_register(vfio.fd, ua, MOST_TCES * TCE_4K), "register");
	need(window_create(vfio.fd, 12, MOST_TCES * TCE_4K, 1, &start),
	     "create window");
	settle();
	for (tces = 1024; tces <= MOST_TCES; tces *= 4) {
		snprintf(variant, sizeof(variant), "%llu-tces",
			 (unsigned long long)tces);
		measure_map(start, ua, tces, variant);
	}
	need(window_remove(vfio.fd, start), "remove window");
	need(spapr_unregister(vfio.fd, ua, MOST_TCES * TCE_4K), "unregister");
}

/* Map in one region, each time with more one-page regions registered above it */
static void measure_regions(void *arg)
{
	static const int counts[] = { 1, 64, 1024, MOST_REGIONS };
	uint64_t page = base_page(), start, run = RUN_TCES * TCE_4K;
	uint8_t *ua = arg, *pages = ua + GIB(1);
	char variant[32];
	int there = 1;

	need(spapr_register(vfio.fd, ua, run), "register");
	need(window_create(vfio.fd, 12, GIB(1), 1, &start), "create window");
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (; there < counts[i]; there++)
			need(spapr_register(vfio.fd, pages + there * page,
					    page), "register");
		settle();
		snprintf(variant, sizeof(variant), "%d-tces.%d-regions",
			 RUN_TCES, counts[i]);
		measure_map(start, ua, RUN_TCES, variant);
	}
	while (--there)
		need(spapr_unregister(vfio.fd, pages + there * page, page),
		     "unregister");
	need(window_remove(vfio.fd, start), "remove window");
	need(spapr_unregister(vfio.fd, ua, run), "unregister");
}

/* Fill @size bytes of address space with one 1 GiB hugepage; NULL without hugepages */
static uint8_t *repeated(uint64_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC | MFD_HUGETLB |
			      30 << MFD_HUGE_SHIFT);
	uint8_t *map, *ua;

	map = mmap(NULL, size + GIB(1), PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || map == MAP_FAILED || ftruncate(fd, GIB(1)))
		return NULL;
	ua = (uint8_t *)(((uintptr_t)map + GIB(1) - 1) & ~(GIB(1) - 1));
	for (uint64_t off = 0; off < size; off += GIB(1)) {
		if (mmap(ua + off, GIB(1), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return NULL;
		ua[off] = 1;
	}
	close(fd);
	return ua;
}

void bench_growth(void)
{
	uint8_t *ua = repeated(MOST_TCES * TCE_4K);

	if (!ua) {
		printf("BENCH-NOTE: no hugepage to map repeatedly\n");
		return;
	}
	each_backend(measure_sizes, ua);
	each_backend(measure_regions, ua);
	munmap(ua, MOST_TCES * TCE_4K);
}
