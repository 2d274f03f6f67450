/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TABLE_H
#define TCE2_TABLE_H

#include <linux/compiler.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include <asm/barrier.h>
#include <asm/iommu.h>
#include <asm/tce.h>

#include "tce2_perm.h"

struct iommu_table_group;
struct mm_struct;
struct tce2_hurry;
struct tce2_window_spec;

/**
 * enum tce2_table_layout - how TCEs may be written
 * @TCE2_TABLE_UNSEEN: not known yet
 * @TCE2_TABLE_MEMORY: straight into memory; the platform was seen to write an
 *	entry just as and just where the hardware's format says
 * @TCE2_TABLE_PLATFORM: by the platform's functions only: the table is not in
 *	our memory (a hypervisor's), or not as expected
 */
enum tce2_table_layout {
	TCE2_TABLE_UNSEEN,
	TCE2_TABLE_MEMORY,
	TCE2_TABLE_PLATFORM,
};

/**
 * struct tce2_charge - the locked_vm charge for a TCE table
 * @mm: the mm whose locked_vm is charged; the owner of the charge keeps @mm
 * @pages: pages charged
 */
struct tce2_charge {
	struct mm_struct *mm;
	unsigned long pages;
};

/**
 * struct tce2_table - the TCE table that hardware walks for a window
 * @tbl: the kernel's table, immutable
 * @ops: the platform's operations for @tbl, immutable; @tbl->it_ops are those for
 *	KVM (src/kvm.c)
 * @hurry: writers of the owner's lock; valid while the caller holds that lock; immutable
 * @level_bits: log2 of the entries in each table of a tree of them, immutable
 * @layout: see there; goes from unseen to one of the others once, without a
 *	lock
 * @lock: guards @leaves and @charge; also held while this module has the platform make
 *	a level of the table
 * @leaves: which lowest-level tables of the hardware are accounted for, by
 *	entry number / entries a table; unused with a single level
 * @charge: the charge for @tbl. tce2_table_release() gives it to the caller, who
 *	refunds it with the last reference. If @tbl is leaked, tce2_table_release()
 *	refunds it
 *
 * A window too big for one table has a tree of them in hardware, and the
 * kernel makes the lower ones when an entry below is first written. Each such
 * table is charged to locked_vm at that moment, and refunded with the whole
 * tree.
 *
 * An entry belongs to the thread that holds it in the window's range lock.
 */
struct tce2_table {
	struct iommu_table *tbl;
	const struct iommu_table_ops *ops;
	const struct tce2_hurry *hurry;
	unsigned int level_bits;
	enum tce2_table_layout layout;
	struct mutex lock;	/* guards leaves, charge */
	struct xarray leaves;
	struct tce2_charge charge;
};

/**
 * struct tce2_stale - entries that were cleared but not yet invalidated
 * @index: first entry
 * @count: entries; 0 if there are none
 *
 * On the stack of one thread, begun empty; see tce2_table_clear().
 */
struct tce2_stale {
	u64 index;
	u64 count;
};

/**
 * enum tce2_write - what is known of entries that are to be written
 * @TCE2_WRITE_FRESH: nothing is mapped in any of them
 * @TCE2_WRITE_OVER: some may be mapped
 * @TCE2_WRITE_RESTORE: as TCE2_WRITE_OVER, and all have been mapped before: their
 *	levels exist, so that writing them must neither wait for memory nor stop
 */
enum tce2_write {
	TCE2_WRITE_FRESH,
	TCE2_WRITE_OVER,
	TCE2_WRITE_RESTORE,
};

/* Any of the entries may be mapped, see tce2_table_clear() */
#define TCE2_TABLE_ANY	(~0ULL)

int tce2_table_create(struct tce2_table *table, struct iommu_table_group *tg,
		      int slot, const struct tce2_window_spec *spec,
		      struct mm_struct *mm, const struct tce2_hurry *hurry);
struct tce2_charge tce2_table_release(struct tce2_table *table, bool unset);
void tce2_charge_refund(struct tce2_charge *charge);

int tce2_table_prepare(struct tce2_table *table, u64 index);
int tce2_table_exchange_none(struct tce2_table *table, u64 index);
__be64 *tce2_table_walk(const struct tce2_table *table, u64 index);
int tce2_table_write(struct tce2_table *table, u64 index, u64 count, u64 hpa,
		     u64 perm, enum tce2_write how);
