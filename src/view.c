// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace view: the user address and the permissions of each TCE of a window.
 *
 * Owns the structure that include/tce2_view.h describes, in the format of
 * include/tce2_view_format.h: the tree, the words of its leaves, and the arrays of
 * leaves. The view is independent of hardware, regions and counts.
 *
 * Locks: the lock bit of a leaf's word (struct tce2_view). The caller holds the
 * entries of the leaves that it accesses, with a range or a brief lock; other threads may
 * read these entries meanwhile (tce2_view_peek(), tce2_view_copy_next()).
 * Calls: the kernel's allocator.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "tce2_view_format.h"

/* Number of leaves to lock or unlock between two cond_resched() points */
#define PAUSE_LEAVES	4096

/* Attempts to lock a leaf before the thread sleeps for a tick */
#define LOCK_SPINS	1024

/* Guests cause these allocations, so the allocations must not use memory reserves */
#define HOOK_GFP	(GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN)

/* The array of a leaf; lockless readers may still use it after view_retire_array() */
union view_array {
	u64 entry[TCE2_VIEW_LEAF];
	struct rcu_head rcu;
};

/*
 * Returns true if a thread without a lock may still use an array that was just removed from
 * the word of its leaf.
 */
static bool view_has_readers(const struct tce2_view *view)
{
	if (view->has_external_readers)
		return true;
	/*
	 * Pairs with tce2_view_get(): store the word, then read @refs. Either this thread
	 * sees the reader's reference, or the reader sees the new word.
	 */
	smp_mb();
	return refcount_read(&view->refs) > 1;
}

/*
 * Frees an array after the leaf's word has stopped pointing to it. The grace period
 * also prevents a new array at the same address while tce2_view_peek() uses the old
 * array.
 */
static void view_retire_array(const struct tce2_view *view, u64 *array)
{
	if (!view_has_readers(view)) {
		kfree(array);
		return;
	}
	/* Order the store of the word before kfree_rcu() overwrites entries */
	smp_wmb();
	kfree_rcu((union view_array *)array, rcu);
}

static u64 view_encode_run(const struct tce2_leaf_run *run)
{
	return TCE2_WORD_RUN | run->perm << TCE2_WORD_PERM_SHIFT |
	       (u64)run->first << TCE2_WORD_FIRST_SHIFT | run->ua |
	       (u64)run->last << TCE2_WORD_LAST_SHIFT;
}

static struct tce2_leaf_run view_in_leaf(const struct tce2_view_run *run)
{
	unsigned int first = run->index & TCE2_LEAF_MASK;

	return (struct tce2_leaf_run){
		.first = first, .last = first + run->count - 1,
		.ua = run->ua, .perm = run->perm,
	};
}

/* Returns the user address that a run would give the first entry of its leaf */
static u64 view_run_base(const struct tce2_view *view,
			 const struct tce2_leaf_run *run)
{
	return run->ua - ((u64)run->first << view->page_shift);
}

static bool view_is_whole(const struct tce2_leaf_run *run)
{
	return !run->first && run->last == TCE2_LEAF_MASK;
}

/* Merges @new into @run if the result is one run; @new may overwrite all of @run */
static inline bool view_join_runs(const struct tce2_view *view,
				  struct tce2_leaf_run *run,
				  const struct tce2_leaf_run *new)
{
	if (!run->perm ||
	    (new->first <= run->first && run->last <= new->last)) {
		*run = *new;
		return true;
	}
	if (run->perm != new->perm ||
	    view_run_base(view, run) != view_run_base(view, new) ||
	    new->first > run->last + 1 || run->first > new->last + 1)
		return false;
	if (new->first < run->first) {
		run->first = new->first;
		run->ua = new->ua;
	}
	run->last = max(run->last, new->last);
	return true;
}

/**
 * tce2_view_init() - initialize an empty view
 * @view: the view
 * @entries: TCEs of the window, more than 0
 * @page_shift: log2 of the IOMMU page size in bytes, at least 12
 */
