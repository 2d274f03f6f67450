/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands of the emulated device of vfio_spapr_tce2_emulated, for tests only.
 *
 * The ioctls are made on the device's descriptor, from VFIO_GROUP_GET_DEVICE_FD.
 */
#ifndef EMULATED_H
#define EMULATED_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Device number n has the name EMULATED_NAME.n */
#define EMULATED_NAME		"tce2-emulated"
#define EMULATED_DEVICES	2

/* Largest number of pages that a device has pinned, and of bytes in one copy */
#define EMULATED_PINS		512
#define EMULATED_BYTES		0x100000

/**
 * struct emulated_pin - pages to pin or to unpin
 * @iova: first bus address
 * @pages: number of pages of the kernel
 * @write: the device will write to the pages
 */
struct emulated_pin {
	__u64 iova;
	__u32 pages;
	__u32 write;
};

/**
 * struct emulated_copy - data to copy
 * @iova: first bus address
 * @data: the program's buffer
 * @bytes: number of bytes
 * @write: copy from the buffer to the bus address, else from the bus address to the buffer
 */
struct emulated_copy {
	__u64 iova;
	__u64 data;
	__u32 bytes;
	__u32 write;
};

/**
 * struct emulated_state - state of the device
 * @notified: number of notifications (dma_unmap) since the device was opened
 * @iova: first bus address of the last notification
 * @size: bytes of the last notification
 * @pins: number of pinned pages
 */
struct emulated_state {
	__u64 notified;
	__u64 iova;
	__u64 size;
	__u64 pins;
};

/* Pin pages with vfio_pin_pages(), and unpin them */
#define EMULATED_PIN		_IOW('E', 0, struct emulated_pin)
#define EMULATED_UNPIN		_IOW('E', 1, struct emulated_pin)
/* Copy with vfio_dma_rw() */
#define EMULATED_RW		_IOW('E', 2, struct emulated_copy)
/* Copy from or to pages that the device has pinned */
#define EMULATED_TOUCH		_IOW('E', 3, struct emulated_copy)
#define EMULATED_STATE		_IOR('E', 4, struct emulated_state)
/*
 * Ignore this number of notifications from now on. If notifications are left when the device is
 * closed, it keeps its pages. A program must unpin them before it closes the container.
 */
#define EMULATED_IGNORE		_IOW('E', 5, __u32)

#endif /* EMULATED_H */
