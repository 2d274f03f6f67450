// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynamic DMA windows: a container's groups and the windows they share.
 *
 * Owns struct tce2_ddw. This file attaches and detaches groups, creates and removes
 * windows, and makes the default window on first use. It also answers GET_INFO, and
 * finds the window or the groups for a request.
 *
 * Every request is checked completely before the platform is called, because a failure
 * there can have permanent effects. On pseries Linux then never creates a window for the
 * device again (failed_ddw_pdn_list, arch/powerpc/platforms/pseries/iommu.c).
 *
 * Locks: clients, lock and slots_lock of struct tce2_ddw, which no other file uses.
 * Calls: kapi (publishing windows), kvm, track, dirty, access, tce_v2 (mappings of a window),
 * eeh, mm_iommu, mirrors, range, platform, software, trace; inlines of compat.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "tce2_access.h"
#include "tce2_compat.h"
#include "tce2_ddw.h"
#include "tce2_dirty.h"
#include "tce2_eeh.h"
#include "tce2_kapi_publish.h"
#include "tce2_kvm.h"
#include "tce2_mirrors.h"
#include "tce2_mm_iommu.h"
#include "tce2_platform.h"
#include "tce2_software.h"
#include "tce2_tce_v2.h"
#include "tce2_trace_calls.h"
#include "tce2_track.h"
#include "tce2_why.h"

#define NR_SLOTS	IOMMU_TABLE_GROUP_MAX_TABLES

static struct iommu_table_group *ddw_first_table_group(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return list_first_entry(&ddw->groups, struct tce2_group,
				node)->table_group;
}

/**
 * tce2_ddw_init() - initialize the structure, with no group and no window
 * @ddw: zeroed memory for the structure
 * @counts: counts of requests; must stay valid until tce2_ddw_destroy() has returned
 */
void tce2_ddw_init(struct tce2_ddw *ddw, struct tce2_counts __percpu *counts)
{
	ddw->counts = counts;
	init_rwsem(&ddw->lock);
	mutex_init(&ddw->clients);
	spin_lock_init(&ddw->slots_lock);
	init_waitqueue_head(&ddw->calm);
	INIT_LIST_HEAD(&ddw->groups);
}

/*
 * Sets the window in a slot. Takes the spinlock, because ddw_wake_queues() does not
 * hold the rwsem.
 */
static void ddw_set_slot(struct tce2_ddw *ddw, int slot, struct tce2_window *window)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	spin_lock(&ddw->slots_lock);
	/* Pairs with tce2_ddw_find_page(), which must find a complete window */
	smp_store_release(&ddw->window[slot], window);
	spin_unlock(&ddw->slots_lock);
}

/*
 * Wakes ("turns away") requests that wait for entries, so that they back off. Does not
 * take the rwsem, for which another writer may already be waiting.
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

/* Until ddw_end_hurry(), a request backs off instead of waiting for entries */
static void ddw_begin_hurry(struct tce2_ddw *ddw)
{
	atomic_inc(&ddw->hurry.turning_away);
	ddw_wake_queues(ddw);
}

/* Undoes ddw_begin_hurry(); wakes turned-away requests and clients' waiting writers */
static void ddw_end_hurry(struct tce2_ddw *ddw)
{
	atomic_inc(&ddw->writes);
	atomic_dec(&ddw->hurry.turning_away);
	wake_up_all(&ddw->calm);
}

/* Implements ddw_lock_for_client() */
static int ddw_wait_for_client_lock(struct tce2_ddw *ddw)
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

/*
 * Locks the groups and windows for writing, for a client's request. Returns 0, or
 * -EINTR after a fatal signal.
 *
 * A request that waits for entries of a window releases the rwsem, and restarts after
 * ddw_unlock_for_client(). A restarted request backs off only for VFIO. So this function
 * waits for running requests, for other calls of this function, and for VFIO.
 *
 * Only one call at a time waits for the rwsem, and no call begins to wait while VFIO
 * waits. So at most one call is ahead of VFIO.
 */
static int ddw_lock_for_client(struct tce2_ddw *ddw)
{
	/* Without another writer, the wait is short: requests back off */
	u64 began = atomic_read(&ddw->hurry.turning_away) ? tce2_trace_begin_wait() : 0;
	int ret = ddw_wait_for_client_lock(ddw);

	tce2_trace_end_wait(TCE2_WAIT_WINDOWS, began);
	return ret;
}

/* Same as ddw_lock_for_client(), for work that is necessary even after a fatal signal */
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
 * Locks the groups and windows for writing, for a call of VFIO. VFIO holds locks that
 * all containers share, so requests that map or unmap many entries also stop.
 */
static void ddw_lock_for_vfio(struct tce2_ddw *ddw)
{
	u64 began;

	/* turning_away first: a stopped request waits only while turning_away is not 0 */
	atomic_inc(&ddw->hurry.turning_away);
	atomic_inc(&ddw->hurry.stopping);
	ddw_wake_queues(ddw);
	began = tce2_trace_begin_wait();
	down_write(&ddw->lock);
	tce2_trace_end_wait(TCE2_WAIT_GROUPS, began);
}

static void ddw_unlock_for_vfio(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	atomic_dec(&ddw->hurry.stopping);
	ddw_end_hurry(ddw);
}

/* Traces the wait only if there is one, because each request on the general path calls this */
static noinline int ddw_down_read_traced(struct tce2_ddw *ddw)
{
	u64 began = ktime_get_ns();
	int ret;

	if (down_read_trylock(&ddw->lock))
		return 0;
	ret = down_read_killable(&ddw->lock);
	tce2_trace_wait(TCE2_WAIT_WINDOWS, began);
	return ret;
}

/*
 * Locks the groups and windows for reading, for a request. Returns 0, or -EINTR after a
 * fatal signal. Returns -EAGAIN if VFIO waits for the lock: the caller must call
 * ddw_wait_for_writer() and then restart the request.
 */
static int ddw_begin_request(struct tce2_ddw *ddw)
{
	if (tce2_tracing_on() ? ddw_down_read_traced(ddw) : down_read_killable(&ddw->lock))
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
 * Checks again that the container belongs to the process of a request. The request may have
 * checked the process before another process has taken the container over.
 */
static int ddw_check_process(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return unlikely(ddw->taker) && ddw->taker != current->mm ?
	       tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS) : 0;
}

/*
 * Waits until a request that was turned away may restart: until one writer has unlocked,
 * or no writer is left. Does not wait for later writers. @seen is the value of @writes in
 * struct tce2_ddw, which the caller must read before it tries the request. Returns 0, or
 * -EINTR after a fatal signal.
 */
static int ddw_wait_for_writer(struct tce2_ddw *ddw, int seen)
{
	u64 began = tce2_trace_begin_wait();
	int ret = wait_event_killable(ddw->calm,
				      atomic_read(&ddw->writes) != seen ||
				      !atomic_read(&ddw->hurry.turning_away));

	tce2_trace_end_wait(TCE2_WAIT_WINDOWS, began);
	return ret ? -EINTR : 0;
}

/*
 * Same as ddw_begin_request(), but waits for VFIO and then tries again. Returns 0, or
 * -EINTR after a fatal signal.
 */
static int ddw_begin_request_again(struct tce2_ddw *ddw)
{
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_begin_request(ddw);
		if (ret != -EAGAIN)
			return ret;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

/*
 * Programs a window for every group. After an error, the groups before *@failed have
 * the window, and the caller must remove it from them.
 */
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

/*
 * Returns the page sizes that all groups offer, and sets *@levels to the number of
 * levels that all groups offer.
 */
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

/* Checks a window's specification as far as possible before the platform is called */
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
 * Counts the references of this module and of the table groups to a window's table.
 * Further references are KVM's.
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

/* Updates the expected references to each table after a group has joined or left */
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
 * Unmaps all entries of a window, and removes the window from the groups before
 * @stop in the list, or from all groups if @stop is NULL. Can't fail. The charge
 * for the table is refunded when the table is freed. References of KVM may delay
 * that.
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

/* Returns true if drivers of emulated devices may pin pages */
static bool ddw_has_accessors(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return ddw->emulation && ddw->emulation->accessors;
}

/*
 * Installs KVM's hooks at a new table and programs the table for every group.
 * Removes the window completely after an error.
 */
static int ddw_set_up(struct tce2_ddw *ddw, int slot, struct tce2_window *window,
		      struct tce2_kvm *kvm)
	__must_hold(&ddw->lock)
{
	/* On pseries create_table() has entered the table in the slot, with a reference */
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
	if (ddw_has_accessors(ddw))
		tce2_window_accept_pins(window, &ddw->emulation->access.pins);
	ddw_set_slot(ddw, slot, window);
	return 0;
}

/*
 * Makes a window in a free slot for every group. No request finds the window before it
 * is published. After an error nothing is changed.
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
	window->id = ++ddw->windows;
	window->counts = ddw->counts;
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
	tce2_window_serve_pages(window);
	tce2_window_publish(window);
}

static bool ddw_is_published(const struct tce2_window *window)
{
	return window && READ_ONCE(window->published);
}

/* Unmaps all entries of a window, and removes it from every group; can't fail */
static void ddw_destroy_window(struct tce2_ddw *ddw, int slot)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window = ddw->window[slot];

	lockdep_assert_held_write(&ddw->lock);
	ddw_set_slot(ddw, slot, NULL);
	ddw_take_down(ddw, slot, window, NULL);
}

