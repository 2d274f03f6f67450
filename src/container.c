// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers: what a VFIO container stands for in this backend.
 *
 * Owns the containers' lives, their binding to one process, and the list of regions
 * that each has registered. This file combines the region cache and the windows: main.c
 * and uapi.c call this file, and no file below it.
 *
 * VFIO calls the backend's ioctl without any lock, so a request may come late
 * or still be running when another thread makes VFIO release the container.
 * What VFIO is given is therefore not a pointer but a number, which stops being
 * valid with the release; a running request holds a reference.
 *
 * Locks: struct tce2_container.reg_lock.
 * Calls: ddw, kvm (open brackets), mm_iommu, cache, eeh.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#include "tce2_container.h"
#include "tce2_eeh.h"
#include "tce2_kvm.h"
#include "tce2_mm_iommu.h"
#include "tce2_view.h"

static DEFINE_XARRAY_ALLOC1(containers);
static u32 next_id;

/*
 * VFIO reads which backend a container has, and what that backend has given
 * it, one after the other without a lock. If the container is released and
 * opened with another backend in between, that one's pointer comes here, or our
 * number goes there, to be followed: so it must not be an address that a
 * process can have memory at. There is none here, for either MMU.
 */
#define COOKIE_BASE	0xfff0000000000000UL

static void *container_id_to_cookie(u32 id)
{
	return (void *)(COOKIE_BASE | id);
}

/* Returns an id that no container has if @cookie is no cookie of this module */
static unsigned long container_cookie_to_id(const void *cookie)
{
	return (unsigned long)cookie ^ COOKIE_BASE;
}

/**
 * tce2_container_init() - set up what all containers share
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int tce2_container_init(void)
{
	return tce2_cache_init();
}

/**
 * tce2_container_exit() - undo tce2_container_init()
 *
 * The caller ensures that no container and no RCU callback of this module is left.
 *
 * Context: may sleep.
 */
void tce2_container_exit(void)
{
	tce2_cache_exit();
}

/**
 * tce2_container_open() - make a container
 *
 * Context: may sleep.
 * Return: a pointer to nothing that stands for it, or ERR_PTR(-ENOMEM).
 */
void *tce2_container_open(void)
{
	struct tce2_container *container;

	/*
	 * Not charged to the memory cgroup, nor is its place in the index: at
	 * the limit that may take seconds, and VFIO holds the lock of its list
	 * of backends, which is everybody's; and a container that is refused
	 * here is served by the in-tree backend. There is one for each group,
	 * and one for each thread whose request outlives another.
	 */
	container = kzalloc(sizeof(*container), GFP_KERNEL);
	if (!container)
		return ERR_PTR(-ENOMEM);
	refcount_set(&container->refs, 1);
	tce2_ddw_init(&container->ddw);
	mutex_init(&container->reg_lock);
	container->registrations = RB_ROOT;

	/* Cyclic: a late request must not end up in somebody else's container */
	if (xa_alloc_cyclic(&containers, &container->id, container,
			    xa_limit_31b, &next_id, GFP_KERNEL) < 0) {
		kfree(container);
		return ERR_PTR(-ENOMEM);
	}
	return container_id_to_cookie(container->id);
}

/**
 * tce2_container_get() - find the container of a cookie
 * @cookie: the pointer that VFIO passed, or NULL
 *
 * Return: the container with a reference for the caller, or NULL if it has
 * been released.
 */
struct tce2_container *tce2_container_get(void *cookie)
{
	struct tce2_container *container;

	tce2_kvm_settle();
	rcu_read_lock();
	container = xa_load(&containers, container_cookie_to_id(cookie));
	if (container && !refcount_inc_not_zero(&container->refs))
		container = NULL;
	rcu_read_unlock();
	return container;
}

/**
 * tce2_container_put() - drop a reference
 * @container: the container
 *
 * Context: may sleep.
 */
void tce2_container_put(struct tce2_container *container)
{
	if (!refcount_dec_and_test(&container->refs))
		return;
	if (container->cache)
		tce2_cache_put(container->cache);
	kfree_rcu(container, rcu);
	/* What is left of the module's code to run tce2_exit() waits for */
	module_put(THIS_MODULE);
}

/**
 * tce2_container_release() - VFIO lets go of a container
 * @cookie: the number of the container
 *
 * Unmaps everything, removes the windows and takes back what was registered.
 * A request that is still running keeps the container and the module, which
 * VFIO lets go of next. Can't fail. Context: may sleep.
 */
