// SPDX-License-Identifier: GPL-2.0-only
/*
 * Platform: operations of powernv and pseries on a table group's windows.
 *
 * Owns every call of a table group's operations, except those for ownership
 * (include/tce2_compat.h). Also owns every rule about windows that comes from one of
 * the two platforms: powernv, with TCE tables in this kernel's memory (IODA2), and
 * pseries, with TCE tables of the hypervisor (PAPR). Handles a single table group and
 * a single table at a time, independent of their container.
 *
 * Locks: none. The caller holds the lock of struct tce2_ddw for writing, except for
 * functions that only read a table group, or that use no table group.
 * Calls: software; the platform's table group ops.
 */
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/topology.h>

#include "tce2_compat.h"
#include "tce2_platform.h"
#include "tce2_software.h"
#include "tce2_why.h"

/*
 * The levels and the page size of a table must together translate fewer bus address
 * bits than this (pnv_pci_ioda2_table_alloc_pages())
 */
#define MAX_BUS_ADDRESS_BITS	55

/* The end of the bus addresses that devices reach with 32-bit accesses */
#define END_OF_32_BITS		BIT_ULL(32)

/*
 * log2 of the largest size of a table in a multi-level table: 512 KiB, 8 pages of
 * 64 KiB. No platform or specification requires this limit.
 */
#define MOST_LEVEL_SHIFT	19

/**
 * tce2_platform_is_papr() - check whether a group's TCE tables belong to a hypervisor
 * @tg: the table group
 *
 * PAPR's tables have one level (LoPAR 7.3.27.2, ibm,create-pe-dma-window). max_levels is
 * 0 if the hypervisor offers no dynamic windows. IODA2's tables may have several levels
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
 * A hypervisor offers dynamic windows if the host bridge has the device tree property
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
		return tce2_refuse(-EINVAL, TCE2_WHY_NO_DYNAMIC_WINDOWS);
	return 0;
}

/**
 * tce2_platform_can_share() - check whether two groups can use the same tables
 * @tg: a table group
 * @other: another table group
 *
 * A hypervisor's table belongs to one group (LoPAR 3.2.2.2, R2-3.2.2.2-5). Groups can
 * share tables in memory if the hardware of both is of the same kind.
 *
 * Context: any.
 * Return: true if both groups can use the same tables.
 */
bool tce2_platform_can_share(const struct iommu_table_group *tg,
			     const struct iommu_table_group *other)
{
	return !tce2_platform_is_papr(tg) &&
	       tg->ops->create_table == other->ops->create_table;
}

/**
 * tce2_platform_slot_refs() - count the references to a table for a slot of a group
 * @tg: the table group
 *
 * On powernv, the platform and this module each have a reference
 * (platform_holds_table()). On pseries, only the platform has a reference.
 *
 * Context: any.
 * Return: the number of references to a table while it is in a slot of the group.
 */
unsigned int tce2_platform_slot_refs(const struct iommu_table_group *tg)
{
	return tce2_platform_is_papr(tg) ? 1 : 2;
}

/**
 * tce2_platform_clear_slots() - remove windows that powernv may have left in a group
 * @tg: the table group; the caller has just taken ownership of the group
 *
 * If powernv was out of memory when the group was last returned to it, the group may
 * still have two windows:
 *
 * - a default window in the first slot, which powernv could not record in the group.
 *   The driver of a virtual function may have mapped memory there.
 * - the bypass window at the bus address of the second slot, through which devices reach
 *   all memory. powernv opens the bypass even without a default window.
 *
 * powernv assumes that a group without a recorded table has neither window
 * (pnv_pci_ioda2_setup_default_config(), pnv_ioda2_take_ownership()).
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
 * Returns log2 of the bytes in each table of a multi-level table. powernv spreads the
 * index bits evenly over the levels, and a table has at least one page
 * (pnv_pci_ioda2_table_alloc_pages()). In hardware, the tables of all levels have the
 * same size (phb4_map_pe_dma_window(), skiboot hw/phb4.c).
 */
