// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that run before and after the conformance tests. Each runs in its own process,
 * which exits at the first wrong result.
 */
#include "job_conformance.h"
#include "lib.h"
#include "machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define HELD_SIZE	MIB(4)
#define HELD_WINDOW	GIB(1)
#define HELD_IOVA	MIB(1)

#define RESCAN		"/sys/bus/pci/rescan"
#define IOVA		MIB(16)

static void need(bool good, const char *what)
{
	if (good)
		return;
	printf("# client: %s\n", what);
	fflush(stdout);
	_exit(1);
}

/* Map in two windows of a group and exit without unmapping: the kernel must clean up */
static bool hold_in_child(void *arg)
{
	int refs = module_refs(OUR_MODULE), *group = arg, fd;
	uint8_t *ua = mem_base(HELD_SIZE);
	uint64_t start;
	struct vfio v;
	char path[64];

	need(ua, "no memory");
	snprintf(path, sizeof(path), "/dev/vfio/%d", *group);
	need(!vfio_open(&v), "opening a container");
	fd = open(path, O_RDWR | O_CLOEXEC);
	need(fd >= 0, path);
	need(!ioctl(fd, VFIO_GROUP_SET_CONTAINER, &v.fd), "SET_CONTAINER");
	need(!vfio_set_iommu(&v, VFIO_SPAPR_TCE_v2_IOMMU), "SET_IOMMU");
	need(module_refs(OUR_MODULE) == refs + 1, "not handled by this module");
	need(!spapr_register(v.fd, ua, HELD_SIZE), "REGISTER");
	need(!dma_map(v.fd, HELD_IOVA, ua, HELD_SIZE, READ_WRITE), "MAP");
	need(!window_create(v.fd, 12, HELD_WINDOW, 1, &start), "TCE_CREATE");
	need(!dma_map(v.fd, start + HELD_WINDOW - HELD_SIZE, ua, HELD_SIZE, READ_WRITE),
	     "MAP in the second window");
	return true;
}

bool hold_group(int group)
{
	return succeeds_in_child(hold_in_child, &group);
}

/* True if a device is in the same group as the device of the first slot */
static bool is_in_group(const char *device)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/devices/%s",
		 vfio_device_name(0), device);
	return !access(path, F_OK);
}

static int map(struct vfio *v, uint64_t iova, uint8_t *page)
{
	return dma_map(v->fd, iova, page, base_page(), READ_WRITE);
}

static void own_and_write(struct vfio *v, uint8_t *page)
{
	need(!vfio_own(v), "opening a container");
	need(!spapr_register(v->fd, page, base_page()), "REGISTER");
	need(!map(v, IOVA, page), "MAP");
	need(vfio_device_writes(v, IOVA, page) == 1, "the device does not write");
}

/* Check that the owner can map and unmap, although its window is no longer set on the group */
static void use_and_close(struct vfio *v, uint8_t *page)
{
	need(!vfio_device_writes(v, IOVA, page), "the group still has its window");
	need(!map(v, IOVA + MIB(1), page), "MAP after the device was plugged in");
	need(!dma_unmap(v->fd, IOVA, base_page()), "UNMAP after the device was plugged in");
	need(!map(v, IOVA, page), "MAP again");
	vfio_close(v);
}

static bool use_in_child(void *arg)
{
	uint8_t *page = mem_base(base_page());
	const char *device = arg;
	struct vfio v;

	need(page && vfio_devices(), "no memory or no device");
	own_and_write(&v, page);
	need(!is_in_group(device), "the other device is already in the group");
	need(write_text(RESCAN, "1"), RESCAN);
	need(is_in_group(device), "the other device was not found");
	use_and_close(&v, page);
	own_and_write(&v, page);
	vfio_close(&v);
	return true;
}

/*
 * Use a group while a PCI rescan finds a removed device of the group again. powernv then
 * unsets the windows of the group. The requests of the group's owner must still succeed,
 * and the owner's device must work again in the next container.
 */
bool use_group_while_plugging(const char *device)
{
	return succeeds_in_child(use_in_child, (void *)device);
}