void tce2_container_release(void *cookie)
{
	struct tce2_registration *registration, *next;
	struct tce2_container *container;

	tce2_kvm_settle();
	container = xa_erase(&containers, container_cookie_to_id(cookie));
	if (WARN_ON_ONCE(!container))
		return;
	/* VFIO still has a reference. The last tce2_container_put() drops it */
	__module_get(THIS_MODULE);

	/* Windows first: they hold on to the regions */
	tce2_ddw_destroy(&container->ddw);

	mutex_lock(&container->reg_lock);
	container->closed = true;
	rbtree_postorder_for_each_entry_safe(registration, next,
					     &container->registrations, node) {
		/* The request that makes or undoes this registration frees it */
		if (!registration->region)
			continue;
		tce2_region_unregister_nofail(registration->region);
		kfree(registration);
		cond_resched();
	}
	/* A late request may still look into it */
	container->registrations = RB_ROOT;
	mutex_unlock(&container->reg_lock);

	tce2_container_put(container);
}

/**
 * tce2_container_attach() - let a group use the container's windows
 * @container: the container
 * @group: the group, which VFIO keeps until it is detached
 *
 * Context: may sleep.
 * Return: as tce2_ddw_attach().
 */
int tce2_container_attach(struct tce2_container *container,
			  struct iommu_group *group)
{
	return tce2_ddw_attach(&container->ddw, group);
}

/**
 * tce2_container_detach() - take the container's windows from a group
 * @container: the container
 * @group: the group
 *
 * Context: may sleep.
 * Return: as tce2_ddw_detach().
 */
int tce2_container_detach(struct tce2_container *container,
			  struct iommu_group *group)
{
	return tce2_ddw_detach(&container->ddw, group);
}

/**
 * tce2_container_info() - fill in the answer of VFIO_IOMMU_SPAPR_TCE_GET_INFO
 * @container: the container
 * @info: filled in, except for argsz
 *
 * Context: may sleep.
 * Return: as tce2_ddw_info().
 */
int tce2_container_info(struct tce2_container *container,
			struct vfio_iommu_spapr_tce_info *info)
{
	return tce2_ddw_info(&container->ddw, info);
}

/**
 * tce2_container_check_process() - keep processes from acting on others' memory
 * @container: the container
 *
 * Return: 0, or -EPERM if the container is bound to another process than the
 * current one, such as its parent or what it was before exec.
 */
int tce2_container_check_process(struct tce2_container *container)
{
	struct tce2_cache *cache = READ_ONCE(container->cache);

	return cache && cache->mm != current->mm ? -EPERM : 0;
}

/* Binds the container to the current process unless it is bound already */
static int container_bind_process(struct tce2_container *container)
{
	struct tce2_cache *cache;

	if (!READ_ONCE(container->cache)) {
		if (!current->mm)
			return -EPERM;
		cache = tce2_cache_get(current->mm);
		if (!cache)
			return -ENOMEM;
		if (cmpxchg(&container->cache, NULL, cache))
			tce2_cache_put(cache);
	}
	return tce2_container_check_process(container);
}

static int container_compare_ua(const void *key, const struct rb_node *node)
{
	u64 ua = *(const u64 *)key;
	u64 other = rb_entry(node, struct tce2_registration, node)->ua;

	return ua < other ? -1 : ua > other;
}

static int container_compare_registrations(struct rb_node *node,
					   const struct rb_node *other)
{
	return container_compare_ua(&rb_entry(node, struct tce2_registration, node)->ua,
				    other);
}

static struct tce2_registration *
container_find_registration(struct tce2_container *container, u64 ua)
	__must_hold(&container->reg_lock)
{
	struct rb_node *node;

	lockdep_assert_held(&container->reg_lock);
	node = rb_find(&ua, &container->registrations, container_compare_ua);
	return node ? rb_entry(node, struct tce2_registration, node) : NULL;
}

/* Enters a registration, of which the region is still to be made */
static int container_begin_registration(struct tce2_container *container,
					struct tce2_registration *new)
{
	struct tce2_registration *old;
	int ret = 0;

	if (mutex_lock_killable(&container->reg_lock))
		return -EINTR;
	old = container_find_registration(container, new->ua);
	if (container->closed)
		ret = -ENODEV;
	else if (old)
		ret = old->size == new->size ? -EBUSY : -EINVAL;
	else
		rb_find_add(&new->node, &container->registrations,
			    container_compare_registrations);
	mutex_unlock(&container->reg_lock);
	return ret;
}

/*
 * Sets the region of a registration: a new region, or the old region again after it
 * could not be unregistered. If VFIO has closed the container meanwhile, unregisters
 * the region and returns -ENODEV.
 */
