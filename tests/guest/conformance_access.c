// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: emulated devices, whose drivers pin pages and copy data through VFIO. They are
 * alone in a container, or beside edu devices, which do DMA. The module
 * vfio_spapr_tce2_emulated (tests/emulated) has the devices.
 */
#define _GNU_SOURCE
#include "conformance_access.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct emulated first, second;

static int emulated_group(int number)
{
	char path[96], link[256];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/devices/platform/" EMULATED_NAME ".%d/iommu_group",
		 number);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		skip("module vfio_spapr_tce2_emulated is not loaded");
	link[len] = 0;
	return atoi(strrchr(link, '/') + 1);
}

int emulated_join(struct vfio *v, struct emulated *e, int number)
{
	char path[48];

	snprintf(path, sizeof(path), "/dev/vfio/%d", emulated_group(number));
	e->fd = -1;
	e->group = open(path, O_RDWR | O_CLOEXEC);
	if (e->group < 0)
		fail("%s: %s", path, strerror(errno));
	return call(e->group, VFIO_GROUP_SET_CONTAINER, &v->fd);
}

void emulated_open(struct emulated *e, int number)
{
	char name[32];

	snprintf(name, sizeof(name), EMULATED_NAME ".%d", number);
	e->fd = call(e->group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (e->fd < 0)
		fail("%s: %s", name, strerror(-e->fd));
}

void emulated_leave(struct emulated *e)
{
	if (e->fd >= 0)
		close(e->fd);
	close(e->group);
}

/* A container with an emulated device only */
FIXTURE(emulated);

FIXTURE_SETUP(emulated)
{
	expect(vfio_open(v), 0);
	expect(emulated_join(v, &first, 0), 0);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
	emulated_open(&first, 0);
}

FIXTURE_TEARDOWN(emulated)
{
	emulated_leave(&first);
	vfio_close(v);
}

/* An emulated device in the container of the edu device */
FIXTURE(both);

FIXTURE_SETUP(both)
{
	expect(emulated_join(v, &first, 0), 0);
	emulated_open(&first, 0);
}

FIXTURE_TEARDOWN(both)
{
	emulated_leave(&first);
}

int emulated_pin(struct emulated *e, uint64_t iova, uint32_t pages, bool write)
{
	struct emulated_pin request = { iova, pages, write };

	return call(e->fd, EMULATED_PIN, &request);
}

int emulated_unpin(struct emulated *e, uint64_t iova, uint32_t pages)
{
	struct emulated_pin request = { iova, pages, 0 };

	return call(e->fd, EMULATED_UNPIN, &request);
}

int emulated_copy(struct emulated *e, unsigned long nr, uint64_t iova, void *data,
		  uint32_t bytes, bool write)
{
	struct emulated_copy request = { iova, (uintptr_t)data, bytes, write };

	return call(e->fd, nr, &request);
}

struct emulated_state emulated_state(struct emulated *e)
{
	struct emulated_state state;

	expect(call(e->fd, EMULATED_STATE, &state), 0);
	return state;
}

void emulated_ignore(struct emulated *e, uint32_t times)
{
	expect(call(e->fd, EMULATED_IGNORE, &times), 0);
}

/* Check that the device reads and writes the memory at @ua, with both of VFIO's functions */
static void emulated_reaches(struct emulated *e, uint64_t iova, uint8_t *ua)
{
	uint8_t data[PROBE];

	for (int touch = 0; touch < 2; touch++) {
		unsigned long nr = touch ? EMULATED_TOUCH : EMULATED_RW;

		if (touch)
			expect(emulated_pin(e, iova, 1, true), 1);
		pattern_fill(ua, PROBE, 11 + touch);
		expect(emulated_copy(e, nr, iova, data, PROBE, false), 0);
		expect(pattern_is(data, PROBE, 11 + touch), true);
		pattern_fill(data, PROBE, 21 + touch);
		expect(emulated_copy(e, nr, iova, data, PROBE, true), 0);
		expect(pattern_is(ua, PROBE, 21 + touch), true);
		if (touch)
			expect(emulated_unpin(e, iova, 1), 0);
	}
}

TEST_F(emulated, an_emulated_device_alone_reaches_mapped_memory, .setup = BARE,
       .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, 4 * base_page());

	emulated_reaches(&first, IOVA, ua);
	emulated_reaches(&first, IOVA + 3 * base_page(), ua + 3 * base_page());
}

TEST_F(emulated, get_info_without_hardware_describes_software_windows, .setup = BARE,
       .intree = REFUSED)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v);

	expect(info.dma32_window_start, 0);
	expect(info.dma32_window_size, GIB(2));
	expect(info.ddw.pgsizes, KIB(4) | KIB(64) | MIB(2) | MIB(16) | GIB(1));
	expect(info.ddw.levels, 5);
	expect(info.ddw.max_dynamic_windows_supported, 2);
}

