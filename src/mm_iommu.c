// SPDX-License-Identifier: GPL-2.0-only
/*
 * Region cache: user memory pinned once and shared by a process's containers.
 *
 * Owns the two counts of each region. Also owns a region's locked_vm charge, until the
 * region is destroyed (src/cache.c) or gets a mirror (src/mirrors.c).
 * include/tce2_cache.h describes the life of a region.
 *
 * To hold a page means to count it in the region's mapped count, so that the region
 * stays pinned. To drop a page means to undo this.
 *
 * Locks: each cache's lock, and its lock for ranges that are being registered.
 * Lookups for map requests take no lock.
 * Calls: mirrors, mirror, cache, pin, mapped, range, extents, the kernel's mm.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <asm/mmu_context.h>

#include "tce2_cache.h"
#include "tce2_mirror.h"
#include "tce2_mirrors.h"
#include "tce2_mm_iommu.h"
#include "tce2_pin.h"
#include "tce2_why.h"

/*
 * Makes a region and links it into the cache. The caller holds the range in the range
 * lock cache->registering. After an error, nothing is pinned or charged.
 */
static int region_create(struct tce2_cache *cache, u64 ua, u64 size,
			 struct tce2_region **regionp)
{
	struct tce2_region *region;
	struct tce2_pin_mapping first;
	int ret;

