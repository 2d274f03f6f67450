// SPDX-License-Identifier: GPL-2.0-only
/* Tests of src/access.c and software.c: emulated devices, alone and beside real groups. */
#include <string.h>

#include <linux/err.h>
#include <linux/iommu.h>

#include "client.h"
#include "sim_device.h"
#include "tce2_page.h"

static struct iommu_group emulated = { .id = 100 }, other_emulated = { .id = 101 };
static struct sim_device device;

/* log2 of the entries in a page of the kernel */
#define ENTRIES_SHIFT (PAGE_SHIFT - SHIFT)
#define READ_ONLY TCE2_PERM_READ

static int make_window(u64 size, u32 shift, u64 *start)
{
	struct tce2_window_spec spec = { size, shift, 1 };
	struct tce2_creation creation;
	int ret = tce2_container_create_window(container, &spec, &creation);

	if (ret)
		return tce2_errno(ret);
	*start = creation.start;
	return tce2_errno(tce2_container_publish_window(container, &creation));
}

static int map_at(u64 iova, u64 ua, u64 size, u64 perm)
{
	return tce2_errno(tce2_container_map(container, REQUEST(iova, ua, size, perm)));
}

static int unmap_at(u64 iova, u64 size)
{
	return tce2_errno(tce2_container_unmap(container, iova, size));
}

static u64 frame_of(u64 ua)
{
	return hpa_at(ua) >> PAGE_SHIFT;
}

static void register_memory(void)
{
	expect(tce2_container_register(container, UA, PAGES(MEMORY_PAGES)), 0);
}

/* Attaches an emulated group, opens its device and registers the memory */
static void join(void)
{
	expect(tce2_container_attach_emulated(container, &emulated), 0);
	device_open(&device, container);
	register_memory();
}

static void leave(void)
{
	device_close(&device);
	expect(tce2_container_detach(container, &emulated), 0);
	frames_reset();
}

/* A container with an emulated group only, and one page mapped at bus address 0 */
FIXTURE(alone);

FIXTURE_SETUP(alone)
{
	begin_client(0);
	join();
	expect(map_at(0, UA, PAGES(4), RW), 0);
}

FIXTURE_TEARDOWN(alone)
{
	leave();
	end_client();
}

/* Same, beside a group with hardware */
FIXTURE(beside);

FIXTURE_SETUP(beside)
{
	begin_client(1);
	join();
	expect(map_at(0, UA, PAGES(4), RW), 0);
}

FIXTURE_TEARDOWN(beside)
{
	leave();
	end_client();
}

/*
 * Windows without hardware
 */

TEST_F(alone, get_info_describes_software_windows)
{
	struct vfio_iommu_spapr_tce_info info = {};

	expect(tce2_container_info(container, &info, NULL), 0);
	expect(info.dma32_window_start, 0);
	expect(info.dma32_window_size, GIB(2));
	expect(info.ddw.pgsizes, KIB(4) | KIB(64) | MIB(2) | MIB(16) | GIB(1));
	expect(info.ddw.levels, 5);
	expect(info.ddw.max_dynamic_windows_supported, 2);
}

TEST_F(alone, software_windows_begin_where_windows_of_powernv_begin)
{
	u64 start = 1;

	expect(make_window(GIB(64), 16, &start), 0);
	expect(start, NOWHERE);
	expect(make_window(GIB(64), 16, &start), -ENOSPC);
	expect(tce2_errno(tce2_container_remove_window(container, 0)), 0);
	expect(make_window(GIB(64), 16, &start), 0);
	expect(start, 0);
}

TEST_F(alone, a_software_window_charges_no_locked_memory)
{
	u64 charged = sim.now.charged, start;

	expect(make_window(1ULL << 55, SHIFT, &start), 0);
	expect(sim.now.charged, charged);
	expect(map_at(start + (1ULL << 54), UA, PAGES(1), RW), 0);
	expect(sim.now.charged, charged);
}

