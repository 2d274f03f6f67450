// SPDX-License-Identifier: GPL-2.0-only
/*
 * Region cache: user memory pinned once and shared by a process's containers.
 *
 * Owns the regions' two counters and their locked_vm charge, until a region is
 * destroyed (src/cache.c). include/tce2_cache.h tells the life of a region.
 *
 * Locks: each cache's lock, and its lock for ranges that are being registered.
 * Lookups for mapping take none.
 * Calls: mirror, cache, pin, range, extents, the kernel's mm.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <asm/barrier.h>
#include <asm/mmu_context.h>

#include "tce2_cache.h"
#include "tce2_mirror.h"
#include "tce2_mm_iommu.h"
#include "tce2_pin.h"

/* Bytes of a mirror compared with its region each time the cache is locked */
#define COMPARE_BATCH	(4096ULL << PAGE_SHIFT)

/* Finds the registered region that has exactly this range, or NULL */
static struct tce2_region *find_registered(struct tce2_cache *cache, u64 ua,
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
static struct tce2_region *next_unmirrored(struct tce2_cache *cache, u64 ua)
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
static void close_hooks(struct tce2_cache *cache)
{
	atomic_inc(&cache->closing);
	synchronize_rcu();
}

static void open_hooks(struct tce2_cache *cache)
{
	/* Pairs with tce2_cache_mirrors_serve(): after the cache was changed */
	smp_wmb();
	atomic_dec(&cache->closing);
}

/* Counts a new mirror, and notes the largest page that all mirrors translate */
static void count_mirror(struct tce2_cache *cache,
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
static void forget_attempts(struct tce2_cache *cache)
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

static void orphan_gone(void *arg)
{
	struct tce2_cache *cache = arg;

	tce2_cache_remove_orphan(cache);
	/* A region may have been registered again in the mirror's range */
	mutex_lock(&cache->lock);
	forget_attempts(cache);
	mutex_unlock(&cache->lock);
	open_hooks(cache);
	tce2_cache_put(cache);
}

/*
 * Closes the hooks and removes a mirror. If the mirror is still counted, a
 * worker removes it later. The hooks stay closed until the mirror is removed,
 * because KVM would find memory that is not registered. While there is an
 * orphan, the hooks are closed already. So only the first of many regions waits
 * for a grace period.
 */
static void orphan_mirror(struct tce2_cache *cache,
			  struct mm_iommu_table_group_mem_t *mem)
{
	/* First, or the last orphan may open the hooks after it was seen */
	atomic_inc(&cache->closing);
	if (!tce2_cache_has_orphans(cache))
		synchronize_rcu();
	if (!mm_iommu_put(cache->mm, mem)) {
		open_hooks(cache);
		return;
	}
	tce2_cache_add_orphan(cache);
	tce2_mirror_orphan(cache->mm, mem, orphan_gone, cache);
}

/*
 * Closes the hooks and tries again to remove a mirror. The first attempt fails
 * while KVM has a count between lookup and commit. If the region is mapped
 * after the grace period, the mirror stays, and -EBUSY is returned.
 */
static int put_again(struct tce2_region *region,
		     struct mm_iommu_table_group_mem_t *mem)
{
	struct tce2_cache *cache = region->cache;
	int ret = -EBUSY;

	close_hooks(cache);
	if (atomic64_read(&region->mapped) == 1)
		ret = mm_iommu_put(cache->mm, mem);
	open_hooks(cache);
	return ret;
}

/*
 * Removes a region's mirror, and charges the region itself again. Drops the lock
 * meanwhile; the caller's registration keeps the region. Charging comes first: no
 * other thread can use up the limit while the memory is pinned.
 *
 * If @may_be_mapped is false and KVM has mapped the region meanwhile, or the in-tree
 * driver counts the mirror as mapped, the mirror stays, and -EBUSY is returned. If
 * it is true, a mirror that is counted is left to orphan_mirror().
 */
static int detach_mirror(struct tce2_region *region, bool may_be_mapped)
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
		orphan_mirror(cache, mem);
		ret = 0;
	} else if (ret) {
		ret = put_again(region, mem);
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
static bool attach_mirror(struct tce2_cache *cache, u64 ua, u64 size,
			  struct mm_iommu_table_group_mem_t *mem)
{
	u64 done, next;

	for (done = 0; done < size; done = next) {
		struct tce2_region *region;
		bool same;

		next = min(size, done + COMPARE_BATCH);
		mutex_lock(&cache->lock);
		region = find_registered(cache, ua, size);
		same = region && tce2_mirror_matches(mem, &region->extents,
						     ua + done, ua + next);
		if (same && next == size) {
			WRITE_ONCE(region->mirror, mem);
			region->mirror_busy = false;
			count_mirror(cache, mem, ua);
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
static bool begin_mirror(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct tce2_region *region;
	bool wanted = false;

	mutex_lock(&cache->lock);
	region = find_registered(cache, ua, size);
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
 * Gives the charge back to the region, or refunds it if the region has gone.
 * The region may be unregistered by now, and still be mapped or be about to go.
 */
static void cancel_mirror(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct tce2_region *region;

	mutex_lock(&cache->lock);
	region = tce2_cache_find_overlap(cache, ua, size);
	if (region) {
		region->mirror_busy = false;
		region->charged = true;
	}
	if (region && !region->used) {
		/* A container that registers it again may have it mirrored */
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
static void create_mirror(struct tce2_cache *cache, u64 ua, u64 size)
{
	struct mm_iommu_table_group_mem_t *mem;
	u64 pages = size >> PAGE_SHIFT;

	if (!begin_mirror(cache, ua, size))
		return;
	if (!tce2_mirror_create(cache->mm, ua, pages, &mem)) {
		if (attach_mirror(cache, ua, size, mem))
			return;
		if (mm_iommu_put(cache->mm, mem))
			orphan_mirror(cache, mem);
		tce2_mirror_recharge(cache->mm, pages);
	}
	cancel_mirror(cache, ua, size);
}

/*
 * Makes the mirror of the first region at or after @ua that is to get one.
 * Returns the address after the region, or 0 at the end.
 */
static u64 mirror_next(struct tce2_cache *cache, u64 ua)
{
	struct tce2_region *region;
	struct tce2_range range;
	u64 size = 0;

	mutex_lock(&cache->lock);
	region = next_unmirrored(cache, ua);
	if (region) {
		ua = region->ua;
		size = region->size;
	}
	mutex_unlock(&cache->lock);
	if (!size || tce2_range_lock(&cache->registering, &range,
				     ua >> PAGE_SHIFT, size >> PAGE_SHIFT))
		return 0;
	create_mirror(cache, ua, size);
	tce2_range_unlock(&cache->registering, &range);
	return ua + size;
}

/**
 * tce2_cache_mirror() - let KVM map the memory that a process has registered
 * @cache: the current process's region cache
 *
 * Each region gets a mirror in the kernel's own list. So does each region that
 * is registered from now on. A region that can't have a mirror is left out: KVM
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
	close_hooks(cache);
	do {
		ua = mirror_next(cache, ua);
	} while (ua && !fatal_signal_pending(current));
	open_hooks(cache);
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
 * meanwhile (close_hooks()).
 *
 * Context: RCU read-side.
 * Return: true if KVM can, for all memory of the process that is in the list.
 */
bool tce2_cache_mirrors_serve(const struct tce2_cache *cache,
			      unsigned int shift)
{
	if (shift <= PAGE_SHIFT)
		return true;
	/* Pairs with open_hooks(): after the caller has read @closing */
	smp_rmb();
	return shift <= READ_ONCE(cache->mirror_shift) &&
	       tce2_mirror_count(cache->mm) == READ_ONCE(cache->mirrors);
}

/*
 * Makes and links the region, in a range that the caller holds; whatever fails
 * leaves nothing behind
 */
static int region_create(struct tce2_cache *cache, u64 ua, u64 size,
			 struct tce2_region **regionp)
{
	struct tce2_region *region;
	struct tce2_pin_mapping first;
	int ret;

	/* Before anything is charged or pinned */
	ret = tce2_pin_check(cache->mm, ua, ua + size, &first);
	if (ret)
		return ret;
	ret = account_locked_vm(cache->mm, size >> PAGE_SHIFT, true);
	if (ret)
		return ret;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region) {
		ret = -ENOMEM;
		goto uncharge;
	}
	region->cache = cache;
	region->ua = ua;
	region->size = size;
	region->used = 1;
	region->charged = true;
	atomic64_set(&region->mapped, 1);
	ret = tce2_pin_range(cache->mm, ua, size, &first, &region->extents);
	if (ret)
		goto free;
	ret = tce2_region_enter(region);
	if (ret)
		goto unpin;
	*regionp = region;
	return 0;

unpin:
	tce2_pin_release(&region->extents);
free:
	tce2_region_free(region);
uncharge:
	account_locked_vm(cache->mm, size >> PAGE_SHIFT, false);
	return ret;
}

/*
 * Makes one more container a user of an existing region. An abandoned one that
 * other containers still map is taken up again.
 */
static bool region_join(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	lockdep_assert_held(&region->cache->lock);
	if (!region->used && !atomic64_inc_not_zero(&region->mapped))
		return false;
	WRITE_ONCE(region->used, region->used + 1);
	return true;
}

/*
 * Shares the region that is there already. Returns 1 if there is none, after
 * what is dying there has been got out of the way; -EINVAL if another overlaps.
 */
static int region_share(struct tce2_cache *cache, u64 ua, u64 size,
			struct tce2_region **regionp)
{
	struct tce2_region *region;
	int ret = 1;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	while ((region = tce2_cache_find_overlap(cache, ua, size))) {
		bool dying = !atomic64_read(&region->mapped);

		if (!dying && (region->ua != ua || region->size != size)) {
			ret = -EINVAL;
			break;
		}
		if (!dying && region_join(region)) {
			*regionp = region;
			ret = 0;
			break;
		}
		/* Its destroyer waits for this lock */
		tce2_region_unlink(region);
	}
	mutex_unlock(&cache->lock);
	return ret;
}

/**
 * tce2_region_register() - register a range of the current process's memory
 * @cache: the current process's region cache
 * @ua: first user address, a multiple of the page size
 * @size: bytes, a multiple of the page size, more than 0, not wrapping
 * @regionp: set to the region
 *
 * A range that another container registered is shared, not pinned again.
 * Everything is checked before anything is charged, and charged before
 * anything is pinned. VFIO_IOMMU_SPAPR_REGISTER_MEMORY of uapi/linux/vfio.h.
 *
 * Context: may sleep, for as long as the process likes, with no lock held for
 * which any but overlapping registrations, and those that overlap one that
 * waits, have to wait; a fatal signal interrupts it.
 * Return: 0; -EINVAL if it overlaps a region without being the same; -EFAULT
 * if not all of it is mapped memory that can be pinned; -ENOMEM over
 * RLIMIT_MEMLOCK or without memory; -EINTR.
 */
int tce2_region_register(struct tce2_cache *cache, u64 ua, u64 size,
			 struct tce2_region **regionp)
{
	struct tce2_range range;
	int ret;

	ret = tce2_range_lock(&cache->registering, &range, ua >> PAGE_SHIFT,
			      size >> PAGE_SHIFT);
	if (ret)
		return ret;
	ret = region_share(cache, ua, size, regionp);
	if (ret > 0)
		ret = region_create(cache, ua, size, regionp);
	if (!ret && READ_ONCE(cache->mirrored)) {
		close_hooks(cache);
		create_mirror(cache, ua, size);
		open_hooks(cache);
	}
	tce2_range_unlock(&cache->registering, &range);
	return ret;
}

/*
 * Drops one registration of a region. Returns 1 if the caller has to destroy
 * the region, 0 if other containers have it registered, or -EBUSY. Removing the
 * mirror drops the lock, and another container may register the region
 * meanwhile: so the loop checks again.
 */
static int leave_region(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	lockdep_assert_held(&region->cache->lock);
	while (region->used == 1) {
		if (atomic64_read(&region->mapped) != 1)
			return -EBUSY;
		if (region->mirror) {
			if (detach_mirror(region, false) && region->used == 1)
				return -EBUSY;
			continue;
		}
		if (atomic64_cmpxchg(&region->mapped, 1, 0) != 1)
			return -EBUSY;
		WRITE_ONCE(region->used, 0);
		return 1;
	}
	WRITE_ONCE(region->used, region->used - 1);
	return 0;
}

/**
 * tce2_region_unregister() - take back one container's registration
 * @region: the region; gone on return if this was its last user
 *
 * The pages are unpinned and the charge is refunded when this returns. The
 * kernel's list drops the pins of a mirror a grace period later.
 *
 * Context: may sleep.
 * Return: 0; -EBUSY, with nothing changed, if this is the last registration
 * and IOMMU pages still point into the region, or the in-tree driver counts
 * pages of its mirror; -EINTR.
 */
int tce2_region_unregister(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	ret = leave_region(region);
	mutex_unlock(&cache->lock);
	if (ret > 0)
		tce2_region_destroy(region);
	return ret < 0 ? ret : 0;
}

static void region_drop(struct tce2_region *region, u64 count)
{
	if (atomic64_sub_and_test(count, &region->mapped))
		tce2_region_destroy(region);
}

/**
 * tce2_region_abandon() - a container that registered the region is going away
 * @region: the region
 *
 * Can't fail: if other containers of the process still map the region, it
 * stays pinned and charged until they unmap it. Context: may sleep.
 */
void tce2_region_abandon(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	bool gone;

	mutex_lock(&cache->lock);
	/* The call drops the lock: other threads may register or map the region */
	while (region->used == 1 && region->mirror)
		detach_mirror(region, true);
	WRITE_ONCE(region->used, region->used - 1);
	/*
	 * Under the same lock, or who takes the region up in between finds it
	 * mapped once too often, and can't unregister it
	 */
	gone = !region->used && atomic64_sub_and_test(1, &region->mapped);
	mutex_unlock(&cache->lock);

	if (gone)
		tce2_region_destroy(region);
}

/*
 * Finds the region that contains an IOMMU page and adds to its mapped counter,
 * as many pages as it has from there on, up to @pages. NULL is authoritative,
 * not a lookup race.
 */
static __always_inline struct tce2_region *
region_get(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 *pages)
{
	struct tce2_region *region;
	unsigned int seq;
	u64 count = 0;
	bool retry;

	do {
		rcu_read_lock();
		seq = read_seqcount_begin(&cache->seq);
		region = tce2_region_find(cache, ua, 1ULL << shift);
		if (region) {
			count = min(*pages,
				    (region->size - (ua - region->ua)) >> shift);
			if (!tce2_region_take(region, count))
				region = NULL;
		}
		retry = !region && read_seqcount_retry(&cache->seq, seq);
		rcu_read_unlock();
	} while (retry);

	*pages = count;
	return region;
}

/*
 * tce2_region_run() for an IOMMU page that takes several blocks (not inline,
 * for the sake of the others)
 */
static noinline s64 run_of_blocks(const struct tce2_region *region, u64 ua,
				  unsigned int shift, bool write, u64 *hpa)
{
	u64 flags;

	/* There may be very many blocks in each of many such pages */
	cond_resched();
	if (!tce2_extents_piece(&region->extents, ua, shift, hpa, &flags))
		return -EINVAL;
	if (write && (flags & TCE2_EXTENT_READONLY))
		return -EPERM;
	return 1;
}

/**
 * tce2_region_run() - how far an IOMMU mapping goes on in one piece
 * @region: a region that contains the first IOMMU page
 * @ua: user address of that page, a multiple of 1 << @shift
 * @shift: log2 of the IOMMU page size in bytes
 * @pages: IOMMU pages wanted, more than 0
 * @write: whether the device shall be able to write
 * @hpa: set to the host physical address of the first page
 *
 * Context: may sleep.
 * Return: pages that lie behind one another in memory, between 1 and @pages;
 * -EINVAL if the first is larger than the contiguous memory behind it; -EPERM
 * if the device may not write there.
 */
s64 tce2_region_run(const struct tce2_region *region, u64 ua,
		    unsigned int shift, u64 pages, bool write, u64 *hpa)
{
	u64 flags, bytes;

	if (shift > region->extents.shift)
		return run_of_blocks(region, ua, shift, write, hpa);
	/* A block is of one protection, and its pages as aligned as the first */
	bytes = tce2_extents_run(&region->extents, ua, hpa, &flags);
	if (*hpa & ((1ULL << shift) - 1))
		return -EINVAL;
	if (write && (flags & TCE2_EXTENT_READONLY))
		return -EPERM;
	return min(pages, bytes >> shift);
}

/*
 * Whether each of a stretch of IOMMU pages, all in the region, is contiguous in
 * memory and permitted
 */
static int check_pages(const struct tce2_region *region, u64 ua,
		       unsigned int shift, u64 pages, bool write)
{
	unsigned int runs = 0;
	u64 done, hpa;
	s64 run;

	/* Nothing is pinned in smaller pieces than a page */
	if (shift <= PAGE_SHIFT &&
	    !(write && (region->extents.flags & TCE2_EXTENT_READONLY)))
		return 0;
	for (done = 0; done < pages; done += run) {
		run = tce2_region_run(region, ua + (done << shift), shift,
				      pages - done, write, &hpa);
		if (run < 0)
			return run;
		if (!(++runs % TCE2_EXTENT_NODE))
			cond_resched();
	}
	return 0;
}

/*
 * Holds the beginning of a stretch, as far as the region of its first page
 * goes. Returns the IOMMU pages held, or what tce2_memory_hold() returns.
 */
static s64 hold_in_region(struct tce2_cache *cache, u64 ua, unsigned int shift,
			  u64 pages, bool write, struct tce2_region **regionp)
{
	struct tce2_region *region = region_get(cache, ua, shift, &pages);
	int ret;

	if (!region)
		return -EINVAL;
	ret = check_pages(region, ua, shift, pages, write);
	if (ret) {
		region_drop(region, pages);
		return ret;
	}
	if (write)
		tce2_extents_mark_dirty(&region->extents, ua, pages << shift);
	*regionp = region;
	return pages;
}

/**
 * tce2_region_find_held() - the region of an IOMMU page that is held
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * Context: may spin for a moment; the caller knows that the page is held.
 * Return: the region, which stays as long as the page is held; NULL can only
 * come from a bug of ours.
 */
struct tce2_region *tce2_region_find_held(struct tce2_cache *cache, u64 ua,
					  unsigned int shift)
{
	struct tce2_region *region;
	unsigned int seq;

	do {
		rcu_read_lock();
		seq = read_seqcount_begin(&cache->seq);
		region = tce2_region_find(cache, ua, 1ULL << shift);
		rcu_read_unlock();
	} while (!region && read_seqcount_retry(&cache->seq, seq));

	WARN_ON_ONCE(!region);
	return region;
}

/**
 * tce2_drop_pages() - drop the counts of a stretch of user memory
 * @drop: begun with .cache set and the rest 0
 * @ua: user address of the first IOMMU page
 * @shift: log2 of the IOMMU page size in bytes
 * @pages: IOMMU pages, all held
 *
 * Counts of pages in one region are gathered and given back at once, when a
 * page of another region comes or with tce2_drop_flush(). The caller has made
 * sure that no device can reach the memory through this mapping any more: the
 * region may be unpinned here. Context: may sleep.
 */
void tce2_drop_pages(struct tce2_drop *drop, u64 ua, unsigned int shift,
		     u64 pages)
{
	while (pages) {
		struct tce2_region *region = drop->region;
		u64 count;

		if (!region || !tce2_region_contains(region, ua)) {
			tce2_drop_flush(drop);
			region = tce2_region_find_held(drop->cache, ua, shift);
			if (!region)
				return;
			drop->region = region;
		}
		count = min(pages, (region->ua + region->size - ua) >> shift);
		drop->count += count;
		pages -= count;
		ua += count << shift;
		/* There may be millions of regions */
		if (pages)
			cond_resched();
	}
}

/**
 * tce2_drop_flush() - give back the counts gathered
 * @drop: empty afterwards
 *
 * Context: may sleep.
 */
void tce2_drop_flush(struct tce2_drop *drop)
{
	if (drop->count)
		region_drop(drop->region, drop->count);
	drop->region = NULL;
	drop->count = 0;
}

/**
 * tce2_memory_hold() - count a stretch of user memory as mapped
 * @cache: the region cache
 * @ua: user address of the first IOMMU page, a multiple of 1 << @shift
 * @shift: log2 of the IOMMU page size in bytes
 * @pages: IOMMU pages; the stretch does not wrap
 * @write: whether the device shall be able to write; if so, the memory is
 *	from now on taken to be dirty
 * @regionp: set to the region of the first page
 *
 * Every page is held or none. A page held keeps its region pinned until it is
 * dropped with tce2_drop_pages() or tce2_memory_drop().
 *
 * Context: may sleep.
 * Return: 0; -EINVAL without pages, if not all of it is registered, or if an
 * IOMMU page is larger than the contiguous memory behind it; -EPERM if the
 * device may not write there.
 */
int tce2_memory_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		     u64 pages, bool write, struct tce2_region **regionp)
{
	struct tce2_region *other;
	u64 held = 0;

	if (!pages || shift < TCE2_RM_PAGE_SHIFT || shift > 63)
		return -EINVAL;
	while (held < pages) {
		s64 ret = hold_in_region(cache, ua + (held << shift), shift,
					 pages - held, write,
					 held ? &other : regionp);

		if (ret < 0) {
			tce2_memory_drop(cache, ua, shift, held);
			return ret;
		}
		held += ret;
		/* There may be millions of regions */
		if (held < pages)
			cond_resched();
	}
	return 0;
}
EXPORT_SYMBOL_GPL(tce2_memory_hold);

/**
 * tce2_memory_drop() - undo tce2_memory_hold()
 * @cache: the region cache
 * @ua: user address of the first IOMMU page
 * @shift: log2 of the IOMMU page size in bytes
 * @pages: IOMMU pages, all held
 *
 * Context: may sleep.
 */
void tce2_memory_drop(struct tce2_cache *cache, u64 ua, unsigned int shift,
		      u64 pages)
{
	struct tce2_drop drop = { .cache = cache };

	tce2_drop_pages(&drop, ua, shift, pages);
	tce2_drop_flush(&drop);
}
EXPORT_SYMBOL_GPL(tce2_memory_drop);

/* Drops one page; if this ends the region, the worker destroys the region */
static __always_inline void drop_page(struct tce2_region *region)
{
	if (unlikely(atomic64_dec_and_test(&region->mapped)))
		tce2_region_reap(region);
}

/* Marks all blocks of an IOMMU page dirty, without sleeping */
static __always_inline void mark_page(struct tce2_extents *ext, u64 ua,
				      unsigned int shift)
{
	u64 end = ua + (1ULL << shift);

	do {
		tce2_extents_mark_block(ext, ua);
		ua += 1ULL << ext->shift;
	} while (unlikely(ua < end));
}

/* Translates an IOMMU page of any size, and marks it dirty if @write is set */
static bool translate_page(struct tce2_region *region, u64 ua,
			   unsigned int shift, bool write, u64 *hpa)
{
	struct tce2_extents *ext = &region->extents;
	u64 flags;

	if (shift <= ext->shift) {
		tce2_extents_run(ext, ua, hpa, &flags);
		if (*hpa & ((1ULL << shift) - 1))
			return false;
	} else if (!tce2_extents_piece(ext, ua, shift, hpa, &flags)) {
		return false;
	}
	if (write && flags & TCE2_EXTENT_READONLY)
		return false;
	if (write)
		mark_page(ext, ua, shift);
	return true;
}

/**
 * tce2_page_hold() - count one IOMMU page as mapped, without sleeping
 * @cache: the region cache
 * @ua: user address of the page, a multiple of 1 << @shift
 * @shift: log2 of the IOMMU page size in bytes
 * @write: whether the device shall be able to write
 * @hpa: set to the host physical address of the page
 *
 * Context: any that may take a spinlock.
 * Return: true; false where tce2_memory_hold() returns -EINVAL or -EPERM.
 */
bool tce2_page_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		    bool write, u64 *hpa)
{
	u64 pages = 1;
	struct tce2_region *region = region_get(cache, ua, shift, &pages);

	if (!region)
		return false;
	if (translate_page(region, ua, shift, write, hpa))
		return true;
	drop_page(region);
	return false;
}

/* Finds the region of a page that is held, without sleeping */
static __always_inline struct tce2_region *
find_held(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	struct tce2_region *region;

	rcu_read_lock();
	region = tce2_region_find(cache, ua, 1ULL << shift);
	rcu_read_unlock();
	/* The region of a held page exists, even if the lookup missed it */
	if (unlikely(!region))
		region = tce2_region_find_held(cache, ua, shift);
	return region;
}

/**
 * tce2_page_drop() - drop the count of one IOMMU page, without sleeping
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * Context: any that may take a spinlock.
 */
void tce2_page_drop(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	struct tce2_region *region = find_held(cache, ua, shift);

	if (likely(region))
		drop_page(region);
}

/*
 * Drops KVM's count of a page that is held, and marks the page dirty if @write
 * is set. KVM's count keeps the mirror in the list even while the region's
 * mirror pointer is NULL.
 */
static __always_inline void uncount_page(struct tce2_region *region, u64 ua,
					 unsigned int shift, bool write)
{
	struct mm_iommu_table_group_mem_t *mem;

	if (write)
		mark_page(&region->extents, ua, shift);
	/*
	 * RCU keeps the mirror from being freed: the in-tree driver may have
	 * dropped KVM's count by mistake
	 */
	rcu_read_lock();
	mem = READ_ONCE(region->mirror);
	if (likely(mem))
		mm_iommu_mapped_dec(mem);
	else
		tce2_mirror_drop(region->cache->mm, ua, shift);
	rcu_read_unlock();
}

/**
 * tce2_page_drop_counted() - undo tce2_page_take_counted(), and KVM's count
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 * @write: a device may have written to the page
 *
 * Context: any that may take a spinlock; does not sleep.
 */
void tce2_page_drop_counted(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, bool write)
{
	struct tce2_region *region = find_held(cache, ua, shift);

	if (unlikely(!region))
		return;
	uncount_page(region, ua, shift, write);
	drop_page(region);
}

/**
 * tce2_pages_uncount() - drop KVM's counts of pages, but keep the region's
 * @cache: the region cache
 * @ua: user address of the first page
 * @shift: log2 of the IOMMU page size in bytes
 * @pages: IOMMU pages, all held by tce2_page_take_counted()
 * @write: a device may have written to the pages
 *
 * The caller drops the region's counts with tce2_drop_pages() afterwards.
 *
 * Context: may sleep.
 */
void tce2_pages_uncount(struct tce2_cache *cache, u64 ua, unsigned int shift,
			u64 pages, bool write)
{
	for (; pages; pages--, ua += 1ULL << shift) {
		struct tce2_region *region = find_held(cache, ua, shift);

		if (region)
			uncount_page(region, ua, shift, write);
		/* Without a mirror, the list is searched for each page */
		if (!(pages % 64))
			cond_resched();
	}
}