void tce2_view_init(struct tce2_view *view, u64 entries,
		    unsigned int page_shift)
{
	u64 leaves = ((entries - 1) >> TCE2_VIEW_LEAF_SHIFT) + 1;

	*view = (struct tce2_view){ .depth = 1, .page_shift = page_shift };
	refcount_set(&view->refs, 1);
	while ((leaves - 1) >> (view->depth * TCE2_NODE_SHIFT))
		view->depth++;
}

static void view_free_word(u64 word, unsigned int level)
{
	u64 *node = (u64 *)word;
	unsigned int i;

	if (!level) {
		if (tce2_word_is_array(word))
			kfree(tce2_word_array(word));
		return;
	}
	if (!node)
		return;
	for (i = 0; i < TCE2_NODE_SLOTS; i++)
		view_free_word(node[i], level - 1);
	kfree(node);
}

/**
 * tce2_view_put() - put a reference to a view, and free the view with the last one
 * @view: the view; the owner puts its reference when no thread except readers of debugfs uses
 *	the view any more
 *
 * Context: may sleep.
 * Return: true if the view was freed.
 */
bool tce2_view_put(struct tce2_view *view)
{
	if (!refcount_dec_and_test(&view->refs))
		return false;
	view_free_word(view->root, view->depth);
	view->root = 0;
	return true;
}

/**
 * tce2_view_get() - get a reference to a view, to copy leaves without a lock
 * @view: the view, in memory that the caller's RCU read-side section keeps
 *
 * The reference keeps the nodes. Together with the RCU read-side section it keeps the arrays,
 * which the caller must not use after it has left the section.
 *
 * Context: RCU read-side section.
 * Return: true; false if the view was freed.
 */
bool tce2_view_get(struct tce2_view *view)
{
	if (!refcount_inc_not_zero(&view->refs))
		return false;
	/* Set @refs before the words are read; pairs with view_has_readers() */
	smp_mb();
	return true;
}

/*
 * Makes a node, or uses the node of another thread that was faster. Returns the node as
 * a word of the tree, or 0 if the allocation fails.
 */
static u64 view_add_node(u64 *slot, gfp_t gfp)
{
	u64 *node = kcalloc(TCE2_NODE_SLOTS, sizeof(*node), gfp);
	u64 other;

	if (!node)
		return 0;
	other = cmpxchg(slot, 0, (u64)node);
	if (!other)
		return (u64)node;
	kfree(node);
	return other;
}

/* Finds the word of a leaf, and makes missing nodes; returns NULL if that fails */
static __always_inline u64 *view_make_slot(struct tce2_view *view, u64 leaf,
					   gfp_t gfp)
{
	unsigned int level = view->depth;
	u64 *slot = &view->root;

	while (level--) {
		u64 node = READ_ONCE(*slot) ?: view_add_node(slot, gfp);

		if (!node)
			return NULL;
		slot = tce2_view_slot_below(node, level, leaf);
	}
	return slot;
}

/* Writes a run into an array; returns the number of newly mapped entries */
static unsigned int view_fill_array(const struct tce2_view *view, u64 *array,
				    const struct tce2_leaf_run *run)
{
	unsigned int i, added = 0;
	u64 entry = run->ua | run->perm;

	for (i = run->first; i <= run->last; i++) {
		if (!array[i])
			added++;
		WRITE_ONCE(array[i], entry);
		entry += 1ULL << view->page_shift;
	}
	return added;
}

/*
 * Turns a leaf's run into an array with the same entries. In a hooked view, KVM's
 * hooks can find the array immediately, so the array is initially locked.
 */