static int container_end_registration(struct tce2_container *container,
				      struct tce2_registration *registration,
				      struct tce2_region *region)
{
	bool closed;

	mutex_lock(&container->reg_lock);
	closed = container->closed;
	if (!closed) {
		registration->region = region;
		/* Pairs with uapi_run_ioctl(): if it reads true, it sees the binding */
		smp_store_release(&container->enabled, true);
	}
	mutex_unlock(&container->reg_lock);
	if (!closed)
		return 0;
	tce2_region_unregister_nofail(region);
	return -ENODEV;
}

/* Removes a registration whose region could not be made, or has been unregistered */
static void container_cancel_registration(struct tce2_container *container,
					  struct tce2_registration *registration)
{
	mutex_lock(&container->reg_lock);
	/* The tree was forgotten when the container was closed */
	if (!container->closed)
		rb_erase(&registration->node, &container->registrations);
	mutex_unlock(&container->reg_lock);
}

/*
 * No lock of the container is held while memory is pinned: that may take as
 * long as the process likes, and VFIO waits for the release with locks of its
 * own held.
 */
static int container_register_region(struct tce2_container *container,
				     struct tce2_registration *registration)
{
	struct tce2_region *region;
	int ret;

	ret = container_begin_registration(container, registration);
	if (ret)
		return ret;
	ret = tce2_region_register(container->cache, registration->ua,
				   registration->size, &region);
	if (ret)
		container_cancel_registration(container, registration);
	else
		ret = container_end_registration(container, registration, region);
	return ret;
}

/**
 * tce2_container_register() - register memory of the current process
 * @container: the container
 * @ua: first user address
 * @size: bytes
 *
 * VFIO_IOMMU_SPAPR_REGISTER_MEMORY of uapi/linux/vfio.h.
 *
 * Context: may sleep, for long; a fatal signal interrupts it.
 * Return: 0; -EINVAL if misaligned, empty, wrapping or overlapping a registered
 * range; -EBUSY if registered, or being registered, through this container
 * already; -EFAULT if not user memory that can be pinned; -EPERM, -ENOMEM,
 * -ENODEV, -EINTR.
 */
int tce2_container_register(struct tce2_container *container, u64 ua, u64 size)
{
	struct tce2_registration *registration;
	u64 end;
	int ret;

	BUILD_BUG_ON((TASK_SIZE_USER64 - 1) >> TCE2_VIEW_UA_BITS);
	if (!size || !PAGE_ALIGNED(ua) || !PAGE_ALIGNED(size) ||
	    check_add_overflow(ua, size, &end))
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(ua), size))
		return -EFAULT;
	ret = container_bind_process(container);
	if (ret)
		return ret;

	registration = kzalloc(sizeof(*registration), GFP_KERNEL_ACCOUNT);
	if (!registration)
		return -ENOMEM;
	registration->ua = ua;
	registration->size = size;
	ret = container_register_region(container, registration);
	if (ret)
		kfree(registration);
	return ret;
}

/* Takes the region out of its registration; other requests then get -EBUSY */
static int container_begin_unregistration(struct tce2_container *container, u64 ua,
					  u64 size, struct tce2_registration **found,
					  struct tce2_region **region)
{
	struct tce2_registration *registration;
	int ret;

	if (mutex_lock_killable(&container->reg_lock))
		return -EINTR;
	/* Again, now that no other process can be binding the container */
	ret = tce2_container_check_process(container);
	if (ret)
		goto unlock;
	registration = container_find_registration(container, ua);
	ret = -ENOENT;
	if (!registration || registration->size != size)
		goto unlock;
	/* Being made: it may be found, and be mapped, before it is complete */
	ret = -EBUSY;
	if (!registration->region)
		goto unlock;
	*found = registration;
	*region = registration->region;
	registration->region = NULL;
	ret = 0;
unlock:
	mutex_unlock(&container->reg_lock);
	return ret;
}

/*
 * No lock of the container is held while memory is unpinned and the charge is
 * refunded, as when it is registered.
 */
static int container_unregister_region(struct tce2_container *container,
				       struct tce2_registration *registration,
				       struct tce2_region *region)
{
	int ret = tce2_region_unregister(region);

	if (ret) {
		if (!container_end_registration(container, registration, region))
			return ret;
		/* VFIO has released the container, and its registration is gone */
		ret = -ENODEV;
	} else {
		container_cancel_registration(container, registration);
	}
	kfree(registration);
	return ret;
}

