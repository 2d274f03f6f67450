// SPDX-License-Identifier: GPL-2.0-only
/*
 * Platform: what powernv and pseries do with a table group's windows.
 *
 * Owns every call of a table group's operations except those for ownership
 * (include/tce2_compat.h), and every rule about windows that stems from one of the
 * two platforms: powernv, where the TCE tables are in this kernel's memory (IODA2),
 * and pseries, where the tables are the hypervisor's (PAPR). Handles a single table
 * group and a single table at a time. Does not know the container that they belong to.
 *
 * Locks: none. The caller has locked the container's groups and windows for writing,
 * except for functions that only read a table group, or use none.
 * Calls: nothing of this project; the platform's table group ops.
 */
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/topology.h>

#include "tce2_compat.h"
#include "tce2_platform.h"

/*
 * A table's levels and page size may span fewer bus address bits than this
 * (pnv_pci_ioda2_table_alloc_pages())
 */
#define MAX_BUS_ADDRESS_BITS	55

/*
 * log2 of the size limit of one level in a tree: 512 KiB, 8 pages of 64 KiB. The limit
 * is this module's own.
 */
#define MOST_LEVEL_SHIFT	19

/**
 * tce2_platform_is_papr() - check whether a group's TCE tables are the hypervisor's
 * @tg: the table group
 *
 * PAPR's tables have one level (LoPAR 7.3.27.2, ibm,create-pe-dma-window), and none are
 * offered where the hypervisor has no dynamic windows. IODA2's may have several levels
 * (OPAL_PCI_MAP_PE_DMA_WINDOW, POWERNV_IOMMU_MAX_LEVELS).
 *
 * Context: any.
 * Return: true on pseries.
 */
bool tce2_platform_is_papr(const struct iommu_table_group *tg)
{
	return tg->max_levels <= 1;
}

/**
 * tce2_platform_check_group() - check whether a group can have dynamic windows
 * @tg: the table group
 *
 * A hypervisor offers dynamic windows where the host bridge has the property
 * ibm,ddw-applicable (LoPAR 7.3.27; spapr_tce_init_table_group()).
 *
 * Context: any.
 * Return: 0; -EINVAL if the platform offers no dynamic windows for the group.
 */
int tce2_platform_check_group(const struct iommu_table_group *tg)
{
	const struct iommu_table_group_ops *ops = tg->ops;

	if (!tg->max_dynamic_windows_supported || !ops ||
	    !ops->get_table_size || !ops->create_table ||
	    !ops->set_window || !ops->unset_window)
		return -EINVAL;
	return 0;
}

/**
 * tce2_platform_can_share() - check whether two groups can use the same tables
 * @tg: a table group
 * @other: another one
 *
 * A hypervisor's table belongs to one group (LoPAR 3.2.2.2, R2-3.2.2.2-5). Tables in
 * memory are of one kind of hardware.
 *
 * Context: any.
 * Return: true if they can.
 */
bool tce2_platform_can_share(const struct iommu_table_group *tg,
			     const struct iommu_table_group *other)
{
	return !tce2_platform_is_papr(tg) &&
	       tg->ops->create_table == other->ops->create_table;
}

/**
 * tce2_platform_slot_refs() - count a table's references for a group's slot
 * @tg: the table group
 *
 * On powernv there are the platform's reference and one of this module's
 * (platform_holds_table()).
 *
 * Context: any.
 * Return: how many references there are while the table is in a slot of the group.
 */
unsigned int tce2_platform_slot_refs(const struct iommu_table_group *tg)
{
	return tce2_platform_is_papr(tg) ? 1 : 2;
}

/**
 * tce2_platform_clear_slots() - remove what powernv may have left in a group
 * @tg: the table group, of which the caller has just taken ownership
 *
 * If powernv lacked memory when the group was last given back, it may have left a
 * default window that it could not note with the group, in which a virtual function's
 * driver may have mapped something. It may also have left the bypass, in the place of
 * the other slot: powernv opens the bypass even without a default window, and through
 * the bypass devices reach all memory. powernv assumes that a group without a noted
 * table has neither (pnv_pci_ioda2_setup_default_config(), pnv_ioda2_take_ownership()).
 *
 * Context: may sleep.
 * Return: 0 or -EIO.
 */
int tce2_platform_clear_slots(struct iommu_table_group *tg)
{
	int slot, ret = 0;

	if (tce2_platform_is_papr(tg))
		return 0;
	for (slot = 0; slot < IOMMU_TABLE_GROUP_MAX_TABLES; slot++) {
		if (tg->ops->unset_window(tg, slot))
			ret = -EIO;
	}
	return ret;
}

