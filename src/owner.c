// SPDX-License-Identifier: GPL-2.0-only
/*
 * Change of owner: a process takes over the containers of another process.
 *
 * A virtual machine monitor that updates itself executes its new program, or passes its
 * descriptors to a new process, while the devices of the guest continue. The new program
 * maps the guest's memory at the same user addresses as the old program. The memory is
 * shared memory, for example a memfd or a file of hugetlbfs.
 *
 * A region cache belongs to a process, and all containers of the process use it. So all of
 * them change their owner together. The mappings, the pins and the tables stay as they are.
 * Only the mm changes: in the cache, in the tables and in KVM's hooks. The new mm is charged.
 * A change has these steps. An error in any step changes nothing:
 *
 *	1. lock registrations	so that no region is added
 *	2. check		that the old process consents, and that neither KVM nor another
 *				module uses its memory or windows; remove the mirrors
 *	3. charge the new mm	for all regions and tables
 *	4. compare the pages	of all regions with the pages that the new process maps at the
 *				same user addresses
 *	5. freeze		all containers, and check the charge again
 *	6. change the mm	of the cache, then of all tables and hooks
 *	7. thaw the containers, wait for brief requests, refund the old mm
 *
 * Step 4 may take any time, because the process can delay a page fault (userfaultfd). So it
 * comes before step 5: only registrations wait for it. VFIO waits for no step.
 *
 * A request checks the process before it takes a lock. Therefore it checks the process again
 * with the lock held: in ddw.c, ddw_group.c, ddw_dirty.c, mm_iommu.c, page.c and kvm.c. So when
 * step 7 is complete, no request of the old process changes a window or a registration.
 *
 * Locks: all of struct tce2_cache.registering, during the whole change. Other locks are taken
 * and released inside. No lock is held while user memory is accessed, except registering.
 * Calls: container, ddw_owner, ddw, mm_iommu, cache, pin, range, trace, why.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "tce2_cache.h"
#include "tce2_container.h"
#include "tce2_ddw.h"
#include "tce2_mm_iommu.h"
#include "tce2_owner.h"
#include "tce2_pin.h"
#include "tce2_range.h"
#include "tce2_trace_calls.h"
#include "tce2_why.h"

/* Number of pages to compare in one call: the pointers to them fill one page */
#define COMPARE_BATCH	(PAGE_SIZE / sizeof(struct page *))

/**
 * struct owner_change - a change of owner
 * @cache: the region cache
 * @old: the mm of the old process; the cache keeps it until the change
 * @mm: the mm of the current process
 * @containers: the containers of @cache, with a reference to each
 * @nr: number of @containers
 * @charged: number of pages that are charged to @mm for the change
 *
 * Lives on the stack of the thread that holds all of the range lock @registering of @cache.
 */
struct owner_change {
	struct tce2_cache *cache;
	struct mm_struct *old;
	struct mm_struct *mm;
	struct list_head containers;
	unsigned long nr;
	u64 charged;
};

/*
 * Gets a reference to each container of the cache. A container that is bound to the cache
 * afterwards, or that was released while a request of it runs, is not in the list. Then the
 * cache has more users than the list has containers, and the change is refused.
 */
static void owner_find_containers(struct owner_change *change)
{
	struct tce2_container *container;
	u64 id = 0;

	while ((container = tce2_container_next(id))) {
		id = container->id;
		if (READ_ONCE(container->cache) == change->cache) {
			list_add_tail(&container->moving, &change->containers);
			change->nr++;
		} else {
			tce2_container_put(container);
		}
		cond_resched();
	}
}

static void owner_put_containers(struct owner_change *change)
{
	struct tce2_container *container, *next;

	list_for_each_entry_safe(container, next, &change->containers, moving) {
		list_del(&container->moving);
		tce2_container_put(container);
	}
}

/* Checks that the change is possible, and counts the pages that are charged to the old mm */
static int owner_check(struct owner_change *change, u64 *pages)
{
	struct tce2_container *container;
	int ret = tce2_cache_check_move(change->cache, pages);

	list_for_each_entry(container, &change->containers, moving) {
		if (ret)
			break;
		ret = tce2_ddw_check_move(&container->ddw, pages);
	}
	return ret;
}

/*
 * Removes the mirrors in step 2. While KVM is attached to a window, its guest may change
 * mappings, and the guest belongs to the old process. Afterwards only the mirrors and KVM's
 * counts are left, in a list of the old mm. KVM's mappings stay without them.
 */
