// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/track.c and dirty.c: the dirty pages of a window. The answers are compared
 * with a naive record of the entries to which devices may have written.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/sched.h>

#include "client.h"
#include "kvm_calls.h"
#include "sim_trace.h"
#include "sim_user.h"
#include "tce2_dirty.h"
#include "tce2_page.h"
#include "tce2_track.h"
#include "tce2_uapi.h"
#include "uapi/vfio_spapr_tce2.h"

#define SIZE	PAGES(MEMORY_PAGES)
#define ENTRIES (SIZE >> 12)
#define READ_PERM TCE2_PERM_READ

/* Bits that the answer of the last get() contained */
static u64 bits[32];

static long dirty_ioctl(u32 flags, u64 iova, u64 size, u64 bitmap)
{
	struct vfio_tce2_dirty request = {
		.argsz = sizeof(request), .flags = flags, .iova = iova, .size = size,
		.bitmap = bitmap,
	};

	/* The request comes before the bitmap in user memory */
	memcpy(user.bytes, &request, sizeof(request));
	return tce2_uapi_ioctl(cookie, VFIO_TCE2_DIRTY_PAGES, USER_END - USER_BYTES);
}

#define BITMAP_OFFSET 1024
#define BITMAP	      (USER_END - USER_BYTES + BITMAP_OFFSET)

static long get_at(u64 iova, u64 count, bool clear)
{
	long ret;

	memset(user.bytes + BITMAP_OFFSET, 0x55, sizeof(bits));
	ret = dirty_ioctl(VFIO_TCE2_DIRTY_GET | (clear ? VFIO_TCE2_DIRTY_CLEAR : 0), iova,
			  IOVA(count), BITMAP);
	memcpy(bits, user.bytes + BITMAP_OFFSET, sizeof(bits));
	return ret;
}

static void get(u64 count, bool clear)
{
	expect(get_at(0, count, clear), 0);
}

static bool bit(u64 n)
{
	return bits[n / 64] & BIT_ULL(n % 64);
}

/* Expects exactly the bits from @first to @last of the first @count entries */
static void expect_bits(u64 count, s64 first, s64 last)
{
	for (u64 i = 0; i < count; i++)
		expect(bit(i), (s64)i >= first && (s64)i <= last);
	for (u64 i = count; i < (count + 63) / 64 * 64; i++)
		expect(bit(i), false);
}

static int map_at(u64 entry, u64 count, u64 perm)
{
	return tce2_container_map(container, REQUEST(IOVA(entry), UA, IOVA(count), perm));
}

static int unmap_at(u64 entry, u64 count)
{
	return tce2_container_unmap(container, IOVA(entry), IOVA(count));
}

static long start(void)
{
	return dirty_ioctl(VFIO_TCE2_DIRTY_START, 0, 0, 0);
}

static long stop(void)
{
	return dirty_ioctl(VFIO_TCE2_DIRTY_STOP, 0, 0, 0);
}

FIXTURE(tracked);

/* A container with registered memory, whose default window exists and is not tracked yet */
FIXTURE_SETUP(tracked)
{
	memset(&user, 0, sizeof(user));
	begin_client(1);
	platform.no_flush = true;
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(map_at(0, 1, RW), 0);
	expect(unmap_at(0, 1), 0);
}

FIXTURE_TEARDOWN(tracked)
{
	end_client();
}

TEST_F(tracked, writable_pages_are_dirty_while_they_are_mapped)
{
	expect(map_at(2, 3, RW), 0);
	expect(map_at(10, 2, READ_PERM), 0);
	expect(start(), 0);
	for (int i = 0; i < 3; i++) {
		get(100, true);
		expect_bits(100, 2, 4);
	}
	expect(stop(), 0);
}

