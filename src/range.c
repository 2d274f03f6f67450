// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range lock: serializes requests for overlapping ranges. The ranges are TCEs of a
 * window, or pages of user memory to be registered. Requests for separate ranges run in
 * parallel.
 *
 * Owns the lock that include/tce2_range.h describes.
 *
 * Locks: the spinlock of a range lock, held for one walk along the list of ranges.
 * Calls: trace.
 */
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "tce2_range.h"
#include "tce2_trace_calls.h"

/*
 * Attempts to get a brief lock. Its holder writes and invalidates entries of one leaf, mostly
 * a single entry, and Linux does not preempt it. So the attempts suffice for many holders of a
 * single entry, one after the other.
 */
#define BRIEF_SPINS	4096

/* Attempts to get a brief lock or a range while another thread holds a range */
#define RANGE_SPINS	1024

/**
 * tce2_range_lock_init() - initialize a lock without ranges
 * @rl: the lock
 * @hurry: counts of the owner's writers, or NULL
 * @key: static lock class key, one for each kind of owner
 */
void tce2_range_lock_init(struct tce2_range_lock *rl,
			  const struct tce2_hurry *hurry,
			  struct lock_class_key *key)
{
	spin_lock_init(&rl->lock);
	rl->last = NULL;
	rl->hurry = hurry;
	rl->briefs = NULL;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	lockdep_init_map(&rl->dep_map, "tce2_range_lock", key, 0);
#endif
}

/**
 * tce2_range_add_briefs() - add brief locks to a lock without ranges
 * @rl: the lock
 * @briefs: TCE2_BRIEFS zeroed brief locks, which live as long as @rl
 * @leaf_shift: log2 of the number of entries of a leaf
 */
void tce2_range_add_briefs(struct tce2_range_lock *rl, struct tce2_brief *briefs,
			   unsigned int leaf_shift)
{
	rl->briefs = briefs;
	rl->leaf_shift = leaf_shift;
}

