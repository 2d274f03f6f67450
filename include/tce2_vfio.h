/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Types and functions that VFIO shares with its backends (IOMMU drivers).
 *
 * vfio.ko exports vfio_register_iommu_driver(), but its types are defined in
 * drivers/vfio/vfio.h, which no headers package contains. This header defines
 * types with the same layout. No CRC detects that the kernel's layout has
 * changed, because this module takes the function's CRC from the kernel that it
 * is built for. If the build tree has drivers/vfio/vfio.h, src/probes/vfio_ops.c
 * compares the two headers.
 */
#ifndef TCE2_VFIO_H
#define TCE2_VFIO_H

#include <linux/types.h>

struct iommu_domain;
struct iommu_group;
struct module;
struct page;
struct vfio_device;

/**
 * enum vfio_group_type - kind of a group that VFIO attaches
 * @VFIO_IOMMU: physical device with an IOMMU
 * @VFIO_EMULATED_IOMMU: mediated device; VFIO's core creates its group
 * @VFIO_NO_IOMMU: physical device used without an IOMMU
 *
 * Defined in drivers/vfio/vfio.h, and unchanged from Linux 6.1 to 7.3.
 */
enum vfio_group_type {
	VFIO_IOMMU,
	VFIO_EMULATED_IOMMU,
	VFIO_NO_IOMMU,
};

/**
 * struct vfio_iommu_driver_ops - callbacks of a VFIO IOMMU backend
 * @name: name of the backend
 * @owner: module of the backend; a container that uses the backend has a
 *	reference to the module
 * @open: allocate the backend's data for a container; returns the data (iommu_data),
 *	which VFIO's core passes to the other callbacks, or an ERR_PTR
 * @release: undo @open, after the last group is detached
 * @ioctl: container ioctl; with VFIO_CHECK_EXTENSION iommu_data may be NULL
 * @attach_group: attach a group to the container
 * @detach_group: detach a group from the container
 * @pin_pages: pin the pages that bus addresses map, for the driver of an emulated device
 * @unpin_pages: undo @pin_pages
 * @register_device: a device of any kind is opened
 * @unregister_device: undo @register_device
 * @dma_rw: copy between a driver's buffer and the memory that bus addresses map
 * @group_iommu_domain: unused here
 * @notify: the last member up to Linux 6.2, removed by "vfio: revert "iommu
 *	driver notify callback"". Later kernels read no member after
 *	@group_iommu_domain, so NULL is valid for all kernels.
 *
 * Defined in drivers/vfio/vfio.h. The core calls @open, @release, @attach_group and
 * @detach_group with the container's group_lock held, @register_device and @unregister_device
 * with the group's group_lock held, and the other callbacks without a lock.
 */
struct vfio_iommu_driver_ops {
	char *name;
	struct module *owner;
	void *(*open)(unsigned long arg);
	void (*release)(void *iommu_data);
	long (*ioctl)(void *iommu_data, unsigned int cmd, unsigned long arg);
	int (*attach_group)(void *iommu_data, struct iommu_group *group,
			    enum vfio_group_type type);
	void (*detach_group)(void *iommu_data, struct iommu_group *group);
	int (*pin_pages)(void *iommu_data, struct iommu_group *group,
			 dma_addr_t user_iova, int npage, int prot,
			 struct page **pages);
	void (*unpin_pages)(void *iommu_data, dma_addr_t user_iova, int npage);
	void (*register_device)(void *iommu_data, struct vfio_device *vdev);
	void (*unregister_device)(void *iommu_data, struct vfio_device *vdev);
	int (*dma_rw)(void *iommu_data, dma_addr_t user_iova, void *data,
		      size_t count, bool write);
	struct iommu_domain *(*group_iommu_domain)(void *iommu_data,
						   struct iommu_group *group);
	void (*notify)(void *iommu_data, int event);
};

int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);

#endif /* TCE2_VFIO_H */
