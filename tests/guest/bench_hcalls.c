// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "hcalls" of the benchmark: the number of hypercalls that each action makes
 * on pseries. There the hypervisor writes the TCEs, and hypercalls are most of the
 * cost. QEMU executes hypercalls outside of the guest, so the guest's clock does
 * not count their instructions. Therefore the hypercalls are counted in QEMU's trace.
 *
 * Marks divide the trace into phases. A mark is a TCE at a bus address that is
 * used for marks only: the nth phase begins when this program maps the nth TCE
 * after the bus address MARKS. For each phase that tests/hcalls.awk evaluates, this
 * program prints
 *
 *	HCALLS: {"phase": 3, "backend": ..., "tces": 16384, "figure": ...}
 *
 * tests/hcalls.awk reads the trace and these lines.
 */
#include "bench.h"

#include <stdio.h>

#define MARKS		MIB(512)	/* in the default window, up to MIB(768) */
#define SIZE		MIB(64)

static void *mark_page;
static unsigned int phase;

static void next_phase(void)
{
	phase++;
	need(dma_map(vfio.fd, MARKS + phase * TCE_4K, mark_page, TCE_4K,
		     READ_WRITE), "map a mark");
}

struct job {
	struct memory mem;
	unsigned int shift;
	const char *tce;
};

static void begin(const struct job *job, const char *what, uint64_t size)
{
	unsigned int tces = size >> job->shift;

	next_phase();
	printf("HCALLS: {\"phase\": %u, \"backend\": \"%s\", \"tces\": %u, ",
	       phase, backend_name(), tces);
	printf("\"figure\": \"hcalls.%s.%s-tce.%u-tces.%s\"}\n", what,
	       job->tce, tces, kind_name[job->mem.kind]);
}

static void measure_size(const struct job *job, uint64_t window, uint64_t size)
{
	begin(job, "map", size);
	need(dma_map(vfio.fd, window, job->mem.ua, size, READ_WRITE), "map");
	begin(job, "replace", size);
	need(dma_map(vfio.fd, window, job->mem.ua, size, READ_WRITE), "replace");
	begin(job, "unmap", size);
	need(dma_unmap(vfio.fd, window, size), "unmap");
	next_phase();
}

/* Measure SIZE first, so that only SIZE includes the cost of the first map in a window */
static void measure(void *arg)
{
	struct job *job = arg;
	uint64_t page = 1ULL << job->shift, window;

	need(spapr_register(vfio.fd, job->mem.ua, SIZE), "register");
	need(spapr_register(vfio.fd, mark_page, base_page()), "register");
	need(window_create(vfio.fd, job->shift, 2 * SIZE, 1, &window),
	     "create window");
	next_phase();
	measure_size(job, window, SIZE);
	measure_size(job, window, page);
	need(window_remove(vfio.fd, window), "remove window");
	/* Unmap the marks, which are in the default window */
	need(window_remove(vfio.fd, 0), "remove the default window");
	need(spapr_unregister(vfio.fd, mark_page, base_page()), "unregister");
	need(spapr_unregister(vfio.fd, job->mem.ua, SIZE), "unregister");
}

void bench_hcalls(void)
{
	static const enum memory_kind kinds[] = { HUGE_2M, SCATTERED };
	struct job job;

	mark_page = mem_base(base_page());
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!memory_get(&job.mem, kinds[i], SIZE)) {
			printf("BENCH-NOTE: no memory of kind %s\n",
			       kind_name[kinds[i]]);
			continue;
		}
		job.shift = 12;
		job.tce = "4k";
		each_backend(measure, &job);
		job.shift = 16;
		job.tce = "64k";
		if (kinds[i] != SCATTERED || base_page() >= KIB(64))
			each_backend(measure, &job);
		job.shift = 21;
		job.tce = "2m";
		if (kinds[i] != SCATTERED)
			each_backend(measure, &job);
		memory_put(&job.mem);
	}
}