TEST_F(alone, a_software_window_has_a_largest_size)
{
	u64 start = 1;

	expect(make_window(1ULL << 56, SHIFT, &start), -EINVAL);
	expect(make_window(MIB(1) + KIB(4), SHIFT, &start), -EINVAL);
	expect(make_window(GIB(1), 15, &start), -EINVAL);
	expect(start, 1);
}

TEST_F(alone, requests_for_one_page_of_a_software_window_map_and_unmap)
{
	struct tce2_container *general = NULL;
	u64 page = KIB(4);

	device_close(&device);
	/* Makes the leaf that brief requests need */
	expect(map_at(MIB(1), UA, page, RW), 0);
	expect(tce2_container_map_page(cookie, MIB(1) + page, UA + page, page, RW, &general), 0);
	expect(view_at(container->ddw.window[0], (MIB(1) >> SHIFT) + 1), (UA + page) | RW);
	expect(tce2_container_unmap_page(cookie, MIB(1) + page, page, &general), 0);
	expect(view_at(container->ddw.window[0], (MIB(1) >> SHIFT) + 1), 0);
	device_open(&device, container);
}

/*
 * Pins
 */

TEST_F(alone, a_pinned_page_is_the_registered_page)
{
	struct page *pages[3] = {};

	expect(device_pin(&device, PAGES(1), 3, RW, pages), 0);
	for (u64 i = 0; i < 3; i++)
		expect(page_to_pfn(pages[i]), frame_of(UA + PAGES(1 + i)));
	device_unpin(&device, 0, GIB(1));
}

TEST_F(alone, an_address_that_is_not_mapped_cannot_be_pinned)
{
	struct page *pages[8] = {};

	expect(device_pin(&device, PAGES(4), 1, RW, pages), -EINVAL);
	expect(device_pin(&device, PAGES(2), 3, RW, pages), -EINVAL);
	expect(container->ddw.emulation->access.nr_pins, 0);
	expect(device_pin(&device, GIB(2) - PAGES(1), 2, RW, pages), -EINVAL);
	expect(device_pin(&device, GIB(4), 1, RW, pages), -EINVAL);
}

TEST_F(alone, a_pin_needs_the_permissions_of_the_entry)
{
	struct page *page = NULL;

	expect(map_at(PAGES(8), UA, PAGES(1), TCE2_PERM_READ), 0);
	expect(device_pin(&device, PAGES(8), 1, TCE2_PERM_WRITE, &page), -EPERM);
	expect(device_pin(&device, PAGES(8), 1, RW, &page), -EPERM);
	expect(device_pin(&device, PAGES(8), 1, TCE2_PERM_READ, &page), 0);
	device_unpin(&device, PAGES(8), PAGES(1));
}

TEST_F(alone, a_pinned_page_keeps_its_memory_registered)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.ignore = 1000;
	expect(unmap_at(0, PAGES(4)), -EBUSY);
	expect(tce2_errno(tce2_container_unregister(container, UA, PAGES(MEMORY_PAGES))),
	       -EBUSY);
	device.ignore = 0;
	expect(unmap_at(0, PAGES(4)), 0);
	expect(tce2_errno(tce2_container_unregister(container, UA, PAGES(MEMORY_PAGES))), 0);
}

TEST_F(alone, a_refused_pin_returns_no_page)
{
	struct page *pages[5];

	expect(device_pin(&device, 0, 5, RW, pages), -EINVAL);
	for (unsigned int i = 0; i < 4; i++)
		expect(!pages[i], true);
	expect(device_pin(&device, 0, 4, RW, pages), 0);
	device_unpin(&device, 0, PAGES(4));
}

TEST_F(alone, a_page_may_be_pinned_several_times)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(device_pin(&device, 0, 1, READ_ONLY, &page), 0);
	expect(container->ddw.emulation->access.nr_pins, 1);
	tce2_container_unpin(container, 0, 1);
	device.nr_pins = 1;
	expect(container->ddw.emulation->access.nr_pins, 1);
	expect(unmap_at(0, PAGES(1)), 0);
	expect(device.notified, 1);
	expect(container->ddw.emulation->access.nr_pins, 0);
}

