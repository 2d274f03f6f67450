// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/page.c and src/kvm.c with real threads. ThreadSanitizer detects data races.
 * shim/threads/machine.c simulates the machine.
 *
 * In one test, three threads of a client map and unmap single pages and ranges, and change
 * regions, groups and windows. In the other test, two virtual CPUs (kvm_calls.c) and a client
 * change the same few entries and regions concurrently. In both tests, another thread reads
 * the mappings, as debugfs does.
 *
 *	threads-4K [--list | NAME...]
 *
 * Runs the tests, or only the tests NAME, and prints TAP. The exit status is 2 if there is no
 * test NAME. TCE2_THREADS_CALLS is the number of hypercalls of each virtual CPU, and of
 * requests for a page of each thread.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <linux/array_size.h>
#include <linux/iommu.h>

#include "kernel_list.h"
#include "kvm_calls.h"
#include "machine.h"
#include "sim_platform.h"
#include "tce2_ddw.h"
#include "tce2_ddw_page.h"
#include "tce2_mirrors.h"
#include "tce2_mm_iommu.h"
#include "tce2_page.h"
#include "tce2_pages.h"
#include "tce2_tce_v2.h"
#include "tce2_view_format.h"
#include "tce2_why.h"

#define CALLS	     40000
#define SECONDS	     60
#define VCPUS	     2
#define SHIFT	     12
#define ENTRIES	     2048ULL
#define REGIONS	     3
#define REGION_BYTES (64ULL << SHIFT)
#define SPOT	     16 /* number of entries that are changed, from FIRST on */
#define FIRST	     (TCE2_VIEW_LEAF - SPOT / 2) /* so they are in two leaves */

/* The running test, and its number in the output */
static const char *name;
static int number;

/* Uses only functions that work after any failure and in a signal handler */
static void say_failed(void)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "not ok %d - %s (%luK pages)\n",
			 number, name, PAGE_SIZE >> 10);

	syscall(SYS_write, STDOUT_FILENO, line, n);
}

static void fail(void)
{
	fflush(stdout);
	say_failed();
	syscall(SYS_exit_group, 1);
}

void sim_bug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fail();
	abort();
}

static void takes_too_long(int sig)
{
	printf("# the test exceeds its time limit\n");
	fail();
}