static unsigned int platform_level_shift(const struct tce2_window_spec *spec)
{
	unsigned int bits = ilog2(spec->size) - spec->page_shift;

	return max_t(unsigned int, DIV_ROUND_UP(bits, spec->levels) + 3,
		     PAGE_SHIFT);
}

/*
 * Returns log2 of the largest size of one table, in bytes. The lower tables of several
 * levels are allocated during map requests, and a large allocation is more likely to fail
 * (tce2_platform_can_allocate()). The client controls the number of allocations. A table of
 * a single level is allocated once, with the window, so only the page allocator limits its
 * size.
 */
static unsigned int platform_most_level_shift(const struct tce2_window_spec *spec)
{
	return spec->levels > 1 ? MOST_LEVEL_SHIFT :
	       PAGE_SHIFT + TCE2_MAX_PAGE_ORDER;
}

/**
 * tce2_platform_check_spec() - check a window before the platform creates it
 * @tg: a table group of the container
 * @spec: the window
 * @pgsizes: IOMMU page sizes that all groups of the container offer
 * @max_levels: number of levels that all groups of the container offer
 *
 * Context: any.
 * Return: 0; -EINVAL if the platform offers no such window; -ENOMEM if a level would be
 * too large. Clients expect -ENOMEM, and try again with more levels.
 */
int tce2_platform_check_spec(const struct iommu_table_group *tg,
			     const struct tce2_window_spec *spec, u64 pgsizes,
			     u32 max_levels)
{
	if (spec->page_shift > 63 || !(pgsizes & BIT_ULL(spec->page_shift)))
		return tce2_refuse(-EINVAL, TCE2_WHY_PAGE_SIZE);
	if (!spec->levels || spec->levels > max_levels)
		return tce2_refuse(-EINVAL, TCE2_WHY_LEVELS);
	if (!is_power_of_2(spec->size) ||
	    spec->size < BIT_ULL(spec->page_shift))
		return tce2_refuse(-EINVAL, TCE2_WHY_WINDOW_SIZE);
	if (tce2_is_software(tg))
		return spec->size > BIT_ULL(TCE2_SOFTWARE_SIZE_SHIFT) ?
		       tce2_refuse(-EINVAL, TCE2_WHY_WINDOW_TOO_LARGE) : 0;
	if ((platform_level_shift(spec) - 3) * spec->levels + spec->page_shift >=
	    MAX_BUS_ADDRESS_BITS)
		return tce2_refuse(-EINVAL, TCE2_WHY_WINDOW_TOO_LARGE);
	if (!tce2_platform_is_papr(tg) &&
	    platform_level_shift(spec) > platform_most_level_shift(spec))
		return tce2_refuse(-ENOMEM, TCE2_WHY_LEVEL_TOO_LARGE);
	return 0;
}

/**
 * tce2_platform_check_place() - check whether a hypervisor can make another window
 * @tg: the table group
 * @spec: the new window
 * @slot: the new window's slot
 * @taken: the group already has a window that is not the default window
 *
 * On pseries, a group can have only one window that is not the default window, in either
 * slot. A request for a second such window fails, and Linux then sends no further request
 * for this device (failed_ddw_pdn_list). The default window cannot be created while such
 * a window exists (spapr_tce_create_table()). LoPAR lets a hypervisor offer several such
 * windows (7.3.27.1, ibm,query-pe-dma-window), but Linux uses only one.
 *
 * Context: any.
 * Return: 0; -ENOSPC for a second window that is not the default window; -EPERM for the
 * default window if @taken is true.
 */
int tce2_platform_check_place(const struct iommu_table_group *tg,
			      const struct tce2_window_spec *spec, int slot,
			      bool taken)
{
	if (!tce2_platform_is_papr(tg) || !taken)
		return 0;
	if (!slot && spec->page_shift == TCE2_DEFAULT_PAGE_SHIFT &&
	    spec->size == tg->tce32_size)
		return tce2_refuse(-EPERM, TCE2_WHY_DEFAULT_BLOCKED);
	return tce2_refuse(-ENOSPC, TCE2_WHY_ONE_DYNAMIC_WINDOW);
}