TEST_F(emulated, a_window_without_hardware_charges_no_table, .setup = BARE, .intree = REFUSED)
{
	struct ledger before = ledger();
	uint64_t start = new_window(v, 12, 1ULL << 48, 1);
	uint8_t *ua;

	expect(start, WINDOW1_START);
	expect_ledger("after TCE_CREATE", before, 0);
	ua = mapped(v, start + (1ULL << 40), base_page());
	expect_ledger("after MAP_DMA", before, base_page());
	emulated_reaches(&first, start + (1ULL << 40), ua);
	expect(window_remove(v->fd, start), 0);
	unregister_ok(v, ua, base_page());
	expect_ledger("after the removal", before, 0);
}

TEST_F(emulated, an_emulated_device_needs_the_permissions_of_the_mapping, .setup = BARE,
       .intree = REFUSED)
{
	uint8_t *ua = registered(v, base_page()), data[8] = {};

	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	expect(emulated_pin(&first, IOVA, 1, true), -EPERM);
	expect(emulated_copy(&first, EMULATED_RW, IOVA, data, 8, true), -EPERM);
	expect(emulated_pin(&first, IOVA, 1, false), 1);
	expect(emulated_copy(&first, EMULATED_RW, IOVA, data, 8, false), 0);
	expect(emulated_pin(&first, IOVA + base_page(), 1, false), -EINVAL);
	expect(emulated_copy(&first, EMULATED_RW, IOVA + base_page() - 4, data, 8, false), -EINVAL);
	expect(emulated_pin(&first, SINK_IOVA, 1, false), -EINVAL);
	expect(emulated_unpin(&first, IOVA, 1), 0);
}

TEST_F(emulated, unmapping_a_pinned_page_makes_the_driver_unpin_it, .setup = BARE,
       .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, 4 * base_page());

	expect(emulated_pin(&first, IOVA, 4, true), 4);
	expect(spapr_unregister(v->fd, ua, 4 * base_page()), -EBUSY);
	expect(dma_unmap(v->fd, IOVA + base_page(), base_page()), 0);
	expect(emulated_state(&first).notified, 1);
	expect(emulated_state(&first).iova, IOVA + base_page());
	expect(emulated_state(&first).size, base_page());
	expect(emulated_state(&first).pins, 3);
	expect(dma_unmap(v->fd, IOVA, 4 * base_page()), 0);
	expect(emulated_state(&first).pins, 0);
	unregister_ok(v, ua, 4 * base_page());
}

TEST_F(emulated, removing_a_window_makes_the_driver_unpin_its_pages, .setup = BARE,
       .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	expect(emulated_pin(&first, IOVA, 1, true), 1);
	expect(window_remove(v->fd, 0), 0);
	expect(emulated_state(&first).notified, 1);
	expect(emulated_state(&first).pins, 0);
	unregister_ok(v, ua, base_page());
}

TEST_F(emulated, closing_the_container_unpins_all_pages, .setup = BARE, .intree = REFUSED)
{
	mapped(v, IOVA, 4 * base_page());
	expect(emulated_pin(&first, IOVA, 4, true), 4);
}

static int container;

static void copies_in_child(void *arg)
{
	uint8_t data[PROBE];

	expect(dma_unmap(container, IOVA, base_page()), -EPERM);
	expect(emulated_copy(&first, EMULATED_RW, IOVA, data, PROBE, false), 0);
	expect(pattern_is(data, PROBE, *(uint64_t *)arg), true);
	pattern_fill(data, PROBE, 5);
	expect(emulated_copy(&first, EMULATED_RW, IOVA, data, PROBE, true), 0);
}

/* Like the DMA of a device: the thread that starts it does not matter */
TEST_F(emulated, an_emulated_device_reaches_the_owners_memory_for_any_process, .setup = BARE,
       .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, base_page());
	uint64_t seed = 77;

	container = v->fd;
	/* A child would get a copy of private memory */
	expect(madvise(ua, base_page(), MADV_DONTFORK), 0);
	pattern_fill(ua, PROBE, seed);
	expect_child_ok(start_child_with_files(copies_in_child, &seed));
	expect(pattern_is(ua, PROBE, 5), true);
}

TEST_F(both, an_emulated_device_and_hardware_share_windows_and_memory, .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, 2 * base_page());

	device_reaches(v, 0, IOVA, ua);
	emulated_reaches(&first, IOVA, ua);
	device_reaches(v, 0, IOVA, ua);
	emulated_reaches(&first, IOVA + base_page(), ua + base_page());
}

