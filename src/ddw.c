// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynamic DMA windows: a container's groups and the windows they share.
 *
 * Owns struct tce2_ddw: its locks, its slots, and the requests that map and unmap. This file
 * locks the groups and windows, makes and removes a window for all groups, makes the default
 * window on first use, finds the window of a request, and carries out the request. All steps of
 * a map or unmap request above the map engine are in this file, because a call of another file
 * takes more instructions.
 *
 * The files above this one change the groups and windows. They share this file's functions
 * through include/tce2_ddw_request.h:
 *
 *	ddw_group	attaches and detaches groups
 *	ddw_window	GET_INFO, TCE_CREATE and TCE_REMOVE
 *	ddw_emulated	groups and drivers of emulated devices
 *	ddw_dirty	tracks dirty pages of a window
 *	ddw_owner	moves the windows to another process
 *
 * Locks: clients, lock and slots_lock of struct tce2_ddw. Only this file takes clients, and
 * only this file changes the counts of writers. The files above take lock for writing through
 * this file's functions. ddw_owner takes it itself, while requests are frozen.
 * Calls: kapi (publishing windows), kvm, access, tce_v2 (mappings of a window), mm_iommu,
 * mirrors, platform, range, trace.
 */
#include <linux/ktime.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "tce2_access.h"
#include "tce2_ddw.h"
#include "tce2_ddw_request.h"
#include "tce2_kapi_publish.h"
#include "tce2_kvm.h"
#include "tce2_mirrors.h"
#include "tce2_mm_iommu.h"
#include "tce2_platform.h"
#include "tce2_tce_v2.h"
#include "tce2_trace_calls.h"
#include "tce2_why.h"

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
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
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
 * tce2_ddw_unlock_for_client(). A restarted request backs off only for VFIO. So this function
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

/**
 * tce2_ddw_lock_for_client_uninterruptible() - lock for a client, even after a fatal signal
 * @ddw: the groups and windows
 *
 * Same as ddw_lock_for_client(), for work that is necessary even after a fatal signal.
 *
 * Context: may sleep; can't be interrupted.
 */
void tce2_ddw_lock_for_client_uninterruptible(struct tce2_ddw *ddw)
{
	mutex_lock(&ddw->clients);
	wait_event(ddw->calm, !atomic_read(&ddw->hurry.stopping));
	ddw_begin_hurry(ddw);
	down_write(&ddw->lock);
}

/**
 * tce2_ddw_unlock_for_client() - undo the locking for a client's request
 * @ddw: the groups and windows
 *
 * Undoes tce2_ddw_lock_with_group() and tce2_ddw_lock_for_client_uninterruptible().
 *
 * Context: may sleep.
 */
void tce2_ddw_unlock_for_client(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	ddw_end_hurry(ddw);
	mutex_unlock(&ddw->clients);
}

/**
 * tce2_ddw_lock_with_group() - lock for a client's request that needs a group
 * @ddw: the groups and windows
 *
 * Locks the groups and windows for writing. Makes other requests back off, see
 * ddw_lock_for_client().
 *
 * Context: may sleep.
 * Return: 0; -ENXIO without a group; -EPERM if another process has taken the container over;
 * -EINTR after a fatal signal. After an error nothing is locked.
 */
int tce2_ddw_lock_with_group(struct tce2_ddw *ddw)
{
	int ret = ddw_lock_for_client(ddw);

	if (ret)
		return ret;
	ret = tce2_ddw_check_process(ddw);
	if (!ret && list_empty(&ddw->groups))
		ret = tce2_refuse(-ENXIO, TCE2_WHY_NO_GROUP);
	if (ret)
		tce2_ddw_unlock_for_client(ddw);
	return ret;
}

/**
 * tce2_ddw_lock_for_vfio() - lock for writing, for a call of VFIO
 * @ddw: the groups and windows
 *
 * VFIO holds locks that all containers share, so requests that map or unmap many entries
 * also stop.
 *
 * Context: may sleep; can't be interrupted.
 */
