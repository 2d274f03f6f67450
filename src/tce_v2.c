// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map engine: keeps a window's TCE table and its userspace view in step.
 *
 * Owns the view (include/tce2_tce_v2.h) and every write to the hardware's
 * table. A map request is carried out whole or not at all:
 *
 *	1. hold the memory	it can't be unpinned from here on
 *	2. make the view	all that needs memory, so that 4 can't fail
 *	3. write the TCEs	a failure puts back what the view still says
 *	4. commit the view	and drop what the old entries held
 *
 * What an entry held is dropped, and may be unpinned thereby, only after the
 * entry was overwritten and the device's cached translation invalidated.
 *
 * Locks: a window's range lock for entries; hw_lock. Requires the window
 * to stay (the owner's lock).
 * Calls: mm_iommu, realmode (translation), range; the table's it_ops.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-direction.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include <asm/iommu.h>

#include "tce2_mm_iommu.h"
#include "tce2_realmode.h"
#include "tce2_tce_v2.h"

/* Entries whose cached translations are invalidated at a time */
#define INVALIDATE_BATCH	BIT(20)

/*
 * From so many entries in one piece on, it_ops->set is worth the invalidation
 * (a firmware call) that comes with it
 */
#define SET_MIN		16

#define LEAF_SHIFT	(PAGE_SHIFT - 3)
#define LEAF_ENTRIES	BIT(LEAF_SHIFT)

/* A stretch of entries that lies in one leaf of the view */
struct leaf_part {
	u64 index;		/* first entry, counted from the window's start */
	unsigned long count;
};

/* The part of @count entries from @index on that lies in the leaf of @index */
static struct leaf_part first_part(u64 index, u64 count)
{
	u64 left = LEAF_ENTRIES - (index & (LEAF_ENTRIES - 1));

	return (struct leaf_part){ index, min(left, count) };
}

/* Lets others run in a long loop; a short one does not pay for it */
static void pause_before(u64 index, u64 end)
{
	if (index < end)
		cond_resched();
}

static u64 *view_entries(u64 *leaf, u64 index)
{
	return &leaf[index & (LEAF_ENTRIES - 1)];
}

static u64 view_ua(u64 entry)
{
	return entry & ~TCE2_VIEW_PERM;
}

static enum dma_data_direction perm_direction(u64 perm)
{
	switch (perm & TCE2_VIEW_PERM) {
	case TCE2_VIEW_READ:
		return DMA_TO_DEVICE;
	case TCE2_VIEW_WRITE:
		return DMA_FROM_DEVICE;
	case TCE2_VIEW_PERM:
		return DMA_BIDIRECTIONAL;
	default:
		return DMA_NONE;
	}
}

/* The table's number of an entry, which counts from bus address 0 */
static unsigned long tbl_index(const struct tce2_window *window, u64 index)
{
	return window->tbl->it_offset + index;
}

/**
 * tce2_window_init() - make the view and locks of a new window
 * @window: zeroed memory for it
 * @tbl: its table, in which nothing is mapped
 * @cache: region cache of the process it serves
 * @size: bytes of bus address
 * @charged: pages of locked_vm already charged for @tbl
 */
void tce2_window_init(struct tce2_window *window, struct iommu_table *tbl,
		      struct tce2_cache *cache, u64 size,
		      unsigned long charged)
{
	window->tbl = tbl;
	window->cache = cache;
	window->start = (u64)tbl->it_offset << tbl->it_page_shift;
	window->size = size;
	window->page_shift = tbl->it_page_shift;
	window->charged = charged;
	tce2_range_lock_init(&window->ranges);
	xa_init_flags(&window->leaves, XA_FLAGS_ACCOUNT);
	mutex_init(&window->hw_lock);
	xa_init_flags(&window->hw_leaves, XA_FLAGS_ACCOUNT);
}

/*
 * Tables that the hardware's tree lacks on the way to lowest-level table
 * number @hw_leaf: that table itself, and each one above it that has no other
 * table below. The root was made with the window.
 */
static unsigned int missing_tables(struct tce2_window *window, u64 hw_leaf)
	__must_hold(&window->hw_lock)
{
	unsigned int bits = ilog2(window->tbl->it_level_size);
	unsigned int level, missing = 1;

	lockdep_assert_held(&window->hw_lock);
	for (level = 1; level < window->tbl->it_indirect_levels; level++) {
		unsigned long below = hw_leaf >> (level * bits) <<
				      (level * bits);
		unsigned long last = below + (1UL << (level * bits)) - 1;

		if (xa_find(&window->hw_leaves, &below, last, XA_PRESENT))
			break;
		missing++;
	}
	return missing;
}

/*
 * Charges the hardware tables about to be made for an entry, and makes the
 * kernel's copy of them.
 *
 * The copy must exist before the entry does: KVM's in-kernel unmap takes a
 * missing one for "nothing was mapped" and would let a guest clear the entry
 * behind the view's back (kvmppc_tce_iommu_mapped_dec). With the copy there and
 * zero it puts the entry back and hands the request to userspace, which comes
 * here; Documentation/design.rst tells what that leaves open.
 */
static int add_hw_tables(struct tce2_window *window, u64 index, u64 hw_leaf)
	__must_hold(&window->hw_lock)
{
	struct iommu_table *tbl = window->tbl;
	unsigned long pages = missing_tables(window, hw_leaf) *
		2 * (tbl->it_level_size * sizeof(u64) >> PAGE_SHIFT);
	int ret;

	ret = account_locked_vm(window->cache->mm, pages, true);
	if (ret)
		return ret;

	ret = -ENOMEM;
	if (!tbl->it_ops->useraddrptr(tbl, tbl_index(window, index), true))
		goto uncharge;
	ret = xa_err(xa_store(&window->hw_leaves, hw_leaf, xa_mk_value(1),
			      GFP_KERNEL_ACCOUNT));
	if (ret)
		goto uncharge;
	window->charged += pages;
	return 0;

uncharge:
	account_locked_vm(window->cache->mm, pages, false);
	return ret;
}

static int prepare_hw(struct tce2_window *window, u64 index)
{
	struct iommu_table *tbl = window->tbl;
	u64 hw_leaf;
	int ret = 0;

	if (!tbl->it_indirect_levels)
		return 0;
	hw_leaf = index >> ilog2(tbl->it_level_size);
	if (xa_load(&window->hw_leaves, hw_leaf))
		return 0;

	mutex_lock(&window->hw_lock);
	if (!xa_load(&window->hw_leaves, hw_leaf))
		ret = add_hw_tables(window, index, hw_leaf);
	mutex_unlock(&window->hw_lock);
	return ret;
}

/* Makes one leaf of the view, unless another thread is first */
static int make_leaf(struct tce2_window *window, unsigned long number)
{
	u64 *leaf;
	int ret;

	if (xa_load(&window->leaves, number))
		return 0;
	leaf = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!leaf)
		return -ENOMEM;
	ret = xa_insert(&window->leaves, number, leaf, GFP_KERNEL_ACCOUNT);
	if (ret)
		free_page((unsigned long)leaf);
	return ret == -EBUSY ? 0 : ret;
}

