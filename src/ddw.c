// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynamic DMA windows: a container's groups and the windows they share.
 *
 * Owns struct tce2_ddw: attaching and detaching groups, creating and removing
 * windows, the default window that is made when it is first used, and what
 * GET_INFO says. Every request is checked in full before the platform is asked,
 * because a request that fails there can cost dearly: on pseries no window is
 * ever created again for the device.
 *
 * Locks: struct tce2_ddw.lock, taken here except where a function says that
 * the caller holds it.
 * Calls: kapi (publishing windows), kvm, tce_v2 (what is in a window), compat; the
 * platform's table group ops.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "tce2_compat.h"
#include "tce2_ddw.h"
#include "tce2_kapi_publish.h"
#include "tce2_kvm.h"
#include "tce2_mm_iommu.h"
#include "tce2_tce_v2.h"

#define NR_SLOTS	IOMMU_TABLE_GROUP_MAX_TABLES

/* The default window's TCEs (PAPR: the 32-bit window has 4 KiB pages) */
#define DEFAULT_PAGE_SHIFT	12

/*
 * A table's levels and page size may span fewer bus address bits than this
 * (pnv_pci_ioda2_table_alloc_pages)
 */
#define MAX_BUS_ADDRESS_BITS	55

/* log2 of the size limit of one level in a tree: 512 KiB, 8 pages of 64 KiB */
#define MOST_LEVEL_SHIFT	19

/* How often the client's memory is made writable for an answer */
#define ANSWER_TRIES		8

/*
 * Whether a group's TCE tables are the hypervisor's (PAPR LoPAR, DDW). They then
 * have one level, or none where it offers no dynamic windows.
 */
static bool has_hypervisor_tables(const struct iommu_table_group *tg)
{
	return tg->max_levels <= 1;
}

static struct iommu_table_group *first_table_group(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held(&ddw->lock);
	return list_first_entry(&ddw->groups, struct tce2_group,
				node)->table_group;
}

/* Error codes of the platform's hooks are errnos or those of the firmware */
static int platform_error(long ret)
{
	switch (ret) {
	case 0:
	case -EINVAL:
	case -ENODEV:
	case -ENOMEM:
	case -EPERM:
		return ret;
	default:
		return -EIO;
	}
}

/**
 * tce2_ddw_init() - begin with no group and no window
 * @ddw: zeroed memory for it
 */
void tce2_ddw_init(struct tce2_ddw *ddw)
{
	init_rwsem(&ddw->lock);
	mutex_init(&ddw->clients);
	spin_lock_init(&ddw->slots);
	init_waitqueue_head(&ddw->calm);
	INIT_LIST_HEAD(&ddw->groups);
}

/* Sets which window is in a slot; wake_queues() does not hold the rwsem */
static void set_slot(struct tce2_ddw *ddw, int slot, struct tce2_window *window)
	__must_hold(&ddw->lock)
{
	lockdep_assert_held_write(&ddw->lock);
	spin_lock(&ddw->slots);
	ddw->window[slot] = window;
	spin_unlock(&ddw->slots);
}

/*
 * Wakes requests that wait for entries and have to back off. Does not wait for the
 * rwsem, which a writer may be waiting for that is ahead of this one.
 */
static void wake_queues(struct tce2_ddw *ddw)
{
	int slot;

	spin_lock(&ddw->slots);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_range_turn_away(&ddw->window[slot]->ranges);
	}
	spin_unlock(&ddw->slots);
}

/* Lets requests that were turned away, and client writers, try again */
static void end_hurry(struct tce2_ddw *ddw)
{
	atomic_inc(&ddw->writes);
	atomic_dec(&ddw->hurry.turning_away);
	wake_up_all(&ddw->calm);
}

/**
 * tce2_ddw_lock() - lock the groups and windows for writing, for a client
 * @ddw: the groups and windows
 *
 * Requests that hold the lock for reading while they wait for entries of a window
 * release it, and restart after tce2_ddw_unlock(). So this function waits for requests
 * that are already running, for other calls of this function, and for VFIO. Only one
 * call at a time waits for the rwsem, and none while VFIO waits for it: so at most one
 * is ahead of VFIO.
 *
 * Context: may sleep.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_ddw_lock(struct tce2_ddw *ddw)
{
	if (mutex_lock_killable(&ddw->clients))
		return -EINTR;
	if (wait_event_killable(ddw->calm, !atomic_read(&ddw->hurry.stopping)))
		goto unlock;
	atomic_inc(&ddw->hurry.turning_away);
	wake_queues(ddw);
	if (!down_write_killable(&ddw->lock))
		return 0;
	end_hurry(ddw);
unlock:
	mutex_unlock(&ddw->clients);
	return -EINTR;
}

/**
 * tce2_ddw_unlock() - undo tce2_ddw_lock()
 * @ddw: the groups and windows
 */
