// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part "memory" of the benchmark: the kernel memory that is allocated for
 * registered regions and for mappings. It is the sum of three sources:
 *
 *	slab	kmalloc and kfree events of this process, from the kernel's tracer
 *	pages	page allocation events of this process, except pages that the
 *		other sources count
 *	vmalloc	VmallocUsed of /proc/meminfo, because the tracer does not show it
 *
 * The sum is exact to the byte, while the slab figures of /proc/meminfo count whole
 * slabs. The machine has only 1 GiB of hugepages, so a region larger than 1 GiB maps
 * the same hugepages repeatedly.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRACING		"/sys/kernel/tracing/"
#define LARGE_PAGES	(16ULL << 20)	/* base pages of the largest region */
#define OBJECTS		65536
#define MANY		1024

static void *first_page;

static const char *const events[] = {
	"kmem/kmalloc", "kmem/kfree", "kmem/kmem_cache_alloc",
	"kmem/kmem_cache_free", "kmem/mm_page_alloc", "kmem/mm_page_free",
};

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		need(-errno, path);
	close(fd);
}

static void trace_events(bool on)
{
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		snprintf(path, sizeof(path), TRACING "events/%s/enable",
			 events[i]);
		write_file(path, on ? "1" : "0");
	}
}

static void trace_begin(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(TRACING "set_event_pid", pid);
	write_file(TRACING "buffer_size_kb", "16384");
	write_file(TRACING "trace", "");
	trace_events(true);
}

static struct object {
	unsigned long long id;	/* address or page frame */
	long long bytes;
} objects[OBJECTS];
static size_t nr_objects;

static void object_add(unsigned long long id, long long bytes)
{
	if (nr_objects < OBJECTS)
		objects[nr_objects++] = (struct object){ id, bytes };
	else
		printf("BENCH-NOTE: too many allocations, the sum is too small\n");
}

/* Remove the newest object with this id; objects older than the trace are unknown */
static void object_remove(unsigned long long id)
{
	for (size_t i = nr_objects; i--;) {
		if (objects[i].id == id) {
			objects[i] = objects[--nr_objects];
			return;
		}
	}
}

