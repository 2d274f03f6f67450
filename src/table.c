// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCE table: writes the table that the hardware walks, and invalidates translations.
 *
 * Owns every write to a table and the invalidation that makes devices see the write.
 * Also owns the charge for a table. With a single level, the charge is for the whole
 * table, otherwise for the root and each lower table that exists. Entries are counted
 * from the window's start. This file does not look up user addresses or regions.
 *
 * On powernv the table is in memory. The hardware (IODA2) defines the format, so no
 * kernel can change it. An entry is a big-endian doubleword with an address and two
 * permission bits (LoPAR 3.2.2.2, TCE Definition). The tables form a tree (pnv_tce(),
 * powernv/pci-ioda-tce.c). This file stores entries directly, with a few instructions
 * each. The platform's function would walk the tree for every entry.
 * Direct stores begin only after the platform has written an entry of the same table
 * in this format. Before that, the platform's functions write the entries. Afterwards
 * this file also makes the lower tables of the tree.
 *
 * On pseries the table belongs to the hypervisor. This file passes lists of TCEs to the
 * hypervisor (H_PUT_TCE_INDIRECT). The platform's functions write single entries. They write
 * all entries if the hypervisor does not support lists.
 *
 * KVM writes to the same tables through their it_ops, which src/kvm.c has
 * replaced. This file calls only the platform's ops.
 *
 * Locks: struct tce2_table.lock. The caller holds the entries.
 * Calls: platform (to make the root), software, range (tce2_must_stop()); the platform's ops
 * for the table, and the hypervisor.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/build_bug.h>
#include <linux/dma-direction.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <asm/barrier.h>
#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <asm/iommu.h>
#include <asm/page.h>
#include <asm/tce.h>

#include "tce2_extents.h"
#include "tce2_platform.h"
#include "tce2_range.h"
#include "tce2_software.h"
#include "tce2_table.h"
#include "tce2_view.h"
#include "tce2_why.h"

/* Page Mapping and Control bits (LoPAR 3.2.2.2, TCE Definition) */
#define TCE_PERM	(TCE_PCI_READ | TCE_PCI_WRITE)

/*
 * A list of TCEs is a page of 4 KiB, whatever the size of the kernel's pages
 * (LoPAR 14.5.4.2.4, H_PUT_TCE_INDIRECT)
 */
#define LIST_BYTES	4096
#define LIST_TCES	(LIST_BYTES / sizeof(__be64))

/*
 * Number of entries to invalidate in one call, limited because the call can take long.
 * Firmware before skiboot v7.0 invalidates page by page, with interrupts off
 * (opal_call()). On PHB4 and PHB5, later firmware invalidates all of the PE's
 * translations at once (HW560152; phb4_tce_kill(), skiboot hw/phb4.c). On PHB3 the
 * kernel writes a register for each page (pnv_pci_phb3_tce_invalidate()).
 */
#define INVALIDATE_BATCH	8192

/* Returns the platform's number of an entry, counted from bus address 0 */
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

/* Charges pages to the process that owns the table; on error, charges nothing */
static int charge_add(struct tce2_charge *charge, unsigned long pages)
{
	int ret = account_locked_vm(charge->mm, pages, true);

	if (ret)
		return tce2_refuse(ret, TCE2_WHY_MEMLOCK);
	charge->pages += pages;
	return 0;
}

static void charge_remove(struct tce2_charge *charge, unsigned long pages)
{
	account_locked_vm(charge->mm, pages, false);
	charge->pages -= pages;
}

/**
 * tce2_charge_refund() - refund the charge for a table
 * @charge: the charge; 0 pages afterwards
 *
 * Context: may sleep.
 */
void tce2_charge_refund(struct tce2_charge *charge)
{
	if (charge->pages)
		charge_remove(charge, charge->pages);
}