/*
 * log2 of the bytes in each table of a tree of TCE tables, as powernv divides it:
 * index bits spread evenly over the levels, at least a page
 * (pnv_pci_ioda2_table_alloc_pages()). All levels have one size in hardware
 * (phb4_map_pe_dma_window(), skiboot hw/phb4.c).
 */
static unsigned int platform_level_shift(const struct tce2_window_spec *spec)
{
	unsigned int bits = ilog2(spec->size) - spec->page_shift;

	return max_t(unsigned int, DIV_ROUND_UP(bits, spec->levels) + 3,
		     PAGE_SHIFT);
}

/*
 * Returns log2 of the size limit of one level. The platform allocates lower
 * levels while a client maps, as often as the client likes, and a large allocation
 * fails more easily (tce2_platform_can_allocate()). A single level is allocated once,
 * with the window, so only the page allocator limits its size.
 */
static unsigned int platform_most_level_shift(const struct tce2_window_spec *spec)
{
	return spec->levels > 1 ? MOST_LEVEL_SHIFT :
	       PAGE_SHIFT + TCE2_MAX_PAGE_ORDER;
}

/**
 * tce2_platform_check_spec() - check a window before the platform is asked for it
 * @tg: a table group that is to have the window
 * @spec: the window
 * @pgsizes: IOMMU page sizes that all of the groups offer
 * @max_levels: levels that all of them offer
 *
 * Context: any.
 * Return: 0; -EINVAL if the platform offers no such window; -ENOMEM if a level would be
 * too large. Clients expect this error, and try again with more levels.
 */
int tce2_platform_check_spec(const struct iommu_table_group *tg,
			     const struct tce2_window_spec *spec, u64 pgsizes,
			     u32 max_levels)
{
	if (spec->page_shift > 63 || !(pgsizes & BIT_ULL(spec->page_shift)))
		return -EINVAL;
	if (!spec->levels || spec->levels > max_levels)
		return -EINVAL;
	if (!is_power_of_2(spec->size) ||
	    spec->size < BIT_ULL(spec->page_shift))
		return -EINVAL;
	if ((platform_level_shift(spec) - 3) * spec->levels + spec->page_shift >=
	    MAX_BUS_ADDRESS_BITS)
		return -EINVAL;
	if (!tce2_platform_is_papr(tg) &&
	    platform_level_shift(spec) > platform_most_level_shift(spec))
		return -ENOMEM;
	return 0;
}

/**
 * tce2_platform_check_place() - check whether a hypervisor has a place for a window
 * @tg: the table group that is to have the window
 * @spec: the window
 * @slot: its slot
 * @taken: the group has a window that is unlike the default one
 *
 * A hypervisor has one place for a window unlike the default one, whatever slot
 * Linux gives it. Asking for a second such window fails, and Linux then never asks
 * again for this device. Nor can the default window be made again beside such a window
 * (spapr_tce_create_table(), failed_ddw_pdn_list). LoPAR lets a hypervisor have more
 * places (7.3.27.1, ibm,query-pe-dma-window), but Linux uses one.
 *
 * Context: any.
 * Return: 0; -ENOSPC; -EPERM for the default window beside another one.
 */
int tce2_platform_check_place(const struct iommu_table_group *tg,
			      const struct tce2_window_spec *spec, int slot,
			      bool taken)
{
	if (!tce2_platform_is_papr(tg) || !taken)
		return 0;
	return !slot && spec->page_shift == TCE2_DEFAULT_PAGE_SHIFT &&
	       spec->size == tg->tce32_size ? -EPERM : -ENOSPC;
}

/**
 * tce2_platform_can_allocate() - check whether memory for tables can be allocated
 * @bytes: size of each table, a power of two
 * @tables: how many, a few
 *
 * The platform allocates tables with GFP_ATOMIC, which reclaims no memory, and prints
 * an error each time the allocation fails (pnv_alloc_tce_level()). This function tries
 * the same size first, with reclaim and without a message. It frees the memory again,
 * for the platform to allocate; another thread may allocate it before the platform
 * does. The memory is of the local node: like the platform, this function ignores the
 * process's memory policy.
 *
 * Context: may sleep.
 * Return: true if the allocation succeeded.
 */
bool tce2_platform_can_allocate(u64 bytes, unsigned int tables)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY;
	unsigned int order = get_order(bytes);
	struct page *page = alloc_pages_node(numa_mem_id(), gfp, order);
	bool all;

	if (!page)
		return false;
	all = tables == 1 || tce2_platform_can_allocate(bytes, tables - 1);
	__free_pages(page, order);
	return all;
}