void tce2_ddw_lock_for_vfio(struct tce2_ddw *ddw)
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

/**
 * tce2_ddw_unlock_for_vfio() - undo tce2_ddw_lock_for_vfio()
 * @ddw: the groups and windows
 *
 * Context: may sleep.
 */
void tce2_ddw_unlock_for_vfio(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	atomic_dec(&ddw->hurry.stopping);
	ddw_end_hurry(ddw);
}

/**
 * tce2_ddw_freeze() - make the requests of a container wait
 * @ddw: the groups and windows
 *
 * Waits until running requests have ended or backed off. Until tce2_ddw_thaw(), requests that
 * map or unmap wait, except brief requests, and so do requests that change windows.
 * VFIO does not wait. A fatal signal ends the wait of a request.
 *
 * Context: may sleep.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_ddw_freeze(struct tce2_ddw *ddw)
{
	/* The order of tce2_ddw_lock_for_vfio() */
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

/**
 * tce2_ddw_begin_request() - lock the groups and windows for reading, for a request
 * @ddw: the groups and windows
 *
 * Context: may sleep.
 * Return: 0, or -EINTR after a fatal signal. -EAGAIN if VFIO waits for the lock: the caller
 * must call tce2_ddw_wait_for_writer() and then restart the request.
 */
int tce2_ddw_begin_request(struct tce2_ddw *ddw)
{
	if (tce2_tracing_on() ? ddw_down_read_traced(ddw) : down_read_killable(&ddw->lock))
		return -EINTR;
	if (likely(!atomic_read(&ddw->hurry.stopping)))
		return 0;
	up_read(&ddw->lock);
	return -EAGAIN;
}

/**
 * tce2_ddw_wait_for_writer() - wait until a request that was turned away may restart
 * @ddw: the groups and windows
 * @seen: value of @writes in struct tce2_ddw, which the caller must read before it tries the
 *	request
 *
 * Waits until one writer has unlocked, or no writer is left. Does not wait for later writers.
 *
 * Context: may sleep.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_ddw_wait_for_writer(struct tce2_ddw *ddw, int seen)
{
	u64 began = tce2_trace_begin_wait();
	int ret = wait_event_killable(ddw->calm,
				      atomic_read(&ddw->writes) != seen ||
				      !atomic_read(&ddw->hurry.turning_away));

	tce2_trace_end_wait(TCE2_WAIT_WINDOWS, began);
	return ret ? -EINTR : 0;
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

/**
 * tce2_ddw_expect_table_refs() - update the expected references to each table
 * @ddw: the groups and windows, locked for writing
 *
 * The caller calls this after a group has joined or left.
 */