TEST_F(alone, a_container_without_an_open_device_pins_nothing)
{
	struct page *page;

	device_close(&device);
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	device_open(&device, container);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device_unpin(&device, 0, PAGES(1));
}

TEST_F(alone, a_pin_without_memory_pins_no_page)
{
	struct page *pages[3];

	for (unsigned int nth = 1; nth <= 6; nth++) {
		sim_fail(SIM_ALLOC, nth);
		expect(device_pin(&device, 0, 3, RW, pages), -ENOMEM);
		sim_fail_nothing();
		expect(container->ddw.emulation->access.nr_pins, 0);
	}
	expect(device_pin(&device, 0, 3, RW, pages), 0);
	device_unpin(&device, 0, PAGES(3));
}

TEST_F(alone, a_group_that_gets_no_memory_is_not_attached)
{
	sim_fail(SIM_ALLOC, 1);
	expect(tce2_container_attach_emulated(container, &other_emulated), -ENOMEM);
	sim_fail_nothing();
	expect(container->ddw.nr_groups, 1);
}

/* A page of the kernel that two ranges of memory share can't be pinned */
TEST_F(alone, all_entries_of_a_pinned_page_map_one_page_in_order)
{
	u64 half = PAGE_SIZE / 2;
	struct page *page;

	if (PAGE_SHIFT == SHIFT)
		return;
	expect(map_at(0, UA + PAGES(8) + half, half, RW), 0);
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	expect(map_at(0, UA + half, PAGES(1), RW), 0);
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	expect(map_at(0, UA, PAGES(1), RW), 0);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(unmap_at(half, half), 0);
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	expect(container->ddw.emulation->access.nr_pins, 0);
}

TEST_F(alone, a_page_of_a_large_iommu_page_can_be_pinned)
{
	struct page *page;
	u64 start;

	expect(make_window(GIB(64), 16, &start), 0);
	expect(map_at(start + KIB(64), UA, KIB(64), RW), 0);
	expect(device_pin(&device, start + KIB(128) - PAGE_SIZE, 1, RW, &page), 0);
	expect(page_to_pfn(page), frame_of(UA + KIB(64) - PAGE_SIZE));
	expect(unmap_at(start + KIB(64), KIB(64)), 0);
	expect(device.notified, 1);
}

/*
 * Notifications
 */

TEST_F(alone, unmap_makes_the_driver_unpin_the_page_first)
{
	struct page *pages[2];

	expect(device_pin(&device, PAGES(1), 2, RW, pages), 0);
	expect(unmap_at(PAGES(1), PAGES(1)), 0);
	expect(device.notified, 1);
	expect(device.iova, PAGES(1));
	expect(device.size, PAGES(1));
	expect(device.nr_pins, 1);
	expect(container->ddw.emulation->access.nr_pins, 1);
	expect(view_at(container->ddw.window[0], 1ULL << ENTRIES_SHIFT), 0);
	device_unpin(&device, 0, GIB(1));
}

TEST_F(alone, one_pinned_page_of_a_range_suffices_for_a_notification)
{
	struct page *page;

	for (u64 i = 0; i < 4; i++) {
		expect(map_at(0, UA, PAGES(4), RW), 0);
		expect(device_pin(&device, PAGES(i), 1, RW, &page), 0);
		expect(unmap_at(0, PAGES(4)), 0);
		expect(device.notified, i + 1);
		expect(device.size, PAGES(4));
		expect(device.nr_pins, 0);
	}
}

TEST_F(alone, a_notification_names_whole_pages_of_the_kernel)
{
	struct page *page;

	if (PAGE_SHIFT == SHIFT)
		return;
	expect(device_pin(&device, PAGES(1), 1, RW, &page), 0);
	expect(unmap_at(PAGES(1) + KIB(8), KIB(4)), 0);
	expect(device.iova, PAGES(1));
	expect(device.size, PAGES(1));
	expect(container->ddw.emulation->access.nr_pins, 0);
}