static int view_expand(const struct tce2_view *view, u64 *slot, gfp_t gfp)
{
	struct tce2_leaf_run run = tce2_word_run(*slot);
	u64 *array, word;

	BUILD_BUG_ON(TCE2_WORD_COUNT_1 * TCE2_VIEW_LEAF >= TCE2_WORD_LOCKED);
	array = kzalloc(TCE2_ARRAY_BYTES, gfp);
	if (!array)
		return -ENOMEM;
	word = (u64)array;
	if (run.perm)
		word += (u64)view_fill_array(view, array, &run) <<
			TCE2_WORD_COUNT_SHIFT;
	if (view->hooked)
		word = (u64)array | TCE2_WORD_LOCKED;
	/* Complete the array before tce2_view_peek() can find it */
	smp_store_release(slot, word);
	return 0;
}

/**
 * tce2_view_prepare() - allocate the memory that a run needs in the view
 * @view: the view
 * @new: the run, in one leaf, which the caller holds
 *
 * The mappings in the view do not change. On success, tce2_view_set() of the same run
 * can't fail.
 *
 * Context: may sleep.
 * Return: 0 if no entry of the leaf is mapped; 1 if entries may be mapped; -ENOMEM.
 */
int tce2_view_prepare(struct tce2_view *view, const struct tce2_view_run *new)
{
	struct tce2_leaf_run entered = view_in_leaf(new), run;
	u64 *slot = view_make_slot(view, new->index >> TCE2_VIEW_LEAF_SHIFT,
				   GFP_KERNEL_ACCOUNT);

	if (!slot)
		return -ENOMEM;
	if (!*slot || *slot == TCE2_WORD_EMPTY) {
		/* Mark the leaf as touched: a request that fails later may write TCEs */
		WRITE_ONCE(*slot, TCE2_WORD_EMPTY);
		return 0;
	}
	if (tce2_word_is_array(*slot))
		return 1;
	run = tce2_word_run(*slot);
	if (view_join_runs(view, &run, &entered))
		return 1;
	return view_expand(view, slot, GFP_KERNEL_ACCOUNT) ?: 1;
}

/**
 * tce2_view_prepare_array() - allocate the memory for any run in a leaf
 * @view: the view
 * @index: an entry of the leaf, which the caller holds
 *
 * The mappings in the view do not change. On success, tce2_view_fill() of runs in the leaf
 * can't fail, until another function changes the leaf. Without such runs, the array stays
 * until tce2_view_clear() clears the leaf's last entry.
 *
 * Context: may sleep.
 * Return: 0 if no entry of the leaf is mapped; 1 if entries may be mapped; -ENOMEM.
 */
int tce2_view_prepare_array(struct tce2_view *view, u64 index)
{
	u64 *slot = view_make_slot(view, index >> TCE2_VIEW_LEAF_SHIFT, GFP_KERNEL_ACCOUNT);
	bool mapped;

	if (!slot)
		return -ENOMEM;
	if (tce2_word_is_array(*slot))
		return 1;
	mapped = *slot && *slot != TCE2_WORD_EMPTY;
	return view_expand(view, slot, GFP_KERNEL_ACCOUNT) ?: mapped;
}

/* Finds the first run of an array in the entries from @first to @last */
static bool view_next_in_array(unsigned int page_shift, const u64 *array,
			       unsigned int first, unsigned int last,
			       struct tce2_leaf_run *run)
{
	u64 step = 1ULL << page_shift, entry;

	while (first <= last && !array[first])
		first++;
	if (first > last)
		return false;

	entry = array[first];
	run->first = first;
	run->ua = entry & ~TCE2_VIEW_FLAGS;
	run->perm = entry & TCE2_PERM_RW;
	run->counted = entry & TCE2_VIEW_COUNTED;
	while (first < last && array[first + 1] == entry + step) {
		entry += step;
		first++;
	}
	run->last = first;
	return true;
}

