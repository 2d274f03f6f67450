/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_RANGE_H
#define TCE2_RANGE_H

#include <linux/lockdep.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct tce2_range - a range that a thread has locked or waits for
 * @next: the one that came after it; the lock's spinlock
 * @first: first TCE, or page of user memory
 * @last: last one, included
 *
 * On the stack of its thread.
 */
struct tce2_range {
	struct tce2_range *next;
	u64 first;
	u64 last;
};

/**
 * struct tce2_range_lock - lets threads work on separate ranges
 * @lock: guards @ranges
 * @ranges: ranges held and waited for, in the order they came (a bare list:
 *	checked list functions would cost as much as the rest); a range is
 *	held when none before it overlaps
 * @wait: threads whose range is not held yet
 * @dep_map: for lockdep, which sees any range of a use as the same lock:
 *	a thread holds one at a time
 *
 * First come, first served, also behind one that still waits: no thread starves.
 * The list is as long as there are threads with a request for one window, or
 * registering memory of one process.
 */
struct tce2_range_lock {
	spinlock_t lock;	/* guards ranges */
	struct tce2_range *ranges;
	wait_queue_head_t wait;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	struct lockdep_map dep_map;
#endif
};

void tce2_range_lock_init(struct tce2_range_lock *rl,
			  struct lock_class_key *key);
int tce2_range_lock(struct tce2_range_lock *rl, struct tce2_range *range,
		    u64 first, u64 count);
void tce2_range_lock_for_good(struct tce2_range_lock *rl,
			      struct tce2_range *range, u64 first, u64 count);
bool tce2_range_trylock(struct tce2_range_lock *rl, struct tce2_range *range,
			u64 first, u64 count);
void tce2_range_unlock(struct tce2_range_lock *rl, struct tce2_range *range);

#endif /* TCE2_RANGE_H */
