// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: resource limits. The tests check RLIMIT_MEMLOCK exactly to the page, the
 * kernel memory that an unprivileged user with a group can use, and the charge to a memory
 * cgroup. conformance_ddw.c tests the limit for each kind of window, and that a refused
 * window changes nothing.
 *
 * The tests print figures, because the documentation states them.
 */
#define _GNU_SOURCE
#define TEST_ORDER LATE
#include "conformance.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Requests at and over RLIMIT_MEMLOCK
 */

void limit_memlock(uint64_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		fail("setrlimit: %s", strerror(errno));
}

TEST(register_over_the_memlock_limit_returns_enomem)
{
	uint64_t p = base_page();
	uint8_t *ua = memory(8 * p);
	struct ledger before = ledger();

	drop_ipc_lock();
	limit_memlock(before.vmlck + 4 * p);
	expect(spapr_register(v->fd, ua, 8 * p), -ENOMEM);
	expect(spapr_register(v->fd, ua, 5 * p), -ENOMEM);
	expect_ledger("over the limit", before, 0);
	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect(spapr_register(v->fd, ua + 4 * p, p), -ENOMEM);
	expect_ledger("at the limit", before, 4 * p);
}

TEST(the_memlock_limit_for_hugepages_is_exact_to_the_base_page)
{
	uint8_t *ua = mem_hugetlb(MIB(2), 2);
	uint64_t p = base_page();
	int64_t before = vmlck();

	if (!ua)
		skip("no 2 MiB hugepage is available");
	drop_ipc_lock();
	limit_memlock(before + MIB(4) - p);
	expect(spapr_register(v->fd, ua, MIB(4)), -ENOMEM);
	expect(vmlck(), before);
	limit_memlock(before + MIB(4));
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	expect(vmlck(), before + MIB(4));
	unregister_ok(v, ua, MIB(4));
	expect(vmlck(), before);
}

TEST(unregister_makes_room_under_the_memlock_limit, .intree = "defect 18: unpins pages late")
{
	uint64_t p = base_page();
	uint8_t *ua = memory(8 * p);
	struct ledger before = ledger();

	drop_ipc_lock();
	limit_memlock(before.vmlck + 4 * p);
	for (int i = 0; i < 4; i++) {
		expect(spapr_register(v->fd, ua, 4 * p), 0);
		expect(spapr_register(v->fd, ua + 4 * p, 4 * p), -ENOMEM);
		unregister_ok(v, ua, 4 * p);
	}
	expect_ledger("unregistered", before, 0);
}

TEST(the_memlock_limit_is_per_process_not_per_container,
     .intree = "defect 18: unpins pages late")
{
	uint64_t p = base_page();
	uint8_t *ua = memory(8 * p);
	struct ledger before = ledger();
	struct vfio b;

	need_two_devices();
	open_container(&b, 1);
	drop_ipc_lock();
	limit_memlock(before.vmlck + 6 * p);
	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect(spapr_register(b.fd, ua + 4 * p, 3 * p), -ENOMEM);
	expect(spapr_register(b.fd, ua + 4 * p, 2 * p), 0);
	/*
	 * The limit is reached. Only memory that the other container has registered can
	 * be registered, because it is charged already.
	 */
	expect(spapr_register(b.fd, ua + 6 * p, p), -ENOMEM);
	expect(spapr_register(b.fd, ua, 4 * p), 0);
	expect(window_create(b.fd, 12, GIB(1), 1, NULL), -ENOMEM);
	expect_ledger("at the limit", before, 6 * p);
	unregister_ok(v, ua, 4 * p);
	expect(spapr_register(v->fd, ua + 6 * p, p), -ENOMEM);
	unregister_ok(&b, ua, 4 * p);
	expect(spapr_register(v->fd, ua + 6 * p, p), 0);
	expect_ledger("4 pages unregistered, one registered", before, 3 * p);
	vfio_close(&b);
}