TEST_F(alone, a_page_that_is_not_pinned_is_unmapped_without_notification)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(unmap_at(PAGES(1), PAGES(3)), 0);
	expect(device.notified, 0);
	device_unpin(&device, 0, PAGES(1));
	expect(unmap_at(0, PAGES(1)), 0);
	expect(device.notified, 0);
}

TEST_F(alone, map_over_a_pinned_page_makes_the_driver_unpin_it_first)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(map_at(0, UA + PAGES(5), PAGES(1), RW), 0);
	expect(device.notified, 1);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(page_to_pfn(page), frame_of(UA + PAGES(5)));
	device_unpin(&device, 0, PAGES(1));
}

TEST_F(alone, remove_makes_the_driver_unpin_the_windows_pages_first)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(tce2_errno(tce2_container_remove_window(container, 0)), 0);
	expect(device.notified, 1);
	expect(device.iova, 0);
	expect(device.size, GIB(2));
	expect(container->ddw.emulation->access.nr_pins, 0);
	expect(!container->ddw.window[0], true);
}

TEST_F(alone, unmap_of_a_whole_window_makes_the_driver_unpin_its_pages_first)
{
	struct page *page;

	expect(device_pin(&device, PAGES(3), 1, RW, &page), 0);
	expect(tce2_errno(tce2_container_unmap_window(container, 0)), 0);
	expect(device.notified, 1);
	expect(device.size, GIB(2));
	expect(view_at(container->ddw.window[0], 0), 0);
}

TEST_F(alone, copy_makes_the_driver_unpin_pages_of_the_destination_first)
{
	struct page *page;

	expect(map_at(PAGES(8), UA + PAGES(8), PAGES(1), RW), 0);
	expect(device_pin(&device, PAGES(8), 1, RW, &page), 0);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(tce2_errno(tce2_container_copy(container, PAGES(8), 0, PAGES(1))), 0);
	expect(device.notified, 1);
	expect(device.iova, PAGES(8));
	expect(device.nr_pins, 1);
	expect(device_pin(&device, PAGES(8), 1, RW, &page), 0);
	expect(page_to_pfn(page), frame_of(UA));
	device_unpin(&device, 0, GIB(1));
}

TEST_F(alone, a_driver_that_unpins_late_is_notified_again)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.ignore = 9;
	expect(unmap_at(0, PAGES(1)), 0);
	expect(device.notified, 10);
	expect(platform.complaints, 0);
}

static unsigned long pins_at_drop;

static void count_pins(void)
{
	pins_at_drop = container->ddw.emulation->access.nr_pins;
}

/* So a request that finds no pin leaves no pinned memory behind, which can't be unregistered */
TEST_F(alone, an_unpinned_page_is_dropped_before_its_pin_is_gone)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	pins_at_drop = 0;
	sim_when(SIM_AT_LOOKUP, 1, count_pins);
	device_unpin(&device, 0, PAGES(1));
	sim_when(SIM_AT_LOOKUP, 0, NULL);
	expect(pins_at_drop, 1);
	expect(container->ddw.emulation->access.nr_pins, 0);
}

TEST_F(alone, a_refused_map_request_makes_no_driver_unpin)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(map_at(0, UA + PAGES(MEMORY_PAGES), PAGES(1), RW), -EINVAL);
	expect(map_at(0, UA + PAGES(MEMORY_PAGES - 1), PAGES(2), RW), -EINVAL);
	expect(device.notified, 0);
	expect(device.nr_pins, 1);
	expect(view_at(container->ddw.window[0], 0), UA | RW);
	device_unpin(&device, 0, PAGES(1));
}

TEST_F(alone, a_refused_copy_makes_no_driver_unpin)
{
	void *other = tce2_container_open();
	struct tce2_container *second = tce2_container_get(other);
	const u64 ua = UA + GIB(1);
	struct page *page;

	/* Memory that stays mapped after its last registration is gone can't be mapped again */
	map_contiguous(ua, 1, 16, true);
	expect(tce2_container_register(second, ua, PAGES(1)), 0);
	expect(map_at(PAGES(8), ua, PAGES(1), RW), 0);
	tce2_container_release(other);
	tce2_container_put(second);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(tce2_errno(tce2_container_copy(container, 0, PAGES(8), PAGES(1))), -EINVAL);
	expect(device.notified, 0);
	expect(device.nr_pins, 1);
	device_unpin(&device, 0, PAGES(1));
	expect(unmap_at(PAGES(8), PAGES(1)), 0);
}

