// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range lock: requests for separate TCEs of a window, or for separate memory to
 * be registered, run in parallel, those for overlapping ones one after the other.
 *
 * Owns the lock that include/tce2_range.h describes.
 *
 * Locks: the spinlock inside, held for a walk along the waiting threads.
 * Calls: nothing of this project.
 */
#include <linux/sched/signal.h>

#include "tce2_range.h"

/**
 * tce2_range_lock_init() - make a lock with nothing held
 * @rl: the lock
 * @key: static, one for each use that the lock is put to
 */
void tce2_range_lock_init(struct tce2_range_lock *rl,
			  struct lock_class_key *key)
{
	spin_lock_init(&rl->lock);
	rl->ranges = NULL;
	init_waitqueue_head(&rl->wait);
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	lockdep_init_map(&rl->dep_map, "tce2_range_lock", key, 0);
#endif
}

static bool overlap(const struct tce2_range *a, const struct tce2_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* Puts a range behind those that came before; true if it is held at once */
static bool join(struct tce2_range_lock *rl, struct tce2_range *range)
{
	struct tce2_range **link;
	bool held = true;

	range->next = NULL;
	spin_lock(&rl->lock);
	for (link = &rl->ranges; *link; link = &(*link)->next) {
		if (overlap(*link, range))
			held = false;
	}
	*link = range;
	spin_unlock(&rl->lock);
	return held;
}

static bool range_held(struct tce2_range_lock *rl, struct tce2_range *range)
{
	const struct tce2_range *other;

	spin_lock(&rl->lock);
	for (other = rl->ranges; other != range; other = other->next) {
		if (overlap(other, range))
			break;
	}
	spin_unlock(&rl->lock);
	return other == range;
}

static void leave(struct tce2_range_lock *rl, struct tce2_range *range)
{
	struct tce2_range **link;

	spin_lock(&rl->lock);
	for (link = &rl->ranges; *link != range; link = &(*link)->next)
		;
	*link = range->next;
	spin_unlock(&rl->lock);
	if (wq_has_sleeper(&rl->wait))
		wake_up_all(&rl->wait);
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
	lock_map_acquire(&rl->dep_map);
	range->first = first;
	range->last = first + count - 1;
	if (!join(rl, range) &&
	    wait_event_killable(rl->wait, range_held(rl, range))) {
		leave(rl, range);
		lock_map_release(&rl->dep_map);
		return -EINTR;
	}
	return 0;
}

/**
 * tce2_range_lock_for_good() - lock a range of entries, whatever signals come
 * @rl: the lock
 * @range: the caller's, to be kept until tce2_range_unlock()
 * @first: first entry
 * @count: entries, more than 0
 *
 * Context: may sleep. A thread may hold one range of a table at a time.
 */
void tce2_range_lock_for_good(struct tce2_range_lock *rl,
			      struct tce2_range *range, u64 first, u64 count)
{
	lock_map_acquire(&rl->dep_map);
	range->first = first;
	range->last = first + count - 1;
	if (!join(rl, range))
		wait_event(rl->wait, range_held(rl, range));
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
	struct tce2_range **link;
	bool held = true;

	range->first = first;
	range->last = first + count - 1;
	range->next = NULL;
	spin_lock(&rl->lock);
	for (link = &rl->ranges; *link && held; link = &(*link)->next)
		held = !overlap(*link, range);
	if (held)
		*link = range;
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
	leave(rl, range);
	lock_map_release(&rl->dep_map);
}
