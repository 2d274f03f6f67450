// SPDX-License-Identifier: GPL-2.0-only
/*
 * Region cache: user memory pinned once and shared by a process's containers.
 *
 * Owns the regions' two counters, and their locked_vm charge until a region is destroyed
 * (src/cache.c) or has a mirror (src/mirrors.c). include/tce2_cache.h tells the life of a
 * region.
 *
 * Locks: each cache's lock, and its lock for ranges that are being registered.
 * Lookups for mapping take none.
 * Calls: mirrors, mirror, cache, pin, range, extents, the kernel's mm.
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
 * Adds a registration to an existing region. Returns false if the region is being
 * destroyed: no container has it registered, and none maps it.
 */
static bool region_register(struct tce2_region *region)
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
static int region_register_existing(struct tce2_cache *cache, u64 ua, u64 size,
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
		if (!dying && region_register(region)) {
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
	ret = region_register_existing(cache, ua, size, regionp);
	if (ret > 0)
		ret = region_create(cache, ua, size, regionp);
	if (!ret && READ_ONCE(cache->mirrored))
		tce2_cache_mirror_range(cache, ua, size);
	tce2_range_unlock(&cache->registering, &range);
	return ret;
}

/*
 * Drops one registration of a region. Returns 1 if the caller has to destroy
 * the region, 0 if other containers have it registered, or -EBUSY. Removing the
 * mirror drops the lock, and another container may register the region
 * meanwhile: so the loop checks again.
 */
static int region_unregister(struct tce2_region *region)
	__must_hold(&region->cache->lock)
{
	lockdep_assert_held(&region->cache->lock);
	while (region->used == 1) {
		if (atomic64_read(&region->mapped) != 1)
			return -EBUSY;
		if (region->mirror) {
			if (tce2_region_unmirror(region, false) &&
			    region->used == 1)
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
 * tce2_region_unregister() - undo one container's registration of a region
 * @region: the region; gone on return if this was its last user
 *
 * The pages are unpinned and the charge is refunded when this returns. The
 * kernel's list drops the pins of a mirror a grace period later.
 *
 * Context: may sleep.
 * Return: 0; -EINTR; or -EBUSY if this is the last registration and pages of the region
 * are still counted: by a window that maps them, by another module that holds them, or
 * in the region's mirror by KVM or the in-tree driver. After -EBUSY the region stays
 * registered, possibly without its mirror.
 */
int tce2_region_unregister(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	int ret;

	if (mutex_lock_killable(&cache->lock))
		return -EINTR;
	ret = region_unregister(region);
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
 * tce2_region_unregister_nofail() - unregister a region of a container that is closed
 * @region: the region
 *
 * Can't fail: if other containers of the process still map the region, the region stays
 * pinned and charged until they unmap it. Context: may sleep.
 */
void tce2_region_unregister_nofail(struct tce2_region *region)
{
	struct tce2_cache *cache = region->cache;
	bool gone;

	mutex_lock(&cache->lock);
	/* The call drops the lock: other threads may register or map the region */
	while (region->used == 1 && region->mirror)
		tce2_region_unmirror(region, true);
	WRITE_ONCE(region->used, region->used - 1);
	/*
	 * Under the same lock: otherwise a concurrent region_register() would
	 * leave one count too many in mapped, and never unregister the region
	 */
	gone = !region->used && atomic64_sub_and_test(1, &region->mapped);
	mutex_unlock(&cache->lock);

	if (gone)
		tce2_region_destroy(region);
}

/*
 * Finds the region of the first page and adds the pages to its mapped counter. If the
 * region ends before the memory does, shortens *@memory to the end of the region. NULL
 * is authoritative, not a lookup race.
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
 * tce2_memory_run() for an IOMMU page that takes several blocks. Not inline, so that
 * tce2_memory_run() needs fewer registers.
 */
static noinline s64 memory_run_of_blocks(const struct tce2_memory *memory, u64 *hpa)
{
	u64 flags;

	/* There may be very many blocks in each of many such pages */
	cond_resched();
	if (!tce2_extents_page(&memory->region->extents, memory->ua, memory->shift,
			       hpa, &flags))
		return -EINVAL;
	if (memory->write && (flags & TCE2_EXTENT_READONLY))
		return -EPERM;
	return 1;
}

/**
 * tce2_memory_run() - find the contiguous run at the start of a range of user memory
 * @memory: the range, at least one page; its region member contains the first page
 * @hpa: set to the host physical address of the first page
 *
 * Context: may sleep.
 * Return: number of pages in the run, at least 1; -EINVAL if the first page is
 * scattered or misaligned in memory; -EPERM if @memory is for writing and the page is
 * read-only.
 */
s64 tce2_memory_run(const struct tce2_memory *memory, u64 *hpa)
{
	const struct tce2_extents *ext = &memory->region->extents;
	u64 flags, bytes;

	if (memory->shift > ext->shift)
		return memory_run_of_blocks(memory, hpa);
	/* A block is of one protection, and its pages as aligned as the first */
	bytes = tce2_extents_run(ext, memory->ua, hpa, &flags);
	if (*hpa & ((1ULL << memory->shift) - 1))
		return -EINVAL;
	if (memory->write && (flags & TCE2_EXTENT_READONLY))
		return -EPERM;
	return min(memory->pages, bytes >> memory->shift);
}

/*
 * Checks run by run for memory_check(), and advances *@memory to the end. noinline, as
 * it is rare.
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
 * Checks that each IOMMU page is contiguous in memory, and is writable if @memory is
 * for writing. The region contains all pages.
 */
static __always_inline int memory_check(const struct tce2_memory *memory)
{
	struct tce2_memory rest;

	/* A block is a page or more, so a smaller IOMMU page is always contiguous */
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
 * these pages. Returns what tce2_memory_hold() returns.
 */
static __always_inline int memory_hold_in_region(struct tce2_cache *cache,
						 struct tce2_memory *memory)
{
	struct tce2_region *region = memory_hold_region(cache, memory);
	int ret;

	if (!region)
		return -EINVAL;
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
 * tce2_region_find_held() - find the region of an IOMMU page that is held
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * Context: may spin for a moment; the caller knows that the page is held.
 * Return: the region, which stays as long as the page is held; NULL can only
 * come from a bug in this module.
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
 * tce2_drop_batch_add() - drop the counts of a range of user memory
 * @batch: the batch; its first use needs .cache set and the other members 0
 * @memory: the range; every page of it is held
 *
 * Counts of pages in one region are gathered. They are dropped together, before the
 * first page of another region or by tce2_drop_batch_flush(). The caller has made
 * sure that no device can reach the memory through this mapping any more: the
 * region may be unpinned here. Context: may sleep.
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
 * tce2_drop_batch_flush() - drop the gathered counts
 * @batch: empty afterwards
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
 * tce2_memory_hold() - count a range of user memory as mapped
 * @cache: the region cache
 * @memory: the range; if it is for writing, it is treated as dirty from now on
 *
 * Either every page is held or none. A held page keeps its region pinned until it is
 * dropped with tce2_drop_batch_add() or tce2_memory_drop(). On success the region
 * member of *@memory is the region of the first page.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if the range is empty, if part of it is not registered, or if an
 * IOMMU page is larger than the contiguous memory that it would map; -EPERM if the
 * range is for writing and a page is read-only.
 */
int tce2_memory_hold(struct tce2_cache *cache, struct tce2_memory *memory)
{
	unsigned int shift = memory->shift;
	struct tce2_region *first = NULL;
	u64 held = 0;

	if (!memory->pages || shift < TCE2_MIN_PAGE_SHIFT || shift > 63)
		return -EINVAL;
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
EXPORT_SYMBOL_GPL(tce2_memory_hold);

/**
 * tce2_memory_drop() - undo tce2_memory_hold()
 * @cache: the region cache
 * @memory: the range; every page of it is held
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

/* Drops one page; if this ends the region, the worker destroys the region */
static __always_inline void region_drop_page(struct tce2_region *region)
{
	if (unlikely(atomic64_dec_and_test(&region->mapped)))
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

/* Translates an IOMMU page of any size, and marks it dirty if @write is set */
static bool region_translate_page(struct tce2_region *region, u64 ua,
				  unsigned int shift, bool write, u64 *hpa)
{
	struct tce2_extents *ext = &region->extents;
	u64 flags;

	if (shift <= ext->shift) {
		tce2_extents_run(ext, ua, hpa, &flags);
		if (*hpa & ((1ULL << shift) - 1))
			return false;
	} else if (!tce2_extents_page(ext, ua, shift, hpa, &flags)) {
		return false;
	}
	if (write && flags & TCE2_EXTENT_READONLY)
		return false;
	if (write)
		region_mark_page(region, ua, shift);
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
	struct tce2_memory page = { .ua = ua, .pages = 1, .shift = shift };
	struct tce2_region *region = memory_hold_region(cache, &page);

	if (!region)
		return false;
	if (region_translate_page(region, ua, shift, write, hpa))
		return true;
	region_drop_page(region);
	return false;
}

/* Finds the region of a page that is held, without sleeping */
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
 * tce2_page_drop() - drop the count of one IOMMU page, without sleeping
 * @cache: the region cache
 * @ua: user address of the page
 * @shift: log2 of the IOMMU page size in bytes
 *
 * Context: any that may take a spinlock.
 */
void tce2_page_drop(struct tce2_cache *cache, u64 ua, unsigned int shift)
{
	struct tce2_region *region = region_find_held_fast(cache, ua, shift);

	if (likely(region))
		region_drop_page(region);
}

/*
 * Drops KVM's count of a page that is held, and marks the page dirty if @write
 * is set. KVM's count keeps the mirror in the list even while the region's
 * mirror pointer is NULL.
 */
static __always_inline void region_uncount_page(struct tce2_region *region, u64 ua,
						unsigned int shift, bool write)
{
	struct mm_iommu_table_group_mem_t *mem;

	if (write)
		region_mark_page(region, ua, shift);
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
 * tce2_page_drop_counted() - undo tce2_page_hold_counted(), and KVM's count
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
	struct tce2_region *region = region_find_held_fast(cache, ua, shift);

	if (unlikely(!region))
		return;
	region_uncount_page(region, ua, shift, write);
	region_drop_page(region);
}

/**
 * tce2_pages_uncount() - drop KVM's counts of pages, but keep the region's counts
 * @cache: the region cache
 * @memory: the range; every page of it is held by tce2_page_hold_counted()
 *
 * If the range is for writing, marks each page dirty. The caller drops the region's
 * counts with tce2_drop_batch_add() afterwards.
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
		/* Without a mirror, the list is searched for each page */
		if (!(rest.pages % 64))
			cond_resched();
	}
}