/* With the capability memory is charged, too: without it, the limit applies to the sum */
TEST(cap_ipc_lock_lifts_the_memlock_limit, .intree = "defect 18: unpins pages late")
{
	struct ledger before = ledger();
	uint8_t *ua = memory(MIB(2));
	uint64_t start;

	limit_memlock(before.vmlck);
	expect(spapr_register(v->fd, ua, MIB(1)), 0);
	expect_ledger("over the limit", before, MIB(1));
	start = new_window(v, 12, GIB(1), 1);
	drop_ipc_lock();
	expect(spapr_register(v->fd, ua + MIB(1), base_page()), -ENOMEM);
	expect(window_remove(v->fd, start), 0);
	expect(window_remove(v->fd, 0), 0);
	expect_ledger("after both windows were removed", before, MIB(1));
	unregister_ok(v, ua, MIB(1));
	expect_ledger("after UNREGISTER_MEMORY", before, 0);
}

/*
 * A window of two levels. TREE_TABLE is the bytes of a lower table, at least a base page.
 * TREE_STEP is the range of bus addresses that a lower table maps.
 */
#define TREE_SIZE	(1ULL << 36)
#define TREE_TABLE	(base_page() > KIB(32) ? base_page() : KIB(32))
#define TREE_STEP	(TREE_TABLE / sizeof(uint64_t) * TCE_4K)

static uint64_t new_tree(struct vfio *v, uint64_t size, uint32_t levels)
{
	if (under_hypervisor())
		skip("on pseries tables have one level");
	return new_window(v, 12, size, levels);
}

