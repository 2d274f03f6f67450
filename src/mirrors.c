// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of mirrors: making and removing the mirrors of a cache's regions.
 *
 * Owns the members for mirrors in struct tce2_region, and in struct tce2_cache except
 * @orphans. Also owns a region's locked_vm charge while its mirror is made or removed.
 * Closes KVM's hooks while the kernel's list of registered memory changes: closed hooks
 * begin no mapping. src/mirror.c handles a single entry of the list.
 *
 * Locks: each cache's lock, and its lock for ranges that are being registered.
 * An RCU grace period waits for KVM's hooks.
 * Calls: mirror, cache, range, trace, the kernel's mm_iommu_put() and mm; inlines of mapped.
 */
#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include <asm/barrier.h>
#include <asm/mmu_context.h>

#include "tce2_cache.h"
#include "tce2_mirror.h"
#include "tce2_mirrors.h"
#include "tce2_trace_calls.h"

/* Bytes of a mirror to compare with its region before the cache lock is released */
#define COMPARE_BATCH	(4096ULL << PAGE_SHIFT)

/* Finds the registered region with exactly this range, or NULL */
static struct tce2_region *mirrors_find_registered(struct tce2_cache *cache, u64 ua,
						   u64 size)
	__must_hold(&cache->lock)
{
	struct tce2_region *region = tce2_cache_find_overlap(cache, ua, size);

	lockdep_assert_held(&cache->lock);
	if (!region || region->ua != ua || region->size != size ||
	    !region->used)
		return NULL;
	return region;
}

/* Finds the first registered region at or after @ua that needs a mirror, or NULL */
static struct tce2_region *mirrors_next_missing(struct tce2_cache *cache, u64 ua)
	__must_hold(&cache->lock)
{
	struct rb_node *node = cache->regions.rb_node;
	struct tce2_region *found = NULL;

	lockdep_assert_held(&cache->lock);
	while (node) {
		struct tce2_region *region =
			rb_entry(node, struct tce2_region, node);

		if (region->ua < ua) {
			node = node->rb_right;
		} else {
			found = region;
			node = node->rb_left;
		}
	}
	for (node = found ? &found->node : NULL; node; node = rb_next(node)) {
		found = rb_entry(node, struct tce2_region, node);
		if (found->used && !found->mirror_tried)
			return found;
	}
	return NULL;
}

/*
 * Closes KVM's hooks for the process, so that they begin no mapping while the kernel's
 * list changes. After the return, no thread that maps for the process is between begin
 * and commit (src/kvm.c).
 */
static void mirrors_close_hooks(struct tce2_cache *cache)
{
	atomic_inc(&cache->closing);
	synchronize_rcu();
}

static void mirrors_open_hooks(struct tce2_cache *cache)
{
	/* Pairs with tce2_cache_mirrors_serve(): change the cache before @closing */
	smp_wmb();
	atomic_dec(&cache->closing);
}

/* Counts a new mirror, and lowers mirror_shift to a size that the mirror translates */
static void mirrors_count_new(struct tce2_cache *cache,
			      struct mm_iommu_table_group_mem_t *mem, u64 ua)
	__must_hold(&cache->lock)
{
	unsigned int shift = tce2_mirror_shift(mem, ua);

	lockdep_assert_held(&cache->lock);
	if (!cache->mirrors || shift < cache->mirror_shift)
		WRITE_ONCE(cache->mirror_shift, shift);
	WRITE_ONCE(cache->mirrors, cache->mirrors + 1);
}

/* Lets the next map request try again to make missing mirrors */
static void mirrors_forget_attempts(struct tce2_cache *cache)
	__must_hold(&cache->lock)
{
	struct tce2_region *region, *next;

	lockdep_assert_held(&cache->lock);
	rbtree_postorder_for_each_entry_safe(region, next, &cache->regions,
					     node) {
		if (!region->mirror && !region->mirror_busy)
			region->mirror_tried = false;
	}
	WRITE_ONCE(cache->mirrors_due, true);
}

