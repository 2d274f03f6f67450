/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What VFIO and its backends share.
 *
 * vfio.ko exports vfio_register_iommu_driver() but keeps the types it takes
 * in drivers/vfio/vfio.h, which no headers package carries. What follows
 * declares the same layout; no CRC notices if the kernel's changes, because
 * this module takes the CRC of the function from the kernel it is built for.
 * Where the build tree does have that header, src/probes/vfio_ops.c compares.
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
 * enum vfio_group_type - what kind of group VFIO wants to attach
 * @VFIO_IOMMU: physical device behind an IOMMU
 * @VFIO_EMULATED_IOMMU: mediated device, its group is made up by the core
 * @VFIO_NO_IOMMU: physical device used without an IOMMU
 *
 * drivers/vfio/vfio.h, unchanged from Linux 6.1 to 7.3.
 */
enum vfio_group_type {
	VFIO_IOMMU,
	VFIO_EMULATED_IOMMU,
	VFIO_NO_IOMMU,
};

/**
 * struct vfio_iommu_driver_ops - callbacks of a VFIO IOMMU backend
 * @name: name of the backend
 * @owner: module that a container pins while it uses the backend
 * @open: make the backend's part of a container; returns what the core then
 *	passes as iommu_data, or an ERR_PTR
 * @release: undo @open, after the last group left
 * @ioctl: container ioctl; with VFIO_CHECK_EXTENSION iommu_data may be NULL
 * @attach_group: a group joins the container
 * @detach_group: a group leaves the container
 * @pin_pages: for mediated devices, unused here
 * @unpin_pages: for mediated devices, unused here
 * @register_device: for mediated devices, unused here
 * @unregister_device: for mediated devices, unused here
 * @dma_rw: for mediated devices, unused here
 * @group_iommu_domain: for mediated devices, unused here
 * @notify: last member up to Linux 6.2 and gone since "vfio: revert "iommu
 *	driver notify callback"". Kernels that do not have it never look behind
 *	@group_iommu_domain, so a NULL here serves both.
 *
 * drivers/vfio/vfio.h. The core calls @open, @release, @attach_group and
 * @detach_group under the container's group lock, @ioctl under no lock at all.
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
