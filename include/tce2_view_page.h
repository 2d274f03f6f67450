/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_VIEW_PAGE_H
#define TCE2_VIEW_PAGE_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "tce2_view_format.h"

/*
 * Changes of one entry of the userspace view, or of several entries of one leaf, that need no
 * memory. A change is planned first, and applied when the TCEs have been written.
 */

/**
 * struct tce2_view_change - a change of one entry that is planned
 * @slot: address of the leaf's word
 * @word: the new word
 * @entry: address of the entry in the leaf's array, or NULL if the leaf has no array
 * @value: the new value of the entry
 *
 * Lives on the stack of the thread that has locked the leaf.
 */
struct tce2_view_change {
	u64 *slot;
	u64 word;
	u64 *entry;
	u64 value;
};

/* One more or one less in the first or last entry of a run, in the run's word */
#define TCE2_WORD_FIRST_1	BIT_ULL(TCE2_WORD_FIRST_SHIFT)
#define TCE2_WORD_LAST_1	BIT_ULL(TCE2_WORD_LAST_SHIFT)
#define TCE2_WORD_PERM		((u64)TCE2_PERM_RW << TCE2_WORD_PERM_SHIFT)

/* The count in the word of a leaf with an array; without the lock bit */
#define TCE2_WORD_COUNT		(TCE2_WORD_LOCKED - TCE2_WORD_COUNT_1)

/**
 * tce2_word_set() - map an entry in the run in a leaf's word
 * @word: the word, not 0, which does not point to an array
 * @shift: log2 of the IOMMU page size in bytes
 * @at: the entry, counted from the leaf's start
 * @ua: user address of the entry
 * @perm: permissions of the entry
 * @old: set to the old user address and permissions if the entry is mapped, else to 0
 *
 * Return: the new word; 0 if the leaf would need an array.
 */
static __always_inline u64 tce2_word_set(u64 word, unsigned int shift, u64 at, u64 ua,
					 u64 perm, u64 *old)
{
	u64 first = (word >> TCE2_WORD_FIRST_SHIFT) & TCE2_LEAF_MASK;
	u64 last = (word >> TCE2_WORD_LAST_SHIFT) & TCE2_LEAF_MASK;
	u64 mapped = (word & TCE2_WORD_PERM) >> TCE2_WORD_PERM_SHIFT;
	u64 run_ua = (word & TCE2_WORD_UA) + ((at - first) << shift);

	*old = 0;
	if (mapped && at - first <= last - first)
		*old = run_ua | mapped;
	if (!mapped || (*old && first == last))
		return TCE2_WORD_RUN | perm << TCE2_WORD_PERM_SHIFT |
		       at << TCE2_WORD_FIRST_SHIFT | ua | at << TCE2_WORD_LAST_SHIFT;
	if (mapped != perm || ua != run_ua)
		return 0;
	if (at == last + 1)
		return word + TCE2_WORD_LAST_1;
	if (at + 1 == first)
		return word - TCE2_WORD_FIRST_1 - (1ULL << shift);
	return *old ? word : 0;
}

/**
 * tce2_word_remove() - remove an entry from the run in a leaf's word
 * @word: the word, which does not point to an array
 * @shift: log2 of the IOMMU page size in bytes
 * @at: the entry, counted from the leaf's start
 * @ua: set to the user address of the entry
 *
 * Return: the new word; 0 if the entry is not mapped, or if two runs would remain.
 */
static __always_inline u64 tce2_word_remove(u64 word, unsigned int shift, u64 at, u64 *ua)
{
	u64 first = (word >> TCE2_WORD_FIRST_SHIFT) & TCE2_LEAF_MASK;
	u64 last = (word >> TCE2_WORD_LAST_SHIFT) & TCE2_LEAF_MASK;

	if (!(word & TCE2_WORD_PERM))
		return 0;
	*ua = (word & TCE2_WORD_UA) + ((at - first) << shift);
	if (at == first)
		return at == last ? TCE2_WORD_EMPTY :
				    word + TCE2_WORD_FIRST_1 + (1ULL << shift);
	return at == last ? word - TCE2_WORD_LAST_1 : 0;
}

/**
 * tce2_view_plan_set() - plan to enter one entry, and to replace the old entry
 * @view: a view that is not hooked
 * @index: the entry, whose leaf the caller has locked
 * @ua: user address, a multiple of the IOMMU page size
 * @perm: permissions, not 0
 * @old: set to the old user address and permissions if the entry is mapped, else to 0
 * @change: set for tce2_view_apply()
 *
 * Context: any.
 * Return: true; false if no entry of the leaf was ever mapped, or if the leaf would get an
 * array or lose its array.
 */
static __always_inline bool tce2_view_plan_set(const struct tce2_view *view, u64 index,
					       u64 ua, u64 perm, u64 *old,
					       struct tce2_view_change *change)
{
	u64 *slot = tce2_view_slot(view, index >> TCE2_VIEW_LEAF_SHIFT);
	u64 at = index & TCE2_LEAF_MASK, word = slot ? *slot : 0;