TEST(a_multi_level_table_grows_exactly_to_the_memlock_limit, .intree = "defect 13")
{
	uint8_t *ua = registered(v, base_page());
	struct ledger before = ledger();
	uint64_t start, at;

	expect(window_remove(v->fd, 0), 0);
	start = new_tree(v, TREE_SIZE, 2);
	drop_ipc_lock();
	limit_memlock(vmlck() + 4 * TREE_TABLE - base_page());
	for (at = start; at < start + 3 * TREE_STEP; at += TREE_STEP)
		expect(dma_map(v->fd, at, ua, TCE_4K, READ_WRITE), 0);
	expect(dma_map(v->fd, at, ua, TCE_4K, READ_WRITE), -ENOMEM);
	/* A range that begins in an existing table fails, too, and maps nothing */
	expect(dma_map(v->fd, at - TCE_4K, ua, 2 * TCE_4K, READ_WRITE),
	       base_page() < 2 * TCE_4K ? -EINVAL : -ENOMEM);
	device_reaches(v, 0, at - TREE_STEP, ua);
	limit_memlock(vmlck() + TREE_TABLE);
	expect(dma_map(v->fd, at, ua, TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, at, ua);
	expect(window_remove(v->fd, start), 0);
	expect_ledger("after the window was removed", before, 0);
}

/*
 * A user without privileges, to whom an administrator has given the group's file. The user
 * has a limit on locked memory.
 */
#define USER		1000
#define REGIONS		8192		/* the user's limit allows no more pages */
#define TREE_LIMIT	MIB(64)
#define SLACK		MIB(2)		/* kernel memory that other processes use */
#define TABLE_SLACK	MIB(16)		/* pages in per-CPU lists */

/**
 * struct siege - a user's attempt to use up the kernel's memory
 * @prepare: preparation, which is not measured; runs in the user's process
 * @run: the attempt
 * @limit: the user's RLIMIT_MEMLOCK
 * @ua: memory of the user
 * @done: number of successful requests, set by run()
 * @charged: growth of the user's locked_vm in bytes
 * @before: kernel_memory() before the attempt
 * @most: maximum of kernel_memory() during the attempt
 * @after: kernel_memory() after the attempt, before the user closes the container
 * @taken_before: taken_memory() before the attempt
 * @taken_after: taken_memory() after the attempt
 * @step: progress of both processes, an enum step
 *
 * The struct is in memory shared with the user's process.
 */
struct siege {
	void (*prepare)(struct siege *siege, struct vfio *v);
	void (*run)(struct siege *siege, struct vfio *v);
	uint64_t limit;
	uint8_t *ua;
	uint64_t done;
	int64_t charged;
	int64_t before, most, after;
	int64_t taken_before, taken_after;
	int step;
};

enum step { PREPARED = 1, TOLD, RUN, DISMISSED };

static bool has_come_to(struct siege *siege, enum step step)
{
	return __atomic_load_n(&siege->step, __ATOMIC_ACQUIRE) == (int)step;
}

static void come_to(struct siege *siege, enum step step)
{
	__atomic_store_n(&siege->step, step, __ATOMIC_RELEASE);
}

static void await_step(struct siege *siege, enum step step)
{
	while (!has_come_to(siege, step))
		usleep(10000);
}

bool has_plain_slabs(void)
{
	return read_number("/sys/kernel/slab/kmalloc-64/slab_size") <= 64;
}

int64_t taken_memory(void)
{
	/* Without this, the counts may be wrong by megabytes for each CPU */
	refresh_counters();
	return meminfo("MemTotal") - meminfo("MemFree") - meminfo("Cached") -
	       meminfo("Buffers") - meminfo("AnonPages") - meminfo("Hugetlb");
}

static void need_plain_slabs(void)
{
	if (!has_plain_slabs())
		skip("slab debugging on this kernel changes the size of slabs");
}

static int64_t kernel_memory(void)
{
	return meminfo("Slab") + meminfo("VmallocUsed") + meminfo("Percpu") +
	       meminfo("PageTables") + meminfo("KernelStack");
}

static void become_a_user(uint64_t limit)
{
	struct rlimit memlock = { .rlim_cur = limit, .rlim_max = limit };

	if (setrlimit(RLIMIT_MEMLOCK, &memlock) || setgroups(0, NULL) ||
	    setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		fail("cannot become an unprivileged user: %s", strerror(errno));
	/* Make the new user, not root, the owner of /proc/self */
	prctl(PR_SET_DUMPABLE, 1);
}

static void be_a_user(void *arg)
{
	struct siege *siege = arg;
	int64_t before;
	struct vfio v;

	become_a_user(siege->limit);
	open_container(&v, 0);
	siege->prepare(siege, &v);
	before = vmlck();
	come_to(siege, PREPARED);
	await_step(siege, TOLD);
	siege->run(siege, &v);
	siege->charged = vmlck() - before;
	come_to(siege, RUN);
	await_step(siege, DISMISSED);
	vfio_close(&v);
}

static void give_group_to(int slot, uid_t user)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", vfio_device_group(slot));
	if (chown(path, user, user) || chmod("/dev/vfio/vfio", 0666))
		fail("chown %s: %s", path, strerror(errno));
}

static void watch(struct siege *siege, int pid)
{
	while (!has_come_to(siege, RUN)) {
		int64_t now = kernel_memory();

		if (now > siege->most)
			siege->most = now;
		if (waitpid(pid, NULL, WNOHANG))
			fail("the user's process ended too early");
		usleep(20000);
	}
}

static bool as_before_the_siege(void *arg)
{
	struct siege *siege = arg;

	return kernel_memory() <= siege->before + (int64_t)SLACK;
}

static void besiege(struct siege *siege)
{
	int pid;

	need_plain_slabs();
	give_group_to(0, USER);
	pid = start_child(be_a_user, siege);
	while (!has_come_to(siege, PREPARED)) {
		if (waitpid(pid, NULL, WNOHANG))
			fail("the user's process ended too early");
		usleep(10000);
	}
	siege->before = kernel_memory();
	siege->most = siege->before;
	siege->taken_before = taken_memory();
	come_to(siege, TOLD);
	watch(siege, pid);
	siege->after = kernel_memory();
	siege->taken_after = taken_memory();
	come_to(siege, DISMISSED);
	expect_child_ok(pid);
	give_group_to(0, 0);
	expect_soon("the kernel memory that the user used is freed", as_before_the_siege,
		    siege);
}

static struct siege *new_siege(void (*prepare)(struct siege *, struct vfio *),
			       void (*run)(struct siege *, struct vfio *),
			       uint64_t limit)
{
	struct siege *siege = shared_memory(sizeof(*siege));

	siege->prepare = prepare;
	siege->run = run;
	siege->limit = limit;
	return siege;
}

static void expect_at_most(const char *what, int64_t saw, int64_t most)
{
	if (saw > most)
		fail("%s: expected at most %lld bytes, saw %lld", what,
		     (long long)most, (long long)saw);
}

/* The user registers as many regions of one page as possible */

static void prepare_pages(struct siege *siege, struct vfio *v)
{
	(void)v;
	siege->ua = memory((REGIONS + 1000) * base_page());
}

static void register_all_pages(struct siege *siege, struct vfio *v)
{
	uint64_t p = base_page();

	while (siege->done < REGIONS + 1000 &&
	       !spapr_register(v->fd, siege->ua + siege->done * p, p))
		siege->done++;
	for (uint64_t i = siege->done; i < REGIONS + 1000; i++)
		expect(spapr_register(v->fd, siege->ua + i * p, p), -ENOMEM);
}

/* The slabs of a registration, of a region, and of its array of extents */
#define REGION_COST	(64 + 192 + 8)

TEST(kernel_memory_for_regions_is_small_compared_with_their_charge, .setup = BARE)
{
	struct siege *siege = new_siege(prepare_pages, register_all_pages,
					REGIONS * base_page());
	int64_t used;

	(void)v;
	besiege(siege);
	used = siege->after - siege->before;
	dprintf(STDOUT_FILENO,
		"# %llu regions of a page: charged %lld KiB, the kernel used %lld KiB\n",
		(unsigned long long)siege->done,
		(long long)siege->charged >> 10, (long long)used >> 10);
	expect(siege->done, REGIONS);
	expect(siege->charged, REGIONS * base_page());
	expect_at_most("memory for regions", used,
		       REGIONS * REGION_COST + SLACK);
}

/*
 * The user makes as many lower tables as possible, and makes the view of each as large as
 * possible, with two runs in every 512 entries.
 */

static void map_two_runs(struct vfio *v, uint64_t at, uint8_t *ua)
{
	expect(dma_map(v->fd, at, ua, TCE_4K, READ_WRITE), 0);
	expect(dma_map(v->fd, at + 2 * TCE_4K, ua, TCE_4K, READ_WRITE), 0);
}

static void prepare_tree(struct siege *siege, struct vfio *v)
{
	siege->ua = registered(v, base_page());
	expect(window_remove(v->fd, 0), 0);
}

static void fill_tree(struct siege *siege, struct vfio *v)
{
	uint64_t start = new_tree(v, TREE_SIZE, 2), tables;

	/* If the limit does not apply, the loop ends at twice the limit */
	for (tables = 0; tables < 2 * TREE_LIMIT / TREE_TABLE; tables++) {
		uint64_t at = start + tables * TREE_STEP;

		if (dma_map(v->fd, at, siege->ua, TCE_4K, READ_WRITE))
			break;
		for (uint64_t off = 0; off < TREE_STEP; off += MIB(2))
			map_two_runs(v, at + off, siege->ua);
	}
	siege->done = tables;
}

/* A view takes at most as much memory as its tables, which are charged */
TEST(a_users_tables_and_views_are_bounded_by_the_charge,
     .setup = BARE, .intree = "defect 13")
{
	struct siege *siege = new_siege(prepare_tree, fill_tree, TREE_LIMIT);
	int64_t taken;

	(void)v;
	if (under_hypervisor())
		skip("on pseries tables have one level");
	besiege(siege);
	taken = siege->taken_after - siege->taken_before;
	dprintf(STDOUT_FILENO,
		"# %llu lower tables: charged %lld KiB, total growth %lld KiB, %lld KiB of it slabs\n",
		(unsigned long long)siege->done,
		(long long)siege->charged >> 10, (long long)taken >> 10,
		(long long)(siege->after - siege->before) >> 10);
	expect_at_most("charged to the user", siege->charged, TREE_LIMIT);
	expect_at_most("views", siege->after - siege->before,
		       siege->charged + SLACK);
	expect_at_most("tables and views", taken,
		       2 * siege->charged + TABLE_SLACK);
}

/* Fill the view of a one-level window, whose table is charged when it is created */
#define FLAT_SIZE	GIB(4)

static void fill_flat(struct siege *siege, struct vfio *v)
{
	uint64_t start = new_window(v, 12, FLAT_SIZE, 1), off;

	for (off = 0; off < FLAT_SIZE; off += MIB(2))
		map_two_runs(v, start + off, siege->ua);
	siege->done = off / MIB(2);
}

TEST(a_users_views_are_bounded_by_the_tables_charge, .setup = BARE)
{
	struct siege *siege = new_siege(prepare_tree, fill_flat, TREE_LIMIT);
	int64_t used, most;

	(void)v;
	besiege(siege);
	used = siege->after - siege->before;
	dprintf(STDOUT_FILENO,
		"# %llu arrays of a view: charged %lld KiB for the window, slabs grew by %lld KiB\n",
		(unsigned long long)siege->done,
		(long long)siege->charged >> 10, (long long)used >> 10);
	/*
	 * On pseries the kernel has only its copy of the table, in vmalloc memory, which
	 * kernel_memory() includes
	 */
	most = under_hypervisor() ? 2 * siege->charged : siege->charged / 2;
	expect_at_most("views", used, most + SLACK);
}

/*
 * Tables of 16 MiB each. The platform keeps a table while any group has it, even if the
 * container has removed the window.
 */
#define TABLE_ROUNDS	16
/* A leak would lose four times as much. A debug kernel may keep one table allocated. */
#define TABLES_LEFT	(TABLE_ROUNDS * MIB(16) / 4)

TEST(tables_are_freed_with_their_windows_and_groups)
{
	bool two = !under_hypervisor() && vfio_devices() > 1;
	int64_t before = taken_memory();

	for (int i = 0; i < TABLE_ROUNDS; i++)
		expect(window_remove(v->fd, new_window(v, 12, GIB(8), 1)), 0);
	expect_at_most("tables of removed windows", taken_memory() - before,
		       TABLES_LEFT);
	for (int i = 0; two && i < TABLE_ROUNDS; i++) {
		uint64_t start = new_window(v, 12, GIB(8), 1);

		expect(vfio_attach(v, 1), 0);
		expect(vfio_detach(v, 1), 0);
		expect(window_remove(v->fd, start), 0);
	}
	expect_at_most("tables of a detached group", taken_memory() - before,
		       TABLES_LEFT);
}

/* The user opens containers without a group. They have no backend. */

#define CONTAINERS	500

static void prepare_nothing(struct siege *siege, struct vfio *v)
{
	(void)v;
	siege->ua = memory(base_page());
}

static void open_containers(struct siege *siege, struct vfio *v)
{
	int refs = backend_module ? module_refs(backend_module) : 0;

	(void)v;
	for (int i = 0; i < CONTAINERS; i++) {
		struct vfio empty;

		expect(vfio_open(&empty), 0);
		expect(vfio_set_iommu(&empty, VFIO_SPAPR_TCE_v2_IOMMU),
		       -EINVAL);
		expect(spapr_register(empty.fd, siege->ua, base_page()),
		       -EINVAL);
		siege->done++;
	}
	if (backend_module)
		expect(module_refs(backend_module), refs);
}

TEST(containers_without_a_group_never_reach_the_backend, .setup = BARE)
{
	struct siege *siege = new_siege(prepare_nothing, open_containers,
					MIB(1));

	(void)v;
	besiege(siege);
	dprintf(STDOUT_FILENO, "# %llu containers: slabs grew by %lld KiB\n",
		(unsigned long long)siege->done,
		(long long)(siege->after - siege->before) >> 10);
	expect(siege->done, CONTAINERS);
	expect(siege->charged, 0);
	expect_at_most("500 containers", siege->after - siege->before, SLACK);
}

/* Make many requests: the memory that they free with RCU must not accumulate */

#define FLOOD		4000
#define FLOOD_MOST	MIB(32)

static void prepare_flood(struct siege *siege, struct vfio *v)
{
	siege->ua = memory(MIB(2) + 2 * base_page());
	expect(spapr_register(v->fd, siege->ua, MIB(2)), 0);
	expect(dma_map(v->fd, IOVA, siege->ua, MIB(2), READ_WRITE), 0);
}

/* Each round makes an array of a run, and frees the array again */
static void split_and_join(struct siege *siege, struct vfio *v)
{
	uint64_t off = MIB(1);

	for (int i = 0; i < FLOOD; i++, siege->done += 2) {
		expect(dma_unmap(v->fd, IOVA + off, TCE_4K), 0);
		expect(dma_map(v->fd, IOVA + off, siege->ua + off, TCE_4K,
			       READ_WRITE), 0);
	}
}

static void register_and_unregister(struct siege *siege, struct vfio *v)
{
	uint8_t *ua = siege->ua + MIB(2);

	for (int i = 0; i < FLOOD; i++, siege->done += 3) {
		expect(spapr_register(v->fd, ua, base_page()), 0);
		expect(spapr_register(v->fd, ua, 2 * base_page()), -EINVAL);
		unregister_ok(v, ua, base_page());
	}
}

static void flood(struct siege *siege, struct vfio *v)
{
	for (int i = 0; i < FLOOD; i++, siege->done++)
		info_of(v);
	for (int i = 0; i < 100; i++, siege->done += 2)
		expect(window_remove(v->fd, new_window(v, 12, GIB(1), 1)), 0);
	split_and_join(siege, v);
	register_and_unregister(siege, v);
}

TEST(a_flood_of_requests_leaks_nothing_and_accumulates_little, .setup = BARE)
{
	struct siege *siege = new_siege(prepare_flood, flood, MIB(64));

	(void)v;
	besiege(siege);
	dprintf(STDOUT_FILENO,
		"# %llu requests: slabs grew by at most %lld KiB, by %lld KiB in the end\n",
		(unsigned long long)siege->done,
		(long long)(siege->most - siege->before) >> 10,
		(long long)(siege->after - siege->before) >> 10);
	expect(siege->charged, 0);
	expect_at_most("during the requests", siege->most - siege->before,
		       FLOOD_MOST);
}

/*
 * Memory cgroups. The test's process joins a new cgroup after it has allocated its own
 * memory. So the cgroup is charged only for memory of the kernel.
 */
#define CGROUPS		"/tmp/cgroup"
#define CGROUP		CGROUPS "/tce2"

/* Read a number from a file with lines "name number"; -1 if there is no such name */
static int64_t cgroup_number(const char *file, const char *name)
{
	long long number = -1, value;
	char path[96], line[128], key[64];
	FILE *f;

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	f = fopen(path, "re");
	if (!f)
		fail("cannot read %s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lld", key, &value) == 2 &&
		    !strcmp(key, name))
			number = value;
	fclose(f);
	return number;
}