static int owner_unmirror(struct owner_change *change)
{
	struct tce2_container *container;
	u64 unused = 0;
	int ret;

	if (!READ_ONCE(change->cache->mirrors) && !tce2_cache_has_orphans(change->cache))
		return 0;
	ret = tce2_cache_check_consent(change->cache);
	if (ret)
		return ret;
	list_for_each_entry(container, &change->containers, moving) {
		ret = tce2_ddw_check_move(&container->ddw, &unused);
		if (ret)
			return ret;
	}
	list_for_each_entry(container, &change->containers, moving) {
		ret = tce2_ddw_uncount(&container->ddw);
		if (ret)
			return ret;
	}
	ret = tce2_cache_unmirror(change->cache);
	return ret == -EBUSY ? tce2_refuse(-EBUSY, TCE2_WHY_KVM_USES_MEMORY) : ret;
}

/* Charges pages to the current process, until @pages are charged */
static int owner_charge(struct owner_change *change, u64 pages)
{
	int ret;

	if (pages <= change->charged)
		return 0;
	ret = account_locked_vm(change->mm, pages - change->charged, true);
	if (ret)
		return tce2_refuse(ret, TCE2_WHY_MEMLOCK);
	change->charged = pages;
	return 0;
}

/* Compares the pages of all regions with the pages that the current process maps */
static int owner_compare_pages(struct owner_change *change, struct tce2_frames *frames,
			       struct page **pages)
{
	int ret;

	while ((ret = tce2_cache_next_pages(change->cache, frames)) > 0) {
		ret = tce2_pin_compare(frames->ua, frames->hpa, frames->count,
				       !frames->readonly, pages);
		if (ret == -EFAULT)
			return tce2_refuse(-EFAULT, TCE2_WHY_OTHER_PAGES);
		if (ret)
			return ret;
		cond_resched();
	}
	return ret;
}

