/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_VIEW_FORMAT_H
#define TCE2_VIEW_FORMAT_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

#include <asm/barrier.h>

#include "tce2_view.h"

/*
 * Storage format of the userspace view. src/view.c maintains the view, and
 * src/realmode.c reads it without a lock. include/tce2_view.h describes the contents.
 */
#define TCE2_NODE_SHIFT	6
#define TCE2_NODE_SLOTS	BIT(TCE2_NODE_SHIFT)

#define TCE2_LEAF_MASK	(TCE2_VIEW_LEAF - 1)

/*
 * The word of a leaf that maps one run:
 *
 *	bit 0		1, to distinguish the word from a pointer
 *	bits 1-2	permissions
 *	bits 3-11	first entry of the run
 *	bits 12-51	bits 12-51 of the first entry's user address
 *	bits 52-60	last entry of the run
 */
#define TCE2_WORD_RUN		BIT_ULL(0)
#define TCE2_WORD_PERM_SHIFT	1
#define TCE2_WORD_FIRST_SHIFT	3
#define TCE2_WORD_LAST_SHIFT	TCE2_VIEW_UA_BITS
#define TCE2_WORD_UA		GENMASK_ULL(TCE2_WORD_LAST_SHIFT - 1, 12)

/* No entry of the leaf is mapped, but entries may have been mapped before */
#define TCE2_WORD_EMPTY		TCE2_WORD_RUN

/*
 * The word of a leaf with an array holds the array's address, which is a multiple of
 * the array's size. The low bits hold the number of mapped entries.
 *
 * In a view that KVM's hooks use (@hooked of struct tce2_view), the low bits hold no
 * valid count. The word is then also the lock of its leaf: only the thread that has set
 * TCE2_WORD_LOCKED may change the array.
 */
#define TCE2_WORD_COUNT_SHIFT	1
#define TCE2_WORD_COUNT_1	BIT_ULL(TCE2_WORD_COUNT_SHIFT)
#define TCE2_WORD_LOCKED	BIT_ULL(11)
#define TCE2_ARRAY_BYTES	(TCE2_VIEW_LEAF * sizeof(u64))
#define TCE2_WORD_ARRAY		(~(TCE2_ARRAY_BYTES - 1))

/**
 * struct tce2_leaf_run - an adjacent run within one leaf
 * @first: first entry, counted from the leaf's start
 * @last: last entry
 * @ua: user address of the first entry
 * @perm: permissions; 0 if no entry is mapped
 * @counted: the entries have TCE2_VIEW_COUNTED
 */
struct tce2_leaf_run {
	unsigned int first;
	unsigned int last;
	u64 ua;
	u64 perm;
	bool counted;
};

/**
 * tce2_word_is_array() - check whether a leaf's word points to an array
 * @word: the word
 *
 * Return: true if the word points to an array.
 */
static __always_inline bool tce2_word_is_array(u64 word)
{
	return word && !(word & TCE2_WORD_RUN);
}

/**
 * tce2_word_array() - get the array that a leaf's word points to
 * @word: the word, which points to an array
 *
 * Return: the array, of TCE2_VIEW_LEAF entries.
 */
static __always_inline u64 *tce2_word_array(u64 word)
{
	return (u64 *)(word & TCE2_WORD_ARRAY);
}

/**
 * tce2_word_run() - decode the run in a leaf's word
 * @word: the word, which does not point to an array
 *
 * Return: the run; its permissions are 0 if no entry is mapped.
 */
static __always_inline struct tce2_leaf_run tce2_word_run(u64 word)
{
	return (struct tce2_leaf_run){
		.first = (word >> TCE2_WORD_FIRST_SHIFT) & TCE2_LEAF_MASK,
		.last = (word >> TCE2_WORD_LAST_SHIFT) & TCE2_LEAF_MASK,
		.ua = word & TCE2_WORD_UA,
		.perm = (word >> TCE2_WORD_PERM_SHIFT) & TCE2_PERM_RW,
	};
}

/**
 * tce2_view_slot_below() - find a node's word on the path to a leaf
 * @node: the node, as a word of the tree
 * @level: the node's level; 0 if it contains the leaf's word
 * @leaf: number of the leaf
 *
 * Return: the word's address.
 */
