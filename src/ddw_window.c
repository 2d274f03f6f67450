// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows that a client asks for: GET_INFO, TCE_CREATE and TCE_REMOVE.
 *
 * Owns struct tce2_creation and struct tce2_caps. This file checks a window, finds a slot for
 * it, and has it made by src/ddw.c. It also shows windows to the client and to debugfs.
 *
 * Every request is checked completely before the platform is called, because a failure
 * there can have permanent effects. On pseries Linux then never creates a window for the
 * device again (failed_ddw_pdn_list, arch/powerpc/platforms/pseries/iommu.c).
 *
 * Locks: lock of struct tce2_ddw: for writing through src/ddw.c; for reading to publish a
 * window, and for GET_INFO. slots_lock, for debugfs. RCU, to copy mappings for debugfs.
 * Calls: ddw, access, tce_v2, platform; inlines of kvm.
 */
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/vfio.h>

#include "tce2_access.h"
#include "tce2_ddw.h"
#include "tce2_ddw_request.h"
#include "tce2_kvm.h"
#include "tce2_platform.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

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

	return tce2_platform_check_spec(tce2_ddw_first_table_group(ddw), spec, pgsizes,
					max_levels);
}

/*
 * Returns the number of slots. powernv has 2 slots, a hypervisor 1 or 2 (LoPAR 7.3.27.1,
 * ibm,query-pe-dma-window).
 */
static u32 ddw_slots(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	u32 slots = TCE2_NR_SLOTS;

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
		ddw->window[0]->start != tce2_ddw_first_table_group(ddw)->tce32_start);
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
	struct iommu_table_group *tg = tce2_ddw_first_table_group(ddw);
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
	struct iommu_table_group *tg = tce2_ddw_first_table_group(ddw);
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
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (tce2_ddw_is_published(ddw->window[slot])) {
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
	tg = tce2_ddw_first_table_group(ddw);
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
	return tce2_platform_check_place(tce2_ddw_first_table_group(ddw), spec, slot,
					 ddw_has_dynamic(ddw));
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
	    tce2_platform_is_papr(tce2_ddw_first_table_group(ddw)))
		return;
	/* Three references: of the owner, of KVM's hooks and of @creation */
	if (tce2_kvm_attached(window->kvm) || !tce2_window_stop_if_unused(window, 3))
		return;
	tce2_ddw_destroy_window(ddw, 0);
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
	ret = tce2_ddw_create_default(ddw, cache);
	if (ret)
		return ret;
	creation->made_default = was_pending ? ddw->window[0] : NULL;
	if (creation->made_default)
		refcount_inc(&creation->made_default->refs);
	ret = tce2_ddw_create_window(ddw, cache, slot, spec);
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
	int ret = tce2_ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	ret = ddw_create_locked(ddw, cache, spec, creation);
	tce2_ddw_unlock_for_client(ddw);
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
		tce2_ddw_publish_window(creation->window);
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
	tce2_ddw_lock_for_client_uninterruptible(ddw);
	if (ddw->window[creation->slot] == creation->window) {
		tce2_ddw_destroy_window(ddw, creation->slot);
		ddw_unmake_default(ddw, creation);
	}
	tce2_ddw_unlock_for_client(ddw);
	ddw_end_creation(creation);
}

/* Finds the slot of the published window that begins at @start; TCE2_NR_SLOTS if no window does */
static int ddw_slot_of(struct tce2_ddw *ddw, u64 start)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < TCE2_NR_SLOTS; slot++) {
		if (tce2_ddw_is_published(ddw->window[slot]) &&
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
	int slot, ret = tce2_ddw_lock_with_group(ddw);

	if (ret)
		return ret;
	slot = ddw_slot_of(ddw, start);
	if (ddw->default_pending &&
	    start == tce2_ddw_first_table_group(ddw)->tce32_start) {
		ddw->default_pending = false;
	} else if (slot == TCE2_NR_SLOTS) {
		ret = tce2_refuse(-EINVAL, TCE2_WHY_NO_SUCH_WINDOW);
	} else if (tce2_window_is_pinned(ddw->window[slot])) {
		*size = ddw->window[slot]->size;
		ret = TCE2_PINNED;
	} else {
		tce2_ddw_destroy_window(ddw, slot);
	}
	tce2_ddw_unlock_for_client(ddw);
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