/**
 * tce2_platform_table_pages() - count the pages that come with a new table
 * @tg: the table group that makes the table
 * @spec: the window
 *
 * With one level that is the whole table and the platform's userspace copy of it, or
 * the copy alone if the table is the hypervisor's. With more levels it is the root of
 * the table and the root of the copy. Lower levels are charged when mapping makes
 * them. The in-tree driver charges all levels in full at once: 1 TiB for a window of
 * 2^48 with 4 KiB pages, nearly none of which ever exists
 * (pnv_pci_ioda2_get_table_size(), pnv_pci_ioda2_table_alloc_pages()).
 *
 * Context: any.
 * Return: pages to be charged to locked_vm.
 */
unsigned long tce2_platform_table_pages(const struct iommu_table_group *tg,
					const struct tce2_window_spec *spec)
{
	unsigned long bytes;

	if (spec->levels == 1)
		bytes = tg->ops->get_table_size(spec->page_shift, spec->size,
						1);
	else
		bytes = 2UL << platform_level_shift(spec);
	return bytes >> PAGE_SHIFT;
}

/*
 * Error codes of the platform's hooks are errnos or those of the firmware
 * (OPAL_PCI_MAP_PE_DMA_WINDOW; pnv_pci_ioda2_set_window())
 */
static int platform_to_errno(long ret)
{
	switch (ret) {
	case 0:
	case -EINVAL:
	case -ENODEV:
	case -ENOMEM:
	case -EPERM:
		return ret;
	default:
		return -EIO;
	}
}

/**
 * tce2_platform_create_table() - have the platform make the table of a window
 * @tg: the table group that makes the table
 * @slot: the window's slot
 * @spec: the window, for which tce2_platform_check_spec() returned 0
 * @tbl: set to the table, with a reference for the caller
 *
 * The platform chooses the window's first bus address and stores it in the table. On
 * powernv slot 0 begins at the start of the 32-bit window, and slot 1 at 1 << 59
 * (phb4_map_pe_dma_window(), skiboot hw/phb4.c). On pseries the default window begins at
 * the start of the 32-bit window. The address of any other window comes from the
 * hypervisor (ibm,create-pe-dma-window).
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM, -EINVAL, -ENODEV, -EPERM or -EIO if the platform refuses.
 */
int tce2_platform_create_table(struct iommu_table_group *tg, int slot,
			       const struct tce2_window_spec *spec,
			       struct iommu_table **tbl)
{
	/* The table's first level, and the platform's copy of it */
	if (!tce2_platform_is_papr(tg) &&
	    !tce2_platform_can_allocate(1ULL << platform_level_shift(spec), 2))
		return -ENOMEM;
	return platform_to_errno(tg->ops->create_table(tg, slot, spec->page_shift,
						       spec->size, spec->levels, tbl));
}

/*
 * Returns true if this module has its own reference for a group's slot, besides the
 * platform's: where powernv has noted the table. If a device is added to a group in
 * use, powernv mistakes the first slot's table for one that it made itself, and puts
 * one reference too many (pnv_ioda2_take_ownership()). Nothing keeps powernv from doing
 * so while this module sets or unsets the slot, which is not safe.
 */
static bool platform_holds_table(const struct iommu_table_group *tg, int slot,
				 const struct iommu_table *tbl)
{
	return !tce2_platform_is_papr(tg) && tg->tables[slot] == tbl;
}

/**
 * tce2_platform_set_slot() - program a table into a slot of a group
 * @tg: the table group
 * @slot: the slot, which is free, or has the table already on pseries
 * @tbl: the table
 * @set: set to true if the caller has to undo it with tce2_platform_unset_slot()
 *
 * *@set can be true with an error, too: powernv returns 0 even if it had no memory to
 * note with the table that the group uses the table. Then powernv would never
 * invalidate what the group's devices have cached of the table
 * (pnv_pci_ioda2_set_window(), pnv_pci_link_table_and_group()).
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM, -EINVAL, -ENODEV, -EPERM or -EIO.
 */
int tce2_platform_set_slot(struct iommu_table_group *tg, int slot,
			   struct iommu_table *tbl, bool *set)
{
	int ret = platform_to_errno(tg->ops->set_window(tg, slot, tbl));

	*set = !ret;
	if (ret)
		return ret;
	if (tg->tables[slot] != tbl)
		return -ENOMEM;
	if (platform_holds_table(tg, slot, tbl))
		iommu_tce_table_get(tbl);
	return 0;
}

/**
 * tce2_platform_unset_slot() - take a table from a slot of a group
 * @tg: the table group
 * @slot: the slot
 * @tbl: the table, to which the caller has a reference
 *
 * Context: may sleep.
 * Return: true; false if the platform keeps the table there.
 */
bool tce2_platform_unset_slot(struct iommu_table_group *tg, int slot,
			      struct iommu_table *tbl)
{
	bool held = platform_holds_table(tg, slot, tbl);
	bool unset = !tg->ops->unset_window(tg, slot);

	/* Not the last reference: the caller has its own */
	if (held)
		iommu_tce_table_put(tbl);
	return unset;
}