	change->slot = slot;
	if (word & TCE2_WORD_RUN) {
		change->entry = NULL;
		change->word = tce2_word_set(word, view->page_shift, at, ua, perm, old);
		return change->word;
	}
	if (!word)
		return false;
	change->entry = tce2_word_array(word) + at;
	change->value = ua | perm;
	change->word = word;
	*old = *change->entry;
	if (*old)
		return true;
	change->word += TCE2_WORD_COUNT_1;
	/* The last missing entry may turn the leaf into a run, see view_collapse() */
	return (word & TCE2_WORD_COUNT) < TCE2_WORD_COUNT_1 * TCE2_LEAF_MASK;
}

/**
 * tce2_view_plan_remove() - plan to remove one entry
 * @view: a view that is not hooked
 * @index: the entry, whose leaf the caller has locked
 * @ua: set to the user address of the entry
 * @change: set for tce2_view_apply()
 *
 * Context: any.
 * Return: true; false if the entry is not mapped, or if the leaf would get an array or lose
 * its array.
 */
static __always_inline bool tce2_view_plan_remove(const struct tce2_view *view, u64 index,
						  u64 *ua, struct tce2_view_change *change)
{
	u64 *slot = tce2_view_slot(view, index >> TCE2_VIEW_LEAF_SHIFT);
	u64 at = index & TCE2_LEAF_MASK, word = slot ? *slot : 0;

	change->slot = slot;
	if (word & TCE2_WORD_RUN) {
		change->entry = NULL;
		change->word = tce2_word_remove(word, view->page_shift, at, ua);
		return change->word;
	}
	/* The array is freed with its last entry */
	if (!word || (word & TCE2_WORD_COUNT) == TCE2_WORD_COUNT_1)
		return false;
	change->word = word - TCE2_WORD_COUNT_1;
	change->entry = tce2_word_array(word) + at;
	change->value = 0;
	*ua = *change->entry & ~TCE2_VIEW_FLAGS;
	return *change->entry;
}

/**
 * tce2_view_apply() - make a planned change
 * @change: the change; the caller has held the leaf since it was planned
 *
 * Lockless readers (tce2_view_peek()) see the entry before or after the change.
 *
 * Context: any.
 */
static __always_inline void tce2_view_apply(const struct tce2_view_change *change)
{
	if (change->entry)
		WRITE_ONCE(*change->entry, change->value);
	WRITE_ONCE(*change->slot, change->word);
}

/**
 * struct tce2_view_change_run - a change of several entries of one leaf that is planned
 * @first: the change of the first entry, and of the leaf's word
 * @count: number of entries
 * @step: difference between the new values of adjacent entries
 *
 * Lives on the stack of the thread that has locked the leaf.
 */
struct tce2_view_change_run {
	struct tce2_view_change first;
	u64 count;
	u64 step;
};

/**
 * tce2_word_set_run() - map adjacent entries in the run in a leaf's word
 * @word: the word, not 0, which does not point to an array
 * @shift: log2 of the IOMMU page size in bytes
 * @at: the first entry, counted from the leaf's start
 * @count: number of entries, more than 0, all in the leaf
 * @ua: user address of the first entry
 * @perm: permissions of the entries
 * @old: set to the old user address and permissions of the first entry if all entries are
 *	mapped, else to 0
 *
 * Return: the new word; 0 if only some entries are mapped, or if the leaf would need an array.
 */
static inline u64 tce2_word_set_run(u64 word, unsigned int shift, u64 at, u64 count, u64 ua,
				    u64 perm, u64 *old)
{
	struct tce2_leaf_run run = tce2_word_run(word);
	u64 last = at + count - 1, run_ua = run.ua + ((at - run.first) << shift);

	*old = 0;
	if (run.perm && at >= run.first && last <= run.last)
		*old = run_ua | run.perm;
	if (!run.perm || (at == run.first && last == run.last))
		return TCE2_WORD_RUN | perm << TCE2_WORD_PERM_SHIFT |
		       at << TCE2_WORD_FIRST_SHIFT | ua | last << TCE2_WORD_LAST_SHIFT;
	if (run.perm != perm || ua != run_ua)
		return 0;
	if (at == run.last + 1)
		return word + count * TCE2_WORD_LAST_1;
	if (last + 1 == run.first)
		return word - count * (TCE2_WORD_FIRST_1 + (1ULL << shift));
	return *old ? word : 0;
}

/**
 * tce2_word_remove_run() - remove several entries from the run in a leaf's word
 * @word: the word, which does not point to an array
 * @shift: log2 of the IOMMU page size in bytes
 * @at: the first entry, counted from the leaf's start
 * @count: number of entries, more than 0, all in the leaf
 * @ua: set to the user address of the first entry
 *
 * Return: the new word; 0 if an entry is not mapped, or if two runs would remain.
 */
static inline u64 tce2_word_remove_run(u64 word, unsigned int shift, u64 at, u64 count,
				       u64 *ua)
{
	struct tce2_leaf_run run = tce2_word_run(word);
	u64 last = at + count - 1;

	if (!run.perm || at < run.first || last > run.last)
		return 0;
	*ua = run.ua + ((at - run.first) << shift);
	if (at == run.first)
		return last == run.last ? TCE2_WORD_EMPTY :
					  word + count * (TCE2_WORD_FIRST_1 + (1ULL << shift));
	return last == run.last ? word - count * TCE2_WORD_LAST_1 : 0;
}

