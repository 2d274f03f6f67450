// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: TCE hypercalls that KVM handles in the kernel, without a request to
 * the container. The module vfio_spapr_tce2_kvmplay (tests/kvmplay) stands in for KVM.
 *
 * KVM unmaps in the kernel on each machine. KVM maps in the kernel on powernv, if the
 * module has entered the memory in the kernel's list of registered memory, called the
 * kernel's list here. Other hypercalls return H_TOO_HARD: a VMM would then make the request itself.
 *
 * conformance_kvm_stop.c tests calls that stop between two hooks.
 */
#define _GNU_SOURCE
#define TEST_ORDER AFTER_OTHERS
#include "conformance_kvm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_LIST	"REGISTER_MEMORY enters memory in the kernel's list"

#define SIZE		KIB(512)
#define TCES(size)	((size) / TCE_4K)
#define SINK_IOBA	(WINDOW1_START + MIB(768))

/*
 * Unmapping by KVM
 */

TEST_F(guest, kvm_unmaps_entries_that_map_dma_has_mapped)
{
	struct sink sink = sink_at(v, SINK_IOBA);
	uint8_t *ua = mapped(v, GUEST_IOBA, SIZE);

	expect(put_none(&guest, GUEST_IOBA), 0);
	expect(is_mapped(&guest, GUEST_IOBA), false);
	device_cannot_reach(v, 0, GUEST_IOBA, ua, &sink);
	device_reaches(v, 0, GUEST_IOBA + TCE_4K, ua + TCE_4K);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(stuff(&guest, GUEST_IOBA, TCES(SIZE)), 0);
	device_cannot_reach(v, 0, GUEST_IOBA + SIZE - TCE_4K,
			    ua + SIZE - TCE_4K, &sink);
	unregister_ok(v, ua, SIZE);
}

TEST_F(guest, h_stuff_tce_unmaps_each_run_of_its_range)
{
	uint64_t leaf = 512 * TCE_4K;
	uint8_t *ua = registered(v, SIZE);

	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	expect(dma_map(v->fd, GUEST_IOBA + leaf - SIZE / 2, ua, SIZE,
		       READ_ONLY), 0);
	expect(dma_map(v->fd, GUEST_IOBA + 2 * leaf, ua, TCE_4K, WRITE_ONLY),
	       0);
	expect(stuff(&guest, GUEST_IOBA, 2 * 512 + 1), 0);
	expect(is_mapped(&guest, GUEST_IOBA + leaf), false);
	expect(is_mapped(&guest, GUEST_IOBA + 2 * leaf), false);
	unregister_ok(v, ua, SIZE);
}

TEST_F(guest, an_unmap_by_kvm_of_entries_never_mapped_succeeds)
{
	expect(stuff(&guest, WINDOW1_START, TCES(GUEST_SIZE)), 0);
	expect(put_none(&guest, GUEST_IOBA), 0);
	expect(put_none(&guest, WINDOW1_START + GUEST_SIZE - TCE_4K), 0);
}

TEST_F(guest, an_unmap_by_kvm_of_a_few_pages_keeps_the_rest_of_the_run)
{
	struct sink sink = sink_at(v, SINK_IOBA);
	uint8_t *ua = mapped(v, GUEST_IOBA, SIZE);

	expect(stuff(&guest, GUEST_IOBA + SIZE / 2, 2), 0);
	device_cannot_reach(v, 0, GUEST_IOBA + SIZE / 2, ua + SIZE / 2, &sink);
	device_reaches(v, 0, GUEST_IOBA + SIZE / 2 - TCE_4K,
		       ua + SIZE / 2 - TCE_4K);
	device_reaches(v, 0, GUEST_IOBA + SIZE / 2 + 2 * TCE_4K,
		       ua + SIZE / 2 + 2 * TCE_4K);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, GUEST_IOBA, SIZE), 0);
	unregister_ok(v, ua, SIZE);
}

TEST_F(guest, an_address_outside_the_guests_table_returns_h_parameter)
{
	uint8_t *ua = guest_arm(v);
	uint64_t end = WINDOW1_START + GUEST_SIZE;

	expect(put_none(&guest, end), KVMPLAY_PARAMETER);
	expect(put_none(&guest, WINDOW1_START - TCE_4K), KVMPLAY_PARAMETER);
	expect(put(&guest, end, ua, READ_WRITE), KVMPLAY_PARAMETER);
	expect(put_none(&guest, GUEST_IOBA + 1), KVMPLAY_PARAMETER);
}

/*
 * Linux 6.12.95 checks only the first page of a range (iommu_tce_check_ioba()). So a
 * guest's list can continue after the end of the table. Linux 6.12.117 checks each page.
 */
static void expect_end(struct vfio *v, uint64_t size, uint8_t *ua)
{
	uint64_t last = WINDOW1_START + size - TCE_4K;
	const uint64_t list[] = {
		(uintptr_t)ua | READ_WRITE, (uintptr_t)ua | READ_WRITE,
	};
	struct guest g = guest_new(12);
	long ret;

	expect(new_window(v, 12, size, 1), WINDOW1_START);
	guest_attach(&g, 0, WINDOW1_START, size);
	expect(dma_map(v->fd, last, ua, TCE_4K, READ_WRITE), 0);
	ret = indirect(&g, last, list, 2, 0);
	expect_either(ret, TOO_HARD, KVMPLAY_PARAMETER);
	ret = indirect(&g, last, list, 2, KVMPLAY_NO_VALIDATE);
	expect_either(ret, TOO_HARD, KVMPLAY_PARAMETER);
	ret = stuff(&g, last, 512);
	if (ret != TOO_HARD)
		expect_either(ret, 0, KVMPLAY_PARAMETER);
	expect(stuff(&g, last, 1), 0);
	guest_close(&g);
	expect(window_remove(v->fd, WINDOW1_START), 0);
}

TEST(a_list_of_tces_past_the_end_of_the_table_writes_no_entry_there,
     .intree = "the platform writes outside its table", .crashes = true)
{
	uint8_t *ua = registered(v, base_page());

	close(guest_new(12).fd);
	expect_end(v, GUEST_SIZE, ua);
	expect_end(v, KIB(64), ua);
	unregister_ok(v, ua, base_page());
}

/*
 * Mapping by KVM, and the entries of KVM's list that it needs
 */

TEST_F(guest, a_map_by_kvm_before_any_map_ioctl_returns_h_too_hard, .intree = NO_LIST)
{
	uint8_t *ua = registered(v, SIZE);
	struct ledger before = ledger();

	expect(is_shared(&guest, ua, SIZE), false);
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(is_mapped(&guest, GUEST_IOBA), false);
	expect_ledger("nothing mapped", before, 0);
	unregister_ok(v, ua, SIZE);
}