/**
 * tce2_container_unregister() - undo tce2_container_register()
 * @container: the container
 * @ua: first user address, as registered
 * @size: bytes, as registered
 *
 * VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY of uapi/linux/vfio.h.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if misaligned; -ENOENT if not registered through this
 * container; -EBUSY if still mapped and nobody else has it registered, or if it
 * is being registered or unregistered; -EPERM from another process; -ENODEV if
 * VFIO has released the container meanwhile; -EINTR.
 */
int tce2_container_unregister(struct tce2_container *container, u64 ua,
			      u64 size)
{
	struct tce2_registration *registration;
	struct tce2_region *region;
	int ret;

	if (!PAGE_ALIGNED(ua) || !PAGE_ALIGNED(size))
		return -EINVAL;
	ret = container_begin_unregistration(container, ua, size, &registration,
					     &region);
	if (ret)
		return ret;
	return container_unregister_region(container, registration, region);
}

/**
 * tce2_container_map() - map user memory at bus addresses
 * @container: the container, which has registered something
 * @request: the client's request, not checked yet
 *
 * VFIO_IOMMU_MAP_DMA of uapi/linux/vfio.h.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: as tce2_ddw_map(). After an error nothing is changed.
 */
int tce2_container_map(struct tce2_container *container,
		       const struct tce2_map_request *request)
{
	return tce2_ddw_map(&container->ddw, container->cache, request);
}

/**
 * tce2_container_unmap() - take bus addresses from the devices
 * @container: the container
 * @iova: first bus address
 * @size: bytes
 *
 * VFIO_IOMMU_UNMAP_DMA of uapi/linux/vfio.h.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; -ENXIO if @iova is in no window; -EINVAL if empty, misaligned or
 * reaching past the window; -EINTR.
 */
int tce2_container_unmap(struct tce2_container *container, u64 iova, u64 size)
{
	return tce2_ddw_unmap(&container->ddw, iova, size);
}

/**
 * tce2_container_create_window() - create a DMA window that is not published
 * @container: the container
 * @spec: the window
 * @creation: filled in; to be given to tce2_container_publish_window() or
 *	tce2_container_cancel_window()
 *
 * Return: -EPERM, -ENOMEM, or as tce2_ddw_create().
 */
int tce2_container_create_window(struct tce2_container *container,
				 const struct tce2_window_spec *spec,
				 struct tce2_creation *creation)
{
	int ret = container_bind_process(container);

	if (ret)
		return ret;
	return tce2_ddw_create(&container->ddw, container->cache, spec,
			       creation);
}

/**
 * tce2_container_publish_window() - let requests use a window
 * @container: the container
 * @creation: what tce2_container_create_window() filled in
 *
 * Context: may sleep.
 * Return: as tce2_ddw_publish().
 */
int tce2_container_publish_window(struct tce2_container *container,
				  struct tce2_creation *creation)
{
	return tce2_ddw_publish(&container->ddw, creation);
}

/**
 * tce2_container_cancel_window() - take down a window that is not published
 * @container: the container
 * @creation: what tce2_container_create_window() filled in
 *
 * Context: may sleep.
 */
void tce2_container_cancel_window(struct tce2_container *container,
				  struct tce2_creation *creation)
{
	tce2_ddw_cancel(&container->ddw, creation);
}

/**
 * tce2_container_remove_window() - remove a DMA window
 * @container: the container
 * @start: first bus address of the window
 *
 * Return: -EPERM, -ENOMEM, or as tce2_ddw_remove().
 */
int tce2_container_remove_window(struct tce2_container *container, u64 start)
{
	int ret = container_bind_process(container);

	if (ret)
		return ret;
	return tce2_ddw_remove(&container->ddw, start);
}

/**
 * tce2_container_eeh() - carry out an EEH operation on every group
 * @container: the container
 * @op: the operation
 *
 * Stops at the first group that answers anything but 0, be it an error or a
 * state other than normal. VFIO_EEH_PE_OP of uapi/linux/vfio.h.
 *
 * Context: may sleep, for seconds in a reset.
 * Return: that answer, or 0 if there was none, or as tce2_eeh_check().
 */
int tce2_container_eeh(struct tce2_container *container,
		       const struct vfio_eeh_pe_op *op)
{
	return tce2_eeh_check(op) ?: tce2_ddw_eeh(&container->ddw, op);
}

/**
 * tce2_container_has_eeh() - check whether containers offer EEH operations
 *
 * VFIO_EEH of uapi/linux/vfio.h.
 *
 * Context: any.
 * Return: true if they do.
 */
bool tce2_container_has_eeh(void)
{
	return tce2_eeh_enabled();
}
