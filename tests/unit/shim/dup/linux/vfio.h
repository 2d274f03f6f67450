/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_VFIO_H
#define DUP_VFIO_H

/* Includes this machine's uapi header, which needs this type */
#include <asm/types.h>
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#include_next <linux/vfio.h>

#include <linux/list.h>
#include <linux/types.h>

struct vfio_device;

/**
 * struct vfio_device_ops - callbacks of a device's driver
 * @dma_unmap: the driver must unpin the pages of a range of bus addresses, or NULL
 */
struct vfio_device_ops {
	void (*dma_unmap)(struct vfio_device *device, u64 iova, u64 length);
};

/**
 * struct vfio_device - an open device
 * @ops: callbacks of its driver
 * @iommu_entry: link of the container's backend
 */
struct vfio_device {
	const struct vfio_device_ops *ops;
	struct list_head iommu_entry;
};

#endif /* DUP_VFIO_H */
