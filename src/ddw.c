// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynamic DMA windows: a container's groups and the windows they share.
 *
 * Owns struct tce2_ddw: attaching and detaching groups, creating and removing
 * windows, the default window that is made when it is first used, the answer of
 * GET_INFO, and the lookup of the window or group that a request is for. Every request
 * is checked in full before the platform is asked, because a request that fails there
 * can have permanent effects: on pseries no window is ever created again for the device
 * (failed_ddw_pdn_list, arch/powerpc/platforms/pseries/iommu.c).
 *
 * Locks: clients, lock and slots_lock of struct tce2_ddw, which no other file uses.
 * Calls: kapi (publishing windows), kvm, tce_v2 (what is in a window), eeh, mm_iommu,
 * mirrors, range, platform; inlines of compat.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "tce2_compat.h"
#include "tce2_ddw.h"
#include "tce2_eeh.h"
#include "tce2_kapi_publish.h"
#include "tce2_kvm.h"
#include "tce2_mirrors.h"
#include "tce2_mm_iommu.h"
#include "tce2_platform.h"
#include "tce2_tce_v2.h"

#define NR_SLOTS	IOMMU_TABLE_GROUP_MAX_TABLES

static struct iommu_table_group *ddw_first_table_group(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return list_first_entry(&ddw->groups, struct tce2_group,
				node)->table_group;
}

/**
 * tce2_ddw_init() - begin with no group and no window
 * @ddw: zeroed memory for it
 */
void tce2_ddw_init(struct tce2_ddw *ddw)
{
	init_rwsem(&ddw->lock);
	mutex_init(&ddw->clients);
	spin_lock_init(&ddw->slots_lock);
	init_waitqueue_head(&ddw->calm);
	INIT_LIST_HEAD(&ddw->groups);
}

/*
 * Sets the window in a slot. Takes the spinlock, because ddw_wake_queues() does not
 * hold the rwsem
 */
static void ddw_set_slot(struct tce2_ddw *ddw, int slot, struct tce2_window *window)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	spin_lock(&ddw->slots_lock);
	ddw->window[slot] = window;
	spin_unlock(&ddw->slots_lock);
}

/*
 * Wakes requests that wait for entries and have to back off. Does not wait for the
 * rwsem, which a writer may be waiting for that is ahead of this one.
 */
static void ddw_wake_queues(struct tce2_ddw *ddw)
{
	int slot;

	spin_lock(&ddw->slots_lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_range_turn_away(&ddw->window[slot]->ranges);
	}
	spin_unlock(&ddw->slots_lock);
}

static void ddw_begin_hurry(struct tce2_ddw *ddw)
{
	atomic_inc(&ddw->hurry.turning_away);
	ddw_wake_queues(ddw);
}

/* Lets requests that were turned away, and client writers, try again */
static void ddw_end_hurry(struct tce2_ddw *ddw)
{
	atomic_inc(&ddw->writes);
	atomic_dec(&ddw->hurry.turning_away);
	wake_up_all(&ddw->calm);
}

/*
 * Locks the groups and windows for writing, for a client's request. Returns 0, or
 * -EINTR after a fatal signal.
 *
 * Requests that hold the lock for reading while they wait for entries of a window
 * release it, and restart after ddw_unlock_for_client(). So this function waits for
 * requests that are already running, for other calls of this function, and for VFIO.
 * Only one call at a time waits for the rwsem, and none while VFIO waits for it: so at
 * most one is ahead of VFIO.
 */
static int ddw_lock_for_client(struct tce2_ddw *ddw)
{
	if (mutex_lock_killable(&ddw->clients))
		return -EINTR;
	if (wait_event_killable(ddw->calm, !atomic_read(&ddw->hurry.stopping)))
		goto unlock;
	ddw_begin_hurry(ddw);
	if (!down_write_killable(&ddw->lock))
		return 0;
	ddw_end_hurry(ddw);
unlock:
	mutex_unlock(&ddw->clients);
	return -EINTR;
}

/* Like ddw_lock_for_client(), for work that must be done even after a fatal signal */
static void ddw_lock_for_client_uninterruptible(struct tce2_ddw *ddw)
{
	mutex_lock(&ddw->clients);
	wait_event(ddw->calm, !atomic_read(&ddw->hurry.stopping));
	ddw_begin_hurry(ddw);
	down_write(&ddw->lock);
}