/* Replaces an array by a run if all entries of the leaf have become one run */
static void view_collapse(const struct tce2_view *view, u64 *slot)
{
	u64 *array = tce2_word_array(*slot);
	struct tce2_leaf_run run;

	if (*slot != ((u64)array | TCE2_VIEW_LEAF << TCE2_WORD_COUNT_SHIFT))
		return;
	view_next_in_array(view->page_shift, array, 0, TCE2_LEAF_MASK, &run);
	if (!view_is_whole(&run))
		return;
	WRITE_ONCE(*slot, view_encode_run(&run));
	view_retire_array(view, array);
}

/**
 * tce2_view_set() - enter a run, and replace old entries
 * @view: the view
 * @new: the run, in one leaf, which the caller holds and has prepared
 */
void tce2_view_set(struct tce2_view *view, const struct tce2_view_run *new)
{
	u64 *slot = tce2_view_slot(view, new->index >> TCE2_VIEW_LEAF_SHIFT);
	struct tce2_leaf_run entered = view_in_leaf(new), run;
	u64 word = *slot, added;

	if (tce2_word_is_array(word) && (view->hooked || !view_is_whole(&entered))) {
		added = view_fill_array(view, tce2_word_array(word), &entered);
		if (view->hooked || !added)
			return;
		WRITE_ONCE(*slot, word + (added << TCE2_WORD_COUNT_SHIFT));
		view_collapse(view, slot);
		return;
	}
	run = entered;
	if (!tce2_word_is_array(word)) {
		run = tce2_word_run(word);
		view_join_runs(view, &run, &entered);
	}
	WRITE_ONCE(*slot, view_encode_run(&run));
	if (tce2_word_is_array(word))
		view_retire_array(view, tce2_word_array(word));
}

/**
 * tce2_view_fill() - enter one of several runs of a leaf, and replace old entries
 * @view: the view
 * @new: the run, in one leaf, which the caller holds and has prepared with
 *	tce2_view_prepare_array()
 *
 * Unlike tce2_view_set(), the function keeps the leaf's array, which the next run needs.
 */
void tce2_view_fill(struct tce2_view *view, const struct tce2_view_run *new)
{
	u64 *slot = tce2_view_slot(view, new->index >> TCE2_VIEW_LEAF_SHIFT);
	struct tce2_leaf_run entered = view_in_leaf(new);
	u64 word = *slot, added;

	added = view_fill_array(view, tce2_word_array(word), &entered);
	if (!view->hooked)
		WRITE_ONCE(*slot, word + (added << TCE2_WORD_COUNT_SHIFT));
}

static void view_clear_array(const struct tce2_view *view, u64 *slot,
			     unsigned int first, unsigned int last)
{
	u64 word = *slot, *array = tce2_word_array(word);
	unsigned int i;

	for (i = first; i <= last; i++) {
		if (!array[i])
			continue;
		WRITE_ONCE(array[i], 0);
		word -= TCE2_WORD_COUNT_1;
	}
	if (view->hooked)
		return;
	if (word != (u64)array) {
		WRITE_ONCE(*slot, word);
		return;
	}
	WRITE_ONCE(*slot, TCE2_WORD_EMPTY);
	view_retire_array(view, array);
}

/* Removes entries from a leaf's run; returns false if two runs would remain */
static bool view_cut_run(const struct tce2_view *view, struct tce2_leaf_run *run,
			 unsigned int first, unsigned int last)
{
	if (last < run->first || run->last < first)
		return true;
	if (first <= run->first && run->last <= last) {
		run->perm = 0;
		return true;
	}
	if (run->first < first && last < run->last)
		return false;
	if (run->first < first) {
		run->last = first - 1;
	} else {
		run->ua += (u64)(last + 1 - run->first) << view->page_shift;
		run->first = last + 1;
	}
	return true;
}

/**
 * tce2_view_clear() - remove entries from the view
 * @view: the view
 * @index: first entry
 * @count: number of entries, all in one leaf, which the caller holds
 *
 * To split a run into two runs, the function waits for memory instead of failing. It
 * needs at most one page, and a failure could keep the client from freeing memory.
 *
 * Context: may sleep; can't fail.
 */