/**
 * tce2_table_create() - make and charge an empty table
 * @table: zeroed memory for the table
 * @tg: the table group that makes the table
 * @slot: the window's slot
 * @spec: the window's size, page size and levels, checked by the caller
 * @mm: the mm to charge
 * @hurry: counts of the writers of the owner's lock
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM if an allocation fails or the charge exceeds RLIMIT_MEMLOCK; or
 * another error of tce2_platform_create_table(). After an error, nothing is charged.
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
	/* Platforms without multi-level tables do not set it_level_size */
	table->level_bits = tbl->it_indirect_levels ?
			    ilog2(tbl->it_level_size) : 0;
	/* A hypervisor's table has no address */
	table->layout = tbl->it_base ? TCE2_TABLE_UNSEEN : TCE2_TABLE_PLATFORM;
	if (tce2_is_software(tg))
		table->layout = TCE2_TABLE_NONE;
	mutex_init(&table->lock);
	xa_init_flags(&table->leaves, XA_FLAGS_ACCOUNT);
	return 0;
}

/**
 * tce2_table_release() - put the window's reference to its table
 * @table: the table; it is empty, and no thread maps in it any more
 * @unset: the table is not in a slot of any group any more
 *
 * If @unset is false, hardware may still walk the table, so the table is never freed.
 * The table is empty, so the leak costs only memory.
 *
 * Context: may sleep.
 * Return: the charge, which the caller refunds when the table is freed. KVM's
 * references may delay this. If the table is leaked, the function itself refunds the
 * charge, and returns an empty charge.
 */
struct tce2_charge tce2_table_release(struct tce2_table *table, bool unset)
{
	struct tce2_charge charge = table->charge;

	table->charge.pages = 0;
	kfree(table->list);
	xa_destroy(&table->leaves);
	if (unset) {
		iommu_tce_table_put(table->tbl);
		return charge;
	}
	pr_err_ratelimited("platform did not remove the window at %#lx: leaking its TCE table\n",
			   table->tbl->it_offset << table->tbl->it_page_shift);
	tce2_charge_refund(&charge);
	return charge;
}

/**
 * tce2_table_move() - charge a table to another mm from now on
 * @table: the table
 * @mm: the mm, to which the caller has charged the pages of the table; must stay allocated
 *	as long as the table is charged
 *
 * The caller refunds the charge of the old mm.
 *
 * Context: may sleep; no thread makes a level of the table.
 * Return: number of pages that are charged for the table.
 */
u64 tce2_table_move(struct tce2_table *table, struct mm_struct *mm)
{
	u64 pages;

	mutex_lock(&table->lock);
	table->charge.mm = mm;
	pages = table->charge.pages;
	mutex_unlock(&table->lock);
	return pages;
}

/**
 * tce2_table_walk() - find a TCE in a table in memory
 * @table: the table
 * @index: the entry
 *
 * The tree of tables has IODA2's format (pnv_tce()). PAPR's tables have one level
 * (LoPAR 7.3.27.2).
 *
 * Context: any.
 * Return: address of the TCE; the following TCEs of the same lowest-level table are
 * adjacent. NULL if the lowest-level table does not exist yet.
 */
__be64 *tce2_table_walk(const struct tce2_table *table, u64 index)
{
	const struct iommu_table *tbl = table->tbl;
	unsigned long level = tbl->it_indirect_levels;
	__be64 *tces = (__be64 *)tbl->it_base;
	u64 mask = tbl->it_level_size - 1;

	for (; level; level--) {
		u64 slot = (index >> (level * table->level_bits)) & mask;
		u64 tce = be64_to_cpu(READ_ONCE(tces[slot]));

		/* Devices may read and write through each lower table */
		if ((tce & TCE_PERM) != TCE_PERM || !pfn_valid(PHYS_PFN(tce)))
			return NULL;
		tces = __va(tce & ~TCE_PERM);
		index &= (1ULL << (level * table->level_bits)) - 1;
	}
	return tces + index;
}

/*
 * Stores adjacent TCEs that map contiguous memory. The store of an aligned doubleword is
 * atomic. A plain store and barrier() let the compiler use a byte-reversed store (stdbrx);
 * WRITE_ONCE() does not.
 */
static __always_inline void table_store_run(__be64 *tces, u64 count, u64 tce, u64 step)
{
	for (; count > 1; count -= 2) {
		tces[0] = cpu_to_be64(tce);
		tce += step;
		barrier();
		tces[1] = cpu_to_be64(tce);
		tce += step;
		barrier();
		tces += 2;
	}
	if (count)
		*tces = cpu_to_be64(tce);
}