void tce2_ddw_unlock(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	end_hurry(ddw);
	mutex_unlock(&ddw->clients);
}

/*
 * Locks for writing while the caller, VFIO, holds locks for which other containers
 * wait. So requests that map or unmap many entries stop, too.
 */
static void lock_for_vfio(struct tce2_ddw *ddw)
{
	/* In this order: who stops waits until the first one is 0 again */
	atomic_inc(&ddw->hurry.turning_away);
	atomic_inc(&ddw->hurry.stopping);
	wake_queues(ddw);
	down_write(&ddw->lock);
}

static void unlock_for_vfio(struct tce2_ddw *ddw)
{
	up_write(&ddw->lock);
	atomic_dec(&ddw->hurry.stopping);
	end_hurry(ddw);
}

/**
 * tce2_ddw_begin() - lock the groups and windows for reading, for a request
 * @ddw: the groups and windows
 *
 * Context: may sleep. up_read() of @ddw->lock undoes it.
 * Return: 0; -EAGAIN if VFIO waits for the lock: the request is to begin again after
 * tce2_ddw_wait(); -EINTR after a fatal signal.
 */
int tce2_ddw_begin(struct tce2_ddw *ddw)
{
	if (down_read_killable(&ddw->lock))
		return -EINTR;
	if (likely(!atomic_read(&ddw->hurry.stopping)))
		return 0;
	up_read(&ddw->lock);
	return -EAGAIN;
}

/**
 * tce2_ddw_wait() - wait until a request that was turned away may try again
 * @ddw: the groups and windows, which the caller has not locked
 * @seen: @writes of struct tce2_ddw as it was before the request tried
 *
 * Waits until one writer has unlocked, if there is a writer. Does not wait for writers
 * that come after it.
 *
 * Context: may sleep.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_ddw_wait(struct tce2_ddw *ddw, int seen)
{
	return wait_event_killable(ddw->calm,
				   atomic_read(&ddw->writes) != seen ||
				   !atomic_read(&ddw->hurry.turning_away)) ?
		-EINTR : 0;
}

/*
 * Whether a reference of this module's own is held for a group's slot, besides
 * the platform's: where powernv has noted the table. If a device is added to a
 * group in use powernv takes the first slot's table for one that it made itself,
 * and puts a reference too many (pnv_ioda2_take_ownership()). Nothing
 * keeps it from doing so while the slot is set or unset here, which is not safe.
 */
static bool holds_table(const struct iommu_table_group *tg, int slot,
			const struct iommu_table *tbl)
{
	return !has_hypervisor_tables(tg) && tg->tables[slot] == tbl;
}

/*
 * Programs a table into a slot of a group; *@set tells whether it has to be taken
 * back, which with an error can be so, too: powernv says 0 even where it had no
 * memory to note with the table that the group uses it. It would then invalidate
 * nothing that the group's devices have cached of the table, ever.
 */
static int set_group_window(struct iommu_table_group *tg, int slot,
			    struct iommu_table *tbl, bool *set)
{
	int ret = platform_error(tg->ops->set_window(tg, slot, tbl));

	*set = !ret;
	if (ret)
		return ret;
	if (tg->tables[slot] != tbl)
		return -ENOMEM;
	if (holds_table(tg, slot, tbl))
		iommu_tce_table_get(tbl);
	return 0;
}

/* Takes a table from a slot of a group; false if the platform keeps it there */
static bool unset_group_window(struct iommu_table_group *tg, int slot,
			       struct iommu_table *tbl)
{
	bool held = holds_table(tg, slot, tbl);
	bool unset = !tg->ops->unset_window(tg, slot);

	/* It is not the last one: the window has its own */
	if (held)
		iommu_tce_table_put(tbl);
	return unset;
}

/*
 * Takes a slot's window from the groups that come before @stop in the list, or
 * from all. False if the platform kept it for any of them.
 */