static void ddw_unlock_for_client(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	ddw_end_hurry(ddw);
	mutex_unlock(&ddw->clients);
}

/*
 * Locks for writing while the caller, VFIO, holds locks for which other containers
 * wait. So requests that map or unmap many entries stop, too.
 */
static void ddw_lock_for_vfio(struct tce2_ddw *ddw)
{
	/* In this order: who stops waits until the first one is 0 again */
	atomic_inc(&ddw->hurry.turning_away);
	atomic_inc(&ddw->hurry.stopping);
	ddw_wake_queues(ddw);
	down_write(&ddw->lock);
}

static void ddw_unlock_for_vfio(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	atomic_dec(&ddw->hurry.stopping);
	ddw_end_hurry(ddw);
}

/*
 * Locks the groups and windows for reading, for a request. Returns 0; -EAGAIN if VFIO
 * waits for the lock: the request is to begin again after ddw_wait_for_writer(); -EINTR
 * after a fatal signal.
 */
static int ddw_begin_request(struct tce2_ddw *ddw)
{
	if (down_read_killable(&ddw->lock))
		return -EINTR;
	if (likely(!atomic_read(&ddw->hurry.stopping)))
		return 0;
	up_read(&ddw->lock);
	return -EAGAIN;
}

static void ddw_end_request(struct tce2_ddw *ddw)
{
	up_read(&ddw->lock);
}

/*
 * Waits until a request that was turned away may try again: until one writer has
 * unlocked, if there is a writer. Does not wait for writers that come after it. The
 * caller read @seen from @writes of struct tce2_ddw before the request tried. Returns 0,
 * or -EINTR after a fatal signal.
 */
static int ddw_wait_for_writer(struct tce2_ddw *ddw, int seen)
{
	return wait_event_killable(ddw->calm,
				   atomic_read(&ddw->writes) != seen ||
				   !atomic_read(&ddw->hurry.turning_away)) ?
		-EINTR : 0;
}

/* Programs a window for every group, or for the groups before @failed */
static int ddw_set_window(struct tce2_ddw *ddw, int slot, struct tce2_window *window,
			  struct tce2_group **failed)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;

	lockdep_assert_held_write(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		bool set;
		int ret = tce2_window_set(window, group->table_group, slot, &set);

		if (ret) {
			*failed = set ? list_next_entry(group, node) : group;
			return ret;
		}
	}
	return 0;
}

/* The page sizes that all groups offer, and in @levels how many levels */
static u64 ddw_common_pgsizes(struct tce2_ddw *ddw, u32 *levels)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	u64 pgsizes = ~0ULL;

	lockdep_assert_held(&ddw->lock);
	*levels = ~0U;
	list_for_each_entry(group, &ddw->groups, node) {
		pgsizes &= group->table_group->pgsizes;
		*levels = min(*levels, group->table_group->max_levels);
	}
	return pgsizes;
}

/* Everything about a window that can be known to be wrong beforehand */
static int ddw_check_spec(struct tce2_ddw *ddw,
			  const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	u32 max_levels;
	u64 pgsizes = ddw_common_pgsizes(ddw, &max_levels);

	return tce2_platform_check_spec(ddw_first_table_group(ddw), spec, pgsizes,
					max_levels);
}

/*
 * Counts the references to a window's table that are not KVM's: this module's,
 * and those of the table groups.
 */
static unsigned int ddw_table_refs(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	unsigned int refs = 1;

	lockdep_assert_held_write(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node)
		refs += tce2_platform_slot_refs(group->table_group);
	return refs;
}

/* Counts the references to each window's table again: a group joined or left */
static void ddw_expect_table_refs(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_kvm_expect(ddw->window[slot]->kvm,
					ddw_table_refs(ddw));
	}
}

/*
 * Unmaps all of a window and takes it from the groups that precede @stop in the
 * list, or from all groups if @stop is NULL. Can't fail. The charge for the
 * table is refunded with the table, to which KVM may have references.
 */