	/* Check all mappings before charging and pinning */
	ret = tce2_pin_check(cache->mm, ua, ua + size, &first);
	if (ret)
		return tce2_refuse_unless_ruled(ret, TCE2_WHY_NOT_MAPPED);
	ret = account_locked_vm(cache->mm, size >> PAGE_SHIFT, true);
	if (ret)
		return tce2_refuse(ret, TCE2_WHY_MEMLOCK);

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
	tce2_mapped_init(&region->mapped, size);
	ret = tce2_pin_range(cache->mm, ua, size, &first, &region->extents);
	if (ret == -EFAULT)
		ret = tce2_refuse(ret, TCE2_WHY_CANNOT_PIN);
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
 * Adds a registration to an existing region. Returns false if the region is being
 * destroyed: no container has the region registered, and no page of it is held.
 */
static bool region_register(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	lockdep_assert_held(&region->cache->lock);
	if (!region->used && !tce2_mapped_add(&region->mapped, 1))
		return false;
	WRITE_ONCE(region->used, region->used + 1);
	tce2_mapped_spread(&region->mapped);
	return true;
}

/*
 * Registers an existing region of exactly this range. Unlinks overlapping regions that
 * are being destroyed. Returns 0; 1 if no region overlaps the range, and the caller has
 * to make the region; -EINVAL if a region overlaps the range but is not equal to it;
 * or -EINTR after a fatal signal.
 */
static int region_register_existing(struct tce2_cache *cache, u64 ua, u64 size,
				    struct tce2_region **regionp)
{
	struct tce2_region *region;
	int ret = 1;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	while ((region = tce2_cache_find_overlap(cache, ua, size))) {
		bool dying = !atomic64_read(&region->mapped.count);

		if (!dying && (region->ua != ua || region->size != size)) {
			ret = tce2_refuse(-EINVAL, TCE2_WHY_OVERLAPS);
			break;
		}
		if (!dying && region_register(region)) {
			*regionp = region;
			ret = 0;
			break;
		}
		/* Unlink here: the thread that destroys the region waits for this lock */
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
 * If another container has registered the same range, both share the region, and
 * nothing is pinned again. Otherwise the function first checks the whole range, then
 * charges the memory, then pins it.
 * See VFIO_IOMMU_SPAPR_REGISTER_MEMORY in uapi/linux/vfio.h.
 *
 * Context: may sleep, for as long as the process delays a page fault. Meanwhile only
 * overlapping registrations wait, and registrations that overlap a waiting
 * registration.
 * Return: 0; -EPERM if another process has taken the cache over; -EINVAL if the range
 * overlaps a region but is not equal to it; -EFAULT if part of the range is not mapped or
 * can't be pinned; -ENOMEM if an allocation fails or the charge exceeds RLIMIT_MEMLOCK;
 * -EINTR after a fatal signal.
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
	/* Another process may have taken the cache over while this process waited */
	if (cache->mm == current->mm)
		ret = region_register_existing(cache, ua, size, regionp);
	else
		ret = tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS);
	if (ret > 0)
		ret = region_create(cache, ua, size, regionp);
	if (!ret && READ_ONCE(cache->mirrored))
		tce2_cache_mirror_range(cache, ua, size);
	tce2_range_unlock(&cache->registering, &range);
	return ret;
}

/*
 * Undoes one registration of a region. Returns 1 if the caller has to destroy
 * the region, 0 if other containers have the region registered, or -EBUSY.
 * tce2_region_unmirror() releases the lock, and another container may register the
 * region meanwhile. So the loop checks again.
 */
static int region_unregister(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	lockdep_assert_held(&region->cache->lock);
	while (region->used == 1) {
		tce2_mapped_gather(&region->mapped);
		if (atomic64_read(&region->mapped.count) != 1)
			return tce2_refuse(-EBUSY, TCE2_WHY_MEMORY_IN_USE);
		if (region->mirror) {
			if (tce2_region_unmirror(region, false) &&
			    region->used == 1)
				return tce2_refuse(-EBUSY, TCE2_WHY_KVM_USES_MEMORY);
			continue;
		}
		if (atomic64_cmpxchg(&region->mapped.count, 1, 0) != 1)
			return tce2_refuse(-EBUSY, TCE2_WHY_MEMORY_IN_USE);
		WRITE_ONCE(region->used, 0);
		return 1;
	}
	WRITE_ONCE(region->used, region->used - 1);
	return 0;
}

/**
 * tce2_region_unregister() - undo one container's registration of a region
 * @region: the region; after the last unregistration, the pointer is invalid
 *
 * The last unregistration unpins the pages and refunds the charge before the return.
 * The kernel's list releases the pins of a mirror a grace period later.
 *
 * Context: may sleep.
 * Return: 0; -EINTR after a fatal signal; -EPERM if another process has taken the cache
 * over; or -EBUSY if this is the last registration and
 * pages of the region are still counted: by a window that maps the pages, by another
 * module that holds the pages, or in the region's mirror by KVM or the in-tree driver.
 * After -EBUSY the region stays registered, possibly without its mirror. After -EINTR
 * nothing has changed.
 */
int tce2_region_unregister(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	/* Another process may have taken the cache over since the container was checked */
	if (cache->mm == current->mm)
		ret = region_unregister(region);
	else
		ret = tce2_refuse(-EPERM, TCE2_WHY_OTHER_PROCESS);
	if (ret <= 0)
		tce2_mapped_spread(&region->mapped);
	mutex_unlock(&cache->lock);
	if (ret > 0)
		tce2_region_destroy(region);
	return ret < 0 ? ret : 0;
}

static void region_drop(struct tce2_region *region, u64 count)
{
	if (tce2_mapped_sub(&region->mapped, count))
		tce2_region_destroy(region);
}

/**
 * tce2_region_unregister_nofail() - unregister a region of a closed container
 * @region: the region
 *
 * If other containers of the process still map the region, the region stays pinned and
 * charged until they unmap it.
 *
 * Context: may sleep; can't fail.
 */
void tce2_region_unregister_nofail(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	bool gone;

	mutex_lock(&cache->lock);
	/*
	 * tce2_region_unmirror() releases the lock. Meanwhile other threads may register or
	 * map the region.
	 */
	while (region->used == 1 && region->mirror)
		tce2_region_unmirror(region, true);
	if (region->used == 1)
		tce2_mapped_gather(&region->mapped);
	WRITE_ONCE(region->used, region->used - 1);
	/*
	 * Decrement both counts under the same lock. Otherwise region_register()
	 * could run between the two decrements and increment both counts. Then used
	 * would not be 0 here, mapped would not be decremented, and the region would
	 * stay pinned.
	 */
	gone = !region->used && atomic64_dec_and_test(&region->mapped.count);
	mutex_unlock(&cache->lock);

	if (gone)
		tce2_region_destroy(region);
}

/* Finds a region that has a mirror, or NULL */
static struct tce2_region *region_find_mirrored(struct tce2_cache *cache)
	__must_hold(&cache->lock)
{
	struct tce2_region *region, *next;

	lockdep_assert_held(&cache->lock);
	rbtree_postorder_for_each_entry_safe(region, next, &cache->regions, node) {
		if (region->mirror)
			return region;
	}
	return NULL;
}

/* Removes one mirror; returns 1, 0 if no mirror is left, or an error */
static int region_unmirror_any(struct tce2_cache *cache)
{
	struct tce2_region *region;
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	region = region_find_mirrored(cache);
	if (!region) {
		mutex_unlock(&cache->lock);
		return 0;
	}
	/*
	 * A further registration, because tce2_region_unmirror() releases the lock. An
	 * UNREGISTER_MEMORY that runs meanwhile leaves the region to this function.
	 */
	WRITE_ONCE(region->used, region->used + 1);
	ret = tce2_region_unmirror(region, false);
	mutex_unlock(&cache->lock);
	tce2_region_unregister_nofail(region);
	return ret ? ret : 1;
}

/**
 * tce2_cache_unmirror() - remove all mirrors of a process, and charge the regions again
 * @cache: the region cache; the caller holds all of its range lock @registering, so that no
 *	mirror is made meanwhile
 *
 * After an error some mirrors may be removed. The next map request makes them again, if KVM
 * uses the window.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; -EBUSY if KVM or the in-tree driver counts pages in a mirror; -EINTR.
 */
int tce2_cache_unmirror(struct tce2_cache *cache)
{
	int ret;

	do {
		ret = region_unmirror_any(cache);
		cond_resched();
	} while (ret > 0);
	return ret;
}

/*
 * Finds the region of the first page and adds the pages to its mapped count. Shortens
 * *@memory to the end of the region. A return of NULL is authoritative, not a lookup
 * race.
 */
static __always_inline struct tce2_region *
memory_hold_region(struct tce2_cache *cache, struct tce2_memory *memory)
{
	struct tce2_region *region;
	unsigned int seq;
	u64 count = 0;
	bool retry;

	do {
		rcu_read_lock();
		seq = read_seqcount_begin(&cache->seq);
		region = tce2_region_find(cache, memory->ua, 1ULL << memory->shift);
		if (region) {
			count = min(memory->pages,
				    (region->size - (memory->ua - region->ua)) >>
				    memory->shift);
			if (!tce2_region_hold(region, count))
				region = NULL;
		}
		retry = !region && read_seqcount_retry(&cache->seq, seq);
		rcu_read_unlock();
	} while (retry);

	memory->pages = count;
	memory->region = region;
	return region;
}

/*
 * Implements tce2_memory_run() for an IOMMU page of several blocks. noinline, so that
 * tce2_memory_run() needs fewer registers.
 */
static noinline s64 memory_run_of_blocks(const struct tce2_memory *memory, u64 *hpa)
{
	u64 flags;

	/* A page may have very many blocks, and the caller may have very many pages */
	cond_resched();
	if (!tce2_extents_page(&memory->region->extents, memory->ua, memory->shift,
			       hpa, &flags))
		return tce2_refuse(-EINVAL, TCE2_WHY_SCATTERED);
	if (memory->write && (flags & TCE2_EXTENT_READONLY))
		return tce2_refuse(-EPERM, TCE2_WHY_READ_ONLY);
	return 1;
}

/**
 * tce2_memory_run() - find the contiguous pages at the start of a range of user memory
 * @memory: the range, at least one page; its region member contains the first page
 * @hpa: set to the host physical address of the first page
 *
 * Context: may sleep.
 * Return: number of contiguous pages, at least 1; -EINVAL if the first page is
 * scattered or misaligned in physical memory; -EPERM if @memory is for writing and the
 * page is read-only.
 */
s64 tce2_memory_run(const struct tce2_memory *memory, u64 *hpa)
{
	const struct tce2_extents *ext = &memory->region->extents;
	u64 flags, bytes;

	if (memory->shift > ext->shift)
		return memory_run_of_blocks(memory, hpa);
	/* All IOMMU pages of a block have the same protection and alignment */
	bytes = tce2_extents_run(ext, memory->ua, hpa, &flags);
	if (*hpa & ((1ULL << memory->shift) - 1))
		return tce2_refuse(-EINVAL, TCE2_WHY_SCATTERED);
	if (memory->write && (flags & TCE2_EXTENT_READONLY))
		return tce2_refuse(-EPERM, TCE2_WHY_READ_ONLY);
	return min(memory->pages, bytes >> memory->shift);
}

/*
 * Checks all pages for memory_check(), and advances *@memory to the end. noinline,
 * because calls are rare.
 */
static noinline int memory_check_runs(struct tce2_memory *memory)
{
	unsigned int runs = 0;

	while (memory->pages) {
		u64 hpa;
		s64 run = tce2_memory_run(memory, &hpa);

		if (run < 0)
			return run;
		tce2_memory_skip(memory, run);
		if (!(++runs % TCE2_EXTENT_NODE))
			cond_resched();
	}
	return 0;
}

/*
 * Checks that each IOMMU page is physically contiguous, and is writable if @memory is
 * for writing. The region contains all pages.
 */
static __always_inline int memory_check(const struct tce2_memory *memory)
{
	struct tce2_memory rest;

	/* A block has at least a kernel page, so a smaller IOMMU page is contiguous */
	if (memory->shift <= PAGE_SHIFT &&
	    !(memory->write && (memory->region->extents.flags & TCE2_EXTENT_READONLY)))
		return 0;
	/* Copied member by member, so that the caller's struct stays in registers */
	rest = (struct tce2_memory){
		.ua = memory->ua,
		.pages = memory->pages,
		.shift = memory->shift,
		.write = memory->write,
		.region = memory->region,
	};
	return memory_check_runs(&rest);
}

/*
 * Holds the pages up to the end of the first page's region, and shortens *@memory to
 * these pages. Returns 0 or an error of tce2_memory_hold_or_refuse().
 */
static __always_inline int memory_hold_in_region(struct tce2_cache *cache,
						 struct tce2_memory *memory)
{
	struct tce2_region *region = memory_hold_region(cache, memory);
	int ret;