#define expect(what, want)                                               \
	do {                                                             \
		s64 saw = (what), wanted = (want);                       \
		if (saw != wanted)                                       \
			sim_bug("%s:%d: %s: expected %lld, saw %lld",    \
				__FILE__, __LINE__, #what, wanted, saw); \
	} while (0)

const char *__tsan_default_options(void)
{
	return "halt_on_error=1:exitcode=1";
}

/*
 * The platform: one table in memory, for one group
 */

static struct iommu_table *table;
static __be64 *tces;
static bool table_gone;

static u64 tce_at(const __be64 *at)
{
	return be64_to_cpu(READ_ONCE(*at));
}

/*
 * Ends the test if a TCE maps a page that has just been unpinned. This may race with stores
 * to other entries, but not with a store of a TCE that maps this page.
 */
__attribute__((no_sanitize("thread"))) void machine_unpinned(u64 pfn)
{
	for (u64 i = 0; tces && i < ENTRIES; i++) {
		__be64 entry = __atomic_load_n(&tces[i], __ATOMIC_RELAXED);

		if (entry && be64_to_cpu(entry) >> PAGE_SHIFT == pfn)
			sim_bug("entry %llu maps page frame %llx, which is not pinned",
				i, pfn);
	}
}

static const u64 direction_perm[] = {
	[DMA_BIDIRECTIONAL] = TCE_READ | TCE_WRITE,
	[DMA_TO_DEVICE] = TCE_READ,
	[DMA_FROM_DEVICE] = TCE_READ | TCE_WRITE,
	[DMA_NONE] = 0,
};

static int xchg_no_kill(struct iommu_table *tbl, long index, unsigned long *hpa,
			enum dma_data_direction *direction)
{
	u64 old = tce_at(&tces[index]);

	WRITE_ONCE(tces[index], cpu_to_be64(*hpa | direction_perm[*direction]));
	*hpa = old & ~(TCE_READ | TCE_WRITE);
	*direction = old ? DMA_BIDIRECTIONAL : DMA_NONE;
	return 0;
}

static int set(struct iommu_table *tbl, long index, long npages,
	       unsigned long uaddr, enum dma_data_direction direction,
	       unsigned long attrs)
{
	sim_bug("set() is called, but entries must be stored directly");
}

static void tce_kill(struct iommu_table *tbl, unsigned long index,
		     unsigned long pages)
{
}

static u64 *useraddrptr(struct iommu_table *tbl, long index, bool alloc)
{
	sim_bug("the kernel's copy of the table is used");
}

static void clear(struct iommu_table *tbl, long index, long npages)
{
	while (npages--)
		WRITE_ONCE(tces[index + npages], 0);
}

static unsigned long get(struct iommu_table *tbl, long index)
{
	return tce_at(&tces[index]);
}

static void free_entries(struct iommu_table *tbl)
{
	free(tces);
	tces = NULL;
}

static const struct iommu_table_ops table_ops = {
	.set = set,
	.xchg_no_kill = xchg_no_kill,
	.tce_kill = tce_kill,
	.useraddrptr = useraddrptr,
	.clear = clear,
	.get = get,
	.free = free_entries,
};

struct iommu_table *iommu_tce_table_get(struct iommu_table *tbl)
{
	refcount_inc(&tbl->it_kref.refcount);
	return tbl;
}

int iommu_tce_table_put(struct iommu_table *tbl)
{
	if (!refcount_dec_and_test(&tbl->it_kref.refcount))
		return 0;
	tbl->it_ops->free(tbl);
	free(tbl);
	table_gone = true;
	return 1;
}

void iommu_flush_tce(struct iommu_table *tbl)
{
}

static unsigned long get_table_size(u32 page_shift, u64 size, u32 levels)
{
	return PAGE_SIZE;
}

static long create_table(struct iommu_table_group *tg, int num, u32 page_shift,
			 u64 size, u32 levels, struct iommu_table **tblp)
{
	struct iommu_table *tbl = calloc(1, sizeof(*tbl));

	tces = calloc(ENTRIES, sizeof(*tces));
	if (!tbl || !tces)
		abort();
	*tbl = (struct iommu_table){
		.it_size = ENTRIES,
		.it_page_shift = page_shift,
		.it_base = (unsigned long)tces,
		.it_userspace = (u64 *)tces,
		.it_ops = (struct iommu_table_ops *)&table_ops,
	};
	refcount_set(&tbl->it_kref.refcount, 1);
	*tblp = tbl;
	return 0;
}

static long set_window(struct iommu_table_group *tg, int num,
		       struct iommu_table *tbl)
{
	tg->tables[num] = iommu_tce_table_get(tbl);
	return 0;
}

static long unset_window(struct iommu_table_group *tg, int num)
{
	struct iommu_table *tbl = tg->tables[num];

	tg->tables[num] = NULL;
	if (tbl)
		iommu_tce_table_put(tbl);
	return 0;
}

static void ownership(struct iommu_table_group *tg)
{
}

static const struct iommu_table_group_ops group_ops = {
	.get_table_size = get_table_size,
	.create_table = create_table,
	.set_window = set_window,
	.unset_window = unset_window,
	.take_ownership = ownership,
	.release_ownership = ownership,
};

#define TABLE_GROUP {						\
	.tce32_size = 1U << 30,						\
	.pgsizes = BIT_ULL(SHIFT),					\
	.max_dynamic_windows_supported = 2,				\
	.max_levels = 5,						\
	.ops = (struct iommu_table_group_ops *)&group_ops,		\
}

static struct iommu_table_group table_group = TABLE_GROUP, second_table_group = TABLE_GROUP;
static struct iommu_group group = { .data = &table_group };
static struct iommu_group second_group = { .data = &second_table_group };

void *iommu_group_get_iommudata(struct iommu_group *group)
{
	return group->data;
}

int iommu_group_id(struct iommu_group *group)
{
	return 0;
}

struct iommu_group *iommu_group_ref_get(struct iommu_group *group)
{
	return group;
}