static void ddw_take_down(struct tce2_ddw *ddw, int slot,
			  struct tce2_window *window, struct tce2_group *stop)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;

	lockdep_assert_held_write(&ddw->lock);
	WRITE_ONCE(window->published, false);
	tce2_window_unpublish(window);
	tce2_window_retire(window);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group == stop)
			break;
		tce2_window_unset(window, group->table_group, slot);
	}
	tce2_kvm_release(window->kvm, tce2_window_release_table(window));
	tce2_window_put(window);
}

/*
 * Installs KVM's hooks at a new table and programs the table for every group.
 * After a failure nothing of the window is left.
 */
static int ddw_set_up(struct tce2_ddw *ddw, int slot, struct tce2_window *window,
		      struct tce2_kvm *kvm)
	__must_hold(&ddw->lock)
{
	/* On pseries the table is in the slot as soon as it is made */
	bool in_slot = tce2_platform_is_papr(ddw_first_table_group(ddw));
	struct tce2_group *failed = NULL;
	int ret;

	lockdep_assert_held_write(&ddw->lock);
	ret = tce2_kvm_install(kvm, window, in_slot ? 2 : 1);
	if (!ret)
		ret = ddw_set_window(ddw, slot, window, &failed);
	if (ret) {
		ddw_take_down(ddw, slot, window, failed);
		return ret;
	}
	tce2_kvm_expect(kvm, ddw_table_refs(ddw));
	ddw_set_slot(ddw, slot, window);
	return 0;
}

/*
 * Makes a window in a free slot for every group. No request finds the window before it
 * is published. After an error nothing is left.
 */
static int ddw_create_window(struct tce2_ddw *ddw, struct tce2_cache *cache,
			     int slot, const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window;
	struct tce2_kvm *kvm;
	int ret = -ENOMEM;

	lockdep_assert_held_write(&ddw->lock);
	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	kvm = tce2_kvm_alloc();
	if (!window || !kvm)
		goto free;
	ret = tce2_window_create(window, ddw_first_table_group(ddw), slot, spec,
				 cache, &ddw->hurry);
	if (ret)
		goto free;
	return ddw_set_up(ddw, slot, window, kvm);

free:
	kfree(kvm);
	kfree(window);
	return ret;
}

/* Lets requests and other modules find a window */
static void ddw_publish(struct tce2_window *window)
{
	WRITE_ONCE(window->published, true);
	tce2_window_publish(window);
}

static bool ddw_is_published(const struct tce2_window *window)
{
	return window && READ_ONCE(window->published);
}

/* Unmaps all of a window and takes it from every group; can't fail */
static void ddw_destroy_window(struct tce2_ddw *ddw, int slot)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window = ddw->window[slot];

	lockdep_assert_held_write(&ddw->lock);
	ddw_set_slot(ddw, slot, NULL);
	ddw_take_down(ddw, slot, window, NULL);
}

/**
 * tce2_ddw_destroy() - detach every group and remove every window
 * @ddw: the groups and windows, which no new request can reach
 *
 * Can't fail. Context: may sleep.
 */
void tce2_ddw_destroy(struct tce2_ddw *ddw)
{
	struct tce2_group *group, *next;
	int slot;

	ddw_lock_for_vfio(ddw);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			ddw_destroy_window(ddw, slot);
	}
	ddw->default_pending = false;
	list_for_each_entry_safe(group, next, &ddw->groups, node) {
		tce2_release_ownership(group->table_group);
		list_del(&group->node);
		kfree(group);
	}
	ddw_unlock_for_vfio(ddw);
}

/*
 * Takes every window from one group; others go on using them. If the platform
 * keeps one, its table must never be freed.
 */
static void ddw_unset_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg,
			      int slots)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < slots; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window || tce2_window_unset(window, tg, slot))
			continue;
		pr_err_ratelimited("platform keeps the window at %#llx for a group that leaves, leaking memory that is unmapped in it\n",
				   window->start);
	}
}

/* Programs every window for a group that joins, or none */
static int ddw_set_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	int slot, ret;
	bool set;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window)
			continue;
		ret = tce2_window_set(window, tg, slot, &set);
		if (ret) {
			ddw_unset_windows(ddw, tg, set ? slot + 1 : slot);
			return ret;
		}
	}
	return 0;
}

