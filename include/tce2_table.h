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
struct tce2_blocks;
struct tce2_hurry;
struct tce2_window_spec;

/**
 * enum tce2_table_layout - ways to write TCEs
 * @TCE2_TABLE_UNSEEN: the way to write TCEs of this table is not known yet
 * @TCE2_TABLE_MEMORY: by stores to memory. The platform has written an entry with
 *	the value and at the address that the hardware's format requires
 * @TCE2_TABLE_PLATFORM: only by the platform's functions, because the table is a
 *	hypervisor's or does not have the expected format
 * @TCE2_TABLE_NONE: not at all, because no hardware walks the table (src/software.c). The
 *	view is the only record
 */
enum tce2_table_layout {
	TCE2_TABLE_UNSEEN,
	TCE2_TABLE_MEMORY,
	TCE2_TABLE_PLATFORM,
	TCE2_TABLE_NONE,
};

/**
 * struct tce2_charge - the locked_vm charge for a TCE table
 * @mm: the charged mm; the owner of the charge keeps @mm allocated
 * @pages: pages charged to locked_vm
 */
struct tce2_charge {
	struct mm_struct *mm;
	unsigned long pages;
};

/**
 * struct tce2_table - the TCE table that hardware walks for a window
 * @tbl: the kernel's table, immutable
 * @ops: the platform's operations for @tbl, immutable; @tbl->it_ops are KVM's hooks
 *	(src/kvm.c)
 * @hurry: counts of the writers of the lock of the window's owner (struct tce2_ddw);
 *	valid while the caller holds that lock; immutable
 * @level_bits: log2 of the number of entries in each table of a multi-level table,
 *	immutable
 * @layout: way to write TCEs; changes from TCE2_TABLE_UNSEEN to another value at most
 *	once, without a lock
 * @lock: protects @leaves and @charge; also held while a thread of this module makes a level
 *	of the table or lets the platform make it
 * @leaves: the charged lowest-level tables, indexed by the entry number divided by the
 *	entries per table; unused with a single level
 * @list: memory for a list of TCEs (H_PUT_TCE_INDIRECT), or NULL while a thread uses it
 *	or none has needed it yet; exchanged atomically, without a lock
 * @charge: the charge for @tbl. tce2_table_release() passes the charge to the caller,
 *	which refunds it with the last reference to @tbl. If @tbl is leaked,
 *	tce2_table_release() refunds the charge
 *
 * In hardware, a window with several levels has a tree of tables. A lower table is made when
 * an entry in it is first written: by the platform until @layout is TCE2_TABLE_MEMORY, then
 * by this module. This module charges the lower table to locked_vm before this write, and
 * refunds the charge with the whole tree, which the platform frees.
 *
 * Only the thread that holds an entry may use the entry: a request holds its range in
 * the window's range lock, or the brief lock of the entry's leaf. A KVM hook holds the lock
 * bit of this leaf.
 */
struct tce2_table {
	struct iommu_table *tbl;
	const struct iommu_table_ops *ops;
	const struct tce2_hurry *hurry;
	unsigned int level_bits;
	enum tce2_table_layout layout;
	struct mutex lock;	/* protects leaves, charge */
	struct xarray leaves;
	__be64 *list;
	struct tce2_charge charge;
};

/**
 * struct tce2_stale - entries that were cleared but not yet invalidated
 * @index: first entry
 * @count: number of entries, may be 0
 *
 * Lives on the stack of one thread, initially empty; see tce2_table_clear().
 */
struct tce2_stale {
	u64 index;
	u64 count;
};

/**
 * struct tce2_cursor - the lowest-level table in which a request stores TCEs
 * @tces: its first TCE
 * @first: number of its first entry
 * @count: number of its entries; 0 if no table has been found yet
 *
 * Lives on the stack of one thread; see tce2_table_cursor() and tce2_table_write(). Tables
 * stay until the window is removed, so a request finds each lowest-level table only once.
 */
struct tce2_cursor {
	__be64 *tces;
	u64 first;
	u64 count;
};

/**
 * enum tce2_write - reasons to write entries
 * @TCE2_WRITE_MAP: a request maps the entries. The write may stop, and may wait for memory
 * @TCE2_WRITE_RESTORE: a request has failed. All entries have been mapped before, so all
 *	levels exist. The write must neither stop nor wait for memory
 */
enum tce2_write {
	TCE2_WRITE_MAP,
	TCE2_WRITE_RESTORE,
};

/* Any of the entries may be mapped, see tce2_table_clear() */
#define TCE2_TABLE_ANY	(~0ULL)

int tce2_table_create(struct tce2_table *table, struct iommu_table_group *tg,
		      int slot, const struct tce2_window_spec *spec,
		      struct mm_struct *mm, const struct tce2_hurry *hurry);
struct tce2_charge tce2_table_release(struct tce2_table *table, bool unset);
u64 tce2_table_move(struct tce2_table *table, struct mm_struct *mm);
void tce2_charge_refund(struct tce2_charge *charge);