bool firmware_has_feature(unsigned long feature)
{
	return false;
}

long plpar_hcall_norets(unsigned long opcode, ...)
{
	sim_bug("a hypercall is made, but the table is in memory");
}

bool pfn_valid(unsigned long pfn)
{
	return true;
}

void platform_hold_page(u64 hpa, unsigned int shift)
{
}

bool platform_swap_unordered(bool now)
{
	return false;
}

void platform_complains(const char *fmt, ...)
{
}

/*
 * The client's thread
 */

static struct tce2_ddw ddw;
static struct tce2_counts counts;
static struct tce2_cache *cache;
static struct tce2_window *window;
static struct tce2_region *regions[REGIONS];
static struct task_struct client;
static bool stopped, reading_ended;
static pthread_t reader;
static u64 requests, unregistered, mapped;

static u64 rnd(u64 *state, u64 limit)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*state >> 33) % limit;
}

static u64 region_ua(unsigned int i)
{
	return MACHINE_UA + 2 * REGION_BYTES * i;
}

static void change_region(unsigned int i)
{
	struct tce2_region *region = regions[i];

	if (!region) {
		expect(tce2_region_register(cache, region_ua(i), REGION_BYTES,
					    &regions[i]),
		       0);
	} else if (!tce2_region_unregister(region)) {
		regions[i] = NULL;
		unregistered++;
	}
}

static void change_entries(u64 *seed)
{
	struct tce2_map_request request = {
		.iova = (FIRST + rnd(seed, SPOT)) << SHIFT,
		.ua = region_ua(rnd(seed, REGIONS)) + (rnd(seed, 60) << SHIFT),
		.size = (1 + rnd(seed, 4)) << SHIFT,
		.perm = 1 + rnd(seed, 3),
	};

	down_read(&ddw.lock);
	if (rnd(seed, 2))
		expect(tce2_window_unmap(window, request.iova, request.size, TCE2_STAYS),
		       0);
	else
		/* -EINVAL if the region is not registered */
		mapped += !tce2_window_map(window, &request, TCE2_STAYS);
	up_read(&ddw.lock);
}

static void *run_client(void *unused)
{
	u64 seed = 1;

	sim_switch_to(&client);
	for (; !READ_ONCE(stopped); requests++) {
		if (rnd(&seed, 4))
			change_entries(&seed);
		else
			change_region(rnd(&seed, REGIONS));
		if (!rnd(&seed, 16))
			machine_run_later();
	}
	return NULL;
}

/*
 * Threads of virtual CPUs
 */

static u64 calls = CALLS, done, hard;

static void random_call(struct vcpu *vcpu, u64 *seed)
{
	static const enum dma_data_direction directions[] = {
		DMA_BIDIRECTIONAL,
		DMA_TO_DEVICE,
		DMA_FROM_DEVICE,
		DMA_NONE,
	};
	unsigned int shift = rnd(seed, 2);
	u64 entry = (FIRST + rnd(seed, SPOT)) >> shift;

	vcpu_call(vcpu, rnd(seed, 3), table, shift, entry, 1 + rnd(seed, 2));
	if (vcpu->kind == KVM_PUT)
		vcpu->count = 1;
	for (u64 i = 0; i < vcpu->count; i++) {
		vcpu->tce[i].ua = region_ua(rnd(seed, REGIONS)) +
				  (rnd(seed, 64) << SHIFT);
		vcpu->tce[i].direction = directions[rnd(seed, 9) % 4];
	}
}

static void *run_vcpu(void *number)
{
	u64 seed = 100 + (uintptr_t)number;
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu_init(vcpu, sim.mm);
	for (u64 i = 0; i < calls; i++) {
		random_call(vcpu, &seed);
		vcpu_finish(vcpu);
	}
	__atomic_add_fetch(&done, kvm_counts.done, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&hard, kvm_counts.hard, __ATOMIC_SEQ_CST);
	free(vcpu);
	return NULL;
}

/*
 * Threads that map and unmap pages
 */

#define PAGERS 2

static u64 served, served_several, general, windows, groups;