/* Stores adjacent TCEs of IOMMU pages that are smaller than a block */
static __always_inline void table_store_parts(__be64 *tces,
					      const struct tce2_blocks *blocks,
					      u64 bits)
{
	u64 step = 1ULL << blocks->page_shift, offset = blocks->offset;
	const u64 *entry = blocks->entry;
	u64 pages = blocks->pages;

	do {
		u64 hpa = (READ_ONCE(*entry++) & ~TCE2_EXTENT_FLAGS) + offset;
		u64 count = min(pages, ((1ULL << blocks->shift) - offset) >>
				blocks->page_shift);

		table_store_run(tces, count, hpa | bits, step);
		tces += count;
		pages -= count;
		offset = 0;
	} while (pages);
}

/* Stores adjacent TCEs of IOMMU pages that each begin with a block */
static __always_inline void table_store_blocks(__be64 *tces,
					       const struct tce2_blocks *blocks,
					       u64 bits)
{
	u64 stride = 1ULL << (blocks->page_shift - blocks->shift);
	const u64 *entry = blocks->entry;
	u64 pages;

	for (pages = blocks->pages; pages; pages--) {
		*tces++ = cpu_to_be64((READ_ONCE(*entry) & ~TCE2_EXTENT_FLAGS) | bits);
		entry += stride;
		barrier();
	}
}

/* Stores adjacent TCEs that map the pages of @blocks, each with the low bits @bits */
static __always_inline void table_store_tces(__be64 *tces,
					     const struct tce2_blocks *blocks, u64 bits)
{
	if (blocks->page_shift < blocks->shift)
		table_store_parts(tces, blocks, bits);
	else
		table_store_blocks(tces, blocks, bits);
}

/*
 * Finds an entry that the platform has just written, and sets the table's layout if it
 * is not known yet. Returns NULL if the platform has to write TCEs.
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
 * Returns the number of tables that are missing in the hardware's tree for lowest-level
 * table number @leaf: this table, and each table above it that has no charged table
 * below. The root was made with the window.
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
 * Charges the missing hardware tables for an entry. The platform makes no copies of these
 * tables for user addresses (it_userspace): only KVM requests such copies, and KVM calls
 * the ops of src/kvm.c instead.
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
 * Locks the mutex that protects the levels of the table. Many requests may queue for the
 * mutex while its owner waits for mmap_lock. So after a stoppable request has got the
 * mutex, it checks whether it has to stop. Returns 0, or an error of tce2_must_stop() if
 * @stoppable is true.
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
 * tce2_table_prepare() - charge the tables that a write to an entry will make
 * @table: the table
 * @index: the entry, which the caller holds
 *
 * One call covers all entries of the same lowest-level table.
 *
 * Context: may sleep; the caller holds the owner's lock for reading.
 * Return: 0; -ENOMEM if an allocation fails or the charge exceeds RLIMIT_MEMLOCK; -EINTR
 * or -EAGAIN from tce2_must_stop().
 */