/* Checks that a group may join the groups and windows of the container */
static int ddw_check_group(struct tce2_ddw *ddw, struct iommu_group *iommu_group,
			   struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	int slot, ret;

	if (!tg)
		return -ENODEV;
	ret = tce2_platform_check_group(tg);
	if (ret)
		return ret;

	lockdep_assert_held(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group->group == iommu_group)
			return -EBUSY;
		if (!tce2_platform_can_share(tg, group->table_group))
			return -EPERM;
	}
	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (window && !(tg->pgsizes & BIT_ULL(window->page_shift)))
			return -EPERM;
	}
	return 0;
}

/**
 * tce2_ddw_attach() - let a group use the container's windows
 * @ddw: the groups and windows
 * @iommu_group: the group, which VFIO keeps until it is detached
 *
 * With the first group the default window becomes pending.
 *
 * Context: may sleep.
 * Return: 0; -ENODEV without a table group, -EINVAL if its platform has no
 * dynamic windows, -EBUSY if attached already, -EPERM if it can't share tables
 * with the groups or windows that are there, -ENOMEM, -EIO.
 */
int tce2_ddw_attach(struct tce2_ddw *ddw, struct iommu_group *iommu_group)
{
	struct iommu_table_group *tg = iommu_group_get_iommudata(iommu_group);
	struct tce2_group *group;
	int ret;

	/* Not charged to the memory cgroup, as in tce2_container_open() */
	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return -ENOMEM;
	group->group = iommu_group;
	group->table_group = tg;

	ddw_lock_for_vfio(ddw);
	ret = ddw_check_group(ddw, iommu_group, tg);
	if (ret)
		goto unlock;
	tce2_take_ownership(tg);
	ret = tce2_platform_clear_slots(tg);
	if (!ret)
		ret = ddw_set_windows(ddw, tg);
	if (ret) {
		tce2_release_ownership(tg);
		goto unlock;
	}
	if (list_empty(&ddw->groups) && !ddw->window[0])
		ddw->default_pending = tg->tce32_size;
	list_add_tail(&group->node, &ddw->groups);
	ddw_expect_table_refs(ddw);
unlock:
	ddw_unlock_for_vfio(ddw);
	if (ret)
		kfree(group);
	return ret;
}

/* Takes all windows from a group that leaves, before the platform has it back */
static void ddw_take_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	if (!tce2_platform_is_papr(tg)) {
		ddw_unset_windows(ddw, tg, NR_SLOTS);
		return;
	}
	/*
	 * These windows go away with their only group, and after that they could not be
	 * cleared. A table has to be clear before its window is removed (LoPAR
	 * 7.3.27.3, ibm,remove-pe-dma-window).
	 */
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			ddw_destroy_window(ddw, slot);
	}
	ddw->default_pending = false;
}

/**
 * tce2_ddw_detach() - take the container's windows from a group
 * @ddw: the groups and windows
 * @iommu_group: the group
 *
 * The windows and what is mapped in them stay, for other groups; those of a
 * hypervisor, which have one group, go. When this returns the group's devices
 * reach nothing through them.
 *
 * Context: may sleep.
 * Return: 0, or -ENOENT if the group is not attached.
 */
int tce2_ddw_detach(struct tce2_ddw *ddw, struct iommu_group *iommu_group)
{
	struct tce2_group *group;
	int ret = -ENOENT;

	ddw_lock_for_vfio(ddw);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group->group != iommu_group)
			continue;
		ddw_take_windows(ddw, group->table_group);
		tce2_release_ownership(group->table_group);
		list_del(&group->node);
		ddw_expect_table_refs(ddw);
		kfree(group);
		ret = 0;
		break;
	}
	ddw_unlock_for_vfio(ddw);
	return ret;
}

/**
 * tce2_ddw_info() - fill in the answer of VFIO_IOMMU_SPAPR_TCE_GET_INFO
 * @ddw: the groups and windows
 * @info: filled in, except argsz
 *
 * Context: may sleep.
 * Return: 0, -ENXIO without a group, -EINTR.
 */