/*
 * The kernel updates memory.stat when many pages have been charged, or every two seconds.
 * Up to 6.15, reading cpu.stat updates it at once.
 */
static int64_t cgroup_kernel(void)
{
	cgroup_number("cpu.stat", "usage_usec");
	return cgroup_number("memory.stat", "kernel");
}

static void make_cgroup(void)
{
	need_plain_slabs();
	mkdir(CGROUPS, 0755);
	if (access(CGROUPS "/cgroup.procs", F_OK) &&
	    mount("none", CGROUPS, "cgroup2", 0, NULL))
		skip("the kernel has no cgroup2");
	if (!write_text(CGROUPS "/cgroup.subtree_control", "+memory"))
		skip("the kernel has no memory cgroups");
	/* Remove the cgroup of a test that failed before; it has no process any more */
	rmdir(CGROUP);
	if (mkdir(CGROUP, 0755))
		fail("mkdir " CGROUP ": %s", strerror(errno));
	if (cgroup_kernel() < 0)
		skip("memory.stat of this kernel does not count kernel memory");
}

static void join_cgroup(void)
{
	if (!write_text(CGROUP "/cgroup.procs", "0"))
		fail("cannot join the cgroup");
}

static void leave_cgroup(void)
{
	if (!write_text(CGROUPS "/cgroup.procs", "0"))
		fail("cannot leave the cgroup");
	if (rmdir(CGROUP))
		fail("rmdir " CGROUP ": %s", strerror(errno));
}