static int prepare_view(struct tce2_window *window, u64 index, u64 count)
{
	u64 end = index + count;

	while (index < end) {
		struct leaf_part part = first_part(index, end - index);
		int ret;

		if (fatal_signal_pending(current))
			return -EINTR;
		ret = make_leaf(window, part.index >> LEAF_SHIFT);
		if (!ret)
			ret = prepare_hw(window, part.index);
		if (ret)
			return ret;
		index += part.count;
		pause_before(index, end);
	}
	return 0;
}

/* Exchanges one TCE, without invalidating what the device may have cached */
static int exchange_tce(struct tce2_window *window, u64 index,
			unsigned long hpa, enum dma_data_direction direction)
{
	struct iommu_table *tbl = window->tbl;
	long ret = tbl->it_ops->xchg_no_kill(tbl, tbl_index(window, index),
					     &hpa, &direction);

	/* -ENOMEM for a table level, else a firmware or hypervisor code */
	if (ret)
		return ret == -ENOMEM ? -ENOMEM : -EIO;
	return 0;
}

/*
 * Writes the TCE that an entry of the view stands for. @regionp remembers the
 * region between the entries of a stretch.
 */
static int write_entry(struct tce2_window *window, u64 index, u64 entry,
		       struct tce2_region **regionp)
{
	u64 ua = view_ua(entry), hpa = 0;

