// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: resource limits. RLIMIT_MEMLOCK to the page, what a user without
 * any privilege can make the kernel allocate with a group of its own, and what
 * a memory cgroup is charged for. The limit for each kind of window, with what
 * a refused one may not change, is in conformance_ddw.c.
 *
 * Figures are printed, since documentation states them.
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
 * RLIMIT_MEMLOCK
 */

void limit_memlock(uint64_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		fail("setrlimit: %s", strerror(errno));
}

TEST(register_over_the_memlock_limit_is_no_memory)
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

TEST(register_of_hugepages_is_limited_to_the_base_page)
{
	uint8_t *ua = mem_hugetlb(MIB(2), 2);
	uint64_t p = base_page();
	int64_t before = vmlck();

	if (!ua)
		skip("no 2 MiB hugepages to be had");
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

TEST(unregister_makes_room_under_the_memlock_limit, .intree = "defect 18: unpins later")
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

TEST(the_memlock_limit_is_the_processs_not_the_containers,
     .intree = "defect 18: unpins later")
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
	/* Room for nothing more, but for what the other container has paid */
	expect(spapr_register(b.fd, ua + 6 * p, p), -ENOMEM);
	expect(spapr_register(b.fd, ua, 4 * p), 0);
	expect(window_create(b.fd, 12, GIB(1), 1, NULL), -ENOMEM);
	expect_ledger("at the limit", before, 6 * p);
	unregister_ok(v, ua, 4 * p);
	expect(spapr_register(v->fd, ua + 6 * p, p), -ENOMEM);
	unregister_ok(&b, ua, 4 * p);
	expect(spapr_register(v->fd, ua + 6 * p, p), 0);
	expect_ledger("4 pages given back, one taken", before, 3 * p);
	vfio_close(&b);
}

/* Counted all the same, as the limit holds again without the capability */
TEST(cap_ipc_lock_lifts_the_memlock_limit, .intree = "defect 18: unpins later")
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
	expect_ledger("the windows gone", before, MIB(1));
	unregister_ok(v, ua, MIB(1));
	expect_ledger("given back", before, 0);
}

/*
 * A window of two levels, and what is of each lower table: its bytes, at least a
 * base page, and the bus addresses that it maps.
 */
#define TREE_SIZE	(1ULL << 36)
#define TREE_TABLE	(base_page() > KIB(32) ? base_page() : KIB(32))
#define TREE_STEP	(TREE_TABLE / sizeof(uint64_t) * TCE_4K)

static uint64_t new_tree(struct vfio *v, uint64_t size, uint32_t levels)
{
	if (under_hypervisor())
		skip("tables have one level here");
	return new_window(v, 12, size, levels);
}

TEST(a_tree_of_tables_grows_exactly_as_far_as_the_limit, .intree = "defect 13")
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
	/* Not at the page of another table, either, and nothing of the range */
	expect(dma_map(v->fd, at - TCE_4K, ua, 2 * TCE_4K, READ_WRITE),
	       base_page() < 2 * TCE_4K ? -EINVAL : -ENOMEM);
	device_reaches(v, 0, at - TREE_STEP, ua);
	limit_memlock(vmlck() + TREE_TABLE);
	expect(dma_map(v->fd, at, ua, TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, at, ua);
	expect(window_remove(v->fd, start), 0);
	expect_ledger("removed", before, 0);
}

/*
 * A user without privileges. The group's file has been given to it, as an
 * administrator would; it has a limit on locked memory and tries what it can.
 */
#define USER		1000
#define REGIONS		8192		/* as many as the user's limit allows */
#define TREE_LIMIT	MIB(64)
#define SLACK		MIB(2)		/* what the system does meanwhile */
#define TABLE_SLACK	MIB(16)		/* pages on lists of the CPUs */

/**
 * struct siege - a user's attempt at using up the kernel's memory
 * @prepare: what is needed for it, not measured; in the user's process
 * @run: the attempt
 * @limit: the user's RLIMIT_MEMLOCK
 * @ua: memory that the user has
 * @done: how often it succeeded, set by run()
 * @charged: bytes by which it has raised the user's locked memory
 * @before: bytes of slabs and the like before the attempt
 * @most: the most that were seen in between
 * @after: the same after it, with the user still there
 * @taken_before: all memory but that of users, before the attempt
 * @taken_after: and after it
 * @step: enum step, how far both processes are
 *
 * In memory shared with the user's process.
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
	/* Or they may be megabytes off on each processor */
	refresh_counters();
	return meminfo("MemTotal") - meminfo("MemFree") - meminfo("Cached") -
	       meminfo("Buffers") - meminfo("AnonPages") - meminfo("Hugetlb");
}