static void ddw_count_groups(struct tce2_ddw *ddw, int change)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	WRITE_ONCE(ddw->nr_groups, ddw->nr_groups + change);
}

static void ddw_remove_group(struct tce2_ddw *ddw, struct tce2_group *group)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	list_del(&group->node);
	ddw_count_groups(ddw, -1);
}

static bool ddw_is_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return ddw->emulation && !list_empty(&ddw->emulation->software.node);
}

/*
 * Adds the software group, because emulated groups are left and no group with hardware.
 * Windows of groups that have left stay. To set a window for this group can't fail.
 */
static void ddw_begin_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;
	bool set;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_window_set(ddw->window[slot], &ddw->emulation->tg, slot,
					&set);
	}
	list_add(&ddw->emulation->software.node, &ddw->groups);
}

/* Undoes ddw_begin_software() */
static void ddw_end_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	if (!ddw_is_software(ddw))
		return;
	list_del_init(&ddw->emulation->software.node);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_window_unset(ddw->window[slot], &ddw->emulation->tg, slot);
	}
}

static struct tce2_emulated *ddw_find_emulated(struct tce2_ddw *ddw,
					       const struct iommu_group *group)
	__must_hold(&ddw->lock)
{
	struct tce2_emulated *emulated;

	lockdep_assert_held(&ddw->lock);
	if (!ddw->emulation)
		return NULL;
	list_for_each_entry(emulated, &ddw->emulation->groups, node) {
		if (emulated->group == group)
			return emulated;
	}
	return NULL;
}

static void ddw_remove_emulated(struct tce2_ddw *ddw, struct tce2_emulated *emulated)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	list_del(&emulated->node);
	ddw_count_groups(ddw, -1);
	kfree(emulated);
	if (list_empty(&ddw->emulation->groups))
		ddw_end_software(ddw);
}

static void ddw_remove_all_emulated(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct tce2_emulated *emulated, *next;

	lockdep_assert_held_write(&ddw->lock);
	if (!ddw->emulation)
		return;
	list_for_each_entry_safe(emulated, next, &ddw->emulation->groups, node)
		ddw_remove_emulated(ddw, emulated);
}

/**
 * tce2_ddw_destroy() - detach every group and remove every window
 * @ddw: the groups and windows, which no new request can reach, except requests for one page
 *
 * Can't fail.
 *
 * Context: may sleep.
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
	ddw_remove_all_emulated(ddw);
	list_for_each_entry_safe(group, next, &ddw->groups, node) {
		tce2_release_ownership(group->table_group);
		ddw_remove_group(ddw, group);
		kfree(group);
	}
	ddw_unlock_for_vfio(ddw);
	if (ddw->emulation)
		tce2_access_destroy(&ddw->emulation->access);
}

/**
 * tce2_ddw_free() - free memory that running requests may use after tce2_ddw_destroy()
 * @ddw: the groups and windows, which no thread uses any more
 *
 * Context: any.
 */
void tce2_ddw_free(struct tce2_ddw *ddw)
{
	kfree(ddw->emulation);
}

/*
 * Removes the windows in the first @slots slots from one group; other groups keep using
 * them. If the platform does not remove a window, its table must never be freed.
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
		pr_err_ratelimited("platform keeps the window at %#llx for a detached group: memory unmapped in the window stays pinned until reboot\n",
				   window->start);
	}
}

/* Programs every window for a group that joins; after an error, removes them again */
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

/*
 * Checks that a group may use a window of the container. Other groups that used it may have
 * left, so that only emulated groups are left.
 */
static int ddw_check_window(struct tce2_ddw *ddw, const struct tce2_window *window,
			    const struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	const struct iommu_table_group_ops *hardware;

	lockdep_assert_held(&ddw->lock);
	if (tce2_table_is_software(&window->table))
		return tce2_refuse(-EPERM, TCE2_WHY_SOFTWARE_WINDOW);
	if (ddw_is_software(ddw)) {
		hardware = ddw->emulation->hardware;
		if (!hardware || tg->ops->create_table != hardware->create_table)
			return tce2_refuse(-EPERM, TCE2_WHY_CANNOT_SHARE);
	}
	if (!(tg->pgsizes & BIT_ULL(window->page_shift)))
		return tce2_refuse(-EPERM, TCE2_WHY_GROUP_PAGE_SIZE);
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
		return tce2_refuse(-ENODEV, TCE2_WHY_NO_TABLE_GROUP);
	ret = tce2_platform_check_group(tg);
	if (ret)
		return ret;

	lockdep_assert_held(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group->group == iommu_group)
			return tce2_refuse(-EBUSY, TCE2_WHY_ALREADY_ATTACHED);
		if (!tce2_is_software(group->table_group) &&
		    !tce2_platform_can_share(tg, group->table_group))
			return tce2_refuse(-EPERM, TCE2_WHY_CANNOT_SHARE);
	}
	for (slot = 0; slot < NR_SLOTS; slot++) {
		ret = ddw->window[slot] ? ddw_check_window(ddw, ddw->window[slot], tg) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/* Adds a group with hardware, for which all windows are programmed */
static void ddw_add_group(struct tce2_ddw *ddw, struct tce2_group *group)
	__must_hold(&ddw->lock)
{
	struct iommu_table_group *tg = group->table_group;
	bool joins_emulated = ddw_is_software(ddw);

	lockdep_assert_held_write(&ddw->lock);
	ddw_end_software(ddw);
	if (list_empty(&ddw->groups)) {
		if (ddw->emulation)
			ddw->emulation->hardware = tg->ops;
		/* Beside emulated groups, a removed default window stays removed */
		if (!ddw->window[0] && (!joins_emulated || ddw->default_pending))
			ddw->default_pending = tg->tce32_size;
	}
	list_add_tail(&group->node, &ddw->groups);
	ddw_count_groups(ddw, 1);
	ddw_expect_table_refs(ddw);
}

/**
 * tce2_ddw_attach() - attach a group to the container's windows
 * @ddw: the groups and windows
 * @iommu_group: the group; VFIO keeps the group until it is detached
 *
 * With the first group the default window becomes pending, if the platform has a
 * default window.
 *
 * Context: may sleep.
 * Return:
 * * 0 - success
 * * -ENODEV - the group has no table group
 * * -EINVAL - the platform offers no dynamic windows for the group
 * * -EBUSY - the group is attached already
 * * -EPERM - the group can't share tables with the groups or windows of the container, or
 *   the container has windows without hardware
 * * -ENOMEM, -EIO, or another error of the platform
 */
int tce2_ddw_attach(struct tce2_ddw *ddw, struct iommu_group *iommu_group)
{
	struct iommu_table_group *tg = iommu_group_get_iommudata(iommu_group);
	struct tce2_group *group;
	int ret;

	/* Not charged to the memory cgroup, for the reason in tce2_container_open() */
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
	ddw_add_group(ddw, group);
unlock:
	ddw_unlock_for_vfio(ddw);
	if (ret)
		kfree(group);
	return ret;
}

/* Sets the state for emulated devices, when the first emulated group is attached */
static void ddw_begin_emulation(struct tce2_ddw *ddw, struct tce2_emulation *emulation)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	INIT_LIST_HEAD(&emulation->groups);
	INIT_LIST_HEAD(&emulation->software.node);
	tce2_software_init(&emulation->tg);
	emulation->software.table_group = &emulation->tg;
	tce2_access_init(&emulation->access);
	if (!list_empty(&ddw->groups))
		emulation->hardware = ddw_first_table_group(ddw)->ops;
	/* Pairs with tce2_ddw_emulation() */
	smp_store_release(&ddw->emulation, emulation);
}

