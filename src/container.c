// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers: the state that this module keeps for each VFIO container.
 *
 * Owns the life of each container, its binding to one process, and the list of regions
 * that are registered through it. This file connects the region cache with the windows.
 * main.c and uapi.c call only this file, and no file of a lower layer.
 *
 * VFIO calls the backend's ioctl without any lock (vfio_fops_unl_ioctl()). So a request
 * may run, or even begin, after another thread has made VFIO release the container.
 * Therefore VFIO gets a cookie, which contains the container's number, instead of a
 * pointer. The number becomes invalid when the container is released, and no other container
 * ever gets it. A running request has a reference to the container, except a brief request
 * (src/page.c, src/pages.c). That request does not sleep, so an RCU read-side section suffices:
 * it keeps the container and its windows from being freed. The release of the container retires
 * each window (tce2_window_retire()), and there waits for the request to unlock its leaf. The
 * request has no reference to the module either: tce2_exit() waits until it has ended
 * (synchronize_rcu_tasks()).
 *
 * Locks: reg_lock of struct tce2_container; table_lock, which protects the table of
 * containers. RCU protects the table's readers.
 * Calls: ddw_group, ddw_window, ddw_emulated, ddw_dirty, ddw, access, page, pages,
 * kvm (open brackets), mm_iommu, cache, extents, eeh, why; inlines of ddw and mapped.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "tce2_container.h"
#include "tce2_ddw_page.h"
#include "tce2_eeh.h"
#include "tce2_kvm.h"
#include "tce2_mm_iommu.h"
#include "tce2_page.h"
#include "tce2_pages.h"
#include "tce2_view.h"
#include "tce2_why.h"

/*
 * The table of containers: containers by the low bits of their number. A host has few
 * containers, one for each VM with devices or for each group.
 */
#define TABLE_SLOTS	64

static struct hlist_head containers[TABLE_SLOTS];
static DEFINE_SPINLOCK(table_lock);	/* protects containers, last_id */
static u64 last_id;

/*
 * The high bits of a cookie. For an ioctl, VFIO reads the container's backend and
 * iommu_data separately, without a lock (vfio_fops_unl_ioctl()). The container may
 * change its backend between the two reads. Then this module gets a pointer of the
 * other backend, or the other backend dereferences a cookie. So a cookie must not
 * be an address at which a process can have memory. No process can have memory at
 * these addresses, with the hash MMU or with radix.
 */
#define COOKIE_BASE	0xfff0000000000000UL

/* The low bits of a cookie hold the id. A host can't open 2^52 containers. */
static void *container_id_to_cookie(u64 id)
{
	return (void *)(COOKIE_BASE | id);
}

/* Returns the id in a cookie; an unused id if @cookie is another backend's pointer */
static __always_inline u64 container_cookie_to_id(const void *cookie)
{
	return (u64)cookie ^ COOKIE_BASE;
}

/**
 * tce2_container_id() - get the number of the container of a cookie
 * @cookie: the iommu_data that VFIO passed
 *
 * Context: any.
 * Return: the number, also after the release of the container; an unused number if @cookie was
 * not made by this module.
 */
u64 tce2_container_id(const void *cookie)
{
	return container_cookie_to_id(cookie);
}

static __always_inline struct hlist_head *container_slot(u64 id)
{
	return &containers[id % TABLE_SLOTS];
}

/*
 * Finds the container of a cookie, or returns NULL. The caller is in an RCU read-side section
 * or holds @table_lock.
 */
static __always_inline struct tce2_container *container_find(const void *cookie)
{
	u64 id = container_cookie_to_id(cookie);
	struct tce2_container *container;

	hlist_for_each_entry_rcu(container, container_slot(id), node,
				 lockdep_is_held(&table_lock)) {
		if (container->id == id)
			return container;
	}
	return NULL;
}

/*
 * Gets a reference to a container that the caller found in its RCU read-side section. Returns
 * NULL if there is no container, or if it has been released.
 */
static struct tce2_container *container_hold(struct tce2_container *container)
{
	return container && refcount_inc_not_zero(&container->refs) ? container : NULL;
}

static void container_enter(struct tce2_container *container)
{
	spin_lock(&table_lock);
	container->id = ++last_id;
	hlist_add_head_rcu(&container->node, container_slot(container->id));
	spin_unlock(&table_lock);
}

/* Takes the container of a cookie out of the table; returns NULL for an unknown cookie */
static struct tce2_container *container_remove(const void *cookie)
{
	struct tce2_container *container;