/**
 * tce2_platform_count_places() - count the windows that the platform can make
 * @tg: the table group
 * @free: number of free slots
 * @taken: the group already has a window that is not the default window
 *
 * Context: any.
 * Return: the number of further windows other than the default window; see
 * tce2_platform_check_place().
 */
unsigned int tce2_platform_count_places(const struct iommu_table_group *tg,
					unsigned int free, bool taken)
{
	if (!tce2_platform_is_papr(tg))
		return free;
	return taken ? 0 : min(free, 1U);
}

/**
 * tce2_platform_get_caps() - describe tables and bus addresses for clients
 * @tg: the table group
 * @caps: set by this function
 *
 * In its own windows, powernv does not use the bus addresses from the end of the 32-bit
 * window to 4 GiB (pnv_pci_ioda2_setup_default_config()): 32-bit MMIO of the host bridge is
 * there, and devices write MSIs there. Such an access does not pass through the table. A
 * hypervisor chooses the bus addresses of its windows itself.
 *
 * The members about tables describe the result of tce2_platform_table_pages().
 *
 * Context: any.
 */
void tce2_platform_get_caps(const struct iommu_table_group *tg,
			    struct tce2_platform_caps *caps)
{
	u64 end = (u64)tg->tce32_start + tg->tce32_size;

	if (tce2_is_software(tg)) {
		*caps = (struct tce2_platform_caps){};
		return;
	}
	*caps = (struct tce2_platform_caps){ .table_copies = 1 };
	if (tce2_platform_is_papr(tg))
		return;
	caps->table_copies = 2;
	caps->table_least = PAGE_SIZE;
	if (end < END_OF_32_BITS) {
		caps->hole_start = end;
		caps->hole_size = END_OF_32_BITS - end;
	}
}

/**
 * tce2_platform_can_allocate() - check whether memory for tables can be allocated
 * @bytes: size of each table, a power of two
 * @tables: number of tables, at most a few
 *
 * The platform allocates tables with GFP_ATOMIC, which reclaims no memory, and prints
 * an error for each failure (pnv_alloc_tce_level()). This function first allocates the
 * same size, with reclaim and without a message. Then it frees the memory, so that the
 * platform can allocate it. Another thread may allocate the memory before the platform.
 * Like the platform, the function allocates on the local node, and ignores the process's
 * memory policy.
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
 * tce2_platform_table_pages() - count the pages that are allocated with a new table
 * @tg: the table group that makes the table
 * @spec: the window
 *
 * With one level, the count includes the table and the platform's copy of the table for
 * user addresses (it_userspace). A hypervisor's table needs only the copy. With several
 * levels, the count includes the root of the table and the root of the copy. Lower levels
 * are charged when a map request makes them. A software table has no pages. The in-tree driver
 * charges all levels at creation: 1 TiB for a window of 2^48 bytes with 4 KiB pages, although
 * most levels never exist (pnv_pci_ioda2_get_table_size(), pnv_pci_ioda2_table_alloc_pages()).
 *
 * Context: any.
 * Return: the number of pages to charge to locked_vm.
 */
unsigned long tce2_platform_table_pages(const struct iommu_table_group *tg,
					const struct tce2_window_spec *spec)
{
	unsigned long bytes;

	if (tce2_is_software(tg))
		return 0;
	if (spec->levels == 1)
		bytes = tg->ops->get_table_size(spec->page_shift, spec->size,
						1);
	else
		bytes = 2UL << platform_level_shift(spec);
	return bytes >> PAGE_SHIFT;
}

/*
 * Converts an error of the platform's ops to a refusal. The ops return errnos or error
 * codes of the firmware (OPAL_PCI_MAP_PE_DMA_WINDOW; pnv_pci_ioda2_set_window()).
 */
