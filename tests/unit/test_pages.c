// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/pages.c: requests for several pages of one leaf that do not sleep. The tests
 * of src/page.c (test_page.c) check what both files share.
 */
#include <string.h>

#include <linux/sched.h>
#include <linux/vfio.h>

#include "client.h"
#include "engine.h"
#include "sim_user.h"
#include "tce2_ddw_page.h"
#include "tce2_kvm.h"
#include "tce2_pages.h"
#include "tce2_uapi.h"
#include "tce2_why.h"

#define SIZE	MIB(16)
#define PAGES_4K(n) ((u64)(n) << (PAGE_SHIFT - SHIFT))

static struct tce2_window *window;
static struct tce2_region *region;

static long map_bytes(u64 iova, u64 ua, u64 size, u64 perm)
{
	long ret;

	rcu_read_lock();
	ret = tce2_window_map_pages(window, iova, ua, size, perm);
	rcu_read_unlock();
	return ret;
}

static long unmap_bytes(u64 iova, u64 size)
{
	long ret;

	rcu_read_lock();
	ret = tce2_window_unmap_pages(window, iova, size);
	rcu_read_unlock();
	return ret;
}

static long map_pages(u64 index, u64 page, u64 count, u64 perm)
{
	return map_bytes(window->start + IOVA(index), UA + IOVA(page), IOVA(count), perm);
}

static long unmap_pages(u64 index, u64 count)
{
	return unmap_bytes(window->start + IOVA(index), IOVA(count));
}

/* Makes a window, of which the first entry of each of the first two leaves was mapped before */
static void begin_pages(u64 pages, u32 levels)
{
	begin(1, levels);
	region = memory(UA, pages);
	window = only_window(SIZE, levels);
	for (u64 leaf = 0; leaf < 2; leaf++) {
		expect(map(window, leaf * LEAF, 0, 1, RW), 0);
		expect(unmap(window, leaf * LEAF, 1), 0);
	}
	platform_forget_events();
}

/* Ends the test unless table, view and counts agree in the first three leaves */
static void expect_agreement(void)
{
	u64 mapped = 0;

	expect_in_step(window, 3 * LEAF);
	for (u64 i = 0; i < 3 * LEAF; i++)
		mapped += !!view_at(window, i);
	expect(tce2_mapped_sum(&region->mapped), 1 + mapped);
	expect(platform.held, mapped);
}

static bool ranges_used;

static void look_for_ranges(void)
{
	ranges_used |= !!window->ranges.last;
	platform_sync();
}

static void map_and_unmap_some(u64 index, u64 page, u64 count)
{
	u64 allocs = sim.now.allocs;

	for (u64 perm = 1; perm <= RW; perm++) {
		expect(map_pages(index, page, count, perm), 0);
		for (u64 i = 0; i < count; i++)
			expect(view_at(window, index + i), (UA + IOVA(page + i)) | perm);
		expect_agreement();
		expect(unmap_pages(index, count), 0);
		for (u64 i = 0; i < count; i++)
			expect(view_at(window, index + i), 0);
		expect_agreement();
	}
	expect(sim.now.allocs, allocs);
}

TEST(pages_of_one_leaf_are_mapped_and_unmapped_without_a_range)
{
	for (u32 levels = 1; levels <= 2; levels++) {
		begin_pages(PAGES_4K(600), levels);
		ranges_used = false;
		sim_watch(look_for_ranges);
		map_and_unmap_some(7, 3, 2);
		map_and_unmap_some(LEAF + 100, 20, 64);
		map_and_unmap_some(LEAF - 2, 5, 2);
		map_and_unmap_some(0, 1, LEAF);
		sim_watch(platform_sync);
		expect(ranges_used, false);
		finish();
	}
}