/* Adds an emulated group; returns -EBUSY if the group is attached already */
static int ddw_add_emulated(struct tce2_ddw *ddw, struct tce2_emulated *emulated)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	if (ddw_find_emulated(ddw, emulated->group))
		return tce2_refuse(-EBUSY, TCE2_WHY_ALREADY_ATTACHED);
	if (list_empty(&ddw->groups)) {
		ddw_begin_software(ddw);
		ddw->default_pending = !ddw->window[0];
	}
	list_add_tail(&emulated->node, &ddw->emulation->groups);
	ddw_count_groups(ddw, 1);
	return 0;
}

/**
 * tce2_ddw_attach_emulated() - attach a group of an emulated device
 * @ddw: the groups and windows
 * @iommu_group: the group; VFIO keeps the group until it is detached
 *
 * Beside groups with hardware, an emulated device uses their windows. Without them, the
 * container has windows without hardware, with the rules of src/software.c.
 *
 * Context: may sleep.
 * Return: 0; -EBUSY if the group is attached already; -ENOMEM.
 */
int tce2_ddw_attach_emulated(struct tce2_ddw *ddw, struct iommu_group *iommu_group)
{
	struct tce2_emulation *emulation;
	struct tce2_emulated *emulated;
	int ret = -ENOMEM;

	/* Not charged to the memory cgroup, for the reason in tce2_container_open() */
	emulation = kzalloc(sizeof(*emulation), GFP_KERNEL);
	emulated = kzalloc(sizeof(*emulated), GFP_KERNEL);
	if (!emulation || !emulated)
		goto free;
	emulated->group = iommu_group;

	ddw_lock_for_vfio(ddw);
	if (!ddw->emulation) {
		ddw_begin_emulation(ddw, emulation);
		emulation = NULL;
	}
	ret = ddw_add_emulated(ddw, emulated);
	ddw_unlock_for_vfio(ddw);
	if (!ret)
		emulated = NULL;
free:
	kfree(emulation);
	kfree(emulated);
	return ret;
}

/* Removes all windows from a group before its DMA ownership returns to the platform */
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
	 * A hypervisor's windows are removed with their only group, and their tables can't
	 * be cleared afterwards. A table must be clear before its window is removed
	 * (LoPAR 7.3.27.3, ibm,remove-pe-dma-window).
	 */
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			ddw_destroy_window(ddw, slot);
	}
	ddw->default_pending = false;
}

/* Removes a group with hardware; emulated groups may stay */
static void ddw_detach_group(struct tce2_ddw *ddw, struct tce2_group *group)
	__must_hold(&ddw->lock)
{
	bool papr = tce2_platform_is_papr(group->table_group);

	lockdep_assert_held_write(&ddw->lock);
	ddw_take_windows(ddw, group->table_group);
	tce2_release_ownership(group->table_group);
	ddw_remove_group(ddw, group);
	if (list_empty(&ddw->groups) && ddw->emulation &&
	    !list_empty(&ddw->emulation->groups)) {
		ddw_begin_software(ddw);
		/* The hypervisor's windows went with the group */
		if (papr)
			ddw->default_pending = true;
	}
	ddw_expect_table_refs(ddw);
	kfree(group);
}

static struct tce2_group *ddw_find_group(struct tce2_ddw *ddw,
					 const struct iommu_group *iommu_group)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;

	lockdep_assert_held(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group->group == iommu_group)
			return group;
	}
	return NULL;
}

/*
 * Makes drivers unpin the pages of windows that will be removed with a group. Releases the rwsem
 * meanwhile, because drivers may need it. VFIO's locks keep all groups attached. Forbids new
 * pins in each such window until the caller reopens it, and returns the number of these windows.
 */
static unsigned int ddw_release_pins(struct tce2_ddw *ddw, const struct tce2_group *group,
				     struct tce2_closing *closing)
	__must_hold(&ddw->lock)
{
	unsigned int closed = 0;
	int slot;

	if (!group || !tce2_platform_is_papr(group->table_group))
		return 0;
	for (slot = 0; slot < NR_SLOTS; slot++) {
		const struct tce2_window *window = ddw->window[slot];

		if (!window || !tce2_window_is_pinned(window))
			continue;
		tce2_access_close(&ddw->emulation->access, &closing[closed], window->start,
				  window->size);
		ddw_unlock_for_vfio(ddw);
		tce2_access_release(&ddw->emulation->access, &closing[closed++]);
		ddw_lock_for_vfio(ddw);
	}
	return closed;
}

/**
 * tce2_ddw_detach() - detach a group from the container's windows
 * @ddw: the groups and windows
 * @iommu_group: the group
 *
 * The windows and their mappings stay for the other groups. A hypervisor's windows have
 * a single group, so they are removed. When this function returns, the group's devices
 * reach no memory through the windows.
 *
 * Before a window is removed, drivers of emulated devices are notified. Pages that they do not
 * unpin then stay pinned until they do.
 *
 * Context: may sleep.
 * Return: 0, or -ENOENT if the group is not attached.
 */
int tce2_ddw_detach(struct tce2_ddw *ddw, struct iommu_group *iommu_group)
{
	struct tce2_closing closing[NR_SLOTS];
	struct tce2_emulated *emulated;
	struct tce2_group *group;
	unsigned int closed;

	ddw_lock_for_vfio(ddw);
	group = ddw_find_group(ddw, iommu_group);
	closed = ddw_release_pins(ddw, group, closing);
	emulated = ddw_find_emulated(ddw, iommu_group);
	if (group)
		ddw_detach_group(ddw, group);
	else if (emulated)
		ddw_remove_emulated(ddw, emulated);
	ddw_unlock_for_vfio(ddw);
	while (closed)
		tce2_access_reopen(&ddw->emulation->access, &closing[--closed]);
	return group || emulated ? 0 : -ENOENT;
}

/*
 * Returns the number of slots. powernv has 2 slots, a hypervisor 1 or 2 (LoPAR 7.3.27.1,
 * ibm,query-pe-dma-window).
 */
static u32 ddw_slots(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	u32 slots = NR_SLOTS;

	lockdep_assert_held(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node)
		slots = min(slots, group->table_group->max_dynamic_windows_supported);
	return slots;
}

/* Returns true if the group has a window that is not the default window */
static bool ddw_has_dynamic(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	/* Slot 0 may have a window other than the default window */
	return ddw->window[1] ||
	       (ddw->window[0] &&
		ddw->window[0]->start != ddw_first_table_group(ddw)->tce32_start);
}

/* Returns the properties of a window that may be unpublished */
static struct tce2_window_info ddw_info_of(const struct tce2_window *window)
{
	return (struct tce2_window_info){
		.id = window->id,
		.start = window->start,
		.size = window->size,
		.page_shift = window->page_shift,
		.levels = window->table.tbl->it_indirect_levels + 1,
		.table_pages = READ_ONCE(window->table.charge.pages),
		.kvm = tce2_kvm_refs(window->kvm),
		.published = READ_ONCE(window->published),
		.tracked = READ_ONCE(window->dirty),
	};
}

/* Adds a window to the windows of @caps, which ascend by bus address */
static void ddw_add_window(struct tce2_caps *caps, const struct tce2_window_info *info)
{
	unsigned int i = caps->nr_windows++;

	for (; i && caps->windows[i - 1].start > info->start; i--)
		caps->windows[i] = caps->windows[i - 1];
	caps->windows[i] = *info;
}

/* Returns the number of further windows that ddw_create_locked() can make */
static unsigned int ddw_count_free(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct iommu_table_group *tg = ddw_first_table_group(ddw);
	unsigned int slot, slots = ddw_slots(ddw), free = 0;

	lockdep_assert_held(&ddw->lock);
	for (slot = ddw->default_pending ? 1 : 0; slot < slots; slot++) {
		if (!ddw->window[slot])
			free++;
	}
	return tce2_platform_count_places(tg, free, ddw_has_dynamic(ddw));
}

static void ddw_get_caps(struct tce2_ddw *ddw, struct tce2_caps *caps)
	__must_hold(&ddw->lock)
{
	struct iommu_table_group *tg = ddw_first_table_group(ddw);
	struct tce2_window_info pending = {
		.start = tg->tce32_start,
		.size = tg->tce32_size,
		.page_shift = TCE2_DEFAULT_PAGE_SHIFT,
		.levels = 1,
	};
	int slot;

	lockdep_assert_held(&ddw->lock);
	*caps = (struct tce2_caps){ .free_windows = ddw_count_free(ddw) };
	caps->pgsizes = ddw_common_pgsizes(ddw, &caps->levels);
	tce2_platform_get_caps(tg, &caps->platform);
	if (ddw->default_pending)
		ddw_add_window(caps, &pending);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw_is_published(ddw->window[slot])) {
			struct tce2_window_info info = ddw_info_of(ddw->window[slot]);

			ddw_add_window(caps, &info);
		}
	}
}