static int platform_to_refusal(long ret)
{
	switch (ret) {
	case 0:
	case -ENOMEM:
		return ret;
	case -EINVAL:
	case -ENODEV:
	case -EPERM:
		return tce2_refuse(ret, TCE2_WHY_PLATFORM);
	default:
		return tce2_refuse(-EIO, TCE2_WHY_PLATFORM);
	}
}

/**
 * tce2_platform_create_table() - make the table of a window through the platform
 * @tg: the table group that makes the table
 * @slot: the window's slot
 * @spec: the window, accepted by tce2_platform_check_spec()
 * @tbl: set to the table, with a reference for the caller
 *
 * The platform chooses the window's first bus address and stores it in the table. On
 * powernv, slot 0 begins at the start of the 32-bit window, and slot 1 at 1 << 59
 * (phb4_map_pe_dma_window(), skiboot hw/phb4.c). On pseries, the default window begins
 * at the start of the 32-bit window. The hypervisor chooses the address of any other
 * window (ibm,create-pe-dma-window).
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM, -EINVAL, -ENODEV, -EPERM or -EIO if the platform refuses.
 */
int tce2_platform_create_table(struct iommu_table_group *tg, int slot,
			       const struct tce2_window_spec *spec,
			       struct iommu_table **tbl)
{
	/* Two tables: the root of the table, and the root of the copy for user addresses */
	if (!tce2_platform_is_papr(tg) && !tce2_is_software(tg) &&
	    !tce2_platform_can_allocate(1ULL << platform_level_shift(spec), 2))
		return tce2_refuse(-ENOMEM, TCE2_WHY_TABLE_MEMORY);
	return platform_to_refusal(tg->ops->create_table(tg, slot, spec->page_shift,
							 spec->size, spec->levels, tbl));
}

/*
 * Returns true if this module keeps its own reference to the table in a group's slot,
 * besides the platform's reference: on powernv, after the slot was set. If a device is
 * added to a group in use, powernv mistakes the first slot's table for its own default
 * table, and puts the table once too often (pnv_ioda2_take_ownership()). powernv may do
 * so even while this module sets or unsets the slot. That race is not safe, and this
 * module cannot prevent it.
 */
static bool platform_holds_table(const struct iommu_table_group *tg, int slot,
				 const struct iommu_table *tbl)
{
	return !tce2_platform_is_papr(tg) && tg->tables[slot] == tbl;
}

/**
 * tce2_platform_set_slot() - program a table into a slot of a group
 * @tg: the table group
 * @slot: the slot, which is empty; on pseries it may have @tbl already
 * @tbl: the table
 * @set: set to true if the caller has to undo the call with tce2_platform_unset_slot()
 *
 * @set can also be true after an error: powernv returns 0 even if it had no memory to
 * link the group to the table. Then powernv would never invalidate the table's entries
 * for the group's devices (pnv_pci_ioda2_set_window(), pnv_pci_link_table_and_group()).
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM, -EINVAL, -ENODEV, -EPERM or -EIO.
 */
int tce2_platform_set_slot(struct iommu_table_group *tg, int slot,
			   struct iommu_table *tbl, bool *set)
{
	int ret = platform_to_refusal(tg->ops->set_window(tg, slot, tbl));

	*set = !ret;
	if (ret)
		return ret;
	if (tg->tables[slot] != tbl)
		return tce2_refuse(-ENOMEM, TCE2_WHY_PLATFORM);
	if (platform_holds_table(tg, slot, tbl))
		iommu_tce_table_get(tbl);
	return 0;
}

/**
 * tce2_platform_unset_slot() - remove a table from a slot of a group
 * @tg: the table group
 * @slot: the slot
 * @tbl: the table; the caller has a reference to it
 *
 * Context: may sleep.
 * Return: true; false if the platform failed to remove the table.
 */
bool tce2_platform_unset_slot(struct iommu_table_group *tg, int slot,
			      struct iommu_table *tbl)
{
	bool held = platform_holds_table(tg, slot, tbl);
	bool unset = !tg->ops->unset_window(tg, slot);

	/* Not the last reference: the caller has another */
	if (held)
		iommu_tce_table_put(tbl);
	return unset;
}