/* The physical memory of the second half is in another order than the user addresses */
TEST(scattered_pages_of_one_leaf_are_mapped_where_they_are)
{
	scattered = true;
	begin_pages(PAGES_4K(80), 1);
	map_and_unmap_some(3, PAGES_4K(30), PAGES_4K(30));
	map_and_unmap_some(LEAF + 3, PAGES_4K(1) + 1, 2);
	scattered = false;
	finish();
}

/* The device may cache an entry as soon as it is written, and until it is invalidated */
TEST(pages_are_dropped_after_their_translations_are_invalidated)
{
	static const enum platform_event wanted[] = {
		EVENT_ERASE, EVENT_KILL, EVENT_DROP,
	};

	begin_pages(64, 1);
	expect(map_pages(7, 3, 3, RW), 0);
	expect(platform.events[0].what, EVENT_WRITE);
	expect(platform.events[0].count, 3);
	expect(platform.events[1].what, EVENT_KILL);
	expect(platform.events[1].count, 3);
	platform_forget_events();
	expect(unmap_pages(7, 3), 0);
	expect(platform.logged, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		expect(platform.events[i].what, wanted[i]);
		expect(platform.events[i].count, 3);
	}
	finish();
}

/* A run of a leaf grows at both ends, and shrinks at both ends */
TEST(adjacent_pages_become_one_run_without_memory)
{
	u64 allocs;

	begin_pages(64, 1);
	allocs = sim.now.allocs;
	expect(map_pages(20, 20, 10, RW), 0);
	expect(map_pages(30, 30, 5, RW), 0);
	expect(map_pages(12, 12, 8, RW), 0);
	expect_agreement();
	expect(view_at(window, 12), (UA + IOVA(12)) | RW);
	expect(view_at(window, 34), (UA + IOVA(34)) | RW);
	expect(unmap_pages(12, 3), 0);
	expect(unmap_pages(30, 5), 0);
	expect_agreement();
	expect(view_at(window, 14), 0);
	expect(view_at(window, 15), (UA + IOVA(15)) | RW);
	expect(view_at(window, 29), (UA + IOVA(29)) | RW);
	expect(view_at(window, 30), 0);
	expect(unmap_pages(15, 15), 0);
	expect(sim.now.allocs, allocs);
	expect_agreement();
	finish();
}

/* The entries of an array, which stays while at least one entry is mapped and one is not */
TEST(pages_are_mapped_and_unmapped_in_an_array)
{
	begin_pages(PAGES_4K(600), 1);
	expect(map(window, 4, 0, 1, RW), 0);
	expect(map(window, 9, 0, 1, RW), 0);
	map_and_unmap_some(20, 3, 40);
	map_and_unmap_some(5, 3, 4);
	expect(map_pages(8, 3, 2, RW), TCE2_NOT_BRIEF);
	expect(map_pages(9, 3, 2, RW), TCE2_NOT_BRIEF);
	expect(unmap_pages(8, 2), TCE2_NOT_BRIEF);
	expect(map_pages(10, 3, 2, RW), 0);
	/* Entries of one request, whose memory is not adjacent, or that another request maps */
	expect(unmap_pages(9, 2), TCE2_NOT_BRIEF);
	expect(map(window, 11, 4, 1, TCE2_PERM_READ), 0);
	expect(unmap_pages(10, 2), 0);
	/* The array would be freed, or would have no unmapped entry left */
	expect(unmap(window, 4, 1), 0);
	expect(map_pages(10, 1, 1, RW), 0);
	expect(unmap_pages(9, 2), TCE2_NOT_BRIEF);
	expect(map_pages(11, 3, LEAF - 11, RW), 0);
	expect(map_pages(0, 3, 9, RW), TCE2_NOT_BRIEF);
	expect(map_pages(0, 3, 8, RW), 0);
	expect_agreement();
	finish();
}

