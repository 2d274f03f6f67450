// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/container.c: containers from open to release, their binding to a
 * process, and their registrations.
 */
#include <linux/sched.h>

#include "client.h"
#include "sim_user.h"

#define SIZE PAGES(4)

static struct sim_counts before;

TEST_F(client, a_cookie_finds_its_container_until_release)
{
	struct tce2_container *again;
	void *old, *new;

	old = cookie;
	/* Neither a process nor the kernel can have memory at this address */
	expect((uintptr_t)old >> 52, 0xfff);
	again = tce2_container_get(old);
	expect(again == container, true);
	tce2_container_put(again);
	expect(!tce2_container_get(NULL), true);
	expect(!tce2_container_get(container), true);
	expect(!tce2_container_get((void *)(uintptr_t)container->id), true);
	expect(!tce2_container_get(old + 1), true);
	close_container();
	expect(!tce2_container_get(old), true);
	/* A late request must not find another container */
	new = tce2_container_open();
	expect(new == old, false);
	expect(!tce2_container_get(old), true);
	tce2_container_release(new);
}

TEST(each_cookie_finds_its_own_container)
{
	struct tce2_container *got[3];
	void *cookies[3];

	begin_client(0);
	for (int i = 0; i < 3; i++)
		cookies[i] = tce2_container_open();
	tce2_container_release(cookies[1]);
	for (int i = 0; i < 3; i++) {
		got[i] = tce2_container_get(cookies[i]);
		expect(!got[i], i == 1);
	}
	expect(got[0] == got[2] || got[0] == container, false);
	for (int i = 0; i < 3; i += 2) {
		tce2_container_put(got[i]);
		tce2_container_release(cookies[i]);
	}
	end_client();
}

TEST(open_without_memory_returns_enomem)
{
	begin_client(0);
	before = sim.now;
	sim_fail(SIM_ALLOC, 1);
	expect(PTR_ERR(tce2_container_open()), -ENOMEM);
	expect(sim.fired, true);
	sim_fail_nothing();
	expect_counts(before);
	end_client();
}

/* The first attempt to allocate the counts does not wait for memory */
TEST(open_allocates_the_counts_of_requests_in_two_attempts)
{
	void *other;

	begin_client(0);
	sim_fail(SIM_ALLOC, 2);
	other = tce2_container_open();
	expect(sim.fired, true);
	sim_fail_nothing();
	expect(IS_ERR(other), false);
	tce2_container_release(other);
	end_client();
}

/* VFIO holds the lock of its list of backends during open, and reclaim may take seconds */
TEST(open_allocates_outside_the_memory_cgroup)
{
	u64 accounted;
	void *other;

	begin_client(0);
	accounted = sim.accounted;
	other = tce2_container_open();
	expect(sim.accounted, accounted);
	tce2_container_release(other);
	end_client();
}

TEST(a_request_after_release_fails_and_keeps_the_module_loaded)
{
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	struct tce2_creation creation;

	begin_client(2);
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(tce2_container_map(container, REQUEST(0, UA, SIZE, RW)), 0);
	expect(tce2_container_create_window(container, &spec, &creation), 0);
	expect(tce2_container_publish_window(container, &creation), 0);
	close_container();
	expect(sim.now.modules, 1);
	expect(sim.now.pinned, 0);
	expect(sim.now.charged, 0);
	expect(platform.tables, 0);
	expect(platform.owned, 0);

	expect(tce2_container_register(container, UA, SIZE), -ENODEV);
	expect(tce2_container_unregister(container, UA, SIZE), -ENOENT);
	expect(tce2_container_map(container, REQUEST(0, UA, SIZE, RW)), -ENXIO);
	expect(tce2_container_unmap(container, 0, SIZE), -ENXIO);
	expect(tce2_container_create_window(container, &spec, &creation), -ENXIO);
	expect(tce2_container_remove_window(container, 0), -ENXIO);
	expect(tce2_container_detach(container, &group[0]->group), -ENOENT);
	expect(sim.now.charged, 0);
	expect(sim.now.modules, 1);
	tce2_container_put(container);
	expect(sim.now.modules, 0);
	platform_expect_nothing_left();
}

