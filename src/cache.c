// SPDX-License-Identifier: GPL-2.0-only
/*
 * Region caches: the regions of each process, and the destruction of regions.
 *
 * Owns the caches, their index by mm, the tree of a cache's regions, and the
 * work items that destroy and free regions. Destroying a region never fails. Also moves a
 * cache to another process (src/owner.c).
 *
 * Locks: the index lock, and each cache's lock, for its tree.
 * Calls: pin, mapped, range, vmemmap, extents, the kernel's mm.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/llist.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <asm/barrier.h>

#include "tce2_cache.h"
#include "tce2_pin.h"
#include "tce2_vmemmap.h"
#include "tce2_why.h"

static void cache_reap_regions(struct work_struct *work);

static DEFINE_MUTEX(index_lock);
static DEFINE_HASHTABLE(cache_index, 6);

static struct tce2_cache *cache_find(struct mm_struct *mm)
	__must_hold(&index_lock)
{
	struct tce2_cache *cache;

	lockdep_assert_held(&index_lock);
	hash_for_each_possible(cache_index, cache, link, (unsigned long)mm) {
		if (cache->mm == mm)
			return cache;
	}
	return NULL;
}

/* Creates an empty cache that is not in the index */
static struct tce2_cache *cache_create(struct mm_struct *mm)
{
	struct tce2_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL_ACCOUNT);
	static struct lock_class_key registering_key;

	if (!cache)
		return NULL;
	mmgrab(mm);
	cache->mm = mm;
	tce2_range_lock_init(&cache->registering, NULL, &registering_key);
	mutex_init(&cache->lock);
	seqcount_mutex_init(&cache->seq, &cache->lock);
	cache->regions = RB_ROOT;
	cache->mirrors_due = true;
	init_llist_head(&cache->dying);
	INIT_WORK(&cache->reap, cache_reap_regions);
	return cache;
}

static void cache_free(struct tce2_cache *cache)
{
	tce2_vmemmap_destroy(cache->descriptors);
	mmdrop(cache->mm);
	kfree(cache);
}

/*
 * Gets a reference to the process's cache. If the index lacks a cache for @mm, adds
 * @new to the index, or returns NULL if @new is NULL.
 */
static struct tce2_cache *cache_take(struct mm_struct *mm,
				     struct tce2_cache *new)
{
	struct tce2_cache *cache;

	mutex_lock(&index_lock);
	cache = cache_find(mm);
	if (!cache && new) {
		cache = new;
		hash_add(cache_index, &cache->link, (unsigned long)mm);
	}
	if (cache)
		cache->users++;
	mutex_unlock(&index_lock);
	return cache;
}

/**
 * tce2_cache_get() - get or make a process's region cache
 * @mm: the process's mm; the caller got @mm from a live task
 *
 * Context: may sleep.
 * Return: the cache, with a reference for the caller; NULL if an allocation fails.
 */
struct tce2_cache *tce2_cache_get(struct mm_struct *mm)
{
	struct tce2_cache *cache = cache_take(mm, NULL), *new;

	if (cache)
		return cache;
	/*
	 * Allocate without the index lock, which all processes share: the allocation
	 * may take seconds for a process at the limit of its memory cgroup.
	 */
	new = cache_create(mm);
	if (!new)
		return NULL;
	cache = cache_take(mm, new);
	if (cache != new)
		cache_free(new);
	return cache;
}
EXPORT_SYMBOL_GPL(tce2_cache_get);

/**
 * tce2_cache_put() - put a reference of tce2_cache_get()
 * @cache: the cache; has no region at the last put, because each user first drops all
 *	pages that it holds
 *
 * Context: may sleep.
 */
void tce2_cache_put(struct tce2_cache *cache)
{
	mutex_lock(&index_lock);
	if (--cache->users) {
		mutex_unlock(&index_lock);
		return;
	}
	hash_del(&cache->link);
	mutex_unlock(&index_lock);

	/* No KVM hook and no brief request can add a dying region any more */
	flush_work(&cache->reap);
	WARN_ON_ONCE(!RB_EMPTY_ROOT(&cache->regions));
	cache_free(cache);
}
EXPORT_SYMBOL_GPL(tce2_cache_put);

