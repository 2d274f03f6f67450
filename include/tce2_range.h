/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_RANGE_H
#define TCE2_RANGE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/lockdep.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * struct tce2_hurry - counts of the writers of a lock that requests hold for reading
 * @turning_away: threads that hold the lock for writing or wait for it. While this
 *	count is not 0, requests return -EAGAIN instead of waiting for a range of
 *	entries, except requests that have been turned away before
 * @stopping: writers that also hold locks of VFIO's core, for which other containers
 *	wait. While this count is not 0, no request waits for a range, and requests
 *	that map or unmap many entries stop
 */
struct tce2_hurry {
	atomic_t turning_away;
	atomic_t stopping;
};

/**
 * enum tce2_patience - conditions for a thread to stop waiting for a range
 * @TCE2_STAYS: the thread stops only after a fatal signal, and only in a killable
 *	function
 * @TCE2_YIELDS_TO_VFIO: the thread stops when @stopping of struct tce2_hurry is not 0
 * @TCE2_YIELDS: the thread stops when @turning_away of struct tce2_hurry is not 0
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
 * @blocker: newest of the older ranges that overlap this range; NULL if this range is
 *	held
 * @waiters: first range that has this range as its blocker
 * @next_waiter: next range with the same blocker
 * @first: number of the first TCE, or of the first page of user memory
 * @last: number of the last TCE or page, inclusive
 * @patience: condition for the thread to stop waiting
 * @turned_away: the thread has been woken to stop waiting
 * @woken: completed when the range becomes held or its thread is turned away;
 *	initialized only if the range has to wait
 *
 * Lives on the stack of its thread. The lock's spinlock protects all links and
 * flags.
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
 * struct tce2_range_lock - lock for ranges; threads hold separate ranges in parallel
 * @lock: protects @last, the ranges' links, and @hurry
 * @last: newest range, held or waiting. A range is held when no older range
 *	overlaps it. The ranges are not in a struct list_head, because the checks of
 *	list functions would double the cost of locking a range
 * @hurry: counts of the writers for which waiting threads back off; NULL if no
 *	thread backs off
 * @dep_map: for lockdep. All ranges of a lock class are the same lock to lockdep, so a
 *	thread holds only one range at a time
 *
 * First come, first served: a range also waits for an older overlapping range that
 * is itself still waiting, so no thread starves. A waiting range is linked to a single
 * older range, its blocker: the newest of the older ranges that overlap it. The thread that
 * unlocks the blocker searches for the next blocker, and wakes the waiting thread only
 * if no other range blocks it. Ranges with the same blocker do not overlap one another:
 * if they did, the older range would block the newer range. So the order in which their
 * threads are woken does not matter. If all threads lock the same range, each unlock
 * accesses one range and wakes one thread.
 */
struct tce2_range_lock {
	spinlock_t lock;	/* protects last, hurry and the links */
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
