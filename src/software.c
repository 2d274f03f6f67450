// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software windows: a table group without hardware, for containers with emulated devices only.
 *
 * Owns the rules of such a group: page sizes, slots and addresses of its windows. An emulated
 * device reaches memory through its driver and src/access.c, which read the view of a window.
 * No hardware walks a table. So a software table has no entries: the view is the only record
 * (TCE2_TABLE_NONE).
 *
 * Locks: none. The caller holds the lock of struct tce2_ddw for writing.
 * Calls: nothing of this project.
 */
#include <linux/kref.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <asm/iommu.h>

#include "tce2_software.h"

/* Address of the window in slot 1, as on powernv (phb4_map_pe_dma_window(), skiboot hw/phb4.c) */
#define SLOT_1_START	BIT_ULL(59)

/* As on powernv with a 32-bit window of 2 GiB */
#define DEFAULT_SIZE	SZ_2G

/* Page sizes that a platform of this kernel offers. Smaller blocks can't be mapped with them. */
#define PAGE_SIZES	(SZ_4K | SZ_64K | SZ_2M | SZ_16M | SZ_1G)

/* As on powernv. The number has no effect, but clients try several numbers. */
#define MAX_LEVELS	5

/* Brief requests exchange single entries (src/page.c); there is nothing to exchange */
static int software_xchg(struct iommu_table *tbl, long index, unsigned long *hpa,
			 enum dma_data_direction *direction)
{
	return 0;
}

/* iommu_tce_table_put() frees the structure, because it_map is NULL */
static void software_free(struct iommu_table *tbl)
{
}

static struct iommu_table_ops software_table_ops = {
	.xchg_no_kill	= software_xchg,
	.free		= software_free,
};

static long software_create_table(struct iommu_table_group *tg, int slot, u32 page_shift,
				  u64 size, u32 levels, struct iommu_table **tblp)
{
	struct iommu_table *tbl = kzalloc(sizeof(*tbl), GFP_KERNEL_ACCOUNT);

	if (!tbl)
		return -ENOMEM;
	kref_init(&tbl->it_kref);
	tbl->it_ops = &software_table_ops;
	tbl->it_page_shift = page_shift;
	tbl->it_offset = (slot ? SLOT_1_START : 0) >> page_shift;
	tbl->it_size = size >> page_shift;
	*tblp = tbl;
	return 0;
}

static long software_set_window(struct iommu_table_group *tg, int slot,
				struct iommu_table *tbl)
{
	tg->tables[slot] = iommu_tce_table_get(tbl);
	return 0;
}

static long software_unset_window(struct iommu_table_group *tg, int slot)
{
	struct iommu_table *tbl = tg->tables[slot];

	tg->tables[slot] = NULL;
	if (tbl)
		iommu_tce_table_put(tbl);
	return 0;
}

static struct iommu_table_group_ops software_group_ops = {
	.create_table	= software_create_table,
	.set_window	= software_set_window,
	.unset_window	= software_unset_window,
};

/**
 * tce2_software_init() - make a table group without hardware
 * @tg: zeroed memory for the table group
 *
 * Tables of hardware can also be set in the slots of this group. Then nothing walks them, until
 * a group with hardware joins.
 *
 * Context: any.
 */
void tce2_software_init(struct iommu_table_group *tg)
{
	tg->tce32_size = DEFAULT_SIZE;
	tg->pgsizes = PAGE_SIZES;
	tg->max_dynamic_windows_supported = IOMMU_TABLE_GROUP_MAX_TABLES;
	tg->max_levels = MAX_LEVELS;
	tg->ops = &software_group_ops;
}

/**
 * tce2_is_software() - check whether a table group has no hardware
 * @tg: the table group
 *
 * Context: any.
 * Return: true for a group of tce2_software_init().
 */
bool tce2_is_software(const struct iommu_table_group *tg)
{
	return tg->ops == &software_group_ops;
}