	if (entry) {
		if (!*regionp || !tce2_region_contains(*regionp, ua))
			*regionp = tce2_region_find_held(window->cache, ua,
							 window->page_shift);
		if (!*regionp ||
		    tce2_rm_ua_to_hpa(*regionp, ua, window->page_shift, false,
				      &hpa) != TCE2_RM_OK)
			return -EINVAL;
	}
	return exchange_tce(window, index, hpa, perm_direction(entry));
}

/*
 * Makes the device see the table as it is now. Firmware counts entries in 32
 * bits and may take its time, hence the batches. A count of 0 would be an
 * endless loop on PHB3 (pnv_pci_phb3_tce_invalidate).
 */
static void invalidate(struct tce2_window *window, u64 index, u64 count)
{
	u64 end = index + count;

	while (index < end) {
		u64 batch = min_t(u64, end - index, INVALIDATE_BATCH);

		iommu_tce_kill(window->tbl, tbl_index(window, index), batch);
		index += batch;
		pause_before(index, end);
	}
	iommu_flush_tce(window->tbl);
}

/*
 * Writes back what the view says, after a map request failed half-way. False
 * if the platform did not let that be done everywhere.
 */
static bool restore_tces(struct tce2_window *window, u64 index, u64 count)
{
	struct tce2_region *region = NULL;
	u64 first = index, end = index + count;
	bool restored = true;

	while (index < end) {
		struct leaf_part part = first_part(index, end - index);
		u64 *leaf = xa_load(&window->leaves, part.index >> LEAF_SHIFT);
		u64 *entry = view_entries(leaf, part.index);
		unsigned long i;

		for (i = 0; i < part.count; i++) {
			if (write_entry(window, part.index + i, entry[i],
					&region))
				restored = false;
		}
		index += part.count;
		pause_before(index, end);
	}
	invalidate(window, first, count);
	return restored;
}

/*
 * Writes the TCEs of memory that is in one piece, all in one leaf. Long runs go
 * to it_ops->set, which invalidates too; it writes to a table level without
 * looking whether it could be made, so an entry is exchanged first, which fails
 * cleanly. *@stale is the first entry that is still to be invalidated.
 */
static int write_run(struct tce2_window *window, u64 index, u64 count, u64 hpa,
		     u64 perm, u64 *stale)
{
	enum dma_data_direction direction = perm_direction(perm);
	unsigned long first = tbl_index(window, index);
	struct iommu_table *tbl = window->tbl;
	bool set = count >= SET_MIN;
	u64 i;

	for (i = 0; i < (set ? 1 : count); i++) {
		int ret = exchange_tce(window, index + i,
				       hpa + (i << window->page_shift),
				       direction);

		if (ret)
			return ret;
	}
	if (!set)
		return 0;
	invalidate(window, *stale, index - *stale);
	*stale = index + count;
	if (tbl->it_ops->set(tbl, first, count, (unsigned long)__va(hpa),
			     direction, 0))
		return -EIO;
	return 0;
}

/*
 * Writes the TCEs of a mapping and makes the device see them. If that fails,
 * @written tells how many may have been written.
 */