static void mirrors_orphan_gone(void *arg)
{
	struct tce2_cache *cache = arg;

	tce2_cache_remove_orphan(cache);
	/* A region may have been registered again in the mirror's range */
	mutex_lock(&cache->lock);
	mirrors_forget_attempts(cache);
	mutex_unlock(&cache->lock);
	mirrors_open_hooks(cache);
	tce2_cache_put(cache);
}

/*
 * Closes the hooks and removes a mirror. If pages are still counted in the mirror, a
 * worker removes it later. The hooks stay closed until then, because KVM would find
 * memory that is not registered. While the cache has an orphan, the hooks are already
 * closed. So only the first of many regions waits for a grace period.
 */
static void mirrors_orphan(struct tce2_cache *cache,
			   struct mm_iommu_table_group_mem_t *mem)
{
	/*
	 * Increment before the check: otherwise the removal of the last orphan could
	 * open the hooks after the check
	 */
	atomic_inc(&cache->closing);
	if (!tce2_cache_has_orphans(cache))
		synchronize_rcu();
	if (!mm_iommu_put(cache->mm, mem)) {
		mirrors_open_hooks(cache);
		return;
	}
	tce2_cache_add_orphan(cache);
	tce2_mirror_orphan(cache->mm, mem, mirrors_orphan_gone, cache);
}

/*
 * Closes the hooks and tries again to remove a mirror. The first attempt may have
 * failed because KVM had counted a page but not committed its mapping yet. Returns
 * -EBUSY, and keeps the mirror, if the region is mapped after the grace period.
 */
static int mirrors_put_again(struct tce2_region *region,
			     struct mm_iommu_table_group_mem_t *mem)
{
	struct tce2_cache *cache = region->cache;
	int ret = -EBUSY;

	mirrors_close_hooks(cache);
	if (tce2_mapped_sum(&region->mapped) == 1)
		ret = mm_iommu_put(cache->mm, mem);
	mirrors_open_hooks(cache);
	return ret;
}

/**
 * tce2_region_unmirror() - remove a region's mirror, and charge the region again
 * @region: the region; the caller's registration keeps it from being destroyed
 * @may_be_mapped: remove the mirror even if pages are counted in it
 *
 * Releases the cache lock, and takes it again. The region is charged before the mirror's
 * charge is refunded, so that no other thread can use up RLIMIT_MEMLOCK while the memory
 * is pinned. If @may_be_mapped is true and pages are counted, mirrors_orphan() removes the
 * mirror.
 *
 * Context: may sleep.
 * Return: 0; -EBUSY, with the mirror kept, if @may_be_mapped is false and pages are
 * counted: KVM has mapped the region meanwhile, or the in-tree driver counts them.
 */
int tce2_region_unmirror(struct tce2_region *region, bool may_be_mapped)
	__must_hold(&region->cache->lock)
{
	struct mm_iommu_table_group_mem_t *mem = region->mirror;
	u64 pages = region->size >> PAGE_SHIFT;
	struct tce2_cache *cache = region->cache;
	int ret;

	lockdep_assert_held(&cache->lock);
	/*
	 * After this store the commit hook undoes KVM's counts, and a hook that
	 * decrements a count searches the list for the mirror
	 */
	WRITE_ONCE(region->mirror, NULL);
	region->mirror_busy = true;
	mutex_unlock(&cache->lock);

	tce2_mirror_recharge(cache->mm, pages);
	ret = mm_iommu_put(cache->mm, mem);
	if (ret && may_be_mapped) {
		mirrors_orphan(cache, mem);
		ret = 0;
	} else if (ret) {
		ret = mirrors_put_again(region, mem);
	}
	if (ret)
		account_locked_vm(cache->mm, pages, false);

	mutex_lock(&cache->lock);
	region->mirror_busy = false;
	if (ret) {
		WRITE_ONCE(region->mirror, mem);
		return ret;
	}
	region->charged = true;
	/* If the region stays registered, the next map request makes a mirror */
	region->mirror_tried = false;
	WRITE_ONCE(cache->mirrors_due, true);
	WRITE_ONCE(cache->mirrors, cache->mirrors - 1);
	return 0;
}