	if (!region)
		return tce2_refuse(-EINVAL, TCE2_WHY_MEMORY_NOT_REGISTERED);
	ret = memory_check(memory);
	if (ret) {
		region_drop(region, memory->pages);
		return ret;
	}
	if (memory->write)
		tce2_extents_mark_dirty(&region->extents, memory->ua,
					memory->pages << memory->shift);
	return 0;
}

/**
 * tce2_region_find_held() - find the region of a held IOMMU page
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * The caller ensures that the page is held.
 *
 * Context: may spin briefly.
 * Return: the region, valid while the page is held; NULL only because of a bug in this
 * module.
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
 * tce2_drop_batch_add() - drop the pages of a range of user memory
 * @batch: the batch; before its first use, .cache is set and the other members are 0
 * @memory: the range; all of its pages are held
 *
 * The batch gathers pages of one region, and drops them together: before a page of
 * another region is added, or in tce2_drop_batch_flush(). A drop may unpin the region.
 * So the caller ensures that no device can reach the memory through this mapping any
 * more.
 *
 * Context: may sleep.
 */
void tce2_drop_batch_add(struct tce2_drop_batch *batch,
			 const struct tce2_memory *memory)
{
	struct tce2_memory rest = *memory;

	while (rest.pages) {
		struct tce2_region *region = batch->region;
		u64 count;

		if (!region || !tce2_region_contains(region, rest.ua)) {
			tce2_drop_batch_flush(batch);
			region = tce2_region_find_held(batch->cache, rest.ua,
						       rest.shift);
			if (!region)
				return;
			batch->region = region;
		}
		count = min(rest.pages,
			    (region->ua + region->size - rest.ua) >> rest.shift);
		batch->count += count;
		tce2_memory_skip(&rest, count);
		/* There may be millions of regions */
		if (rest.pages)
			cond_resched();
	}
}

/**
 * tce2_drop_batch_flush() - drop the pages that a batch has gathered
 * @batch: the batch, empty afterwards
 *
 * Context: may sleep.
 */
void tce2_drop_batch_flush(struct tce2_drop_batch *batch)
{
	if (batch->count)
		region_drop(batch->region, batch->count);
	batch->region = NULL;
	batch->count = 0;
}

/**
 * tce2_memory_hold_or_refuse() - count a range of user memory as mapped, or refuse
 * @cache: the region cache
 * @memory: the range; if the range is for writing, its blocks are marked dirty
 *
 * After an error, no page is held. A held page keeps its region pinned until
 * tce2_drop_batch_add() or tce2_memory_drop() drops the page. On success the region
 * member of @memory is set to the region of the first page.
 *
 * Context: may sleep.
 * Return: 0, or a refusal: -EINVAL if the range is empty, if part of it is not registered,
 * or if an IOMMU page is scattered or misaligned in physical memory; -EPERM if the range
 * is for writing and a page is read-only.
 */
int tce2_memory_hold_or_refuse(struct tce2_cache *cache, struct tce2_memory *memory)
{
	unsigned int shift = memory->shift;
	struct tce2_region *first = NULL;
	u64 held = 0;

	if (!memory->pages || shift < TCE2_MIN_PAGE_SHIFT || shift > 63)
		return tce2_refuse(-EINVAL, TCE2_WHY_EMPTY);
	do {
		struct tce2_memory next = {
			.ua = memory->ua + (held << shift),
			.pages = memory->pages - held,
			.shift = shift,
			.write = memory->write,
		};
		int ret = memory_hold_in_region(cache, &next);

		if (ret) {
			struct tce2_memory undo = {
				.ua = memory->ua, .pages = held, .shift = shift,
			};

			tce2_memory_drop(cache, &undo);
			return ret;
		}
		if (!held)
			first = next.region;
		held += next.pages;
		/* There may be millions of regions */
		if (held < memory->pages)
			cond_resched();
	} while (held < memory->pages);
	memory->region = first;
	return 0;
}

/**
 * tce2_memory_hold() - count a range of user memory as mapped, for other modules
 * @cache: the region cache
 * @memory: the range; if the range is for writing, its blocks are marked dirty
 *
 * Context: may sleep.
 * Return: same as tce2_memory_hold_or_refuse(), but a bare errno.
 */
int tce2_memory_hold(struct tce2_cache *cache, struct tce2_memory *memory)
{
	return tce2_errno(tce2_memory_hold_or_refuse(cache, memory));
}
EXPORT_SYMBOL_GPL(tce2_memory_hold);

/**
 * tce2_memory_drop() - undo tce2_memory_hold()
 * @cache: the region cache
 * @memory: the range; all of its pages are held
 *
 * Context: may sleep.
 */
void tce2_memory_drop(struct tce2_cache *cache, const struct tce2_memory *memory)
{
	struct tce2_drop_batch batch = { .cache = cache };

	tce2_drop_batch_add(&batch, memory);
	tce2_drop_batch_flush(&batch);
}
EXPORT_SYMBOL_GPL(tce2_memory_drop);

/* Drops pages; if the mapped count becomes 0, a worker destroys the region */
static __always_inline void region_drop_pages(struct tce2_region *region, u64 pages)
{
	if (unlikely(tce2_mapped_sub(&region->mapped, pages)))
		tce2_region_reap(region);
}

/* Marks all blocks of an IOMMU page dirty, without sleeping */
static __always_inline void region_mark_page(struct tce2_region *region, u64 ua,
					     unsigned int shift)
{
	struct tce2_extents *ext = &region->extents;
	u64 end = ua + (1ULL << shift);

	do {
		tce2_extents_mark_block(ext, ua);
		ua += 1ULL << ext->shift;
	} while (unlikely(ua < end));
}

/* Implements region_translate_page() for an IOMMU page of several blocks */
static noinline bool region_translate_blocks(struct tce2_region *region, u64 ua,
					     unsigned int shift, bool write, u64 *hpa)
{
	u64 flags;

	if (!tce2_extents_page(&region->extents, ua, shift, hpa, &flags) ||
	    (write && flags & TCE2_EXTENT_READONLY))
		return false;
	if (write)
		region_mark_page(region, ua, shift);
	return true;
}

/* Translates an IOMMU page of any size, and marks it dirty if @write is set */
static __always_inline bool region_translate_page(struct tce2_region *region, u64 ua,
						  unsigned int shift, bool write, u64 *hpa)
{
	struct tce2_extents *ext = &region->extents;
	u64 *entry, block;

	if (unlikely(shift > ext->shift))
		return region_translate_blocks(region, ua, shift, write, hpa);
	entry = tce2_extents_entry(ext, ua);
	block = READ_ONCE(*entry);
	*hpa = (block & ~TCE2_EXTENT_FLAGS) + (ua & ((1ULL << ext->shift) - 1));
	if (unlikely(*hpa & ((1ULL << shift) - 1)) ||
	    (write && unlikely(block & TCE2_EXTENT_READONLY)))
		return false;
	/* As tce2_extents_mark_block(), without a second walk to the entry */
	if (write && !(block & TCE2_EXTENT_DIRTY))
		WRITE_ONCE(*entry, block | TCE2_EXTENT_DIRTY);
	return true;
}

/* Holds pages of one region, which contains all of them */
static __always_inline struct tce2_region *
region_hold_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages)
{
	struct tce2_region *region;
	unsigned int seq;
	bool retry;

	do {
		rcu_read_lock();
		seq = read_seqcount_begin(&cache->seq);
		region = tce2_region_find(cache, ua, pages << shift);
		if (region && !tce2_region_hold(region, pages))
			region = NULL;
		retry = !region && read_seqcount_retry(&cache->seq, seq);
		rcu_read_unlock();
	} while (retry);
	return region;
}