/**
 * tce2_ddw_info() - fill in the answer of VFIO_IOMMU_SPAPR_TCE_GET_INFO
 * @ddw: the groups and windows
 * @info: set by this function, except argsz
 * @caps: set by this function, or NULL
 *
 * Context: may sleep.
 * Return: 0, -ENXIO if the container has no group, or -EINTR after a fatal signal.
 */
int tce2_ddw_info(struct tce2_ddw *ddw, struct vfio_iommu_spapr_tce_info *info,
		  struct tce2_caps *caps)
{
	struct iommu_table_group *tg;
	int ret = tce2_refuse(-ENXIO, TCE2_WHY_NO_GROUP);

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
	if (caps)
		ddw_get_caps(ddw, caps);
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
		return tce2_refuse(-ENXIO, TCE2_WHY_NO_GROUP);
	/* The platform defines this size, so it needs no check */
	spec.size = ddw_first_table_group(ddw)->tce32_size;
	ret = ddw_create_window(ddw, cache, 0, &spec);
	if (ret)
		return ret;
	ddw_publish(ddw->window[0]);
	ddw->default_pending = false;
	return 0;
}

/*
 * Returns a free slot, or -ENOSPC. Slot 0 is not free while the default window is pending.
 */
static int ddw_free_slot(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	u32 slot, slots = ddw_slots(ddw);

	lockdep_assert_held(&ddw->lock);
	for (slot = ddw->default_pending ? 1 : 0; slot < slots; slot++) {
		if (!ddw->window[slot])
			return slot;
	}
	return tce2_refuse(-ENOSPC, TCE2_WHY_NO_SLOT);
}

/* Checks that a hypervisor can make another window for the group */
static int ddw_check_place(struct tce2_ddw *ddw, int slot,
			   const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return tce2_platform_check_place(ddw_first_table_group(ddw), spec, slot,
					 ddw_has_dynamic(ddw));
}

/*
 * Locks for a client's request that needs a group. Returns -ENXIO without a group, or -EPERM if
 * another process has taken the container over.
 */
static int ddw_lock_with_group(struct tce2_ddw *ddw)
{
	int ret = ddw_lock_for_client(ddw);

	if (ret)
		return ret;
	ret = ddw_check_process(ddw);
	if (!ret && list_empty(&ddw->groups))
		ret = tce2_refuse(-ENXIO, TCE2_WHY_NO_GROUP);
	if (ret)
		ddw_unlock_for_client(ddw);
	return ret;
}

/*
 * Makes the default window pending again, if it was made for a window that failed or
 * was cancelled, and if it is unused. KVM attaches to a table without a lock. If KVM
 * attaches right after the check, it has a table in which it can't map.
 */
static void ddw_unmake_default(struct tce2_ddw *ddw, struct tce2_creation *creation)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window = creation->made_default;

	lockdep_assert_held_write(&ddw->lock);
	if (!window || ddw->window[0] != window || list_empty(&ddw->groups) ||
	    tce2_platform_is_papr(ddw_first_table_group(ddw)))
		return;
	/* Three references: of the owner, of KVM's hooks and of @creation */
	if (tce2_kvm_attached(window->kvm) || !tce2_window_stop_if_unused(window, 3))
		return;
	ddw_destroy_window(ddw, 0);
	ddw->default_pending = true;
}

/* Checks a window before the platform is called; returns a free slot or an error */
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

/* Makes the default window if it is pending, and then the requested window */
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
 * tce2_ddw_create() - make a window for all groups without publishing it
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @spec: the window
 * @creation: set for tce2_ddw_publish() or tce2_ddw_cancel(), one of which the
 *	caller must call
 *
 * Implements VFIO_IOMMU_SPAPR_TCE_CREATE (uapi/linux/vfio.h).
 *
 * The caller writes the window's first bus address to the client before it publishes
 * the window. No lock is held during the write, because the client's userfaultfd can
 * delay the write indefinitely. Meanwhile the window has its slot, but no request finds
 * the window. The window is removed with the container, and a hypervisor's window also
 * with the group.
 *
 * A pending default window is made and published first, because slot 0 is reserved for
 * it. If the new window can't be made, the default window becomes pending again, unless
 * it is already in use, or belongs to a hypervisor. After a failed request, a hypervisor
 * might refuse to make the default window again.
 *
 * An error changes nothing except the default window.
 *
 * Context: may sleep.
 * Return:
 * * 0 - success
 * * -ENXIO - the container has no group
 * * -EINVAL - the platform does not offer such a window
 * * -ENOSPC - no slot is free, or the hypervisor can't make another window
 * * -ENOMEM - memory is short, a table would be too large, or RLIMIT_MEMLOCK is
 *   exceeded
 * * -EPERM, -EIO - the platform refuses the window
 * * -EBUSY - KVM found a hypervisor's table before its hooks were installed
 * * -EINTR - a fatal signal
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
 * tce2_ddw_publish() - publish a window, so that requests can use it
 * @ddw: the groups and windows
 * @creation: set by tce2_ddw_create(); invalid after this call
 *
 * Context: may sleep.
 * Return: 0, or -ENXIO if the window was removed with its group or with the container.
 */
int tce2_ddw_publish(struct tce2_ddw *ddw, struct tce2_creation *creation)
{
	int ret = tce2_refuse(-ENXIO, TCE2_WHY_WINDOW_REMOVED);

	/*
	 * Not killable, because the client knows the address already. This function
	 * does not wait for entries, so it delays no writer.
	 */
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
 * tce2_ddw_cancel() - remove a window that is not published
 * @ddw: the groups and windows
 * @creation: set by tce2_ddw_create(); invalid after this call
 *
 * Undoes tce2_ddw_create(). If tce2_ddw_create() made the default window, it becomes
 * pending again. But the default window stays if it belongs to a hypervisor, if it is in
 * use, or if no group is left.
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

/* Finds the slot of the published window that begins at @start; NR_SLOTS if no window does */
static int ddw_slot_of(struct tce2_ddw *ddw, u64 start)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw_is_published(ddw->window[slot]) &&
		    ddw->window[slot]->start == start)
			break;
	}
	return slot;
}

/*
 * Removes a window. If a driver has pinned pages of it, changes nothing, sets *@size to the
 * window's size, and returns TCE2_PINNED.
 */
static int ddw_remove_window(struct tce2_ddw *ddw, u64 start, u64 *size)
{
	int slot, ret = ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	slot = ddw_slot_of(ddw, start);
	if (ddw->default_pending &&
	    start == ddw_first_table_group(ddw)->tce32_start) {
		ddw->default_pending = false;
	} else if (slot == NR_SLOTS) {
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	} else if (tce2_window_is_pinned(ddw->window[slot])) {
		*size = ddw->window[slot]->size;
		ret = TCE2_PINNED;
	} else {
		ddw_destroy_window(ddw, slot);
	}
	ddw_unlock_for_client(ddw);
	return ret;
}

/**
 * tce2_ddw_remove() - remove a window from all groups
 * @ddw: the groups and windows
 * @start: first bus address of the window
 *
 * Implements VFIO_IOMMU_SPAPR_TCE_REMOVE (uapi/linux/vfio.h). Unmaps all entries of the
 * window. To remove a pending default window, this function clears the pending flag, so
 * that the window is never made.
 *
 * Context: may sleep.
 * Return:
 * * 0 - success
 * * -ENXIO - the container has no group
 * * -EINVAL - no window begins at @start
 * * -EBUSY - the driver of an emulated device does not unpin pages of the window
 * * -EINTR - a fatal signal
 */
int tce2_ddw_remove(struct tce2_ddw *ddw, u64 start)
{
	struct tce2_closing closing;
	u64 size = 0;
	int ret;

	ret = ddw_remove_window(ddw, start, &size);
	while (unlikely(ret == TCE2_PINNED)) {
		tce2_access_close(&ddw->emulation->access, &closing, start, size);
		ret = tce2_access_release(&ddw->emulation->access, &closing);
		if (!ret)
			ret = ddw_remove_window(ddw, start, &size);
		tce2_access_reopen(&ddw->emulation->access, &closing);
	}
	return ret;
}

/**
 * struct bus_range - properties of a window, against which a request is checked
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

/* Finds the window that contains a bus address, or returns -ENXIO */
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
	return tce2_refuse(-ENXIO, TCE2_WHY_NO_WINDOW);
}

