/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TABLE_H
#define TCE2_TABLE_H

#include <linux/compiler.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct iommu_table;
struct mm_struct;

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
 * struct tce2_table - the TCE table that hardware walks for a window
 * @tbl: the kernel's table, immutable
 * @mm: whose locked_vm is charged, immutable
 * @level_bits: log2 of the entries in each table of a tree of them, immutable
 * @layout: see there; goes from unseen to one of the others once, without a
 *	lock
 * @lock: guards @leaves and @charged; who of this module has the platform make
 *	a level of the table holds it, too
 * @leaves: which lowest-level tables of the hardware are accounted for, by
 *	entry number / entries a table; unused with a single level
 * @charged: pages of locked_vm charged for the table
 *
 * A window too big for one table has a tree of them in hardware, and the
 * kernel makes the lower ones when an entry below is first written. Each such
 * table, and the copy of it that the kernel keeps for KVM, is charged to
 * locked_vm at that moment, and refunded with the window.
 *
 * An entry belongs to who holds it in the window's range lock.
 */
struct tce2_table {
	struct iommu_table *tbl;
	struct mm_struct *mm;
	unsigned int level_bits;
	enum tce2_table_layout layout;
	struct mutex lock;	/* guards leaves, charged */
	struct xarray leaves;
	unsigned long charged;
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

/* Any of the entries may be mapped, see tce2_table_clear() */
#define TCE2_TABLE_ANY	(~0ULL)

void tce2_table_init(struct tce2_table *table, struct iommu_table *tbl,
		     struct mm_struct *mm, unsigned long charged);
void tce2_table_destroy(struct tce2_table *table);

int tce2_table_prepare(struct tce2_table *table, u64 index);
int tce2_table_write(struct tce2_table *table, u64 index, u64 count, u64 hpa,
		     u64 perm, bool fresh);
int tce2_table_clear(struct tce2_table *table, u64 index, u64 count,
		     u64 mapped, struct tce2_stale *stale);
void tce2_table_invalidate(struct tce2_table *table, u64 index, u64 count);

/**
 * tce2_table_in_memory() - whether TCEs are stored without the platform's help
 * @table: the table
 *
 * Return: true if they are.
 */
static inline bool tce2_table_in_memory(const struct tce2_table *table)
{
	return READ_ONCE(table->layout) == TCE2_TABLE_MEMORY;
}

#endif /* TCE2_TABLE_H */