	spin_lock(&table_lock);
	container = container_find(cookie);
	if (container)
		hlist_del_rcu(&container->node);
	spin_unlock(&table_lock);
	return container;
}

/**
 * tce2_container_init() - make the workqueue that all containers share
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
	tce2_journal_exit();
	tce2_cache_exit();
}

/**
 * tce2_container_open() - make a container
 *
 * Context: may sleep.
 * Return: the container's cookie, which must not be dereferenced, or
 * ERR_PTR(-ENOMEM).
 */
void *tce2_container_open(void)
{
	struct tce2_container *container;

	/*
	 * The container is not charged to the memory cgroup. At the cgroup's
	 * limit an allocation may take seconds, and VFIO holds the lock of its
	 * list of backends, which all processes share. If the allocation fails,
	 * VFIO uses the in-tree driver for the container.
	 * The number of containers is limited without a charge: one for each
	 * group, and one for each thread whose request outlives its container.
	 */
	container = kzalloc(sizeof(*container), GFP_KERNEL);
	if (!container)
		return ERR_PTR(-ENOMEM);
	refcount_set(&container->refs, 1);
	if (tce2_journal_init(&container->journal)) {
		kfree(container);
		return ERR_PTR(-ENOMEM);
	}
	tce2_ddw_init(&container->ddw, container->journal.counts);
	mutex_init(&container->reg_lock);
	container->registrations = RB_ROOT;
	container_enter(container);
	return container_id_to_cookie(container->id);
}

/**
 * tce2_container_get() - find the container of a cookie
 * @cookie: the iommu_data that VFIO passed, or NULL
 *
 * Context: process context, no lock held.
 * Return: the container with a reference for the caller; NULL if the container has
 * been released, or if @cookie was not made by this module.
 */
struct tce2_container *tce2_container_get(void *cookie)
{
	struct tce2_container *container;

	tce2_kvm_settle();
	rcu_read_lock();
	container = container_hold(container_find(cookie));
	rcu_read_unlock();
	return container;
}

static void container_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct tce2_container, rcu));
}

/**
 * tce2_container_put() - put a reference
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
	tce2_ddw_free(&container->ddw);
	tce2_journal_close(&container->journal, container->id);
	/* A reader of the table may still try to get a reference, which fails */
	call_rcu(&container->rcu, container_free_rcu);
	/* tce2_exit() waits until this function has returned */
	module_put(THIS_MODULE);
}

/**
 * tce2_container_release() - release a container for VFIO
 * @cookie: the container's cookie
 *
 * Unmaps all entries, removes the windows and unregisters all memory. VFIO puts its
 * reference to the module after this call. A request that is still running has references
 * to the container and to the module. Can't fail.
 *
 * Context: may sleep.
 */
void tce2_container_release(void *cookie)
{
	struct tce2_registration *registration, *next;
	struct tce2_container *container;

	tce2_kvm_settle();
	container = container_remove(cookie);
	if (WARN_ON_ONCE(!container))
		return;
	/*
	 * tce2_container_put() puts this reference. VFIO has a reference to the
	 * module until this function returns, so this can't fail.
	 */
	__module_get(THIS_MODULE);

	tce2_journal_disown(&container->journal);
	/* Windows first, because their mappings keep the regions pinned */
	tce2_ddw_destroy(&container->ddw);

	mutex_lock(&container->reg_lock);
	container->closed = true;
	rbtree_postorder_for_each_entry_safe(registration, next,
					     &container->registrations, node) {
		/* A running request adds or removes this registration, and will free it */
		if (!registration->region)
			continue;
		tce2_region_unregister_nofail(registration->region);
		kfree(registration);
		cond_resched();
	}
	/* A request that is still running may search the tree */
	container->registrations = RB_ROOT;
	WRITE_ONCE(container->regions, 0);
	WRITE_ONCE(container->registered, 0);
	mutex_unlock(&container->reg_lock);

	tce2_container_put(container);
}

/**
 * tce2_container_attach() - attach a group to the container's windows
 * @container: the container
 * @group: the group; VFIO keeps the group until it is detached
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_attach().
 */
int tce2_container_attach(struct tce2_container *container,
			  struct iommu_group *group)
{
	return tce2_ddw_attach(&container->ddw, group);
}

/**
 * tce2_container_attach_emulated() - attach a group of an emulated device
 * @container: the container
 * @group: the group; VFIO keeps the group until it is detached
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_attach_emulated().
 */