int tce2_table_clear(struct tce2_table *table, u64 index, u64 count,
		     u64 mapped, struct tce2_stale *stale);
void tce2_table_invalidate(struct tce2_table *table, u64 index, u64 count);

/**
 * tce2_table_in_memory() - check that this module stores TCEs without the platform
 * @table: the table
 *
 * Return: true if it does.
 */
static inline bool tce2_table_in_memory(const struct tce2_table *table)
{
	return READ_ONCE(table->layout) == TCE2_TABLE_MEMORY;
}

/**
 * tce2_table_find() - find a TCE that may be stored directly
 * @table: the table
 * @index: the entry
 *
 * Context: any.
 * Return: where the hardware finds the TCEs from @index on, up to the end of the
 * table of the lowest level; NULL if the platform has to write them.
 */
static __always_inline __be64 *tce2_table_find(const struct tce2_table *table,
					       u64 index)
{
	if (!tce2_table_in_memory(table))
		return NULL;
	if (!table->tbl->it_indirect_levels)
		return (__be64 *)table->tbl->it_base + index;
	return tce2_table_walk(table, index);
}

/**
 * tce2_table_kill() - invalidate the translations that devices have cached
 * @table: the table
 * @index: first entry
 * @count: entries, more than 0; the more entries, the longer it may take
 *
 * A TCE that may be cached has to be invalidated after a change (LoPAR 3.2.2.2,
 * R2-3.2.2.2-7; OPAL_PCI_TCE_KILL).
 *
 * Context: any.
 */
static __always_inline void tce2_table_kill(const struct tce2_table *table,
					    u64 index, u64 count)
{
	struct iommu_table *tbl = table->tbl;

	/* Write entries before firmware makes devices look them up again */
	mb();
	if (!table->ops->tce_kill)
		return;
	/*
	 * The platform walks the table's list of groups. Hot-unplug removes a group
	 * from that list and frees it after a grace period, whatever references there
	 * are to the group. On a preemptible kernel only an RCU read-side section keeps
	 * it from being freed during the walk (pnv_pci_ioda2_tce_invalidate(),
	 * pnv_pci_unlink_table_and_group()).
	 */
	rcu_read_lock();
	table->ops->tce_kill(tbl, tbl->it_offset + index, count);
	rcu_read_unlock();
}

/**
 * tce2_table_invalidate_few() - make devices see entries, without sleeping
 * @table: the table
 * @index: first entry
 * @count: entries, more than 0, at most those of a leaf of the view
 *
 * Context: any.
 */
static __always_inline void
tce2_table_invalidate_few(const struct tce2_table *table, u64 index, u64 count)
{
	tce2_table_kill(table, index, count);
	if (table->ops->flush)
		table->ops->flush(table->tbl);
}

/**
 * tce2_make_tce() - build the TCE that lets devices reach an IOMMU page
 * @hpa: host physical address of the page
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 *
 * A TCE may be write-only (LoPAR 3.2.2.2). But on powernv Linux lets a device read what
 * it may write (pnv_tce_xchg()), and so does this function.
 *
 * Return: the TCE, in the processor's byte order.
 */
static __always_inline u64 tce2_make_tce(u64 hpa, u64 perm)
{
	return hpa | TCE_PCI_READ |
	       (perm & TCE2_PERM_WRITE ? TCE_PCI_WRITE : 0);
}

/**
 * tce2_table_take_out() - clear one TCE and make devices see it, without sleeping
 * @table: the table
 * @index: the entry, held
 *
 * When this returns 0, no device uses the entry's old translation any more.
 *
 * Context: any that may take a spinlock.
 * Return: 0; -EIO if the platform refuses.
 */
static __always_inline int tce2_table_take_out(struct tce2_table *table,
					       u64 index)
{
	__be64 *tce = tce2_table_find(table, index);
	int ret = 0;

	if (likely(tce))
		WRITE_ONCE(*tce, 0);
	else
		ret = tce2_table_exchange_none(table, index);
	if (!ret)
		tce2_table_invalidate_few(table, index, 1);
	return ret;
}

#endif /* TCE2_TABLE_H */