static void need_plain_slabs(void)
{
	if (!has_plain_slabs())
		skip("this kernel debugs its slabs, what they take is its own");
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
		fail("can't become a user: %s", strerror(errno));
	/* Or /proc/self would be root's */
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
	expect_soon("what the user took is given back", as_before_the_siege,
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
		fail("%s: expected %lld bytes at the most, saw %lld", what,
		     (long long)most, (long long)saw);
}

/* Regions of one page */

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

/* A registration, a region, and where its page is: slabs of 64, 192 and 8 */
#define REGION_COST	(64 + 192 + 8)

TEST(a_users_regions_cost_little_beside_what_is_charged, .setup = BARE)
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
 * Tables: as many lower tables as there can be, and in each the most that the
 * view can be made to take, two runs in every 512 entries.
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

	/* Without a limit this would go on to twice as much */
	for (tables = 0; tables < 2 * TREE_LIMIT / TREE_TABLE; tables++) {
		uint64_t at = start + tables * TREE_STEP;

		if (dma_map(v->fd, at, siege->ua, TCE_4K, READ_WRITE))
			break;
		for (uint64_t off = 0; off < TREE_STEP; off += MIB(2))
			map_two_runs(v, at + off, siege->ua);
	}
	siege->done = tables;
}

/* The view takes as much as the tables, which are charged */
TEST(a_users_tables_and_views_are_bounded_by_the_charge,
     .setup = BARE, .intree = "defect 13")
{
	struct siege *siege = new_siege(prepare_tree, fill_tree, TREE_LIMIT);
	int64_t taken;

	(void)v;
	if (under_hypervisor())
		skip("tables have one level here");
	besiege(siege);
	taken = siege->taken_after - siege->taken_before;
	dprintf(STDOUT_FILENO,
		"# %llu lower tables: charged %lld KiB, all took %lld KiB, of that %lld KiB of slabs\n",
		(unsigned long long)siege->done,
		(long long)siege->charged >> 10, (long long)taken >> 10,
		(long long)(siege->after - siege->before) >> 10);
	expect_at_most("charged to the user", siege->charged, TREE_LIMIT);
	expect_at_most("views", siege->after - siege->before,
		       siege->charged + SLACK);
	expect_at_most("tables and views", taken,
		       2 * siege->charged + TABLE_SLACK);
}

/* The same in a window of one level, all of which is charged with it */
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
	 * Of a hypervisor's table there is only the kernel's copy, in vmalloc
	 * memory, which is among what was counted
	 */
	most = under_hypervisor() ? 2 * siege->charged : siege->charged / 2;
	expect_at_most("views", used, most + SLACK);
}

/*
 * Windows' tables of 16 MiB each. The platform has them as long as any group
 * does, whether the container knows of that or not.
 */
#define TABLE_ROUNDS	16
/* A quarter of what would be lost: debugging may keep as much as one table */
#define TABLES_LEFT	(TABLE_ROUNDS * MIB(16) / 4)

TEST(tables_are_given_back_with_windows_and_groups)
{
	bool two = !under_hypervisor() && vfio_devices() > 1;
	int64_t before = taken_memory();

	for (int i = 0; i < TABLE_ROUNDS; i++)
		expect(window_remove(v->fd, new_window(v, 12, GIB(8), 1)), 0);
	expect_at_most("of windows removed", taken_memory() - before,
		       TABLES_LEFT);
	for (int i = 0; two && i < TABLE_ROUNDS; i++) {
		uint64_t start = new_window(v, 12, GIB(8), 1);

		expect(vfio_attach(v, 1), 0);
		expect(vfio_detach(v, 1), 0);
		expect(window_remove(v->fd, start), 0);
	}
	expect_at_most("of a group that left", taken_memory() - before,
		       TABLES_LEFT);
}

/* Containers that have no group have no backend */

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

TEST(containers_without_a_group_never_come_to_the_backend, .setup = BARE)
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

/* Requests without end; what they leave to RCU must not pile up */

#define FLOOD		4000
#define FLOOD_MOST	MIB(32)

static void prepare_flood(struct siege *siege, struct vfio *v)
{
	siege->ua = memory(MIB(2) + 2 * base_page());
	expect(spapr_register(v->fd, siege->ua, MIB(2)), 0);
	expect(dma_map(v->fd, IOVA, siege->ua, MIB(2), READ_WRITE), 0);
}

