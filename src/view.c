// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace view: which user address each TCE of a window maps.
 *
 * Owns what include/tce2_view.h describes and include/tce2_view_format.h lays
 * out: the tree, the words of its leaves, and the arrays that some of them lead
 * to. It knows nothing of hardware, regions or counts.
 *
 * Locks: the lock bit of a leaf's word (struct tce2_view). The caller holds the
 * entries of the leaves that it touches; other threads may read them meanwhile
 * (tce2_view_peek()).
 * Calls: the kernel's allocator.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "tce2_view_format.h"

/* Leaves that are locked or unlocked between two cond_resched() points */
#define PAUSE_LEAVES	4096

/* Attempts to lock a leaf before the thread sleeps for a tick */
#define LOCK_SPINS	1024

/* Guests cause these allocations, so they may not use the kernel's reserves */
#define HOOK_GFP	(GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN)

/* The array of a leaf, which readers without a lock may still be looking at */
union view_array {
	u64 entry[TCE2_VIEW_LEAF];
	struct rcu_head rcu;
};

/*
 * Frees an array that the leaf's word has ceased to lead to. The grace period
 * also keeps its address from coming back while tce2_view_peek() looks at it.
 */
static void view_retire_array(const struct tce2_view *view, u64 *array)
{
	if (!view->has_external_readers) {
		kfree(array);
		return;
	}
	/* The word, before the deferral may write over the entries */
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

/* Where the user addresses of a run would begin if it began with the leaf */
static u64 view_run_base(const struct tce2_view *view,
			 const struct tce2_leaf_run *run)
{
	return run->ua - ((u64)run->first << view->page_shift);
}

static bool view_is_whole(const struct tce2_leaf_run *run)
{
	return !run->first && run->last == TCE2_LEAF_MASK;
}

/* Adds @new to @run, if that makes one run of them or nothing is left of it */
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
 * tce2_view_init() - begin an empty view
 * @view: the view
 * @entries: TCEs of the window, more than 0
 * @page_shift: log2 of the IOMMU page size in bytes, at least 12
 */
void tce2_view_init(struct tce2_view *view, u64 entries,
		    unsigned int page_shift)
{
	u64 leaves = ((entries - 1) >> TCE2_VIEW_LEAF_SHIFT) + 1;

	*view = (struct tce2_view){ .depth = 1, .page_shift = page_shift };
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
 * tce2_view_free() - free a view
 * @view: the view, which nobody uses any more
 */
void tce2_view_free(struct tce2_view *view)
{
	view_free_word(view->root, view->depth);
	view->root = 0;
}

/* Makes a node, unless another thread is first; 0 without memory */
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

/* The word of a leaf, made if it has none yet; NULL without memory */
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

/* Writes a run into an array; returns how many entries were not mapped before */
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
 * Turns a leaf's run into an array with the same entries. In a hooked view
 * KVM's hooks can find the array at once, so the array begins locked.
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
	/* Complete before tce2_view_peek() can find it */
	smp_store_release(slot, word);
	return 0;
}

/**
 * tce2_view_prepare() - make sure that a run can be entered
 * @view: the view
 * @new: the run, in one leaf, which the caller holds
 *
 * What the view says does not change.
 *
 * Context: may sleep.
 * Return: -ENOMEM; else tce2_view_set() of the same run can't fail, and 0 says
 * that nothing is mapped in the leaf, 1 that something may be.
 */
int tce2_view_prepare(struct tce2_view *view, const struct tce2_view_run *new)
{
	struct tce2_leaf_run entered = view_in_leaf(new), run;
	u64 *slot = view_make_slot(view, new->index >> TCE2_VIEW_LEAF_SHIFT,
				   GFP_KERNEL_ACCOUNT);

	if (!slot)
		return -ENOMEM;
	if (!*slot || *slot == TCE2_WORD_EMPTY) {
		/* Touched: the hardware's entries may change even in vain */
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

/* The first run of an array within [@first, @last] */
static bool view_next_in_array(const struct tce2_view *view, const u64 *array,
			       unsigned int first, unsigned int last,
			       struct tce2_leaf_run *run)
{
	u64 step = 1ULL << view->page_shift, entry;

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

/* Replaces an array by a run if its entries have become one run */
static void view_collapse(const struct tce2_view *view, u64 *slot)
{
	u64 *array = tce2_word_array(*slot);
	struct tce2_leaf_run run;

	if (*slot != ((u64)array | TCE2_VIEW_LEAF << TCE2_WORD_COUNT_SHIFT))
		return;
	view_next_in_array(view, array, 0, TCE2_LEAF_MASK, &run);
	if (!view_is_whole(&run))
		return;
	WRITE_ONCE(*slot, view_encode_run(&run));
	view_retire_array(view, array);
}

/**
 * tce2_view_set() - enter a run, in place of what was there
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

/* Takes entries out of a leaf's run; false if two runs would be left */
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
 * tce2_view_clear() - forget entries
 * @view: the view
 * @index: first entry
 * @count: entries, all in one leaf, which the caller holds
 *
 * Can't fail: it waits for the memory that it needs to cut a run in two. This is at
 * most one page, and a client can free memory only by unmapping.
 *
 * Context: may sleep.
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
 * Finds the first leaf from *@leaf to @last whose word is not 0. Returns the address of
 * the word, or NULL. A missing node of the tree is skipped as a whole.
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

/* Waits for a hook of KVM's to unlock a leaf, and locks it */
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
 * Locks leaves that have an array. Hooks leave the other leaves alone as long
 * as the range is locked.
 *
 * Context: may sleep, until hooks that hold one of the leaves are done.
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
 * All arrays in the range are locked, by tce2_view_lock() or since they were
 * made.
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
 * A leaf that has an array already is locked if no other thread has locked it.
 *
 * Context: any that may take a spinlock; does not sleep.
 * Return: where the word is, to be given to tce2_word_unlock(); NULL without
 * memory, or if another thread has locked the leaf.
 */
u64 *tce2_view_make_array(struct tce2_view *view, u64 index, u64 *word)
{
	u64 *slot = view_make_slot(view, index >> TCE2_VIEW_LEAF_SHIFT,
				   HOOK_GFP);

	if (!slot)
		return NULL;
	if (tce2_word_is_array(*slot))
		return tce2_word_trylock(slot, word) ? slot : NULL;
	if (view_expand(view, slot, HOOK_GFP))
		return NULL;
	*word = *slot & ~TCE2_WORD_LOCKED;
	return slot;
}

/**
 * tce2_view_find_touched() - tce2_view_next_touched() where there are entries
 * @view: the view
 * @index: an entry
 * @end: an entry behind it
 *
 * Return: the first entry from @index on in whose leaf something is mapped or
 * was; @end if there is none before that.
 */
u64 tce2_view_find_touched(const struct tce2_view *view, u64 index, u64 end)
{
	u64 leaf = index >> TCE2_VIEW_LEAF_SHIFT;

	if (!view_next_slot(view, &leaf, (end - 1) >> TCE2_VIEW_LEAF_SHIFT))
		return end;
	return max(index, leaf << TCE2_VIEW_LEAF_SHIFT);
}

/* The first run of a leaf within [@first, @last] */
static bool view_next_in_leaf(const struct tce2_view *view, u64 word,
			      unsigned int first, unsigned int last,
			      struct tce2_leaf_run *run)
{
	if (tce2_word_is_array(word))
		return view_next_in_array(view, tce2_word_array(word), first, last,
					  run);
	*run = tce2_word_run(word);
	if (!run->perm || run->last < first || last < run->first)
		return false;
	run->last = min(run->last, last);
	if (run->first < first) {
		run->ua += (u64)(first - run->first) << view->page_shift;
		run->first = first;
	}
	return true;
}

/**
 * tce2_view_next() - next run of mapped entries
 * @view: the view
 * @index: an entry
 * @end: an entry behind it, or @index; the caller holds what lies between
 * @run: set to the first run from @index on, as far as it goes before @end and
 *	within a leaf
 *
 * Return: true; false if nothing is mapped there.
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
		if (view_next_in_leaf(view, *slot, index - start,
				      tce2_view_leaf_end(index, end) - 1 - start,
				      &run_in_leaf)) {
			*run = (struct tce2_view_run){
				start + run_in_leaf.first,
				run_in_leaf.last - run_in_leaf.first + 1,
				run_in_leaf.ua, run_in_leaf.perm, run_in_leaf.counted,
			};
			return true;
		}
		index = tce2_view_leaf_end(index, end);
	}
	return false;
}