/* Checks a request against the window that contains its first bus address */
static int ddw_find_range(struct tce2_ddw *ddw,
			  const struct tce2_map_request *request,
			  struct bus_range *range)
	__must_hold(&ddw->lock)
{
	int ret = ddw_find_window(ddw, request->iova, range);
	u64 end;

	if (ret)
		return ret;
	if (!request->size)
		return tce2_refuse(-EINVAL, TCE2_WHY_EMPTY);
	if (check_add_overflow(request->ua, request->size, &end))
		return tce2_refuse(-EINVAL, TCE2_WHY_WRAPS);
	if ((request->iova | request->ua | request->size) &
	    (BIT_ULL(range->page_shift) - 1))
		return tce2_refuse(-EINVAL, TCE2_WHY_MISALIGNED);
	if (request->size > range->size - (request->iova - range->start))
		return tce2_refuse(-EINVAL, TCE2_WHY_PAST_WINDOW);
	return 0;
}

/* Makes the default window for a map request, if the request is valid */
static int ddw_make_default_for_map_locked(struct tce2_ddw *ddw,
					   struct tce2_cache *cache,
					   const struct tce2_map_request *request)
	__must_hold(&ddw->lock)
{
	struct tce2_memory memory;
	struct bus_range range;
	int ret;

	/* Other threads may have changed groups and windows while the lock was not held */
	ret = ddw_check_process(ddw) ?: ddw_find_range(ddw, request, &range);
	if (ret || range.window)
		return ret;
	memory = (struct tce2_memory){
		.ua = request->ua,
		.pages = request->size >> range.page_shift,
		.shift = range.page_shift,
		.write = request->perm & TCE2_PERM_WRITE,
	};
	ret = tce2_memory_hold_or_refuse(cache, &memory);
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
 * Returns true if KVM may map in the window, and some of the process's regions have no
 * mirror yet. KVM needs mirrors to map memory without userspace. KVM attaches to a table
 * without notice, so every successful map request checks this.
 */
static bool ddw_wants_mirrors(struct tce2_cache *cache, struct tce2_window *window)
{
	return unlikely(tce2_kvm_attached(window->kvm)) &&
	       READ_ONCE(cache->mirrors_due) && tce2_kvm_maps(window->kvm);
}

/* Maps in an existing window; sets *@pending if the default window must be made first */
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
	ret = ddw_check_process(ddw) ?: ddw_find_range(ddw, request, &range);
	if (!ret && !request->perm)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_PERMISSION);
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