TEST_F(tracked, an_unmapped_page_is_dirty_until_it_is_cleared)
{
	expect(map_at(2, 3, RW), 0);
	expect(map_at(10, 2, READ_PERM), 0);
	expect(start(), 0);
	expect(unmap_at(0, 20), 0);
	get(100, false);
	expect_bits(100, 2, 4);
	get(100, true);
	expect_bits(100, 2, 4);
	get(100, true);
	expect_bits(100, -1, -1);
	expect(stop(), 0);
}

TEST_F(tracked, a_replaced_page_is_dirty_until_it_is_cleared)
{
	expect(start(), 0);
	expect(map_at(LEAF - 1, 3, RW), 0);
	expect(map_at(LEAF, 1, READ_PERM), 0);
	get(2 * LEAF, true);
	expect_bits(2 * LEAF, LEAF - 1, LEAF + 1);
	expect(unmap_at(LEAF - 1, 3), 0);
	get(2 * LEAF, true);
	expect(bit(LEAF - 1), true);
	expect(bit(LEAF), false);
	expect(bit(LEAF + 1), true);
	expect(stop(), 0);
}

TEST_F(tracked, only_the_bits_of_the_range_are_returned_and_cleared)
{
	expect(start(), 0);
	expect(map_at(0, 64, RW), 0);
	expect(unmap_at(0, 64), 0);
	expect(get_at(IOVA(10), 20, true), 0);
	expect_bits(20, 0, 19);
	get(100, false);
	for (u64 i = 0; i < 100; i++)
		expect(bit(i), i < 10 || (i >= 30 && i < 64));
	/* Only the elements with a bit of the range are written */
	expect(get_at(0, 64, false), 0);
	expect(bits[1], 0x5555555555555555);
	expect(stop(), 0);
}

TEST_F(tracked, pages_unmapped_before_start_are_clean)
{
	expect(map_at(0, 5, RW), 0);
	expect(unmap_at(0, 5), 0);
	expect(start(), 0);
	get(100, false);
	expect_bits(100, -1, -1);
	expect(map_at(0, 5, RW), 0);
	expect(stop(), 0);
	/* A new record is empty */
	expect(unmap_at(0, 5), 0);
	expect(start(), 0);
	get(100, false);
	expect_bits(100, -1, -1);
	expect(stop(), 0);
}

static bool served_brief(void)
{
	struct tce2_container *got;
	int ret = tce2_container_map_page(cookie, IOVA(1), UA, IOVA(1), RW, &got);

	if (ret == TCE2_NOT_BRIEF)
		tce2_container_put(got);
	return !ret;
}

/* Brief requests take the path that marks pages */
TEST_F(tracked, unmap_of_one_page_marks_it_dirty)
{
	expect(map_at(1, 1, RW), 0);
	expect(served_brief(), true);
	expect(start(), 0);
	expect(served_brief(), false);
	expect(map_at(0, 1, RW), 0);
	expect(unmap_at(0, 1), 0);
	get(100, true);
	expect_bits(100, 0, 1);
	expect(stop(), 0);
	expect(served_brief(), true);
}

TEST_F(tracked, start_stop_and_get_refuse_the_wrong_state)
{
	expect(get_at(0, 1, false), -EINVAL);
	expect(stop(), -EINVAL);
	expect(start(), 0);
	expect(start(), -EBUSY);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_START, NOWHERE, 0, 0), -EINVAL);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_STOP, IOVA(1), 0, 0), -EINVAL);
	expect(get_at(NOWHERE, 1, false), -ENXIO);
	expect(get_at(0, 0, false), -EINVAL);
	expect(get_at(2048, 1, false), -EINVAL);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_GET, 0, 2048, BITMAP), -EINVAL);
	expect(get_at(GIB(1) - IOVA(1), 2, false), -EINVAL);
	expect(stop(), 0);
	expect(stop(), -EINVAL);
}

