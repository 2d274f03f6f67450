// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of mirrors: which regions of a cache have an entry in the kernel's list.
 *
 * Owns the members about mirrors in struct tce2_cache (except @orphans) and struct
 * tce2_region, and the locked_vm charge of a region while its mirror is made or removed.
 * Keeps KVM's hooks closed while the list changes. src/mirror.c handles a single entry.
 *
 * Locks: each cache's lock, and its lock for ranges that are being registered.
 * An RCU grace period waits for KVM's hooks.
 * Calls: mirror, cache, range, the kernel's mm_iommu_put() and mm.
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

/* Bytes of a mirror compared with its region each time the cache is locked */
#define COMPARE_BATCH	(4096ULL << PAGE_SHIFT)

/* Finds the registered region that has exactly this range, or NULL */
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

/* Finds the first region at or after @ua that is to get a mirror, or NULL */
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
 * Keeps KVM's hooks from mapping memory of the process while the kernel's list
 * changes. When this returns, no thread that maps for the process is between
 * begin and commit (src/kvm.c).
 */
static void mirrors_close_hooks(struct tce2_cache *cache)
{
	atomic_inc(&cache->closing);
	synchronize_rcu();
}

static void mirrors_open_hooks(struct tce2_cache *cache)
{
	/* Pairs with tce2_cache_mirrors_serve(): the cache changes before @closing */
	smp_wmb();
	atomic_dec(&cache->closing);
}

/* Counts a new mirror, and notes the largest page that all mirrors translate */
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

/* Lets the next map request try again to make the mirrors that are missing */
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
 * Closes the hooks and removes a mirror. If the mirror is still counted, a
 * worker removes it later. The hooks stay closed until the mirror is removed,
 * because KVM would find memory that is not registered. While there is an
 * orphan, the hooks are closed already. So only the first of many regions waits
 * for a grace period.
 */
static void mirrors_orphan(struct tce2_cache *cache,
			   struct mm_iommu_table_group_mem_t *mem)
{
	/*
	 * Before the check: otherwise the last orphan could open the hooks after the
	 * check
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
 * Closes the hooks and tries again to remove a mirror. The first attempt fails
 * while KVM has a count between lookup and commit. If the region is mapped
 * after the grace period, the mirror stays, and -EBUSY is returned.
 */
static int mirrors_put_again(struct tce2_region *region,
			     struct mm_iommu_table_group_mem_t *mem)
{
	struct tce2_cache *cache = region->cache;
	int ret = -EBUSY;

	mirrors_close_hooks(cache);
	if (atomic64_read(&region->mapped) == 1)
		ret = mm_iommu_put(cache->mm, mem);
	mirrors_open_hooks(cache);
	return ret;
}

/**
 * tce2_region_unmirror() - remove a region's mirror, and charge the region again
 * @region: the region; the caller's registration keeps it
 * @may_be_mapped: the mirror is removed even if it is counted as mapped
 *
 * Drops the cache lock meanwhile. Charging comes first: no other thread can use
 * up the limit while the memory is pinned. A mirror that is counted is left to
 * mirrors_orphan() if @may_be_mapped is true.
 *
 * Context: may sleep.
 * Return: 0; -EBUSY, with the mirror kept, if @may_be_mapped is false and KVM has
 * mapped the region meanwhile or the in-tree driver counts the mirror as mapped.
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
	 * From now on commit undoes KVM's counts, and a hook that drops a count
	 * looks up the mirror in the list
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
	/* If the region stays after all, the next map request makes a mirror */
	region->mirror_tried = false;
	WRITE_ONCE(cache->mirrors_due, true);
	WRITE_ONCE(cache->mirrors, cache->mirrors - 1);
	return 0;
}