/* Implements tce2_ddw_map(); returns TCE2_PINNED if a driver has to unpin pages first */
static int ddw_map(struct tce2_ddw *ddw, struct tce2_cache *cache,
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
		/* A request that was turned away once backs off only for VFIO */
		patience = TCE2_YIELDS_TO_VFIO;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

/**
 * tce2_ddw_map() - map user memory at bus addresses
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @request: the client's request, not checked yet
 *
 * Makes the default window if it is pending and the request maps there. If a writer
 * waits for the lock while the request waits for entries, the request releases the lock
 * and restarts. An error changes no entry.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -ENXIO - the first bus address is in no window
 * * -EINVAL - the request is empty, has no permission, is misaligned, wraps, or reaches
 *   past the window
 * * -EBUSY - the driver of an emulated device does not unpin pages of the range
 * * other errors - from tce2_window_map(), except -EAGAIN; or from tce2_ddw_create(), for
 *   the default window
 */
int tce2_ddw_map(struct tce2_ddw *ddw, struct tce2_cache *cache,
		 const struct tce2_map_request *request)
{
	struct tce2_closing closing;
	int ret = ddw_map(ddw, cache, request);

	if (likely(ret != TCE2_PINNED))
		return ret;
	tce2_access_close(&ddw->emulation->access, &closing, request->iova, request->size);
	ret = tce2_access_release(&ddw->emulation->access, &closing) ?:
	      ddw_map(ddw, cache, request);
	tce2_access_reopen(&ddw->emulation->access, &closing);
	return ret;
}

/**
 * struct ddw_copy - a copy request
 * @iova: first bus address of the destination
 * @source: the bus addresses to copy
 * @runs: the user memory that @source maps
 * @most: number of elements of @runs
 * @nr: number of elements of @runs in use
 */
struct ddw_copy {
	u64 iova;
	struct tce2_map_request source;
	struct tce2_map_request *runs;
	u32 most;
	u32 nr;
};

/* Checks that each run of a copy can be mapped in the destination's window */
static int ddw_check_runs(const struct ddw_copy *copy, const struct bus_range *range)
{
	u32 i;

	for (i = 0; i < copy->nr; i++) {
		if ((copy->runs[i].ua | copy->runs[i].size) &
		    (BIT_ULL(range->page_shift) - 1))
			return tce2_refuse(-EINVAL, TCE2_WHY_MISALIGNED);
	}
	return 0;
}

/* Finds the window of the destination and the user memory that the source maps */
static int ddw_find_copy(struct tce2_ddw *ddw, struct ddw_copy *copy, struct bus_range *range,
			 enum tce2_patience patience)
	__must_hold(&ddw->lock)
{
	const struct tce2_map_request destination = {
		.iova = copy->iova, .size = copy->source.size,
	};
	struct bus_range source;
	int ret;

	ret = ddw_find_range(ddw, &copy->source, &source) ?:
	      ddw_find_range(ddw, &destination, range);
	if (ret)
		return ret;
	if (!source.window)
		return tce2_refuse(-ENOENT, TCE2_WHY_SOURCE_NOT_MAPPED);
	copy->nr = copy->most;
	ret = tce2_window_copy_runs(source.window, &copy->source, copy->iova, copy->runs,
				    &copy->nr, patience);
	return ret ?: ddw_check_runs(copy, range);
}

/* Copies to an existing window; sets *@pending if the default window must be made first */
static int ddw_try_copy(struct tce2_ddw *ddw, struct tce2_cache *cache, struct ddw_copy *copy,
			enum tce2_patience patience, bool *pending)
{
	struct bus_range range;
	bool mirror = false;
	int ret;

	*pending = false;
	ret = ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = ddw_check_process(ddw) ?: ddw_find_copy(ddw, copy, &range, patience);
	*pending = !ret && !range.window;
	if (!ret && range.window)
		ret = tce2_window_map_runs(range.window, copy->runs, copy->nr, patience);
	if (!ret && range.window)
		mirror = ddw_wants_mirrors(cache, range.window);
	ddw_end_request(ddw);
	if (mirror)
		tce2_cache_mirror(cache);
	return ret;
}

/*
 * Implements tce2_ddw_copy() with memory for the runs; returns TCE2_PINNED if a driver has to
 * unpin pages of the destination first
 */
static int ddw_copy(struct tce2_ddw *ddw, struct tce2_cache *cache, struct ddw_copy *copy)
{
	enum tce2_patience patience = TCE2_YIELDS;
	bool pending;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_copy(ddw, cache, copy, patience, &pending);
		if (!pending && ret != -EAGAIN)
			return ret;
		if (pending) {
			ret = ddw_make_default_for_map(ddw, cache, &copy->runs[0]);
			continue;
		}
		patience = TCE2_YIELDS_TO_VFIO;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

/**
 * tce2_ddw_copy() - map the memory that other bus addresses map
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @iova: first bus address to map
 * @source: first bus address to copy
 * @size: bytes
 *
 * Implements VFIO_TCE2_OP_COPY (include/uapi/vfio_spapr_tce2.h). Locks the entries of the
 * source, unlocks them, and then locks the entries of the destination. It never holds both
 * locks, so two copies in opposite directions can't wait for each other. While no entry is
 * locked, another thread may change the source, or register its memory again. The copy then
 * maps only memory that is registered for the permissions of the mapping, or returns -EINVAL
 * or -EPERM.
 *
 * Makes the default window if it is pending and the request copies there. An error changes
 * no entry.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -ENXIO - the first bus address to map or to copy is in no window
 * * -EINVAL - the request is empty or reaches past a window; or addresses, or the user memory,
 *   are not multiples of the page size of a window
 * * -ENOENT - part of the bus addresses to copy is not mapped
 * * -E2BIG - the bus addresses to copy map too many separate ranges of user memory
 * * other errors - from tce2_ddw_map()
 */
int tce2_ddw_copy(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 iova, u64 source,
		  u64 size)
{
	struct ddw_copy copy = {
		.iova = iova,
		.source = { .iova = source, .size = size },
		/* A run has at least 4 KiB. At least one element, even if @size is 0 */
		.most = min_t(u64, size >> TCE2_DEFAULT_PAGE_SHIFT, TCE2_MOST_RUNS - 1) + 1,
	};
	struct tce2_closing closing;
	int ret;

	copy.runs = kmalloc_array(copy.most, sizeof(*copy.runs), GFP_KERNEL_ACCOUNT);
	if (!copy.runs)
		return -ENOMEM;
	ret = ddw_copy(ddw, cache, &copy);
	if (unlikely(ret == TCE2_PINNED)) {
		tce2_access_close(&ddw->emulation->access, &closing, iova, size);
		ret = tce2_access_release(&ddw->emulation->access, &closing) ?:
		      ddw_copy(ddw, cache, &copy);
		tce2_access_reopen(&ddw->emulation->access, &closing);
	}
	kfree(copy.runs);
	return ret;
}

/* Finds the window of an unmap request, and sets *@part to the part of it to unmap */
static int ddw_find_part(struct tce2_ddw *ddw, u64 iova, u64 size, struct bus_range *part)
	__must_hold(&ddw->lock)
{
	const struct tce2_map_request request = { .iova = iova, .size = size };
	int ret = ddw_find_range(ddw, &request, part);

	part->start = iova;
	part->size = size;
	return ret;
}

/* Finds the window that begins at a bus address, and sets *@whole to all of it */
static int ddw_find_whole(struct tce2_ddw *ddw, u64 start, u64 unused, struct bus_range *whole)
	__must_hold(&ddw->lock)
{
	int ret = ddw_find_window(ddw, start, whole);

	if (!ret && whole->start != start)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	return ret;
}

typedef int ddw_find(struct tce2_ddw *ddw, u64 iova, u64 size, struct bus_range *part);

static __always_inline int ddw_try_unmap(struct tce2_ddw *ddw, u64 iova, u64 size,
					 ddw_find *find, enum tce2_patience patience,
					 struct bus_range *part)
{
	int ret;

	ret = ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = ddw_check_process(ddw) ?: find(ddw, iova, size, part);
	/* A default window that is pending has no mappings */
	if (!ret && part->window)
		ret = tce2_window_unmap(part->window, part->start, part->size, patience);
	ddw_end_request(ddw);
	return ret;
}

/* Sets *@part to the range, and returns TCE2_PINNED if a driver has to unpin pages of it first */
static __always_inline int ddw_unmap(struct tce2_ddw *ddw, u64 iova, u64 size, ddw_find *find,
				     struct bus_range *part)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_unmap(ddw, iova, size, find, patience, part);
		if (likely(ret != -EAGAIN))
			return ret;
		patience = TCE2_YIELDS_TO_VFIO;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

/*
 * Makes drivers unpin the pages of a range, and unmaps the range. *@part is the range for which
 * ddw_unmap() has returned TCE2_PINNED.
 */
static noinline int ddw_unmap_pinned(struct tce2_ddw *ddw, u64 iova, u64 size, ddw_find *find,
				     struct bus_range *part)
{
	struct tce2_closing closing;
	int ret;

	do {
		tce2_access_close(&ddw->emulation->access, &closing, part->start, part->size);
		ret = tce2_access_release(&ddw->emulation->access, &closing) ?:
		      ddw_unmap(ddw, iova, size, find, part);
		tce2_access_reopen(&ddw->emulation->access, &closing);
		/* Another thread may have made a larger window at the same address */
	} while (ret == TCE2_PINNED);
	return ret;
}

static __always_inline int ddw_unmap_unpinned(struct tce2_ddw *ddw, u64 iova, u64 size,
					      ddw_find *find)
{
	struct bus_range part;
	int ret = ddw_unmap(ddw, iova, size, find, &part);

	if (likely(ret != TCE2_PINNED))
		return ret;
	return ddw_unmap_pinned(ddw, iova, size, find, &part);
}

/**
 * tce2_ddw_unmap() - unmap bus addresses
 * @ddw: the groups and windows
 * @iova: first bus address
 * @size: bytes
 *
 * After -EINTR or -EIO, part of the range may be unmapped.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -ENXIO - @iova is in no window
 * * -EINVAL - the request is empty, misaligned, or reaches past the window
 * * -EBUSY - the driver of an emulated device does not unpin pages of the range
 * * other errors - from tce2_window_unmap(), except -EAGAIN
 */
int tce2_ddw_unmap(struct tce2_ddw *ddw, u64 iova, u64 size)
{
	return ddw_unmap_unpinned(ddw, iova, size, ddw_find_part);
}

/**
 * tce2_ddw_unmap_window() - unmap all of a window, which stays
 * @ddw: the groups and windows
 * @start: first bus address of the window
 *
 * After -EINTR or -EIO, part of the window may be unmapped.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -ENXIO - @start is in no window
 * * -EINVAL - @start is in a window, but is not its first bus address
 * * -EBUSY - the driver of an emulated device does not unpin pages of the range
 * * other errors - from tce2_window_unmap(), except -EAGAIN
 */
int tce2_ddw_unmap_window(struct tce2_ddw *ddw, u64 start)
{
	return ddw_unmap_unpinned(ddw, start, 0, ddw_find_whole);
}

/**
 * tce2_ddw_emulation() - return the state that only emulated devices need
 * @ddw: the groups and windows
 *
 * Context: any.
 * Return: the state, valid until tce2_ddw_free(); NULL if no emulated group was attached.
 */
struct tce2_emulation *tce2_ddw_emulation(struct tce2_ddw *ddw)
{
	/* Pairs with ddw_begin_emulation() */
	return smp_load_acquire(&ddw->emulation);
}

/**
 * tce2_ddw_count_pins() - count the pinned pages and the notifications, for debugfs
 * @ddw: the groups and windows
 * @pinned: set to the number of pages that drivers have pinned
 * @notified: set to the number of notifications of drivers
 *
 * Context: any.
 */
void tce2_ddw_count_pins(struct tce2_ddw *ddw, unsigned long *pinned,
			 unsigned long *notified)
{
	struct tce2_emulation *emulation = tce2_ddw_emulation(ddw);

	*pinned = emulation ? READ_ONCE(emulation->access.nr_pins) : 0;
	*notified = emulation ? READ_ONCE(emulation->access.notified) : 0;
}

/**
 * tce2_ddw_add_device() - let the driver of an emulated device pin pages
 * @ddw: the groups and windows
 * @device: the device, which is being opened; its driver has a function dma_unmap
 *
 * Requests for one page then take the general path, which checks for pinned pages.
 *
 * Context: may sleep.
 */
void tce2_ddw_add_device(struct tce2_ddw *ddw, struct vfio_device *device)
{
	struct tce2_emulation *emulation = tce2_ddw_emulation(ddw);
	int slot;

	/* A device with hardware: VFIO lets only drivers of emulated devices pin pages */
	if (!emulation)
		return;
	tce2_access_add_device(&emulation->access, device);
	ddw_lock_for_vfio(ddw);
	for (slot = 0; !emulation->accessors && slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_window_accept_pins(ddw->window[slot], &emulation->access.pins);
	}
	emulation->accessors++;
	ddw_unlock_for_vfio(ddw);
}

/**
 * tce2_ddw_remove_device() - undo tce2_ddw_add_device()
 * @ddw: the groups and windows
 * @device: the device, which is being closed
 *
 * Windows in which a page is still pinned keep checking for pinned pages.
 *
 * Context: may sleep.
 */
void tce2_ddw_remove_device(struct tce2_ddw *ddw, struct vfio_device *device)
{
	struct tce2_emulation *emulation = tce2_ddw_emulation(ddw);
	int slot;

	if (!emulation || !tce2_access_remove_device(&emulation->access, device))
		return;
	ddw_lock_for_vfio(ddw);
	emulation->accessors--;
	for (slot = 0; !emulation->accessors && slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (window && !tce2_window_is_pinned(window))
			tce2_window_accept_pins(window, NULL);
	}
	ddw_unlock_for_vfio(ddw);
}

/* Finds the window of a driver's request; returns -EINVAL if the address can't be mapped */
static int ddw_find_access(struct tce2_ddw *ddw, u64 iova, u64 size,
			   struct tce2_window **window)
	__must_hold(&ddw->lock)
{
	struct bus_range range;

	lockdep_assert_held(&ddw->lock);
	if (ddw_find_window(ddw, iova, &range) || !range.window ||
	    size > range.size - (iova - range.start))
		return tce2_refuse(-EINVAL, TCE2_WHY_ACCESS_NOT_MAPPED);
	*window = range.window;
	return 0;
}

static int ddw_try_pin(struct tce2_ddw *ddw, const struct tce2_pin_request *request,
		       enum tce2_patience patience)
{
	struct tce2_window *window;
	int ret = ddw_begin_request(ddw);

	if (ret)
		return ret;
	ret = ddw_has_accessors(ddw) ? 0 : tce2_refuse(-EINVAL, TCE2_WHY_NO_DEVICE);
	if (!ret)
		ret = ddw_find_access(ddw, request->iova, request->count << PAGE_SHIFT,
				      &window);
	if (!ret)
		ret = tce2_access_pin(&ddw->emulation->access, window, request, patience);
	ddw_end_request(ddw);
	return ret;
}

/**
 * tce2_ddw_pin() - pin the pages that bus addresses map
 * @ddw: the groups and windows
 * @request: the driver's request, for pages of one window; @iova is a multiple of PAGE_SIZE
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; -EINVAL if no device is open, or if a bus address is in no window; or an error
 * of tce2_access_pin(), except -EAGAIN.
 */
int tce2_ddw_pin(struct tce2_ddw *ddw, const struct tce2_pin_request *request)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_pin(ddw, request, patience);
		if (likely(ret != -EAGAIN))
			return ret;
		patience = TCE2_YIELDS_TO_VFIO;
		ret = ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

static int ddw_try_access(struct tce2_ddw *ddw, struct tce2_access_request *request,
			  enum tce2_patience patience)
{
	struct tce2_window *window;
	int ret = ddw_begin_request(ddw);

	if (ret)
		return ret;
	ret = ddw_find_access(ddw, request->iova, 1, &window);
	if (!ret)
		ret = tce2_access_copy(window, request, patience);
	ddw_end_request(ddw);
	return ret;
}

/**
 * tce2_ddw_access() - read or write the memory that bus addresses map
 * @ddw: the groups and windows
 * @request: the driver's request; the copied bytes are removed
 *
 * Other requests may run between two pages.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; after an error part of the data may be copied: -EINVAL if a bus address is in
 * no window, or an error of tce2_access_copy(), except -EAGAIN.
 */
int tce2_ddw_access(struct tce2_ddw *ddw, struct tce2_access_request *request)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret = 0, seen;

	while (!ret && request->bytes) {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_access(ddw, request, patience);
		if (unlikely(ret == -EAGAIN)) {
			patience = TCE2_YIELDS_TO_VFIO;
			ret = ddw_wait_for_writer(ddw, seen);
		}
		cond_resched();
	}
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
 * Return: the result of that group; 0 if every group returned 0; -EPERM if another process has
 * taken the container over; -ENODEV if the container has only groups of emulated devices;
 * -EINTR after a fatal signal.
 */
int tce2_ddw_eeh(struct tce2_ddw *ddw, const struct vfio_eeh_pe_op *op)
{
	struct tce2_group *group;
	int ret = ddw_begin_request_again(ddw);

	if (ret)
		return ret;
	ret = ddw_check_process(ddw);
	if (!ret && ddw_is_software(ddw))
		ret = tce2_refuse(-ENODEV, TCE2_WHY_EEH_NO_ENDPOINT);
	list_for_each_entry(group, &ddw->groups, node) {
		if (ret)
			break;
		ret = tce2_eeh_pe_op(group->group, op);
	}
	ddw_end_request(ddw);
	return ret;
}

/* Finds the published window that begins at a bus address, or NULL */
static struct tce2_window *ddw_window_at(struct tce2_ddw *ddw, u64 start)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (ddw_is_published(window) && window->start == start)
			return window;
	}
	return NULL;
}