int tce2_container_attach_emulated(struct tce2_container *container,
				   struct iommu_group *group)
{
	return tce2_ddw_attach_emulated(&container->ddw, group);
}

/**
 * tce2_container_add_device() - let the driver of an emulated device pin pages
 * @container: the container
 * @device: the device, which is being opened
 *
 * Context: may sleep.
 */
void tce2_container_add_device(struct tce2_container *container, struct vfio_device *device)
{
	/* A driver that can't be notified can't pin pages (vfio_pin_pages()) */
	if (device->ops->dma_unmap)
		tce2_ddw_add_device(&container->ddw, device);
}

/**
 * tce2_container_remove_device() - undo tce2_container_add_device()
 * @container: the container
 * @device: the device, which is being closed
 *
 * Context: may sleep.
 */
void tce2_container_remove_device(struct tce2_container *container,
				  struct vfio_device *device)
{
	if (device->ops->dma_unmap)
		tce2_ddw_remove_device(&container->ddw, device);
}

/**
 * tce2_container_pin() - pin the pages that bus addresses map, for a driver
 * @container: the container
 * @request: the driver's request
 *
 * Any thread may pin pages for a device, like the device itself.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_ddw_pin().
 */
int tce2_container_pin(struct tce2_container *container,
		       const struct tce2_pin_request *request)
{
	return tce2_ddw_pin(&container->ddw, request);
}

/**
 * tce2_container_unpin() - undo tce2_container_pin()
 * @container: the container
 * @iova: first bus address, a multiple of PAGE_SIZE
 * @count: number of pages
 *
 * Context: may sleep.
 */
void tce2_container_unpin(struct tce2_container *container, u64 iova, u64 count)
{
	struct tce2_emulation *emulation = tce2_ddw_emulation(&container->ddw);

	/* A container in which a page is pinned is bound, so it has a region cache */
	if (!WARN_ON_ONCE(!emulation))
		tce2_access_unpin(&emulation->access, READ_ONCE(container->cache), iova, count);
}

/**
 * tce2_container_access() - read or write the memory that bus addresses map, for a driver
 * @container: the container
 * @request: the driver's request; changed by this function
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_ddw_access().
 */
int tce2_container_access(struct tce2_container *container,
			  struct tce2_access_request *request)
{
	return tce2_ddw_access(&container->ddw, request);
}

/**
 * tce2_container_detach() - detach a group from the container's windows
 * @container: the container
 * @group: the group
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_detach().
 */
int tce2_container_detach(struct tce2_container *container,
			  struct iommu_group *group)
{
	return tce2_ddw_detach(&container->ddw, group);
}

/**
 * tce2_container_info() - fill in the answer of VFIO_IOMMU_SPAPR_TCE_GET_INFO
 * @container: the container
 * @info: set by this function, except argsz
 * @caps: set by this function, or NULL
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_info().
 */
int tce2_container_info(struct tce2_container *container,
			struct vfio_iommu_spapr_tce_info *info, struct tce2_caps *caps)
{
	return tce2_ddw_info(&container->ddw, info, caps);
}

/**
 * tce2_container_check_process() - refuse a process to which the container is not bound
 * @container: the container
 *
 * A container that is not bound yet accepts any process. After a fork the child is
 * refused, and after exec the process itself, until it takes the container over
 * (src/owner.c). A request checks the process again after it has locked the windows or
 * registrations.
 *
 * Context: any process context.
 * Return: 0, or -EPERM if the container is bound to the mm of another process.
 */
int tce2_container_check_process(struct tce2_container *container)
{
	struct tce2_cache *cache = READ_ONCE(container->cache);

	return cache && READ_ONCE(cache->mm) != current->mm ?
	       tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS) : 0;
}

