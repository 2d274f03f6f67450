// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups of a container: attaching and detaching them, and requests for each of them.
 *
 * Owns struct tce2_group, except the software group (src/ddw_emulated.c). A group that joins
 * gets all windows of the container. This file checks before that the group can use them. A
 * group that leaves loses the windows, and the platform gets its DMA ownership back. When the
 * container is closed, this file removes all groups and windows.
 *
 * Locks: lock of struct tce2_ddw, through src/ddw.c: for writing in a call of VFIO, and for
 * reading to go through the groups.
 * Calls: ddw_emulated, ddw, access, tce_v2, eeh, platform, software; inlines of compat.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/slab.h>

#include "tce2_access.h"
#include "tce2_compat.h"
#include "tce2_ddw.h"
#include "tce2_ddw_request.h"
#include "tce2_eeh.h"
#include "tce2_platform.h"
#include "tce2_software.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

static void ddw_remove_group(struct tce2_ddw *ddw, struct tce2_group *group)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	list_del(&group->node);
	tce2_ddw_count_groups(ddw, -1);
}

/**
 * tce2_ddw_destroy() - detach every group and remove every window
 * @ddw: the groups and windows, which no new request can reach, except brief requests
 *
 * Can't fail.
 *
 * Context: may sleep.
 */
void tce2_ddw_destroy(struct tce2_ddw *ddw)
{
	struct tce2_group *group, *next;
	int slot;

	tce2_ddw_lock_for_vfio(ddw);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_ddw_destroy_window(ddw, slot);
	}
	ddw->default_pending = false;
	tce2_ddw_remove_all_emulated(ddw);
	list_for_each_entry_safe(group, next, &ddw->groups, node) {
		tce2_release_ownership(group->table_group);
		ddw_remove_group(ddw, group);
		kfree(group);
	}
	tce2_ddw_unlock_for_vfio(ddw);
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
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
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
	if (tce2_ddw_is_software(ddw)) {
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
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
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
	bool joins_emulated = tce2_ddw_is_software(ddw);

	lockdep_assert_held_write(&ddw->lock);
	tce2_ddw_end_software(ddw);
	if (list_empty(&ddw->groups)) {
		if (ddw->emulation)
			ddw->emulation->hardware = tg->ops;
		/* Beside emulated groups, a removed default window stays removed */
		if (!ddw->window[0] && (!joins_emulated || ddw->default_pending))
			ddw->default_pending = tg->tce32_size;
	}
	list_add_tail(&group->node, &ddw->groups);
	tce2_ddw_count_groups(ddw, 1);
	tce2_ddw_expect_table_refs(ddw);
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

	tce2_ddw_lock_for_vfio(ddw);
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
	tce2_ddw_unlock_for_vfio(ddw);
	if (ret)
		kfree(group);
	return ret;
}

/* Removes all windows from a group before its DMA ownership returns to the platform */
static void ddw_take_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	if (!tce2_platform_is_papr(tg)) {
		ddw_unset_windows(ddw, tg, TCE2_NR_SLOTS);
		return;
	}
	/*
	 * A hypervisor's windows are removed with their only group, and their tables can't
	 * be cleared afterwards. A table must be clear before its window is removed
	 * (LoPAR 7.3.27.3, ibm,remove-pe-dma-window).
	 */
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_ddw_destroy_window(ddw, slot);
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
		tce2_ddw_begin_software(ddw);
		/* The hypervisor's windows went with the group */
		if (papr)
			ddw->default_pending = true;
	}
	tce2_ddw_expect_table_refs(ddw);
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
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		const struct tce2_window *window = ddw->window[slot];

		if (!window || !tce2_window_is_pinned(window))
			continue;
		tce2_access_close(&ddw->emulation->access, &closing[closed], window->start,
				  window->size);
		tce2_ddw_unlock_for_vfio(ddw);
		tce2_access_release_for_vfio(&ddw->emulation->access, &closing[closed++]);
		tce2_ddw_lock_for_vfio(ddw);
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
	struct tce2_closing closing[TCE2_NR_SLOTS];
	struct tce2_emulated *emulated;
	struct tce2_group *group;
	unsigned int closed;

	tce2_ddw_lock_for_vfio(ddw);
	group = ddw_find_group(ddw, iommu_group);
	closed = ddw_release_pins(ddw, group, closing);
	emulated = tce2_ddw_find_emulated(ddw, iommu_group);
	if (group)
		ddw_detach_group(ddw, group);
	else if (emulated)
		tce2_ddw_remove_emulated(ddw, emulated);
	tce2_ddw_unlock_for_vfio(ddw);
	while (closed)
		tce2_access_reopen(&ddw->emulation->access, &closing[--closed]);
	return group || emulated ? 0 : -ENOENT;
}

/*
 * Same as tce2_ddw_begin_request(), but waits for VFIO and then tries again. Returns 0, or
 * -EINTR after a fatal signal.
 */
static int ddw_begin_request_again(struct tce2_ddw *ddw)
{
	int ret, seen;

	do {
		seen = atomic_read(&ddw->writes);
		ret = tce2_ddw_begin_request(ddw);
		if (ret != -EAGAIN)
			return ret;
		ret = tce2_ddw_wait_for_writer(ddw, seen);
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
	ret = tce2_ddw_check_process(ddw);
	if (!ret && tce2_ddw_is_software(ddw))
		ret = tce2_refuse(-ENODEV, TCE2_WHY_EEH_NO_ENDPOINT);
	list_for_each_entry(group, &ddw->groups, node) {
		if (ret)
			break;
		ret = tce2_eeh_pe_op(group->group, op);
	}
	tce2_ddw_end_request(ddw);
	return ret;
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
	tce2_ddw_end_request(ddw);
	return next;
}