/* Pages that replace other pages, which are dropped after the invalidation */
TEST(pages_replace_adjacent_pages_and_drop_them)
{
	static const enum platform_event wanted[] = {
		EVENT_WRITE, EVENT_KILL, EVENT_DROP,
	};
	u64 allocs;

	begin_pages(PAGES_4K(600), 1);
	/* A whole run, a part of a run as it was, entries of an array */
	expect(map(window, 10, 0, 8, TCE2_PERM_READ), 0);
	expect(map(window, LEAF + 1, 0, 1, RW), 0);
	expect(map(window, LEAF + 10, 0, 8, RW), 0);
	allocs = sim.now.allocs;
	platform_forget_events();
	expect(map_pages(10, 20, 8, RW), 0);
	expect(platform.logged, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		expect(platform.events[i].what, wanted[i]);
	expect(view_at(window, 17), (UA + IOVA(27)) | RW);
	expect_agreement();
	expect(map_pages(12, 22, 4, RW), 0);
	expect(view_at(window, 12), (UA + IOVA(22)) | RW);
	expect_agreement();
	expect(map_pages(LEAF + 10, 30, 8, TCE2_PERM_READ), 0);
	expect(map_pages(LEAF + 12, 3, 4, RW), 0);
	expect(view_at(window, LEAF + 11), (UA + IOVA(31)) | TCE2_PERM_READ);
	expect(view_at(window, LEAF + 15), (UA + IOVA(6)) | RW);
	expect_agreement();
	/* Entries that do not map adjacent memory */
	expect(map_pages(LEAF + 10, 40, 8, RW), TCE2_NOT_BRIEF);
	expect(sim.now.allocs, allocs);
	finish();
}

/* The general path unpins memory whose last pages are replaced */
TEST(pages_of_unregistered_memory_are_not_replaced)
{
	begin_pages(4, 1);
	memory(UA + PAGES(64), 4);
	expect(map_pages(7, 1, 2, RW), 0);
	tce2_region_unregister_nofail(region);
	expect(map_pages(7, PAGES_4K(64), 2, RW), TCE2_NOT_BRIEF);
	expect(map(window, 7, PAGES_4K(64), 2, RW), 0);
	expect(sim.now.pinned, 4);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	finish();
}

/* Expects that a request has changed nothing, and that it has to take the general path */
#define EXPECT_DECLINED(request)						\
	do {									\
		u64 sum = platform_sum(window->table.tbl), held = platform.held;\
		u64 pinned = tce2_mapped_sum(&region->mapped);			\
		expect(request, TCE2_NOT_BRIEF);				\
		expect(platform_sum(window->table.tbl), sum);			\
		expect(platform.held, held);					\
		expect(tce2_mapped_sum(&region->mapped), pinned);		\
	} while (0)

TEST(a_request_for_pages_that_needs_more_changes_nothing)
{
	begin_pages(64, 1);
	expect(map(window, 10, 0, 11, RW), 0);
	/* A leaf that was never mapped */
	EXPECT_DECLINED(map_pages(2 * LEAF, 3, 4, RW));
	EXPECT_DECLINED(unmap_pages(2 * LEAF, 4));
	/* Mapped entries, a second run, other permissions, no permissions */
	EXPECT_DECLINED(map_pages(18, 8, 4, RW));
	EXPECT_DECLINED(map_pages(8, 0, 3, RW));
	EXPECT_DECLINED(map_pages(8, 0, 20, RW));
	EXPECT_DECLINED(map_pages(10, 1, 10, RW));
	EXPECT_DECLINED(map_pages(30, 20, 4, RW));
	EXPECT_DECLINED(map_pages(21, 12, 4, RW));
	EXPECT_DECLINED(map_pages(21, 11, 4, TCE2_PERM_READ));
	EXPECT_DECLINED(map_pages(21, 11, 4, 0));
	EXPECT_DECLINED(map_pages(LEAF + 5, 3, 4, 0));
	/* Memory that is not registered, completely or at the end */
	EXPECT_DECLINED(map_pages(LEAF + 5, PAGES_4K(64), 2, RW));
	EXPECT_DECLINED(map_pages(LEAF + 5, PAGES_4K(64) - 1, 2, RW));
	/* The middle of a run, entries that are not mapped */
	EXPECT_DECLINED(unmap_pages(12, 4));
	EXPECT_DECLINED(unmap_pages(8, 4));
	EXPECT_DECLINED(unmap_pages(18, 4));
	EXPECT_DECLINED(unmap_pages(LEAF + 5, 4));
	expect_agreement();
	finish();
}

/* src/uapi.c and src/ddw.c return the errno of these requests */
TEST(a_request_for_pages_of_a_wrong_size_or_place_is_declined)
{
	static const struct {
		u64 iova, ua, size;
	} rows[] = {
		{ IOVA(3), UA, 0 },
		{ IOVA(3), UA, IOVA(2) + 1 },
		{ IOVA(3), UA, IOVA(2) + IOVA(1) / 2 },
		{ IOVA(3) + 1, UA, IOVA(2) },
		{ IOVA(3), UA + 1, IOVA(2) },
		{ IOVA(LEAF - 1), UA, IOVA(2) },
		{ IOVA(0), UA, IOVA(LEAF + 1) },
		{ IOVA(3), UA, -IOVA(3) },
		{ IOVA(3), UA, -IOVA(1) },
		{ IOVA(3), -IOVA(1), IOVA(2) },
		{ SIZE - IOVA(1), UA, IOVA(2) },
	};

	begin_pages(PAGES_4K(600), 1);
	expect(map(window, (SIZE >> SHIFT) - 1, 0, 1, RW), 0);
	expect(unmap(window, (SIZE >> SHIFT) - 1, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_DECLINED(map_bytes(rows[i].iova, rows[i].ua, rows[i].size, RW));
		EXPECT_DECLINED(unmap_bytes(rows[i].iova, rows[i].size));
	}
	finish();
}

/* The last leaf of a window whose size is no multiple of a leaf */
TEST(pages_beyond_the_end_of_a_window_are_not_mapped)
{
	begin(1, 1);
	region = memory(UA, 64);
	window = only_window(IOVA(LEAF) / 2, 1);
	expect(map(window, 0, 0, 1, RW), 0);
	expect(unmap(window, 0, 1), 0);
	EXPECT_DECLINED(map_pages(LEAF / 2 - 2, 0, 3, RW));
	expect(map_pages(LEAF / 2 - 2, 0, 2, RW), 0);
	expect(unmap_pages(LEAF / 2 - 2, 2), 0);
	finish();
}

/* Read-only memory: the general path finds out whether the pages themselves are read-only */
TEST(pages_of_a_region_with_read_only_memory_are_mapped_only_for_reading)
{
	begin_pages(4, 1);
	region->extents.flags |= TCE2_EXTENT_READONLY;
	EXPECT_DECLINED(map_pages(7, 1, 2, RW));
	EXPECT_DECLINED(map_pages(7, 1, 2, TCE2_PERM_WRITE));
	expect(map_pages(7, 1, 2, TCE2_PERM_READ), 0);
	expect(unmap_pages(7, 2), 0);
	region->extents.flags &= ~TCE2_EXTENT_READONLY;
	finish();
}

/* Returns the number of blocks of the region that are marked dirty */
static unsigned int count_dirty(u64 pages)
{
	unsigned int dirty = 0;
	u64 hpa, flags;

	for (u64 i = 0; i < pages; i++) {
		tce2_extents_run(&region->extents, UA + PAGES(i), &hpa, &flags);
		dirty += !!(flags & TCE2_EXTENT_DIRTY);
	}
	return dirty;
}

TEST(pages_mapped_for_writing_are_marked_dirty)
{
	scattered = true;
	begin(1, 1);
	region = memory(UA, 600);
	window = only_window(SIZE, 1);
	expect(map(window, 0, 0, 1, TCE2_PERM_READ), 0);
	expect(unmap(window, 0, 1), 0);
	/* With base pages of 4K, blocks 511 and 512 are in two nodes of the extents */
	expect(map_pages(0, PAGES_4K(510), PAGES_4K(4), TCE2_PERM_READ), 0);
	expect(unmap_pages(0, PAGES_4K(4)), 0);
	expect(count_dirty(600), 0);
	expect(map_pages(0, PAGES_4K(510), PAGES_4K(4), RW), 0);
	expect(unmap_pages(0, PAGES_4K(4)), 0);
	expect(count_dirty(600), 4);
	scattered = false;
	finish();
}

/* Only the platform writes to these tables */
TEST(pages_are_not_mapped_in_a_table_that_only_the_platform_writes)
{
	static const enum platform_kind kinds[] = {
		PLATFORM_HYPERVISOR, PLATFORM_ODD_FORMAT, PLATFORM_ODD_PLACE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		platform_kind = kinds[i];
		begin_pages(64, 1);
		EXPECT_DECLINED(map_pages(7, 3, 2, RW));
		expect(map(window, 7, 3, 2, RW), 0);
		EXPECT_DECLINED(unmap_pages(7, 2));
		finish();
	}
}

static void expect_declined_there(void)
{
	EXPECT_DECLINED(map_pages(21, 11, 4, RW));
	EXPECT_DECLINED(unmap_pages(10, 4));
}

static void run_in_another_process(void (*function)(void))
{
	struct mm_struct *first = sim.mm, *mm = sim_process();
	struct task_struct other;

	/* sim_process() has given @mm to the test's own task: undo this */
	sim.mm = first;
	sim_task_init(&other, mm);
	sim_switch_to(&other);
	function();
	sim_switch_to(NULL);
}

/* See tce2_brief_may_use() and tce2_brief_wants_mirrors() */
TEST(a_request_for_pages_is_declined_in_a_window_that_it_may_not_use)
{
	begin_pages(64, 1);
	expect(map(window, 10, 0, 11, RW), 0);
	run_in_another_process(expect_declined_there);
	window->view.hooked = true;
	expect_declined_there();
	window->view.hooked = false;
	window->serves_pages = false;
	expect_declined_there();
	window->serves_pages = true;
	window->kvm->called = true;
	proc->mirrors_due = true;
	EXPECT_DECLINED(map_pages(21, 11, 4, RW));
	expect(unmap_pages(10, 4), 0);
	window->kvm->called = false;
	proc->mirrors_due = false;
	expect(map_pages(21, 11, 4, RW), 0);
	finish();
}

/* IOMMU pages that are larger than the kernel's may be scattered, which has to be checked */
TEST(pages_that_are_larger_than_the_kernel_s_are_declined)
{
	u64 start;

	begin(1, 1);
	region = large_memory(MIB(64));
	group[0]->tg.pgsizes |= BIT_ULL(21);
	expect(create(GIB(8), 21, 1, &start), 0);
	window = ddw.window[1];
	expect(tce2_ddw_map(&ddw, proc, REQUEST(start, UA, MIB(2), RW)), 0);
	EXPECT_DECLINED(map_bytes(start + MIB(2), UA + MIB(2), MIB(4), RW));
	finish();
}

static void unregister_it(void)
{
	expect(tce2_region_unregister(region), 0);
}

TEST(pages_of_memory_unregistered_meanwhile_are_not_mapped)
{
	begin_pages(4, 1);
	/* The other thread runs between the lookup of the region and the count */
	sim_when(SIM_AT_COUNT, 1, unregister_it);
	expect(map_pages(7, 1, 2, RW), TCE2_NOT_BRIEF);
	expect(view_at(window, 7), 0);
	expect_in_step(window, LEAF);
	expect(sim.now.pinned, 0);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	expect(map_pages(7, 1, 2, RW), 0);
	finish();
}

/* The last unmap unpins memory that only a closed container had registered */
TEST(the_last_pages_of_unregistered_memory_are_unpinned_at_once)
{
	begin_pages(4, 1);
	expect(map_pages(7, 1, 2, RW), 0);
	tce2_region_unregister_nofail(region);
	expect(sim.now.pinned, 4);
	expect(unmap_pages(7, 2), TCE2_NOT_BRIEF);
	expect(unmap(window, 7, 2), 0);
	expect(sim.now.pinned, 0);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	finish();
}

/* As the release of the only container that has registered the memory */
static void close_it(void)
{
	tce2_region_unregister_nofail(region);
}

/* A worker unpins memory if its last pages are dropped under a brief lock */
TEST(the_last_pages_of_memory_unregistered_meanwhile_are_unpinned_by_a_worker)
{
	begin_pages(4, 1);
	expect(map_pages(7, 1, 2, RW), 0);
	/* After pages_region() has seen that a container has registered the memory */
	sim_when(SIM_AT_WRITE, 1, close_it);
	expect(unmap_pages(7, 2), 0);
	sim_run_work();
	expect(sim.now.pinned, 0);
	region = registered(proc, UA, PAGES(4));
	replace_region(region, 0);
	finish();
}

static void mix_at_random(u32 levels)
{
	u64 state = 7 + levels, requests = by_effort(3000);

	begin_pages(PAGES_4K(64), levels);
	by_pages = 0;
	for (u64 i = 0; i < requests; i++) {
		u64 index = LEAF - 20 + rnd(&state, 40);
		u64 count = 1 + rnd(&state, 10);
		/* Mostly the page that continues a run */
		u64 page = rnd(&state, 3) ? index - (LEAF - 20) : rnd(&state, 20);

		if (rnd(&state, 2))
			expect(map(window, index, page, count, 1 + rnd(&state, 3)), 0);
		else
			expect(unmap(window, index, count), 0);
		if (!(i % 16))
			expect_agreement();
	}
	expect_agreement();
	expect(by_pages > requests / 20, true);
	finish();
}

TEST(requests_for_pages_and_others_keep_table_view_and_counts)
{
	mix_at_random(1);
	mix_at_random(2);
}

/*
 * Requests of a client, from src/uapi.c on
 */

static long send_map(u64 iova, u64 page, u64 count)
{
	struct vfio_iommu_type1_dma_map request = {
		.argsz = 32,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = UA + IOVA(page),
		.iova = iova,
		.size = IOVA(count),
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_MAP_DMA, user_place(&request, 32));
}

static long send_unmap(u64 iova, u64 count)
{
	struct vfio_iommu_type1_dma_unmap request = {
		.argsz = 24, .iova = iova, .size = IOVA(count),
	};

	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_UNMAP_DMA, user_place(&request, 24));
}

static unsigned int ranges_seen;

static void count_ranges(void)
{
	ranges_seen += container->ddw.window[0] && window->ranges.last;
	platform_sync();
}

TEST(the_ioctls_serve_pages_of_one_leaf_without_a_range_and_count_them_once)
{
	u64 maps, unmaps;

	begin_client(1);
	expect(tce2_container_register(container, UA, PAGES(16)), 0);
	expect(send_map(0, 0, 1), 0);
	window = container->ddw.window[0];
	maps = tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP);
	unmaps = tce2_journal_requests(&container->journal, TCE2_REQUEST_UNMAP);
	ranges_seen = 0;
	sim_watch(count_ranges);
	expect(send_map(IOVA(1), 1, 8), 0);
	expect(send_unmap(IOVA(1), 8), 0);
	expect(ranges_seen, 0);
	expect(refcount_read(&container->refs), 2);
	/* Requests that the general path carries out, and a request that it refuses */
	expect(send_map(IOVA(3), 1, 8), 0);
	expect(send_unmap(IOVA(2), 2), 0);
	expect(!!ranges_seen, true);
	expect(send_map(IOVA(20), PAGES_4K(15), PAGES_4K(2)), -EINVAL);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP), maps + 3);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_UNMAP), unmaps + 2);
	sim_watch(platform_sync);
	end_client();
}