/*
 * Gives the region of a range its mirror, if the region is still registered and
 * the mirror has the same pages. Drops the lock after each batch of pages, so
 * that other threads can take it.
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
 * Takes over the charge of a region that is to have a mirror. Returns false if
 * the region can't have one, or a mirror was tried before.
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
 * Gives the charge back to the region, or refunds it if the region is gone. The region
 * may have been unregistered meanwhile, and may still be mapped or be about to be
 * destroyed.
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
		/*
		 * If a container registers the region again, its mirror may be tried
		 * again
		 */
		region->mirror_tried = false;
		WRITE_ONCE(cache->mirrors_due, true);
	}
	mutex_unlock(&cache->lock);
	if (!region)
		account_locked_vm(cache->mm, size >> PAGE_SHIFT, false);
}

/*
 * Makes the mirror of a region. The caller has closed the hooks, because KVM
 * must not find the mirror before the region has it. The caller also holds the
 * region's range in @registering: the region can go meanwhile, but no other
 * region can take its place.
 */
static void mirrors_create(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct mm_iommu_table_group_mem_t *mem;
	u64 pages = size >> PAGE_SHIFT;

	if (!mirrors_begin(cache, ua, size))
		return;
	if (!tce2_mirror_create(cache->mm, ua, pages, &mem)) {
		if (mirrors_attach(cache, ua, size, mem))
			return;
		if (mm_iommu_put(cache->mm, mem))
			mirrors_orphan(cache, mem);
		tce2_mirror_recharge(cache->mm, pages);
	}
	mirrors_cancel(cache, ua, size);
}

/*
 * Makes the mirror of the first region at or after @ua that is to get one.
 * Returns the address after the region, or 0 at the end.
 */
static u64 mirrors_create_next(struct tce2_cache *cache, u64 ua)
{
	struct tce2_region *region;
	struct tce2_range range;
	u64 size = 0;

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
	mirrors_create(cache, ua, size);
	tce2_range_unlock(&cache->registering, &range);
	return ua + size;
}

/**
 * tce2_cache_mirror_range() - make the mirror of a region
 * @cache: the current process's region cache
 * @ua: first user address of the region
 * @size: bytes of the region
 *
 * The caller holds the region's range in @registering. A region that can't have a
 * mirror is skipped.
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
 * Each region gets a mirror in the kernel's own list. So does each region that
 * is registered from now on. A region that can't have a mirror is skipped: KVM
 * then leaves mapping its memory to userspace. Memory that the process may not
 * write never has a mirror.
 *
 * Context: may sleep, for as long as the process delays a page fault. Of this
 * module's requests, only overlapping registrations wait meanwhile. The kernel
 * holds mmap_lock for reading while it pins. A fatal signal ends the work.
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
	/* Processes that share the memory may live on */
	if (fatal_signal_pending(current))
		WRITE_ONCE(cache->mirrors_due, true);
}

/**
 * tce2_cache_mirrors_serve() - check that KVM can translate IOMMU pages of a size
 * @cache: the process's region cache, whose @closing was 0 in this RCU read-side
 *	section
 * @shift: log2 of the IOMMU page size in bytes
 *
 * KVM warns (WARN_ON_ONCE() in kvmppc_tce_iommu_do_map()) if memory in the
 * kernel's list is made of pages smaller than the IOMMU page. So every entry of
 * the list has to be a mirror of known page size. This module adds no entry
 * meanwhile, see mirrors_close_hooks().
 *
 * Context: RCU read-side.
 * Return: true if KVM can, for all memory of the process that is in the list.
 */
bool tce2_cache_mirrors_serve(const struct tce2_cache *cache,
			      unsigned int shift)
{
	if (shift <= PAGE_SHIFT)
		return true;
	/*
	 * Pairs with mirrors_open_hooks(): the caller has read @closing, and the cache
	 * must be read after it
	 */
	smp_rmb();
	return shift <= READ_ONCE(cache->mirror_shift) &&
	       tce2_mirror_count(cache->mm) == READ_ONCE(cache->mirrors);
}
