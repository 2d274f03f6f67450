// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark, guest side: this backend and the in-tree one by turns, in the
 * same process and on the same memory. Prints one line for each value measured:
 *
 *	BENCH: {"figure": ..., "backend": ..., "unit": ..., "value": ...}
 *
 *	tce2-bench [cache] [memory] [map] [growth] [realmode] [kvm] [threads] [hcalls]
 *
 * Without arguments: all that instructions can judge, hence not the last two.
 *
 * The in-tree backend is loaded all the time. VFIO asks the backend loaded last,
 * so this module's turn begins with modprobe and ends with rmmod; the use count
 * of the modules proves each time who serves.
 *
 * Deferred work. The in-tree driver unpins in an RCU callback after UNREGISTER
 * has returned. To find what that costs, this program occupies the only CPU by
 * a loop that reads the clock: each time the kernel takes the CPU away shows as
 * a gap. The sum of the gaps in SPIN_NS, less that of the same time with
 * nothing pending (clock ticks), is the deferred work. As the CPU never idles
 * -icount never warps the clock. The pin counters of the kernel prove
 * that nothing was left pending.
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

#define ROUNDS		2
#define SPIN_NS		60000000.0	/* several grace periods on one CPU */
#define GAP_TICKS	150		/* no loop of gaps_ns() takes that long */
#define SETTLE_SPINS	100		/* at most, for all to be unpinned */

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
		die("%s: %s (%d)", what, ret < 0 ? strerror(-ret) : "odd answer",
		    ret);
}

/*
 * Figures
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
 * Time
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

/* Time that the kernel took from a loop of SPIN_NS */
static double gaps_ns(void)
{
	double tick = 1e9 / __ppc_get_timebase_freq();
	uint64_t start = ticks(), last = start, now, gaps = 0;
	uint64_t end = start + SPIN_NS / tick;

	while (last < end) {
		/* Reading the clock is slow for the emulator, so not too often */
		for (int i = 0; i < 16; i++)
			asm volatile("");
		now = ticks();
		if (now - last > GAP_TICKS)
			gaps += now - last;
		last = now;
	}
	return gaps * tick;
}

/* Lets the kernel finish what earlier calls have left to it */
void settle(void)
{
	gaps_ns();
}

/* Lets the kernel finish booting: until as little happens as ever */
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
	die("%lld pages stay pinned", (long long)(pins() - pins_before));
}

/*
 * What the calls just made have left to the kernel to do, which it does
 * meanwhile. Everything registered must have been unregistered.
 */
double deferred_ns(void)
{
	double busy = gaps_ns(), idle;

	if (pins() != pins_before)
		die("deferred work takes longer than it is watched");
	idle = gaps_ns();
	return busy > idle ? busy - idle : 0;
}

/*
 * Backends
 */

/* Unlike fork() this leaves the page tables of this process as they are */
void run_program(const char *program, const char *module)
{
	char *argv[] = { (char *)program, (char *)module, NULL };
	int ret, status;
	pid_t pid;

	ret = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (ret || waitpid(pid, &status, 0) != pid || status)
		die("%s %s fails", program, module);
}

static void open_container(void)
{
	int before = module_refs(backend->module);

	need(vfio_open(&vfio), "open /dev/vfio/vfio");
	need(vfio_attach(&vfio, 0), "attach the device's group");
	need(vfio_set_iommu(&vfio, VFIO_SPAPR_TCE_v2_IOMMU),
	     "VFIO_SET_IOMMU(SPAPR TCE v2)");
	if (module_refs(backend->module) != before + 1)
		die("container is not served by %s", backend->module);
}

/* Console output and loaded modules go on to cost instructions: settle() */
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
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
			backend = &backends[i];
			begin_turn();
			measure(arg);
			end_turn();
		}
	}
}

/*
 * Memory
 */

/* Bytes of THP behind an address, from /proc/self/smaps */
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

/* @count is a power of two, so an odd stride meets every page */
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

/* @size is a power of two; false if the kernel hasn't got such memory */
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
	bool on_demand;		/* wants another machine than the rest */
} parts[] = {
	{ "cache", bench_cache, false },
	{ "memory", bench_memory, false },
	{ "map", bench_map, false },
	{ "growth", bench_growth, false },
	{ "realmode", bench_realmode, false },
	{ "kvm", bench_kvm, false },
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

/* Allocate huge pages first, before memory is fragmented */
static void prepare(void)
{
	if (!reserve_hugepages(512, 1))
		puts("no hugepages");
	log_mark();
	if (!load_module(IN_TREE_MODULE) || !load_module("vfio-pci") || !bind_edus("# edu "))
		die("the in-tree backend or vfio-pci does not load");
	if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL))
		die("tracefs can't be mounted");
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
