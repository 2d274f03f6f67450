// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct vfio_iommu_driver_ops
 *
 * Asked where the build tree has the header, which is private to VFIO: then
 * what include/tce2_vfio.h declares gets other names here and is compared.
 *
 * Follows: "vfio: revert "iommu driver notify callback"" (Linux 6.3), which
 * removed the last member.
 */
#include <linux/vfio.h>

#define vfio_group_type			tce2_group_type
#define VFIO_IOMMU			TCE2_IOMMU
#define VFIO_EMULATED_IOMMU		TCE2_EMULATED_IOMMU
#define VFIO_NO_IOMMU			TCE2_NO_IOMMU
#define vfio_iommu_driver_ops		tce2_driver_ops
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

/* Beside the directory of the kernel's headers */
#include <../drivers/vfio/vfio.h>

#include "probe.h"

#define SAME_PLACE(member)						\
	(offsetof(struct vfio_iommu_driver_ops, member) ==		\
	 offsetof(struct tce2_driver_ops, member))

#define SAME_TYPE(member)						\
	__same_type(((struct vfio_iommu_driver_ops *)0)->member,	\
		    ((struct tce2_driver_ops *)0)->member)

#define PROBE_SAME(member)						\
	static_assert(SAME_PLACE(member) && SAME_TYPE(member),		\
		      "struct vfio_iommu_driver_ops has another " #member)

PROBE_SAME(name);
PROBE_SAME(owner);
PROBE_SAME(open);
PROBE_SAME(release);
PROBE_SAME(ioctl);

/* Its type has the name of the kernel's own enum in it */
static_assert(SAME_PLACE(attach_group));
PROBE_MEMBER(struct vfio_iommu_driver_ops, attach_group,
	     int (*)(void *iommu_data, struct iommu_group *group,
		     enum vfio_group_type type));

PROBE_SAME(detach_group);
PROBE_SAME(pin_pages);
PROBE_SAME(unpin_pages);
PROBE_SAME(register_device);
PROBE_SAME(unregister_device);
PROBE_SAME(dma_rw);
PROBE_SAME(group_iommu_domain);

static_assert(sizeof(struct vfio_iommu_driver_ops) <=
	      sizeof(struct tce2_driver_ops),
	      "struct vfio_iommu_driver_ops has more members");

PROBE_VALUE((int)VFIO_IOMMU, (int)TCE2_IOMMU);
PROBE_VALUE((int)VFIO_EMULATED_IOMMU, (int)TCE2_EMULATED_IOMMU);
PROBE_VALUE((int)VFIO_NO_IOMMU, (int)TCE2_NO_IOMMU);

PROBE_FUNCTION(vfio_register_iommu_driver,
	       int (const struct vfio_iommu_driver_ops *ops));
PROBE_FUNCTION(vfio_unregister_iommu_driver,
	       void (const struct vfio_iommu_driver_ops *ops));