TEST_F(alone, a_request_fails_and_changes_nothing_if_a_driver_does_not_unpin)
{
	struct tce2_window *window = container->ddw.window[0];
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.ignore = 1000;
	expect(unmap_at(0, PAGES(4)), -EBUSY);
	expect(map_at(0, UA + PAGES(8), PAGES(4), RW), -EBUSY);
	expect(tce2_errno(tce2_container_remove_window(container, 0)), -EBUSY);
	expect(platform.complaints, 3);
	expect(container->ddw.window[0] == window, true);
	expect(view_at(window, 0), UA | RW);
	expect(view_at(window, 3ULL << ENTRIES_SHIFT), (UA + PAGES(3)) | RW);
	/* The range is open again */
	device.ignore = 0;
	expect(device_pin(&device, PAGES(1), 1, RW, &page), 0);
	expect(unmap_at(0, PAGES(4)), 0);
}

static void die(struct sim_device *notified)
{
	sim_fail(SIM_SIGNAL, 1);
}

TEST_F(alone, a_killed_thread_does_not_wait_for_a_driver)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.ignore = 1000;
	device.meanwhile = die;
	expect(unmap_at(0, PAGES(4)), -EINTR);
	expect(device.notified, 1);
	sim_fail_nothing();
	expect(view_at(container->ddw.window[0], 0), UA | RW);
	/* The range is open again */
	device.ignore = 0;
	device.meanwhile = NULL;
	expect(device_pin(&device, PAGES(1), 1, RW, &page), 0);
	expect(unmap_at(0, PAGES(4)), 0);
}

static int pin_again_result;

static void pin_again(struct sim_device *notified)
{
	struct page *page;

	pin_again_result = device_pin(notified, PAGES(1), 1, RW, &page);
}

TEST_F(alone, no_page_is_pinned_while_its_range_is_unmapped)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.meanwhile = pin_again;
	expect(unmap_at(0, PAGES(4)), 0);
	expect(pin_again_result, -EINVAL);
	expect(device.notified, 1);
}

static void pin_elsewhere(struct sim_device *notified)
{
	struct page *page;
	u8 byte;

	expect(device_pin(notified, PAGES(3), 1, RW, &page), 0);
	expect(device_read(notified, 0, &byte, 1), 0);
	device_unpin(notified, PAGES(3), PAGES(1));
}

TEST_F(alone, a_notified_driver_may_pin_and_copy)
{
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.meanwhile = pin_elsewhere;
	expect(unmap_at(0, PAGES(1)), 0);
}

TEST_F(alone, all_open_devices_are_notified)
{
	static struct sim_device second;
	struct page *page;

	expect(tce2_container_attach_emulated(container, &other_emulated), 0);
	device_open(&second, container);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(device_pin(&second, 0, 1, RW, &page), 0);
	expect(unmap_at(0, PAGES(1)), 0);
	expect(device.notified, 1);
	expect(second.notified, 1);
	device_close(&second);
	expect(device_pin(&device, PAGES(1), 1, RW, &page), 0);
	expect(unmap_at(PAGES(1), PAGES(1)), 0);
	expect(second.notified, 1);
	expect(tce2_container_detach(container, &other_emulated), 0);
}

/*
 * Copies
 */

TEST_F(alone, copies_reach_the_registered_memory)
{
	u8 data[5000], back[5000] = {};

	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = i * 7;
	/* Crosses a page of the kernel, and several IOMMU pages */
	expect(device_write(&device, PAGES(1) - 2000, data, sizeof(data)), 0);
	expect(memcmp(frame_contents(frame_of(UA)) + PAGE_SIZE - 2000, data, 2000), 0);
	expect(memcmp(frame_contents(frame_of(UA + PAGES(1))), data + 2000, 2000), 0);
	expect(device_read(&device, PAGES(1) - 2000, back, sizeof(back)), 0);
	expect(memcmp(data, back, sizeof(data)), 0);
}

