/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_VIEW_H
#define TCE2_VIEW_H

#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include "tce2_perm.h"

/*
 * The userspace view: which user address each TCE of a window maps, and what
 * devices may do there. It alone decides what an unmap has to undo.
 *
 * Entries are looked after in leaves of TCE2_VIEW_LEAF. What a leaf maps is
 * told by one 64-bit word:
 *
 *	0		nothing, and nothing ever was: the hardware's entries
 *			need not be looked at
 *	a run		one run of entries, mapping user addresses that follow
 *			one another: first and last entry, user address of the
 *			first, permissions. Without permission: nothing, now
 *	an array	of a 64-bit entry a TCE, where there are more runs: the
 *			user address with TCE2_VIEW_FLAGS in its low bits, or 0
 *
 * So a mapping that is contiguous for the client costs 8 bytes for every
 * TCE2_VIEW_LEAF entries, whatever the memory behind it is like, and entries
 * mapped each on its own cost 8 bytes each. The words are kept in a tree of
 * small nodes, made when something below is first mapped; a part of the window
 * that was never mapped costs neither memory nor time.
 */

/* An unmap must also drop KVM's count of the page in the kernel's list */
#define TCE2_VIEW_COUNTED	BIT_ULL(2)

/* The flags in the low bits of an array's entry */
#define TCE2_VIEW_FLAGS	(TCE2_PERM_RW | TCE2_VIEW_COUNTED)

/* User addresses have no more bits than this (TASK_SIZE_4PB) */
#define TCE2_VIEW_UA_BITS	52

#define TCE2_VIEW_LEAF_SHIFT	9
#define TCE2_VIEW_LEAF		BIT_ULL(TCE2_VIEW_LEAF_SHIFT)

/**
 * struct tce2_view - the userspace view of a window
 * @root: the tree's highest node, as a word of the tree; 0 while there is none
 * @depth: levels of nodes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @has_external_readers: other modules may read with tce2_view_peek(): arrays are
 *	freed by RCU. Set once, with every leaf held
 * @hooked: KVM's hooks (src/kvm.c) may change leaves, too. Set once, with every
 *	leaf held
 *
 * Nodes are added by any thread and stay until the view goes. The word of a
 * leaf, and its array, belong to the thread that holds the leaf's entries in the
 * window's range lock.
 *
 * In a hooked view an array stays until the view goes, its word holds no valid
 * count of mapped entries, and the word of a leaf with an array has a lock bit.
 * A hook changes a leaf under this bit alone, since hooks may not sleep. A
 * request locks the range first, then the bits of its leaves
 * (tce2_view_lock()). A leaf without an array is changed under the range lock
 * only. A new array begins locked.
 *
 * Only hooks set TCE2_VIEW_COUNTED, and only in entries of an array.
 */
struct tce2_view {
	u64 root;
	unsigned int depth;
	unsigned int page_shift;
	bool has_external_readers;
	bool hooked;
};

/**
 * struct tce2_view_run - entries that map user addresses following one another
 * @index: first entry, counted from the window's start
 * @count: entries
 * @ua: user address that the first one maps
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both, the same for all
 * @counted: all have TCE2_VIEW_COUNTED; false in a run for tce2_view_set()
 */
struct tce2_view_run {
	u64 index;
	u64 count;
	u64 ua;
	u64 perm;
	bool counted;
};

void tce2_view_init(struct tce2_view *view, u64 entries,
		    unsigned int page_shift);
void tce2_view_free(struct tce2_view *view);

int tce2_view_prepare(struct tce2_view *view, const struct tce2_view_run *run);
void tce2_view_set(struct tce2_view *view, const struct tce2_view_run *run);
void tce2_view_clear(struct tce2_view *view, u64 index, u64 count);

void tce2_view_lock(struct tce2_view *view, u64 first, u64 last);
void tce2_view_unlock(struct tce2_view *view, u64 first, u64 last);
u64 *tce2_view_make_array(struct tce2_view *view, u64 index, u64 *word);

bool tce2_view_next(const struct tce2_view *view, u64 index, u64 end,
		    struct tce2_view_run *run);
u64 tce2_view_find_touched(const struct tce2_view *view, u64 index, u64 end);

/**
 * tce2_view_next_touched() - next entry that may be mapped in hardware
 * @view: the view
 * @index: an entry
 * @end: an entry behind it, or @index
 *
 * Return: the first entry from @index on in whose leaf something is mapped or
 * was; @end if there is none before that.
 */
static inline u64 tce2_view_next_touched(const struct tce2_view *view,
					 u64 index, u64 end)
{
	return index < end ? tce2_view_find_touched(view, index, end) : end;
}

/**
 * tce2_view_leaf_end() - find the end of the leaf of an entry
 * @index: the entry
 * @end: a later entry
 *
 * Return: the first entry of the next leaf, or @end if that comes first.
 */
static inline u64 tce2_view_leaf_end(u64 index, u64 end)
{
	u64 next = (index | (TCE2_VIEW_LEAF - 1)) + 1;

	return min(next, end);
}

#endif /* TCE2_VIEW_H */