static bool unset_window(struct tce2_ddw *ddw, int slot,
			 struct iommu_table *tbl, struct tce2_group *stop)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	bool unset = true;

	lockdep_assert_held_write(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group == stop)
			break;
		if (!unset_group_window(group->table_group, slot, tbl))
			unset = false;
	}
	return unset;
}

/* Programs a table into a slot of every group, or of those before @failed */
static int set_window(struct tce2_ddw *ddw, int slot, struct iommu_table *tbl,
		      struct tce2_group **failed)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;

	lockdep_assert_held_write(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		bool set;
		int ret = set_group_window(group->table_group, slot, tbl, &set);

		if (ret) {
			*failed = set ? list_next_entry(group, node) : group;
			return ret;
		}
	}
	return 0;
}

/*
 * Frees a table, unless the hardware may still walk it: nothing is mapped in
 * it any more, so keeping it does no harm but for the memory.
 */
static void release_table(struct iommu_table *tbl, bool unset)
{
	if (unset)
		iommu_tce_table_put(tbl);
	else
		pr_err_ratelimited("platform keeps the window at %#lx, leaking its table\n",
				   tbl->it_offset << tbl->it_page_shift);
}

/* The page sizes that all groups offer, and in @levels how many levels */
static u64 common_pgsizes(struct tce2_ddw *ddw, u32 *levels)
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

/*
 * log2 of the bytes in each table of a tree of TCE tables, as IODA2 divides it:
 * index bits spread evenly over the levels, a page at the least.
 */
static unsigned int level_shift(const struct tce2_window_spec *spec)
{
	unsigned int bits = ilog2(spec->size) - spec->page_shift;

	return max_t(unsigned int, DIV_ROUND_UP(bits, spec->levels) + 3,
		     PAGE_SHIFT);
}

/*
 * Returns log2 of the size limit of one level. The platform allocates lower
 * levels while a client maps, as often as the client likes, and a large allocation
 * fails more easily (tce2_table_can_allocate()). A single level is allocated once, with
 * the window, so only the page allocator limits its size.
 */
static unsigned int most_level_shift(const struct tce2_window_spec *spec)
{
	return spec->levels > 1 ? MOST_LEVEL_SHIFT :
	       PAGE_SHIFT + TCE2_MAX_PAGE_ORDER;
}

/* Everything about a window that can be known to be wrong beforehand */
static int check_spec(struct tce2_ddw *ddw,
		      const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	u32 max_levels;
	u64 pgsizes = common_pgsizes(ddw, &max_levels);

	if (spec->page_shift > 63 || !(pgsizes & BIT_ULL(spec->page_shift)))
		return -EINVAL;
	if (!spec->levels || spec->levels > max_levels)
		return -EINVAL;
	if (!is_power_of_2(spec->size) ||
	    spec->size < BIT_ULL(spec->page_shift))
		return -EINVAL;
	if ((level_shift(spec) - 3) * spec->levels + spec->page_shift >=
	    MAX_BUS_ADDRESS_BITS)
		return -EINVAL;
	/* Clients count on ENOMEM to go on with more levels */
	if (!has_hypervisor_tables(first_table_group(ddw)) &&
	    level_shift(spec) > most_level_shift(spec))
		return -ENOMEM;
	return 0;
}

/*
 * Returns the pages of locked_vm for what the platform allocates with a new
 * window. With one level that is the whole table and the platform's userspace
 * copy of it, or the copy alone if the table is the hypervisor's. With more
 * levels it is the root of the table and the root of the copy. Lower levels are
 * charged when mapping makes them. The in-tree driver charges all levels in
 * full at once: 1 TiB for a window of 2^48 with 4 KiB pages, nearly none of
 * which ever exists.
 */
static unsigned long initial_charge(struct iommu_table_group *tg,
				    const struct tce2_window_spec *spec)
{
	unsigned long bytes;

	if (spec->levels == 1)
		bytes = tg->ops->get_table_size(spec->page_shift, spec->size,
						1);
	else
		bytes = 2UL << level_shift(spec);
	return bytes >> PAGE_SHIFT;
}

/*
 * Counts the references to a window's table that are not KVM's: this module's,
 * and those of the table groups.
 */
static unsigned int table_refs(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	unsigned int refs = 1;

	lockdep_assert_held_write(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node)
		refs += has_hypervisor_tables(group->table_group) ? 1 : 2;
	return refs;
}

/* Counts the references to each window's table again: a group joined or left */
static void expect_table_refs(struct tce2_ddw *ddw)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			tce2_kvm_expect(ddw->window[slot]->kvm,
					table_refs(ddw));
	}
}