int tce2_ddw_info(struct tce2_ddw *ddw, struct vfio_iommu_spapr_tce_info *info)
{
	struct iommu_table_group *tg;
	int ret = -ENXIO;

	if (down_read_killable(&ddw->lock))
		return -EINTR;
	if (list_empty(&ddw->groups))
		goto unlock;
	tg = ddw_first_table_group(ddw);
	info->flags = VFIO_IOMMU_SPAPR_INFO_DDW;
	info->dma32_window_start = tg->tce32_start;
	info->dma32_window_size = tg->tce32_size;
	info->ddw.pgsizes = ddw_common_pgsizes(ddw, &info->ddw.levels);
	info->ddw.max_dynamic_windows_supported =
		tg->max_dynamic_windows_supported;
	ret = 0;
unlock:
	up_read(&ddw->lock);
	return ret;
}

/* Makes the default window if it is pending */
static int ddw_create_default(struct tce2_ddw *ddw, struct tce2_cache *cache)
	__must_hold(&ddw->lock)
{
	struct tce2_window_spec spec = {
		.page_shift = TCE2_DEFAULT_PAGE_SHIFT, .levels = 1,
	};
	int ret;

	lockdep_assert_held_write(&ddw->lock);
	if (!ddw->default_pending)
		return 0;
	if (list_empty(&ddw->groups))
		return -ENXIO;
	/* It is the platform's own idea and needs no check */
	spec.size = ddw_first_table_group(ddw)->tce32_size;
	ret = ddw_create_window(ddw, cache, 0, &spec);
	if (ret)
		return ret;
	ddw_publish(ddw->window[0]);
	ddw->default_pending = false;
	return 0;
}

/*
 * Returns a slot that is free, and stays free when the default window is made. powernv
 * has 2 slots, a hypervisor 1 or 2 (LoPAR 7.3.27.1, ibm,query-pe-dma-window).
 */
static int ddw_free_slot(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	u32 slot, slots = NR_SLOTS;
	struct tce2_group *group;

	lockdep_assert_held(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node)
		slots = min(slots,
			    group->table_group->max_dynamic_windows_supported);
	for (slot = ddw->default_pending ? 1 : 0; slot < slots; slot++) {
		if (!ddw->window[slot])
			return slot;
	}
	return -ENOSPC;
}

/* Checks whether a hypervisor has a place for one more window */
static int ddw_check_place(struct tce2_ddw *ddw, int slot,
			   const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	struct iommu_table_group *tg = ddw_first_table_group(ddw);
	bool taken = ddw->window[1];

	lockdep_assert_held(&ddw->lock);
	if (ddw->window[0] && ddw->window[0]->start != tg->tce32_start)
		taken = true;
	return tce2_platform_check_place(tg, spec, slot, taken);
}

/* Locks for a client's request that needs a group; returns -ENXIO without one */
static int ddw_lock_with_group(struct tce2_ddw *ddw)
{
	int ret = ddw_lock_for_client(ddw);

	if (!ret && list_empty(&ddw->groups)) {
		ddw_unlock_for_client(ddw);
		ret = -ENXIO;
	}
	return ret;
}

/*
 * Removes a default window that was made for another window, which then failed or was
 * cancelled. KVM attaches without a lock. If it attaches right after the check, it
 * keeps a table in which it can't map any more.
 */
static void ddw_unmake_default(struct tce2_ddw *ddw, struct tce2_creation *creation)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window = creation->made_default;

	lockdep_assert_held_write(&ddw->lock);
	if (!window || ddw->window[0] != window || list_empty(&ddw->groups) ||
	    tce2_platform_is_papr(ddw_first_table_group(ddw)))
		return;
	/* References of the owner, KVM's hooks and @creation */
	if (tce2_kvm_attached(window->kvm) || !tce2_window_is_unused(window, 3))
		return;
	ddw_destroy_window(ddw, 0);
	ddw->default_pending = true;
}

/* Checks that the platform can be asked for a window, and finds a slot for the window */
static int ddw_find_slot(struct tce2_ddw *ddw, const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	int slot, ret;

	lockdep_assert_held(&ddw->lock);
	ret = ddw_check_spec(ddw, spec);
	if (ret)
		return ret;
	slot = ddw_free_slot(ddw);
	if (slot < 0)
		return slot;
	return ddw_check_place(ddw, slot, spec) ?: slot;
}

static void ddw_put_default(struct tce2_creation *creation)
{
	if (creation->made_default)
		tce2_window_put(creation->made_default);
}