static int write_tces(struct tce2_window *window, u64 index, u64 count, u64 ua,
		      u64 perm, u64 *written)
{
	struct tce2_region *region = NULL;
	u64 end = index + count, stale = index, hpa;
	u64 first = index;
	s64 run;
	int ret;

	while (index < end) {
		struct leaf_part part = first_part(index, end - index);

		if (!region || !tce2_region_contains(region, ua))
			region = tce2_region_find_held(window->cache, ua,
						       window->page_shift);
		run = region ? tce2_region_run(region, ua, window->page_shift,
					       part.count, false, &hpa) :
			       -EINVAL;
		*written = index - first + max_t(s64, run, 0);
		if (run < 0)
			return run;
		ret = write_run(window, index, run, hpa, perm, &stale);
		if (ret)
			return ret;
		index += run;
		ua += run << window->page_shift;
		if (index < end && !(index & (LEAF_ENTRIES - 1))) {
			cond_resched();
			if (fatal_signal_pending(current))
				return -EINTR;
		}
	}
	invalidate(window, stale, end - stale);
	return 0;
}

/*
 * Enters a finished mapping into the view. The device has forgotten the old
 * entries by now (write_tces() has invalidated them), so what they held can be
 * dropped as they are overwritten.
 */
static void commit_view(struct tce2_window *window, u64 index, u64 count,
			u64 ua, u64 perm)
{
	struct tce2_drop drop = { .cache = window->cache };
	u64 end = index + count;

	while (index < end) {
		struct leaf_part part = first_part(index, end - index);
		u64 *leaf = xa_load(&window->leaves, part.index >> LEAF_SHIFT);
		u64 *entry = view_entries(leaf, part.index);
		unsigned long i;

		for (i = 0; i < part.count; i++) {
			u64 old = entry[i];

			WRITE_ONCE(entry[i], ua | perm);
			ua += 1ULL << window->page_shift;
			if (old)
				tce2_drop_page(&drop, view_ua(old),
					       window->page_shift);
		}
		index += part.count;
		pause_before(index, end);
	}
	tce2_drop_flush(&drop);
}

/**
 * tce2_window_map() - let devices reach a stretch of user memory
 * @window: the window
 * @iova: first bus address
 * @ua: first user address
 * @size: bytes, more than 0
 * @perm: TCE2_VIEW_READ, TCE2_VIEW_WRITE or both: what devices may do
 *
 * @iova, @ua and @size are multiples of the window's page size, the bus
 * addresses lie in the window and the user addresses do not wrap: the
 * caller has checked. Entries that were mapped before are replaced.
 * VFIO_IOMMU_MAP_DMA of uapi/linux/vfio.h.
 *
 * Context: may sleep; the window's owner is locked at least for reading.
 * Return: 0; or with everything as it was before, -EINVAL if not all of the
 * memory is registered and contiguous enough, -EPERM for writing where the
 * process may only read, -ENOMEM without memory or over RLIMIT_MEMLOCK, -EIO
 * if the platform refuses an entry, -EINTR.
 */
int tce2_window_map(struct tce2_window *window, u64 iova, u64 ua, u64 size,
		    u64 perm)
{
	u64 index = (iova - window->start) >> window->page_shift;
	u64 count = size >> window->page_shift;
	struct tce2_range range;
	u64 written;
	int ret;

	ret = tce2_range_lock(&window->ranges, &range, index, count);
	if (ret)
		return ret;
	ret = tce2_memory_hold(window->cache, ua, window->page_shift, count,
			       perm & TCE2_VIEW_WRITE);
	if (ret)
		goto unlock;
	ret = prepare_view(window, index, count);
	if (ret)
		goto drop;
	ret = write_tces(window, index, count, ua, perm, &written);
	if (ret && !restore_tces(window, index, written)) {
		/* A device may reach the memory: it must stay pinned for good */
		pr_err_ratelimited("platform keeps TCEs from %#llx on, leaking memory they map\n",
				   iova);
		goto unlock;
	}
	if (ret)
		goto drop;
	commit_view(window, index, count, ua, perm);
	goto unlock;

drop:
	tce2_memory_drop(window->cache, ua, window->page_shift, count);
unlock:
	tce2_range_unlock(&window->ranges, &range);
	return ret;
}