/* Makes the window, and maps an entry to let src/ learn the table's layout */
static void create_window(void)
{
	static const struct tce2_map_request first = {
		.ua = MACHINE_UA, .size = 1 << SHIFT, .perm = TCE2_PERM_READ,
	};
	struct tce2_window_spec spec = { ENTRIES << SHIFT, SHIFT, 1 };
	struct tce2_creation creation;

	expect(tce2_ddw_create(&ddw, cache, &spec, &creation), 0);
	expect(tce2_ddw_publish(&ddw, &creation), 0);
	window = ddw.window[0];
	/* -EINVAL if the region is not registered */
	tce2_ddw_map(&ddw, cache, &first);
}

/* Sends a request to src/page.c, or to src/pages.c if it is for several pages */
static int send_page(struct tce2_window *found, const struct tce2_map_request *request, bool map)
{
	if (request->size > 1 << SHIFT)
		return map ? tce2_window_map_pages(found, request->iova, request->ua,
						   request->size, request->perm) :
			     tce2_window_unmap_pages(found, request->iova, request->size);
	return map ? tce2_window_map_page(found, request->iova, request->ua, request->perm) :
		     tce2_window_unmap_page(found, request->iova);
}

/* Returns true if src/page.c or src/pages.c has carried the request out */
static bool try_page(const struct tce2_map_request *request, bool map)
{
	struct tce2_window *found;
	int ret = TCE2_NOT_BRIEF;

	rcu_read_lock();
	found = tce2_ddw_find_page(&ddw, request->iova);
	if (found)
		ret = send_page(found, request, map);
	rcu_read_unlock();
	return !ret;
}

static void change_page(u64 *seed)
{
	u64 at = rnd(seed, SPOT), page = rnd(seed, 4) ? at : rnd(seed, 60);
	struct tce2_map_request request = {
		.iova = (FIRST + at) << SHIFT,
		.ua = region_ua(rnd(seed, 8) ? 0 : rnd(seed, REGIONS)) + (page << SHIFT),
		.size = (rnd(seed, 4) ? 1 : 1 + rnd(seed, 4)) << SHIFT,
		.perm = rnd(seed, 8) ? TCE2_PERM_RW : TCE2_PERM_READ,
	};
	bool map = rnd(seed, 2);

	if (try_page(&request, map))
		__atomic_add_fetch(request.size > 1 << SHIFT ? &served_several : &served, 1,
				   __ATOMIC_SEQ_CST);
	/* -EINVAL if the region is not registered, -ENXIO while there is no window */
	else if (map)
		tce2_ddw_map(&ddw, cache, &request);
	else
		tce2_ddw_unmap(&ddw, request.iova, request.size);
}

