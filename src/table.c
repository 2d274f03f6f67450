// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCE table: what the hardware walks, and what it may have cached of it.
 *
 * Owns every write to a table, the invalidation that makes devices see it, and
 * the charge for a table: for all of it, or for the root and each lower table of a
 * tree. Entries are counted from the window's start. This file does not know the
 * meaning of an entry.
 *
 * Where the table lies in memory (IODA2, on powernv), its format is that of the
 * hardware, which no kernel can change: big-endian doublewords, address and
 * two permission bits (LoPAR 3.2.2.2, TCE Definition), in a tree of such tables
 * (pnv_tce(), powernv/pci-ioda-tce.c). So entries are stored there
 * directly, a few instructions each, where the kernel's own function walks the
 * tree for every entry. This is done only after the platform was seen to write an entry
 * of the same table in this way. Otherwise, and for a hypervisor, the platform's
 * functions are used.
 *
 * KVM writes to the same tables through their it_ops, which src/kvm.c has
 * replaced. This file calls only the platform's ops.
 *
 * Locks: struct tce2_table.lock. Entries are the caller's.
 * Calls: platform (to make tables), range (whether to stop); the platform's ops for
 * the table.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/dma-direction.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include <asm/barrier.h>
#include <asm/firmware.h>
#include <asm/iommu.h>
#include <asm/tce.h>

#include "tce2_platform.h"
#include "tce2_range.h"
#include "tce2_table.h"
#include "tce2_view.h"

/* Page Mapping and Control bits (LoPAR 3.2.2.2, TCE Definition) */
#define TCE_PERM	(TCE_PCI_READ | TCE_PCI_WRITE)

/*
 * Entries whose cached translations are invalidated at a time. Firmware before
 * skiboot v7.0 invalidates page by page, with interrupts off (opal_call()). Later
 * firmware invalidates all of the PE's translations instead, on PHB4 and PHB5
 * (HW560152; phb4_tce_kill(), skiboot hw/phb4.c). On PHB3 the kernel writes a register
 * for each page (pnv_pci_phb3_tce_invalidate()).
 */
#define INVALIDATE_BATCH	8192

/* The table's number of an entry, which counts from bus address 0 */
static unsigned long table_it_index(const struct tce2_table *table, u64 index)
{
	return table->tbl->it_offset + index;
}

static enum dma_data_direction table_direction(u64 perm)
{
	switch (perm) {
	case TCE2_PERM_READ:
		return DMA_TO_DEVICE;
	case TCE2_PERM_WRITE:
		return DMA_FROM_DEVICE;
	case TCE2_PERM_RW:
		return DMA_BIDIRECTIONAL;
	default:
		return DMA_NONE;
	}
}

/* Charges pages to the process that owns the table; after an error nothing is charged */
static int charge_add(struct tce2_charge *charge, unsigned long pages)
{
	int ret = account_locked_vm(charge->mm, pages, true);

	if (!ret)
		charge->pages += pages;
	return ret;
}

static void charge_remove(struct tce2_charge *charge, unsigned long pages)
{
	account_locked_vm(charge->mm, pages, false);
	charge->pages -= pages;
}

/**
 * tce2_charge_refund() - refund the charge for a table
 * @charge: the charge, empty afterwards
 *
 * Context: may sleep.
 */
void tce2_charge_refund(struct tce2_charge *charge)
{
	if (charge->pages)
		charge_remove(charge, charge->pages);
}

/**
 * tce2_table_create() - make a table in which nothing is mapped, and charge it
 * @table: zeroed memory for it
 * @tg: the table group that makes it
 * @slot: slot of the window that it is for
 * @spec: the window, which has been checked
 * @mm: whose locked_vm is charged
 * @hurry: that of the window's owner
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM without memory or over RLIMIT_MEMLOCK; or as
 * tce2_platform_create_table(), with nothing charged.
 */
int tce2_table_create(struct tce2_table *table, struct iommu_table_group *tg,
		      int slot, const struct tce2_window_spec *spec,
		      struct mm_struct *mm, const struct tce2_hurry *hurry)
{
	struct iommu_table *tbl;
	int ret;