static const struct {
	const char *row;
	u64 ua, size;
	int want;
} ranges[] = {
	{ "empty", UA, 0, -EINVAL },
	{ "odd address", UA + 1, SIZE, -EINVAL },
	{ "address of half a page", UA + PAGE_SIZE / 2, SIZE, -EINVAL },
	{ "odd size", UA, SIZE + 1, -EINVAL },
	{ "size of half a page", UA, PAGE_SIZE / 2, -EINVAL },
	{ "wrapping to 0", -SIZE, SIZE, 0 },
	{ "wrapping", -SIZE, SIZE + PAGE_SIZE, -EINVAL },
	{ "start below and end above 0", UA, -UA + PAGE_SIZE, -EINVAL },
	{ "kernel address", 1ULL << 63, SIZE, -EFAULT },
	{ "crossing the end of user addresses", (1ULL << 52) - SIZE, SIZE + PAGE_SIZE,
	  -EFAULT },
	{ "below the end of user addresses", (1ULL << 52) - SIZE, SIZE, -EFAULT },
	{ "starting before the memory", UA - PAGE_SIZE, SIZE, -EFAULT },
	{ "ending after the memory", UA, PAGES(MEMORY_PAGES + 1), -EFAULT },
	{ "after the memory", UA + PAGES(MEMORY_PAGES), PAGE_SIZE, -EFAULT },
	{ "all of the memory", UA, PAGES(MEMORY_PAGES), 0 },
	{ "a page", UA, PAGE_SIZE, 0 },
};

TEST_F(client, register_refuses_misaligned_empty_wrapping_and_kernel_ranges)
{
	/* Bind the container first, because binding allocates memory until release */
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
	sim_grace_period();
	before = sim.now;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		int want = ranges[i].want;

		row = ranges[i].row;
		/* Refused, because the address after the range does not fit into 64 bits */
		if (ranges[i].ua + ranges[i].size == 0 && ranges[i].size)
			want = -EINVAL;
		expect(tce2_container_register(container, ranges[i].ua,
					       ranges[i].size), want);
		if (!want)
			expect(tce2_container_unregister(container, ranges[i].ua,
							 ranges[i].size), 0);
		sim_grace_period();
		expect_counts(before);
	}
}

/* The range is checked before the container is bound */
TEST_F(client, a_malformed_registration_does_not_bind_the_container)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i].want != -EINVAL)
			continue;
		tce2_container_register(container, ranges[i].ua, ranges[i].size);
		expect(!container->cache, true);
	}
	expect(tce2_container_register(container, 1ULL << 63, SIZE), -EFAULT);
	expect(tce2_container_unregister(container, UA, SIZE), -ENOENT);
	expect(!container->cache, true);
	expect(container->enabled, false);
}

