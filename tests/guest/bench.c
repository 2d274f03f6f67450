// SPDX-License-Identifier: GPL-2.0-only
/*
 * tce2-bench [PART...]: compare the cost of calls to this module and to the
 * in-tree driver, the two backends of VFIO. The backends are measured by turns in
 * one process, on the same memory. Prints one line for each measured value:
 *
 *	BENCH: {"figure": ..., "backend": ..., "unit": ..., "value": ...}
 *
 * PARTs are cache, memory, map, growth, realmode, kvm, vector, short, profile, lines,
 * threads and hcalls. The default is the first seven parts: short repeats a few rows of
 * cache and map, profile and lines need a plugin of QEMU, and an instruction count
 * does not show the cost of threads and hypercalls.
 *
 * The in-tree driver is always loaded. VFIO first asks the backend that was
 * loaded last, so this module's turn begins with modprobe and ends with rmmod.
 * In each turn, the use count of the measured module must rise when a container
 * is opened.
 *
 * Deferred work: the in-tree driver unpins in an RCU callback after UNREGISTER
 * has returned. To measure the callback, this program keeps the only CPU busy
 * with a loop that reads the clock. Whenever the kernel takes the CPU, there is a
 * gap between two readings. The gaps are added up for SPIN_NS, once with deferred
 * work and once without. The second sum is the cost of clock ticks, so the
 * difference is the cost of the deferred work. The loop also keeps the CPU from
 * being idle, because QEMU's -icount advances the clock of an idle CPU. The
 * kernel's counts of pins must show that all deferred work was done.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "machine.h"

#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPIN_NS		60000000.0	/* several grace periods on one CPU */
#define GAP_TICKS	150		/* more than one iteration of the loop in gaps_ns() */
#define SETTLE_SPINS	100		/* longest wait for deferred work, in units of SPIN_NS */

struct backend {
	const char *name;
	const char *module;
	bool ours;
};

static const struct backend backends[] = {
	{ "in-tree", "vfio_iommu_spapr_tce", false },
	{ "ours", "vfio_spapr_tce2", true },
};

static const struct backend *backend;
static int64_t pins_before;

struct vfio vfio;
int rounds = 2;

const char *const kind_name[KINDS] = {
	[SCATTERED] = "scattered", [FRESH] = "fresh", [THP] = "thp",
	[HUGE_2M] = "hugetlb-2m", [HUGE_1G] = "hugetlb-1g",
};

static __attribute__((format(printf, 1, 2), noreturn)) void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("tce2-bench: ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	exit(1);
}

void need(int ret, const char *what)
{
	if (ret)
		die("%s: %s (%d)", what,
		    ret < 0 ? strerror(-ret) : "unexpected return value", ret);
}

/*
 * Printing of measured values
 */

static void print_figure(const char *name, va_list ap, const char *rest)
{
	printf("BENCH: {\"figure\": \"");
	vprintf(name, ap);
	printf("\", \"backend\": \"%s\", %s}\n", backend ? backend->name : "none",
	       rest);
}

void figures_of(bool ours)
{
	backend = &backends[ours];
}

void figure(double value, const char *unit, const char *name, ...)
{
	char rest[160];
	va_list ap;

	snprintf(rest, sizeof(rest), "\"unit\": \"%s\", \"value\": %.2f", unit,
		 value);
	va_start(ap, name);
	print_figure(name, ap, rest);
	va_end(ap);
}

void refused(int error, const char *name, ...)
{
	char rest[160];
	va_list ap;

	snprintf(rest, sizeof(rest), "\"refused\": \"%s\"",
		 strerrorname_np(-error));
	va_start(ap, name);
	print_figure(name, ap, rest);
	va_end(ap);
}

/*
 * The clock, and the deferred work of the kernel
 */

double ns_since(uint64_t start)
{
	uint64_t now = ticks();

	return (now - start) * (1e9 / __ppc_get_timebase_freq());
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *sample, int count)
{
	qsort(sample, count, sizeof(*sample), by_value);
	return sample[count / 2];
}