/* Binds the container to the current process unless it is bound already */
static int container_bind_process(struct tce2_container *container)
{
	struct tce2_cache *cache;

	if (!READ_ONCE(container->cache)) {
		if (!current->mm)
			return tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS);
		cache = tce2_cache_get(current->mm);
		if (!cache)
			return -ENOMEM;
		if (cmpxchg(&container->cache, NULL, cache))
			tce2_cache_put(cache);
		else
			tce2_journal_own(&container->journal);
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

/* Adds a registration that has no region yet */
static int container_begin_registration(struct tce2_container *container,
					struct tce2_registration *new)
{
	struct tce2_registration *old;
	int ret = 0;

	if (mutex_lock_killable(&container->reg_lock))
		return -EINTR;
	old = container_find_registration(container, new->ua);
	if (container->closed)
		ret = tce2_refuse(-ENODEV, TCE2_WHY_CLOSED);
	else if (old)
		ret = old->size == new->size ?
		      tce2_refuse(-EBUSY, TCE2_WHY_ALREADY_REGISTERED) :
		      tce2_refuse(-EINVAL, TCE2_WHY_OVERLAPS);
	else
		rb_find_add(&new->node, &container->registrations,
			    container_compare_registrations);
	mutex_unlock(&container->reg_lock);
	return ret;
}

/* Sets or clears the region of a registration, and counts the regions */
static void container_set_region(struct tce2_container *container,
				 struct tce2_registration *registration,
				 struct tce2_region *region)
	__must_hold(&container->reg_lock)
{
	lockdep_assert_held(&container->reg_lock);
	registration->region = region;
	if (region) {
		WRITE_ONCE(container->regions, container->regions + 1);
		WRITE_ONCE(container->registered,
			   container->registered + registration->size);
	} else {
		WRITE_ONCE(container->regions, container->regions - 1);
		WRITE_ONCE(container->registered,
			   container->registered - registration->size);
	}
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
		container_set_region(container, registration, region);
		/* Pairs with uapi_run_ioctl(), which then also sees the binding */
		smp_store_release(&container->enabled, true);
	}
	mutex_unlock(&container->reg_lock);
	if (!closed)
		return 0;
	tce2_region_unregister_nofail(region);
	return tce2_refuse(-ENODEV, TCE2_WHY_CLOSED);
}

/* Removes a registration whose region could not be made, or has been unregistered */
static void container_cancel_registration(struct tce2_container *container,
					  struct tce2_registration *registration)
{
	mutex_lock(&container->reg_lock);
	/* When a container is closed, tce2_container_release() empties its tree */
	if (!container->closed)
		rb_erase(&registration->node, &container->registrations);
	mutex_unlock(&container->reg_lock);
}

/*
 * No lock of the container is held while memory is pinned, because the process
 * can delay pinning indefinitely (userfaultfd). To release the container, VFIO
 * would wait for that lock while it holds locks that all containers share.
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
 * Implements VFIO_IOMMU_SPAPR_REGISTER_MEMORY (uapi/linux/vfio.h).
 *
 * Context: may sleep for a long time; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -EINVAL - the range is misaligned, empty, wraps, or overlaps a registered range
 * * -EBUSY - the same range is registered, or is being registered, through this
 *   container
 * * -EFAULT - the range is not user memory that can be pinned
 * * -EPERM - the container is bound to another process
 * * -ENOMEM - memory is short, or RLIMIT_MEMLOCK is exceeded
 * * -ENODEV - VFIO has released the container
 * * -EINTR - a fatal signal
 */