/*
 * Unmaps all of a window and takes it from the groups that precede @stop in the
 * list, or from all groups if @stop is NULL. Can't fail. The charge for the
 * table is refunded with the table, to which KVM may have references.
 */
static void take_down(struct tce2_ddw *ddw, int slot,
		      struct tce2_window *window, struct tce2_group *stop)
	__must_hold(&ddw->lock)
{
	struct iommu_table *tbl = window->table.tbl;
	unsigned long charge;
	bool unset;

	lockdep_assert_held_write(&ddw->lock);
	tce2_window_unpublish(window);
	tce2_window_retire(window);
	charge = window->table.charged;
	unset = unset_window(ddw, slot, tbl, stop) && !window->stuck;
	release_table(tbl, unset);
	if (!unset) {
		/* The table is leaked, so the hooks would never refund it */
		account_locked_vm(window->cache->mm, charge, false);
		charge = 0;
	}
	tce2_kvm_release(window->kvm, charge);
	tce2_window_put(window);
}

/*
 * Installs KVM's hooks at a new table and programs the table for every group.
 * After a failure nothing of the window is left.
 */
static int set_up(struct tce2_ddw *ddw, int slot, struct tce2_window *window,
		  struct tce2_kvm *kvm)
	__must_hold(&ddw->lock)
{
	bool published = has_hypervisor_tables(first_table_group(ddw));
	struct tce2_group *failed = NULL;
	int ret;

	lockdep_assert_held_write(&ddw->lock);
	ret = tce2_kvm_install(kvm, window, published ? 2 : 1);
	if (!ret)
		ret = set_window(ddw, slot, window->table.tbl, &failed);
	if (ret) {
		take_down(ddw, slot, window, failed);
		return ret;
	}
	tce2_kvm_expect(kvm, table_refs(ddw));
	tce2_window_publish(window);
	set_slot(ddw, slot, window);
	return 0;
}

/* Makes a window in a free slot for every group; a failure leaves nothing */
static int create_window(struct tce2_ddw *ddw, struct tce2_cache *cache,
			 int slot, const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	struct iommu_table_group *tg = first_table_group(ddw);
	unsigned long charge = initial_charge(tg, spec);
	struct tce2_window *window;
	struct iommu_table *tbl;
	struct tce2_kvm *kvm;
	int ret = -ENOMEM;

	lockdep_assert_held_write(&ddw->lock);
	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	kvm = tce2_kvm_alloc();
	if (!window || !kvm)
		goto free;
	ret = account_locked_vm(cache->mm, charge, true);
	if (ret)
		goto free;
	ret = -ENOMEM;
	/* Its first level, and a copy */
	if (!has_hypervisor_tables(tg) &&
	    !tce2_table_can_allocate(1ULL << level_shift(spec), 2))
		goto uncharge;
	ret = platform_error(tg->ops->create_table(tg, slot, spec->page_shift,
						   spec->size, spec->levels,
						   &tbl));
	if (ret)
		goto uncharge;
	tce2_window_init(window, tbl, cache, &ddw->hurry, spec->size, charge);
	return set_up(ddw, slot, window, kvm);

uncharge:
	account_locked_vm(cache->mm, charge, false);
free:
	kfree(kvm);
	kfree(window);
	return ret;
}

/* Unmaps all of a window and takes it from every group; can't fail */
static void destroy_window(struct tce2_ddw *ddw, int slot)
	__must_hold(&ddw->lock)
{
	struct tce2_window *window = ddw->window[slot];

	lockdep_assert_held_write(&ddw->lock);
	set_slot(ddw, slot, NULL);
	take_down(ddw, slot, window, NULL);
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

	lock_for_vfio(ddw);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			destroy_window(ddw, slot);
	}
	ddw->default_pending = false;
	list_for_each_entry_safe(group, next, &ddw->groups, node) {
		tce2_release_ownership(group->table_group);
		list_del(&group->node);
		kfree(group);
	}
	unlock_for_vfio(ddw);
}

/*
 * Takes a window from one group, with KVM's hooks locked out. Otherwise a hook
 * that unmaps an entry in between would invalidate it only for the groups that
 * the platform still knows. Then the hook would drop the page, although this
 * group may have kept the window.
 */
static bool take_window(struct tce2_window *window,
			struct iommu_table_group *tg, int slot)
{
	struct tce2_range range;
	bool taken;