TEST_F(client, register_of_a_registered_range_returns_ebusy_or_einval)
{
	static const struct {
		const char *row;
		u64 first, pages;
		int want;
	} rows[] = {
		{ "same range", 4, 4, -EBUSY },
		{ "same start, longer", 4, 5, -EINVAL },
		{ "same start, shorter", 4, 3, -EINVAL },
		{ "overlaps the start", 3, 2, -EINVAL },
		{ "contained", 5, 1, -EINVAL },
		{ "contained, same end", 6, 2, -EINVAL },
		{ "overlaps the end", 7, 2, -EINVAL },
		{ "adjacent below", 3, 1, 0 },
		{ "adjacent above", 8, 1, 0 },
	};

	expect(tce2_container_register(container, UA + PAGES(4), PAGES(4)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 ua = UA + PAGES(rows[i].first), size = PAGES(rows[i].pages);

		row = rows[i].row;
		expect(tce2_container_register(container, ua, size), rows[i].want);
		expect(sim.now.charged, 4 + (rows[i].want ? 0 : rows[i].pages));
		/* A refused range is not registered */
		expect(tce2_container_unregister(container, ua, size),
		       !rows[i].want || rows[i].want == -EBUSY ? 0 : -ENOENT);
		if (rows[i].want == -EBUSY)
			expect(tce2_container_register(container, ua, size), 0);
	}
}

TEST_F(client, unregister_needs_the_exact_range)
{
	static const struct {
		const char *row;
		u64 offset, size;
		int want;
	} rows[] = {
		{ "longer", 0, SIZE + PAGE_SIZE, -ENOENT },
		{ "shorter", 0, SIZE - PAGE_SIZE, -ENOENT },
		{ "empty", 0, 0, -ENOENT },
		{ "contained", PAGE_SIZE, PAGE_SIZE, -ENOENT },
		{ "starts inside", PAGE_SIZE, SIZE, -ENOENT },
		{ "adjacent", SIZE, SIZE, -ENOENT },
		{ "odd address", 1, SIZE, -EINVAL },
		{ "odd size", 0, SIZE + 1, -EINVAL },
		{ "address off by half a page", PAGE_SIZE / 2, SIZE, -EINVAL },
		{ "size off by half a page", 0, SIZE + PAGE_SIZE / 2, -EINVAL },
		{ "same range", 0, SIZE, 0 },
		{ "same range again", 0, SIZE, -ENOENT },
	};

	expect(tce2_container_register(container, UA, SIZE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = rows[i].row;
		expect(tce2_container_unregister(container, UA + rows[i].offset,
						 rows[i].size), rows[i].want);
		expect(sim.now.pinned, i < ARRAY_SIZE(rows) - 2 ? 4 : 0);
	}
}

/* The differences of these addresses do not fit into 32 bits */
TEST_F(client, registrations_4_gib_apart_or_more_are_distinguished)
{
	static const u64 starts[] = {
		UA, UA + GIB(2), UA + GIB(4), UA + GIB(6), UA + TIB(1), GIB(1),
	};

	for (size_t i = 1; i < ARRAY_SIZE(starts); i++)
		map_contiguous(starts[i], 4, 100 + 10 * i, true);
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		expect(tce2_container_register(container, starts[i], SIZE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		expect(tce2_container_register(container, starts[i], SIZE), -EBUSY);
		expect(tce2_container_unregister(container, starts[i], SIZE), 0);
		expect(tce2_container_unregister(container, starts[i], SIZE), -ENOENT);
	}
}

TEST_F(client, unregister_while_mapped_returns_ebusy)
{
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(tce2_container_map(container, REQUEST(0, UA, PAGES(1), RW)), 0);
	for (int i = 0; i < 2; i++) {
		expect(tce2_container_unregister(container, UA, SIZE), -EBUSY);
		expect(tce2_container_register(container, UA, SIZE), -EBUSY);
		expect(sim.now.pinned, 4);
	}
	expect(tce2_container_unmap(container, 0, PAGES(1)), 0);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
	expect(sim.now.pinned, 0);
	expect(tce2_container_register(container, UA, SIZE), 0);
}

/* A region is pinned and charged once, until its last container unregisters it */
TEST_F(client, containers_of_a_process_share_regions)
{
	struct tce2_container *other;
	void *other_cookie;

	other_cookie = tce2_container_open();
	other = tce2_container_get(other_cookie);
	for (int closes = 0; closes < 2; closes++) {
		expect(tce2_container_register(container, UA, SIZE), 0);
		/* @container has registered the region, but @other has not */
		expect(tce2_container_unregister(other, UA, SIZE), -ENOENT);
		expect(tce2_container_register(other, UA, PAGES(1)), -EINVAL);
		expect(tce2_container_register(other, UA, SIZE), 0);
		expect(tce2_container_register(other, UA, SIZE), -EBUSY);
		expect(sim.now.charged, 4);
		expect(sim.now.pinned, 4);
		expect(tce2_container_unregister(container, UA, SIZE), 0);
		expect(tce2_container_unregister(container, UA, SIZE), -ENOENT);
		expect(sim.now.pinned, 4);
		if (closes)
			tce2_container_release(other_cookie);
		else
			expect(tce2_container_unregister(other, UA, SIZE), 0);
		expect(sim.now.charged, 0);
		expect(sim.now.pinned, 0);
	}
	tce2_container_put(other);
}

TEST_F(client, register_can_be_repeated_after_any_failure)
{
	static const enum sim_fault faults[] = {
		SIM_ALLOC, SIM_CHARGE, SIM_PIN, SIM_SIGNAL, SIM_KILL,
	};
	static const int errors[] = {
		-ENOMEM, -ENOMEM, -ENOMEM, -EINTR, -EINTR,
	};

	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		for (unsigned int nth = 1;; nth++) {
			int ret;

			sim_grace_period();
			before = sim.now;
			sim_fail(faults[i], nth);
			ret = tce2_container_register(container, UA, SIZE);
			if (!sim.fired)
				break;
			sim_fail_nothing();
			expect(ret, errors[i]);
			expect_counts(before);
			expect(tce2_container_unregister(container, UA, SIZE),
			       -ENOENT);
		}
		sim_fail_nothing();
		expect(tce2_container_unregister(container, UA, SIZE), 0);
	}
}

TEST_F(client, a_killed_unregister_changes_nothing)
{
	expect(tce2_container_register(container, UA, SIZE), 0);
	for (unsigned int nth = 1;; nth++) {
		int ret;

		sim_fail(SIM_KILL, nth);
		ret = tce2_container_unregister(container, UA, SIZE);
		if (!sim.fired) {
			expect(ret, 0);
			expect(nth > 2, true);
			break;
		}
		sim_fail_nothing();
		expect(ret, -EINTR);
		expect(sim.now.pinned, 4);
	}
}

/* Runs while another thread pins memory: a process can delay this with a page fault */
static void use_memory_early(void)
{
	expect(tce2_container_register(container, UA, SIZE), -EBUSY);
	expect(tce2_container_register(container, UA, PAGES(1)), -EINVAL);
	expect(tce2_container_unregister(container, UA, SIZE), -EBUSY);
	expect(tce2_container_unregister(container, UA, PAGES(1)), -ENOENT);
	expect(container->enabled, false);
	/* A range that does not overlap can be registered meanwhile */
	expect(tce2_container_register(container, UA + SIZE, SIZE), 0);
	expect(tce2_container_unregister(container, UA + SIZE, SIZE), 0);
	container->enabled = false;
}

TEST_F(client, requests_during_register_return_ebusy)
{
	sim_when(SIM_AT_PIN, 1, use_memory_early);
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(container->enabled, true);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
}

/* Release does not wait for register, because VFIO holds locks that all containers share */
TEST_F(client, register_during_release_returns_enodev_and_unpins)
{
	sim_when(SIM_AT_PIN, 1, close_container);
	expect(tce2_container_register(container, UA, SIZE), -ENODEV);
	expect(sim.now.pinned, 0);
	expect(sim.now.charged, 0);
	expect(container->enabled, false);
}

TEST_F(client, a_registration_that_fails_during_release_is_freed_once)
{
	/* Release frees these four registrations, on both sides of the failing one in the tree */
	for (u64 i = 0; i < 5; i++) {
		if (i != 2)
			expect(tce2_container_register(container, UA + i * SIZE, SIZE),
			       0);
	}
	sim_when(SIM_AT_PIN, 1, close_container);
	sim_fail(SIM_PIN, 1);
	expect(tce2_container_register(container, UA + 2 * SIZE, SIZE), -ENOMEM);
	expect(sim.fired, true);
	expect(RB_EMPTY_ROOT(&container->registrations), true);
}

/* The second mutex that an unregister request locks is the region cache's */
#define AT_REGION_LOCK 2

static void use_memory_late(void)
{
	expect(tce2_container_unregister(container, UA, SIZE), -EBUSY);
	expect(tce2_container_register(container, UA, SIZE), -EBUSY);
	expect(tce2_container_register(container, UA, PAGES(1)), -EINVAL);
}

TEST(requests_during_unregister_return_ebusy)
{
	for (int mapped = 0; mapped < 2; mapped++) {
		begin_client(1);
		expect(tce2_container_register(container, UA, SIZE), 0);
		if (mapped)
			expect(tce2_container_map(container,
						  REQUEST(0, UA, PAGES(1), RW)), 0);
		sim_when(SIM_AT_LOCK, AT_REGION_LOCK, use_memory_late);
		expect(tce2_container_unregister(container, UA, SIZE),
		       mapped ? -EBUSY : 0);
		/* The range is still registered only if the first unregister failed */
		expect(tce2_container_unregister(container, UA, SIZE),
		       mapped ? -EBUSY : -ENOENT);
		end_client();
	}
}

/* With the region unmapped, or mapped by another container, so that unregister fails */
TEST(release_during_unregister_leaves_nothing_registered)
{
	for (int mapped = 0; mapped < 2; mapped++) {
		struct tce2_cache *cache;

		begin_client(1);
		expect(tce2_container_register(container, UA, SIZE), 0);
		cache = container->cache;
		if (mapped)
			expect(hold(cache, UA, 1, READ), 0);
		sim_when(SIM_AT_LOCK, AT_REGION_LOCK, close_container);
		expect(tce2_container_unregister(container, UA, SIZE),
		       mapped ? -ENODEV : 0);
		expect(sim.now.pinned, mapped ? 4 : 0);
		if (mapped)
			drop(cache, UA, 1);
		expect(sim.now.pinned, 0);
		expect(sim.now.charged, 0);
		end_client();
	}
}

TEST_F(client, release_leaves_regions_that_are_still_mapped)
{
	struct tce2_cache *cache;

	cache = tce2_cache_get(sim.mm);
	expect(tce2_container_register(container, UA, SIZE), 0);
	for (u64 i = 1; i < 9; i++)
		expect(tce2_container_register(container, UA + i * SIZE, SIZE), 0);
	expect(hold(cache, UA + SIZE, 1, READ), 0);
	close_container();
	expect(sim.now.pinned, 4);
	expect(sim.now.charged, 4);
	drop(cache, UA + SIZE, 1);
	expect(sim.now.pinned, 0);
	tce2_cache_put(cache);
}

TEST_F(client, a_kernel_thread_cannot_bind_a_container)
{
	struct task_struct thread;
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	struct tce2_creation creation;

	sim_task_init(&thread, NULL);
	sim_switch_to(&thread);
	expect(tce2_container_register(container, UA, SIZE), -EPERM);
	expect(tce2_container_create_window(container, &spec, &creation), -EPERM);
	expect(tce2_container_remove_window(container, 0), -EPERM);
	expect(tce2_container_check_process(container), 0);
	sim_switch_to(NULL);
	expect(tce2_container_remove_window(container, 0), 0);
	sim_switch_to(&thread);
	expect(tce2_container_check_process(container), -EPERM);
	sim_switch_to(NULL);
}

TEST_F(client, a_bound_container_returns_eperm_to_other_processes)
{
	struct tce2_window_spec spec = { MIB(64), 12, 1 };
	struct tce2_creation creation;

	expect(tce2_container_register(container, UA, SIZE), 0);
	before = sim.now;
	be_another_process();
	expect(tce2_container_check_process(container), -EPERM);
	expect(tce2_container_register(container, UA, SIZE), -EPERM);
	expect(tce2_container_unregister(container, UA, SIZE), -EPERM);
	expect(tce2_container_create_window(container, &spec, &creation), -EPERM);
	expect(tce2_container_remove_window(container, 0), -EPERM);
	be_first_process();
	expect_counts(before);
	expect(tce2_container_unregister(container, UA, SIZE), 0);
}

/* The process of the second thread, which binds the container first */
static struct mm_struct *binder;

static void bind_meanwhile(void)
{
	struct task_struct task, *self;

	sim_task_init(&task, binder);
	self = sim_switch_to(&task);
	expect(tce2_container_remove_window(container, 7), -EINVAL);
	sim_switch_to(self);
}

TEST_F(client, if_two_processes_bind_at_once_the_second_gets_eperm)
{
	struct mm_struct *first;

	first = sim.mm;
	binder = sim_process();
	sim.mm = first;
	sim_when(SIM_AT_SWAP, 1, bind_meanwhile);
	expect(tce2_container_register(container, UA, SIZE), -EPERM);
	expect(container->cache->mm == binder, true);
	expect(sim_mm_refs(first), 1);
	expect(sim_mm_refs(binder), 2);
}

/* The second thread runs before one of the locks, or before the cmpxchg() that binds */
TEST(threads_that_bind_at_once_share_one_cache)
{
	for (unsigned int nth = 0; nth <= 3; nth++) {
		begin_client(1);
		binder = sim.mm;
		sim_when(nth ? SIM_AT_LOCK : SIM_AT_SWAP, nth ?: 1,
			 bind_meanwhile);
		expect(tce2_container_register(container, UA, SIZE), 0);
		expect(container->cache->mm == binder, true);
		expect(container->cache->users, 1);
		expect(sim_mm_refs(binder), 2);
		end_client();
	}
}

TEST_F(client, binding_without_memory_leaves_the_container_unbound)
{
	before = sim.now;
	for (int what = 0; what < 2; what++) {
		sim_fail(SIM_ALLOC, 1);
		if (what)
			expect(tce2_container_register(container, UA, SIZE),
			       -ENOMEM);
		else
			expect(tce2_container_remove_window(container, 0),
			       -ENOMEM);
		sim_fail_nothing();
		expect_counts(before);
		expect(!container->cache, true);
	}
}