	table->charge.mm = mm;
	ret = charge_add(&table->charge, tce2_platform_table_pages(tg, spec));
	if (ret)
		return ret;
	ret = tce2_platform_create_table(tg, slot, spec, &tbl);
	if (ret) {
		tce2_charge_refund(&table->charge);
		return ret;
	}
	table->tbl = tbl;
	table->ops = tbl->it_ops;
	table->hurry = hurry;
	/* Not set by platforms that have no trees */
	table->level_bits = tbl->it_indirect_levels ?
			    ilog2(tbl->it_level_size) : 0;
	/* A hypervisor's table has no address */
	table->layout = tbl->it_base ? TCE2_TABLE_UNSEEN : TCE2_TABLE_PLATFORM;
	mutex_init(&table->lock);
	xa_init_flags(&table->leaves, XA_FLAGS_ACCOUNT);
	return 0;
}

/**
 * tce2_table_release() - drop the window's reference to its table
 * @table: the table, in which nothing is mapped and nobody maps any more
 * @unset: no group has the table in a slot any more
 *
 * If a group may still have the table, hardware may walk the table, so it is never
 * freed. Nothing is mapped in it, so the leak costs only memory.
 *
 * Context: may sleep.
 * Return: the charge to refund when the table is freed, which KVM's references may
 * delay; an empty charge if the table is never freed, because then the charge is
 * refunded here.
 */
struct tce2_charge tce2_table_release(struct tce2_table *table, bool unset)
{
	struct tce2_charge charge = table->charge;

	table->charge.pages = 0;
	xa_destroy(&table->leaves);
	if (unset) {
		iommu_tce_table_put(table->tbl);
		return charge;
	}
	pr_err_ratelimited("platform keeps the window at %#lx, leaking its table\n",
			   table->tbl->it_offset << table->tbl->it_page_shift);
	tce2_charge_refund(&charge);
	return charge;
}

/**
 * tce2_table_walk() - find a TCE in a table in memory
 * @table: the table
 * @index: the entry
 *
 * The tree of tables is that of IODA2 (pnv_tce()); PAPR has none (LoPAR 7.3.27.2).
 *
 * Context: any.
 * Return: where the hardware finds the TCEs from @index on, up to the end of the
 * table of the lowest level; NULL if there is no such table yet.
 */
__be64 *tce2_table_walk(const struct tce2_table *table, u64 index)
{
	const struct iommu_table *tbl = table->tbl;
	unsigned long level = tbl->it_indirect_levels;
	__be64 *tces = (__be64 *)tbl->it_base;
	u64 mask = tbl->it_level_size - 1;

	for (; level; level--) {
		u64 slot = (index >> (level * table->level_bits)) & mask;
		u64 tce = be64_to_cpu(READ_ONCE(tces[slot])) & ~TCE_PERM;

		if (!tce || !pfn_valid(PHYS_PFN(tce)))
			return NULL;
		tces = __va(tce);
		index &= (1ULL << (level * table->level_bits)) - 1;
	}
	return tces + index;
}

/*
 * Stores TCEs that follow one another. An aligned doubleword is written at once.
 * (WRITE_ONCE() would keep the compiler from storing it byte-reversed with one
 * instruction.)
 */
static inline void table_store_tces(const struct tce2_table *table, __be64 *tces,
				    u64 count, u64 tce)
{
	u64 step = 1ULL << table->tbl->it_page_shift;
	__be64 *end = tces + count;

	for (; tces < end; tces++) {
		*tces = cpu_to_be64(tce);
		tce += step;
		barrier();
	}
}

/*
 * Finds an entry that the platform has just written; NULL as tce2_table_find()
 */
static __be64 *table_learn_layout(struct tce2_table *table, u64 index, u64 tce)
{
	enum tce2_table_layout layout = READ_ONCE(table->layout), other;
	__be64 *tces, seen;

	if (layout == TCE2_TABLE_PLATFORM)
		return NULL;
	tces = tce2_table_walk(table, index);
	seen = tces ? READ_ONCE(*tces) : 0;
	if (layout == TCE2_TABLE_UNSEEN) {
		if (seen == cpu_to_be64(tce))
			layout = TCE2_TABLE_MEMORY;
		else if (seen || !tces)
			layout = TCE2_TABLE_PLATFORM;
		other = cmpxchg(&table->layout, TCE2_TABLE_UNSEEN, layout);
		if (other != TCE2_TABLE_UNSEEN)
			layout = other;
	}
	return layout == TCE2_TABLE_MEMORY ? tces : NULL;
}

/*
 * Tables that the hardware's tree lacks on the way to lowest-level table
 * number @leaf: that table itself, and each one above it that has no other
 * table below. The root was made with the window.
 */