TEST_F(both, an_emulated_device_reads_what_hardware_writes, .intree = REFUSED)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mapped(v, IOVA, base_page()), data[PROBE];

	expect(emulated_pin(&first, IOVA, 1, true), 1);
	pattern_fill(sink.ua, PROBE, 31);
	expect(edu_to_device(device(v, 0), sink.iova, 0, PROBE), 0);
	expect(edu_from_device(device(v, 0), IOVA, 0, PROBE), 0);
	expect(emulated_copy(&first, EMULATED_RW, IOVA, data, PROBE, false), 0);
	expect(pattern_is(data, PROBE, 31), true);
	pattern_fill(data, PROBE, 32);
	expect(emulated_copy(&first, EMULATED_TOUCH, IOVA, data, PROBE, true), 0);
	device_reads(v, 0, IOVA, ua, &sink);
	expect(pattern_is(ua, PROBE, 32), true);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	expect(emulated_state(&first).notified, 1);
	device_cannot_read(v, 0, IOVA, ua, &sink);
	expect(emulated_copy(&first, EMULATED_RW, IOVA, data, PROBE, false), -EINVAL);
}

/* QEMU unmaps one TCE a call, and the general path must check each call */
TEST_F(both, unmapping_one_tce_of_a_pinned_page_makes_the_driver_unpin_it, .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, base_page());

	device_reaches(v, 0, IOVA, ua);
	expect(emulated_pin(&first, IOVA, 1, true), 1);
	expect(dma_unmap(v->fd, IOVA + base_page() - TCE_4K, TCE_4K), 0);
	expect(emulated_state(&first).notified, 1);
	expect(emulated_state(&first).pins, 0);
	expect(emulated_pin(&first, IOVA, 1, true), -EINVAL);
}

TEST_F(both, replacing_a_pinned_page_makes_the_driver_unpin_it, .intree = REFUSED)
{
	uint8_t *other = registered(v, base_page());

	mapped(v, IOVA, base_page());
	expect(emulated_pin(&first, IOVA, 1, true), 1);
	expect(dma_map(v->fd, IOVA, other, base_page(), READ_WRITE), 0);
	expect(emulated_state(&first).notified, 1);
	emulated_reaches(&first, IOVA, other);
	device_reaches(v, 0, IOVA, other);
}

TEST_F(both, a_driver_that_keeps_its_pages_makes_the_request_fail, .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, 2 * base_page());

	expect(emulated_pin(&first, IOVA, 1, true), 1);
	emulated_ignore(&first, 1000);
	expect(dma_unmap(v->fd, IOVA, 2 * base_page()), -EBUSY);
	expect(window_remove(v->fd, 0), -EBUSY);
	device_reaches(v, 0, IOVA + base_page(), ua + base_page());
	emulated_ignore(&first, 0);
	expect(dma_unmap(v->fd, IOVA, 2 * base_page()), 0);
}

TEST_F(both, a_driver_that_kept_its_pages_can_unpin_them_when_it_is_opened_again,
       .intree = REFUSED)
{
	uint8_t *ua = mapped(v, IOVA, 2 * base_page());

	expect(emulated_pin(&first, IOVA, 1, true), 1);
	emulated_ignore(&first, 1);
	close(first.fd);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), -EBUSY);
	expect(dma_unmap(v->fd, IOVA + base_page(), base_page()), 0);
	expect(dma_map(v->fd, IOVA, ua + base_page(), base_page(), READ_WRITE), -EBUSY);
	device_reaches(v, 0, IOVA, ua);
	emulated_open(&first, 0);
	expect(emulated_state(&first).pins, 1);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	expect(emulated_state(&first).notified, 1);
	expect(emulated_state(&first).pins, 0);
	unregister_ok(v, ua, 2 * base_page());
}

TEST(emulated_groups_join_and_leave_in_any_order, .setup = BARE, .intree = REFUSED)
{
	uint8_t *ua;

	for (int round = 0; round < 2; round++) {
		expect(vfio_open(v), 0);
		expect(emulated_join(v, &first, 0), 0);
		expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
		expect(emulated_join(v, &second, 1), 0);
		emulated_open(&second, 1);
		/* No window exists yet, so hardware may join and brings its windows */
		expect(vfio_attach(v, 0), 0);
		ua = mapped(v, IOVA, base_page());
		emulated_reaches(&second, IOVA, ua);
		device_reaches(v, 0, IOVA, ua);
		if (round)
			emulated_leave(&second);
		edu_close(&v->edu[0]);
		expect(vfio_detach(v, 0), 0);
		emulated_open(&first, 0);
		/* A hypervisor's windows go with the hardware */
		if (under_hypervisor())
			expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
		emulated_reaches(&first, IOVA, ua);
		if (!round)
			emulated_leave(&second);
		emulated_leave(&first);
		vfio_close(v);
	}
}

TEST(hardware_cannot_join_windows_without_hardware, .setup = BARE, .intree = REFUSED)
{
	uint8_t *ua;

	expect(vfio_open(v), 0);
	expect(emulated_join(v, &first, 0), 0);
	expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
	emulated_open(&first, 0);
	ua = mapped(v, IOVA, base_page());
	expect(vfio_attach(v, 0), -EPERM);
	emulated_reaches(&first, IOVA, ua);
	expect(window_remove(v->fd, 0), 0);
	expect(vfio_attach(v, 0), 0);
	expect(vfio_detach(v, 0), 0);
	emulated_leave(&first);
	vfio_close(v);
}