/**
 * tce2_page_hold() - count one IOMMU page as mapped, without sleeping
 * @cache: the region cache
 * @ua: user address of the page, a multiple of 1 << @shift
 * @shift: log2 of the IOMMU page size in bytes
 * @write: the mapping lets devices write to the page
 * @hpa: set to the host physical address of the page
 *
 * Context: any context that may take a spinlock.
 * Return: true; false if the page is not registered, scattered or misaligned in
 * physical memory, or read-only although @write is set.
 */
bool tce2_page_hold(struct tce2_cache *cache, u64 ua, unsigned int shift,
		    bool write, u64 *hpa)
{
	struct tce2_region *region = region_hold_pages(cache, ua, shift, 1);

	if (!region)
		return false;
	if (region_translate_page(region, ua, shift, write, hpa))
		return true;
	region_drop_pages(region, 1);
	return false;
}

/* Finds the region of a held page, without sleeping */
static __always_inline struct tce2_region *
region_find_held_fast(struct tce2_cache *cache, u64 ua, unsigned int shift)
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
 * tce2_page_hold_again() - count a held page again, without sleeping
 * @cache: the region cache
 * @ua: user address of the page, a multiple of 1 << @shift
 * @shift: log2 of the size of the page in bytes, at most PAGE_SHIFT
 * @write: the caller may write to the page
 * @hpa: set to the host physical address of the page
 *
 * The caller ensures that the page, or a part of it, is held meanwhile. So the page's region
 * exists, even if no container has it registered any more.
 *
 * Context: any context that may take a spinlock.
 * Return: true; false if the page is read-only although @write is set.
 */
