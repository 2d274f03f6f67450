/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_VIEW_H
#define TCE2_VIEW_H

#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "tce2_perm.h"

/*
 * The userspace view records the user address and the permissions of each TCE of a
 * window. An unmap relies on the view alone to find the pages to drop.
 *
 * The view is divided into leaves of TCE2_VIEW_LEAF entries. One 64-bit word
 * describes the mappings of a leaf:
 *
 *	0		No entry was ever mapped. The hardware's entries need not be
 *			accessed.
 *	a run		One adjacent run: entries that map consecutive user
 *			addresses. The word holds the first and last entry, the
 *			user address of the first entry, and the permissions. If
 *			the permissions are 0, no entry is mapped now.
 *	an array	A pointer to an array, for several runs. The array has a
 *			64-bit entry for each TCE: the user address with
 *			TCE2_VIEW_FLAGS in its low bits, or 0 if the TCE maps nothing.
 *
 * So consecutive user addresses cost 8 bytes per leaf, however scattered the physical
 * memory is. Other mappings cost 8 bytes per entry of the leaf. The words are stored
 * in a tree of small nodes. A node is made when an entry below it is first mapped. So
 * an unused part of the window costs neither memory nor time.
 */

/* KVM has counted the page in the kernel's own list: an unmap must also undo this count */
#define TCE2_VIEW_COUNTED	BIT_ULL(2)

/* The flags in the low bits of an array's entry */
#define TCE2_VIEW_FLAGS	(TCE2_PERM_RW | TCE2_VIEW_COUNTED)

/* Largest size of a user address, in bits (TASK_SIZE_4PB) */
#define TCE2_VIEW_UA_BITS	52

#define TCE2_VIEW_LEAF_SHIFT	9
#define TCE2_VIEW_LEAF		BIT_ULL(TCE2_VIEW_LEAF_SHIFT)

/**
 * struct tce2_view - the userspace view of a window
 * @root: the tree's highest node, as a word of the tree; 0 while the tree is empty
 * @depth: levels of nodes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @has_external_readers: other modules may read with tce2_view_peek(), so arrays are
 *	freed after an RCU grace period. Set once, with every leaf held
 * @hooked: KVM's hooks (src/kvm.c) may also change leaves. Set once, with every
 *	leaf held
 * @refs: references that keep the nodes: one of the window, and one of each reader of
 *	debugfs while it copies a leaf. While a reader has one, arrays are freed after an
 *	RCU grace period
 *
 * Any thread may add nodes, and nodes stay until the view is freed. Except for hooks,
 * only the thread that holds a leaf's entries in the window's range lock, or holds the
 * leaf's brief lock there, may change the leaf's word and array.
 *
 * In a hooked view, an array stays until the view is freed. The word of a leaf with an
 * array holds no valid count of mapped entries, but has a lock bit. A hook changes
 * such a leaf under this bit alone, since hooks may not sleep. A request locks the
 * range first, then the bits of its leaves (tce2_view_lock()). A leaf without an array
 * is changed only under the range lock. A new array is initially locked.
 *
 * Only hooks set TCE2_VIEW_COUNTED, and only in entries of an array.
 */
struct tce2_view {
	u64 root;
	unsigned int depth;
	unsigned int page_shift;
	bool has_external_readers;
	bool hooked;
	refcount_t refs;
};

/**
 * struct tce2_view_run - adjacent run: entries that map consecutive user addresses
 * @index: first entry, counted from the window's start
 * @count: number of entries
 * @ua: user address of the first entry
 * @perm: TCE2_PERM_READ, TCE2_PERM_WRITE or both, the same for all entries
 * @counted: all entries have TCE2_VIEW_COUNTED; false if passed to tce2_view_set()
 */
struct tce2_view_run {
	u64 index;
	u64 count;
	u64 ua;
	u64 perm;
	bool counted;
};

/**
 * struct tce2_view_copy - copy of a leaf, for debugfs
 * @leaf: number of the leaf
 * @page_shift: log2 of the IOMMU page size in bytes
 * @word: the leaf's word. The array that it may point to must not be used
 * @entry: the entries of the array, if @word points to an array
 */
struct tce2_view_copy {
	u64 leaf;
	unsigned int page_shift;
	u64 word;
	u64 entry[TCE2_VIEW_LEAF];
};

void tce2_view_init(struct tce2_view *view, u64 entries,
		    unsigned int page_shift);
bool tce2_view_put(struct tce2_view *view);

int tce2_view_prepare(struct tce2_view *view, const struct tce2_view_run *run);
int tce2_view_prepare_array(struct tce2_view *view, u64 index);
void tce2_view_fill(struct tce2_view *view, const struct tce2_view_run *run);
void tce2_view_set(struct tce2_view *view, const struct tce2_view_run *run);
void tce2_view_clear(struct tce2_view *view, u64 index, u64 count);

void tce2_view_lock(struct tce2_view *view, u64 first, u64 last);
void tce2_view_unlock(struct tce2_view *view, u64 first, u64 last);
u64 *tce2_view_make_array(struct tce2_view *view, u64 index, u64 *word);

bool tce2_view_next(const struct tce2_view *view, u64 index, u64 end,
		    struct tce2_view_run *run);
u64 tce2_view_leaf_bytes(const struct tce2_view *view, u64 previous, u64 leaf);
bool tce2_view_get(struct tce2_view *view);
int tce2_view_copy_next(const struct tce2_view *view, u64 leaf, u64 last,
			struct tce2_view_copy *copy);
bool tce2_view_next_copied(const struct tce2_view_copy *copy, u64 index,
			   struct tce2_view_run *run);
u64 tce2_view_find_touched(const struct tce2_view *view, u64 index, u64 end);

/**
 * tce2_view_next_touched() - find the next entry that may be mapped in hardware
 * @view: the view
 * @index: first entry of the search
 * @end: end of the search, exclusive; may be equal to @index
 *
 * Return: the first entry at or after @index in a leaf with entries that are mapped or
 * may have been mapped before; @end if the search finds no such leaf.
 */
static inline u64 tce2_view_next_touched(const struct tce2_view *view,
					 u64 index, u64 end)
{
	return index < end ? tce2_view_find_touched(view, index, end) : end;
}

/**
 * tce2_view_leaf_end() - find the end of the leaf of an entry
 * @index: the entry
 * @end: limit, greater than @index
 *
 * Return: the first entry of the next leaf, or @end if @end is lower.
 */
static inline u64 tce2_view_leaf_end(u64 index, u64 end)
{
	u64 next = (index | (TCE2_VIEW_LEAF - 1)) + 1;

	return min(next, end);
}

#endif /* TCE2_VIEW_H */