/**
 * tce2_cache_leak() - keep a cache permanently
 * @cache: the cache; the caller has a reference
 *
 * For memory that must stay pinned until reboot.
 *
 * Context: may sleep.
 */
void tce2_cache_leak(struct tce2_cache *cache)
{
	mutex_lock(&index_lock);
	cache->users++;
	mutex_unlock(&index_lock);
}

/**
 * tce2_cache_has_orphans() - check for mirrors that a worker will remove
 * @cache: the cache
 *
 * Context: may sleep.
 * Return: true if the cache has orphans.
 */
bool tce2_cache_has_orphans(struct tce2_cache *cache)
{
	bool has_orphans;

	mutex_lock(&index_lock);
	has_orphans = cache->orphans;
	mutex_unlock(&index_lock);
	return has_orphans;
}

/**
 * tce2_cache_add_orphan() - count an orphan, and get a reference to the cache for it
 * @cache: the cache
 *
 * Context: may sleep.
 */
void tce2_cache_add_orphan(struct tce2_cache *cache)
{
	mutex_lock(&index_lock);
	cache->users++;
	cache->orphans++;
	mutex_unlock(&index_lock);
}

/**
 * tce2_cache_remove_orphan() - stop counting an orphan
 * @cache: the cache; the caller puts the orphan's reference afterwards
 *
 * Context: may sleep.
 */
void tce2_cache_remove_orphan(struct tce2_cache *cache)
{
	mutex_lock(&index_lock);
	cache->orphans--;
	mutex_unlock(&index_lock);
}

/**
 * tce2_cache_offer() - let other processes take a cache over, or stop that
 * @cache: the cache
 * @offered: another process may take the cache over
 *
 * After the function has withdrawn an offer, no process has taken the cache over, and none
 * can.
 *
 * Context: may sleep.
 * Return: 0; -EPERM if the cache belongs to another process; -EINTR after a fatal signal.
 */
int tce2_cache_offer(struct tce2_cache *cache, bool offered)
{
	int ret = 0;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	if (cache->mm == current->mm)
		cache->offered = offered;
	else
		ret = tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS);
	mutex_unlock(&cache->lock);
	return ret;
}

/* Checks that the process has ended, has executed another program, or has offered its cache */
static int cache_check_consent(const struct tce2_cache *cache)
	__must_hold(&cache->lock)
{
	lockdep_assert_held(&cache->lock);
	if (!cache->offered && atomic_read(&cache->mm->mm_users))
		return tce2_refuse(-EPERM, TCE2_WHY_NOT_OFFERED);
	return 0;
}

/**
 * tce2_cache_check_consent() - check that a process consents to a change of owner
 * @cache: the process's cache
 *
 * Context: may sleep.
 * Return: 0; -EPERM if the process is alive and has not offered the cache; -EINTR after a
 * fatal signal.
 */
int tce2_cache_check_consent(struct tce2_cache *cache)
{
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	ret = cache_check_consent(cache);
	mutex_unlock(&cache->lock);
	return ret;
}

/*
 * Checks that another process may take the cache over, and sets *@charge to the number of
 * pages that are charged for its regions. A process that has called exec() or exited has an
 * mm without users. It never gets users again.
 */
static int cache_check_move(struct tce2_cache *cache, u64 *charge)
	__must_hold(&cache->lock)
{
	struct tce2_region *region, *next;
	int ret;

	lockdep_assert_held(&cache->lock);
	ret = cache_check_consent(cache);
	if (ret)
		return ret;
	/* KVM's counts are in a list of the old mm, and the mirrors own their charges */
	if (cache->mirrors)
		return tce2_refuse(-EBUSY, TCE2_WHY_KVM_USES_MEMORY);
	*charge = 0;
	rbtree_postorder_for_each_entry_safe(region, next, &cache->regions, node) {
		if (WARN_ON_ONCE(!region->charged || region->mirror))
			return -EBUSY;
		*charge += region->size >> PAGE_SHIFT;
	}
	return 0;
}

/**
 * tce2_cache_check_move() - check that another process may take a cache over
 * @cache: the cache
 * @charge: set to the number of pages that are charged for the regions
 *
 * Context: may sleep.
 * Return: 0; -EPERM if the process is alive and has not offered the cache; -EBUSY if
 * regions have mirrors; -EINTR after a fatal signal.
 */