/* Surplus of the charge: the kernel charges whole pages, and each CPU keeps part of a page */
static int64_t rests_of_pages(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) * base_page();
}

/* A condition for expect_soon(): the charge has returned to the value at arg */
static bool is_uncharged(void *arg)
{
	const int64_t *before = arg;

	return cgroup_kernel() <= *before + rests_of_pages();
}

/*
 * Read the cgroup's charge. A value below @least may be two seconds old, so it is read
 * again later.
 */
static int64_t cgroup_kernel_now(int64_t least)
{
	int64_t kernel = cgroup_kernel();

	if (kernel >= least)
		return kernel;
	usleep(patient_ms(3000) * 1000);
	return cgroup_kernel();
}

/* Check that each object is charged @each bytes. Upper nodes may change the sum by 1/64. */
static void expect_charged(const char *what, int64_t before, int64_t count,
			   int64_t each)
{
	int64_t right = count * each;
	int64_t least = right - right / 64 - (int64_t)base_page();
	int64_t most = right + right / 64 + rests_of_pages();
	int64_t grown = cgroup_kernel_now(before + least) - before;

	dprintf(STDOUT_FILENO,
		"# %lld %s: the cgroup is charged %lld KiB, %lld bytes for each\n",
		(long long)count, what, (long long)grown >> 10,
		(long long)(grown / count));
	if (grown < least || grown > most)
		fail("%s: expected %lld bytes for each", what,
		     (long long)each);
}

