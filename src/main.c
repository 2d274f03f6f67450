// SPDX-License-Identifier: GPL-2.0-only
/*
 * Module entry: offers the backend to VFIO and takes it back.
 *
 * Owns the callbacks that VFIO calls (include/tce2_compat.h declares them).
 * VFIO asks the backend that was registered last first, so this module is to
 * be loaded after vfio_iommu_spapr_tce; a container that it can't serve goes to
 * that one.
 *
 * Locks: none.
 * Calls: uapi, container, ddw (groups).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/vfio.h>

#include "tce2_compat.h"
#include "tce2_container.h"
#include "tce2_uapi.h"

static void *backend_open(unsigned long type)
{
	if (type != VFIO_SPAPR_TCE_v2_IOMMU)
		return ERR_PTR(-EINVAL);
	return tce2_container_open();
}

static void backend_release(void *iommu_data)
{
	tce2_container_release(iommu_data);
}

static long backend_ioctl(void *iommu_data, unsigned int cmd,
			  unsigned long arg)
{
	struct tce2_container *container;
	long ret;

	if (cmd == VFIO_CHECK_EXTENSION)
		return tce2_check_extension(arg);

	container = tce2_container_get(iommu_data);
	if (!container)
		return -EINVAL;
	ret = tce2_uapi_ioctl(container, cmd, arg);
	tce2_container_put(container);
	return ret;
}

static int backend_attach_group(void *iommu_data, struct iommu_group *group,
				enum vfio_group_type type)
{
	struct tce2_container *container;
	int ret;

	if (type != VFIO_IOMMU)
		return -EINVAL;
	container = tce2_container_get(iommu_data);
	if (WARN_ON_ONCE(!container))
		return -EINVAL;
	ret = tce2_ddw_attach(&container->ddw, group);
	if (ret)
		pr_debug("container %u: group %d can't be attached, error %d\n",
			 container->id, iommu_group_id(group), ret);
	tce2_container_put(container);
	return ret;
}

static void backend_detach_group(void *iommu_data, struct iommu_group *group)
{
	struct tce2_container *container = tce2_container_get(iommu_data);

	if (WARN_ON_ONCE(!container))
		return;
	WARN_ON_ONCE(tce2_ddw_detach(&container->ddw, group));
	tce2_container_put(container);
}

static const struct vfio_iommu_driver_ops backend_ops = {
	.name		= KBUILD_MODNAME,
	.owner		= THIS_MODULE,
	.open		= backend_open,
	.release	= backend_release,
	.ioctl		= backend_ioctl,
	.attach_group	= backend_attach_group,
	.detach_group	= backend_detach_group,
};

static int __init tce2_init(void)
{
	if (TCE2_VFIO_REFUSES_DEVICES)
		pr_notice("VFIO of this kernel refuses every device on POWER (as of Linux 5.18 to 6.3): no container can be served\n");
	return vfio_register_iommu_driver(&backend_ops);
}

static void __exit tce2_exit(void)
{
	vfio_unregister_iommu_driver(&backend_ops);
	tce2_container_wait_all_gone();
	/* Regions are freed by callbacks of this module */
	rcu_barrier();
}

module_init(tce2_init);
module_exit(tce2_exit);

MODULE_VERSION(TCE2_VERSION);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-spapr-tce2 authors");
MODULE_DESCRIPTION("VFIO IOMMU backend for sPAPR TCE v2 containers");