	tce2_window_hold(window, &range);
	taken = unset_group_window(tg, slot, window->table.tbl);
	if (!taken)
		window->stuck = true;
	tce2_window_unhold(window, &range);
	return taken;
}

/*
 * Takes every window from one group; others go on using them. If the platform
 * keeps one, its table must never be freed.
 */
static void unset_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg,
			  int slots)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < slots; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window || take_window(window, tg, slot))
			continue;
		pr_err_ratelimited("platform keeps the window at %#llx for a group that leaves, leaking memory that is unmapped in it\n",
				   window->start);
	}
}

/*
 * Programs a window for a group that joins, with KVM's hooks locked out. Until
 * the platform has noted the group, an entry that a hook unmaps is not
 * invalidated for the group's devices.
 */
static int give_window(struct tce2_window *window,
		       struct iommu_table_group *tg, int slot, bool *set)
{
	struct tce2_range range;
	int ret;

	tce2_window_hold(window, &range);
	ret = set_group_window(tg, slot, window->table.tbl, set);
	tce2_window_unhold(window, &range);
	return ret;
}

/* Programs every window for a group that joins, or none */
static int set_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	int slot, ret;
	bool set;

	lockdep_assert_held_write(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window)
			continue;
		ret = give_window(window, tg, slot, &set);
		if (ret) {
			unset_windows(ddw, tg, set ? slot + 1 : slot);
			return ret;
		}
	}
	return 0;
}

/*
 * Takes what powernv may have left of its own in a group's hardware, if it
 * lacked memory when the group was last given back: a default window that it
 * could not note with the group, in which a virtual function's driver may have
 * mapped something; and the bypass, in the other slot's place, which it opens
 * even without a default window, and through which devices reach all memory. It
 * takes a group without a noted table for one that has neither
 * (pnv_pci_ioda2_setup_default_config(), pnv_ioda2_take_ownership()).
 */
static int clear_slots(struct iommu_table_group *tg)
{
	int slot, ret = 0;

	if (has_hypervisor_tables(tg))
		return 0;
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (tg->ops->unset_window(tg, slot))
			ret = -EIO;
	}
	return ret;
}

/* Whether a group may join the groups and windows that are there */
static int check_group(struct tce2_ddw *ddw, struct iommu_group *iommu_group,
		       struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	struct tce2_group *group;
	int slot;

	if (!tg)
		return -ENODEV;
	if (!tg->max_dynamic_windows_supported || !tg->ops ||
	    !tg->ops->get_table_size || !tg->ops->create_table ||
	    !tg->ops->set_window || !tg->ops->unset_window)
		return -EINVAL;

	lockdep_assert_held(&ddw->lock);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group->group == iommu_group)
			return -EBUSY;
		/* A hypervisor's table is one group's */
		if (has_hypervisor_tables(tg))
			return -EPERM;
		if (group->table_group->ops->create_table !=
		    tg->ops->create_table)
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

	lock_for_vfio(ddw);
	ret = check_group(ddw, iommu_group, tg);
	if (ret)
		goto unlock;
	tce2_take_ownership(tg);
	ret = clear_slots(tg);
	if (!ret)
		ret = set_windows(ddw, tg);
	if (ret) {
		tce2_release_ownership(tg);
		goto unlock;
	}
	if (list_empty(&ddw->groups) && !ddw->window[0])
		ddw->default_pending = tg->tce32_size;
	list_add_tail(&group->node, &ddw->groups);
	expect_table_refs(ddw);
unlock:
	unlock_for_vfio(ddw);
	if (ret)
		kfree(group);
	return ret;
}

/* Takes all windows from a group that leaves, before the platform has it back */
static void take_windows(struct tce2_ddw *ddw, struct iommu_table_group *tg)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held_write(&ddw->lock);
	if (!has_hypervisor_tables(tg)) {
		unset_windows(ddw, tg, NR_SLOTS);
		return;
	}
	/* They go with their only group, and so would the way to clear them */
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot])
			destroy_window(ddw, slot);
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

	lock_for_vfio(ddw);
	list_for_each_entry(group, &ddw->groups, node) {
		if (group->group != iommu_group)
			continue;
		take_windows(ddw, group->table_group);
		tce2_release_ownership(group->table_group);
		list_del(&group->node);
		expect_table_refs(ddw);
		kfree(group);
		ret = 0;
		break;
	}
	unlock_for_vfio(ddw);
	return ret;
}