static void *run_pager(void *number)
{
	u64 seed = 200 + (uintptr_t)number;
	struct task_struct task;

	sim_task_init(&task, sim.mm);
	sim_switch_to(&task);
	for (u64 i = 0; i < calls; i++)
		change_page(&seed);
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Waits meanwhile for entries and for memory, so this thread also runs other requests */
static void change_anything(u64 *seed)
{
	struct tce2_map_request request = {
		.iova = (FIRST + rnd(seed, SPOT)) << SHIFT,
		.ua = region_ua(rnd(seed, REGIONS)) + (rnd(seed, 60) << SHIFT),
		.size = (1 + rnd(seed, 4)) << SHIFT,
		.perm = 1 + rnd(seed, 3),
	};

	switch (rnd(seed, 64)) {
	case 0:
		expect(tce2_ddw_remove(&ddw, 0), 0);
		create_window();
		windows++;
		break;
	case 1:
		expect(tce2_ddw_attach(&ddw, &second_group), 0);
		expect(tce2_ddw_detach(&ddw, &second_group), 0);
		groups++;
		break;
	case 2 ... 15:
		change_region(rnd(seed, REGIONS));
		break;
	case 16 ... 39:
		tce2_ddw_map(&ddw, cache, &request);
		break;
	default:
		expect(tce2_ddw_unmap(&ddw, request.iova, request.size), 0);
		/* Most of the time, no thread has a range */
		usleep(100);
	}
}

static void *run_changer(void *unused)
{
	u64 seed = 3;

	sim_switch_to(&client);
	for (; READ_ONCE(done) < PAGERS; general++) {
		change_anything(&seed);
		if (!rnd(&seed, 16))
			machine_run_later();
	}
	return NULL;
}

/*
 * Thread that reads the windows for debugfs
 */

static u64 walks, copied;

/* The other threads map only registered memory, with permissions */
static void check_copy(const struct tce2_scan *scan)
{
	struct tce2_view_run run;
	u64 index = scan->index;

	for (; tce2_view_next_copied(&scan->copy, index, &run); copied++) {
		expect(run.perm && run.count && run.index + run.count <= ENTRIES, true);
		expect(run.ua >= MACHINE_UA &&
		       run.ua + (run.count << SHIFT) <= region_ua(REGIONS), true);
		index = run.index + run.count;
	}
}

static void walk_the_window(struct tce2_scan *scan)
{
	struct tce2_window_info info;
	int ret = 1;

	if (!tce2_ddw_window_info(&ddw, 0, &info))
		return;
	scan->id = info.id;
	scan->leaf = 0;
	scan->previous = ~0ULL;
	while (ret == 1 || ret == -EAGAIN) {
		ret = tce2_ddw_scan(&ddw, 0, scan);
		if (ret == 1)
			check_copy(scan);
	}
	walks += !ret;
}

static void *run_reader(void *unused)
{
	struct tce2_scan *scan = calloc(1, sizeof(*scan));
	struct task_struct task;

	sim_task_init(&task, sim.mm);
	sim_switch_to(&task);
	while (!READ_ONCE(reading_ended))
		walk_the_window(scan);
	free(scan);
	return NULL;
}

static void begin_reader(void)
{
	walks = 0;
	copied = 0;
	WRITE_ONCE(reading_ended, false);
	pthread_create(&reader, NULL, run_reader, NULL);
}

static void end_reader(void)
{
	WRITE_ONCE(reading_ended, true);
	pthread_join(reader, NULL);
	printf("# walks of a reader: %llu, runs copied: %llu\n", walks, copied);
	expect(walks && copied, true);
}

/*
 * Set-up of the tests, their threads, and checks of the result
 */

static void begin(void)
{
	sim_task_init(&client, sim_process());
	sim_switch_to(&client);
	cache = tce2_cache_get(sim.mm);
	tce2_ddw_init(&ddw, &counts);
	expect(tce2_ddw_attach(&ddw, &group), 0);
	expect(tce2_ddw_remove(&ddw, 0), 0);
	for (unsigned int i = 0; i < REGIONS; i++)
		change_region(i);
	create_window();
	done = 0;
	stopped = false;
	table_gone = false;
}

/* KVM attaches to the table, and the hooks may map */
static void begin_kvm(void)
{
	begin();
	table = iommu_tce_table_get(window->table.tbl);
	tce2_cache_mirror(cache);
}

static void run_pagers(void)
{
	pthread_t pagers[PAGERS], changer;

	begin_reader();
	pthread_create(&changer, NULL, run_changer, NULL);
	for (uintptr_t i = 0; i < PAGERS; i++)
		pthread_create(&pagers[i], NULL, run_pager, (void *)i);
	for (unsigned int i = 0; i < PAGERS; i++)
		pthread_join(pagers[i], NULL);
	pthread_join(changer, NULL);
	end_reader();
}

static void run_vcpus(void)
{
	pthread_t vcpus[VCPUS], requests;

	begin_reader();
	pthread_create(&requests, NULL, run_client, NULL);
	for (uintptr_t i = 0; i < VCPUS; i++)
		pthread_create(&vcpus[i], NULL, run_vcpu, (void *)i);
	for (unsigned int i = 0; i < VCPUS; i++)
		pthread_join(vcpus[i], NULL);
	WRITE_ONCE(stopped, true);
	pthread_join(requests, NULL);
	end_reader();
}

/* The table must match the view, and the counts of each region its entries */
static void check_entries(void)
{
	s64 mapped[REGIONS] = {}, counted[REGIONS] = {};
	u64 index = 0;

	while (index < ENTRIES) {
		struct tce2_view_run run = { .index = ENTRIES };
		bool found =
			tce2_view_next(&window->view, index, ENTRIES, &run);
		u64 end = run.index + run.count;

		for (; index < run.index; index++)
			expect(tce_at(&tces[index]), 0);
		for (; found && index < end; index++, run.ua += 1 << SHIFT) {
			u64 hpa = run.ua - MACHINE_UA;

			expect(tce_at(&tces[index]),
			       hpa | TCE_READ | (run.perm & TCE_WRITE));
			mapped[hpa / (2 * REGION_BYTES)]++;
			counted[hpa / (2 * REGION_BYTES)] += run.counted;
		}
	}
	for (unsigned int i = 0; i < REGIONS; i++) {
		struct tce2_region *region = regions[i];
		struct mm_iommu_table_group_mem_t *mem =
			region ? kernel_list_at(sim.mm, region->ua) : NULL;

		expect(region ? tce2_mapped_sum(&region->mapped) : 1,
		       1 + mapped[i]);
		expect(mem ? kernel_list_mapped(mem) : 1, 1 + counted[i]);
	}
}

static void end(void)
{
	struct machine_counts now;

	check_entries();
	expect(tce2_ddw_remove(&ddw, 0), 0);
	tce2_ddw_destroy(&ddw);
	for (unsigned int i = 0; i < REGIONS; i++) {
		if (regions[i])
			expect(tce2_region_unregister(regions[i]), 0);
		regions[i] = NULL;
	}
	tce2_cache_put(cache);
	if (table)
		iommu_tce_table_put(table);
	table = NULL;
	expect(table_gone, true);
	machine_run_later();
	machine_run_later();
	now = machine_counts();
	expect(now.pinned, 0);
	expect(now.charged, 0);
	expect(now.allocs, 0);
	expect(now.modules, 0);
	expect(now.mm_refs, 0);
	kernel_list_reset();
}

static void test_pages(void)
{
	begin();
	run_pagers();
	printf("# page requests: %llu, of which src/page.c served %llu and src/pages.c %llu; other requests: %llu; windows removed: %llu; groups attached: %llu\n",
	       PAGERS * calls, served, served_several, general, windows, groups);
	/* The requests and changes that the test is for must have run concurrently */
	expect(served > PAGERS * calls / 100, true);
	expect(served_several > PAGERS * calls / 1000, true);
	expect(windows && groups, true);
	end();
}

static void test_kvm(void)
{
	begin_kvm();
	run_vcpus();
	printf("# hypercalls: %llu H_SUCCESS, %llu H_TOO_HARD; requests: %llu; successful map requests: %llu; successful unregister requests: %llu\n",
	       done, hard, requests, mapped, unregistered);
	end();
}

static const char *const pages_name =
	"page_requests_and_others_at_once_keep_table_view_and_counts";
static const char *const kvm_name =
	"two_virtual_cpus_and_requests_at_once_keep_table_view_and_counts";

static const struct {
	const char *const *name;
	void (*run)(void);
} tests[] = {
	{ &pages_name, test_pages },
	{ &kvm_name, test_kvm },
};

/* Returns true if the test is to run: its name is an argument, or no name is given */
static bool is_chosen(unsigned int test, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], *tests[test].name))
			return true;
	}
	return argc == 1;
}

static void run_test(unsigned int test)
{
	name = *tests[test].name;
	number++;
	alarm(SECONDS);
	tests[test].run();
	printf("ok %d - %s (%luK pages)\n", number, name, PAGE_SIZE >> 10);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *text = getenv("TCE2_THREADS_CALLS");
	int chosen = 0;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++)
			puts(*tests[i].name);
		return 0;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++)
		chosen += is_chosen(i, argc, argv);
	if (!chosen || (argc > 1 && chosen != argc - 1))
		return 2;
	if (text)
		calls = strtoull(text, NULL, 0);
	__sanitizer_set_death_callback(say_failed);
	signal(SIGALRM, takes_too_long);
	printf("1..%d\n", chosen);
	fflush(stdout);
	wait_for_others = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		if (is_chosen(i, argc, argv))
			run_test(i);
	}
	return 0;
}