TEST_F(tracked, bad_flags_and_arguments_are_refused)
{
	static const u32 bad[] = { 0, 3, 5, 6, 8, 9, 10, 16, 20 };

	expect(tce2_uapi_ioctl(cookie, VFIO_CHECK_EXTENSION, VFIO_TCE2_DIRTY), 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect(dirty_ioctl(bad[i], 0, 0, 0), -EINVAL);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_START, 0, IOVA(1), 0), -EINVAL);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_START, 0, 0, BITMAP), -EINVAL);
	expect(start(), 0);
	be_another_process();
	expect(start(), -EPERM);
	expect(stop(), -EPERM);
	expect(get_at(0, 1, true), -EPERM);
	be_first_process();
	expect(stop(), 0);
}

TEST_F(tracked, a_range_of_too_many_pages_is_refused)
{
	struct tce2_window_spec spec = { GIB(4), 12, 1 };
	struct tce2_creation creation;

	expect(tce2_container_create_window(container, &spec, &creation), 0);
	expect(tce2_container_publish_window(container, &creation), 0);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_START, NOWHERE, 0, 0), 0);
	expect(get_at(NOWHERE, (1 << 18) + 1, false), -EINVAL);
	/* The bitmap of the largest range does not fit into the memory of the test */
	expect(get_at(NOWHERE, 1 << 18, false), -EFAULT);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_STOP, NOWHERE, 0, 0), 0);
}

TEST_F(tracked, get_that_returns_efault_keeps_all_dirty_pages)
{
	expect(start(), 0);
	expect(map_at(2, 3, RW), 0);
	expect(unmap_at(2, 3), 0);
	user.readonly = true;
	expect(get_at(0, 100, true), -EFAULT);
	expect(dirty_ioctl(VFIO_TCE2_DIRTY_GET | VFIO_TCE2_DIRTY_CLEAR, 0, IOVA(100),
			   1ULL << 63), -EFAULT);
	user.readonly = false;
	get(100, true);
	expect_bits(100, 2, 4);
	expect(stop(), 0);
}

static void unmap_meanwhile(void)
{
	expect(map_at(7, 1, RW), 0);
	expect(unmap_at(7, 1), 0);
}

/* Pages that are unmapped while the answer is written are not forgotten either */
TEST_F(tracked, pages_that_become_dirty_meanwhile_are_in_the_next_answer)
{
	expect(start(), 0);
	user.other_at = user.copies + 2;
	user.other = unmap_meanwhile;
	get(100, true);
	expect_bits(100, -1, -1);
	get(100, true);
	expect_bits(100, 7, 7);
	expect(stop(), 0);
}

static void restart(void)
{
	expect(stop(), 0);
	expect(start(), 0);
}

TEST_F(tracked, a_failed_answer_is_not_restored_into_a_new_record)
{
	expect(start(), 0);
	expect(map_at(2, 3, RW), 0);
	expect(unmap_at(2, 3), 0);
	user.other_at = user.copies + 2;
	user.other = restart;
	user.readonly = true;
	expect(get_at(0, 100, true), -EFAULT);
	user.readonly = false;
	get(100, true);
	expect_bits(100, -1, -1);
	expect(stop(), 0);
}

TEST_F(tracked, a_window_that_is_removed_frees_its_record)
{
	expect(start(), 0);
	expect(map_at(0, 3, RW), 0);
	expect(tce2_container_remove_window(container, 0), 0);
	expect(get_at(0, 1, false), -ENXIO);
	expect(stop(), -EINVAL);
}

TEST_F(tracked, closing_the_container_frees_the_record)
{
	expect(map_at(0, 3, RW), 0);
	expect(start(), 0);
	close_container();
}

static long got_ret, stop_ret;

static void ask_and_stop(void)
{
	got_ret = get_at(0, 1, true);
	stop_ret = stop();
}

/* Until START returns, some leaves may have no bitmap, and their pages would be missing */
TEST_F(tracked, a_window_is_not_tracked_until_start_is_complete)
{
	expect(map_at(0, ENTRIES, RW), 0);
	got_ret = 0;
	stop_ret = 0;
	sim_when(SIM_AT_RESCHED, 1, ask_and_stop);
	expect(start(), 0);
	expect(got_ret, -EINVAL);
	expect(stop_ret, -EINVAL);
	expect(stop(), 0);
}