TEST_F(guest, the_first_map_ioctl_enters_all_memory_in_the_kernels_list, .intree = NO_LIST)
{
	uint8_t *a = registered(v, SIZE), *b = registered(v, SIZE), *c;
	int64_t before = vmlck();

	need_kernel_maps();
	c = guest_arm(v);
	expect(is_shared(&guest, a, SIZE), true);
	expect(is_shared(&guest, b, SIZE), true);
	expect(is_shared(&guest, c, base_page()), true);
	/* The pages are pinned twice and charged once */
	expect(vmlck() - before, base_page());
	expect(put(&guest, GUEST_IOBA, a, READ_WRITE), 0);
	expect(put(&guest, GUEST_IOBA + TCE_4K, b + SIZE - TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, a);
	device_reaches(v, 0, GUEST_IOBA + TCE_4K, b + SIZE - TCE_4K);
}

TEST_F(kernel_guest, memory_registered_later_is_entered_in_the_kernels_list_at_once)
{
	struct before before;
	uint8_t *ua;

	before = before_all();
	ua = registered(v, SIZE);
	expect(is_shared(&guest, ua, SIZE), true);
	expect(vmlck() - before.ledger.vmlck, SIZE);
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(put_none(&guest, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
	expect(is_shared(&guest, ua, TCE_4K), false);
	expect(vmlck(), before.ledger.vmlck);
	expect_soon("pages are unpinned", as_before, &before);
}

TEST_F(kernel_guest, memory_that_kvm_has_mapped_cannot_be_unregistered)
{
	uint8_t *ua = registered(v, SIZE);

	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), 0);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(is_shared(&guest, ua, SIZE), true);
	expect(put(&guest, GUEST_IOBA + TCE_4K, ua, READ_WRITE), 0);
	expect(put_none(&guest, GUEST_IOBA), 0);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(put_none(&guest, GUEST_IOBA + TCE_4K), 0);
	unregister_ok(v, ua, SIZE);
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
}

TEST_F(kernel_guest, kvm_and_ioctls_change_the_same_entries, .intree = "defect 18")
{
	uint8_t *a = registered(v, SIZE), *b = registered(v, SIZE);

	expect(put_series(&guest, GUEST_IOBA, a, READ_WRITE, TCES(SIZE)), 0);
	expect(dma_unmap(v->fd, GUEST_IOBA, SIZE), 0);
	expect(is_mapped(&guest, GUEST_IOBA), false);
	unregister_ok(v, a, SIZE);

	expect(spapr_register(v->fd, a, SIZE), 0);
	expect(dma_map(v->fd, GUEST_IOBA, a, SIZE, READ_WRITE), 0);
	expect(put_series(&guest, GUEST_IOBA, b, READ_WRITE, TCES(SIZE)), 0);
	unregister_ok(v, a, SIZE);
	device_reaches(v, 0, GUEST_IOBA, b);

	expect(spapr_register(v->fd, a, SIZE), 0);
	expect(dma_map(v->fd, GUEST_IOBA, a, SIZE, READ_WRITE), 0);
	unregister_ok(v, b, SIZE);
	device_reaches(v, 0, GUEST_IOBA, a);
}

TEST_F(kernel_guest, permissions_of_kvms_tces_are_enforced)
{
	struct sink sink = sink_at(v, SINK_IOBA);
	uint8_t *ua = registered(v, SIZE);

	expect(put(&guest, GUEST_IOBA, ua, READ_ONLY), 0);
	device_reads(v, 0, GUEST_IOBA, ua, &sink);
	device_cannot_write(v, 0, GUEST_IOBA, ua, &sink);
	/* IODA2 lets a device read memory that it may write */
	expect(put(&guest, GUEST_IOBA, ua, WRITE_ONLY), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(put(&guest, GUEST_IOBA, ua, READ_ONLY), 0);
	device_cannot_write(v, 0, GUEST_IOBA, ua, &sink);
}

TEST(memory_that_kvm_mapped_for_writing_is_dirty_after_unregister)
{
	int file = memfd_create("tce2", 0);
	struct guest g = guest_armed(v);
	uint8_t *ua;

	need_kernel_maps();
	if (file < 0 || ftruncate(file, SIZE))
		fail("cannot create a file");
	ua = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (ua == MAP_FAILED)
		fail("cannot map the file");
	expect(spapr_register(v->fd, ua, SIZE), 0);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(put_none(&g, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
	expect(is_dirty(ua), true);
	guest_close(&g);
}

TEST_F(armed_guest, on_pseries_kvm_does_not_map_in_the_kernel)
{
	uint8_t *ua = registered(v, SIZE);
	const uint64_t list[] = { (uintptr_t)ua | READ_WRITE };

	if (!under_hypervisor())
		skip("on powernv KVM maps in the kernel");
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(indirect(&guest, GUEST_IOBA, list, 1, 0), TOO_HARD);
	expect(indirect(&guest, GUEST_IOBA, list, 1, KVMPLAY_NO_VALIDATE),
	       TOO_HARD);
	expect(is_mapped(&guest, GUEST_IOBA), false);
	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
}

/*
 * Memory that is not entered in the kernel's list
 */

TEST_F(armed_guest, read_only_memory_never_enters_the_kernels_list,
       .intree = "registers no read-only memory")
{
	uint8_t *ua = memory(SIZE);

	mprotect(ua + SIZE / 2, SIZE / 2, PROT_READ);
	expect(spapr_register(v->fd, ua, SIZE), 0);
	expect(dma_map(v->fd, GUEST_IOBA + MIB(1), ua, SIZE, READ_ONLY), 0);
	expect(is_shared(&guest, ua, TCE_4K), false);
	expect(put(&guest, GUEST_IOBA, ua, READ_ONLY), TOO_HARD);
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(stuff(&guest, GUEST_IOBA + MIB(1), TCES(SIZE)), 0);
	unregister_ok(v, ua, SIZE);
}

/* Replace part of a region: KVM would map the new pages, so it must not map this region */
static void remapped(struct vfio *v, size_t from, size_t size)
{
	struct guest g = guest_in_window(v, 12, 12);
	uint8_t *ua = registered(v, SIZE);
	int64_t before = vmlck();

	if (mmap(ua + from, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	memset(ua + from, 1, size);
	guest_arm(v);
	expect(vmlck() - before, base_page());
	expect(is_shared(&g, ua, TCE_4K), false);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(put(&g, GUEST_IOBA, ua + from, READ_WRITE), TOO_HARD);
	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	expect(stuff(&g, GUEST_IOBA, TCES(SIZE)), 0);
	unregister_ok(v, ua, SIZE);
	expect(vmlck() - before, base_page() - (int64_t)SIZE);
	guest_close(&g);
}

TEST(memory_replaced_after_register_never_enters_the_kernels_list, .intree = NO_LIST)
{
	remapped(v, 0, SIZE);
}

TEST(a_region_with_one_replaced_page_never_enters_the_kernels_list, .intree = NO_LIST)
{
	remapped(v, SIZE / 2, base_page());
}

TEST_F(guest, memory_made_inaccessible_never_enters_the_kernels_list, .intree = NO_LIST)
{
	uint8_t *ua = registered(v, SIZE);
	int64_t before = vmlck();

	if (mmap(ua + SIZE / 2, SIZE / 2, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	guest_arm(v);
	expect(is_shared(&guest, ua, TCE_4K), false);
	expect(vmlck() - before, base_page());
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	unregister_ok(v, ua, SIZE);
}

TEST_F(guest, entering_memory_in_the_kernels_list_needs_no_room_under_the_limit)
{
	uint8_t *ua = registered(v, SIZE);
	int64_t limit = vmlck() + base_page();

	need_kernel_maps();
	drop_ipc_lock();
	limit_memlock(limit);
	guest_arm(v);
	expect(is_shared(&guest, ua, SIZE), true);
	expect(vmlck(), limit);
	expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), 0);
	expect(put_none(&guest, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
	expect(vmlck(), limit - (int64_t)SIZE);
}

/*
 * The module parameter kvm
 */

static void use_unmap_only(void *arg)
{
	struct vfio *v = arg;
	struct guest g;
	uint8_t *ua;

	open_container(v, 0);
	g = guest_armed(v);
	ua = registered(v, SIZE);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(is_mapped(&g, GUEST_IOBA), false);
	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(stuff(&g, GUEST_IOBA, TCES(SIZE)), 0);
	expect(is_mapped(&g, GUEST_IOBA), false);
	unregister_ok(v, ua, SIZE);
	guest_close(&g);
}

TEST(kvm_unmap_only_leaves_maps_to_ioctls, .setup = BARE, .intree = "has no parameter kvm")
{
	int pid, status;

	close(guest_new(12).fd);
	set_parameter("kvm", "unmap-only");
	pid = start_child(use_unmap_only, v);
	waitpid(pid, &status, 0);
	set_parameter("kvm", "on");
	expect(status, 0);
}

static void change_parameter(void *arg)
{
	struct vfio *v = arg;
	struct guest g;
	uint8_t *ua;

	open_container(v, 0);
	g = guest_armed(v);
	ua = registered(v, SIZE);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	set_parameter("kvm", "unmap-only");
	expect(put(&g, GUEST_IOBA + TCE_4K, ua, READ_WRITE), TOO_HARD);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(put_none(&g, GUEST_IOBA), 0);
	set_parameter("kvm", "on");
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	guest_close(&g);
}

TEST(the_parameter_kvm_may_change_while_a_guest_runs,
     .setup = BARE, .intree = "has no parameter kvm")
{
	int pid, status;

	need_kernel_maps();
	close(guest_new(12).fd);
	pid = start_child(change_parameter, v);
	waitpid(pid, &status, 0);
	set_parameter("kvm", "on");
	expect(status, 0);
}

/*
 * H_PUT_TCE_INDIRECT
 */

static uint64_t *list_of(const uint8_t *ua, unsigned int count)
{
	static uint64_t list[KVMPLAY_LIST];

	for (unsigned int i = 0; i < count; i++)
		list[i] = ((uintptr_t)ua + i * TCE_4K) | READ_WRITE;
	return list;
}

TEST_F(kernel_guest, a_list_of_512_tces_is_mapped_in_the_kernel)
{
	uint8_t *ua = registered(v, MIB(2));
	uint64_t *list = list_of(ua, 512);
	uint64_t last = 511 * TCE_4K;

	/* The list does not begin at the start of a leaf of the view, so it is in two leaves */
	expect(indirect(&guest, GUEST_IOBA + MIB(1), list, 512, 0), 0);
	expect(guest.last.done, 512);
	device_reaches(v, 0, GUEST_IOBA + MIB(1), ua);
	device_reaches(v, 0, GUEST_IOBA + MIB(1) + last, ua + last);
	expect(stuff(&guest, GUEST_IOBA + MIB(1), 512), 0);
	unregister_ok(v, ua, MIB(2));
}

TEST_F(armed_guest, a_list_with_memory_that_is_not_registered_changes_nothing)
{
	uint8_t *ua = registered(v, SIZE), *other = memory(SIZE);
	uint64_t *list = list_of(ua, TCES(SIZE));

	list[TCES(SIZE) - 1] = (uintptr_t)other | READ_WRITE;
	expect(indirect(&guest, GUEST_IOBA, list, TCES(SIZE), 0), TOO_HARD);
	expect(guest.last.steps[KVMPLAY_M1], 0);
	expect(is_mapped(&guest, GUEST_IOBA), false);
	unregister_ok(v, ua, SIZE);
}

/* The memory may be unregistered after KVM has checked it, before KVM maps it */
TEST_F(kernel_guest, a_list_that_fails_in_the_middle_keeps_its_earlier_mappings)
{
	uint8_t *ua = registered(v, SIZE), *other = memory(SIZE);
	uint64_t *list = list_of(ua, 8);

	list[5] = (uintptr_t)other | READ_WRITE;
	expect(indirect(&guest, GUEST_IOBA, list, 8, KVMPLAY_NO_VALIDATE),
	       TOO_HARD);
	expect(guest.last.done, 5);
	expect(is_mapped(&guest, GUEST_IOBA + 4 * TCE_4K), true);
	expect(is_mapped(&guest, GUEST_IOBA + 5 * TCE_4K), false);
	device_reaches(v, 0, GUEST_IOBA + 4 * TCE_4K, ua + 4 * TCE_4K);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(stuff(&guest, GUEST_IOBA, 8), 0);
	unregister_ok(v, ua, SIZE);
}

/* KVM calls the hooks of a map for a TCE without permissions, but does not check its memory */
TEST_F(kernel_guest, a_tce_without_permissions_in_a_list_unmaps, .intree = "KVM leaks a count")
{
	struct sink sink = sink_at(v, SINK_IOBA);
	uint8_t *ua = registered(v, SIZE), *other = memory(SIZE);
	const uint64_t known[] = { (uintptr_t)ua };
	const uint64_t unknown[] = { (uintptr_t)other }, none[] = { 0 };

	expect(put_series(&guest, GUEST_IOBA, ua, READ_WRITE, 3), 0);
	expect(indirect(&guest, GUEST_IOBA, known, 1, 0), 0);
	device_cannot_reach(v, 0, GUEST_IOBA, ua, &sink);
	/* The memory is not registered, so the cleanup unmaps the entry */
	expect(indirect(&guest, GUEST_IOBA + TCE_4K, unknown, 1, 0), TOO_HARD);
	expect(is_mapped(&guest, GUEST_IOBA + TCE_4K), false);
	expect(indirect(&guest, GUEST_IOBA + 2 * TCE_4K, none, 1, 0), TOO_HARD);
	expect(is_mapped(&guest, GUEST_IOBA + 2 * TCE_4K), false);
	/* The entry was never mapped, and its leaf was never used */
	expect(indirect(&guest, GUEST_IOBA + MIB(64), known, 1, 0), 0);
	expect(is_mapped(&guest, GUEST_IOBA + MIB(64)), false);
	unregister_ok(v, ua, SIZE);
}

/*
 * TCEs of several IOMMU pages, and windows of each page size
 */

TEST(a_large_tce_is_mapped_as_several_iommu_pages)
{
	struct guest g = guest_in_window(v, 12, 16);
	uint8_t *ua = memory(SIZE + KIB(64));

	need_kernel_maps();
	guest_arm(v);
	ua = (void *)(((uintptr_t)ua + KIB(64) - 1) & ~(KIB(64) - 1));
	expect(spapr_register(v->fd, ua, SIZE), 0);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	expect(g.last.steps[KVMPLAY_X1], 16);
	device_reaches(v, 0, GUEST_IOBA, ua);
	device_reaches(v, 0, GUEST_IOBA + KIB(60), ua + KIB(60));
	expect(put(&g, GUEST_IOBA, ua + KIB(64), READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA + KIB(60), ua + KIB(64) + KIB(60));
	expect(put_none(&g, GUEST_IOBA), 0);
	expect(g.last.steps[KVMPLAY_X0], 16);
	unregister_ok(v, ua, SIZE);
	guest_close(&g);
}

TEST(a_tce_across_leaves_is_mapped_and_unmapped)
{
	struct guest g = guest_in_window(v, 12, 22);
	uint64_t size = MIB(4), last = size - TCE_4K;
	uint8_t *ua;

	need_kernel_maps();
	guest_arm(v);
	ua = registered(v, size);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	expect(g.last.steps[KVMPLAY_X1], 1024);
	device_reaches(v, 0, GUEST_IOBA, ua);
	device_reaches(v, 0, GUEST_IOBA + MIB(2), ua + MIB(2));
	device_reaches(v, 0, GUEST_IOBA + last, ua + last);
	/* Replace each entry with a read-only entry of the same page */
	expect(put(&g, GUEST_IOBA, ua, READ_ONLY), 0);
	expect(spapr_unregister(v->fd, ua, size), -EBUSY);
	expect(stuff(&g, GUEST_IOBA, 1), 0);
	unregister_ok(v, ua, size);
	guest_close(&g);
}

/* KVM checks only the first IOMMU page */
TEST(a_large_tce_that_fails_in_the_middle_leaves_no_mapping, .intree = "KVM leaks counts")
{
	struct guest g = guest_in_window(v, 12, 22);
	uint8_t *ua = memory(MIB(4)), *old;

	need_kernel_maps();
	guest_arm(v);
	old = registered(v, MIB(4));
	expect(spapr_register(v->fd, ua, MIB(3)), 0);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(g.last.steps[KVMPLAY_X1], TCES(MIB(3)));
	expect(g.last.steps[KVMPLAY_ZAP], TCES(MIB(4)));
	expect(is_mapped(&g, GUEST_IOBA), false);
	unregister_ok(v, ua, MIB(3));

	/* Repeat the failing map at entries that are mapped */
	expect(spapr_register(v->fd, ua, MIB(3)), 0);
	expect(put(&g, GUEST_IOBA, old, READ_WRITE), 0);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(is_mapped(&g, GUEST_IOBA), false);
	expect(is_mapped(&g, GUEST_IOBA + MIB(4) - TCE_4K), false);
	unregister_ok(v, ua, MIB(3));
	unregister_ok(v, old, MIB(4));
	guest_close(&g);
}

/* Let KVM map and unmap one page of the given size */
static void kvm_maps_pages_of(struct vfio *v, unsigned int shift)
{
	uint64_t page = 1ULL << shift, end = page - PROBE;
	struct guest g;
	uint8_t *ua;

	if (!has_page_shift(v, shift))
		skip("the platform offers no IOMMU pages of this size");
	ua = contiguous_memory(page);
	g = guest_in_window(v, shift, shift);
	expect(spapr_register(v->fd, ua, page), 0);
	expect(dma_map(v->fd, WINDOW1_START, ua, page, READ_WRITE), 0);
	expect(put(&g, WINDOW1_START + 4 * page, ua, READ_WRITE), 0);
	device_reaches(v, 0, WINDOW1_START + 4 * page + end, ua + end);
	expect(spapr_unregister(v->fd, ua, page), -EBUSY);
	expect(stuff(&g, WINDOW1_START, 8), 0);
	unregister_ok(v, ua, page);
	guest_close(&g);
}

TEST(kvm_maps_64k_pages)
{
	need_kernel_maps();
	kvm_maps_pages_of(v, 16);
}

TEST(kvm_maps_2m_pages)
{
	need_kernel_maps();
	kvm_maps_pages_of(v, 21);
}

/* KVM warns about memory in its list that has smaller pages than the window */
TEST(memory_too_small_for_the_windows_pages_causes_no_kvm_warning,
     .intree = "KVM warns about the memory")
{
	uint8_t *huge = mem_hugetlb(MIB(2), 1), *small;
	uint64_t list[2];
	struct guest g;

	if (!huge)
		skip("no 2 MiB hugepage is available");
	if (!has_page_shift(v, 21))
		skip("the platform offers no 2 MiB IOMMU pages");
	g = guest_in_window(v, 21, 21);
	small = registered(v, MIB(4));
	expect(spapr_register(v->fd, huge, MIB(2)), 0);
	expect(dma_map(v->fd, WINDOW1_START, huge, MIB(2), READ_WRITE), 0);
	list[0] = (uintptr_t)small;
	list[1] = (uintptr_t)small | READ_WRITE;
	expect(indirect(&g, WINDOW1_START + MIB(2), list, 2, 0), TOO_HARD);
	expect(indirect(&g, WINDOW1_START + MIB(2), list + 1, 1,
			KVMPLAY_NO_VALIDATE), TOO_HARD);
	expect(indirect(&g, WINDOW1_START + MIB(2), list, 1,
			KVMPLAY_NO_VALIDATE), TOO_HARD);
	expect(is_mapped(&g, WINDOW1_START + MIB(2)), false);
	expect(stuff(&g, WINDOW1_START, 8), 0);
	unregister_ok(v, small, MIB(4));
	guest_close(&g);
}

/* A VMM's memory slot may begin at any base page */
TEST(an_address_not_aligned_to_the_windows_pages_maps_nothing_else,
     .intree = "BUG_ON() in pnv_tce_xchg()", .crashes = true)
{
	uint8_t *huge = mem_hugetlb(MIB(2), 2);
	uint64_t p = base_page();
	struct guest g;

	if (!huge)
		skip("no 2 MiB hugepage is available");
	if (!has_page_shift(v, 21))
		skip("the platform offers no 2 MiB IOMMU pages");
	g = guest_in_window(v, 21, 21);
	expect(spapr_register(v->fd, huge, MIB(4)), 0);
	expect(dma_map(v->fd, WINDOW1_START, huge, MIB(2), READ_WRITE), 0);
	/* Map a page that begins in the region, then a page that ends after the region */
	put(&g, WINDOW1_START + MIB(2), huge + p, READ_WRITE);
	expect(tce_at(&g, WINDOW1_START + MIB(2)) & (MIB(2) - 1) & ~READ_WRITE,
	       0);
	put(&g, WINDOW1_START + MIB(4), huge + MIB(2) + p, READ_WRITE);
	expect(is_mapped(&g, WINDOW1_START + MIB(4)), false);
	expect(stuff(&g, WINDOW1_START, 8), 0);
	unregister_ok(v, huge, MIB(4));
	guest_close(&g);
}

/* A new level costs memory, which only an ioctl may charge */
TEST(kvm_makes_no_table_levels, .intree = "KVM makes table levels")
{
	uint64_t size = 1ULL << 36, far = WINDOW1_START + (size / 2);
	struct guest g = guest_new(12);
	uint8_t *ua = registered(v, SIZE);
	int64_t before;

	need_kernel_maps();
	expect(new_window(v, 12, size, 2), WINDOW1_START);
	guest_attach(&g, 0, WINDOW1_START, size);
	expect(dma_map(v->fd, WINDOW1_START, ua, TCE_4K, READ_WRITE), 0);
	before = vmlck();
	expect(put(&g, WINDOW1_START + TCE_4K, ua, READ_WRITE), 0);
	expect(put(&g, far, ua, READ_WRITE), TOO_HARD);
	expect(stuff(&g, far, 512), 0);
	expect(vmlck(), before);
	expect(dma_map(v->fd, far, ua, TCE_4K, READ_WRITE), 0);
	expect(put(&g, far + TCE_4K, ua + TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, far + TCE_4K, ua + TCE_4K);
	expect(put_none(&g, far), 0);
	expect(put_none(&g, far + TCE_4K), 0);
	expect(stuff(&g, WINDOW1_START, 2), 0);
	unregister_ok(v, ua, SIZE);
	guest_close(&g);
}

TEST(the_default_window_is_mapped_by_kvm_as_well, .intree = NO_LIST)
{
	uint64_t size = info_of(v).dma32_window_size;
	struct guest g = guest_new(12);
	uint8_t *ua = mapped(v, IOVA, SIZE);

	need_kernel_maps();
	guest_attach(&g, 0, 0, size);
	expect(put(&g, 0, ua, READ_WRITE), TOO_HARD);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	expect(put(&g, 0, ua, READ_WRITE), 0);
	device_reaches(v, 0, 0, ua);
	expect(put(&g, size - TCE_4K, ua, READ_WRITE), 0);
	expect(stuff(&g, 0, TCES(size)), 0);
	unregister_ok(v, ua, SIZE);
	guest_close(&g);
}

/*
 * Removal of a window while KVM has its table
 */

/* Check a table that no longer belongs to a window: KVM maps nothing, and no entry is mapped */
static void expect_dead(struct guest *g, const uint8_t *ua)
{
	const uint64_t list[] = { (uintptr_t)ua | READ_WRITE, (uintptr_t)ua };

	expect(put(g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(indirect(g, GUEST_IOBA, list, 2, KVMPLAY_NO_VALIDATE), TOO_HARD);
	expect(indirect(g, GUEST_IOBA, list + 1, 1, KVMPLAY_NO_VALIDATE),
	       TOO_HARD);
	expect(put_none(g, GUEST_IOBA), 0);
	expect(stuff(g, WINDOW1_START, 1024), 0);
	if (!under_hypervisor())
		expect(is_mapped(g, GUEST_IOBA), false);
}

TEST(a_removed_window_is_charged_until_kvm_puts_it,
     .intree = "refunds the charge with the window")
{
	struct before before;
	struct guest g;
	int64_t charge;
	uint8_t *ua;

	windows_made(v);
	before = before_all();
	g = guest_in_window(v, 12, 12);
	charge = vmlck() - before.ledger.vmlck;
	ua = mapped(v, GUEST_IOBA, SIZE);
	put(&g, GUEST_IOBA + SIZE, ua, READ_WRITE);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	expect_dead(&g, ua);
	unregister_ok(v, ua, SIZE);
	expect(vmlck() - before.ledger.vmlck, charge);
	/* The group no longer has the table, so KVM's detach does not find and put it */
	guest_detach(&g, 0);
	expect_dead(&g, ua);
	expect(refs_more_than(before) > 0, true);
	close(g.fd);
	expect_soon("the table is freed and refunded", as_before, &before);
}

TEST(a_window_can_be_created_again_while_kvm_has_the_removed_one,
     .intree = "KVM maps in the removed window's table")
{
	int64_t before, charge, both;
	struct guest old, g;
	uint8_t *ua;

	before = windows_made(v);
	old = guest_in_window(v, 12, 12);
	charge = vmlck() - before;
	ua = mapped(v, GUEST_IOBA, SIZE);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	g = guest_in_window(v, 12, 12);
	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	expect_dead(&old, ua);
	device_reaches(v, 0, GUEST_IOBA, ua);
	both = vmlck();
	guest_close(&old);
	expect_locked_soon(both - charge);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(stuff(&g, GUEST_IOBA, TCES(SIZE)), 0);
	unregister_ok(v, ua, SIZE);
	guest_close(&g);
}

TEST(kvm_cannot_map_in_the_table_of_a_closed_container,
     .setup = BARE, .intree = "KVM maps in the removed window's table")
{
	struct before before = before_all();
	struct guest g;
	uint8_t *ua;

	open_container(v, 0);
	g = guest_armed(v);
	ua = mapped(v, GUEST_IOBA, SIZE);
	put(&g, GUEST_IOBA + SIZE, ua, READ_WRITE);
	vfio_close(v);
	expect(refs_more_than(before) > 0, true);
	expect_dead(&g, ua);
	close(g.fd);
	expect_soon("the table is freed and refunded", as_before, &before);
}

TEST(kvm_cannot_map_in_the_table_of_a_detached_group,
     .setup = BARE, .intree = "KVM maps in the removed window's table")
{
	struct before before = before_all();
	struct guest g;
	uint8_t *ua;

	open_container(v, 0);
	g = guest_armed(v);
	ua = mapped(v, GUEST_IOBA, SIZE);
	put(&g, GUEST_IOBA + SIZE, ua, READ_WRITE);
	expect(vfio_detach(v, 0), 0);
	expect_dead(&g, ua);
	guest_close(&g);
	vfio_close(v);
	expect_soon("the table is freed and refunded", as_before, &before);
}

TEST_F(armed_guest, a_table_that_kvm_puts_first_stays_with_the_container)
{
	uint8_t *ua = mapped(v, GUEST_IOBA, SIZE);
	uint32_t refs = table_refs(&guest);

	put(&guest, GUEST_IOBA + SIZE, ua, READ_WRITE);
	guest_detach(&guest, 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	guest_attach(&guest, 0, WINDOW1_START, GUEST_SIZE);
	expect_either(table_refs(&guest), refs, refs + 1);
	expect(stuff(&guest, GUEST_IOBA, 2 * TCES(SIZE)), 0);
	unregister_ok(v, ua, SIZE);
}

#define KEPT	3	/* windows that fit under the limit */

TEST(tables_that_kvm_keeps_count_towards_the_memlock_limit,
     .intree = "refunds the charge with the window")
{
	struct guest g[KEPT + 1];
	int64_t before, charge;
	int ret = 0, kept = 0;

	close(guest_new(12).fd);
	before = windows_made(v);
	new_window(v, 12, GUEST_SIZE, 1);
	charge = vmlck() - before;
	expect(window_remove(v->fd, WINDOW1_START), 0);
	if (charge < (int64_t)base_page())
		skip("a window of this size is not charged");
	drop_ipc_lock();
	limit_memlock(before + KEPT * charge + charge / 2);
	while (kept <= KEPT) {
		ret = window_create(v->fd, 12, GUEST_SIZE, 1, NULL);
		if (ret)
			break;
		g[kept] = guest_new(12);
		guest_attach(&g[kept++], 0, WINDOW1_START, GUEST_SIZE);
		expect(window_remove(v->fd, WINDOW1_START), 0);
	}
	expect(ret, -ENOMEM);
	expect(kept, KEPT);
	for (int i = 0; i < KEPT; i++)
		guest_close(&g[i]);
	expect_locked_soon(before);
	new_window(v, 12, GUEST_SIZE, 1);
}

/*
 * KVM gets a reference for each group, but does not put it if the guest has the table
 * already (kvm_spapr_tce_attach_iommu_group())
 */
TEST(a_table_that_kvm_leaks_stays_charged_until_the_guest_closes,
     .setup = TWO_GROUPS, .intree = "refunds the charge with the window")
{
	struct before before;
	struct guest g;
	uint8_t *ua;

	windows_made(v);
	before = before_all();
	g = guest_in_window(v, 12, 12);
	ua = mapped(v, GUEST_IOBA, SIZE);
	guest_attach(&g, 1, WINDOW1_START, GUEST_SIZE);
	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	expect(stuff(&g, GUEST_IOBA, TCES(SIZE)), 0);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	device_reaches(v, 1, GUEST_IOBA, ua);
	expect(put_none(&g, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
	guest_detach(&g, 0);
	guest_detach(&g, 1);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	/* KVM would leak this reference; vfio_spapr_tce2_kvmplay puts it on close */
	expect(refs_more_than(before) > 0, true);
	expect(vmlck() > before.ledger.vmlck, true);
	guest_close(&g);
	expect_soon("the table is freed and refunded", as_before, &before);
}

TEST(two_groups_with_separate_windows_get_each_tce, .setup = BARE)
{
	struct guest g = guest_new(12);
	struct vfio b;
	uint8_t *ua;

	need_two_devices();
	need_kernel_maps();
	open_container(v, 0);
	open_container(&b, 1);
	new_window(v, 12, GUEST_SIZE, 1);
	new_window(&b, 12, GUEST_SIZE, 1);
	guest_attach(&g, 0, WINDOW1_START, GUEST_SIZE);
	guest_attach(&g, 1, WINDOW1_START, GUEST_SIZE);
	ua = mapped(v, ARM_IOBA, SIZE);
	expect(spapr_register(b.fd, ua, SIZE), 0);
	expect(dma_map(b.fd, ARM_IOBA, ua, SIZE, READ_WRITE), 0);
	expect(put(&g, GUEST_IOBA, ua, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	device_reaches(&b, 1, GUEST_IOBA, ua);
	expect(stuff(&g, GUEST_IOBA, 1), 0);
	expect(stuff(&g, ARM_IOBA, TCES(SIZE)), 0);
	unregister_ok(v, ua, SIZE);
	unregister_ok(&b, ua, SIZE);
	guest_close(&g);
	vfio_close(&b);
}

/*
 * A window of another container still maps memory of a closed container. The last page is
 * unmapped in a hook that must not sleep, and the memory is released soon after.
 */
static void the_last_page_goes(struct vfio *a, bool replaced)
{
	struct guest g = guest_new(12);
	struct before before;
	struct vfio b;
	uint8_t *ua, *own;

	need_two_devices();
	open_container(&b, 1);
	new_window(&b, 12, GUEST_SIZE, 1);
	guest_attach(&g, 1, WINDOW1_START, GUEST_SIZE);
	own = mapped(&b, ARM_IOBA, base_page());
	before = before_all();
	open_container(a, 0);
	ua = registered(a, SIZE);
	expect(dma_map(b.fd, GUEST_IOBA, ua, 2 * TCE_4K, READ_WRITE), 0);
	vfio_close(a);
	device_reaches(&b, 1, GUEST_IOBA, ua);
	expect(put_none(&g, GUEST_IOBA), 0);
	device_reaches(&b, 1, GUEST_IOBA + TCE_4K, ua + TCE_4K);
	if (replaced)
		expect(put(&g, GUEST_IOBA + TCE_4K, own, READ_WRITE), 0);
	else
		expect(put_none(&g, GUEST_IOBA + TCE_4K), 0);
	expect_soon("the memory is unpinned and refunded", as_before, &before);
	guest_close(&g);
	vfio_close(&b);
}

TEST(kvm_may_unmap_the_last_page_of_a_closed_container,
     .setup = BARE, .intree = "defect 3")
{
	the_last_page_goes(v, false);
}

TEST(kvm_may_replace_the_last_page_of_a_closed_container,
     .setup = BARE, .intree = "defect 3")
{
	need_kernel_maps();
	the_last_page_goes(v, true);
}

/*
 * Other processes, and the exit of the process
 */

struct inherited {
	struct guest *g;
	uint8_t *ua;
};

/* Check that hypercalls of a process that does not own the container change no entry */
static void expect_nothing_changes(struct guest *g, const uint8_t *ua)
{
	const uint64_t list[] = { (uintptr_t)ua | READ_WRITE };

	expect(put(g, GUEST_IOBA + SIZE, ua, READ_WRITE), TOO_HARD);
	expect(indirect(g, GUEST_IOBA + SIZE, list, 1, KVMPLAY_NO_VALIDATE),
	       TOO_HARD);
	expect(put(g, GUEST_IOBA, ua, READ_WRITE), TOO_HARD);
	expect(indirect(g, GUEST_IOBA, list, 1, KVMPLAY_NO_VALIDATE), TOO_HARD);
	expect(put_none(g, GUEST_IOBA), TOO_HARD);
	expect(stuff(g, GUEST_IOBA, 1), TOO_HARD);
	expect(is_mapped(g, GUEST_IOBA), true);
	expect(is_mapped(g, GUEST_IOBA + SIZE), false);
	expect(stuff(g, GUEST_IOBA + MIB(64), 512), 0);
}

static void call_as_another_process(void *arg)
{
	struct inherited *inherited = arg;
	struct guest own = guest_new(12);

	expect_nothing_changes(inherited->g, inherited->ua);
	guest_attach(&own, 0, WINDOW1_START, GUEST_SIZE);
	expect_nothing_changes(&own, inherited->ua);
	guest_close(&own);
}

/* The view stores the leaf as one run at first, then as an array */
TEST_F(armed_guest, a_hypercall_of_another_process_changes_no_entry,
       .intree = "relies on KVM to check the process")
{
	uint8_t *ua = mapped(v, GUEST_IOBA, SIZE);
	struct inherited inherited = { .g = &guest, .ua = ua };

	in_child(call_as_another_process, &inherited);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(dma_map(v->fd, GUEST_IOBA, ua + TCE_4K, TCE_4K, READ_WRITE), 0);
	in_child(call_as_another_process, &inherited);
	device_reaches(v, 0, GUEST_IOBA, ua + TCE_4K);
	expect(stuff(&guest, GUEST_IOBA, TCES(SIZE)), 0);
	unregister_ok(v, ua, SIZE);
}

/* At exit the kernel closes descriptors in ascending order: KVM's before or after VFIO's */
static void exit_in_use(struct vfio *v, bool kvm_first)
{
	struct guest g = {};
	uint8_t *ua;

	if (kvm_first) {
		g = guest_new(12);
		open_container(v, 0);
		new_window(v, 12, GUEST_SIZE, 1);
		guest_attach(&g, 0, WINDOW1_START, GUEST_SIZE);
	} else {
		open_container(v, 0);
		g = guest_in_window(v, 12, 12);
	}
	guest_arm(v);
	ua = mapped(v, GUEST_IOBA, SIZE);
	put_series(&g, GUEST_IOBA + SIZE, ua, READ_WRITE, TCES(SIZE));
}

static void exit_kvm_first(void *v)
{
	exit_in_use(v, true);
}

static void exit_kvm_last(void *v)
{
	exit_in_use(v, false);
}

TEST(exit_with_kvm_attached_releases_all_resources, .setup = BARE)
{
	struct found before = found();

	close(guest_new(12).fd);
	in_child(exit_kvm_first, v);
	expect_soon("pages unpinned, backend unused", as_found, &before);
	in_child(exit_kvm_last, v);
	expect_soon("pages unpinned, backend unused", as_found, &before);
}

/* Keep VFIO's and KVM's descriptors open until the pipe is closed */
static void hold_descriptors(void *arg)
{
	int *pipe = arg;
	char byte;

	close(pipe[1]);
	if (read(pipe[0], &byte, 1) < 0)
		fail("read");
}

struct held {
	struct vfio *v;
	int pipe[2];
};

static void use_and_leave_a_holder(void *arg)
{
	struct held *held = arg;

	exit_in_use(held->v, true);
	start_child(hold_descriptors, held->pipe);
}

TEST(a_table_that_kvm_has_may_outlive_the_process, .setup = BARE)
{
	struct found before = found();
	struct held held = { .v = v };

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	close(guest_new(12).fd);
	if (pipe(held.pipe))
		fail("pipe");
	in_child(use_and_leave_a_holder, &held);
	close(held.pipe[0]);
	close(held.pipe[1]);
	expect_child_ok(-1);
	expect_soon("pages unpinned, backend unused", as_found, &before);
}

/*
 * A container of the in-tree driver in the same process
 */

static void open_in_tree(struct vfio *b)
{
	int ret;

	need_two_devices();
	if (module_refs("vfio_iommu_spapr_tce") < 0)
		skip("vfio_iommu_spapr_tce is not loaded");
	set_parameter("enabled", "0");
	vfio_init(b);
	ret = vfio_open(b);
	ret = ret ?: vfio_attach(b, 1);
	ret = ret ?: vfio_set_iommu(b, VFIO_SPAPR_TCE_v2_IOMMU);
	set_parameter("enabled", "1");
	expect(ret, 0);
}

/* The kernel's list has one entry for the regions of both containers */
static void both_map(struct vfio *a, struct vfio *b, struct guest *g,
		     uint8_t *ua)
{
	expect(dma_map(b->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	if (!under_hypervisor()) {
		expect(put(g, GUEST_IOBA, ua, READ_WRITE), 0);
		device_reaches(a, 0, GUEST_IOBA, ua);
	}
	device_reaches(b, 1, IOVA, ua);
	expect(put_none(g, GUEST_IOBA), 0);
	expect(dma_unmap(b->fd, IOVA, SIZE), 0);
}

TEST(an_in_tree_container_may_register_the_memory_first, .intree = "has no parameter enabled")
{
	struct guest g = guest_in_window(v, 12, 12);
	uint8_t *ua = memory(SIZE);
	struct vfio b;

	open_in_tree(&b);
	expect(spapr_register(b.fd, ua, SIZE), 0);
	expect(spapr_register(v->fd, ua, SIZE), 0);
	guest_arm(v);
	both_map(v, &b, &g, ua);
	unregister_ok(v, ua, SIZE);
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), 0);
	device_reaches(&b, 1, IOVA, ua);
	expect(dma_unmap(b.fd, IOVA, SIZE), 0);
	unregister_ok(&b, ua, SIZE);
	guest_close(&g);
	vfio_close(&b);
}

TEST_F(armed_guest, an_in_tree_container_may_register_the_memory_later,
       .intree = "has no parameter enabled")
{
	uint8_t *ua = registered(v, SIZE);
	struct vfio b;

	open_in_tree(&b);
	expect(spapr_register(b.fd, ua, SIZE), 0);
	both_map(v, &b, &guest, ua);
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), 0);
	unregister_ok(v, ua, SIZE);
	device_reaches(&b, 1, IOVA, ua);
	vfio_close(&b);
}

/* KVM finds the memory in its list, but this container has not registered it */
TEST_F(armed_guest, memory_that_only_the_in_tree_driver_registered_keeps_its_counts,
       .intree = "has no parameter enabled")
{
	struct sink sink = sink_at(v, SINK_IOBA);
	uint8_t *ua = memory(SIZE);
	struct vfio b;

	open_in_tree(&b);
	for (int i = 0; i < 3; i++) {
		expect(spapr_register(b.fd, ua, SIZE), 0);
		put(&guest, GUEST_IOBA, ua, READ_WRITE);
		device_cannot_reach(v, 0, GUEST_IOBA, ua, &sink);
		expect(spapr_unregister(b.fd, ua, SIZE), 0);
	}
	expect(put_none(&guest, GUEST_IOBA), 0);
	vfio_close(&b);
}

/* The two regions overlap, but have different bounds, so the kernel's list can't have both */
TEST_F(guest, memory_that_overlaps_in_tree_regions_keeps_its_counts,
       .intree = "has no parameter enabled")
{
	uint8_t *ua = memory(SIZE);
	struct vfio b;
	long ret;

	open_in_tree(&b);
	expect(spapr_register(b.fd, ua, SIZE / 2), 0);
	expect(spapr_register(v->fd, ua, SIZE), 0);
	guest_arm(v);
	expect(put(&guest, GUEST_IOBA + TCE_4K, ua + SIZE / 2, READ_WRITE),
	       TOO_HARD);
	ret = put(&guest, GUEST_IOBA, ua, READ_WRITE);
	expect_either(ret, 0, TOO_HARD);
	if (!ret)
		device_reaches(v, 0, GUEST_IOBA, ua);
	expect(spapr_unregister(v->fd, ua, SIZE), ret ? 0 : -EBUSY);
	unregister_ok(&b, ua, SIZE / 2);
	expect(put_none(&guest, GUEST_IOBA), 0);
	if (!ret)
		unregister_ok(v, ua, SIZE);
	vfio_close(&b);
}

/*
 * The tripwire: hooks in an order that KVM does not use disable mapping in the window
 */

#define M1(page)	{ .step = KVMPLAY_M1, .ioba = GUEST_IOBA + (page) * TCE_4K }
#define X1(page, ua)							\
	{ .step = KVMPLAY_X1, .ioba = GUEST_IOBA + (page) * TCE_4K,	\
	  .tce = (uintptr_t)(ua) | READ_WRITE }
#define STORE(ua)	{ .step = KVMPLAY_STORE, .tce = (uintptr_t)(ua) }
#define X0(page)	{ .step = KVMPLAY_X0, .ioba = GUEST_IOBA + (page) * TCE_4K }
#define K(page)								\
	{ .step = KVMPLAY_K, .ioba = GUEST_IOBA + (page) * TCE_4K, .pages = 1 }

static struct kvmplay_raw raw(struct guest *g,
			      const struct kvmplay_raw_step *step, int count)
{
	struct kvmplay_raw raw = { .count = count };

	memcpy(raw.step, step, count * sizeof(*step));
	expect(call(g->fd, KVMPLAY_RAW, &raw), 0);
	return raw;
}

/* Check that KVM can't map in this window any more, but can unmap */
static void expect_tripped(struct vfio *v, struct guest *g, uint8_t *ua)
{
	expect(put(g, GUEST_IOBA + MIB(4), ua, READ_WRITE), TOO_HARD);
	expect(dma_map(v->fd, GUEST_IOBA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 0, GUEST_IOBA, ua);
	expect(stuff(g, GUEST_IOBA, TCES(SIZE)), 0);
	expect(is_mapped(g, GUEST_IOBA), false);
}

/* Play an order of hooks in a new window, and check that it triggers the tripwire */
static void trips(struct vfio *v, const struct kvmplay_raw_step *step,
		  int count, uint8_t *ua)
{
	int log = follow_log();
	struct guest g = guest_armed(v);
	struct kvmplay_raw done;

	expect(put(&g, GUEST_IOBA + MIB(4), ua, READ_WRITE), 0);
	expect(put_none(&g, GUEST_IOBA + MIB(4)), 0);
	done = raw(&g, step, count);
	expect(done.odds[KVMPLAY_UNBALANCED], 0);
	expect(done.odds[KVMPLAY_SLEPT], 0);
	expect_tripped(v, &g, ua);
	raw(&g, step, count);
	expect_tripped(v, &g, ua);
	expect(tripped(log), 1);
	close(log);
	unregister_ok(v, ua, SIZE);
	expect(spapr_register(v->fd, ua, SIZE), 0);
	guest_close(&g);
	expect(window_remove(v->fd, WINDOW1_START), 0);
}

TEST(hooks_in_an_unexpected_order_end_kvms_maps_in_that_window,
     .intree = "accepts hooks in each order")
{
	uint8_t *ua = registered(v, SIZE);
	const struct kvmplay_raw_step skipped[] = { M1(0), M1(1), K(1) };
	const struct kvmplay_raw_step elsewhere[] = { M1(0), X1(1, ua), K(0) };
	const struct kvmplay_raw_step apart[] = {
		M1(0), X1(0, ua), STORE(ua), M1(9), K(0),
	};

	need_kernel_maps();
	close(guest_new(12).fd);
	trips(v, skipped, ARRAY_SIZE(skipped), ua);
	trips(v, elsewhere, ARRAY_SIZE(elsewhere), ua);
	trips(v, apart, ARRAY_SIZE(apart), ua);
}

/* KVM may end a map before its last hooks, and may call the hooks X0 and K without a map */
TEST_F(armed_guest, calls_that_kvm_may_omit_do_not_trigger_the_tripwire)
{
	uint8_t *ua = registered(v, SIZE);
	const struct kvmplay_raw_step early[] = { M1(0), K(0), X0(0), K(0) };
	const struct kvmplay_raw_step alone[] = { K(0), X0(1), X0(2), K(1) };
	int log = follow_log();

	expect_no_odds(raw(&guest, early, ARRAY_SIZE(early)).odds);
	expect_no_odds(raw(&guest, alone, ARRAY_SIZE(alone)).odds);
	expect(tripped(log), 0);
	if (!under_hypervisor()) {
		expect(put(&guest, GUEST_IOBA, ua, READ_WRITE), 0);
		device_reaches(v, 0, GUEST_IOBA, ua);
	}
	expect(put_none(&guest, GUEST_IOBA), 0);
	unregister_ok(v, ua, SIZE);
	close(log);
}