/* Run a loop for SPIN_NS; return the time in which the kernel used the CPU instead */
static double gaps_ns(void)
{
	double tick = 1e9 / __ppc_get_timebase_freq();
	uint64_t start = ticks(), last = start, now, gaps = 0;
	uint64_t end = start + SPIN_NS / tick;

	while (last < end) {
		/* Reading the clock is slow in the emulator, so read it rarely */
		for (int i = 0; i < 16; i++)
			asm volatile("");
		now = ticks();
		if (now - last > GAP_TICKS)
			gaps += now - last;
		last = now;
	}
	return gaps * tick;
}

/* Give the kernel time to finish the deferred work of earlier calls */
void settle(void)
{
	gaps_ns();
}

/* Wait until booting has ended: until 10 calls of gaps_ns() return almost the minimum */
static void wait_for_quiet(void)
{
	double least = SPIN_NS;
	int quiet = 0;

	for (int i = 0; i < SETTLE_SPINS && quiet < 10; i++) {
		double gaps = gaps_ns();

		quiet = gaps < least * 1.2 ? quiet + 1 : 0;
		least = gaps < least ? gaps : least;
	}
}

static void wait_for_unpinning(void)
{
	for (int i = 0; i < SETTLE_SPINS; i++) {
		settle();
		if (pins() == pins_before)
			return;
	}
	die("%lld pages are still pinned", (long long)(pins() - pins_before));
}

/*
 * Let the kernel do the deferred work of the last calls; return its cost in
 * nanoseconds. All memory must have been unregistered.
 */
double deferred_ns(void)
{
	double busy = gaps_ns(), idle;

	if (pins() != pins_before)
		die("deferred work did not end while it was measured");
	idle = gaps_ns();
	return busy > idle ? busy - idle : 0;
}

/*
 * The turns of the backends
 */

/* Don't use fork(), which changes the page tables of this process and so the costs */
void run_program(const char *program, const char *module)
{
	char *argv[] = { (char *)program, (char *)module, NULL };
	int ret, status;
	pid_t pid;

	ret = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (ret || waitpid(pid, &status, 0) != pid || status)
		die("%s %s failed", program, module);
}

static void open_container(void)
{
	int before = module_refs(backend->module);

	need(vfio_open(&vfio), "open /dev/vfio/vfio");
	need(vfio_attach(&vfio, 0), "attach the device's group");
	need(vfio_set_iommu(&vfio, VFIO_SPAPR_TCE_v2_IOMMU),
	     "VFIO_SET_IOMMU(SPAPR TCE v2)");
	if (module_refs(backend->module) != before + 1)
		die("the container is not handled by %s", backend->module);
}

/* Call settle() because console output and module loading leave deferred work */
static void begin_turn(void)
{
	fflush(stdout);
	if (backend->ours)
		run_program("modprobe", backend->module);
	settle();
	pins_before = pins();
	open_container();
}

static void end_turn(void)
{
	vfio_close(&vfio);
	wait_for_unpinning();
	if (backend->ours)
		run_program("rmmod", backend->module);
	backend = NULL;
}

const char *backend_name(void)
{
	return backend->name;
}

bool offered(unsigned int shift, unsigned int levels)
{
	static struct vfio_iommu_spapr_tce_info info;
	struct vfio v;

	if (!info.argsz) {
		need(vfio_open(&v), "open /dev/vfio/vfio");
		need(vfio_attach(&v, 0), "attach the device's group");
		need(vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU),
		     "VFIO_SET_IOMMU(SPAPR TCE v2)");
		need(get_info(v.fd, &info), "get info");
		vfio_close(&v);
	}
	return (info.ddw.pgsizes & (1ULL << shift)) && levels <= info.ddw.levels;
}

void each_backend(void (*measure)(void *arg), void *arg)
{
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
			backend = &backends[i];
			begin_turn();
			measure(arg);
			end_turn();
		}
	}
}