void tce2_ddw_expect_table_refs(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
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

/*
 * Installs KVM's hooks at a new table and programs the table for every group.
 * Removes the window completely after an error.
 */
static int ddw_set_up(struct tce2_ddw *ddw, int slot, struct tce2_window *window,
		      struct tce2_kvm *kvm)
	__must_hold(&ddw->lock)
{
	/* On pseries create_table() has entered the table in the slot, with a reference */
	bool in_slot = tce2_platform_is_papr(tce2_ddw_first_table_group(ddw));
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
	if (tce2_ddw_has_accessors(ddw))
		tce2_window_accept_pins(window, &ddw->emulation->access.pins);
	ddw_set_slot(ddw, slot, window);
	return 0;
}

/**
 * tce2_ddw_create_window() - make a window in a free slot for every group
 * @ddw: the groups and windows, locked for writing
 * @cache: region cache of the container's process
 * @slot: the slot
 * @spec: the window, checked
 *
 * No request finds the window before it is published. After an error nothing is changed.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; or an error of tce2_window_create(), tce2_kvm_install() or
 * tce2_window_set().
 */
int tce2_ddw_create_window(struct tce2_ddw *ddw, struct tce2_cache *cache,
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
	ret = tce2_window_create(window, tce2_ddw_first_table_group(ddw), slot, spec,
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

/**
 * tce2_ddw_publish_window() - let requests and other modules find a window
 * @window: the window, in its slot; the caller holds the owner's lock
 *
 * Context: may sleep.
 */
void tce2_ddw_publish_window(struct tce2_window *window)
{
	WRITE_ONCE(window->published, true);
	tce2_window_serve_pages(window);
	tce2_window_publish(window);
}

/**
 * tce2_ddw_destroy_window() - unmap all entries of a window, and remove it from every group
 * @ddw: the groups and windows, locked for writing
 * @slot: slot of the window
 *
 * Can't fail.
 *
 * Context: may sleep.
 */
void tce2_ddw_destroy_window(struct tce2_ddw *ddw, int slot)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window = ddw->window[slot];

	lockdep_assert_held_write(&ddw->lock);
	ddw_set_slot(ddw, slot, NULL);
	ddw_take_down(ddw, slot, window, NULL);
}

/**
 * tce2_ddw_create_default() - make and publish the default window if it is pending
 * @ddw: the groups and windows, locked for writing
 * @cache: region cache of the container's process
 *
 * Context: may sleep.
 * Return: 0, also if the default window is not pending; -ENXIO without a group; or an error of
 * tce2_ddw_create_window().
 */
int tce2_ddw_create_default(struct tce2_ddw *ddw, struct tce2_cache *cache)
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
	spec.size = tce2_ddw_first_table_group(ddw)->tce32_size;
	ret = tce2_ddw_create_window(ddw, cache, 0, &spec);
	if (ret)
		return ret;
	tce2_ddw_publish_window(ddw->window[0]);
	ddw->default_pending = false;
	return 0;
}

static bool bus_range_has_iova(const struct tce2_bus_range *range, u64 iova)
{
	return iova >= range->start && iova - range->start < range->size;
}

/**
 * tce2_ddw_find_window() - find the window that contains a bus address
 * @ddw: the groups and windows
 * @iova: the bus address
 * @range: set to the properties of the window
 *
 * Return: 0, or -ENXIO if no window contains @iova.
 */
int tce2_ddw_find_window(struct tce2_ddw *ddw, u64 iova, struct tce2_bus_range *range)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!tce2_ddw_is_published(window))
			continue;
		*range = (struct tce2_bus_range){
			window->start, window->size, window->page_shift, window,
		};
		if (bus_range_has_iova(range, iova))
			return 0;
	}
	if (ddw->default_pending && !list_empty(&ddw->groups)) {
		struct iommu_table_group *tg = tce2_ddw_first_table_group(ddw);

		*range = (struct tce2_bus_range){
			tg->tce32_start, tg->tce32_size,
			TCE2_DEFAULT_PAGE_SHIFT,
			NULL,
		};
		if (bus_range_has_iova(range, iova))
			return 0;
	}
	return tce2_refuse(-ENXIO, TCE2_WHY_NO_WINDOW);
}

/**
 * tce2_ddw_find_range() - check a request against the window of its first bus address
 * @ddw: the groups and windows
 * @request: the request
 * @range: set to the properties of the window
 *
 * Return: 0; -ENXIO if no window contains the first bus address; -EINVAL if the request is
 * empty, wraps, is misaligned or reaches past the window.
 */