/* Each allocation fails in turn, and then the window is as before */
TEST_F(tracked, start_without_memory_changes_nothing)
{
	struct sim_counts before;
	unsigned int nth;

	expect(map_at(0, ENTRIES, RW), 0);
	expect(map_at(LEAF * 40, 1, RW), 0);
	before = sim.now;
	for (nth = 1; ; nth++) {
		sim_fail(SIM_ALLOC, nth);
		if (!start())
			break;
		expect(sim.fired, true);
		sim_fail_nothing();
		expect_counts(before);
		expect(stop(), -EINVAL);
		expect(tce2_container_unmap(container, IOVA(LEAF * 40), IOVA(1)), 0);
		expect(map_at(LEAF * 40, 1, RW), 0);
	}
	sim_fail_nothing();
	expect(nth > 4, true);
	expect(stop(), 0);
	expect_counts(before);
}

/* A map request that gets no memory for its bitmap changes nothing */
TEST_F(tracked, a_map_request_without_memory_for_the_record_changes_nothing)
{
	unsigned int nth;

	expect(start(), 0);
	for (nth = 1; ; nth++) {
		sim_fail(SIM_ALLOC, nth);
		if (!map_at(LEAF * 40 + 3, 1, RW))
			break;
		expect(sim.fired, true);
		sim_fail_nothing();
		expect(container->cache->users, 1);
		expect(get_at(IOVA(LEAF * 40), 100, false), 0);
		expect_bits(100, -1, -1);
	}
	sim_fail_nothing();
	expect(nth > 2, true);
	expect(get_at(IOVA(LEAF * 40), 100, false), 0);
	expect_bits(100, 3, 3);
	expect(stop(), 0);
}

/* The device may have used the TCEs that an interrupted request has written and restored */
TEST_F(tracked, entries_that_an_interrupted_map_has_written_are_marked_dirty)
{
	bool marked = false;
	unsigned int nth;

	expect(start(), 0);
	for (nth = 1; ; nth++) {
		sim_fail(SIM_SIGNAL, nth);
		if (!map_at(LEAF - 32, 64, RW))
			break;
		sim_fail_nothing();
		expect(platform_tce(container->ddw.window[0]->table.tbl, LEAF - 32), 0);
		get(LEAF + 64, true);
		marked |= bit(LEAF - 32);
		expect(bit(LEAF - 33) || bit(LEAF + 32), false);
	}
	sim_fail_nothing();
	expect(marked, true);
	expect(stop(), 0);
}

static int copy_at(u64 to, u64 from, u64 count)
{
	return tce2_errno(tce2_container_copy(container, IOVA(to), IOVA(from), IOVA(count)));
}

/* A copy maps in leaves that were never mapped, and replaces entries */
TEST_F(tracked, pages_that_a_copy_maps_are_marked_dirty)
{
	expect(map_at(0, 4, RW), 0);
	expect(map_at(20, 2, READ_PERM), 0);
	expect(map_at(100, 2, RW), 0);
	expect(start(), 0);
	expect(copy_at(LEAF * 40 + 3, 0, 4), 0);
	expect(copy_at(100, 20, 2), 0);
	expect(unmap_at(LEAF * 40 + 3, 4), 0);
	expect(get_at(IOVA(LEAF * 40), 100, true), 0);
	expect_bits(100, 3, 6);
	expect(get_at(IOVA(90), 100, true), 0);
	expect_bits(100, 10, 11);
	expect(get_at(IOVA(90), 100, true), 0);
	expect_bits(100, -1, -1);
	expect(stop(), 0);
}

/* Maps entries whose memory is not adjacent, so that a copy has a run for each of them */
static void map_apart(u64 first, u64 count)
{
	for (u64 i = 0; i < count; i++)
		expect(tce2_container_map(container,
					  REQUEST(IOVA(first + i), UA + IOVA(count - i),
						  IOVA(1), i % 2 ? RW : READ_PERM)), 0);
}