TEST_F(alone, a_copy_follows_entries_in_their_order)
{
	u8 data[2] = { 1, 2 };

	expect(map_at(PAGES(8), UA + PAGES(9), PAGES(1), RW), 0);
	expect(map_at(PAGES(9), UA + PAGES(8), PAGES(1), RW), 0);
	expect(device_write(&device, PAGES(9) - 1, data, 2), 0);
	expect(frame_contents(frame_of(UA + PAGES(9)))[PAGE_SIZE - 1], 1);
	expect(frame_contents(frame_of(UA + PAGES(8)))[0], 2);
}

TEST_F(alone, a_copy_needs_the_permission_of_each_entry)
{
	u8 data[2] = { 1, 2 };

	expect(map_at(PAGES(8), UA, PAGES(1), TCE2_PERM_READ), 0);
	expect(map_at(PAGES(9), UA, PAGES(1), TCE2_PERM_WRITE), 0);
	expect(device_write(&device, PAGES(8), data, 1), -EPERM);
	expect(device_read(&device, PAGES(9), data, 1), -EPERM);
	expect(device_read(&device, PAGES(9) - 1, data, 2), -EPERM);
	expect(device_write(&device, PAGES(9) - 1, data, 2), -EPERM);
	expect(device_write(&device, PAGES(4) - 1, data, 2), -EINVAL);
	expect(device_read(&device, GIB(2) - 1, data, 1), -EINVAL);
	expect(device_read(&device, GIB(2), data, 1), -EINVAL);
	expect(frame_contents(frame_of(UA))[0], 0);
}

TEST_F(alone, a_copy_needs_no_open_device_and_no_process)
{
	u8 data = 9;

	be_another_process();
	expect(device_write(&device, 0, &data, 1), 0);
	be_first_process();
	expect(frame_contents(frame_of(UA))[0], 9);
}

TEST_F(alone, a_page_that_is_only_read_is_not_marked_dirty)
{
	u64 ua = UA + GIB(1);
	struct tce2_region *region;
	struct page *page;
	u8 data;

	map_scattered(ua, 2, 5000, true);
	expect(tce2_container_register(container, ua, PAGES(2)), 0);
	region = tce2_region_find(container->cache, ua, PAGE_SIZE);
	expect(map_at(PAGES(8), ua, PAGES(2), TCE2_PERM_READ), 0);
	expect(device_read(&device, PAGES(8), &data, 1), 0);
	expect(device_pin(&device, PAGES(9), 1, TCE2_PERM_READ, &page), 0);
	for (u64 i = 0; i < 2; i++)
		expect(*tce2_extents_entry(&region->extents, ua + PAGES(i)) &
		       TCE2_EXTENT_DIRTY, 0);
	device_unpin(&device, PAGES(9), PAGES(1));
}

/*
 * Beside groups with hardware
 */

TEST_F(beside, an_emulated_device_uses_the_windows_of_the_hardware)
{
	struct vfio_iommu_spapr_tce_info info = {};
	struct page *page;

	expect(tce2_container_info(container, &info, NULL), 0);
	expect(info.ddw.levels, 3);
	expect_in_step(container->ddw.window[0], 8ULL << ENTRIES_SHIFT);
	expect(device_pin(&device, PAGES(2), 1, RW, &page), 0);
	expect(page_to_pfn(page), frame_of(UA + PAGES(2)));
	expect(unmap_at(PAGES(2), PAGES(1)), 0);
	expect(device.notified, 1);
	expect_in_step(container->ddw.window[0], 8ULL << ENTRIES_SHIFT);
}

TEST_F(beside, requests_for_one_page_check_for_pins_while_a_device_is_open)
{
	struct tce2_container *general = NULL;
	struct page *page;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(tce2_container_unmap_page(cookie, 0, KIB(4), &general), TCE2_NOT_BRIEF);
	tce2_container_put(general);
	expect(unmap_at(0, KIB(4)), 0);
	expect(device.notified, 1);
	device_close(&device);
	expect(tce2_container_unmap_page(cookie, KIB(4), KIB(4), &general), 0);
	device_open(&device, container);
	expect(tce2_container_unmap_page(cookie, KIB(8), KIB(4), &general), TCE2_NOT_BRIEF);
	tce2_container_put(general);
}

