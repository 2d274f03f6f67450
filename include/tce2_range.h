/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_RANGE_H
#define TCE2_RANGE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/lockdep.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * struct tce2_hurry - counts the writers of a lock that requests hold for reading
 * @turning_away: threads that hold the lock for writing or wait to. While it is not 0,
 *	requests return -EAGAIN instead of waiting for a range of entries, except
 *	requests that have been turned away before
 * @stopping: those of these writers that hold locks of VFIO's core, for which other
 *	containers wait. While it is not 0, no request waits for a range, and requests
 *	that map or unmap many entries stop
 */
struct tce2_hurry {
	atomic_t turning_away;
	atomic_t stopping;
};

/**
 * enum tce2_patience - when a thread stops waiting for a range
 * @TCE2_STAYS: never, except after a fatal signal if the function is killable
 * @TCE2_YIELDS_TO_VFIO: when @stopping of struct tce2_hurry is not 0
 * @TCE2_YIELDS: when @turning_away is not 0
 */
enum tce2_patience {
	TCE2_STAYS,
	TCE2_YIELDS_TO_VFIO,
	TCE2_YIELDS,
};

/**
 * struct tce2_range - a range that a thread has locked or waits for
 * @prev: next older range of the lock
 * @next: next newer range of the lock
 * @blocker: newest older range that overlaps this one; NULL if this range is held
 * @waiters: first of the ranges whose blocker is this range
 * @next_waiter: next range with the same blocker
 * @first: first TCE, or page of user memory
 * @last: last one, included
 * @patience: when the thread stops waiting
 * @turned_away: the thread has been woken to stop waiting
 * @woken: completed when the range becomes held or its thread is turned away;
 *	initialized only if the range has to wait
 *
 * On the stack of its thread. All links and flags are guarded by the lock's
 * spinlock.
 */
struct tce2_range {
	struct tce2_range *prev;
	struct tce2_range *next;
	struct tce2_range *blocker;
	struct tce2_range *waiters;
	struct tce2_range *next_waiter;
	u64 first;
	u64 last;
	enum tce2_patience patience;
	bool turned_away;
	struct completion woken;
};

/**
 * struct tce2_range_lock - lets threads work on separate ranges
 * @lock: guards @last, the ranges' links, and @hurry
 * @last: the range that came last, held or waiting. A range is held when none
 *	before it overlaps. (A bare list: checked list functions would cost as
 *	much as the rest.)
 * @hurry: writers for which waiting threads back off; NULL if no thread backs off
 * @dep_map: for lockdep, which sees any range of a use as the same lock:
 *	a thread holds one at a time
 *
 * First come, first served: a range also waits for an older overlapping range that
 * is itself still waiting, so no thread starves. A waiting range is linked to a single
 * older range, its blocker: the newest older range that overlaps it. The thread that
 * unlocks the blocker searches for the next blocker, and wakes the waiting thread only
 * if there is none. Ranges with the same blocker do not overlap one another: if two
 * did, the older would be the blocker of the newer. So their order does not matter. If
 * all threads want the same range, each unlock touches one range and wakes one thread.
 */
struct tce2_range_lock {
	spinlock_t lock;	/* guards last, hurry and the links */
	struct tce2_range *last;
	const struct tce2_hurry *hurry;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	struct lockdep_map dep_map;
#endif
};

void tce2_range_lock_init(struct tce2_range_lock *rl,
			  const struct tce2_hurry *hurry,
			  struct lock_class_key *key);
int tce2_range_lock(struct tce2_range_lock *rl, struct tce2_range *range,
		    u64 first, u64 count);
int tce2_range_queue(struct tce2_range_lock *rl, struct tce2_range *range,
		     u64 first, u64 count, enum tce2_patience patience);
void tce2_range_lock_uninterruptible(struct tce2_range_lock *rl,
				     struct tce2_range *range, u64 first, u64 count);
bool tce2_range_trylock(struct tce2_range_lock *rl, struct tce2_range *range,
			u64 first, u64 count);
void tce2_range_unlock(struct tce2_range_lock *rl, struct tce2_range *range);
void tce2_range_turn_away(struct tce2_range_lock *rl);
void tce2_range_forget_hurry(struct tce2_range_lock *rl);

int tce2_must_stop(const struct tce2_hurry *hurry);

#endif /* TCE2_RANGE_H */