TEST_F(tracked, entries_that_an_interrupted_copy_has_written_are_marked_dirty)
{
	bool marked = false;
	unsigned int nth;

	map_apart(LEAF * 2, 32);
	expect(start(), 0);
	for (nth = 1; ; nth++) {
		sim_fail(SIM_SIGNAL, nth);
		if (!copy_at(LEAF - 16, LEAF * 2, 32))
			break;
		sim_fail_nothing();
		expect(platform_tce(container->ddw.window[0]->table.tbl, LEAF - 15), 0);
		get(LEAF + 64, true);
		marked |= bit(LEAF - 15);
		/* Copied for reading only, or not in the range */
		expect(bit(LEAF - 16) || bit(LEAF - 17) || bit(LEAF + 16), false);
	}
	sim_fail_nothing();
	expect(marked, true);
	expect(stop(), 0);
}

TEST_F(tracked, a_copy_without_memory_for_the_record_changes_nothing)
{
	unsigned int nth;

	expect(map_at(0, 4, RW), 0);
	expect(start(), 0);
	for (nth = 1; ; nth++) {
		sim_fail(SIM_ALLOC, nth);
		if (!copy_at(LEAF * 40, 0, 4))
			break;
		expect(sim.fired, true);
		sim_fail_nothing();
		expect(get_at(IOVA(LEAF * 40), 100, false), 0);
		expect_bits(100, -1, -1);
	}
	sim_fail_nothing();
	expect(nth > 3, true);
	expect(stop(), 0);
}

TEST_F(tracked, unmap_of_a_whole_window_marks_its_pages_dirty)
{
	expect(map_at(2, 3, RW), 0);
	expect(map_at(LEAF + 7, 1, READ_PERM), 0);
	expect(start(), 0);
	expect(tce2_container_unmap_window(container, 0), 0);
	get(LEAF + 100, true);
	expect_bits(LEAF + 100, 2, 4);
	expect(stop(), 0);
}

/* No request has used the default window yet */
TEST_F(client, start_makes_the_pending_default_window)
{
	memset(&user, 0, sizeof(user));
	expect(get_at(0, 1, false), -EINVAL);
	expect(stop(), -EINVAL);
	platform_fail(PLATFORM_CREATE, 1, 1);
	expect(start(), -EIO);
	platform_fail_nothing();
	expect(container->ddw.default_pending, true);
	expect(start(), 0);
	expect(container->ddw.default_pending, false);
	be_another_process();
	expect(stop(), -EPERM);
	be_first_process();
	expect(tce2_container_register(container, UA, SIZE), 0);
	expect(map_at(3, 2, RW), 0);
	expect(unmap_at(3, 2), 0);
	get(100, true);
	expect_bits(100, 3, 4);
	expect(stop(), 0);
}

static struct vcpu vcpu;

static struct iommu_table *table(void)
{
	return container->ddw.window[0]->table.tbl;
}

static bool clear_for_guest(u64 entry)
{
	vcpu_call(&vcpu, KVM_STUFF, table(), 0, entry, 1);
	return vcpu_finish(&vcpu);
}

TEST_F(tracked, pages_that_kvm_unmaps_are_marked_dirty)
{
	vcpu_init(&vcpu, sim.mm);
	expect(map_at(0, 4, RW), 0);
	expect(map_at(4, 2, READ_PERM), 0);
	expect(clear_for_guest(3), true);
	expect(start(), 0);
	expect(clear_for_guest(1), true);
	expect(clear_for_guest(4), true);
	get(100, true);
	expect_bits(100, 0, 2);
	get(100, true);
	expect(bit(0), true);
	expect(bit(1), false);
	expect(bit(2), true);
	expect(stop(), 0);
	expect(clear_for_guest(0), true);
}