/**
 * tce2_entries_are_run() - check whether entries of an array map adjacent user memory
 * @entry: the first entry
 * @count: number of entries
 * @ua: user address that the first entry has to map
 * @step: bytes that each entry maps
 *
 * Return: true if all entries are mapped, one after the other from @ua on.
 */
static inline bool tce2_entries_are_run(const u64 *entry, u64 count, u64 ua, u64 step)
{
	u64 i;

	for (i = 0; i < count; i++, ua += step) {
		if (!entry[i] || (entry[i] & ~TCE2_VIEW_FLAGS) != ua)
			return false;
	}
	return true;
}

/**
 * tce2_view_plan_set_run() - plan to enter adjacent entries, and to replace the old entries
 * @view: a view that is not hooked
 * @run: the entries, all in one leaf, which the caller has locked
 * @old: set to the old user address and permissions of the first entry if all entries are
 *	mapped, to adjacent user memory; set to 0 if no entry is mapped
 * @change: set for tce2_view_apply_run()
 *
 * Context: any.
 * Return: true; false if only some of the entries are mapped, or do not map adjacent memory, if
 * no entry of the leaf was ever mapped, or if the leaf would get an array or lose its array.
 */
static inline bool tce2_view_plan_set_run(const struct tce2_view *view,
					  const struct tce2_view_run *run, u64 *old,
					  struct tce2_view_change_run *change)
{
	u64 *slot = tce2_view_slot(view, run->index >> TCE2_VIEW_LEAF_SHIFT), *entry;
	u64 at = run->index & TCE2_LEAF_MASK, word = slot ? *slot : 0, mapped = 0, i;

	if (!word)
		return false;
	*change = (struct tce2_view_change_run){
		.first.slot = slot,
		.first.value = run->ua | run->perm,
		.count = run->count,
		.step = 1ULL << view->page_shift,
	};
	if (word & TCE2_WORD_RUN) {
		change->first.word = tce2_word_set_run(word, view->page_shift, at, run->count,
						       run->ua, run->perm, old);
		return change->first.word;
	}
	entry = tce2_word_array(word) + at;
	change->first.entry = entry;
	change->first.word = word;
	*old = entry[0];
	if (*old)
		return tce2_entries_are_run(entry, run->count, *old & ~TCE2_VIEW_FLAGS,
					    change->step);
	for (i = 0; i < run->count; i++)
		mapped |= entry[i];
	change->first.word += run->count * TCE2_WORD_COUNT_1;
	/* The last missing entries may turn the leaf into a run, see view_collapse() */
	return !mapped && (word & TCE2_WORD_COUNT) <
			  (TCE2_VIEW_LEAF - run->count) * TCE2_WORD_COUNT_1;
}

/**
 * tce2_view_plan_remove_run() - plan to remove entries that map adjacent user memory
 * @view: a view that is not hooked
 * @index: the first entry, whose leaf the caller has locked
 * @count: number of entries, more than 0, all in the leaf
 * @ua: set to the user address of the first entry
 * @change: set for tce2_view_apply_run()
 *
 * Context: any.
 * Return: true; false if an entry is not mapped, if the entries do not map adjacent memory, or
 * if the leaf would get an array or lose its array.
 */
static inline bool tce2_view_plan_remove_run(const struct tce2_view *view, u64 index,
					     u64 count, u64 *ua,
					     struct tce2_view_change_run *change)
{
	u64 *slot = tce2_view_slot(view, index >> TCE2_VIEW_LEAF_SHIFT);
	u64 at = index & TCE2_LEAF_MASK, word = slot ? *slot : 0;

	*change = (struct tce2_view_change_run){ .first.slot = slot, .count = count };
	if (word & TCE2_WORD_RUN) {
		change->first.word = tce2_word_remove_run(word, view->page_shift, at, count,
							  ua);
		return change->first.word;
	}
	/* The array is freed with its last entry */
	if (!word || (word & TCE2_WORD_COUNT) <= count * TCE2_WORD_COUNT_1)
		return false;
	change->first.word = word - count * TCE2_WORD_COUNT_1;
	change->first.entry = tce2_word_array(word) + at;
	*ua = change->first.entry[0] & ~TCE2_VIEW_FLAGS;
	return tce2_entries_are_run(change->first.entry, count, *ua, 1ULL << view->page_shift);
}

/**
 * tce2_view_apply_run() - make a planned change of several entries
 * @change: the change; the caller has held the leaf since it was planned
 *
 * Lockless readers (tce2_view_peek()) see each entry before or after the change.
 *
 * Context: any.
 */
static inline void tce2_view_apply_run(const struct tce2_view_change_run *change)
{
	u64 *entry = change->first.entry, value = change->first.value, i;

	for (i = 0; entry && i < change->count; i++, value += change->step)
		WRITE_ONCE(entry[i], value);
	WRITE_ONCE(*change->first.slot, change->first.word);
}

#endif /* TCE2_VIEW_PAGE_H */
