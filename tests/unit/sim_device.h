/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated emulated device, whose driver pins pages, and the contents of page frames.
 *
 * The driver keeps a list of its pins. When it is notified, it unpins the pages of the range,
 * unless a test sets @ignore.
 */
#ifndef UNIT_SIM_DEVICE_H
#define UNIT_SIM_DEVICE_H

#include <linux/mm.h>
#include <linux/types.h>
#include <linux/vfio.h>

#include "tce2_container.h"

#define DEVICE_PINS 64

/**
 * struct sim_device - an emulated device
 * @vfio: the device for VFIO
 * @container: the container whose memory the device uses
 * @pins: bus addresses of the pinned pages, in the order of the pins
 * @nr_pins: number of elements of @pins
 * @notified: number of notifications
 * @iova: first bus address of the last notification
 * @size: bytes of the last notification
 * @ignore: number of notifications from now on that the driver ignores
 * @meanwhile: called in each notification, before the driver unpins; may be NULL
 */
struct sim_device {
	struct vfio_device vfio;
	struct tce2_container *container;
	u64 pins[DEVICE_PINS];
	unsigned int nr_pins;
	unsigned int notified;
	u64 iova;
	u64 size;
	unsigned int ignore;
	void (*meanwhile)(struct sim_device *device);
};

void device_open(struct sim_device *device, struct tce2_container *container);
void device_close(struct sim_device *device);
/* Pins @count pages; returns the result of tce2_container_pin() as an errno */
int device_pin(struct sim_device *device, u64 iova, u64 count, u64 perm, struct page **pages);
/* Unpins the pages that begin in a range */
void device_unpin(struct sim_device *device, u64 iova, u64 size);
int device_read(struct sim_device *device, u64 iova, void *data, u64 bytes);
int device_write(struct sim_device *device, u64 iova, const void *data, u64 bytes);

/* Returns the contents of a page frame */
u8 *frame_contents(u64 pfn);
void frames_reset(void);

#endif /* UNIT_SIM_DEVICE_H */