/* A hook can't allocate a bitmap */
TEST_F(tracked, kvm_maps_nothing_in_leaves_that_were_never_mapped)
{
	struct iommu_table *tbl = table();

	vcpu_init(&vcpu, sim.mm);
	expect(map_at(0, 4, RW), 0);
	expect(clear_for_guest(3), true);
	expect(start(), 0);
	expect(!tbl->it_ops->useraddrptr(tbl, tbl->it_offset + 5 * LEAF, true), true);
	expect(stop(), 0);
}

/* Calls the hook that begins to map an entry; returns true if it declines */
static bool declines_map(u64 entry)
{
	struct iommu_table *tbl = table();

	if (!tbl->it_ops->useraddrptr(tbl, tbl->it_offset + entry, true))
		return true;
	tbl->it_ops->tce_kill(tbl, tbl->it_offset + entry, 1);
	return false;
}

/* Without a bitmap, a page that KVM maps and unmaps in the leaf would be forgotten */
TEST_F(tracked, kvm_maps_nothing_in_a_leaf_without_memory_for_the_record)
{
	unsigned int nth;

	vcpu_init(&vcpu, sim.mm);
	map_apart(0, 4);
	expect(clear_for_guest(3), true);
	expect(start(), 0);
	expect(declines_map(3), false);
	for (nth = 1; ; nth++) {
		sim_fail(SIM_ALLOC, nth);
		if (!copy_at(LEAF * 5, 0, 3))
			break;
		sim_fail_nothing();
		if (!xa_load(&container->ddw.window[0]->dirty->bitmaps, 5))
			expect(declines_map(LEAF * 5), true);
	}
	sim_fail_nothing();
	expect(nth > 3, true);
	expect(declines_map(LEAF * 5 + 3), false);
	expect(stop(), 0);
}

/*
 * Random requests, compared with a naive record
 */
#define RANDOM_ENTRIES 1500ULL

static struct {
	u8 perm[RANDOM_ENTRIES];
	bool dirty[RANDOM_ENTRIES];
} naive;

static u64 seed = 1;

static u64 pick(u64 limit)
{
	return rnd(&seed, limit);
}

static void naive_change(u64 first, u64 count, u64 perm)
{
	for (u64 i = first; i < first + count; i++) {
		if (naive.perm[i] & TCE2_PERM_WRITE)
			naive.dirty[i] = true;
		naive.perm[i] = perm;
	}
}

static void naive_check(u64 first, u64 count, bool clear)
{
	expect(get_at(IOVA(first), count, clear), 0);
	for (u64 i = 0; i < count; i++) {
		expect(bit(i), naive.dirty[first + i] ||
		       naive.perm[first + i] & TCE2_PERM_WRITE);
		if (clear)
			naive.dirty[first + i] = false;
	}
}

TEST_F(tracked, random_requests_agree_with_a_simple_record_of_dirty_pages)
{
	memset(&naive, 0, sizeof(naive));
	expect(start(), 0);
	for (unsigned long i = 0; i < by_effort(2000); i++) {
		u64 first = pick(RANDOM_ENTRIES);
		u64 count = 1 + pick(RANDOM_ENTRIES - first);

		/* User memory has 1024 or 64 IOMMU pages, depending on the page size */
		count = min(count, ENTRIES);
		switch (pick(4)) {
		case 0:
			naive_change(first, count, RW);
			expect(map_at(first, count, RW), 0);
			break;
		case 1:
			naive_change(first, count, READ_PERM);
			expect(map_at(first, count, READ_PERM), 0);
			break;
		case 2:
			naive_change(first, count, 0);
			expect(unmap_at(first, count), 0);
			break;
		default:
			naive_check(first, min(count, 500ULL), pick(2));
		}
	}
	expect(stop(), 0);
}

TEST_F(tracked, each_request_about_dirty_pages_is_traced)
{
	char want[100];

	sim_trace(true);
	expect(start(), 0);
	snprintf(want, sizeof(want), "dirty %llu 0 0 1 0\n", container->id);
	expect(strcmp(sim_events, want), 0);
	sim_trace(false);
	expect(stop(), 0);
}