int tce2_table_prepare(struct tce2_table *table, u64 index)
{
	u64 leaf;
	int ret = 0;

	if (!table->tbl->it_indirect_levels)
		return 0;
	leaf = index >> table->level_bits;
	/* An existing table was charged before it was made */
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

/* Exchanges an entry through the platform, without invalidation */
static int table_exchange(struct tce2_table *table, u64 index, u64 hpa, u64 perm)
{
	enum dma_data_direction direction = table_direction(perm);
	struct iommu_table *tbl = table->tbl;
	unsigned long addr = hpa;
	long ret = table->ops->xchg_no_kill(tbl, table_it_index(table, index),
					    &addr, &direction);

	/* -ENOMEM if a level can't be allocated, else a firmware or hypervisor code */
	if (ret)
		return ret == -ENOMEM ? -ENOMEM : -EIO;
	return 0;
}

/*
 * Writes a range through the platform, which also invalidates the entries. The RCU
 * read-side section is for the platform's walk of groups, see tce2_table_kill().
 */
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

/* Clears a range through the platform, which also invalidates the entries */
static void table_clear_run(struct tce2_table *table, u64 index, u64 count)
{
	rcu_read_lock();
	table->ops->clear(table->tbl, table_it_index(table, index), count);
	rcu_read_unlock();
}

/* Returns true if the entries of a range are as written */
static bool table_is_written(struct tce2_table *table, u64 index, u64 count, u64 tce)
{
	struct iommu_table *tbl = table->tbl;
	u64 i;

	for (i = 0; i < count; i++) {
		if (table->ops->get(tbl, table_it_index(table, index + i)) !=
		    tce + (i << tbl->it_page_shift))
			return false;
	}
	return true;
}

/*
 * Writes a range of contiguous memory through the platform, and reads all entries back:
 * the platform does not report each error, and an old entry might still map memory that is
 * about to be dropped (tce_buildmulti_pSeriesLP()). If an entry is wrong, exchanges the
 * entries one by one, because an exchange reports errors. Also exchanges write-only entries
 * one by one, because the platform's function for ranges would make the memory readable for
 * the device (tce_buildmulti_pSeriesLP(), tce_exchange_pseries()).
 */
static int table_write_run(struct tce2_table *table, u64 index, u64 count, u64 hpa,
			   u64 perm)
{
	u64 i;
	int ret;

	if (count > 1 && (perm & TCE2_PERM_READ) &&
	    !table_set_run(table, index, count, hpa, perm) &&
	    table_is_written(table, index, count, tce2_make_tce(hpa, perm)))
		return 0;
	for (i = 0; i < count; i++) {
		ret = table_exchange(table, index + i,
				     hpa + (i << table->tbl->it_page_shift), perm);
		if (ret)
			return ret;
	}
	return 0;
}

/* Returns the number of contiguous pages at the beginning of @blocks, at least 1 */
static u64 table_run_length(const struct tce2_blocks *blocks)
{
	u64 hpa = tce2_blocks_hpa(blocks, 0), count;

	for (count = 1; count < blocks->pages; count++) {
		hpa += 1ULL << blocks->page_shift;
		if (tce2_blocks_hpa(blocks, count) != hpa)
			break;
	}
	return count;
}

/* Writes TCEs through the platform, with one call for each contiguous range */
static int table_write_runs(struct tce2_table *table, u64 index,
			    const struct tce2_blocks *blocks, u64 perm)
{
	struct tce2_blocks rest = *blocks;

	while (rest.pages) {
		u64 count = table_run_length(&rest);
		int ret = table_write_run(table, index, count,
					  tce2_blocks_hpa(&rest, 0), perm);

		if (ret)
			return ret;
		index += count;
		tce2_blocks_skip(&rest, count);
	}
	return 0;
}

/* Exchanges TCEs one by one, because an exchange reports errors */
static int table_exchange_each(struct tce2_table *table, u64 index,
			       const struct tce2_blocks *blocks, u64 perm)
{
	u64 i;

	for (i = 0; i < blocks->pages; i++) {
		int ret = table_exchange(table, index + i, tce2_blocks_hpa(blocks, i),
					 perm);

		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Takes memory for a list of TCEs: the list that the table keeps, unless another thread
 * uses it, or new memory. Returns NULL if the hypervisor takes no lists, or no memory is
 * free. A kernel without CONFIG_PPC_PSERIES has no hypercalls.
 */
static __be64 *table_take_list(struct tce2_table *table, u64 tces, enum tce2_write how)
{
	const gfp_t gfp = how == TCE2_WRITE_RESTORE ?
			  GFP_NOWAIT | __GFP_ACCOUNT :
			  GFP_KERNEL_ACCOUNT | __GFP_NORETRY;

	if (!IS_ENABLED(CONFIG_PPC_PSERIES) || table->tbl->it_base ||
	    tces < 2 || tces > LIST_TCES ||
	    !firmware_has_feature(FW_FEATURE_PUT_TCE_IND))
		return NULL;
	/* The slab allocator aligns objects of a power of two to their size */
	return xchg(&table->list, NULL) ?: kmalloc(LIST_BYTES, gfp | __GFP_NOWARN);
}

/*
 * Keeps a list for the next write. The allocation of a list costs as much as filling it, if
 * the kernel clears memory that it allocates (init_on_alloc).
 */
static void table_keep_list(struct tce2_table *table, __be64 *list)
{
	if (cmpxchg(&table->list, NULL, list))
		kfree(list);
}

/*
 * Lets the hypervisor write a list of TCEs, with one hypercall. Returns true if it has
 * written all of them: it returned no error, and the last entry reads back as written.
 * The hypervisor stores either all entries of a list or no entry (LoPAR 14.5.4.2.4), and
 * invalidates old translations itself.
 */
static bool table_put_list(struct tce2_table *table, u64 index,
			   const struct tce2_blocks *blocks, u64 perm, __be64 *list)
{
	struct iommu_table *tbl = table->tbl;
	unsigned long first = table_it_index(table, index);
	u64 last = blocks->pages - 1;

	/* TCE2_PERM_* are bits of a TCE, and PAPR's TCEs may be write-only */
	BUILD_BUG_ON(TCE2_PERM_READ != TCE_PCI_READ || TCE2_PERM_WRITE != TCE_PCI_WRITE);
	table_store_tces(list, blocks, perm);
	if (plpar_hcall_norets(H_PUT_TCE_INDIRECT, tbl->it_index,
			       first << tbl->it_page_shift, __pa(list),
			       blocks->pages))
		return false;
	return table->ops->get(tbl, first + last) == be64_to_cpu(list[last]);
}

/* Writes TCEs through the platform, or with a hypercall of this module */
static int table_write_by_platform(struct tce2_table *table, u64 index,
				   const struct tce2_blocks *blocks, u64 perm,
				   enum tce2_write how)
{
	__be64 *list;
	bool written;

	if (tce2_table_is_software(table))
		return 0;
	list = table_take_list(table, blocks->pages, how);
	if (!list)
		return table_write_runs(table, index, blocks, perm);
	written = table_put_list(table, index, blocks, perm, list);
	table_keep_list(table, list);
	return written ? 0 : table_exchange_each(table, index, blocks, perm);
}

/*
 * Makes a lower table, and enters its address in the entry @slot of the table above. Returns
 * the entry; 0 if the allocation fails.
 */
static __be64 table_add_lower(const struct iommu_table *tbl, __be64 *slot)
{
	/* Tables are charged to locked_vm, and not to the memory cgroup */
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY;
	unsigned int order = get_order(tbl->it_level_size * sizeof(u64));
	struct page *page = alloc_pages_node(tbl->it_nid, gfp, order);
	__be64 tce, other;

	if (!page)
		return 0;
	tce = cpu_to_be64(__pa(page_address(page)) | TCE_PERM);
	/* KVM's hooks make lower tables through the platform, without the mutex */
	other = (__force __be64)cmpxchg((__force u64 *)slot, 0, (__force u64)tce);
	if (other)
		__free_pages(page, order);
	return other ?: tce;
}

/*
 * Makes the missing lower tables for an entry, in the format in which the platform makes
 * them: it has made at least one lower table of this tree, and tce2_table_walk() has found
 * an entry there. The platform frees them with the tree, like its own (pnv_tce(),
 * pnv_pci_ioda2_table_do_free_pages()). The platform itself would allocate with GFP_ATOMIC,
 * print an error for each failure, and clear the memory a second time.
 */
static int table_add_levels(struct tce2_table *table, u64 index)
	__must_hold(&table->lock)
{
	const struct iommu_table *tbl = table->tbl;
	unsigned long level = tbl->it_indirect_levels;
	__be64 *tces = (__be64 *)tbl->it_base;

	lockdep_assert_held(&table->lock);
	for (; level; level--) {
		unsigned long bits = level * table->level_bits;
		__be64 *slot = &tces[(index >> bits) & (tbl->it_level_size - 1)];
		__be64 tce = READ_ONCE(*slot) ?: table_add_lower(tbl, slot);

		if (!tce)
			return -ENOMEM;
		tces = __va(be64_to_cpu(tce) & ~TCE_PERM);
	}
	return 0;
}

/* Checks that the levels that the platform may make for the first entry can be allocated */
static int table_check_memory(const struct tce2_table *table)
{
	const struct iommu_table *tbl = table->tbl;

	if (!tbl->it_indirect_levels)
		return 0;
	return tce2_platform_can_allocate(tbl->it_level_size * sizeof(u64),
					  tbl->it_indirect_levels) ? 0 : -ENOMEM;
}

/*
 * Makes the missing lower tables for an entry, or lets the platform make them while it writes
 * the entry. The platform takes no lock. So this module serializes its threads: otherwise
 * two threads could make the same lower table, and one of them would free its table again.
 */
static int table_make_level(struct tce2_table *table, u64 index, u64 hpa, u64 perm,
			    enum tce2_write how)
{
	bool restores = how == TCE2_WRITE_RESTORE;
	int ret = table_lock_levels(table, !restores);

	if (ret)
		return ret;
	if (restores)
		ret = table_exchange(table, index, hpa, perm);
	else if (tce2_table_in_memory(table))
		ret = table_add_levels(table, index);
	else
		ret = table_check_memory(table) ?: table_exchange(table, index, hpa, perm);
	mutex_unlock(&table->lock);
	return ret;
}

/* Moves the cursor to the lowest-level table of an entry, whose TCE is at @tces */
static void table_move_cursor(const struct tce2_table *table, struct tce2_cursor *cursor,
			      u64 index, __be64 *tces)
{
	u64 end = tce2_table_end(table, index);
	u64 first = table->tbl->it_indirect_levels ?
		    end - (1ULL << table->level_bits) : 0;

	*cursor = (struct tce2_cursor){
		.tces = tces - (index - first),
		.first = first,
		.count = end - first,
	};
}

/*
 * Finds the lowest-level table of an entry for tce2_table_write(). If this table does not
 * exist, writes the entry through the platform, which then makes the table. The platform's
 * function for ranges does not check for an allocation failure before it writes to a new
 * table (pnv_tce_build()). So this function calls the platform's function for single entries,
 * which does check (pnv_tce_xchg()). Returns 0
 * if the cursor has moved to the table, 1 if the platform has written all entries, or a
 * negative error.
 */
static noinline int table_find_lowest(struct tce2_table *table,
				      struct tce2_cursor *cursor, u64 index,
				      const struct tce2_blocks *blocks, u64 perm,
				      enum tce2_write how)
{
	__be64 *tces = tce2_table_find(table, index);
	int ret;

	if (!tces && table->tbl->it_base) {
		u64 hpa = tce2_blocks_hpa(blocks, 0);

		ret = table_make_level(table, index, hpa, perm, how);
		if (ret)
			return ret;
		tces = table_learn_layout(table, index, tce2_make_tce(hpa, perm));
	}
	if (!tces)
		return table_write_by_platform(table, index, blocks, perm, how) ?: 1;
	table_move_cursor(table, cursor, index, tces);
	return 0;
}

/**
 * tce2_table_write() - write TCEs
 * @table: the table
 * @cursor: the cursor of the thread's writes, from tce2_table_cursor()
 * @index: first entry; the caller holds and has prepared all entries
 * @blocks: the memory to map, one page for each entry; all entries are in one
 *	lowest-level table
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 * @how: the reason for the write
 *
 * Devices may see the old entries until tce2_table_invalidate().
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 0; -ENOMEM or -EIO, after which some entries may have been written; -EINTR or
 * -EAGAIN from tce2_must_stop(), except with TCE2_WRITE_RESTORE.
 */
int tce2_table_write(struct tce2_table *table, struct tce2_cursor *cursor, u64 index,
		     const struct tce2_blocks *blocks, u64 perm, enum tce2_write how)
{
	if (index - cursor->first >= cursor->count) {
		int ret = table_find_lowest(table, cursor, index, blocks, perm, how);

		if (ret)
			return min(ret, 0);
	}
	table_store_tces(cursor->tces + (index - cursor->first), blocks,
			 tce2_make_tce(0, perm));
	return 0;
}

/**
 * tce2_table_store() - store adjacent TCEs, without sleeping
 * @tces: address of the first TCE, from tce2_table_find()
 * @blocks: the memory to map, one page for each TCE
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 *
 * Devices may see the old entries until tce2_table_invalidate_few().
 *
 * Context: any; the caller holds the entries, all in one lowest-level table.
 */
void tce2_table_store(__be64 *tces, const struct tce2_blocks *blocks, u64 perm)
{
	table_store_tces(tces, blocks, tce2_make_tce(0, perm));
}

/* Adds entries to @stale, but first invalidates old entries that are not adjacent */
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

/* Returns true if the entries of a range, starting with number @first, are clear */
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
 * The hypervisor has cleared a range of @count entries. Returns the number of the first
 * entry in the range to read back. A call of H_STUFF_TCE stops at the first refused entry,
 * and Linux does not report the error. Then the last entry shows the result, if this entry
 * was mapped. Without H_STUFF_TCE, Linux continues after a refused entry, so all entries
 * must be read (tce_freemulti_pSeriesLP()). By LoPAR, the call clears either all entries or
 * no entry (14.5.4.2.3, H_STUFF_TCE). The last entry also shows this result.
 */
static u64 table_first_to_verify(u64 count)
{
	return firmware_has_feature(FW_FEATURE_STUFF_TCE) ? count - 1 : 0;
}

/*
 * Clears a range through the platform, in one call if possible (H_STUFF_TCE), and reads
 * the mapped entries back. If an entry is not clear, exchanges all entries one by one.
 * The platform invalidates the entries that it clears, and skips a missing table
 * (pnv_tce_free()).
 */
static int table_clear_by_platform(struct tce2_table *table, u64 index, u64 count,
				   u64 mapped)
{
	struct iommu_table *tbl = table->tbl;
	u64 i, first = 0;
	int ret = 0;

	if (tce2_table_is_software(table))
		return 0;
	table_clear_run(table, index, count);
	iommu_flush_tce(tbl);
	if (!mapped)
		return 0;
	if (mapped == TCE2_TABLE_ANY)
		mapped = count;
	else
		first = table_first_to_verify(mapped);
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
 * tce2_table_clear() - clear TCEs, mapped or not
 * @table: the table
 * @index: first entry; the caller holds all entries
 * @count: number of entries, more than 0, all in one lowest-level table
 * @mapped: number of entries from @index to the last mapped entry, 0 if no entry is
 *	mapped, or TCE2_TABLE_ANY if unknown; ignored if TCEs are stored directly
 * @stale: entries that the caller must still invalidate; the function adds to it
 *
 * Devices may see the old entries until the caller passes @stale to
 * tce2_table_invalidate().
 *
 * Context: may sleep; does not sleep if @count is 1 and @stale is empty.
 * Return: 0; -EIO if the platform did not clear all entries.
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
 * tce2_table_exchange_none() - clear one TCE through the platform, without sleeping
 * @table: the table, for which tce2_table_find() returns NULL
 * @index: the entry, which the caller holds
 *
 * Context: any context that may take a spinlock.
 * Return: 0; -EIO if the platform refuses.
 */
int tce2_table_exchange_none(struct tce2_table *table, u64 index)
{
	return table_exchange(table, index, 0, 0);
}

/**
 * tce2_table_exchange_page() - write one TCE through the platform, without sleeping
 * @table: a table without an address, which has a single level
 * @index: the entry, which the caller holds, mapped or not
 * @hpa: host physical address, a multiple of the IOMMU page size
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both
 *
 * Context: any context that may take a spinlock.
 * Return: 0; -EIO if the platform refuses, which may have written the entry.
 */
int tce2_table_exchange_page(struct tce2_table *table, u64 index, u64 hpa, u64 perm)
{
	return table_exchange(table, index, hpa, perm) ? -EIO : 0;
}

/**
 * tce2_table_invalidate() - make devices see changed entries
 * @table: the table
 * @index: first entry
 * @count: number of entries, may be 0
 *
 * After the return, no device uses an old translation of these entries. Before that, the
 * caller must not drop the memory that the old entries mapped.
 *
 * Context: may sleep.
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