/*
 * User memory of each kind
 */

/* Return the bytes of THP in the mapping that contains @ua, from /proc/self/smaps */
static uint64_t thp_bytes(const void *ua)
{
	unsigned long long start, end, kib;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool inside = false;
	uint64_t found = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			inside = start <= (uintptr_t)ua && (uintptr_t)ua < end;
		else if (inside && sscanf(line, "AnonHugePages: %llu", &kib) == 1)
			found = kib * 1024;
	}
	if (f)
		fclose(f);
	return found;
}

static void touch_every(uint8_t *ua, uint64_t count, uint64_t page,
			uint64_t stride)
{
	for (uint64_t i = 0; i < count; i++)
		ua[i * stride % count * page] = 1;
}

/* @count must be a power of two: then the odd stride reaches every page once */
void touch_scattered(uint8_t *ua, uint64_t count, uint64_t page)
{
	touch_every(ua, count, page, 7919);
}

static bool memory_map(struct memory *mem)
{
	mem->mapped = mem->size + MIB(2);
	mem->mapping = mmap(NULL, mem->mapped, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem->mapping == MAP_FAILED)
		return false;
	mem->ua = (void *)(((uintptr_t)mem->mapping + MIB(2) - 1) &
			   ~(MIB(2) - 1));
	madvise(mem->mapping, mem->mapped,
		mem->kind == THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return true;
}

static bool memory_hugetlb(struct memory *mem, uint64_t page)
{
	mem->ua = mem_hugetlb(page, mem->size / page);
	mem->mapping = mem->ua;
	mem->mapped = mem->size;
	return mem->ua;
}

/* Allocate @size bytes, a power of two; return false if the kernel has no such memory */
bool memory_get(struct memory *mem, enum memory_kind kind, uint64_t size)
{
	uint64_t pages = size / base_page();

	*mem = (struct memory){ .kind = kind, .size = size };
	if (kind == HUGE_2M)
		return memory_hugetlb(mem, MIB(2));
	if (kind == HUGE_1G)
		return memory_hugetlb(mem, GIB(1));
	if (!memory_map(mem))
		return false;
	if (kind == SCATTERED)
		touch_scattered(mem->ua, pages, base_page());
	else
		touch_every(mem->ua, pages, base_page(), 1);
	return kind != THP || thp_bytes(mem->ua) >= size;
}

void memory_put(struct memory *mem)
{
	munmap(mem->mapping, mem->mapped);
}

static const struct part {
	const char *name;
	void (*run)(void);
	bool on_demand;		/* not a default part */
} parts[] = {
	{ "cache", bench_cache, false },
	{ "memory", bench_memory, false },
	{ "map", bench_map, false },
	{ "growth", bench_growth, false },
	{ "realmode", bench_realmode, false },
	{ "kvm", bench_kvm, false },
	{ "vector", bench_vector, false },
	{ "short", bench_short, true },
	{ "profile", bench_profile, true },
	{ "lines", bench_lines, true },
	{ "threads", bench_threads, true },
	{ "hcalls", bench_hcalls, true },
};

static bool wanted(int argc, char **argv, const struct part *part)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], part->name))
			return true;
	return argc == 1 && !part->on_demand;
}

/* Reserve hugepages first, before memory is fragmented */
static void prepare(void)
{
	if (!reserve_hugepages(512, 1))
		puts("cannot reserve hugepages");
	log_mark();
	if (!load_module(IN_TREE_MODULE) || !load_module("vfio-pci") || !bind_edus("# edu "))
		die("cannot load the in-tree driver, or bind the devices to vfio-pci");
	if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL))
		die("cannot mount tracefs");
}

int main(int argc, char **argv)
{
	static char buffer[1 << 20];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	prepare();
	wait_for_quiet();
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (wanted(argc, argv, &parts[i]))
			parts[i].run();
	log_print_complaints("", ANY_COMPLAINT);
	return 0;
}