/* Each time an array is made of a run, and one that is done with */
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

TEST(a_flood_of_requests_leaves_nothing_and_piles_up_little, .setup = BARE)
{
	struct siege *siege = new_siege(prepare_flood, flood, MIB(64));

	(void)v;
	besiege(siege);
	dprintf(STDOUT_FILENO,
		"# %llu requests: slabs grew by %lld KiB at the most, by %lld KiB in the end\n",
		(unsigned long long)siege->done,
		(long long)(siege->most - siege->before) >> 10,
		(long long)(siege->after - siege->before) >> 10);
	expect(siege->charged, 0);
	expect_at_most("in the middle", siege->most - siege->before,
		       FLOOD_MOST);
}

/*
 * Memory cgroups. The test's process goes into a group of its own with its
 * memory already there, so that all the group is charged for is the kernel's.
 */
#define CGROUPS		"/tmp/cgroup"
#define CGROUP		CGROUPS "/tce2"

/* A number in a file of "name number" lines */
static int64_t cgroup_number(const char *file, const char *name)
{
	long long number = -1, value;
	char path[96], line[128], key[64];
	FILE *f;

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	f = fopen(path, "re");
	if (!f)
		fail("can't read %s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lld", key, &value) == 2 &&
		    !strcmp(key, name))
			number = value;
	fclose(f);
	return number;
}

/*
 * The kernel brings this up to date when many pages have been charged or every
 * two seconds; up to 6.15 also when cpu.stat is read, which is quicker.
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
		skip("no cgroups in this kernel");
	if (!write_text(CGROUPS "/cgroup.subtree_control", "+memory"))
		skip("no memory cgroups in this kernel");
	/* One that a failed test left has no process any more */
	rmdir(CGROUP);
	if (mkdir(CGROUP, 0755))
		fail("mkdir " CGROUP ": %s", strerror(errno));
	if (cgroup_kernel() < 0)
		skip("memory cgroups don't tell kernel memory here");
}

static void join_cgroup(void)
{
	if (!write_text(CGROUP "/cgroup.procs", "0"))
		fail("can't join the cgroup");
}

static void leave_cgroup(void)
{
	if (!write_text(CGROUPS "/cgroup.procs", "0"))
		fail("can't leave the cgroup");
	if (rmdir(CGROUP))
		fail("rmdir " CGROUP ": %s", strerror(errno));
}

/* The charge is made in pages, of which each CPU keeps the rest of one */
static int64_t rests_of_pages(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) * base_page();
}

/* For expect_soon(): what has been freed is no longer charged, arg is before */
static bool is_uncharged(void *arg)
{
	const int64_t *before = arg;

	return cgroup_kernel() <= *before + rests_of_pages();
}

/*
 * What the group is charged. If that is less than it should be it may be what it
 * was two seconds ago.
 */
static int64_t cgroup_kernel_now(int64_t least)
{
	int64_t kernel = cgroup_kernel();

	if (kernel >= least)
		return kernel;
	usleep(patient_ms(3000) * 1000);
	return cgroup_kernel();
}

/* Expects @each bytes for each object, or 1/64 more or less, as for higher nodes */
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

/* The slabs' pointer to the group, for each object */
#define OWNER		8
#define REGION_CHARGE	(REGION_COST + 3 * OWNER)

TEST(regions_are_charged_to_the_memory_cgroup, .intree = "charges none of it")
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
	expect_soon("the charge is gone", is_uncharged, &before);
	leave_cgroup();
}

/* Bytes for an array and for its share of the node above, which has 64 arrays */
#define ARRAY_CHARGE	(4096 + OWNER + (512 + OWNER) / 64)

TEST(arrays_of_views_are_charged_to_the_memory_cgroup, .intree = "charges none of it")
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
	expect_soon("the charge is gone", is_uncharged, &before);
	leave_cgroup();
}

/*
 * Mappings so far from one another that each needs a node of the view, half of
 * the one above, and a node of the xarray that has the lower tables. The tables
 * themselves, which the platform allocates, are charged to locked memory alone.
 */
#define NODE_CHARGE	((512 + OWNER) * 3 / 2 + 576 + OWNER)

TEST(nodes_of_trees_are_charged_to_the_memory_cgroup, .intree = "charges none of it")
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
	expect_soon("the charge is gone", is_uncharged, &before);
	leave_cgroup();
}
