/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_RANGE_H
#define TCE2_RANGE_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/completion.h>
#include <linux/lockdep.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <asm/barrier.h>

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

/* Number of brief locks of a range lock, a power of two */
#define TCE2_BRIEFS	8

/* A thread holds the brief lock */
#define TCE2_BRIEF_HELD		1
/* Added for each leaf of a held range, or once if the range has leaves of all brief locks */
#define TCE2_BRIEF_RANGE	2

/**
 * struct tce2_brief - lock for one leaf of entries, for a thread that does not sleep
 * @word: sum of TCE2_BRIEF_HELD and TCE2_BRIEF_RANGE; 0 if the lock is free
 * @padding: unused, so that threads that map in different leaves write to different cache
 *	lines
 */
struct tce2_brief {
	atomic_t word;
	unsigned char padding[L1_CACHE_BYTES - sizeof(atomic_t)];
};

/**
 * struct tce2_range_lock - lock for ranges; threads hold separate ranges in parallel
 * @lock: protects @last, the ranges' links, and @hurry
 * @last: newest range, held or waiting. A range is held when no older range
 *	overlaps it. The ranges are not in a struct list_head, because the checks of
 *	list functions would double the cost of locking a range
 * @hurry: counts of the writers for which waiting threads back off; NULL if no
 *	thread backs off
 * @briefs: TCE2_BRIEFS brief locks, or NULL for a range lock without brief locks; immutable
 * @leaf_shift: log2 of the number of entries that a brief lock covers; immutable
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
 *
 * A thread that needs a single leaf for a moment can take a brief lock instead of a range.
 * A leaf has one brief lock (tce2_brief_number()), and several leaves share a brief lock. The
 * word of a brief lock says who uses its leaves:
 *
 * .. code-block:: none
 *
 *	thread with a range                     thread with a brief lock
 *	-------------------                     ------------------------
 *	waits until no older range in the       if the word is 0:
 *	queue overlaps its range                    store HELD (atomic)
 *	for each of its leaves:                 else:
 *	    add RANGE to the word (atomic)          try again for a short time, then lock
 *	wait until no word has HELD                 a range
 *
 * After RANGE has been added, no other thread gets the brief lock. So a thread with a range
 * waits for at most one holder of each brief lock of its leaves. The holder of a brief lock is
 * not preempted and does not sleep, so the wait is short. A range that waits in the queue
 * adds nothing to a word: until the waiting thread runs again, other threads take brief locks.
 * Otherwise one sleeping thread would make all other threads of the leaf sleep, too. Ranges
 * of other leaves do not affect a brief lock, unless the leaves share it.
 */
struct tce2_range_lock {
	spinlock_t lock;	/* protects last, hurry and the links */
	struct tce2_range *last;
	const struct tce2_hurry *hurry;
	struct tce2_brief *briefs;
	unsigned int leaf_shift;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	struct lockdep_map dep_map;
#endif
};

void tce2_range_lock_init(struct tce2_range_lock *rl,
			  const struct tce2_hurry *hurry,
			  struct lock_class_key *key);
void tce2_range_add_briefs(struct tce2_range_lock *rl, struct tce2_brief *briefs,
			   unsigned int leaf_shift);
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

bool tce2_brief_retry(struct tce2_range_lock *rl, struct tce2_brief *brief);

int tce2_must_stop(const struct tce2_hurry *hurry);

/**
 * tce2_brief_number() - find the brief lock of a leaf
 * @leaf: number of the leaf
 *
 * Clients often give each queue a separate range of addresses, at multiples of a power of
 * two. The leaves 0, d, 2d, ... 7d have eight different locks if d is a power of two of at
 * most 64. The first four multiples of 128, and the first two multiples of 256, also have
 * different locks. Other pairs of leaves may share a lock, even adjacent leaves (31 and 32).
 *
 * Context: any.
 * Return: number of the brief lock, less than TCE2_BRIEFS.
 */
static __always_inline unsigned int tce2_brief_number(u64 leaf)
{
	return (leaf ^ leaf >> 3 ^ leaf >> 6) % TCE2_BRIEFS;
}

/**
 * tce2_brief_trylock() - lock one leaf, if no thread holds it in a range
 * @rl: the range lock
 * @brief: the brief lock of the leaf
 *
 * After success the thread can't be preempted until tce2_brief_unlock(), and must not
 * sleep. It must not lock a range or another brief lock of @rl.
 *
 * Context: process context.
 * Return: true if the leaf is locked; false if another thread has a range of leaves with this
 * brief lock, or the brief lock.
 */
static __always_inline bool tce2_brief_trylock(struct tce2_range_lock *rl,
					       struct tce2_brief *brief)
{
	preempt_disable();
	/* Pairs with range_open_leaves() and tce2_brief_unlock() */
	if (likely(!atomic_cmpxchg_acquire(&brief->word, 0, TCE2_BRIEF_HELD))) {
		lock_acquire_exclusive(&rl->dep_map, 0, 1, NULL, _THIS_IP_);
		return true;
	}
	preempt_enable();
	return false;
}

/**
 * tce2_brief_lock() - lock one leaf, if that takes only a short time
 * @rl: the range lock
 * @brief: the brief lock of the leaf
 *
 * Same as tce2_brief_trylock(), but the thread waits for a short time.
 *
 * Context: process context.
 * Return: true if the leaf is locked; false if other threads have used the leaf for too long.
 */
static __always_inline bool tce2_brief_lock(struct tce2_range_lock *rl,
					    struct tce2_brief *brief)
{
	return likely(tce2_brief_trylock(rl, brief)) || tce2_brief_retry(rl, brief);
}

/**
 * tce2_brief_unlock() - undo tce2_brief_trylock() or tce2_brief_lock()
 * @rl: the range lock
 * @brief: the brief lock
 *
 * Context: the thread holds the brief lock.
 */
static __always_inline void tce2_brief_unlock(struct tce2_range_lock *rl,
					      struct tce2_brief *brief)
{
	lock_map_release(&rl->dep_map);
	/* Pairs with range_close_word() and tce2_brief_trylock() */
	atomic_fetch_sub_release(TCE2_BRIEF_HELD, &brief->word);
	preempt_enable();
}

#endif /* TCE2_RANGE_H */