/*
 * Attaches a mirror to the region of a range. Returns false if the region is no longer
 * registered or the mirror has other pages. Releases the cache lock after each batch of
 * pages, so that other threads can take the lock.
 */
static bool mirrors_attach(struct tce2_cache *cache, u64 ua, u64 size,
			   struct mm_iommu_table_group_mem_t *mem)
{
	u64 done, next;

	for (done = 0; done < size; done = next) {
		struct tce2_region *region;
		bool same;

		next = min(size, done + COMPARE_BATCH);
		mutex_lock(&cache->lock);
		region = mirrors_find_registered(cache, ua, size);
		same = region && tce2_mirror_matches(mem, &region->extents,
						     ua + done, ua + next);
		if (same && next == size) {
			WRITE_ONCE(region->mirror, mem);
			region->mirror_busy = false;
			mirrors_count_new(cache, mem, ua);
		}
		mutex_unlock(&cache->lock);
		if (!same)
			return false;
		cond_resched();
	}
	return true;
}

/*
 * Takes over the charge of a region before its mirror is made. Returns false if the
 * region can't have a mirror, or if no further attempt is needed (mirror_tried).
 */
static bool mirrors_begin(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct tce2_region *region;
	bool wanted = false;

	mutex_lock(&cache->lock);
	region = mirrors_find_registered(cache, ua, size);
	if (region && !region->mirror_tried && !region->mirror_busy) {
		region->mirror_tried = true;
		/* The kernel's list pins all its memory for writing */
		wanted = region->charged &&
			 !(region->extents.flags & TCE2_EXTENT_READONLY);
	}
	if (wanted) {
		region->mirror_busy = true;
		region->charged = false;
	}
	mutex_unlock(&cache->lock);
	return wanted;
}

/*
 * Returns the charge to the region, or refunds the charge if the region no longer
 * exists. A region in the tree may have been unregistered meanwhile: then it is still
 * mapped, or is about to be destroyed.
 */
static void mirrors_cancel(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct tce2_region *region;

	mutex_lock(&cache->lock);
	region = tce2_cache_find_overlap(cache, ua, size);
	if (region) {
		region->mirror_busy = false;
		region->charged = true;
	}
	if (region && !region->used) {
		/* A new registration of the region may attempt its mirror again */
		region->mirror_tried = false;
		WRITE_ONCE(cache->mirrors_due, true);
	}
	mutex_unlock(&cache->lock);
	if (!region)
		account_locked_vm(cache->mm, size >> PAGE_SHIFT, false);
}

/*
 * Makes the mirror of a region; returns false if that fails. The caller has closed the
 * hooks, because KVM must not find the mirror before it is attached to the region. The
 * caller also holds the region's range in the range lock cache->registering: the region
 * may be destroyed meanwhile, but no other region can be registered in the range.
 */
static bool mirrors_try_create(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct mm_iommu_table_group_mem_t *mem;
	u64 pages = size >> PAGE_SHIFT;

	if (!tce2_mirror_create(cache->mm, ua, pages, &mem)) {
		if (mirrors_attach(cache, ua, size, mem))
			return true;
		if (mm_iommu_put(cache->mm, mem))
			mirrors_orphan(cache, mem);
		tce2_mirror_recharge(cache->mm, pages);
	}
	mirrors_cancel(cache, ua, size);
	return false;
}

/* Makes the mirror of a region if the region can have a mirror and lacks it */
static void mirrors_create(struct tce2_cache *cache, u64 ua, u64 size)
{
	bool made;

	if (!mirrors_begin(cache, ua, size))
		return;
	made = mirrors_try_create(cache, ua, size);
	if (tce2_tracing_on())
		tce2_trace_mirror(ua, size, made);
}