/* Begins to track a window, and first makes it if it is the pending default window */
static int ddw_begin_track(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 start,
			   struct tce2_dirty *dirty)
{
	struct tce2_window *window;
	int ret = ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	if (start == ddw_first_table_group(ddw)->tce32_start)
		ret = ddw_create_default(ddw, cache);
	if (!ret) {
		window = ddw_window_at(ddw, start);
		ret = window ? tce2_window_track(window, dirty) :
			       tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	}
	ddw_unlock_for_client(ddw);
	return ret;
}

/* Makes the bitmaps of a few leaves; returns the value of tce2_window_cover(), or an error */
static int ddw_cover_some(struct tce2_ddw *ddw, u64 start, u64 id, u64 *index,
			  enum tce2_patience patience)
{
	struct tce2_window *window;
	int ret = ddw_begin_request(ddw);

	if (ret)
		return ret;
	window = ddw_window_at(ddw, start);
	ret = ddw_check_process(ddw);
	/* Another thread may have removed the window meanwhile, and made another */
	if (!ret && (!window || !window->dirty || window->dirty->id != id))
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	if (!ret)
		ret = tce2_window_cover(window, index, patience);
	if (!ret)
		WRITE_ONCE(window->dirty->complete, true);
	ddw_end_request(ddw);
	return ret;
}

/* Makes the bitmaps of all leaves that were mapped before the window was tracked */
static int ddw_cover(struct tce2_ddw *ddw, u64 start, u64 id)
{
	enum tce2_patience patience = TCE2_YIELDS;
	u64 index = 0;
	int ret, seen;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		seen = atomic_read(&ddw->writes);
		ret = ddw_cover_some(ddw, start, id, &index, patience);
		if (ret == -EAGAIN) {
			patience = TCE2_YIELDS_TO_VFIO;
			ret = ddw_wait_for_writer(ddw, seen) ?: 1;
		}
		cond_resched();
	} while (ret > 0);
	return ret;
}

/* Stops tracking after an error, unless the window is gone */
static void ddw_cancel_track(struct tce2_ddw *ddw, u64 start, u64 id)
{
	struct tce2_dirty *dirty = NULL;
	struct tce2_window *window;

	ddw_lock_for_client_uninterruptible(ddw);
	window = ddw_window_at(ddw, start);
	if (window)
		dirty = tce2_window_untrack(window, id);
	ddw_unlock_for_client(ddw);
	tce2_dirty_free(dirty);
}

/**
 * tce2_ddw_track() - begin to track the dirty pages of a window
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @start: first bus address of the window
 *
 * Makes the default window if it is pending and begins at @start. Otherwise no page could be
 * tracked until a map request has made the window, and a client would miss the pages of that
 * request. An error changes nothing, except that the default window may have been made, and
 * that requests for one page may have taken the general path meanwhile.
 *
 * Context: may sleep.
 * Return:
 * * 0 - success
 * * -ENXIO - the container has no group
 * * -EINVAL - no window begins at @start, or it was removed meanwhile
 * * -EBUSY - the window is tracked already
 * * -ENOMEM - memory is short
 * * -EPERM - another process has taken the container over
 * * -EINTR - a fatal signal
 * * other errors - from tce2_ddw_create(), for the default window
 */
int tce2_ddw_track(struct tce2_ddw *ddw, struct tce2_cache *cache, u64 start)
{
	struct tce2_dirty *dirty = tce2_dirty_alloc();
	u64 id;
	int ret;

	if (!dirty)
		return -ENOMEM;
	id = dirty->id;
	ret = ddw_begin_track(ddw, cache, start, dirty);
	if (ret) {
		tce2_dirty_free(dirty);
		return ret;
	}
	/* From now on, the window owns the record */
	ret = ddw_cover(ddw, start, id);
	if (ret)
		ddw_cancel_track(ddw, start, id);
	return ret;
}

/**
 * tce2_ddw_untrack() - stop tracking the dirty pages of a window
 * @ddw: the groups and windows
 * @start: first bus address of the window
 *
 * Context: may sleep.
 * Return: 0; -ENXIO if the container has no group; -EINVAL if no window begins at @start, or
 * if it is not tracked; -EINTR after a fatal signal.
 */
int tce2_ddw_untrack(struct tce2_ddw *ddw, u64 start)
{
	struct tce2_dirty *dirty = NULL;
	struct tce2_window *window;
	int ret = ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	window = ddw_window_at(ddw, start);
	if (!window)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	else
		dirty = tce2_window_untrack(window, 0);
	ddw_unlock_for_client(ddw);
	if (!ret && !dirty)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NOT_TRACKED);
	tce2_dirty_free(dirty);
	return ret;
}

/* Begins a walk along a tracked window, or checks that the walk can continue */
static int ddw_check_track(const struct bus_range *range, u64 iova, u64 size,
			   struct tce2_track *track)
{
	const struct tce2_window *window = range->window;

	if (!window || !window->dirty || !READ_ONCE(window->dirty->complete) ||
	    (track->id && track->id != window->dirty->id))
		return tce2_refuse(-EINVAL, TCE2_WHY_NOT_TRACKED);
	if (track->id)
		return 0;
	if (size >> window->page_shift > TCE2_TRACK_MOST)
		return tce2_refuse(-EINVAL, TCE2_WHY_TOO_MANY);
	track->id = window->dirty->id;
	track->first = (iova - window->start) >> window->page_shift;
	track->end = track->first + (size >> window->page_shift);
	track->next = track->first;
	return 0;
}

static int ddw_get_some_dirty(struct tce2_ddw *ddw, u64 iova, u64 size,
			      struct tce2_track *track, enum tce2_patience patience)
{
	const struct tce2_map_request request = { .iova = iova, .size = size };
	struct bus_range range;
	int ret = ddw_begin_request(ddw);