int tce2_table_prepare(struct tce2_table *table, u64 index);
int tce2_table_exchange_none(struct tce2_table *table, u64 index);
int tce2_table_exchange_page(struct tce2_table *table, u64 index, u64 hpa, u64 perm);
__be64 *tce2_table_walk(const struct tce2_table *table, u64 index);
int tce2_table_write(struct tce2_table *table, struct tce2_cursor *cursor, u64 index,
		     const struct tce2_blocks *blocks, u64 perm, enum tce2_write how);
void tce2_table_store(__be64 *tces, const struct tce2_blocks *blocks, u64 perm);
int tce2_table_clear(struct tce2_table *table, u64 index, u64 count,
		     u64 mapped, struct tce2_stale *stale);
void tce2_table_invalidate(struct tce2_table *table, u64 index, u64 count);

/**
 * tce2_table_in_memory() - check whether this module may store TCEs directly
 * @table: the table
 *
 * Return: true for direct stores; false if the platform has to write TCEs.
 */
static inline bool tce2_table_in_memory(const struct tce2_table *table)
{
	return READ_ONCE(table->layout) == TCE2_TABLE_MEMORY;
}

/**
 * tce2_table_is_software() - check whether a table has no entries
 * @table: the table
 *
 * Return: true for a table that no hardware can walk, see TCE2_TABLE_NONE.
 */
static inline bool tce2_table_is_software(const struct tce2_table *table)
{
	return READ_ONCE(table->layout) == TCE2_TABLE_NONE;
}

/**
 * tce2_table_cursor() - begin to write entries
 * @table: the table
 *
 * Return: the cursor for the writes of one thread.
 */
static __always_inline struct tce2_cursor
tce2_table_cursor(const struct tce2_table *table)
{
	if (!tce2_table_in_memory(table) || table->tbl->it_indirect_levels)
		return (struct tce2_cursor){};
	return (struct tce2_cursor){
		.tces = (__be64 *)table->tbl->it_base,
		.count = ~0ULL,
	};
}

/**
 * tce2_table_end() - find the end of the lowest-level table of an entry
 * @table: the table
 * @index: the entry
 *
 * Return: the first entry of the next lowest-level table; the largest number if the table
 * has a single level.
 */
static inline u64 tce2_table_end(const struct tce2_table *table, u64 index)
{
	if (!table->tbl->it_indirect_levels)
		return ~0ULL;
	return (index | ((1ULL << table->level_bits) - 1)) + 1;
}

/**
 * tce2_table_find() - find a TCE that may be stored directly
 * @table: the table
 * @index: the entry
 *
 * Context: any.
 * Return: address of the TCE; the following TCEs of the same lowest-level table are
 * adjacent. NULL if the platform has to write the TCE.
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
 * tce2_table_kill() - invalidate the cached translations of entries
 * @table: the table
 * @index: first entry
 * @count: number of entries, more than 0; the time may grow with @count
 *
 * After a change of a TCE, its cached translation must be invalidated (LoPAR 3.2.2.2,
 * R2-3.2.2.2-7; OPAL_PCI_TCE_KILL).
 *
 * Context: any.
 */
static __always_inline void tce2_table_kill(const struct tce2_table *table,
					    u64 index, u64 count)
{
	struct iommu_table *tbl = table->tbl;

	/* Complete the stores before firmware makes devices read the entries again */
	mb();
	if (!table->ops->tce_kill)
		return;
	/*
	 * The platform walks the table's list of groups. Hot-unplug removes a group's
	 * link from that list and frees the link after a grace period, even if
	 * references to the group exist. On a preemptible kernel, only an RCU
	 * read-side section keeps the link from being freed during the walk
	 * (pnv_pci_ioda2_tce_invalidate(), pnv_pci_unlink_table_and_group()).
	 */
	rcu_read_lock();
	table->ops->tce_kill(tbl, tbl->it_offset + index, count);
	rcu_read_unlock();
}

/**
 * tce2_table_invalidate_few() - make devices see changed entries, without sleeping
 * @table: the table
 * @index: first entry
 * @count: number of entries, more than 0, at most TCE2_VIEW_LEAF
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
 * A TCE may be write-only (LoPAR 3.2.2.2). But Linux on powernv also makes each writable
 * page readable for the device (pnv_tce_xchg()), and so does this function.
 *
 * Return: the TCE, in the processor's byte order.
 */
static __always_inline u64 tce2_make_tce(u64 hpa, u64 perm)
{
	return hpa | TCE_PCI_READ |
	       (perm & TCE2_PERM_WRITE ? TCE_PCI_WRITE : 0);
}

/**
 * tce2_table_take_out() - clear and invalidate one TCE, without sleeping
 * @table: the table
 * @index: the entry, which the caller holds
 *
 * After a return of 0, no device uses the entry's old translation any more.
 *
 * Context: any context that may take a spinlock.
 * Return: 0; -EIO if the platform refuses to clear the TCE.
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