static unsigned int table_count_missing(struct tce2_table *table, u64 leaf)
	__must_hold(&table->lock)
{
	unsigned int level, missing = 1;

	lockdep_assert_held(&table->lock);
	for (level = 1; level < table->tbl->it_indirect_levels; level++) {
		unsigned int bits = level * table->level_bits;
		unsigned long below = leaf >> bits << bits;
		unsigned long last = below + (1UL << bits) - 1;

		if (xa_find(&table->leaves, &below, last, XA_PRESENT))
			break;
		missing++;
	}
	return missing;
}

/*
 * Charges the hardware tables about to be made for an entry. The platform does
 * not make its userspace copy of them (it_userspace): only KVM would ask for
 * the copy, and KVM calls the ops of src/kvm.c instead.
 */
static int table_charge_missing(struct tce2_table *table, u64 leaf)
	__must_hold(&table->lock)
{
	unsigned long pages = table_count_missing(table, leaf) *
		(table->tbl->it_level_size * sizeof(u64) >> PAGE_SHIFT);
	int ret;

	ret = charge_add(&table->charge, pages);
	if (ret)
		return ret;

	ret = xa_err(xa_store(&table->leaves, leaf, xa_mk_value(1),
			      GFP_KERNEL_ACCOUNT));
	if (ret) {
		charge_remove(&table->charge, pages);
		return ret;
	}
	return 0;
}

/*
 * Locks the levels. Many requests may queue for this mutex while its owner waits for
 * mmap_lock. So each request checks whether it has to stop once it owns the mutex.
 * Returns 0 unless @stoppable is set, else 0 or as tce2_must_stop().
 */
static int table_lock_levels(struct tce2_table *table, bool stoppable)
{
	int ret;

	if (!stoppable) {
		mutex_lock(&table->lock);
		return 0;
	}
	if (mutex_lock_killable(&table->lock))
		return -EINTR;
	ret = tce2_must_stop(table->hurry);
	if (ret)
		mutex_unlock(&table->lock);
	return ret;
}

/**
 * tce2_table_prepare() - charge what writing an entry will make
 * @table: the table
 * @index: the entry, held; it stands for all in its lowest-level table
 *
 * Context: may sleep; the window's owner is locked for reading.
 * Return: 0; -ENOMEM without memory or over RLIMIT_MEMLOCK; -EINTR, -EAGAIN as
 * tce2_must_stop().
 */
int tce2_table_prepare(struct tce2_table *table, u64 index)
{
	u64 leaf;
	int ret = 0;

	if (!table->tbl->it_indirect_levels)
		return 0;
	leaf = index >> table->level_bits;
	/* A table that is there was accounted for before it was made */
	if (tce2_table_find(table, index) || xa_load(&table->leaves, leaf))
		return 0;

	ret = table_lock_levels(table, true);
	if (ret)
		return ret;
	if (!xa_load(&table->leaves, leaf))
		ret = table_charge_missing(table, leaf);
	mutex_unlock(&table->lock);
	return ret;
}

/* Has the platform exchange an entry; nothing is invalidated */
static int table_exchange(struct tce2_table *table, u64 index, u64 hpa, u64 perm)
{
	enum dma_data_direction direction = table_direction(perm);
	struct iommu_table *tbl = table->tbl;
	unsigned long addr = hpa;
	long ret = table->ops->xchg_no_kill(tbl, table_it_index(table, index),
					    &addr, &direction);

	/* -ENOMEM for a table level, else a firmware or hypervisor code */
	if (ret)
		return ret == -ENOMEM ? -ENOMEM : -EIO;
	return 0;
}

/*
 * Returns the first entry to read back of a run of @count that the hypervisor wrote or
 * cleared. In a call for many entries the hypervisor stops at an entry that it refuses,
 * which Linux doesn't report. So the last entry tells, provided that it had to change.
 * Without such calls Linux goes on after a refused entry, so any entry may tell
 * (tce_buildmulti_pSeriesLP(), tce_freemulti_pSeriesLP()). By LoPAR a call for many
 * stores all of its entries or none (14.5.4.2.3, H_STUFF_TCE; 14.5.4.2.4,
 * H_PUT_TCE_INDIRECT): the last entry tells this, too.
 */
static u64 table_first_to_verify(u64 count, unsigned long call_for_many)
{
	return firmware_has_feature(call_for_many) ? count - 1 : 0;
}

/* Has the platform write a run; it invalidates, too: see tce2_table_kill() */
static int table_set_run(struct tce2_table *table, u64 index, u64 count, u64 hpa,
			 u64 perm)
{
	int ret;

	rcu_read_lock();
	ret = table->ops->set(table->tbl, table_it_index(table, index), count,
			      (unsigned long)__va(hpa), table_direction(perm),
			      0);
	rcu_read_unlock();
	return ret;
}