	if (ret)
		return ret;
	ret = ddw_check_process(ddw) ?: ddw_find_range(ddw, &request, &range) ?:
	      ddw_check_track(&range, iova, size, track) ?:
	      tce2_window_get_dirty(range.window, track, patience);
	ddw_end_request(ddw);
	return ret;
}

/**
 * tce2_ddw_get_dirty() - read which pages devices may have written to
 * @ddw: the groups and windows
 * @iova: first bus address
 * @size: bytes
 * @track: the bitmap, large enough, and 0; @clear is set by the caller, the other members are 0
 *
 * An error changes nothing.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return:
 * * 0 - success
 * * -ENXIO - @iova is in no window
 * * -EINVAL - the range is empty, misaligned, too large, or reaches past the window; or the
 *   window is not tracked
 * * -EINTR - a fatal signal
 */
int tce2_ddw_get_dirty(struct tce2_ddw *ddw, u64 iova, u64 size, struct tce2_track *track)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = fatal_signal_pending(current) ? -EINTR :
		      ddw_get_some_dirty(ddw, iova, size, track, patience);
		if (ret == -EAGAIN) {
			patience = TCE2_YIELDS_TO_VFIO;
			ret = ddw_wait_for_writer(ddw, seen) ?: 1;
		}
		cond_resched();
	} while (ret > 0);
	if (ret)
		tce2_ddw_restore_dirty(ddw, iova, track);
	return ret;
}

/**
 * tce2_ddw_restore_dirty() - undo the effect of tce2_ddw_get_dirty() on the record
 * @ddw: the groups and windows
 * @iova: first bus address
 * @track: the walk
 *
 * Has no effect if the window was removed, or is not tracked with the same record any more.
 *
 * Context: may sleep; can't be interrupted.
 */
void tce2_ddw_restore_dirty(struct tce2_ddw *ddw, u64 iova, const struct tce2_track *track)
{
	struct bus_range range;

	if (!track->clear || !track->id)
		return;
	/* Not killable, as tce2_ddw_publish() */
	down_read(&ddw->lock);
	if (!ddw_find_window(ddw, iova, &range) && range.window &&
	    range.window->dirty && range.window->dirty->id == track->id)
		tce2_window_restore_dirty(range.window, track);
	up_read(&ddw->lock);
}

/**
 * tce2_ddw_freeze() - make the requests of a container wait
 * @ddw: the groups and windows
 *
 * Waits until running requests have ended or backed off. Until tce2_ddw_thaw(), requests that
 * map or unmap wait, except requests for one page, and so do requests that change windows.
 * VFIO does not wait. A fatal signal ends the wait of a request.
 *
 * Context: may sleep.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_ddw_freeze(struct tce2_ddw *ddw)
{
	/* The order of ddw_lock_for_vfio() */
	atomic_inc(&ddw->hurry.turning_away);
	atomic_inc(&ddw->hurry.stopping);
	ddw_wake_queues(ddw);
	if (down_write_killable(&ddw->lock)) {
		tce2_ddw_thaw(ddw);
		return -EINTR;
	}
	up_write(&ddw->lock);
	return 0;
}

/**
 * tce2_ddw_thaw() - undo tce2_ddw_freeze()
 * @ddw: the groups and windows
 *
 * Context: any context that may take a spinlock.
 */
void tce2_ddw_thaw(struct tce2_ddw *ddw)
{
	atomic_dec(&ddw->hurry.stopping);
	ddw_end_hurry(ddw);
}

/* Checks that a window may move to another process */
static int ddw_check_movable(const struct tce2_window *window)
{
	if (tce2_kvm_refs(window->kvm))
		return tce2_refuse(-EBUSY, TCE2_WHY_KVM_USES_MEMORY);
	/*
	 * Two references: of the owner and of KVM's hooks. Another module may have further
	 * references, and so does the TCE_CREATE that will publish the window.
	 */
	if (refcount_read(&window->refs) > 2)
		return tce2_refuse(-EBUSY, TCE2_WHY_OWNER_BUSY);
	return 0;
}

/**
 * tce2_ddw_check_move() - check that the windows may move to another process
 * @ddw: the groups and windows
 * @charge: the number of pages that are charged for the tables is added to it
 *
 * Context: may sleep.
 * Return: 0; -EBUSY if a TCE_CREATE is running, or if KVM or another module uses a window;
 * -EINTR after a fatal signal.
 */
int tce2_ddw_check_move(struct tce2_ddw *ddw, u64 *charge)
{
	int slot, ret = 0;

	if (down_read_killable(&ddw->lock))
		return -EINTR;
	for (slot = 0; slot < NR_SLOTS && !ret; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window)
			continue;
		ret = ddw_check_movable(window);
		*charge += READ_ONCE(window->table.charge.pages);
	}
	up_read(&ddw->lock);
	return ret;
}

/**
 * tce2_ddw_move() - make the windows the windows of another process
 * @ddw: the groups and windows, frozen
 * @mm: the process's mm, to which the caller has charged the tables
 *
 * The mappings and the tables do not change, so devices continue. Requests of the old process
 * that wait for @lock return -EPERM afterwards.
 *
 * Context: may sleep; can't be interrupted.
 * Return: number of pages that are charged for the tables. The caller refunds them to the old
 * process.
 */
u64 tce2_ddw_move(struct tce2_ddw *ddw, struct mm_struct *mm)
{
	u64 pages = 0;
	int slot;

	down_write(&ddw->lock);
	ddw->taker = mm;
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			pages += tce2_kvm_move(ddw->window[slot]->kvm, mm);
	}
	up_write(&ddw->lock);
	return pages;
}

/**
 * tce2_ddw_window_info() - copy the properties of a window, for debugfs
 * @ddw: the groups and windows
 * @slot: the window's slot
 * @info: set by this function
 *
 * Context: any context that may take a spinlock. Does not wait for a writer.
 * Return: true; false if the slot is empty.
 */
bool tce2_ddw_window_info(struct tce2_ddw *ddw, int slot,
			  struct tce2_window_info *info)
{
	const struct tce2_window *window;

	spin_lock(&ddw->slots_lock);
	window = ddw->window[slot];
	if (window)
		*info = ddw_info_of(window);
	spin_unlock(&ddw->slots_lock);
	return window;
}

/* Returns @group, which may be NULL, if its number is between @number and that of @next */
static struct iommu_group *ddw_lower_group(struct iommu_group *next,
					   struct iommu_group *group, int number)
{
	int id;

	if (!group)
		return next;
	id = iommu_group_id(group);
	return id > number && (!next || id < iommu_group_id(next)) ? group : next;
}

/**
 * tce2_ddw_next_group() - find the next group, for debugfs
 * @ddw: the groups and windows
 * @number: number of the previous group (iommu_group_id()), or -1
 *
 * Context: may sleep while a window is made or removed.
 * Return: the group with the lowest higher number, with a reference that the caller puts;
 * NULL if there is no such group, or after a fatal signal.
 */
struct iommu_group *tce2_ddw_next_group(struct tce2_ddw *ddw, int number)
{
	struct iommu_group *next = NULL;
	struct tce2_emulated *emulated;
	struct tce2_group *group;

	if (ddw_begin_request_again(ddw))
		return NULL;
	list_for_each_entry(group, &ddw->groups, node)
		next = ddw_lower_group(next, group->group, number);
	if (ddw->emulation) {
		list_for_each_entry(emulated, &ddw->emulation->groups, node)
			next = ddw_lower_group(next, emulated->group, number);
	}
	if (next)
		next = iommu_group_ref_get(next);
	ddw_end_request(ddw);
	return next;
}

/**
 * tce2_ddw_scan() - copy the next leaf of a window, for debugfs
 * @ddw: the groups and windows
 * @slot: the window's slot
 * @scan: the walk along the window
 *
 * Takes no lock, so neither VFIO nor a request waits for a reader.
 *
 * Context: may sleep.
 * Return: 1 if a leaf was copied; 0 at the end of the window; -ENOENT if the window was
 * removed, even if its slot has another window now; -EAGAIN if the leaf has to be copied
 * again.
 */
int tce2_ddw_scan(struct tce2_ddw *ddw, int slot, struct tce2_scan *scan)
{
	struct tce2_window *window;
	int ret;

	rcu_read_lock();
	/* Pairs with ddw_set_slot(); the address dependency orders the reads */
	window = READ_ONCE(ddw->window[slot]);
	if (!window || window->id != scan->id || !tce2_window_get_view(window)) {
		rcu_read_unlock();
		return -ENOENT;
	}
	ret = tce2_window_scan(window, scan);
	rcu_read_unlock();
	/* If this is the last reference, the view may be large: free it outside the section */
	tce2_window_put_view(window);
	return ret;
}
