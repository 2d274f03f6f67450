// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct vfio_iommu_driver_ops
 *
 * Compiled only if the build tree has VFIO's private header, drivers/vfio/vfio.h. The
 * probe gives the declarations of include/tce2_vfio.h other names, and compares them
 * with the private header.
 *
 * The API has this form since "vfio: revert "iommu driver notify callback""
 * (Linux 6.3), which removed the last member.
 */
#include <linux/vfio.h>

#define vfio_group_type			tce2_vfio_group_type
#define VFIO_IOMMU			TCE2_VFIO_IOMMU
#define VFIO_EMULATED_IOMMU		TCE2_VFIO_EMULATED_IOMMU
#define VFIO_NO_IOMMU			TCE2_VFIO_NO_IOMMU
#define vfio_iommu_driver_ops		tce2_vfio_iommu_driver_ops
#define vfio_register_iommu_driver	tce2_register_driver
#define vfio_unregister_iommu_driver	tce2_unregister_driver
#include "tce2_vfio.h"
#undef vfio_group_type
#undef VFIO_IOMMU
#undef VFIO_EMULATED_IOMMU
#undef VFIO_NO_IOMMU
#undef vfio_iommu_driver_ops
#undef vfio_register_iommu_driver
#undef vfio_unregister_iommu_driver

/* The path is relative to the kernel's include directory, whose parent has drivers/ */
#include <../drivers/vfio/vfio.h>

#include "probe.h"

#define SAME_PLACE(structure, member)					\
	(offsetof(struct structure, member) ==				\
	 offsetof(struct tce2_##structure, member))

/* src/layout.c asserts that the types in the list are the types of tce2_vfio.h */
#undef KERNEL_MEMBER
#define KERNEL_MEMBER(structure, member, type...)			\
	static_assert(SAME_PLACE(structure, member) &&			\
		      __same_type(((struct structure *)0)->member, type), \
		      "struct " #structure " has another " #member);

#define KERNEL_VALUE(enumeration, value)				\
	PROBE_VALUE((int)value, (int)TCE2_##value);

#define TCE2_API_VFIO_OPS
#include "tce2_kernel_api.h"

static_assert(sizeof(struct vfio_iommu_driver_ops) <=
	      sizeof(struct tce2_vfio_iommu_driver_ops),
	      "struct vfio_iommu_driver_ops has more members");