static __always_inline u64 *tce2_view_slot_below(u64 node, unsigned int level,
						 u64 leaf)
{
	return (u64 *)node + ((leaf >> (level * TCE2_NODE_SHIFT)) &
			      (TCE2_NODE_SLOTS - 1));
}

/**
 * tce2_view_slot() - find the word of a leaf
 * @view: the view
 * @leaf: number of the leaf
 *
 * Return: the word's address, or NULL if the leaf has no word yet.
 */
static __always_inline u64 *tce2_view_slot(const struct tce2_view *view,
					   u64 leaf)
{
	u64 node = READ_ONCE(view->root);
	unsigned int level;

	for (level = view->depth - 1; level && node; level--)
		node = READ_ONCE(*tce2_view_slot_below(node, level, leaf));
	return node ? tce2_view_slot_below(node, 0, leaf) : NULL;
}

/**
 * tce2_word_trylock() - lock a leaf that has an array
 * @slot: address of the leaf's word, in a view that KVM's hooks use
 * @word: set to the word, without the lock bit
 *
 * tce2_word_unlock() unlocks the leaf.
 *
 * Context: any.
 * Return: true; false if the leaf has no array or another thread has locked it.
 */
static __always_inline bool tce2_word_trylock(u64 *slot, u64 *word)
{
	*word = READ_ONCE(*slot);
	return tce2_word_is_array(*word) && !(*word & TCE2_WORD_LOCKED) &&
	       cmpxchg_acquire(slot, *word, *word | TCE2_WORD_LOCKED) == *word;
}

/**
 * tce2_word_trylock_array() - lock a leaf that is known to have an array
 * @slot: address of the leaf's word
 * @word: set to the word, without the lock bit
 *
 * Context: any.
 * Return: true; false if another thread has locked the leaf.
 */
static __always_inline bool tce2_word_trylock_array(u64 *slot, u64 *word)
{
	*word = atomic64_fetch_or_acquire(TCE2_WORD_LOCKED, (atomic64_t *)slot);
	return !(*word & TCE2_WORD_LOCKED);
}

/**
 * tce2_word_unlock() - unlock a leaf
 * @slot: address of the leaf's word
 * @word: the word to store, without the lock bit
 */
static __always_inline void tce2_word_unlock(u64 *slot, u64 word)
{
	/* Complete all changes to the leaf before the unlock */
	smp_store_release(slot, word);
}

/**
 * tce2_view_peek() - read one entry without holding its leaf
 * @view: the view, with @has_external_readers set
 * @index: the entry, inside the window
 * @entry: set to the user address with TCE2_VIEW_FLAGS in its low bits, or to 0
 *	if nothing is mapped
 *
 * Context: RCU read-side section or disabled interrupts, data MMU on or off. Takes one
 * step for each level of the tree.
 * Return: true; false if no entry of the leaf was ever mapped, or if the leaf's word
 * stopped pointing to the same array during the call.
 */
static __always_inline bool tce2_view_peek(const struct tce2_view *view,
					   u64 index, u64 *entry)
{
	const u64 *slot = tce2_view_slot(view, index >> TCE2_VIEW_LEAF_SHIFT);
	unsigned int at = index & TCE2_LEAF_MASK;
	struct tce2_leaf_run run;
	u64 word, *array;

	word = slot ? READ_ONCE(*slot) : 0;
	if (!word)
		return false;
	if (tce2_word_is_array(word)) {
		array = tce2_word_array(word);
		*entry = READ_ONCE(array[at]);
		/* Pairs with view_retire_array(): read the entry, then check *slot */
		smp_rmb();
		word = READ_ONCE(*slot);
		return tce2_word_is_array(word) &&
		       tce2_word_array(word) == array;
	}
	run = tce2_word_run(word);
	*entry = 0;
	if (run.perm && at >= run.first && at <= run.last)
		*entry = (run.ua + ((u64)(at - run.first) <<
				    view->page_shift)) | run.perm;
	return true;
}

#endif /* TCE2_VIEW_FORMAT_H */
