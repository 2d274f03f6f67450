// SPDX-License-Identifier: GPL-2.0-only
/*
 * Module entry: registers this module with VFIO as a backend (IOMMU driver), and
 * unregisters it.
 *
 * Owns the callbacks that VFIO calls (include/tce2_vfio.h), and their
 * registrations. VFIO first asks the backend that was registered last
 * (vfio_register_iommu_driver()). So this module registers again whenever the
 * in-tree driver (vfio_iommu_spapr_tce) has been loaded later.
 *
 * Containers this module cannot or must not serve (enabled=0) fall
 * through to the in-tree driver.
 *
 * Locks: registrations_lock protects the list of registrations. VFIO takes its
 * own locks inside registrations_lock.
 * Calls: debugfs, uapi, container, trace, why.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vfio.h>

#include "tce2_compat.h"
#include "tce2_container.h"
#include "tce2_debugfs.h"
#include "tce2_perm.h"
#include "tce2_trace_calls.h"
#include "tce2_uapi.h"
#include "tce2_why.h"

#define IN_TREE_BACKEND	"vfio_iommu_spapr_tce"

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

static int backend_attach_group(void *iommu_data, struct iommu_group *group,
				enum vfio_group_type type)
{
	struct tce2_container *container;
	int ret;

	if (type == VFIO_NO_IOMMU)
		return -EINVAL;
	container = tce2_container_get(iommu_data);
	if (WARN_ON_ONCE(!container))
		return -EINVAL;
	if (type == VFIO_EMULATED_IOMMU)
		ret = tce2_container_attach_emulated(container, group);
	else
		ret = tce2_container_attach(container, group);
	if (tce2_tracing_on())
		tce2_trace_attach(container->id, iommu_group_id(group), ret);
	if (ret) {
		pr_debug("container %llu: cannot attach group %d: error %d: %s\n",
			 container->id, iommu_group_id(group), tce2_errno(ret),
			 tce2_why_text(tce2_why_of(ret)));
		if (tce2_tracing_on())
			tce2_trace_refusal(container->id, TCE2_REQUEST_ATTACH, ret);
		ret = tce2_journal_refuse(&container->journal, TCE2_REQUEST_ATTACH,
					  ret);
	}
	tce2_container_put(container);
	return ret;
}

static void backend_detach_group(void *iommu_data, struct iommu_group *group)
{
	struct tce2_container *container = tce2_container_get(iommu_data);

	if (WARN_ON_ONCE(!container))
		return;
	WARN_ON_ONCE(tce2_container_detach(container, group));
	if (tce2_tracing_on())
		tce2_trace_detach(container->id, iommu_group_id(group));
	tce2_container_put(container);
}

/* Records a refused request of a driver, and returns the errno for the driver */
static noinline int backend_refuse(struct tce2_container *container,
				   enum tce2_request request, int ret)
{
	if (tce2_tracing_on())
		tce2_trace_refusal(container->id, request, ret);
	return tce2_journal_refuse(&container->journal, request, ret);
}

/*
 * Implements vfio_pin_pages(). Returns the number of pages, or an error with no page pinned.
 * A bus address inside a page stands for the page, as in iommufd.
 */
static int backend_pin_pages(void *iommu_data, struct iommu_group *group,
			     dma_addr_t iova, int npage, int prot, struct page **pages)
{
	struct tce2_pin_request request = {
		.iova = iova & PAGE_MASK,
		.count = npage,
		.perm = prot & TCE2_PERM_RW,
		.pages = pages,
	};
	struct tce2_container *container;
	int ret;

	BUILD_BUG_ON(IOMMU_READ != TCE2_PERM_READ || IOMMU_WRITE != TCE2_PERM_WRITE);
	if (npage <= 0)
		return -EINVAL;
	container = tce2_container_get(iommu_data);
	if (WARN_ON_ONCE(!container))
		return -EINVAL;
	tce2_journal_count(&container->journal, TCE2_REQUEST_PIN);
	ret = tce2_container_pin(container, &request);
	if (tce2_tracing_on())
		tce2_trace_pin(container->id, request.iova, request.count << PAGE_SHIFT, ret);
	if (ret)
		ret = backend_refuse(container, TCE2_REQUEST_PIN, ret);
	tce2_container_put(container);
	return ret ?: npage;
}

static void backend_unpin_pages(void *iommu_data, dma_addr_t iova, int npage)
{
	struct tce2_container *container = tce2_container_get(iommu_data);

	if (WARN_ON_ONCE(!container))
		return;
	if (tce2_tracing_on())
		tce2_trace_unpin(container->id, iova & PAGE_MASK, (u64)npage << PAGE_SHIFT);
	tce2_container_unpin(container, iova & PAGE_MASK, npage);
	tce2_container_put(container);
}