/* Return the number after a key of an event, or 0 if the key is missing */
static unsigned long long field(const char *line, const char *key, int base)
{
	const char *at = strstr(line, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

/* Check whether an event is about pages of slabs, of vmalloc or of user memory */
static bool counted_elsewhere(const char *line)
{
	return strstr(line, "__GFP_COMP") || strstr(line, "HIGHMEM") ||
	       strstr(line, "HIGHUSER");
}

static void count_event(const char *line)
{
	if (strstr(line, "kmalloc: ") || strstr(line, "kmem_cache_alloc: "))
		object_add(field(line, " ptr=", 16),
			   field(line, " bytes_alloc=", 10));
	else if (strstr(line, "kfree: ") || strstr(line, "kmem_cache_free: "))
		object_remove(field(line, " ptr=", 16));
	else if (strstr(line, "mm_page_alloc: ") && !counted_elsewhere(line))
		object_add(field(line, " pfn=", 16),
			   base_page() << field(line, " order=", 10));
	else if (strstr(line, "mm_page_free: "))
		object_remove(field(line, " pfn=", 16));
}

/* Return the bytes that the kernel has allocated for this process and not freed */
static long long trace_end(void)
{
	char line[512];
	long long sum = 0;
	FILE *f;

	trace_events(false);
	f = fopen(TRACING "trace", "re");
	if (!f) {
		need(-errno, TRACING "trace");
		return 0;
	}
	nr_objects = 0;
	while (fgets(line, sizeof(line), f))
		count_event(line);
	fclose(f);
	for (size_t i = 0; i < nr_objects; i++)
		sum += objects[i].bytes;
	return sum;
}

static long long vmalloc_used(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	long long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmallocUsed: %lld", &kib);
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Return the bytes allocated to register a number of regions of the same size */
static double register_measured(uint8_t *ua, uint64_t size, int regions)
{
	long long bytes = -vmalloc_used();

	trace_begin();
	for (int i = 0; i < regions; i++)
		need(spapr_register(vfio.fd, ua + i * size, size), "register");
	bytes += trace_end();
	bytes += vmalloc_used();
	for (int i = 0; i < regions; i++)
		need(spapr_unregister(vfio.fd, ua + i * size, size),
		     "unregister");
	return bytes;
}

static void measure_memory(void *arg)
{
	struct memory *mem = arg;
	double gib = (double)mem->size / GIB(1);

	/* Exclude allocations that only the first registration makes */
	need(spapr_register(vfio.fd, first_page, base_page()), "register");
	figure(register_measured(mem->ua, mem->size, 1) / gib, "bytes per GiB",
	       "memory.region-of-%.0fg.%s", gib, kind_name[mem->kind]);
	need(spapr_unregister(vfio.fd, first_page, base_page()), "unregister");
}

/* Measure the kernel memory of the smallest region, which has a single page */
static void measure_least(void *arg)
{
	figure(register_measured(arg, base_page(), MANY) / MANY,
	       "bytes per region", "memory.region-of-a-page");
}

/*
 * Measure the memory that MAP_DMA allocates in a window of one level, whose table is
 * allocated with the window. This module allocates the view, which grows with the
 * mappings. The in-tree driver keeps the user addresses in the platform's userspace copy
 * of the table instead. The copy is not measured: the platform allocates it with the
 * window, 8 bytes for each TCE, mapped or not. With this module only KVM uses the copy.
 */

#define VIEW_TCES	1024

static void map_tce(uint64_t start, uint64_t index, const uint8_t *ua)
{
	need(dma_map(vfio.fd, start + index * TCE_4K, ua, TCE_4K, READ_WRITE),
	     "map");
}

static void map_all(uint64_t start, const struct memory *mem)
{
	need(dma_map(vfio.fd, start, mem->ua, mem->size, READ_WRITE), "map");
}

/* Map adjacent TCEs to memory that is not adjacent */
static void map_shuffled(uint64_t start, const struct memory *mem)
{
	for (uint64_t i = 0; i < VIEW_TCES; i++)
		map_tce(start, i, mem->ua + i * 7919 % VIEW_TCES * TCE_4K);
}

/* Map 64 TCEs at equal distances all over the window */
static void map_alone(uint64_t start, const struct memory *mem)
{
	for (uint64_t i = 0; i < 64; i++)
		map_tce(start, i * (GIB(1) / TCE_4K / 64), mem->ua);
}

static const struct {
	const char *name;
	void (*map)(uint64_t start, const struct memory *mem);
	uint64_t tces;
} views[] = {
	{ "one-call", map_all, GIB(1) / TCE_4K },
	{ "shuffled", map_shuffled, VIEW_TCES },
	{ "alone", map_alone, 64 },
};

static void measure_view(void *arg)
{
	const struct memory *mem = arg;
	uint64_t start;

	need(spapr_register(vfio.fd, mem->ua, mem->size), "register");
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		need(window_create(vfio.fd, 12, GIB(1), 1, &start), "window");
		trace_begin();
		views[i].map(start, mem);
		figure((double)trace_end() / views[i].tces, "bytes per TCE",
		       "memory.mapping.%s", views[i].name);
		need(window_remove(vfio.fd, start), "remove window");
	}
	need(spapr_unregister(vfio.fd, mem->ua, mem->size), "unregister");
}

/* Fill the addresses of @mem with mappings of the same GiB of a file */
static bool map_repeated(const struct memory *mem, int fd)
{
	uint64_t off;

	for (off = 0; off < mem->size; off += GIB(1)) {
		if (mmap(mem->ua + off, GIB(1), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return false;
		touch_scattered(mem->ua + off, GIB(1) / MIB(2), MIB(2));
	}
	return true;
}

/* Prepare memory for a large region, all of it the same GiB of hugepages */
static bool memory_repeated(struct memory *mem, enum memory_kind kind)
{
	unsigned int shift = kind == HUGE_1G ? 30 : 21;
	int fd = memfd_create("bench", MFD_CLOEXEC | MFD_HUGETLB |
			      shift << MFD_HUGE_SHIFT);
	bool ok;

	*mem = (struct memory){ .kind = kind, .size = LARGE_PAGES * base_page() };
	mem->mapped = mem->size + GIB(1);
	mem->mapping = mmap(NULL, mem->mapped, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || mem->mapping == MAP_FAILED || ftruncate(fd, GIB(1)))
		return false;
	mem->ua = (void *)(((uintptr_t)mem->mapping + GIB(1) - 1) &
			   ~(GIB(1) - 1));
	ok = map_repeated(mem, fd);
	close(fd);
	return ok;
}

void bench_memory(void)
{
	static const enum memory_kind kinds[] = { SCATTERED, THP };
	static const enum memory_kind huge[] = { HUGE_2M, HUGE_1G };
	struct memory mem;

	first_page = mem_base(base_page());
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (memory_get(&mem, kinds[i], GIB(1))) {
			each_backend(measure_memory, &mem);
			if (kinds[i] == SCATTERED) {
				each_backend(measure_least, mem.ua);
				each_backend(measure_view, &mem);
			}
		}
		memory_put(&mem);
	}
	for (size_t i = 0; i < ARRAY_SIZE(huge); i++) {
		if (memory_repeated(&mem, huge[i]))
			each_backend(measure_memory, &mem);
		else
			printf("BENCH-NOTE: no large region of %s\n",
			       kind_name[huge[i]]);
		memory_put(&mem);
	}
}
