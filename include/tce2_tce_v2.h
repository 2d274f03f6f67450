/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TCE_V2_H
#define TCE2_TCE_V2_H

#include <linux/bits.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "tce2_range.h"

struct iommu_table;
struct tce2_cache;

/*
 * The userspace view: which user address each TCE of a window maps.
 *
 * One 64-bit entry a TCE: the user address, whose low bits are free because
 * an IOMMU page has 4 KiB at least, with the device's permissions in them; 0
 * means not mapped. Entries live in leaves of a page each, made when the first
 * entry in one is mapped and kept until the window goes, as the levels of the
 * hardware's own table are. The view alone decides what an unmap has to undo.
 *
 * A window too big for one table has a tree of them in hardware, and the
 * kernel makes the lower ones when an entry below is first written. Each such
 * table, and the copy of it that the kernel keeps for KVM, is charged to
 * locked_vm at that moment, and refunded with the window. The view's own leaves
 * are charged to the memory cgroup only.
 */
#define TCE2_VIEW_READ	BIT_ULL(0)	/* the device may read */
#define TCE2_VIEW_WRITE	BIT_ULL(1)	/* the device may write */
#define TCE2_VIEW_PERM	(TCE2_VIEW_READ | TCE2_VIEW_WRITE)

/**
 * struct tce2_window - a DMA window and its table
 * @tbl: the kernel's TCE table, immutable
 * @cache: region cache of the process that mappings belong to, immutable
 * @start: first bus address, immutable
 * @size: bytes of bus address, immutable
 * @page_shift: log2 of the IOMMU page size in bytes, immutable
 * @ranges: lock for entries, of the hardware's table and of the view alike
 * @leaves: leaves of the view, by entry number / entries a leaf; grows under
 *	any range, a leaf's entries belong to the holder of their range
 * @hw_lock: guards @hw_leaves and @charged
 * @hw_leaves: which lowest-level tables of the hardware are accounted for, by
 *	entry number / entries a table; unused with a single level
 * @charged: pages of locked_vm charged for the window
 * @stuck: the platform failed to take the window from a group that left, whose
 *	hardware may walk the table for ever; the owner's lock for writing
 *
 * The window itself is kept by the owner's lock (struct tce2_ddw), held at
 * least for reading by whoever maps or unmaps.
 *
 * Lock order: owner's lock -> ranges -> hw_lock -> mmap_lock, and
 * ranges -> cache lock.
 */
struct tce2_window {
	struct iommu_table *tbl;
	struct tce2_cache *cache;
	u64 start;
	u64 size;
	unsigned int page_shift;
	struct tce2_range_lock ranges;
	struct xarray leaves;
	struct mutex hw_lock;	/* guards hw_leaves, charged */
	struct xarray hw_leaves;
	unsigned long charged;
	bool stuck;
};

void tce2_window_init(struct tce2_window *window, struct iommu_table *tbl,
		      struct tce2_cache *cache, u64 size,
		      unsigned long charged);
void tce2_window_clear(struct tce2_window *window);

int tce2_window_map(struct tce2_window *window, u64 iova, u64 ua, u64 size,
		    u64 perm);
int tce2_window_unmap(struct tce2_window *window, u64 iova, u64 size);

#endif /* TCE2_TCE_V2_H */