static int backend_dma_rw(void *iommu_data, dma_addr_t iova, void *data, size_t count,
			  bool write)
{
	struct tce2_access_request request = {
		.iova = iova,
		.data = data,
		.bytes = count,
		.write = write,
	};
	struct tce2_container *container = tce2_container_get(iommu_data);
	int ret;

	if (WARN_ON_ONCE(!container))
		return -EINVAL;
	tce2_journal_count(&container->journal, TCE2_REQUEST_ACCESS);
	ret = tce2_container_access(container, &request);
	if (tce2_tracing_on())
		tce2_trace_access(container->id, iova, count, write, ret);
	if (ret)
		ret = backend_refuse(container, TCE2_REQUEST_ACCESS, ret);
	tce2_container_put(container);
	return ret;
}

static void backend_register_device(void *iommu_data, struct vfio_device *device)
{
	struct tce2_container *container = tce2_container_get(iommu_data);

	if (WARN_ON_ONCE(!container))
		return;
	tce2_container_add_device(container, device);
	tce2_container_put(container);
}

static void backend_unregister_device(void *iommu_data, struct vfio_device *device)
{
	struct tce2_container *container = tce2_container_get(iommu_data);

	if (WARN_ON_ONCE(!container))
		return;
	tce2_container_remove_device(container, device);
	tce2_container_put(container);
}

static const struct vfio_iommu_driver_ops backend_ops = {
	.name		= KBUILD_MODNAME,
	.owner		= THIS_MODULE,
	.open		= backend_open,
	.release	= backend_release,
	.ioctl		= tce2_uapi_ioctl,
	.attach_group	= backend_attach_group,
	.detach_group	= backend_detach_group,
	.pin_pages	= backend_pin_pages,
	.unpin_pages	= backend_unpin_pages,
	.register_device = backend_register_device,
	.unregister_device = backend_unregister_device,
	.dma_rw		= backend_dma_rw,
};

/*
 * An entry of this backend in VFIO's list: one for the load of this module, and
 * one for each later load of the in-tree driver. VFIO registers an ops structure
 * only once, so each entry has a copy of the ops. Containers point to an entry,
 * and VFIO does not report when a container stops using the entry. So all entries
 * stay registered until the module is unloaded.
 */
struct backend_registration {
	struct list_head link;
	struct vfio_iommu_driver_ops ops;
};

static LIST_HEAD(registrations);
static DEFINE_MUTEX(registrations_lock);
/* Loading has failed: the list is empty, and no registration may be added */
static bool init_failed;

/* Registers the backend, so that VFIO asks it before all other backends */
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
 * If the list is empty, refuses all later registrations and returns true: loading
 * may fail. Returns false if the module notifier has registered the backend: loading
 * must succeed, because a container may be open. If an init function fails, the
 * kernel frees the module without checking its use count (do_init_module()).
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

/*
 * Registers the backend again after the in-tree driver. The in-tree driver
 * registers in its init function, and is MODULE_STATE_LIVE after that.
 */
static int backend_module_event(struct notifier_block *block, unsigned long event,
				void *data)
{
	struct module *module = data;
	int ret;

	if (event != MODULE_STATE_LIVE || strcmp(module->name, IN_TREE_BACKEND))
		return NOTIFY_DONE;
	ret = backend_register_first();
	if (ret)
		pr_warn(IN_TREE_BACKEND " gets new containers now: cannot register again, error %d\n",
			ret);
	return NOTIFY_OK;
}

static struct notifier_block module_notifier = {
	.notifier_call	= backend_module_event,
};

static int __init tce2_init(void)
{
	int ret;

	if (TCE2_VFIO_REFUSES_DEVICES)
		pr_notice("VFIO of this kernel refuses every device on POWER, as in Linux 5.19 to 6.3: no container can be used\n");
	ret = tce2_container_init();
	if (ret)
		return ret;
	ret = register_module_notifier(&module_notifier);
	if (ret)
		goto exit_container;
	/* After the notifier, which otherwise could miss a load of the in-tree driver */
	ret = backend_register_first();
	if (ret && backend_refuse_registrations())
		goto unregister;
	tce2_debugfs_init();
	return 0;

unregister:
	unregister_module_notifier(&module_notifier);
exit_container:
	tce2_container_exit();
	return ret;
}

static void __exit tce2_exit(void)
{
	/* Waits for running reads. An open file has a reference to the module */
	tce2_debugfs_exit();
	unregister_module_notifier(&module_notifier);
	backend_unregister_all();
	/*
	 * The last request of a container puts its reference to the module, and then
	 * runs a few more instructions of this module. So do the workers that free
	 * KVM's hooks or remove mirrors. A preemptible kernel may preempt these tasks
	 * there, so wait until they have left the module. A brief request never has
	 * a reference to the module, but does not sleep (tce2_container_map_page()). So
	 * the wait covers the whole request.
	 */
	synchronize_rcu_tasks();
	/*
	 * Wait for two kinds of RCU callbacks. This module's callbacks free containers
	 * and windows, and queue the work that frees regions. KVM's callbacks put the
	 * last reference to a table, which calls kvm_free() of this module.
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