/*
 * Clears a stretch of one leaf in the hardware's table, whatever the view says
 * of it: an entry that KVM took out and put back must go too (see
 * Documentation/design.rst). it_ops->clear invalidates what it clears.
 */
static void clear_tces(struct tce2_window *window, struct leaf_part part)
{
	struct iommu_table *tbl = window->tbl;

	tbl->it_ops->clear(tbl, tbl_index(window, part.index), part.count);
	iommu_flush_tce(tbl);
}

/* Forgets the entries of one leaf; no device knows them any more */
static void clear_view(struct tce2_window *window, u64 *entry,
		       unsigned long count)
{
	struct tce2_drop drop = { .cache = window->cache };
	unsigned long i;

	for (i = 0; i < count; i++) {
		u64 old = entry[i];

		if (!old)
			continue;
		WRITE_ONCE(entry[i], 0);
		tce2_drop_page(&drop, view_ua(old), window->page_shift);
	}
	tce2_drop_flush(&drop);
}

/*
 * Unmaps entries whose range is held, passing over leaves that were never made
 */
static int clear_range(struct tce2_window *window, u64 index, u64 count,
		       bool killable)
{
	unsigned long number, last = (index + count - 1) >> LEAF_SHIFT;
	u64 *leaf;

	xa_for_each_range(&window->leaves, number, leaf, index >> LEAF_SHIFT,
			  last) {
		u64 from = max(index, (u64)number << LEAF_SHIFT);
		struct leaf_part part = first_part(from, index + count - from);
		u64 *entry = view_entries(leaf, part.index);

		if (killable && fatal_signal_pending(current))
			return -EINTR;
		clear_tces(window, part);
		clear_view(window, entry, part.count);
		cond_resched();
	}
	return 0;
}

/**
 * tce2_window_unmap() - take a stretch of bus addresses from devices
 * @window: the window
 * @iova: first bus address
 * @size: bytes, more than 0
 *
 * @iova and @size are multiples of the window's page size and lie in the
 * window: the caller has checked. What is not mapped there is passed over.
 * Once this returns no device reaches memory through these addresses.
 * VFIO_IOMMU_UNMAP_DMA of uapi/linux/vfio.h.
 *
 * Context: may sleep; the window's owner is locked at least for reading.
 * Return: 0; -EINTR after a fatal signal, with part of it unmapped.
 */
int tce2_window_unmap(struct tce2_window *window, u64 iova, u64 size)
{
	u64 index = (iova - window->start) >> window->page_shift;
	u64 count = size >> window->page_shift;
	struct tce2_range range;
	int ret;

	ret = tce2_range_lock(&window->ranges, &range, index, count);
	if (ret)
		return ret;
	ret = clear_range(window, index, count, true);
	tce2_range_unlock(&window->ranges, &range);
	return ret;
}

/**
 * tce2_window_clear() - unmap everything and free the view
 * @window: the window, which nobody can reach any more
 *
 * The table itself stays the caller's. Context: may sleep; can't fail, nor be
 * interrupted: the window's owner is locked for writing.
 */
void tce2_window_clear(struct tce2_window *window)
{
	u64 count = window->size >> window->page_shift;
	struct tce2_range range;
	unsigned long number;
	u64 *leaf;

	/* With nobody else left there is no wait that a signal could end */
	WARN_ON_ONCE(tce2_range_lock(&window->ranges, &range, 0, count));
	clear_range(window, 0, count, false);
	tce2_range_unlock(&window->ranges, &range);

	xa_for_each(&window->leaves, number, leaf)
		free_page((unsigned long)leaf);
	xa_destroy(&window->leaves);
	xa_destroy(&window->hw_leaves);
}