bool tce2_page_hold_again(struct tce2_cache *cache, u64 ua, unsigned int shift,
			  bool write, u64 *hpa)
{
	struct tce2_region *region = region_find_held_fast(cache, ua, shift);

	if (unlikely(!region) || !region_translate_page(region, ua, shift, write, hpa))
		return false;
	/* The page is held, so the mapped count is not 0 */
	tce2_mapped_add(&region->mapped, 1);
	return true;
}

/**
 * tce2_page_drop() - drop one IOMMU page, without sleeping
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * Context: any context that may take a spinlock.
 */
void tce2_page_drop(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	struct tce2_region *region = region_find_held_fast(cache, ua, shift);

	if (likely(region))
		region_drop_pages(region, 1);
}

/**
 * tce2_page_drop_from() - drop one IOMMU page of a known region, without sleeping
 * @region: the region of the page
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * Context: any context that may take a spinlock.
 */
void tce2_page_drop_from(struct tce2_region *region, u64 ua, unsigned int shift)
{
	region_drop_pages(region, 1);
}

/**
 * tce2_pages_hold() - count pages of one region as mapped, without sleeping
 * @cache: the region cache
 * @memory: the pages, at most TCE2_VIEW_LEAF, none larger than the kernel's pages
 *
 * If the pages are for writing, their blocks are marked dirty.
 *
 * Context: any context that may take a spinlock.
 * Return: the region; NULL if no region contains all pages, or if they are for writing and a
 * page of the region is read-only.
 */