/* Has the platform clear a run; it invalidates, too */
static void table_clear_run(struct tce2_table *table, u64 index, u64 count)
{
	rcu_read_lock();
	table->ops->clear(table->tbl, table_it_index(table, index), count);
	rcu_read_unlock();
}

/* Returns true if the entries of a run, from @first on, are as written */
static bool table_is_written(struct tce2_table *table, u64 index, u64 count, u64 tce,
			     u64 first)
{
	struct iommu_table *tbl = table->tbl;
	u64 i;

	for (i = first; i < count; i++) {
		if (table->ops->get(tbl, table_it_index(table, index + i)) !=
		    tce + (i << tbl->it_page_shift))
			return false;
	}
	return true;
}

/*
 * Has the platform write a run, in one call if it can (H_PUT_TCE_INDIRECT), and checks
 * that it did. If it did not, entries are exchanged one by one, which reports errors.
 * If something was mapped before, every entry is checked: it might still lead to memory
 * that is about to be dropped. A call for many entries lets a device read memory that
 * it may only write, an exchange does not (tce_buildmulti_pSeriesLP(),
 * tce_exchange_pseries()).
 */
static int table_write_by_platform(struct tce2_table *table, u64 index, u64 count,
				   u64 hpa, u64 perm, bool fresh)
{
	u64 i, first = 0;
	int ret;

	if (fresh)
		first = table_first_to_verify(count, FW_FEATURE_PUT_TCE_IND);
	if (count > 1 && (perm & TCE2_PERM_READ) &&
	    !table_set_run(table, index, count, hpa, perm) &&
	    table_is_written(table, index, count, tce2_make_tce(hpa, perm), first))
		return 0;
	for (i = 0; i < count; i++) {
		ret = table_exchange(table, index + i,
				     hpa + (i << table->tbl->it_page_shift), perm);
		if (ret)
			return ret;
	}
	return 0;
}

/* Looks for memory for the levels that the platform may have to make for an entry */
static int table_check_memory(const struct tce2_table *table)
{
	const struct iommu_table *tbl = table->tbl;

	if (!tbl->it_indirect_levels)
		return 0;
	return tce2_platform_can_allocate(tbl->it_level_size * sizeof(u64),
					  tbl->it_indirect_levels) ? 0 : -ENOMEM;
}

/*
 * Has the platform write an entry whose level may be missing. The platform makes the
 * level without a lock. If two threads make a level, the second thread discards its
 * own, but frees only one page of it (pnv_tce()). So no thread of this module may be
 * the second.
 */
static int table_make_level(struct tce2_table *table, u64 index, u64 hpa, u64 perm,
			    enum tce2_write how)
{
	bool restores = how == TCE2_WRITE_RESTORE;
	int ret = table_lock_levels(table, !restores);

	if (ret)
		return ret;
	if (!restores)
		ret = table_check_memory(table);
	if (!ret)
		ret = table_exchange(table, index, hpa, perm);
	mutex_unlock(&table->lock);
	return ret;
}

/*
 * tce2_table_write() for everything except a single table in memory. The platform makes
 * a table that is missing. Its function for runs would write to the new table without
 * checking that it could be made. Its function for single entries does check
 * (pnv_tce_build(), pnv_tce_xchg()).
 */
static noinline int table_write_slow(struct tce2_table *table, u64 index,
				     u64 count, u64 hpa, u64 perm,
				     enum tce2_write how)
{
	__be64 *tces = tce2_table_find(table, index);
	int ret;

	if (!tces && table->tbl->it_base) {
		ret = table_make_level(table, index, hpa, perm, how);
		if (ret)
			return ret;
		tces = table_learn_layout(table, index, tce2_make_tce(hpa, perm));
	}
	if (!tces)
		return table_write_by_platform(table, index, count, hpa, perm,
					       how == TCE2_WRITE_FRESH);
	table_store_tces(table, tces, count, tce2_make_tce(hpa, perm));
	return 0;
}

/**
 * tce2_table_write() - write TCEs that map contiguous memory
 * @table: the table
 * @index: first entry, held and prepared
 * @count: entries, more than 0, all in one lowest-level table
 * @hpa: host physical address for the first, a multiple of the IOMMU page size
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 * @how: what is known of the entries
 *
 * Devices may see the old entries until tce2_table_invalidate().
 *
 * Context: may sleep; the window's owner is locked at least for reading.
 * Return: 0; -ENOMEM or -EIO, with any of the entries written; also -EINTR or -EAGAIN
 * as tce2_must_stop(), except with TCE2_WRITE_RESTORE.
 */
