// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range lock: requests for separate TCEs of a window, or for separate memory to
 * be registered, run in parallel, those for overlapping ones one after the other.
 *
 * Owns the lock that include/tce2_range.h describes.
 *
 * Locks: the spinlock inside, held for one walk along the ranges.
 * Calls: nothing of this project.
 */
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/sched/signal.h>

#include "tce2_range.h"

/**
 * tce2_range_lock_init() - make a lock with nothing held
 * @rl: the lock
 * @hurry: the owner's, or NULL
 * @key: static, one for each use that the lock is put to
 */
void tce2_range_lock_init(struct tce2_range_lock *rl,
			  const struct tce2_hurry *hurry,
			  struct lock_class_key *key)
{
	spin_lock_init(&rl->lock);
	rl->last = NULL;
	rl->hurry = hurry;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	lockdep_init_map(&rl->dep_map, "tce2_range_lock", key, 0);
#endif
}

static bool range_intersects(const struct tce2_range *a, const struct tce2_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* Finds the newest range that overlaps @range, from @other on towards older ones */
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
 * Appends a range to the queue. Returns 0 if the range is held and 1 if it has to wait.
 * Returns -EAGAIN without appending it if it would have to wait but must back off.
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
 * Finds the next blocker of the first waiter of @range, or wakes that waiter if there
 * is none. No range newer than @range blocks the waiter, so the search starts with the
 * next older one.
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

static void range_leave(struct tce2_range_lock *rl, struct tce2_range *range)
{
	spin_lock(&rl->lock);
	if (unlikely(range->blocker))
		range_stop_waiting(range);
	/* Make the range empty: ranges that join from now on do not wait for it */
	range->first = U64_MAX;
	range->last = 0;
	while (unlikely(range->waiters)) {
		range_pass_on(range);
		/* A search may walk the whole queue: drop the lock after each one */
		spin_unlock(&rl->lock);
		spin_lock(&rl->lock);
	}
	if (range->prev)
		range->prev->next = range->next;
	if (range->next)
		range->next->prev = range->prev;
	else
		rl->last = range->prev;
	spin_unlock(&rl->lock);
}

/* Waits until a range is held. After an error it has left the queue. */
static int range_wait_until_held(struct tce2_range_lock *rl, struct tce2_range *range)
{
	int ret = wait_for_completion_killable(&range->woken);
	bool held;

	spin_lock(&rl->lock);
	held = !range->blocker && !range_must_back_off(rl, range->patience);
	spin_unlock(&rl->lock);
	/* Held even if a signal came at the same time: the caller checks for it */
	if (held)
		return 0;
	range_leave(rl, range);
	return ret ? -EINTR : -EAGAIN;
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
	return ret;
}

/**
 * tce2_range_lock() - lock a range of entries
 * @rl: the lock
 * @range: the caller's, to be kept until tce2_range_unlock()
 * @first: first entry
 * @count: entries, more than 0
 *
 * Context: may sleep. A thread may hold one range of a table at a time.
 * Return: 0, or -EINTR after a fatal signal.
 */
int tce2_range_lock(struct tce2_range_lock *rl, struct tce2_range *range,
		    u64 first, u64 count)
{
	return range_lock(rl, range, first, count, TCE2_STAYS);
}

/**
 * tce2_range_queue() - lock a range of entries, or back off for a writer
 * @rl: the lock
 * @range: the caller's, to be kept until tce2_range_unlock()
 * @first: first entry
 * @count: entries, more than 0
 * @patience: when the thread leaves the queue
 *
 * For threads that hold the lock of struct tce2_hurry for reading: while they wait
 * here, they would delay the writers that it counts.
 *
 * Context: may sleep. A thread may hold one range of a table at a time.
 * Return: 0; -EAGAIN if the thread would have to wait but @patience makes it back off;
 * -EINTR after a fatal signal.
 */
int tce2_range_queue(struct tce2_range_lock *rl, struct tce2_range *range,
		     u64 first, u64 count, enum tce2_patience patience)
{
	return range_lock(rl, range, first, count, patience);
}

/**
 * tce2_range_lock_uninterruptible() - lock a range of entries, ignoring signals
 * @rl: the lock
 * @range: the caller's, to be kept until tce2_range_unlock()
 * @first: first entry
 * @count: entries, more than 0
 *
 * Context: may sleep. A thread may hold one range of a table at a time.
 */
void tce2_range_lock_uninterruptible(struct tce2_range_lock *rl,
				     struct tce2_range *range, u64 first, u64 count)
{
	lock_map_acquire(&rl->dep_map);
	range_begin(range, first, count);
	if (range_join(rl, range, TCE2_STAYS))
		wait_for_completion(&range->woken);
}

/**
 * tce2_range_trylock() - lock a range of entries if no part of it is locked
 * @rl: the lock
 * @range: the caller's, to be kept until tce2_range_unlock()
 * @first: first entry
 * @count: entries, more than 0
 *
 * Does not wait for ranges that another thread holds or waits for.
 *
 * Context: any that may take a spinlock; does not sleep. The caller may hold no
 * other range of the lock.
 * Return: true if the range is locked.
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
	if (held)
		lock_acquire_exclusive(&rl->dep_map, 0, 1, NULL, _THIS_IP_);
	return held;
}

/**
 * tce2_range_unlock() - unlock a range of entries
 * @rl: the lock
 * @range: what tce2_range_lock() got
 *
 * Context: any that may take a spinlock.
 */
void tce2_range_unlock(struct tce2_range_lock *rl, struct tce2_range *range)
{
	range_leave(rl, range);
	lock_map_release(&rl->dep_map);
}

/**
 * tce2_range_turn_away() - wake the waiting threads that have to back off
 * @rl: the lock, after a counter of its @hurry was raised
 *
 * Does not wait until they have left.
 *
 * Context: any that may take a spinlock.
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
 * tce2_range_forget_hurry() - let all threads stay from now on
 * @rl: the lock, in which no thread waits with tce2_range_queue()
 *
 * Context: any that may take a spinlock.
 */
void tce2_range_forget_hurry(struct tce2_range_lock *rl)
{
	spin_lock(&rl->lock);
	rl->hurry = NULL;
	spin_unlock(&rl->lock);
}

/**
 * tce2_must_stop() - look whether a long request has to stop
 * @hurry: that of the owner, which the caller has locked for reading
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