/* Makes the default window if it is pending, and then the window */
static int ddw_create_locked(struct tce2_ddw *ddw, struct tce2_cache *cache,
			     const struct tce2_window_spec *spec,
			     struct tce2_creation *creation)
	__must_hold(&ddw->lock)
{
	bool was_pending = ddw->default_pending;
	int slot, ret;

	lockdep_assert_held_write(&ddw->lock);
	slot = ddw_find_slot(ddw, spec);
	if (slot < 0)
		return slot;
	ret = ddw_create_default(ddw, cache);
	if (ret)
		return ret;
	creation->made_default = was_pending ? ddw->window[0] : NULL;
	if (creation->made_default)
		refcount_inc(&creation->made_default->refs);
	ret = ddw_create_window(ddw, cache, slot, spec);
	if (ret) {
		ddw_unmake_default(ddw, creation);
		ddw_put_default(creation);
		return ret;
	}
	creation->window = ddw->window[slot];
	creation->slot = slot;
	creation->start = creation->window->start;
	refcount_inc(&creation->window->refs);
	return 0;
}

static void ddw_end_creation(struct tce2_creation *creation)
{
	ddw_put_default(creation);
	tce2_window_put(creation->window);
}

/**
 * tce2_ddw_create() - make a window for all groups, not yet published
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @spec: the window
 * @creation: filled in; to be given to tce2_ddw_publish() or tce2_ddw_cancel()
 *
 * The window's first bus address is written to the client before the window is
 * published. No lock is held then, because the client's userfaultfd can delay the write
 * as long as it likes. Until the window is published it has its slot, but no request
 * finds it. It is removed with the container; a hypervisor's window also with the
 * group.
 *
 * A pending default window is made and published first, since it owns slot 0. If the
 * new window can't be made, the default window becomes pending again, unless it is in
 * use by then or is a hypervisor's. After a request that failed there, the default
 * window might not be made a second time. VFIO_IOMMU_SPAPR_TCE_CREATE of
 * uapi/linux/vfio.h.
 *
 * Context: may sleep.
 * Return: 0; or an error, with nothing changed except the default window: -ENXIO
 * without a group, -EINVAL if the platform does not offer such a window, -ENOSPC
 * without a free slot or place, -ENOMEM without memory or over RLIMIT_MEMLOCK, -EPERM
 * or -EIO if the platform refuses, -EBUSY if KVM has found a hypervisor's table before
 * its hooks were installed, -EINTR.
 */
int tce2_ddw_create(struct tce2_ddw *ddw, struct tce2_cache *cache,
		    const struct tce2_window_spec *spec,
		    struct tce2_creation *creation)
{
	int ret = ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	ret = ddw_create_locked(ddw, cache, spec, creation);
	ddw_unlock_for_client(ddw);
	return ret;
}

/**
 * tce2_ddw_publish() - let requests use a window
 * @ddw: the groups and windows
 * @creation: what tce2_ddw_create() filled in; of no use any more on return
 *
 * Context: may sleep.
 * Return: 0; -ENXIO if the window has gone with its group or with the container.
 */
int tce2_ddw_publish(struct tce2_ddw *ddw, struct tce2_creation *creation)
{
	int ret = -ENXIO;

	/* Not killable: the client knows the address. No wait for a range of entries */
	down_read(&ddw->lock);
	if (ddw->window[creation->slot] == creation->window) {
		ddw_publish(creation->window);
		ret = 0;
	}
	up_read(&ddw->lock);
	ddw_end_creation(creation);
	return ret;
}

/**
 * tce2_ddw_cancel() - take down a window that is not published
 * @ddw: the groups and windows
 * @creation: what tce2_ddw_create() filled in; of no use any more on return
 *
 * Everything is as it was before tce2_ddw_create(). A default window that was made for
 * the window becomes pending again, unless it is a hypervisor's, or is in use by now, or
 * no group is left.
 *
 * Context: may sleep; can't be interrupted.
 */
void tce2_ddw_cancel(struct tce2_ddw *ddw, struct tce2_creation *creation)
{
	ddw_lock_for_client_uninterruptible(ddw);
	if (ddw->window[creation->slot] == creation->window) {
		ddw_destroy_window(ddw, creation->slot);
		ddw_unmake_default(ddw, creation);
	}
	ddw_unlock_for_client(ddw);
	ddw_end_creation(creation);
}