int tce2_ddw_find_range(struct tce2_ddw *ddw,
			const struct tce2_map_request *request,
			struct tce2_bus_range *range)
	__must_hold(&ddw->lock)
{
	int ret = tce2_ddw_find_window(ddw, request->iova, range);
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
	struct tce2_bus_range range;
	int ret;

	/* Other threads may have changed groups and windows while the lock was not held */
	ret = tce2_ddw_check_process(ddw) ?: tce2_ddw_find_range(ddw, request, &range);
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
	ret = tce2_ddw_create_default(ddw, cache);
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
	tce2_ddw_unlock_for_client(ddw);
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
	struct tce2_bus_range range;
	bool mirror = false;
	int ret;

	*pending = false;
	ret = tce2_ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = tce2_ddw_check_process(ddw) ?: tce2_ddw_find_range(ddw, request, &range);
	if (!ret && !request->perm)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_PERMISSION);
	*pending = !ret && !range.window;
	if (!ret && range.window)
		ret = tce2_window_map(range.window, request, patience);
	if (!ret && range.window)
		mirror = ddw_wants_mirrors(cache, range.window);
	tce2_ddw_end_request(ddw);
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
		ret = tce2_ddw_wait_for_writer(ddw, seen);
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
static int ddw_check_runs(const struct ddw_copy *copy, const struct tce2_bus_range *range)
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
static int ddw_find_copy(struct tce2_ddw *ddw, struct ddw_copy *copy, struct tce2_bus_range *range,
			 enum tce2_patience patience)
	__must_hold(&ddw->lock)
{
	const struct tce2_map_request destination = {
		.iova = copy->iova, .size = copy->source.size,
	};
	struct tce2_bus_range source;
	int ret;

	ret = tce2_ddw_find_range(ddw, &copy->source, &source) ?:
	      tce2_ddw_find_range(ddw, &destination, range);
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
	struct tce2_bus_range range;
	bool mirror = false;
	int ret;

	*pending = false;
	ret = tce2_ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = tce2_ddw_check_process(ddw) ?: ddw_find_copy(ddw, copy, &range, patience);
	*pending = !ret && !range.window;
	if (!ret && range.window)
		ret = tce2_window_map_runs(range.window, copy->runs, copy->nr, patience);
	if (!ret && range.window)
		mirror = ddw_wants_mirrors(cache, range.window);
	tce2_ddw_end_request(ddw);
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
		ret = tce2_ddw_wait_for_writer(ddw, seen);
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
static int ddw_find_part(struct tce2_ddw *ddw, u64 iova, u64 size, struct tce2_bus_range *part)
	__must_hold(&ddw->lock)
{
	const struct tce2_map_request request = { .iova = iova, .size = size };
	int ret = tce2_ddw_find_range(ddw, &request, part);

	part->start = iova;
	part->size = size;
	return ret;
}

/* Finds the window that begins at a bus address, and sets *@whole to all of it */
static int ddw_find_whole(struct tce2_ddw *ddw, u64 start, u64 unused, struct tce2_bus_range *whole)
	__must_hold(&ddw->lock)
{
	int ret = tce2_ddw_find_window(ddw, start, whole);

	if (!ret && whole->start != start)
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	return ret;
}

typedef int ddw_find(struct tce2_ddw *ddw, u64 iova, u64 size, struct tce2_bus_range *part);

static __always_inline int ddw_try_unmap(struct tce2_ddw *ddw, u64 iova, u64 size,
					 ddw_find *find, enum tce2_patience patience,
					 struct tce2_bus_range *part)
{
	int ret;

	ret = tce2_ddw_begin_request(ddw);
	if (ret)
		return ret;
	ret = tce2_ddw_check_process(ddw) ?: find(ddw, iova, size, part);
	/* A default window that is pending has no mappings */
	if (!ret && part->window)
		ret = tce2_window_unmap(part->window, part->start, part->size, patience);
	tce2_ddw_end_request(ddw);
	return ret;
}

/* Sets *@part to the range, and returns TCE2_PINNED if a driver has to unpin pages of it first */
static __always_inline int ddw_unmap(struct tce2_ddw *ddw, u64 iova, u64 size, ddw_find *find,
				     struct tce2_bus_range *part)
{
	enum tce2_patience patience = TCE2_YIELDS;
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = ddw_try_unmap(ddw, iova, size, find, patience, part);
		if (likely(ret != -EAGAIN))
			return ret;
		patience = TCE2_YIELDS_TO_VFIO;
		ret = tce2_ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

/*
 * Makes drivers unpin the pages of a range, and unmaps the range. *@part is the range for which
 * ddw_unmap() has returned TCE2_PINNED.
 */
static noinline int ddw_unmap_pinned(struct tce2_ddw *ddw, u64 iova, u64 size, ddw_find *find,
				     struct tce2_bus_range *part)
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
	struct tce2_bus_range part;
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