struct tce2_region *tce2_pages_hold(struct tce2_cache *cache, const struct tce2_memory *memory)
{
	struct tce2_region *region = region_hold_pages(cache, memory->ua, memory->shift,
						       memory->pages);

	if (!region || !memory->write)
		return region;
	if (unlikely(region->extents.flags & TCE2_EXTENT_READONLY)) {
		region_drop_pages(region, memory->pages);
		return NULL;
	}
	tce2_extents_mark_few(&region->extents, memory->ua, memory->pages << memory->shift);
	return region;
}

/**
 * tce2_pages_drop_from() - drop pages of a known region, without sleeping
 * @region: the region, which contains all pages
 * @memory: the pages
 *
 * Context: any context that may take a spinlock.
 */
void tce2_pages_drop_from(struct tce2_region *region, const struct tce2_memory *memory)
{
	region_drop_pages(region, memory->pages);
}

/*
 * Decrements KVM's count of a held page, and marks the page dirty if @write is set. KVM's
 * count keeps the mirror in the list, even while region->mirror is NULL.
 */
static __always_inline void region_uncount_page(struct tce2_region *region, u64 ua,
						unsigned int shift, bool write)
{
	struct mm_iommu_table_group_mem_t *mem;

	if (write)
		region_mark_page(region, ua, shift);
	/*
	 * The in-tree driver may have decremented KVM's count by mistake. Then only
	 * the RCU read-side section keeps the mirror from being freed.
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
 * tce2_page_drop_counted() - undo tce2_page_hold_counted(), and decrement KVM's count
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 * @write: a device may have written to the page
 *
 * Context: any context that may take a spinlock; does not sleep.
 */
void tce2_page_drop_counted(struct tce2_cache *cache, u64 ua,
			    unsigned int shift, bool write)
{
	struct tce2_region *region = region_find_held_fast(cache, ua, shift);

	if (unlikely(!region))
		return;
	region_uncount_page(region, ua, shift, write);
	region_drop_pages(region, 1);
}

/**
 * tce2_pages_uncount() - decrement KVM's counts of pages, but keep the pages held
 * @cache: the region cache
 * @memory: the range; all of its pages are held by tce2_page_hold_counted()
 *
 * Marks each page dirty if the range is for writing. The caller then drops the
 * pages with tce2_drop_batch_add().
 *
 * Context: may sleep.
 */
void tce2_pages_uncount(struct tce2_cache *cache, const struct tce2_memory *memory)
{
	struct tce2_memory rest = *memory;

	for (; rest.pages; tce2_memory_skip(&rest, 1)) {
		struct tce2_region *region = region_find_held_fast(cache, rest.ua, rest.shift);

		if (region)
			region_uncount_page(region, rest.ua, rest.shift, rest.write);
		/* If region->mirror is NULL, each page needs a search of the list */
		if (!(rest.pages % 64))
			cond_resched();
	}
}
