// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: two containers of one process, each with a device. They share only the
 * registered memory.
 */
#include "conformance.h"

#define SIZE	MIB(1)

/* Container a has the device of slot 0, and container b has the device of slot 1 */
static struct vfio b;

static struct vfio *two_containers(struct vfio *a)
{
	need_two_devices();
	open_container(a, 0);
	open_container(&b, 1);
	return a;
}

TEST(a_region_of_two_containers_is_pinned_and_charged_once,
     .setup = BARE, .intree = "defect 18: unpins pages late")
{
	struct vfio *a = two_containers(v);
	struct ledger before = ledger();
	uint8_t *ua = registered(a, SIZE);

	expect_ledger("registered in a", before, SIZE);
	expect(spapr_register(b.fd, ua, SIZE), 0);
	expect_ledger("registered in b as well", before, SIZE);
	expect(spapr_register(b.fd, ua, SIZE), -EBUSY);
	unregister_ok(a, ua, SIZE);
	expect_ledger("unregistered in a", before, SIZE);
	unregister_ok(&b, ua, SIZE);
	expect_ledger("unregistered in b as well", before, 0);
	vfio_close(&b);
}

TEST(unregister_keeps_the_region_of_the_other_container,
     .setup = BARE, .intree = "defect 3")
{
	struct vfio *a = two_containers(v);
	uint8_t *ua = registered(a, SIZE);

	expect(spapr_register(b.fd, ua, SIZE), 0);
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), 0);
	unregister_ok(a, ua, SIZE);
	expect(spapr_unregister(a->fd, ua, SIZE), -ENOENT);
	device_reaches(&b, 1, IOVA, ua);
	expect(spapr_unregister(b.fd, ua, SIZE), -EBUSY);
	expect(spapr_register(a->fd, ua, SIZE), 0);
	vfio_close(&b);
	unregister_ok(a, ua, SIZE);
}

TEST(unregister_in_another_container_returns_enoent, .setup = BARE)
{
	struct vfio *a = two_containers(v);
	uint8_t *ua = registered(a, SIZE);

	registered(&b, base_page());
	expect(spapr_unregister(b.fd, ua, SIZE), -ENOENT);
	unregister_ok(a, ua, SIZE);
	vfio_close(&b);
}

TEST(an_overlap_with_the_other_containers_region_is_refused, .setup = BARE)
{
	struct vfio *a = two_containers(v);
	uint8_t *ua = registered(a, SIZE);
	struct ledger before = ledger();

	expect(spapr_register(b.fd, ua, SIZE / 2), -EINVAL);
	expect(spapr_register(b.fd, ua + SIZE / 2, SIZE / 2), -EINVAL);
	expect_ledger("refused", before, 0);
	vfio_close(&b);
}

TEST(memory_of_one_container_can_be_mapped_in_the_other,
     .setup = BARE, .intree = "defect 3")
{
	struct vfio *a = two_containers(v);
	uint8_t *ua = registered(a, SIZE);

	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), -EPERM);
	registered(&b, base_page());
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), 0);
	device_reaches(&b, 1, IOVA, ua);
	expect(spapr_unregister(a->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(b.fd, IOVA, SIZE), 0);
	unregister_ok(a, ua, SIZE);
	vfio_close(&b);
}

/* After container a is closed, the mapping in container b is the region's last user */
TEST(memory_of_a_closed_container_stays_mapped_in_the_other,
     .setup = BARE, .intree = "defect 3")
{
	struct vfio *a = two_containers(v);
	struct ledger before = ledger();
	uint8_t *ua = registered(a, SIZE);
	uint64_t own = base_page();

	registered(&b, own);
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), 0);
	vfio_close(a);
	expect(pins() - before.pins, (SIZE + own) / base_page());
	device_reaches(&b, 1, IOVA, ua);
	expect(dma_unmap(b.fd, IOVA, SIZE), 0);
	expect(pins() - before.pins, own / base_page());
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), -EINVAL);
	vfio_close(&b);
}

TEST(closing_both_containers_releases_their_shared_region,
     .setup = BARE, .intree = "defect 18: unpins pages late")
{
	struct vfio *a = two_containers(v);
	struct ledger before = ledger();
	uint8_t *ua = mapped(a, IOVA, SIZE);

	expect(spapr_register(b.fd, ua, SIZE), 0);
	expect(dma_map(b.fd, IOVA, ua, SIZE, READ_WRITE), 0);
	vfio_close(&b);
	device_reaches(a, 0, IOVA, ua);
	vfio_close(a);
	expect_ledger("both closed", before, 0);
}

TEST(each_container_has_separate_windows, .setup = BARE)
{
	struct vfio *a = two_containers(v);
	uint8_t *of_a = mapped(a, IOVA, base_page());
	uint8_t *of_b = mapped(&b, IOVA, base_page());

	device_reaches(a, 0, IOVA, of_a);
	device_reaches(&b, 1, IOVA, of_b);
	expect(window_remove(a->fd, 0), 0);
	expect(new_window(a, 12, GIB(1), 1), 0);
	device_reaches(&b, 1, IOVA, of_b);
	expect(new_window(&b, 12, GIB(1), 1), WINDOW1_START);
	expect(new_window(a, 12, GIB(1), 1), WINDOW1_START);
	vfio_close(&b);
}
