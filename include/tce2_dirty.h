/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_DIRTY_H
#define TCE2_DIRTY_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <linux/xarray.h>

/*
 * Dirty pages of a window: the pages to which devices may have written since a client asked.
 *
 * The hardware records no writes. So a device may have written to a page that is mapped for
 * writing, which the view shows. It may also have written to a page that was mapped for writing
 * and has been unmapped or replaced since. These pages are recorded here: one bit for each
 * entry, in a bitmap for each leaf of the view. While a window is tracked, each leaf that was
 * ever mapped has a bitmap. So a request that unmaps, or a hook of KVM that replaces an entry,
 * needs no memory.
 */

/**
 * struct tce2_dirty - entries of a tracked window that were mapped for writing
 * @id: number of the record, never 0 and never used again, immutable
 * @bitmaps: for each leaf a bitmap of one bit for each entry, indexed by the leaf's number
 * @complete: each leaf that was mapped before the tracking began has a bitmap, and the client
 *	may ask; set once
 *
 * The xarray may change at any time. Only the thread that holds an entry uses its bit.
 */
struct tce2_dirty {
	u64 id;
	struct xarray bitmaps;
	bool complete;
};

struct tce2_dirty *tce2_dirty_alloc(void);
void tce2_dirty_free(struct tce2_dirty *dirty);
int tce2_dirty_prepare(struct tce2_dirty *dirty, u64 index);
void tce2_dirty_mark(struct tce2_dirty *dirty, u64 index, u64 count);
void tce2_dirty_read(const struct tce2_dirty *dirty, u64 index, u64 count, u64 *bits,
		     u64 at);
void tce2_dirty_clear(struct tce2_dirty *dirty, u64 index, u64 count);
void tce2_dirty_restore(struct tce2_dirty *dirty, u64 index, u64 count, const u64 *bits,
			u64 at);

#endif /* TCE2_DIRTY_H */