int tce2_container_register(struct tce2_container *container, u64 ua, u64 size)
{
	struct tce2_registration *registration;
	u64 end;
	int ret;

	BUILD_BUG_ON((TASK_SIZE_USER64 - 1) >> TCE2_VIEW_UA_BITS);
	if (!size)
		return tce2_refuse(-EINVAL, TCE2_WHY_EMPTY);
	if (!PAGE_ALIGNED(ua) || !PAGE_ALIGNED(size))
		return tce2_refuse(-EINVAL, TCE2_WHY_MEMORY_MISALIGNED);
	if (check_add_overflow(ua, size, &end))
		return tce2_refuse(-EINVAL, TCE2_WHY_WRAPS);
	if (!access_ok(u64_to_user_ptr(ua), size))
		return tce2_refuse(-EFAULT, TCE2_WHY_NOT_USER_MEMORY);
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

/* Takes the region out of its registration, so that other requests return -EBUSY */
static int container_begin_unregistration(struct tce2_container *container, u64 ua,
					  u64 size, struct tce2_registration **found,
					  struct tce2_region **region)
{
	struct tce2_registration *registration;
	int ret;

	if (mutex_lock_killable(&container->reg_lock))
		return -EINTR;
	/*
	 * Check again: the container may have been bound after uapi_run_ioctl()
	 * checked. A container with registrations is bound.
	 */
	ret = tce2_container_check_process(container);
	if (ret)
		goto unlock;
	registration = container_find_registration(container, ua);
	ret = tce2_refuse(-ENOENT, TCE2_WHY_NOT_REGISTERED);
	if (!registration || registration->size != size)
		goto unlock;
	/*
	 * Another request is registering or unregistering the region. Memory can be
	 * mapped before its registration is complete.
	 */
	ret = tce2_refuse(-EBUSY, TCE2_WHY_REGISTRATION_BUSY);
	if (!registration->region)
		goto unlock;
	*found = registration;
	*region = registration->region;
	container_set_region(container, registration, NULL);
	ret = 0;
unlock:
	mutex_unlock(&container->reg_lock);
	return ret;
}

/*
 * No lock of the container is held while memory is unpinned and the charge is
 * refunded, for the reason given at container_register_region().
 */
static int container_unregister_region(struct tce2_container *container,
				       struct tce2_registration *registration,
				       struct tce2_region *region)
{
	int ret = tce2_region_unregister(region);

	if (ret) {
		if (!container_end_registration(container, registration, region))
			return ret;
		/* VFIO has released the container, whose tree is empty now */
		ret = tce2_refuse(-ENODEV, TCE2_WHY_CLOSED);
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
 * Implements VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY (uapi/linux/vfio.h).
 *
 * Context: may sleep.
 * Return:
 * * 0 - success
 * * -EINVAL - the range is misaligned
 * * -ENOENT - this range is not registered through this container
 * * -EBUSY - the memory is still mapped, and no other container has it registered;
 *   or another request is registering or unregistering it
 * * -EPERM - the container is bound to another process
 * * -ENODEV - VFIO has released the container meanwhile
 * * -EINTR - a fatal signal
 */
int tce2_container_unregister(struct tce2_container *container, u64 ua,
			      u64 size)
{
	struct tce2_registration *registration;
	struct tce2_region *region;
	int ret;

	if (!PAGE_ALIGNED(ua) || !PAGE_ALIGNED(size))
		return tce2_refuse(-EINVAL, TCE2_WHY_MEMORY_MISALIGNED);
	ret = container_begin_unregistration(container, ua, size, &registration,
					     &region);
	if (ret)
		return ret;
	return container_unregister_region(container, registration, region);
}

/**
 * tce2_container_map() - map user memory at bus addresses
 * @container: the container, through which memory has been registered
 * @request: the client's request, not checked yet
 *
 * Implements VFIO_IOMMU_MAP_DMA (uapi/linux/vfio.h).
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_ddw_map(). An error changes no entry.
 */
int tce2_container_map(struct tce2_container *container,
		       const struct tce2_map_request *request)
{
	return tce2_ddw_map(&container->ddw, container->cache, request);
}

/**
 * tce2_container_unmap() - unmap bus addresses
 * @container: the container
 * @iova: first bus address
 * @size: bytes
 *
 * Implements VFIO_IOMMU_UNMAP_DMA (uapi/linux/vfio.h).
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_ddw_unmap().
 */
int tce2_container_unmap(struct tce2_container *container, u64 iova, u64 size)
{
	return tce2_ddw_unmap(&container->ddw, iova, size);
}

/*
 * Finds the window of a request that may not need to sleep, in an RCU read-side section.
 * Returns NULL if the request needs all checks of src/uapi.c and src/ddw.c.
 */
static __always_inline struct tce2_window *
container_find_window(const struct tce2_container *container, u64 iova)
{
	if (unlikely(!container) || unlikely(!READ_ONCE(container->enabled)))
		return NULL;
	return tce2_ddw_find_page(&container->ddw, iova);
}

/* Maps one page, or several pages of one leaf. Returns TCE2_NOT_BRIEF if that has to sleep. */
static __always_inline int container_try_map(const struct tce2_container *container, u64 iova,
					     u64 ua, u64 size, u64 perm)
{
	struct tce2_window *window = container_find_window(container, iova);

	if (unlikely(!window))
		return TCE2_NOT_BRIEF;
	if (likely(tce2_page_is_one(window, iova, ua, size)))
		return tce2_window_map_page(window, iova, ua, perm);
	return tce2_window_map_pages(window, iova, ua, size, perm);
}

/* Unmaps one page, or several pages of one leaf; see container_try_map() */
static __always_inline int container_try_unmap(const struct tce2_container *container,
					       u64 iova, u64 size)
{
	struct tce2_window *window = container_find_window(container, iova);

	if (unlikely(!window))
		return TCE2_NOT_BRIEF;
	if (likely(tce2_page_is_one(window, iova, 0, size)))
		return tce2_window_unmap_page(window, iova);
	return tce2_window_unmap_pages(window, iova, size);
}

/*
 * Records a brief request if it was refused, in the RCU read-side section in which the
 * container was found. Returns the bare errno, or 0.
 */
static __always_inline int container_end_page(struct tce2_container *container,
					      enum tce2_request request, int ret)
{
	return likely(!ret) ? 0 : tce2_journal_refuse(&container->journal, request, ret);
}

/**
 * tce2_container_map_page() - carry out a brief request to map, if possible
 * @cookie: the iommu_data that VFIO passed, or NULL
 * @iova: bus address
 * @ua: user address
 * @size: bytes
 * @perm: permissions for devices, see struct tce2_map_request
 * @container: after TCE2_NOT_BRIEF set to the result of tce2_container_get(@cookie)
 *
 * The caller has checked only the structure of the request. A request of another process than
 * the one to which the container is bound is not carried out: the window's mappings belong to
 * that process.
 *
 * Context: process context, no lock held; does not sleep. The caller must not have slept since
 * VFIO called it, because the module may be removed while a caller without references sleeps.
 * Return: same as tce2_window_map_page(). After TCE2_NOT_BRIEF nothing has changed, and the
 * caller has to call tce2_container_map().
 */
int tce2_container_map_page(const void *cookie, u64 iova, u64 ua, u64 size, u64 perm,
			    struct tce2_container **container)
{
	struct tce2_container *found;
	int ret;

	tce2_kvm_settle();
	rcu_read_lock();
	found = container_find(cookie);
	ret = container_try_map(found, iova, ua, size, perm);
	if (unlikely(ret == TCE2_NOT_BRIEF))
		*container = container_hold(found);
	else
		ret = container_end_page(found, TCE2_REQUEST_MAP, ret);
	rcu_read_unlock();
	return ret;
}

/**
 * tce2_container_unmap_page() - carry out a brief request to unmap, if possible
 * @cookie: the iommu_data that VFIO passed, or NULL
 * @iova: bus address
 * @size: bytes
 * @container: after TCE2_NOT_BRIEF set to the result of tce2_container_get(@cookie)
 *
 * See tce2_container_map_page().
 *
 * Context: process context, no lock held; does not sleep.
 * Return: same as tce2_window_unmap_page().
 */
int tce2_container_unmap_page(const void *cookie, u64 iova, u64 size,
			      struct tce2_container **container)
{
	struct tce2_container *found;
	int ret;

	tce2_kvm_settle();
	rcu_read_lock();
	found = container_find(cookie);
	ret = container_try_unmap(found, iova, size);
	if (unlikely(ret == TCE2_NOT_BRIEF))
		*container = container_hold(found);
	else
		ret = container_end_page(found, TCE2_REQUEST_UNMAP, ret);
	rcu_read_unlock();
	return ret;
}

/**
 * tce2_container_map_element() - map user memory for a request of a vector
 * @container: the container, to which the caller has a reference
 * @request: the client's request, not checked yet
 *
 * Counts the request. A brief request takes the path of tce2_container_map_page() if
 * possible, and then does not sleep.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_container_map().
 */
int tce2_container_map_element(struct tce2_container *container,
			       const struct tce2_map_request *request)
{
	int ret;

	rcu_read_lock();
	ret = container_try_map(container, request->iova, request->ua, request->size,
				request->perm);
	rcu_read_unlock();
	if (likely(ret != TCE2_NOT_BRIEF))
		return ret;
	tce2_journal_count(&container->journal, TCE2_REQUEST_MAP);
	return tce2_container_map(container, request);
}

/**
 * tce2_container_unmap_element() - unmap bus addresses for a request of a vector
 * @container: the container, to which the caller has a reference
 * @iova: first bus address
 * @size: bytes
 *
 * Counts the request. See tce2_container_map_element().
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_container_unmap().
 */
int tce2_container_unmap_element(struct tce2_container *container, u64 iova, u64 size)
{
	int ret;

	rcu_read_lock();
	ret = container_try_unmap(container, iova, size);
	rcu_read_unlock();
	if (likely(ret != TCE2_NOT_BRIEF))
		return ret;
	tce2_journal_count(&container->journal, TCE2_REQUEST_UNMAP);
	return tce2_container_unmap(container, iova, size);
}

/**
 * tce2_container_copy() - map the memory that other bus addresses map
 * @container: the container, through which memory has been registered
 * @iova: first bus address to map
 * @source: first bus address to copy
 * @size: bytes
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_ddw_copy(). An error changes no entry.
 */
int tce2_container_copy(struct tce2_container *container, u64 iova, u64 source, u64 size)
{
	tce2_journal_count(&container->journal, TCE2_REQUEST_COPY);
	return tce2_ddw_copy(&container->ddw, container->cache, iova, source, size);
}

/**
 * tce2_container_unmap_window() - unmap all bus addresses of a window
 * @container: the container
 * @start: first bus address of the window
 *
 * Counts the request.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: same as tce2_ddw_unmap_window().
 */
int tce2_container_unmap_window(struct tce2_container *container, u64 start)
{
	tce2_journal_count(&container->journal, TCE2_REQUEST_UNMAP);
	return tce2_ddw_unmap_window(&container->ddw, start);
}

/**
 * tce2_container_create_window() - create a DMA window without publishing it
 * @container: the container
 * @spec: the window
 * @creation: set for tce2_container_publish_window() or
 *	tce2_container_cancel_window(), one of which the caller must call
 *
 * Context: may sleep.
 * Return: -EPERM if the container is bound to another process, -ENOMEM, or an error of
 * tce2_ddw_create().
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
 * tce2_container_publish_window() - publish a window, so that requests can use it
 * @container: the container
 * @creation: set by tce2_container_create_window()
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_publish().
 */
int tce2_container_publish_window(struct tce2_container *container,
				  struct tce2_creation *creation)
{
	return tce2_ddw_publish(&container->ddw, creation);
}

/**
 * tce2_container_cancel_window() - remove a window that is not published
 * @container: the container
 * @creation: set by tce2_container_create_window()
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
 * Context: may sleep.
 * Return: -EPERM if the container is bound to another process, -ENOMEM, or an error of
 * tce2_ddw_remove().
 */
int tce2_container_remove_window(struct tce2_container *container, u64 start)
{
	int ret = container_bind_process(container);

	if (ret)
		return ret;
	return tce2_ddw_remove(&container->ddw, start);
}

/**
 * tce2_container_track() - begin to track the dirty pages of a window
 * @container: the container
 * @start: first bus address of the window
 *
 * Context: may sleep.
 * Return: -EPERM if the container is bound to another process, -ENOMEM, or an error of
 * tce2_ddw_track().
 */
int tce2_container_track(struct tce2_container *container, u64 start)
{
	int ret = container_bind_process(container);

	if (ret)
		return ret;
	return tce2_ddw_track(&container->ddw, container->cache, start);
}

/**
 * tce2_container_untrack() - stop tracking the dirty pages of a window
 * @container: the container
 * @start: first bus address of the window
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_untrack().
 */
int tce2_container_untrack(struct tce2_container *container, u64 start)
{
	return tce2_ddw_untrack(&container->ddw, start);
}

/**
 * tce2_container_get_dirty() - read which pages devices may have written to
 * @container: the container
 * @iova: first bus address
 * @size: bytes
 * @track: see tce2_ddw_get_dirty()
 *
 * Context: may sleep.
 * Return: same as tce2_ddw_get_dirty().
 */
int tce2_container_get_dirty(struct tce2_container *container, u64 iova, u64 size,
			     struct tce2_track *track)
{
	return tce2_ddw_get_dirty(&container->ddw, iova, size, track);
}

/**
 * tce2_container_restore_dirty() - undo the effect of tce2_container_get_dirty()
 * @container: the container
 * @iova: first bus address
 * @track: the walk
 *
 * Context: may sleep.
 */
void tce2_container_restore_dirty(struct tce2_container *container, u64 iova,
				  const struct tce2_track *track)
{
	tce2_ddw_restore_dirty(&container->ddw, iova, track);
}

/**
 * tce2_container_eeh() - carry out an EEH operation on every group
 * @container: the container
 * @op: the operation
 *
 * Implements VFIO_EEH_PE_OP (uapi/linux/vfio.h).
 *
 * Context: may sleep, for seconds in a reset.
 * Return: same as tce2_eeh_check() or tce2_ddw_eeh().
 */
int tce2_container_eeh(struct tce2_container *container,
		       const struct vfio_eeh_pe_op *op)
{
	return tce2_eeh_check(op) ?: tce2_ddw_eeh(&container->ddw, op);
}

/**
 * tce2_container_has_eeh() - check whether containers offer EEH operations
 *
 * Implements VFIO_EEH (uapi/linux/vfio.h).
 *
 * Context: any.
 * Return: true if containers offer EEH operations.
 */
bool tce2_container_has_eeh(void)
{
	return tce2_eeh_enabled();
}

/**
 * tce2_container_next() - find the next container, for debugfs
 * @id: number of the previous container, or 0
 *
 * Context: process context.
 * Return: the container with the lowest higher number, with a reference for the caller;
 * NULL if there is no such container.
 */
struct tce2_container *tce2_container_next(u64 id)
{
	struct tce2_container *container, *next = NULL;
	unsigned int slot;

	spin_lock(&table_lock);
	for (slot = 0; slot < TABLE_SLOTS; slot++) {
		hlist_for_each_entry_rcu(container, &containers[slot], node,
					 lockdep_is_held(&table_lock)) {
			if (container->id > id && (!next || container->id < next->id))
				next = container;
		}
	}
	/* A container in the table has VFIO's reference, which is put after the removal */
	if (next)
		refcount_inc(&next->refs);
	spin_unlock(&table_lock);
	return next;
}

/* Finds the first registration at or after @ua that has a region, or NULL */
static struct tce2_registration *
container_next_registration(struct tce2_container *container, u64 ua)
	__must_hold(&container->reg_lock)
{
	struct rb_node *node = container->registrations.rb_node, *next = NULL;

	lockdep_assert_held(&container->reg_lock);
	while (node) {
		if (rb_entry(node, struct tce2_registration, node)->ua < ua) {
			node = node->rb_right;
		} else {
			next = node;
			node = node->rb_left;
		}
	}
	for (; next; next = rb_next(next)) {
		struct tce2_registration *registration =
			rb_entry(next, struct tce2_registration, node);

		if (registration->region)
			return registration;
	}
	return NULL;
}

static void container_region_info(const struct tce2_region *region,
				  struct tce2_region_info *info)
{
	*info = (struct tce2_region_info){
		.ua = region->ua,
		.size = region->size,
		.blocks = region->extents.blocks,
		.page_shift = region->extents.shift,
		.used = READ_ONCE(region->used) - 1,
		/* One is for the registrations */
		.mapped = max_t(s64, tce2_mapped_sum(&region->mapped), 1) - 1,
		.readonly = region->extents.flags & TCE2_EXTENT_READONLY,
		.mirrored = READ_ONCE(region->mirror),
	};
	/* A block may be larger than the region */
	while (info->page_shift > PAGE_SHIFT &&
	       ALIGN(info->ua, BIT_ULL(info->page_shift)) +
	       BIT_ULL(info->page_shift) > info->ua + info->size)
		info->page_shift--;
}

/* Number of blocks to look at before a reader releases reg_lock */
#define INFO_BLOCKS	1024

/**
 * tce2_container_next_region() - find the next registered region, for debugfs
 * @container: the container
 * @ua: user address
 * @info: set to the properties of the first region that begins at or after @ua
 *
 * Skips regions that are being registered or unregistered.
 *
 * Context: may sleep. Holds reg_lock only for a batch of blocks.
 * Return: true; false if there is no such region, or after a fatal signal.
 */
bool tce2_container_next_region(struct tce2_container *container, u64 ua,
				struct tce2_region_info *info)
{
	struct tce2_registration *registration;
	const struct tce2_region *region;
	u64 bits = 0, at = 0;
	bool more;

	info->size = 0;
	do {
		if (fatal_signal_pending(current) ||
		    mutex_lock_killable(&container->reg_lock))
			return false;
		registration = container_next_registration(container, ua);
		if (!registration) {
			mutex_unlock(&container->reg_lock);
			return false;
		}
		region = registration->region;
		/* The first batch, or the region was replaced by another */
		if (!info->size || region->ua != info->ua || region->size != info->size) {
			bits = 0;
			at = region->ua;
		}
		container_region_info(region, info);
		/* Base pages are always aligned, so only larger blocks are looked at */
		if (info->page_shift > PAGE_SHIFT)
			bits |= tce2_extents_bits(&region->extents, &at, INFO_BLOCKS);
		more = info->page_shift > PAGE_SHIFT && at < info->ua + info->size;
		mutex_unlock(&container->reg_lock);
		cond_resched();
	} while (more);
	if (bits)
		info->page_shift = min_t(unsigned int, info->page_shift, __ffs64(bits));
	return true;
}