TEST_F(beside, windows_stay_when_the_last_group_with_hardware_leaves)
{
	struct tce2_window *window = container->ddw.window[0];
	struct page *page;
	u8 data = 3;

	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(tce2_container_detach(container, &group[0]->group), 0);
	expect(device.notified, 0);
	expect(container->ddw.window[0] == window, true);
	expect(device_write(&device, PAGES(1), &data, 1), 0);
	expect(map_at(PAGES(9), UA + PAGES(9), PAGES(1), RW), 0);
	expect(device_write(&device, PAGES(9), &data, 1), 0);
	/* A group of the same kind may join again, and finds the mappings */
	expect(tce2_container_attach(container, &group[0]->group), 0);
	expect(group[0]->walks[0] == window->table.tbl, true);
	expect_in_step(window, 16ULL << ENTRIES_SHIFT);
	device_unpin(&device, 0, GIB(1));
}

/* VFIO lets only drivers of emulated devices pin pages */
TEST_F(client, a_device_with_hardware_is_not_notified)
{
	struct page *page;

	expect(tce2_container_register(container, UA, PAGES(4)), 0);
	expect(map_at(0, UA, PAGES(4), RW), 0);
	device_open(&device, container);
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	/* The state for emulated devices is made while the device is open */
	expect(tce2_container_attach_emulated(container, &emulated), 0);
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	device_close(&device);
	device_open(&device, container);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(unmap_at(0, PAGES(1)), 0);
	leave();
}

TEST_F(beside, an_emulated_group_may_leave_and_join)
{
	leave();
	expect(tce2_container_attach_emulated(container, &emulated), 0);
	expect(tce2_errno(tce2_container_attach_emulated(container, &emulated)), -EBUSY);
	device_open(&device, container);
}

TEST_F(alone, a_group_with_hardware_joins_before_the_first_window_is_made)
{
	struct fake_group *real = platform_group(3);

	/* The fixture has mapped, which made a software window */
	expect(tce2_errno(tce2_container_attach(container, &real->group)), -EPERM);
	expect(!real->walks[0], true);
	expect(real->owned, false);
	expect(tce2_errno(tce2_container_remove_window(container, 0)), 0);
	expect(tce2_container_attach(container, &real->group), 0);
	/* The default window was removed, and stays removed */
	expect(map_at(0, UA, PAGES(1), RW), -ENXIO);
	expect(tce2_container_detach(container, &real->group), 0);
}

TEST(the_default_window_is_the_hardwares_if_a_group_joins_early)
{
	struct fake_group *real;

	begin_client(0);
	join();
	real = platform_group(3);
	expect(tce2_container_attach(container, &real->group), 0);
	expect(map_at(0, UA, PAGES(1), RW), 0);
	expect(real->walks[0] == container->ddw.window[0]->table.tbl, true);
	expect_in_step(container->ddw.window[0], 16);
	leave();
	end_client();
}

TEST(a_hypervisors_windows_go_with_their_group_after_a_notification)
{
	struct page *page;

	platform_kind = PLATFORM_HYPERVISOR;
	begin_client(0);
	platform.hypervisor = true;
	group[0] = platform_group(1);
	expect(tce2_container_attach(container, &group[0]->group), 0);
	join();
	expect(map_at(0, UA, PAGES(4), RW), 0);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	/* A signal does not shorten the wait: the detach can't fail */
	device.ignore = 1;
	device.meanwhile = die;
	expect(tce2_container_detach(container, &group[0]->group), 0);
	sim_fail_nothing();
	device.meanwhile = NULL;
	expect(device.notified, 2);
	expect(device.nr_pins, 0);
	/* A software window takes the place */
	expect(device_pin(&device, 0, 1, RW, &page), -EINVAL);
	expect(map_at(0, UA, PAGES(4), RW), 0);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device_unpin(&device, 0, PAGES(1));
	leave();
	end_client();
}