int tce2_cache_check_move(struct tce2_cache *cache, u64 *charge)
{
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	ret = cache_check_move(cache, charge);
	mutex_unlock(&cache->lock);
	return ret;
}

/* Finds the first region that ends after @ua and is not being destroyed, or NULL */
static struct tce2_region *cache_find_from(struct tce2_cache *cache, u64 ua)
	__must_hold(&cache->lock)
{
	struct rb_node *node = cache->regions.rb_node, *found = NULL;

	lockdep_assert_held(&cache->lock);
	while (node) {
		struct tce2_region *region = rb_entry(node, struct tce2_region, node);

		if (region->ua + region->size > ua) {
			found = node;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	while (found && !atomic64_read(&rb_entry(found, struct tce2_region,
						 node)->mapped.count))
		found = rb_next(found);
	return found ? rb_entry(found, struct tce2_region, node) : NULL;
}

/* Copies the addresses of a region's pages, as long as they have the same permission */
static void region_copy_frames(const struct tce2_region *region,
			       struct tce2_frames *frames)
{
	u64 ua = frames->ua, end = region->ua + region->size;
	u64 hpa, flags;

	frames->count = 0;
	while (ua < end && frames->count < frames->max) {
		u64 bytes = tce2_extents_run(&region->extents, ua, &hpa, &flags);

		if (frames->count &&
		    frames->readonly != !!(flags & TCE2_EXTENT_READONLY))
			return;
		frames->readonly = flags & TCE2_EXTENT_READONLY;
		for (; bytes && frames->count < frames->max; bytes -= PAGE_SIZE) {
			frames->hpa[frames->count++] = hpa;
			hpa += PAGE_SIZE;
			ua += PAGE_SIZE;
		}
	}
}

/**
 * tce2_cache_next_pages() - copy the physical addresses of the next registered pages
 * @cache: the cache
 * @frames: the pages after the last page of the previous call, all of one region
 *
 * Skips regions that are being destroyed.
 *
 * Context: may sleep.
 * Return: 1; 0 if no pages are left; -EINTR after a fatal signal.
 */
int tce2_cache_next_pages(struct tce2_cache *cache, struct tce2_frames *frames)
{
	u64 ua = frames->ua + ((u64)frames->count << PAGE_SHIFT);
	struct tce2_region *region;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	region = cache_find_from(cache, ua);
	if (region) {
		frames->ua = max(ua, region->ua);
		region_copy_frames(region, frames);
	}
	mutex_unlock(&cache->lock);
	return region ? 1 : 0;
}

/* Enters the cache in the index as the cache of @mm, and gets a reference to @mm */
static int cache_change_mm(struct tce2_cache *cache, struct mm_struct *mm,
			   unsigned long users)
	__must_hold(&cache->lock)
{
	int ret = 0;

	lockdep_assert_held(&cache->lock);
	mutex_lock(&index_lock);
	if (cache->orphans) {
		ret = tce2_refuse(-EBUSY, TCE2_WHY_KVM_USES_MEMORY);
	} else if (cache->users != users) {
		ret = tce2_refuse(-EBUSY, TCE2_WHY_OWNER_BUSY);
	} else if (cache_find(mm)) {
		ret = tce2_refuse(-EBUSY, TCE2_WHY_OWNS_OTHERS);
	} else {
		hash_del(&cache->link);
		mmgrab(mm);
		WRITE_ONCE(cache->mm, mm);
		hash_add(cache_index, &cache->link, (unsigned long)mm);
	}
	mutex_unlock(&index_lock);
	return ret;
}

/* Makes all regions candidates for mirrors in the new process's list */
static void cache_forget_mirrors(struct tce2_cache *cache)
	__must_hold(&cache->lock)
{
	struct tce2_region *region, *next;

	lockdep_assert_held(&cache->lock);
	rbtree_postorder_for_each_entry_safe(region, next, &cache->regions, node)
		region->mirror_tried = false;
	WRITE_ONCE(cache->mirrored, false);
	WRITE_ONCE(cache->mirrors_due, true);
}

/**
 * tce2_cache_move() - make a cache the cache of another process
 * @cache: the cache; the caller holds all of its range lock @registering
 * @mm: the new mm
 * @users: number of references to the cache that the caller knows
 * @charge: set to the number of pages that are charged for the regions
 *
 * The caller must have checked that the new process maps the registered pages, and must
 * have charged *@charge pages to @mm. On success the caller gets the cache's reference to
 * the old mm. It refunds *@charge pages there, and puts the reference after a grace period.
 * An error changes nothing.
 *
 * Context: may sleep.
 * Return: 0; an error of tce2_cache_check_move(); or -EBUSY if there are other references to
 * the cache, or if @mm has a cache.
 */
int tce2_cache_move(struct tce2_cache *cache, struct mm_struct *mm,
		    unsigned long users, u64 *charge)
{
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	ret = cache_check_move(cache, charge);
	if (!ret)
		ret = cache_change_mm(cache, mm, users);
	if (!ret) {
		cache->offered = false;
		cache_forget_mirrors(cache);
	}
	mutex_unlock(&cache->lock);
	return ret;
}

/* Creates the index of page descriptors, and enters the descriptors of all regions */
static int cache_index_descriptors(struct tce2_cache *cache)
	__must_hold(&cache->lock)
{
	struct tce2_vmemmap *index = tce2_vmemmap_create();
	struct tce2_region *region, *next;
	int ret = 0;

	lockdep_assert_held(&cache->lock);
	if (IS_ERR(index))
		return PTR_ERR(index);
	rbtree_postorder_for_each_entry_safe(region, next, &cache->regions,
					     node) {
		ret = tce2_vmemmap_add(index, &region->extents);
		if (ret)
			break;
	}
	if (ret) {
		tce2_vmemmap_destroy(index);
		return ret;
	}
	/* Complete the index before tce2_rm_pfn_to_page() can find it */
	smp_store_release(&cache->descriptors, index);
	return 0;
}

/**
 * tce2_cache_find_pages() - let real mode find page descriptors
 * @cache: the cache
 *
 * After success, tce2_rm_pfn_to_page() finds the page descriptors of registered memory,
 * and each registration adds its page descriptors to the index.
 *
 * Context: may sleep.
 * Return: 0, also for a repeated call; -EOPNOTSUPP if page descriptors can't be found
 * in real mode on this kernel (vmemmap with the hash MMU, for example); -ENOMEM;
 * -EINTR after a fatal signal.
 */
int tce2_cache_find_pages(struct tce2_cache *cache)
{
	int ret = 0;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	if (!cache->descriptors)
		ret = cache_index_descriptors(cache);
	mutex_unlock(&cache->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(tce2_cache_find_pages);

static void region_link(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	struct tce2_cache *cache = region->cache;
	struct rb_node **link = &cache->regions.rb_node, *parent = NULL;

	lockdep_assert_held(&cache->lock);
	while (*link) {
		parent = *link;
		link = region->ua < rb_entry(parent, struct tce2_region,
					     node)->ua ?
			&parent->rb_left : &parent->rb_right;
	}
	/* This is also a write barrier: lookups can find only a complete region */
	write_seqcount_begin(&cache->seq);
	rb_link_node(&region->node, parent, link);
	rb_insert_color(&region->node, &cache->regions);
	write_seqcount_end(&cache->seq);
}

/**
 * tce2_region_enter() - add a region to its cache
 * @region: the region, complete and pinned
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM if the index of page descriptors can't grow; -EINTR after a fatal
 * signal.
 */
int tce2_region_enter(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	int ret = 0;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	if (cache->descriptors)
		ret = tce2_vmemmap_add(cache->descriptors, &region->extents);
	if (!ret)
		region_link(region);
	mutex_unlock(&cache->lock);
	return ret;
}

/**
 * tce2_region_unlink() - remove a region from the cache's tree
 * @region: the region; no effect if it was removed before
 */
void tce2_region_unlink(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	struct tce2_cache *cache = region->cache;

	lockdep_assert_held(&cache->lock);
	if (RB_EMPTY_NODE(&region->node))
		return;
	write_seqcount_begin(&cache->seq);
	rb_erase(&region->node, &cache->regions);
	RB_CLEAR_NODE(&region->node);
	write_seqcount_end(&cache->seq);
	/* If the cache moves to another process now, its charge does not move */
	mmgrab(cache->mm);
	region->payer = cache->mm;
}

/**
 * tce2_cache_find_overlap() - find a region that overlaps a range
 * @cache: the cache
 * @ua: first user address
 * @size: bytes, more than 0
 *
 * Return: any region that overlaps the range, or NULL.
 */
struct tce2_region *tce2_cache_find_overlap(struct tce2_cache *cache, u64 ua,
					    u64 size)
	__must_hold(&cache->lock)
{
	struct rb_node *node = cache->regions.rb_node;

	lockdep_assert_held(&cache->lock);
	while (node) {
		struct tce2_region *region =
			rb_entry(node, struct tce2_region, node);

		if (ua + size <= region->ua)
			node = node->rb_left;
		else if (region->ua + region->size <= ua)
			node = node->rb_right;
		else
			return region;
	}
	return NULL;
}

/**
 * tce2_region_free() - free the memory of a region
 * @region: the region, not in a tree, and with no pages pinned
 *
 * Context: may sleep.
 */
void tce2_region_free(struct tce2_region *region)
{
	tce2_extents_free(&region->extents);
	tce2_mapped_free(&region->mapped);
	kfree(region);
}

/* Destroyed regions that no reader uses any more, and the work that frees them */
static void region_free_unused(struct work_struct *work);
static LLIST_HEAD(unused);
static DECLARE_WORK(free_work, region_free_unused);

/*
 * Workqueue that destroys and frees regions, which takes long for many or large
 * regions. Unbound, because the kernel warns about work that hogs the CPU of a bound
 * workqueue.
 */
static struct workqueue_struct *workers;

static void region_free_unused(struct work_struct *work)
{
	struct llist_node *list = llist_del_all(&unused);
	struct tce2_region *region, *next;

	llist_for_each_entry_safe(region, next, list, dying) {
		tce2_region_free(region);
		cond_resched();
	}
}

/* A large region has too many nodes to be freed in an RCU callback */
static void region_free_rcu(struct rcu_head *rcu)
{
	struct tce2_region *region = container_of(rcu, struct tce2_region, rcu);

	if (llist_add(&region->dying, &unused))
		queue_work(workers, &free_work);
}

/**
 * tce2_region_destroy() - destroy a region
 * @region: the region; this thread decremented its mapped count to 0
 *
 * The pages are unpinned before the charge is refunded, so that the charge always
 * covers all pinned pages. The region itself is freed after a grace period.
 *
 * Context: may sleep.
 */
void tce2_region_destroy(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	bool charged;

	mutex_lock(&cache->lock);
	WARN_ON_ONCE(region->mirror);
	tce2_region_unlink(region);
	charged = region->charged;
	mutex_unlock(&cache->lock);

	tce2_pin_release(&region->extents);
	if (charged)
		account_locked_vm(region->payer, region->size >> PAGE_SHIFT, false);
	mmdrop(region->payer);
	call_rcu(&region->rcu, region_free_rcu);
}

/* Destroys regions whose mapped counts became 0 in a thread that can't sleep */
static void cache_reap_regions(struct work_struct *work)
{
	struct tce2_cache *cache = container_of(work, struct tce2_cache, reap);
	struct llist_node *dying = llist_del_all(&cache->dying);
	struct tce2_region *region, *next;

	llist_for_each_entry_safe(region, next, dying, dying) {
		tce2_region_destroy(region);
		cond_resched();
	}
}

/**
 * tce2_region_reap() - queue a region for destruction by a worker
 * @region: the region; this thread decremented its mapped count to 0
 *
 * Context: any context that may take a spinlock; does not sleep.
 */
void tce2_region_reap(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;

	llist_add(&region->dying, &cache->dying);
	queue_work(workers, &cache->reap);
}

/**
 * tce2_cache_init() - make the workqueue of all caches
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int tce2_cache_init(void)
{
	workers = alloc_workqueue("vfio_spapr_tce2", WQ_UNBOUND, 0);
	return workers ? 0 : -ENOMEM;
}

/**
 * tce2_cache_exit() - destroy the workqueue of all caches
 *
 * The caller ensures that no cache and no RCU callback of this module is left.
 *
 * Context: may sleep.
 */
void tce2_cache_exit(void)
{
	destroy_workqueue(workers);
}
