// SPDX-License-Identifier: GPL-2.0-only
/*
 * Module entry: registers the backend with VFIO and unregisters it.
 *
 * Owns the callbacks that VFIO calls (include/tce2_vfio.h declares them), and
 * their registrations: VFIO first asks the backend that was registered last
 * (vfio_register_iommu_driver()). So this module registers again whenever
 * vfio_iommu_spapr_tce has been loaded after it.
 * Containers this module cannot or must not serve (enabled=0) fall
 * through to the in-tree driver.
 *
 * Locks: registrations_lock, for the list of them; VFIO's own are taken inside.
 * Calls: uapi, container.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vfio.h>

#include "tce2_compat.h"
#include "tce2_container.h"
#include "tce2_uapi.h"

#define IN_TREE_BACKEND	"vfio_iommu_spapr_tce"

static bool enabled = true;
module_param(enabled, bool, 0644);
MODULE_PARM_DESC(enabled,
		 "Serve new containers (default: 1); 0 leaves them to "
		 IN_TREE_BACKEND);

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

	if (cmd == VFIO_CHECK_EXTENSION) {
		/* No container yet: VFIO is looking for who could serve it */
		if (!iommu_data && !READ_ONCE(enabled))
			return 0;
		return tce2_check_extension(arg);
	}

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
	ret = tce2_container_attach(container, group);
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
	WARN_ON_ONCE(tce2_container_detach(container, group));
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

/*
 * One entry of this backend in VFIO's list. VFIO takes the same ops only once,
 * so each has a copy. None is taken back before the module goes: a container
 * that it serves points to it, and VFIO doesn't say when that ends. There is
 * one for each time that the in-tree backend was loaded.
 */
struct backend_registration {
	struct list_head link;
	struct vfio_iommu_driver_ops ops;
};

static LIST_HEAD(registrations);
static DEFINE_MUTEX(registrations_lock);
/* Loading has failed: there is no registration, and none can be any more */
static bool init_failed;

/* From now on VFIO asks this backend first */
static int backend_register_first(void)
{
	struct backend_registration *new = kmalloc(sizeof(*new), GFP_KERNEL);
	int ret;

	if (!new)
		return -ENOMEM;
	new->ops = backend_ops;
	mutex_lock(&registrations_lock);
	ret = init_failed ? -ENODEV : vfio_register_iommu_driver(&new->ops);
	if (ret)
		kfree(new);
	else
		list_add(&new->link, &registrations);
	mutex_unlock(&registrations_lock);
	return ret;
}

/*
 * Loading can't fail any more once VFIO knows this backend from an event: a
 * container may be open, and the kernel frees a module whose init function
 * fails without asking whether it is in use.
 */
static bool backend_refuse_registrations(void)
{
	bool gone;

	mutex_lock(&registrations_lock);
	init_failed = list_empty(&registrations);
	gone = init_failed;
	mutex_unlock(&registrations_lock);
	return gone;
}

static void backend_unregister_all(void)
{
	struct backend_registration *old, *next;

	mutex_lock(&registrations_lock);
	list_for_each_entry_safe(old, next, &registrations, link) {
		list_del(&old->link);
		vfio_unregister_iommu_driver(&old->ops);
		kfree(old);
	}
	mutex_unlock(&registrations_lock);
}

/* A module is LIVE once its init function, which registers it, is done */
static int backend_module_event(struct notifier_block *block, unsigned long event,
				void *data)
{
	struct module *module = data;
	int ret;

	if (event != MODULE_STATE_LIVE || strcmp(module->name, IN_TREE_BACKEND))
		return NOTIFY_DONE;
	ret = backend_register_first();
	if (ret)
		pr_warn(IN_TREE_BACKEND " is asked first now, error %d\n", ret);
	return NOTIFY_OK;
}

static struct notifier_block module_notifier = {
	.notifier_call	= backend_module_event,
};

static int __init tce2_init(void)
{
	int ret;

	if (TCE2_VFIO_REFUSES_DEVICES)
		pr_notice("VFIO of this kernel refuses every device on POWER (as of Linux 5.19 to 6.3): no container can be served\n");
	ret = tce2_container_init();
	if (ret)
		return ret;
	ret = register_module_notifier(&module_notifier);
	if (ret)
		goto exit_container;
	/* After the notifier, lest an in-tree backend comes unseen */
	ret = backend_register_first();
	if (ret && backend_refuse_registrations())
		goto unregister;
	return 0;

unregister:
	unregister_module_notifier(&module_notifier);
exit_container:
	tce2_container_exit();
	return ret;
}

static void __exit tce2_exit(void)
{
	unregister_module_notifier(&module_notifier);
	backend_unregister_all();
	/*
	 * The last request of a container puts the module, and then runs a few
	 * more instructions of it. So do the workers that free KVM's hooks or
	 * remove mirrors. On a preemptible kernel they may be preempted there.
	 */
	synchronize_rcu_tasks();
	/*
	 * RCU callbacks of this module have regions freed. KVM drops its last
	 * reference to a table in an RCU callback, which calls this module.
	 */
	rcu_barrier();
	tce2_container_exit();
}

module_init(tce2_init);
module_exit(tce2_exit);

MODULE_VERSION(TCE2_VERSION);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-spapr-tce2 authors");
MODULE_DESCRIPTION("VFIO IOMMU backend for sPAPR TCE v2 containers");