/**
 * tce2_ddw_info() - what VFIO_IOMMU_SPAPR_TCE_GET_INFO says
 * @ddw: the groups and windows
 * @info: filled but for argsz
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
	tg = first_table_group(ddw);
	info->flags = VFIO_IOMMU_SPAPR_INFO_DDW;
	info->dma32_window_start = tg->tce32_start;
	info->dma32_window_size = tg->tce32_size;
	info->ddw.pgsizes = common_pgsizes(ddw, &info->ddw.levels);
	info->ddw.max_dynamic_windows_supported =
		tg->max_dynamic_windows_supported;
	ret = 0;
unlock:
	up_read(&ddw->lock);
	return ret;
}

/**
 * tce2_ddw_create_default() - make the default window if it is pending
 * @ddw: the groups and windows, locked for writing by the caller
 * @cache: region cache of the container's process
 *
 * Context: may sleep.
 * Return: 0, or as tce2_ddw_create().
 */
int tce2_ddw_create_default(struct tce2_ddw *ddw, struct tce2_cache *cache)
	__must_hold(&ddw->lock)
{
	struct tce2_window_spec spec = {
		.page_shift = DEFAULT_PAGE_SHIFT, .levels = 1,
	};
	int ret;

	lockdep_assert_held_write(&ddw->lock);
	if (!ddw->default_pending)
		return 0;
	if (list_empty(&ddw->groups))
		return -ENXIO;
	/* It is the platform's own idea and needs no check */
	spec.size = first_table_group(ddw)->tce32_size;
	ret = create_window(ddw, cache, 0, &spec);
	if (!ret)
		ddw->default_pending = false;
	return ret;
}

/* A slot that is free and will be with the default window made */
static int free_slot(struct tce2_ddw *ddw)
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

/*
 * A hypervisor has one place for a window unlike the default one, wherever Linux
 * counts it. Asking for another fails there, and Linux then never asks again
 * for this device; nor can the default window be had back beside such a one
 * (spapr_tce_create_table).
 */
static int check_place(struct tce2_ddw *ddw, int slot,
		       const struct tce2_window_spec *spec)
	__must_hold(&ddw->lock)
{
	struct iommu_table_group *tg = first_table_group(ddw);
	bool taken = ddw->window[1];

	lockdep_assert_held(&ddw->lock);
	if (!has_hypervisor_tables(tg))
		return 0;
	if (ddw->window[0] && ddw->window[0]->start != tg->tce32_start)
		taken = true;
	if (!taken)
		return 0;
	return !slot && spec->page_shift == DEFAULT_PAGE_SHIFT &&
	       spec->size == tg->tce32_size ? -EPERM : -ENOSPC;
}

/* Writes to the client's memory, but does not wait for a page of it */
static bool tell(u64 value, u64 __user *to)
{
	bool told;

	pagefault_disable();
	told = !put_user(value, to);
	pagefault_enable();
	return told;
}

/* Makes a window and tells the client where it begins, or undoes it */
static int create_and_tell(struct tce2_ddw *ddw, struct tce2_cache *cache,
			   int slot, const struct tce2_window_spec *spec,
			   u64 __user *start)
	__must_hold(&ddw->lock)
{
	int ret = create_window(ddw, cache, slot, spec);

	if (ret)
		return ret;
	/*
	 * Still under the lock, so that no other thread can have got hold of a
	 * window that is about to be taken back.
	 */
	if (!tell(ddw->window[slot]->start, start)) {
		destroy_window(ddw, slot);
		return -EFAULT;
	}
	return 0;
}

/* Locks for a client's request that needs a group; returns -ENXIO without one */
static int lock_with_group(struct tce2_ddw *ddw)
{
	int ret = tce2_ddw_lock(ddw);

	if (!ret && list_empty(&ddw->groups)) {
		tce2_ddw_unlock(ddw);
		ret = -ENXIO;
	}
	return ret;
}