/*
 * Makes the mirror of the first region at or after @ua that needs a mirror. Returns the
 * address after the region. Returns 0 if no such region is left, after a fatal signal, or if
 * another process has taken the cache over.
 */
static u64 mirrors_create_next(struct tce2_cache *cache, u64 ua)
{
	struct tce2_region *region;
	struct tce2_range range;
	u64 size = 0;
	bool mine;

	mutex_lock(&cache->lock);
	region = mirrors_next_missing(cache, ua);
	if (region) {
		ua = region->ua;
		size = region->size;
	}
	mutex_unlock(&cache->lock);
	if (!size || tce2_range_lock(&cache->registering, &range,
				     ua >> PAGE_SHIFT, size >> PAGE_SHIFT))
		return 0;
	/* Another process may have taken the cache over: its pages can't be pinned here */
	mine = cache->mm == current->mm;
	if (mine)
		mirrors_create(cache, ua, size);
	tce2_range_unlock(&cache->registering, &range);
	return mine ? ua + size : 0;
}

/**
 * tce2_cache_mirror_range() - make the mirror of a region
 * @cache: the current process's region cache
 * @ua: first user address of the region
 * @size: bytes of the region
 *
 * The caller holds the region's range in the range lock cache->registering. If the
 * region can't have a mirror, the function has no effect.
 *
 * Context: may sleep, for as long as the process delays a page fault.
 */
void tce2_cache_mirror_range(struct tce2_cache *cache, u64 ua, u64 size)
{
	mirrors_close_hooks(cache);
	mirrors_create(cache, ua, size);
	mirrors_open_hooks(cache);
}

/**
 * tce2_cache_mirror() - let KVM map the memory that a process has registered
 * @cache: the current process's region cache
 *
 * Each region gets a mirror in the kernel's own list, and so does each region that
 * is registered later. A region that can't have a mirror is skipped, and KVM
 * exits to userspace for mappings of its memory. Memory that the process may not
 * write never has a mirror.
 *
 * Context: may sleep, for as long as the process delays a page fault. Meanwhile only
 * overlapping registrations of this module wait. The kernel holds mmap_lock for reading
 * while it pins. After a fatal signal, the function stops.
 */
void tce2_cache_mirror(struct tce2_cache *cache)
{
	u64 ua = 0;

	WRITE_ONCE(cache->mirrored, true);
	WRITE_ONCE(cache->mirrors_due, false);
	mirrors_close_hooks(cache);
	do {
		ua = mirrors_create_next(cache, ua);
	} while (ua && !fatal_signal_pending(current));
	mirrors_open_hooks(cache);
	/* Other processes may share the mm and outlive this process, or take the cache over */
	if (fatal_signal_pending(current) || READ_ONCE(cache->mm) != current->mm)
		WRITE_ONCE(cache->mirrors_due, true);
}

/**
 * tce2_cache_mirrors_serve() - check whether KVM can translate IOMMU pages of a size
 * @cache: the process's region cache; the caller has read @closing as 0 in this RCU
 *	read-side section
 * @shift: log2 of the IOMMU page size in bytes
 *
 * KVM warns (WARN_ON_ONCE() in kvmppc_tce_iommu_do_map()) if memory in the
 * kernel's list consists of pages smaller than the IOMMU page. So every entry of
 * the list has to be a mirror with a known page size. This module adds no entry
 * meanwhile, see mirrors_close_hooks().
 *
 * Context: RCU read-side section.
 * Return: true if KVM can translate such IOMMU pages in all entries of the list.
 */
bool tce2_cache_mirrors_serve(const struct tce2_cache *cache,
			      unsigned int shift)
{
	if (shift <= PAGE_SHIFT)
		return true;
	/*
	 * Pairs with mirrors_open_hooks(): the caller has read @closing, and this
	 * function reads the cache afterwards
	 */
	smp_rmb();
	return shift <= READ_ONCE(cache->mirror_shift) &&
	       tce2_mirror_count(cache->mm) == READ_ONCE(cache->mirrors);
}