/* Each slab object has a pointer to its cgroup */
#define OWNER		8
#define REGION_CHARGE	(REGION_COST + 3 * OWNER)

TEST(regions_are_charged_to_the_memory_cgroup,
     .intree = "charges no kernel memory to the cgroup")
{
	enum { COUNT = 16384 };
	uint64_t p = base_page();
	uint8_t *ua = memory(COUNT * p);
	int64_t before;

	make_cgroup();
	join_cgroup();
	before = cgroup_kernel();
	for (int i = 0; i < COUNT; i++)
		expect(spapr_register(v->fd, ua + i * p, p), 0);
	expect_charged("regions", before, COUNT, REGION_CHARGE);
	for (int i = 0; i < COUNT; i++)
		unregister_ok(v, ua + i * p, p);
	expect_soon("the cgroup is uncharged", is_uncharged, &before);
	leave_cgroup();
}

/* Bytes of an array and of its share of the node above, which has 64 arrays */
#define ARRAY_CHARGE	(4096 + OWNER + (512 + OWNER) / 64)

TEST(arrays_of_views_are_charged_to_the_memory_cgroup,
     .intree = "charges no kernel memory to the cgroup")
{
	enum { COUNT = 512 };		/* each of 2 MiB of bus addresses */
	uint8_t *ua = mapped(v, IOVA, base_page());
	int64_t before;
	uint64_t start = new_window(v, 12, GIB(1), 1);

	make_cgroup();
	join_cgroup();
	before = cgroup_kernel();
	for (uint64_t off = 0; off < GIB(1); off += MIB(2))
		map_two_runs(v, start + off, ua);
	expect_charged("arrays of a view", before, COUNT, ARRAY_CHARGE);
	expect(dma_unmap(v->fd, start, GIB(1)), 0);
	expect_soon("the cgroup is uncharged", is_uncharged, &before);
	leave_cgroup();
}

/*
 * The mappings are so far apart that each needs a node of the view, half of the node
 * above, and a node of the xarray of lower tables. The tables themselves are charged only
 * to locked_vm.
 */
#define NODE_CHARGE	((512 + OWNER) * 3 / 2 + 576 + OWNER)

TEST(nodes_of_trees_are_charged_to_the_memory_cgroup,
     .intree = "charges no kernel memory to the cgroup")
{
	enum { COUNT = 256 };
	const uint64_t size = 1ULL << 40;
	int64_t before;
	uint8_t *ua = registered(v, base_page());
	uint64_t start;

	expect(window_remove(v->fd, 0), 0);
	start = new_tree(v, size, 2);
	make_cgroup();
	join_cgroup();
	before = cgroup_kernel();
	for (uint64_t i = 0; i < COUNT; i++)
		expect(dma_map(v->fd, start + i * (size / COUNT), ua,
			       TCE_4K, READ_WRITE), 0);
	expect_charged("mappings far apart", before, COUNT, NODE_CHARGE);
	expect(window_remove(v->fd, start), 0);
	expect_soon("the cgroup is uncharged", is_uncharged, &before);
	leave_cgroup();
}