/* tce2_ddw_create() if the answer's page is there and writable, else -EFAULT */
static int try_create(struct tce2_ddw *ddw, struct tce2_cache *cache,
		      const struct tce2_window_spec *spec, u64 __user *start)
{
	bool was_pending;
	int slot, ret;

	ret = lock_with_group(ddw);
	if (ret)
		return ret;
	ret = check_spec(ddw, spec);
	if (ret)
		goto unlock;

	slot = free_slot(ddw);
	if (slot < 0) {
		ret = slot;
		goto unlock;
	}
	ret = check_place(ddw, slot, spec);
	if (ret)
		goto unlock;

	was_pending = ddw->default_pending;
	ret = tce2_ddw_create_default(ddw, cache);
	if (ret)
		goto unlock;
	ret = create_and_tell(ddw, cache, slot, spec, start);
	if (ret && was_pending && !has_hypervisor_tables(first_table_group(ddw))) {
		destroy_window(ddw, 0);
		ddw->default_pending = true;
	}
unlock:
	tce2_ddw_unlock(ddw);
	return ret;
}

/**
 * tce2_ddw_create() - create a window for all groups
 * @ddw: the groups and windows
 * @cache: region cache of the container's process
 * @spec: the window
 * @start: where to tell the client the window's first bus address
 *
 * A pending default window is made first, since it owns slot 0. If the new
 * window can't be made it becomes pending again, but for a hypervisor: after a
 * request that failed there it might not be had a second time.
 * VFIO_IOMMU_SPAPR_TCE_CREATE of uapi/linux/vfio.h.
 *
 * Context: may sleep.
 * Return: 0; or with everything as it was before, but for the default window of
 * a hypervisor, -ENXIO without a group, -EINVAL if the platform does not offer
 * such a window, -ENOSPC without a free slot or place, -ENOMEM without memory or
 * over RLIMIT_MEMLOCK, -EFAULT if @start can't be written, -EPERM or -EIO if the
 * platform refuses, -EBUSY if KVM has found a hypervisor's table before its
 * hooks were installed, -EINTR.
 */
int tce2_ddw_create(struct tce2_ddw *ddw, struct tce2_cache *cache,
		    const struct tce2_window_spec *spec, u64 __user *start)
{
	unsigned int tries;
	int ret = -EFAULT;

	/*
	 * A page that is not there is brought in with no lock of ours held:
	 * that may take as long as the client's userfaultfd likes, and whoever
	 * takes a group from the container waits for the lock, with locks of
	 * VFIO's held that are everybody's. It may be gone again by then, but
	 * not for ever.
	 */
	for (tries = 0; ret == -EFAULT && tries < ANSWER_TRIES; tries++) {
		/* A bad page may not win over a window that can't be had */
		if (fault_in_safe_writeable((char __user *)start,
					    sizeof(*start)) && tries)
			return -EFAULT;
		ret = try_create(ddw, cache, spec, start);
	}
	return ret;
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

	ret = lock_with_group(ddw);
	if (ret)
		return ret;
	ret = -EINVAL;
	if (ddw->default_pending &&
	    start == first_table_group(ddw)->tce32_start) {
		ddw->default_pending = false;
		ret = 0;
		goto unlock;
	}
	for (slot = 0; slot < NR_SLOTS; slot++) {
		if (ddw->window[slot] && ddw->window[slot]->start == start) {
			destroy_window(ddw, slot);
			ret = 0;
			break;
		}
	}
unlock:
	tce2_ddw_unlock(ddw);
	return ret;
}

static bool has_iova(const struct tce2_bus_range *range, u64 iova)
{
	return iova >= range->start && iova - range->start < range->size;
}

/**
 * tce2_ddw_find() - the window that a bus address lies in
 * @ddw: the groups and windows, locked by the caller
 * @iova: the bus address
 * @range: set to the window's place and page size; its window is NULL if it
 *	is the default window and still pending
 *
 * Return: 0, or -ENXIO if no window has the address.
 */
int tce2_ddw_find(struct tce2_ddw *ddw, u64 iova, struct tce2_bus_range *range)
	__must_hold(&ddw->lock)
{
	int slot;

	lockdep_assert_held(&ddw->lock);
	for (slot = 0; slot < NR_SLOTS; slot++) {
		struct tce2_window *window = ddw->window[slot];

		if (!window)
			continue;
		*range = (struct tce2_bus_range){
			window->start, window->size, window->page_shift, window,
		};
		if (has_iova(range, iova))
			return 0;
	}
	if (ddw->default_pending && !list_empty(&ddw->groups)) {
		struct iommu_table_group *tg = first_table_group(ddw);

		*range = (struct tce2_bus_range){
			tg->tce32_start, tg->tce32_size, DEFAULT_PAGE_SHIFT,
			NULL,
		};
		if (has_iova(range, iova))
			return 0;
	}
	return -ENXIO;
}