/**
 * tce2_ddw_remove() - remove a window from all groups
 * @ddw: the groups and windows
 * @start: first bus address of the window
 *
 * What is mapped in it is unmapped. A pending default window is removed by not
 * being made. VFIO_IOMMU_SPAPR_TCE_REMOVE of uapi/linux/vfio.h.
 *
 * Context: may sleep.
 * Return: 0, -ENXIO without a group, -EINVAL if no window begins there, -EINTR.
 */
int tce2_ddw_remove(struct tce2_ddw *ddw, u64 start)
{
	int slot, ret;

	ret = ddw_lock_with_group(ddw);
	if (ret)
		return ret;
	ret = -EINVAL;
	if (ddw->default_pending &&
	    start == ddw_first_table_group(ddw)->tce32_start) {
		ddw->default_pending = false;
		ret = 0;
		goto unlock;
	}
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw_is_published(ddw->window[slot]) &&
		    ddw->window[slot]->start == start) {
			ddw_destroy_window(ddw, slot);
			ret = 0;
			break;
		}
	}
unlock:
	ddw_unlock_for_client(ddw);
	return ret;
}

/**
 * struct bus_range - the properties of a window that a request is checked against
 * @start: first bus address
 * @size: bytes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @window: the window, or NULL for the default window while it is pending
 */
struct bus_range {
	u64 start;
	u64 size;
	unsigned int page_shift;
	struct tce2_window *window;
};

static bool bus_range_has_iova(const struct bus_range *range, u64 iova)
{
	return iova >= range->start && iova - range->start < range->size;
}

/* Finds the window that a bus address lies in, or returns -ENXIO */
static int ddw_find_window(struct tce2_ddw *ddw, u64 iova, struct bus_range *range)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!ddw_is_published(window))
			continue;
		*range = (struct bus_range){
			window->start, window->size, window->page_shift, window,
		};
		if (bus_range_has_iova(range, iova))
			return 0;
	}
	if (ddw->default_pending && !list_empty(&ddw->groups)) {
		struct iommu_table_group *tg = ddw_first_table_group(ddw);

		*range = (struct bus_range){
			tg->tce32_start, tg->tce32_size,
			TCE2_DEFAULT_PAGE_SHIFT,
			NULL,
		};
		if (bus_range_has_iova(range, iova))
			return 0;
	}
	return -ENXIO;
}

/* Checks a request against the window that its first bus address lies in */
static int ddw_find_range(struct tce2_ddw *ddw,
			  const struct tce2_map_request *request,
			  struct bus_range *range)
	__must_hold(&ddw->lock)
{
	int ret = ddw_find_window(ddw, request->iova, range);
	u64 end;

	if (ret)
		return ret;
	if (!request->size || check_add_overflow(request->ua, request->size, &end))
		return -EINVAL;
	if ((request->iova | request->ua | request->size) &
	    (BIT_ULL(range->page_shift) - 1))
		return -EINVAL;
	if (request->size > range->size - (request->iova - range->start))
		return -EINVAL;
	return 0;
}

/* Makes the default window for a map request, if the request is in order */
static int ddw_make_default_for_map_locked(struct tce2_ddw *ddw,
					   struct tce2_cache *cache,
					   const struct tce2_map_request *request)
	__must_hold(&ddw->lock)
{
	struct tce2_memory memory;
	struct bus_range range;
	int ret;

	/* Other threads may have changed groups and windows while the lock was not held */
	ret = ddw_find_range(ddw, request, &range);
	if (ret || range.window)
		return ret;
	memory = (struct tce2_memory){
		.ua = request->ua,
		.pages = request->size >> range.page_shift,
		.shift = range.page_shift,
		.write = request->perm & TCE2_PERM_WRITE,
	};
	ret = tce2_memory_hold(cache, &memory);
	if (ret)
		return ret;
	ret = ddw_create_default(ddw, cache);
	tce2_memory_drop(cache, &memory);
	return ret;
}

static int ddw_make_default_for_map(struct tce2_ddw *ddw,
				    struct tce2_cache *cache,
				    const struct tce2_map_request *request)
{
	int ret = ddw_lock_for_client(ddw);

	if (ret)
		return ret;
	ret = ddw_make_default_for_map_locked(ddw, cache, request);
	ddw_unlock_for_client(ddw);
	return ret;
}