void tce2_view_clear(struct tce2_view *view, u64 index, u64 count)
{
	u64 *slot = tce2_view_slot(view, index >> TCE2_VIEW_LEAF_SHIFT);
	unsigned int first = index & TCE2_LEAF_MASK, last = first + count - 1;
	struct tce2_leaf_run run;

	if (!slot || !*slot)
		return;
	if (!tce2_word_is_array(*slot)) {
		run = tce2_word_run(*slot);
		if (view_cut_run(view, &run, first, last)) {
			WRITE_ONCE(*slot, run.perm ? view_encode_run(&run) :
						     TCE2_WORD_EMPTY);
			return;
		}
		view_expand(view, slot, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	}
	view_clear_array(view, slot, first, last);
}

/*
 * Finds the first leaf from *@leaf to @last with a word that is not 0, and sets *@leaf.
 * Returns the address of the word, or NULL. Skips all leaves of a missing node at once.
 */
static u64 *view_next_slot(const struct tce2_view *view, u64 *leaf, u64 last)
{
	while (*leaf <= last) {
		u64 word = READ_ONCE(view->root), *slot = NULL;
		unsigned int level = view->depth;

		while (word && level) {
			slot = tce2_view_slot_below(word, --level, *leaf);
			word = READ_ONCE(*slot);
		}
		if (word)
			return slot;
		*leaf = (*leaf | (BIT_ULL(level * TCE2_NODE_SHIFT) - 1)) + 1;
	}
	return NULL;
}

/* Locks a leaf that has an array; waits while a KVM hook has locked the leaf */
static void view_lock_leaf(u64 *slot)
{
	unsigned int spins = 0;
	u64 word;

	while (!tce2_word_trylock(slot, &word)) {
		/* The hook's thread may have been preempted */
		if (++spins % LOCK_SPINS)
			cpu_relax();
		else
			schedule_timeout_uninterruptible(1);
	}
}

/**
 * tce2_view_lock() - lock leaves against KVM's hooks
 * @view: a hooked view
 * @first: first entry of a leaf; the caller holds @first to @last in the
 *	window's range lock
 * @last: last entry of a leaf
 *
 * Locks leaves that have an array. Hooks do not change the other leaves while the
 * range is locked.
 *
 * Context: may sleep, until hooks unlock the leaves.
 */
void tce2_view_lock(struct tce2_view *view, u64 first, u64 last)
{
	u64 leaf = first >> TCE2_VIEW_LEAF_SHIFT;
	u64 *slot;

	while ((slot = view_next_slot(view, &leaf, last >> TCE2_VIEW_LEAF_SHIFT))) {
		if (tce2_word_is_array(READ_ONCE(*slot)))
			view_lock_leaf(slot);
		if (!(++leaf % PAUSE_LEAVES))
			cond_resched();
	}
}

/**
 * tce2_view_unlock() - let KVM's hooks use leaves again
 * @view: a hooked view
 * @first: first entry of a leaf
 * @last: last entry of a leaf
 *
 * All arrays in the range are locked: by tce2_view_lock(), or since their creation.
 *
 * Context: may sleep.
 */
void tce2_view_unlock(struct tce2_view *view, u64 first, u64 last)
{
	u64 leaf = first >> TCE2_VIEW_LEAF_SHIFT;
	u64 *slot;

	while ((slot = view_next_slot(view, &leaf, last >> TCE2_VIEW_LEAF_SHIFT))) {
		if (tce2_word_is_array(*slot))
			tce2_word_unlock(slot, *slot & ~TCE2_WORD_LOCKED);
		if (!(++leaf % PAUSE_LEAVES))
			cond_resched();
	}
}

/**
 * tce2_view_make_array() - give a leaf an array, and lock it
 * @view: a hooked view
 * @index: an entry of the leaf, which the caller holds in the window's range lock
 * @word: set to the leaf's word, without the lock bit
 *
 * If the leaf has an array already, the function only locks the leaf.
 *
 * Context: any context that may take a spinlock; does not sleep.
 * Return: the address of the word, for tce2_word_unlock(); NULL if an allocation fails
 * or another thread has locked the leaf.
 */
u64 *tce2_view_make_array(struct tce2_view *view, u64 index, u64 *word)
{
	u64 *slot = view_make_slot(view, index >> TCE2_VIEW_LEAF_SHIFT,
				   HOOK_GFP);

	if (!slot)
		return NULL;
	/* Another hook may lock the leaf now, if a hook has just made the array */
	if (tce2_word_is_array(READ_ONCE(*slot)))
		return tce2_word_trylock(slot, word) ? slot : NULL;
	if (view_expand(view, slot, HOOK_GFP))
		return NULL;
	*word = READ_ONCE(*slot) & ~TCE2_WORD_LOCKED;
	return slot;
}

/**
 * tce2_view_find_touched() - find the next entry that may be mapped in hardware
 * @view: the view
 * @index: first entry of the search
 * @end: end of the search, exclusive; greater than @index
 *
 * Implements tce2_view_next_touched() if there are entries to search.
 *
 * Return: the first entry at or after @index in a leaf with entries that are mapped or
 * may have been mapped before; @end if the search finds no such leaf.
 */
u64 tce2_view_find_touched(const struct tce2_view *view, u64 index, u64 end)
{
	u64 leaf = index >> TCE2_VIEW_LEAF_SHIFT;

	if (!view_next_slot(view, &leaf, (end - 1) >> TCE2_VIEW_LEAF_SHIFT))
		return end;
	return max(index, leaf << TCE2_VIEW_LEAF_SHIFT);
}

/*
 * Finds the first run of a leaf in the entries from @first to @last. @array has the entries
 * if the leaf's word points to an array.
 */
static bool view_next_in_leaf(unsigned int page_shift, u64 word, const u64 *array,
			      unsigned int first, unsigned int last,
			      struct tce2_leaf_run *run)
{
	if (tce2_word_is_array(word))
		return view_next_in_array(page_shift, array, first, last, run);
	*run = tce2_word_run(word);
	if (!run->perm || run->last < first || last < run->first)
		return false;
	run->last = min(run->last, last);
	if (run->first < first) {
		run->ua += (u64)(first - run->first) << page_shift;
		run->first = first;
	}
	return true;
}

static struct tce2_view_run view_from_leaf(u64 start, const struct tce2_leaf_run *run)
{
	return (struct tce2_view_run){
		start + run->first, run->last - run->first + 1, run->ua, run->perm,
		run->counted,
	};
}

/**
 * tce2_view_next() - find the next adjacent run of mapped entries
 * @view: the view
 * @index: first entry of the search; the caller holds all entries from @index to @end
 * @end: end of the search, exclusive; may be equal to @index
 * @run: set to the first run at or after @index, cut at @end and at the end of its
 *	leaf
 *
 * Return: true; false if no entry is mapped.
 */
bool tce2_view_next(const struct tce2_view *view, u64 index, u64 end,
		    struct tce2_view_run *run)
{
	while (index < end) {
		u64 leaf = index >> TCE2_VIEW_LEAF_SHIFT, start;
		const u64 *slot = view_next_slot(view, &leaf, (end - 1) >>
						 TCE2_VIEW_LEAF_SHIFT);
		struct tce2_leaf_run run_in_leaf;

		if (!slot)
			return false;
		start = leaf << TCE2_VIEW_LEAF_SHIFT;
		index = max(index, start);
		if (view_next_in_leaf(view->page_shift, *slot, tce2_word_array(*slot),
				      index - start,
				      tce2_view_leaf_end(index, end) - 1 - start,
				      &run_in_leaf)) {
			*run = view_from_leaf(start, &run_in_leaf);
			return true;
		}
		index = tce2_view_leaf_end(index, end);
	}
	return false;
}

/**
 * tce2_view_leaf_bytes() - count the memory that a leaf adds to a walk along the leaves
 * @view: the view
 * @previous: number of the previous leaf of the walk, or ~0ULL
 * @leaf: number of the leaf
 *
 * Context: the caller has a reference to the view.
 * Return: bytes of the leaf's array, and of the nodes above the leaf that are not above
 * the previous leaf.
 */
u64 tce2_view_leaf_bytes(const struct tce2_view *view, u64 previous, u64 leaf)
{
	const u64 *slot = tce2_view_slot(view, leaf);
	unsigned int level;
	u64 bytes = 0;

	if (!slot)
		return 0;
	if (tce2_word_is_array(READ_ONCE(*slot)))
		bytes = TCE2_ARRAY_BYTES;
	for (level = 1; level <= view->depth; level++) {
		unsigned int shift = level * TCE2_NODE_SHIFT;

		if (previous == ~0ULL || previous >> shift != leaf >> shift)
			bytes += TCE2_NODE_SLOTS * sizeof(u64);
	}
	return bytes;
}

/*
 * Copies the word of a leaf, and its array. Returns false if the leaf's word has stopped
 * pointing to the array meanwhile, see tce2_view_peek().
 */
static bool view_copy_leaf(const u64 *slot, struct tce2_view_copy *copy)
{
	const u64 *array;
	unsigned int i;
	u64 word;

	copy->word = READ_ONCE(*slot);
	if (!tce2_word_is_array(copy->word))
		return true;
	array = tce2_word_array(copy->word);
	for (i = 0; i < TCE2_VIEW_LEAF; i++)
		copy->entry[i] = READ_ONCE(array[i]);
	/* Pairs with view_retire_array(): read the entries, then check *slot */
	smp_rmb();
	word = READ_ONCE(*slot);
	return tce2_word_is_array(word) && tce2_word_array(word) == array;
}

/**
 * tce2_view_copy_next() - copy the next leaf of which entries may be mapped, without a lock
 * @view: the view
 * @leaf: first leaf of the search
 * @last: last leaf of the view
 * @copy: set to the copy
 *
 * Other threads may change the leaf meanwhile. Each copied entry was correct at some moment
 * during the call.
 *
 * Context: RCU read-side section, in which the caller called tce2_view_get().
 * Return: 1 if a leaf was copied; 0 if no such leaf is left; -EAGAIN if the leaf lost its array
 * meanwhile.
 */
int tce2_view_copy_next(const struct tce2_view *view, u64 leaf, u64 last,
			struct tce2_view_copy *copy)
{
	const u64 *slot = view_next_slot(view, &leaf, last);

	copy->word = 0;
	if (!slot)
		return 0;
	copy->leaf = leaf;
	copy->page_shift = view->page_shift;
	if (view_copy_leaf(slot, copy))
		return 1;
	copy->word = 0;
	return -EAGAIN;
}

/**
 * tce2_view_next_copied() - find the next adjacent run of mapped entries in a copy
 * @copy: the copy; @word may be 0
 * @index: first entry of the search, in the leaf or right after it
 * @run: set to the first run at or after @index
 *
 * Context: any.
 * Return: true; false if no entry is mapped.
 */
bool tce2_view_next_copied(const struct tce2_view_copy *copy, u64 index,
			   struct tce2_view_run *run)
{
	u64 start = copy->leaf << TCE2_VIEW_LEAF_SHIFT;
	struct tce2_leaf_run in_leaf;

	if (!copy->word || index - start >= TCE2_VIEW_LEAF ||
	    !view_next_in_leaf(copy->page_shift, copy->word, copy->entry, index - start,
			       TCE2_LEAF_MASK, &in_leaf))
		return false;
	*run = view_from_leaf(start, &in_leaf);
	return true;
}