/* Implements step 4 */
static int owner_compare(struct owner_change *change)
{
	struct tce2_frames frames = { .max = COMPARE_BATCH };
	struct page **pages;
	int ret = -ENOMEM;

	frames.hpa = kmalloc_array(COMPARE_BATCH, sizeof(*frames.hpa), GFP_KERNEL_ACCOUNT);
	pages = kmalloc_array(COMPARE_BATCH, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (frames.hpa && pages)
		ret = owner_compare_pages(change, &frames, pages);
	kfree(pages);
	kfree(frames.hpa);
	return ret;
}

/* Thaws the containers before @stop in the list, or all containers if @stop is NULL */
static void owner_thaw(struct owner_change *change, struct tce2_container *stop)
{
	struct tce2_container *container;

	list_for_each_entry(container, &change->containers, moving) {
		if (container == stop)
			break;
		tce2_ddw_thaw(&container->ddw);
	}
}

/* Freezes all containers; after an error, no container is frozen */
static int owner_freeze(struct owner_change *change)
{
	struct tce2_container *container;
	int ret;

	list_for_each_entry(container, &change->containers, moving) {
		ret = tce2_ddw_freeze(&container->ddw);
		if (ret) {
			owner_thaw(change, container);
			return ret;
		}
	}
	return 0;
}

/*
 * Implements step 5. On success the charged pages cover all regions and tables. Requests may
 * make levels of tables until the containers are frozen. Each attempt charges more pages than
 * the one before, so the process's limit ends the loop.
 */
static int owner_charge_and_freeze(struct owner_change *change)
{
	u64 pages = 0;
	int ret;

	do {
		ret = owner_charge(change, pages) ?: owner_freeze(change);
		if (ret)
			return ret;
		ret = owner_check(change, &pages);
		if (!ret && pages <= change->charged)
			return 0;
		owner_thaw(change, NULL);
		cond_resched();
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
	} while (!ret);
	return ret;
}

/*
 * Implements step 6, with all containers frozen. Sets *@moved to the number of pages whose
 * charge has moved to the current process. VFIO may remove windows meanwhile, whose charge
 * does not move.
 */
static int owner_move(struct owner_change *change, u64 *moved)
{
	struct tce2_container *container;
	int ret = tce2_cache_move(change->cache, change->mm, change->nr, moved);

	if (ret)
		return ret;
	list_for_each_entry(container, &change->containers, moving) {
		*moved += tce2_ddw_move(&container->ddw, change->mm);
		tce2_journal_own(&container->journal);
	}
	return 0;
}

/* Implements step 7 after the containers are thawed */
static void owner_finish(struct owner_change *change, u64 moved)
{
	/* Brief requests, and readers of debugfs, may still use the old mm */
	synchronize_rcu();
	account_locked_vm(change->old, moved, false);
	change->charged -= moved;
	mmdrop(change->old);
}

/* Takes the containers over; the caller has found them. An error changes nothing. */
static int owner_change_all(struct owner_change *change)
{
	u64 pages = 0, moved = 0;
	int ret;

	ret = owner_unmirror(change) ?: owner_check(change, &pages) ?:
	      owner_charge(change, pages) ?: owner_compare(change) ?:
	      owner_charge_and_freeze(change);
	if (!ret) {
		ret = owner_move(change, &moved);
		owner_thaw(change, NULL);
	}
	if (!ret)
		owner_finish(change, moved);
	if (change->charged)
		account_locked_vm(change->mm, change->charged, false);
	return ret;
}

/* Takes a cache over; the caller holds all of its range lock @registering */
static int owner_take_locked(struct tce2_cache *cache)
{
	struct owner_change change = {
		.cache = cache,
		.old = cache->mm,
		.mm = current->mm,
	};
	int ret;

	/* Another thread of this process may have taken the cache over meanwhile */
	if (change.old == change.mm)
		return 0;
	INIT_LIST_HEAD(&change.containers);
	owner_find_containers(&change);
	ret = owner_change_all(&change);
	owner_put_containers(&change);
	return ret;
}

/**
 * tce2_owner_take() - take over the containers of another process
 * @container: one of the containers
 *
 * Implements VFIO_TCE2_TAKE_OWNER (uapi/vfio_spapr_tce2.h). On return, the containers belong
 * to the current process, and no request of the old process changes a window or a
 * registration any more. Has no effect if the container belongs to the current process
 * already.
 *
 * Context: may sleep, for as long as the current process delays a page fault; a fatal signal
 * interrupts it. Meanwhile registrations of the old process wait.
 * Return:
 * * 0 - success
 * * -EINVAL - the container is not bound to a process yet
 * * -EPERM - the old process is alive, and has not offered its containers
 * * -EBUSY - KVM uses a window of the old process; another module uses a window or the
 *   memory; the old process creates a window or closes a container; or the current process
 *   has used another container
 * * -ENOMEM - memory is short, or RLIMIT_MEMLOCK is exceeded
 * * -EFAULT - the current process does not map all registered pages at the same addresses,
 *   or may not write to a page to which devices may write
 * * -EINTR - a fatal signal
 */
int tce2_owner_take(struct tce2_container *container)
{
	struct tce2_cache *cache = READ_ONCE(container->cache);
	struct tce2_range all;
	int ret;

	if (!cache)
		return tce2_refuse(-EINVAL, TCE2_WHY_NOT_BOUND);
	if (!current->mm)
		return tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS);
	if (READ_ONCE(cache->mm) == current->mm)
		return 0;
	/* A process without permission must not delay registrations */
	ret = tce2_cache_check_consent(cache);
	if (ret)
		return ret;
	ret = tce2_range_lock(&cache->registering, &all, 0, ~0ULL);
	if (ret)
		return ret;
	ret = owner_take_locked(cache);
	tce2_range_unlock(&cache->registering, &all);
	if (tce2_tracing_on())
		tce2_trace_owner(container->id, ret);
	return ret;
}

/**
 * tce2_owner_offer() - let other processes take the containers over, or stop that
 * @container: one of the containers of the current process
 * @offered: another process may take the containers over
 *
 * Implements VFIO_TCE2_OFFER_OWNER (uapi/vfio_spapr_tce2.h). Any process that has a
 * descriptor of one of the containers can accept the offer. The offer ends with the change of
 * owner.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if the container is not bound yet; -EPERM if it belongs to another
 * process; -EINTR after a fatal signal.
 */
int tce2_owner_offer(struct tce2_container *container, bool offered)
{
	struct tce2_cache *cache = READ_ONCE(container->cache);

	if (!cache)
		return tce2_refuse(-EINVAL, TCE2_WHY_NOT_BOUND);
	return tce2_cache_offer(cache, offered);
}
