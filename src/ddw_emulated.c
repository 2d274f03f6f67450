// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices of a container: their groups, and the pages that their drivers pin.
 *
 * Owns struct tce2_emulation, which a container has from its first emulated group on. An
 * emulated device has no hardware and no table group. Beside groups with hardware, it uses
 * their windows. Without them, the software group stands in for a group with hardware
 * (src/software.c). This file adds and removes emulated groups and the software group. It also
 * finds the window of a driver's request to pin pages or to copy data, which src/access.c
 * carries out.
 *
 * Locks: lock of struct tce2_ddw, through src/ddw.c: for writing to change groups and
 * devices, and for reading in a driver's request.
 * Calls: ddw, access, tce_v2, software.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "tce2_access.h"
#include "tce2_ddw.h"
#include "tce2_ddw_request.h"
#include "tce2_software.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

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
 * tce2_ddw_begin_software() - add the software group
 * @ddw: the groups and windows, locked for writing
 *
 * The caller calls this because emulated groups are left and no group with hardware. Windows
 * of groups that have left stay. To set a window for this group can't fail.
 */
void tce2_ddw_begin_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;
	bool set;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_window_set(ddw->window[slot], &ddw->emulation->tg, slot,
					&set);
	}
	list_add(&ddw->emulation->software.node, &ddw->groups);
}

/**
 * tce2_ddw_end_software() - undo tce2_ddw_begin_software()
 * @ddw: the groups and windows, locked for writing
 *
 * Has no effect if the software group is not in the list of groups.
 */
void tce2_ddw_end_software(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	if (!tce2_ddw_is_software(ddw))
		return;
	list_del_init(&ddw->emulation->software.node);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_window_unset(ddw->window[slot], &ddw->emulation->tg, slot);
	}
}

/**
 * tce2_ddw_find_emulated() - find an attached group of an emulated device
 * @ddw: the groups and windows
 * @group: the IOMMU group
 *
 * Return: the emulated group, or NULL if @group is not attached as one.
 */
struct tce2_emulated *tce2_ddw_find_emulated(struct tce2_ddw *ddw,
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

/**
 * tce2_ddw_remove_emulated() - remove and free an emulated group
 * @ddw: the groups and windows, locked for writing
 * @emulated: the emulated group
 */
void tce2_ddw_remove_emulated(struct tce2_ddw *ddw, struct tce2_emulated *emulated)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	list_del(&emulated->node);
	tce2_ddw_count_groups(ddw, -1);
	kfree(emulated);
	if (list_empty(&ddw->emulation->groups))
		tce2_ddw_end_software(ddw);
}

/**
 * tce2_ddw_remove_all_emulated() - remove and free all emulated groups
 * @ddw: the groups and windows, locked for writing
 */
void tce2_ddw_remove_all_emulated(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct tce2_emulated *emulated, *next;

	lockdep_assert_held_write(&ddw->lock);
	if (!ddw->emulation)
		return;
	list_for_each_entry_safe(emulated, next, &ddw->emulation->groups, node)
		tce2_ddw_remove_emulated(ddw, emulated);
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
		emulation->hardware = tce2_ddw_first_table_group(ddw)->ops;
	/* Pairs with tce2_ddw_emulation() */
	smp_store_release(&ddw->emulation, emulation);
}

/* Adds an emulated group; returns -EBUSY if the group is attached already */
static int ddw_add_emulated(struct tce2_ddw *ddw, struct tce2_emulated *emulated)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	if (tce2_ddw_find_emulated(ddw, emulated->group))
		return tce2_refuse(-EBUSY, TCE2_WHY_ALREADY_ATTACHED);
	if (list_empty(&ddw->groups)) {
		tce2_ddw_begin_software(ddw);
		ddw->default_pending = !ddw->window[0];
	}
	list_add_tail(&emulated->node, &ddw->emulation->groups);
	tce2_ddw_count_groups(ddw, 1);
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

	tce2_ddw_lock_for_vfio(ddw);
	if (!ddw->emulation) {
		ddw_begin_emulation(ddw, emulation);
		emulation = NULL;
	}
	ret = ddw_add_emulated(ddw, emulated);
	tce2_ddw_unlock_for_vfio(ddw);
	if (!ret)
		emulated = NULL;
free:
	kfree(emulation);
	kfree(emulated);
	return ret;
}

/**
 * tce2_ddw_add_device() - let the driver of an emulated device pin pages
 * @ddw: the groups and windows
 * @device: the device, which is being opened; its driver has a function dma_unmap
 *
 * Brief requests then take the general path, which checks for pinned pages.
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
	tce2_ddw_lock_for_vfio(ddw);
	for (slot = 0; !emulation->accessors && slot < TCE2_NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_window_accept_pins(ddw->window[slot], &emulation->access.pins);
	}
	emulation->accessors++;
	tce2_ddw_unlock_for_vfio(ddw);
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
	tce2_ddw_lock_for_vfio(ddw);
	emulation->accessors--;
	for (slot = 0; !emulation->accessors && slot < TCE2_NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (window && !tce2_window_is_pinned(window))
			tce2_window_accept_pins(window, NULL);
	}
	tce2_ddw_unlock_for_vfio(ddw);
}

/* Finds the window of a driver's request; returns -EINVAL if the address can't be mapped */
static int ddw_find_access(struct tce2_ddw *ddw, u64 iova, u64 size,
			   struct tce2_window **window)
	__must_hold(&ddw->lock)
{
	struct tce2_bus_range range;

	lockdep_assert_held(&ddw->lock);
	if (tce2_ddw_find_window(ddw, iova, &range) || !range.window ||
	    size > range.size - (iova - range.start))
		return tce2_refuse(-EINVAL, TCE2_WHY_ACCESS_NOT_MAPPED);
	*window = range.window;
	return 0;
}

static int ddw_try_pin(struct tce2_ddw *ddw, const struct tce2_pin_request *request,
		       enum tce2_patience patience)
{
	struct tce2_window *window;
	int ret = tce2_ddw_begin_request(ddw);

	if (ret)
		return ret;
	ret = tce2_ddw_has_accessors(ddw) ? 0 : tce2_refuse(-EINVAL, TCE2_WHY_NO_DEVICE);
	if (!ret)
		ret = ddw_find_access(ddw, request->iova, request->count << PAGE_SHIFT,
				      &window);
	if (!ret)
		ret = tce2_access_pin(&ddw->emulation->access, window, request, patience);
	tce2_ddw_end_request(ddw);
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
		ret = tce2_ddw_wait_for_writer(ddw, seen);
	} while (!ret);
	return ret;
}

static int ddw_try_access(struct tce2_ddw *ddw, struct tce2_access_request *request,
			  enum tce2_patience patience)
{
	struct tce2_window *window;
	int ret = tce2_ddw_begin_request(ddw);

	if (ret)
		return ret;
	ret = ddw_find_access(ddw, request->iova, 1, &window);
	if (!ret)
		ret = tce2_access_copy(window, request, patience);
	tce2_ddw_end_request(ddw);
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
			ret = tce2_ddw_wait_for_writer(ddw, seen);
		}
		cond_resched();
	}
	return ret;
}