/*
 * Returns true if KVM is to map the process's memory without userspace from now
 * on. KVM attaches to a table without notice, so this is checked when a client
 * maps memory that KVM could not map.
 */
static bool ddw_wants_mirrors(struct tce2_cache *cache, struct tce2_window *window)
{
	return unlikely(tce2_kvm_attached(window->kvm)) &&
	       READ_ONCE(cache->mirrors_due) && tce2_kvm_maps(window->kvm);
}

/* Maps in an existing window; sets *@pending if the default one must be made first */
static int ddw_try_map(struct tce2_ddw *ddw, struct tce2_cache *cache,
		       const struct tce2_map_request *request,
		       enum tce2_patience patience, bool *pending)
{
	struct bus_range range;
	bool mirror = false;
	int ret;

	*pending = false;
	ret = ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = ddw_find_range(ddw, request, &range);
	if (!ret && !request->perm)
		ret = -EINVAL;
	*pending = !ret && !range.window;
	if (!ret && range.window)
		ret = tce2_window_map(range.window, request, patience);
	if (!ret && range.window)
		mirror = ddw_wants_mirrors(cache, range.window);
	ddw_end_request(ddw);
	if (mirror)
		tce2_cache_mirror(cache);
	return ret;
}

/**
 * tce2_ddw_map() - map user memory at bus addresses
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @request: the client's request, not checked yet
 *
 * A pending default window is made if the request is for it. If a writer wants the lock
 * while the request waits for entries, the request unlocks and begins again.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; -ENXIO if the first bus address is in no window; -EINVAL if the request is
 * empty, without permission, misaligned, wrapping or reaching past the window; or as
 * tce2_window_map(), except -EAGAIN. After an error nothing is changed.
 */
int tce2_ddw_map(struct tce2_ddw *ddw, struct tce2_cache *cache,
		 const struct tce2_map_request *request)
{
	enum tce2_patience patience = TCE2_YIELDS;
	bool pending;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_map(ddw, cache, request, patience, &pending);
		if (likely(!pending && ret != -EAGAIN))
			return ret;
		if (pending) {
			ret = ddw_make_default_for_map(ddw, cache, request);
			continue;
		}
		/* Turned away once: from now on back off only for VFIO */
		patience = TCE2_YIELDS_TO_VFIO;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

static int ddw_try_unmap(struct tce2_ddw *ddw, u64 iova, u64 size,
			 enum tce2_patience patience)
{
	const struct tce2_map_request request = { .iova = iova, .size = size };
	struct bus_range range;
	int ret;

	ret = ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = ddw_find_range(ddw, &request, &range);
	/* In a window that is still to be made there is nothing to unmap */
	if (!ret && range.window)
		ret = tce2_window_unmap(range.window, iova, size, patience);
	ddw_end_request(ddw);
	return ret;
}

/**
 * tce2_ddw_unmap() - unmap bus addresses
 * @ddw: the groups and windows
 * @iova: first bus address
 * @size: bytes
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; -ENXIO if @iova is in no window; -EINVAL if the request is empty,
 * misaligned or reaching past the window; or as tce2_window_unmap(), except -EAGAIN.
 */
int tce2_ddw_unmap(struct tce2_ddw *ddw, u64 iova, u64 size)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_unmap(ddw, iova, size, patience);
		if (likely(ret != -EAGAIN))
			return ret;
		patience = TCE2_YIELDS_TO_VFIO;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

/**
 * tce2_ddw_eeh() - carry out an EEH operation on every group
 * @ddw: the groups and windows
 * @op: the operation, checked
 *
 * Stops at the first group whose result is not 0: an error, or a state other than
 * normal.
 *
 * Context: may sleep, for seconds in a reset.
 * Return: that result, or 0 if every group returned 0; -EINTR.
 */
int tce2_ddw_eeh(struct tce2_ddw *ddw, const struct vfio_eeh_pe_op *op)
{
	struct tce2_group *group;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_begin_request(ddw);
		if (ret != -EAGAIN)
			break;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	if (ret)
		return ret;
	list_for_each_entry(group, &ddw->groups, node) {
		ret = tce2_eeh_pe_op(group->group, op);
		if (ret)
			break;
	}
	ddw_end_request(ddw);
	return ret;
}