int tce2_table_write(struct tce2_table *table, u64 index, u64 count, u64 hpa,
		     u64 perm, enum tce2_write how)
{
	if (!tce2_table_in_memory(table) || table->tbl->it_indirect_levels)
		return table_write_slow(table, index, count, hpa, perm, how);
	table_store_tces(table, (__be64 *)table->tbl->it_base + index, count,
			 tce2_make_tce(hpa, perm));
	return 0;
}

/* Gathers adjacent entries to invalidate; a gap invalidates those gathered so far */
static void table_add_stale(struct tce2_table *table, struct tce2_stale *stale,
			    u64 index, u64 count)
{
	if (stale->count && stale->index + stale->count == index) {
		stale->count += count;
		return;
	}
	tce2_table_invalidate(table, stale->index, stale->count);
	*stale = (struct tce2_stale){ index, count };
}

/* Returns true if the entries of a run, from @first on, are clear */
static bool table_is_clear(struct tce2_table *table, u64 index, u64 count, u64 first)
{
	struct iommu_table *tbl = table->tbl;
	u64 i;

	for (i = first; i < count; i++) {
		if (table->ops->get(tbl, table_it_index(table, index + i)) &
		    TCE_PERM)
			return false;
	}
	return true;
}

/*
 * Has the platform clear a run, in one call if it can (H_STUFF_TCE), and checks that it
 * did. The platform invalidates the entries that it clears, and skips a missing table
 * (pnv_tce_free()).
 */
static int table_clear_by_platform(struct tce2_table *table, u64 index, u64 count,
				   u64 mapped)
{
	struct iommu_table *tbl = table->tbl;
	u64 i, first = 0;
	int ret = 0;

	table_clear_run(table, index, count);
	iommu_flush_tce(tbl);
	if (!mapped)
		return 0;
	if (mapped == TCE2_TABLE_ANY)
		mapped = count;
	else
		first = table_first_to_verify(mapped, FW_FEATURE_STUFF_TCE);
	if (table_is_clear(table, index, mapped, first))
		return 0;
	for (i = 0; i < count; i++) {
		if (table_exchange(table, index + i, 0, 0))
			ret = -EIO;
	}
	tce2_table_invalidate(table, index, count);
	return ret;
}

/**
 * tce2_table_clear() - clear TCEs, whatever they are
 * @table: the table
 * @index: first entry, held
 * @count: entries, more than 0, all in one lowest-level table
 * @mapped: of these, the entries up to and with the last that is mapped, or
 *	TCE2_TABLE_ANY if that is not known; not looked at with TCEs in memory
 * @stale: what is still to be invalidated is added here
 *
 * Devices may see the old entries until @stale was invalidated too, with
 * tce2_table_invalidate().
 *
 * Context: may sleep.
 * Return: 0; -EIO if the platform did not clear all of them.
 */
int tce2_table_clear(struct tce2_table *table, u64 index, u64 count,
		     u64 mapped, struct tce2_stale *stale)
{
	__be64 *tces = tce2_table_find(table, index);
	u64 i;

	if (!tces)
		return table_clear_by_platform(table, index, count, mapped);
	table_add_stale(table, stale, index, count);
	for (i = 0; i < count; i++)
		WRITE_ONCE(tces[i], 0);
	return 0;
}

/**
 * tce2_table_exchange_none() - have the platform clear one TCE, without sleeping
 * @table: the table, whose TCEs are not stored directly
 * @index: the entry, held
 *
 * Context: any that may take a spinlock.
 * Return: 0; -EIO if the platform refuses.
 */
int tce2_table_exchange_none(struct tce2_table *table, u64 index)
{
	return table_exchange(table, index, 0, 0);
}

/**
 * tce2_table_invalidate() - make devices see entries as they are now
 * @table: the table
 * @index: first entry
 * @count: entries
 *
 * When it returns no device uses a translation that these entries gave before:
 * only now may the memory that they led to be let go. Context: may sleep.
 */
void tce2_table_invalidate(struct tce2_table *table, u64 index, u64 count)
{
	if (!count)
		return;
	while (count) {
		u64 batch = min_t(u64, count, INVALIDATE_BATCH);

		tce2_table_kill(table, index, batch);
		index += batch;
		count -= batch;
		if (count)
			cond_resched();
	}
	iommu_flush_tce(table->tbl);
}
