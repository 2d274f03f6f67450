// SPDX-License-Identifier: GPL-2.0-only
/* An emulated device and the contents of page frames, see sim_device.h. */
#include <stdlib.h>
#include <string.h>

#include <linux/highmem.h>

#include "sim.h"
#include "sim_device.h"
#include "tce2_why.h"

#define MAX_FRAMES 64

static struct {
	u64 pfn;
	u8 *bytes;
} frames[MAX_FRAMES];

u8 *frame_contents(u64 pfn)
{
	unsigned int i;

	for (i = 0; i < MAX_FRAMES && frames[i].bytes; i++) {
		if (frames[i].pfn == pfn)
			return frames[i].bytes;
	}
	if (i == MAX_FRAMES)
		sim_bug("a test uses the contents of too many pages");
	frames[i].pfn = pfn;
	frames[i].bytes = calloc(1, PAGE_SIZE);
	return frames[i].bytes;
}

void frames_reset(void)
{
	for (unsigned int i = 0; i < MAX_FRAMES; i++) {
		free(frames[i].bytes);
		frames[i].bytes = NULL;
	}
}

static u8 *frame_at(struct page *page, size_t offset, size_t bytes)
{
	if (offset + bytes > PAGE_SIZE)
		sim_bug("a copy leaves its page");
	return frame_contents(page_to_pfn(page)) + offset;
}

void memcpy_to_page(struct page *page, size_t offset, const void *from, size_t bytes)
{
	memcpy(frame_at(page, offset, bytes), from, bytes);
}

void memcpy_from_page(void *to, struct page *page, size_t offset, size_t bytes)
{
	memcpy(to, frame_at(page, offset, bytes), bytes);
}

static void device_notified(struct vfio_device *vfio, u64 iova, u64 length)
{
	struct sim_device *device = (struct sim_device *)vfio;

	device->notified++;
	device->iova = iova;
	device->size = length;
	if (device->meanwhile)
		device->meanwhile(device);
	if (device->ignore)
		device->ignore--;
	else
		device_unpin(device, iova, length);
}

static const struct vfio_device_ops device_ops = { .dma_unmap = device_notified };

void device_open(struct sim_device *device, struct tce2_container *container)
{
	memset(device, 0, sizeof(*device));
	device->vfio.ops = &device_ops;
	device->container = container;
	tce2_container_add_device(container, &device->vfio);
}

void device_close(struct sim_device *device)
{
	tce2_container_remove_device(device->container, &device->vfio);
}

int device_pin(struct sim_device *device, u64 iova, u64 count, u64 perm, struct page **pages)
{
	struct tce2_pin_request request = {
		.iova = iova, .count = count, .perm = perm, .pages = pages,
	};
	int ret = tce2_container_pin(device->container, &request);

	for (u64 i = 0; !ret && i < count; i++) {
		if (device->nr_pins == DEVICE_PINS)
			sim_bug("a test pins too many pages");
		device->pins[device->nr_pins++] = iova + (i << PAGE_SHIFT);
	}
	return tce2_errno(ret);
}

void device_unpin(struct sim_device *device, u64 iova, u64 size)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < device->nr_pins; i++) {
		if (device->pins[i] - iova < size)
			tce2_container_unpin(device->container, device->pins[i], 1);
		else
			device->pins[left++] = device->pins[i];
	}
	device->nr_pins = left;
}

static int device_copy(struct sim_device *device, u64 iova, void *data, u64 bytes, bool write)
{
	struct tce2_access_request request = {
		.iova = iova, .data = data, .bytes = bytes, .write = write,
	};

	return tce2_errno(tce2_container_access(device->container, &request));
}

int device_read(struct sim_device *device, u64 iova, void *data, u64 bytes)
{
	return device_copy(device, iova, data, bytes, false);
}

int device_write(struct sim_device *device, u64 iova, const void *data, u64 bytes)
{
	return device_copy(device, iova, (void *)data, bytes, true);
}