static bool range_intersects(const struct tce2_range *a, const struct tce2_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* Finds the newest range that overlaps @range among @other and older ranges */
static __always_inline struct tce2_range *
range_last_overlap(struct tce2_range *other, const struct tce2_range *range)
{
	while (other && !range_intersects(other, range))
		other = other->prev;
	return other;
}

static void range_wait_behind(struct tce2_range *range, struct tce2_range *blocker)
{
	range->blocker = blocker;
	range->next_waiter = blocker->waiters;
	blocker->waiters = range;
}

static void range_stop_waiting(struct tce2_range *range)
{
	struct tce2_range **link = &range->blocker->waiters;

	while (*link != range)
		link = &(*link)->next_waiter;
	*link = range->next_waiter;
	range->blocker = NULL;
}

/* Returns true if a thread with this patience must not wait now */
static bool range_must_back_off(const struct tce2_range_lock *rl,
				enum tce2_patience patience)
{
	if (!rl->hurry || patience == TCE2_STAYS)
		return false;
	return atomic_read(patience == TCE2_YIELDS ?
			   &rl->hurry->turning_away : &rl->hurry->stopping);
}

static __always_inline void range_begin(struct tce2_range *range, u64 first,
					u64 count)
{
	range->first = first;
	range->last = first + count - 1;
	range->blocker = NULL;
	range->waiters = NULL;
	range->next = NULL;
}

static __always_inline void range_append(struct tce2_range_lock *rl,
					 struct tce2_range *range)
	__must_hold(&rl->lock)
{
	lockdep_assert_held(&rl->lock);
	range->prev = rl->last;
	if (range->prev)
		range->prev->next = range;
	rl->last = range;
}

/*
 * Appends a range to the queue. Returns 0 if the range is held, and 1 if the range has
 * to wait. Returns -EAGAIN, without appending the range, if the thread must not wait.
 */
static __always_inline int range_join(struct tce2_range_lock *rl,
				      struct tce2_range *range,
				      enum tce2_patience patience)
{
	struct tce2_range *blocker;
	int ret = 0;

	spin_lock(&rl->lock);
	blocker = range_last_overlap(rl->last, range);
	if (unlikely(blocker)) {
		ret = 1;
		if (range_must_back_off(rl, patience)) {
			spin_unlock(&rl->lock);
			return -EAGAIN;
		}
		range->patience = patience;
		range->turned_away = false;
		init_completion(&range->woken);
		range_wait_behind(range, blocker);
	}
	range_append(rl, range);
	spin_unlock(&rl->lock);
	return ret;
}

/*
 * Finds the next blocker of the first waiter of @range, or wakes this waiter if no other
 * range blocks it. No range newer than @range blocks the waiter, so the search starts
 * with the range before @range.
 */
static void range_pass_on(struct tce2_range *range)
{
	struct tce2_range *waiter = range->waiters;
	struct tce2_range *blocker = range_last_overlap(range->prev, waiter);

	range->waiters = waiter->next_waiter;
	if (blocker) {
		range_wait_behind(waiter, blocker);
		return;
	}
	waiter->blocker = NULL;
	complete(&waiter->woken);
}

static void range_unlink(struct tce2_range_lock *rl, struct tce2_range *range)
	__must_hold(&rl->lock)
{
	lockdep_assert_held(&rl->lock);
	if (range->prev)
		range->prev->next = range->next;
	if (range->next)
		range->next->prev = range->prev;
	else
		rl->last = range->prev;
}

static void range_leave(struct tce2_range_lock *rl, struct tce2_range *range)
{
	spin_lock(&rl->lock);
	if (unlikely(range->blocker))
		range_stop_waiting(range);
	/* Make the range empty, so that ranges that join later do not wait for it */
	range->first = U64_MAX;
	range->last = 0;
	while (unlikely(range->waiters)) {
		range_pass_on(range);
		/* A search may walk the whole queue: release the lock between searches */
		spin_unlock(&rl->lock);
		spin_lock(&rl->lock);
	}
	range_unlink(rl, range);
	spin_unlock(&rl->lock);
}

/*
 * Spins for a short time until the thread of a range is woken. The holder of the older range
 * may need less time than this thread needs to fall asleep and wake.
 */
static void range_spin(struct tce2_range *range)
{
	unsigned int spins;

	for (spins = 0; spins < RANGE_SPINS && !need_resched(); spins++) {
		if (completion_done(&range->woken))
			break;
		cpu_relax();
	}
}

/* Waits until a range is held. After an error the range is not in the queue. */
static int range_wait_until_held(struct tce2_range_lock *rl, struct tce2_range *range)
{
	u64 began = tce2_trace_begin_wait();
	bool held;
	int ret;

	range_spin(range);
	ret = wait_for_completion_killable(&range->woken);
	tce2_trace_end_wait(TCE2_WAIT_ENTRIES, began);

	spin_lock(&rl->lock);
	held = !range->blocker && !range_must_back_off(rl, range->patience);
	spin_unlock(&rl->lock);
	/* Return 0 even after a fatal signal: the caller checks for signals later */
	if (held)
		return 0;
	range_leave(rl, range);
	return ret ? -EINTR : -EAGAIN;
}

/* Returns true if the range has a leaf of each brief lock */
static __always_inline bool range_is_wide(const struct tce2_range_lock *rl,
					  const struct tce2_range *range)
{
	return (range->last >> rl->leaf_shift) - (range->first >> rl->leaf_shift) >=
	       TCE2_BRIEFS - 1;
}

/* Finds the word of a leaf's brief lock */
static __always_inline atomic_t *range_word(const struct tce2_range_lock *rl, u64 leaf)
{
	return &rl->briefs[tce2_brief_number(leaf)].word;
}

static noinline void range_wait_for_brief(const atomic_t *word)
{
	while (atomic_read(word) & TCE2_BRIEF_HELD)
		cpu_relax();
	/* Pairs with tce2_brief_unlock(): see the changes of the thread with the brief lock */
	smp_rmb();
}

/* Prevents new holders of a brief lock, and waits until the current holder has unlocked it */
static __always_inline void range_close_word(atomic_t *word)
{
	/* Pairs with tce2_brief_unlock(), same as range_wait_for_brief() */
	if (unlikely(atomic_fetch_add_acquire(TCE2_BRIEF_RANGE, word) & TCE2_BRIEF_HELD))
		range_wait_for_brief(word);
}

/* Same as range_close_word() for all brief locks, with one barrier for all words */
static __always_inline void range_close_all(const struct tce2_range_lock *rl)
{
	int words = 0;
	unsigned int i;

	for (i = 0; i < TCE2_BRIEFS; i++)
		words |= atomic_fetch_add_relaxed(TCE2_BRIEF_RANGE, &rl->briefs[i].word);
	/* Pairs with tce2_brief_unlock(), same as range_wait_for_brief() */
	smp_mb__after_atomic();
	for (i = 0; unlikely(words & TCE2_BRIEF_HELD) && i < TCE2_BRIEFS; i++)
		range_wait_for_brief(&rl->briefs[i].word);
}

/*
 * Keeps other threads from the brief locks of a range's leaves. @range is held: no older range
 * of the queue overlaps it.
 */
static __always_inline void range_close_leaves(const struct tce2_range_lock *rl,
					       const struct tce2_range *range)
{
	u64 leaf, last = range->last >> rl->leaf_shift;

	if (!rl->briefs)
		return;
	if (range_is_wide(rl, range)) {
		range_close_all(rl);
		return;
	}
	for (leaf = range->first >> rl->leaf_shift; leaf <= last; leaf++)
		range_close_word(range_word(rl, leaf));
}

/* Undoes range_close_leaves() */
static __always_inline void range_open_leaves(const struct tce2_range_lock *rl,
					      const struct tce2_range *range)
{
	u64 leaf, last = range->last >> rl->leaf_shift;
	unsigned int i;

	if (!rl->briefs)
		return;
	if (range_is_wide(rl, range)) {
		/* Pairs with tce2_brief_trylock(): let its thread see this thread's changes */
		smp_mb__before_atomic();
		for (i = 0; i < TCE2_BRIEFS; i++)
			atomic_sub(TCE2_BRIEF_RANGE, &rl->briefs[i].word);
		return;
	}
	/* Pairs with tce2_brief_trylock(), same as above */
	for (leaf = range->first >> rl->leaf_shift; leaf <= last; leaf++)
		atomic_fetch_sub_release(TCE2_BRIEF_RANGE, range_word(rl, leaf));
}

static __always_inline int range_lock(struct tce2_range_lock *rl,
				      struct tce2_range *range, u64 first,
				      u64 count, enum tce2_patience patience)
{
	int ret;

	lock_map_acquire(&rl->dep_map);
	range_begin(range, first, count);
	ret = range_join(rl, range, patience);
	if (unlikely(ret > 0))
		ret = range_wait_until_held(rl, range);
	if (unlikely(ret))
		lock_map_release(&rl->dep_map);
	else
		range_close_leaves(rl, range);
	return ret;
}

/**
 * tce2_range_lock() - lock a range of entries
 * @rl: the lock
 * @range: memory of the caller, in use until tce2_range_unlock()
 * @first: first entry
 * @count: number of entries, more than 0
 *
 * Context: may sleep. A thread may hold only one range of a lock class at a time.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_range_lock(struct tce2_range_lock *rl, struct tce2_range *range,
		    u64 first, u64 count)
{
	return range_lock(rl, range, first, count, TCE2_STAYS);
}

/**
 * tce2_range_queue() - lock a range of entries unless the thread has to back off
 * @rl: the lock
 * @range: memory of the caller, in use until tce2_range_unlock()
 * @first: first entry
 * @count: number of entries, more than 0
 * @patience: condition for the thread to back off
 *
 * For threads that hold the owner's lock (struct tce2_hurry) for reading: while such a
 * thread waits for a range, the writers of the owner's lock wait, too.
 *
 * Context: may sleep. A thread may hold only one range of a lock class at a time.
 * Return: 0; -EAGAIN if the thread has to back off instead of waiting; -EINTR after a
 * fatal signal.
 */
int tce2_range_queue(struct tce2_range_lock *rl, struct tce2_range *range,
		     u64 first, u64 count, enum tce2_patience patience)
{
	return range_lock(rl, range, first, count, patience);
}

/**
 * tce2_range_lock_uninterruptible() - lock a range of entries, ignoring signals
 * @rl: the lock
 * @range: memory of the caller, in use until tce2_range_unlock()
 * @first: first entry
 * @count: number of entries, more than 0
 *
 * Context: may sleep. A thread may hold only one range of a lock class at a time.
 */
void tce2_range_lock_uninterruptible(struct tce2_range_lock *rl,
				     struct tce2_range *range, u64 first, u64 count)
{
	lock_map_acquire(&rl->dep_map);
	range_begin(range, first, count);
	if (range_join(rl, range, TCE2_STAYS)) {
		u64 began = tce2_trace_begin_wait();

		wait_for_completion(&range->woken);
		tce2_trace_end_wait(TCE2_WAIT_ENTRIES, began);
	}
	range_close_leaves(rl, range);
}

/**
 * tce2_range_trylock() - lock a range of entries if no other range overlaps it
 * @rl: the lock
 * @range: memory of the caller, in use until tce2_range_unlock()
 * @first: first entry
 * @count: number of entries, more than 0
 *
 * Fails if another thread holds an overlapping range or waits for such a range. Spins while
 * another thread holds a brief lock of one of the leaves.
 *
 * Context: process context; does not sleep. Not in an interrupt, which would wait without end
 * for a brief lock of the thread that it interrupts. The caller must not hold another range
 * or a brief lock of the same range lock.
 * Return: true if the range is held.
 */
bool tce2_range_trylock(struct tce2_range_lock *rl, struct tce2_range *range,
			u64 first, u64 count)
{
	bool held;

	range_begin(range, first, count);
	spin_lock(&rl->lock);
	held = !range_last_overlap(rl->last, range);
	if (held)
		range_append(rl, range);
	spin_unlock(&rl->lock);
	if (!held)
		return false;
	range_close_leaves(rl, range);
	lock_acquire_exclusive(&rl->dep_map, 0, 1, NULL, _THIS_IP_);
	return true;
}

/**
 * tce2_range_unlock() - unlock a range of entries
 * @rl: the lock
 * @range: the range, which the caller holds
 *
 * Context: any context that may take a spinlock.
 */
void tce2_range_unlock(struct tce2_range_lock *rl, struct tce2_range *range)
{
	range_open_leaves(rl, range);
	range_leave(rl, range);
	lock_map_release(&rl->dep_map);
}

/**
 * tce2_range_turn_away() - wake the waiting threads that have to back off
 * @rl: the lock, after the caller has incremented a count of its @hurry
 *
 * Does not wait until the threads have left the queue.
 *
 * Context: any context that may take a spinlock.
 */
void tce2_range_turn_away(struct tce2_range_lock *rl)
{
	struct tce2_range *range;

	spin_lock(&rl->lock);
	for (range = rl->last; range; range = range->prev) {
		if (!range->blocker || range->turned_away ||
		    !range_must_back_off(rl, range->patience))
			continue;
		range->turned_away = true;
		complete(&range->woken);
	}
	spin_unlock(&rl->lock);
}

/**
 * tce2_range_forget_hurry() - make threads ignore the counts of the writers
 * @rl: the lock, in which no thread waits with tce2_range_queue()
 *
 * Context: any context that may take a spinlock.
 */
void tce2_range_forget_hurry(struct tce2_range_lock *rl)
{
	spin_lock(&rl->lock);
	rl->hurry = NULL;
	spin_unlock(&rl->lock);
}

/**
 * tce2_brief_retry() - lock one leaf after tce2_brief_trylock() has failed
 * @rl: the range lock
 * @brief: the brief lock of the leaf
 *
 * To lock a range instead costs many times more, above all if threads have to sleep. So the
 * thread spins for a short time. It can be preempted meanwhile. It stops if the scheduler
 * wants the processor for another thread.
 *
 * Context: process context.
 * Return: true if the leaf is locked; false if other threads have used the leaf at each
 * attempt.
 */
bool tce2_brief_retry(struct tce2_range_lock *rl, struct tce2_brief *brief)
{
	unsigned int spins, in_range = 0;

	for (spins = 0; spins < BRIEF_SPINS && in_range < RANGE_SPINS; spins++) {
		int word = atomic_read(&brief->word);

		if (!word && tce2_brief_trylock(rl, brief))
			return true;
		in_range += word >= TCE2_BRIEF_RANGE;
		if (need_resched())
			break;
		cpu_relax();
	}
	return false;
}

/**
 * tce2_must_stop() - check whether a long request has to stop
 * @hurry: counts of the owner's writers; the caller holds the owner's lock for reading
 *
 * Context: any.
 * Return: 0; -EINTR after a fatal signal; -EAGAIN if VFIO waits for requests to end.
 */
int tce2_must_stop(const struct tce2_hurry *hurry)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return atomic_read(&hurry->stopping) ? -EAGAIN : 0;
}