TEST(a_page_that_a_driver_keeps_after_its_window_is_gone_stays_pinned)
{
	u64 pinned;
	struct page *page;

	platform_kind = PLATFORM_HYPERVISOR;
	begin_client(0);
	platform.hypervisor = true;
	group[0] = platform_group(1);
	expect(tce2_container_attach(container, &group[0]->group), 0);
	join();
	expect(map_at(0, UA, PAGES(4), RW), 0);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	device.ignore = 1000;
	pinned = sim.now.pinned;
	expect(tce2_container_detach(container, &group[0]->group), 0);
	expect(platform.complaints, 1);
	expect(sim.now.pinned, pinned);
	expect(tce2_errno(tce2_container_unregister(container, UA, PAGES(MEMORY_PAGES))),
	       -EBUSY);
	/* The driver even closes its device. A new window does not know of the page. */
	device_close(&device);
	expect(map_at(0, UA + PAGES(4), PAGES(4), RW), 0);
	device_open(&device, container);
	/* Another page at the same bus address would confuse the driver */
	expect(device_pin(&device, 0, 1, RW, &page), -EBUSY);
	expect(device_pin(&device, PAGES(1), 1, RW, &page), 0);
	expect(unmap_at(PAGES(1), PAGES(3)), 0);
	expect(map_at(0, UA + PAGES(8), PAGES(4), RW), -EBUSY);
	device_close(&device);
	expect(unmap_at(0, PAGES(1)), -EBUSY);
	device_open(&device, container);
	/* The driver unpins at last */
	tce2_container_unpin(container, 0, 1);
	expect(device_pin(&device, 0, 1, RW, &page), 0);
	expect(unmap_at(0, PAGES(1)), 0);
	expect(tce2_errno(tce2_container_unregister(container, UA, PAGES(MEMORY_PAGES))), 0);
	leave();
	end_client();
}

/* A driver may use such a page for as long as it likes, so the page must not be freed */
TEST(pages_that_a_driver_keeps_after_the_container_is_closed_stay_pinned)
{
	struct tce2_cache *cache;
	struct page *pages[2];
	u64 before;

	begin_client(0);
	before = sim.now.pinned;
	join();
	expect(map_at(0, UA, PAGES(4), RW), 0);
	expect(device_pin(&device, PAGES(1), 2, RW, pages), 0);
	cache = container->cache;
	leave();
	close_container();
	tce2_container_put(container);
	expect(platform.complaints, 1);
	expect(sim.now.pinned, before + MEMORY_PAGES);
	/* The region still has its cache: a reference that is never put keeps it */
	expect(tce2_cache_get(cache->mm) == cache, true);
	expect(!tce2_region_find(cache, UA + PAGES(1), PAGE_SIZE), false);
	/* Drop the pages and the reference after all, because the test must leave nothing */
	for (u64 i = 1; i <= 2; i++)
		tce2_page_drop(cache, UA + PAGES(i), PAGE_SHIFT);
	tce2_cache_put(cache);
	tce2_cache_put(cache);
	expect(sim.now.pinned, before);
	platform_expect_nothing_left();
	sim_grace_period();
	tce2_container_exit();
}

TEST_F(alone, eeh_operations_need_a_group_with_hardware)
{
	const struct vfio_eeh_pe_op op = { .op = VFIO_EEH_PE_GET_STATE };

	expect(tce2_errno(tce2_container_eeh(container, &op)), -ENODEV);
}

TEST_F(beside, groups_of_both_kinds_are_listed_by_number)
{
	struct iommu_group *first = tce2_ddw_next_group(&container->ddw, -1), *next;

	expect(first == &group[0]->group, true);
	next = tce2_ddw_next_group(&container->ddw, iommu_group_id(first));
	expect(next == &emulated, true);
	expect(!tce2_ddw_next_group(&container->ddw, iommu_group_id(next)), true);
	iommu_group_put(first);
	iommu_group_put(next);
}
