// SPDX-License-Identifier: GPL-2.0-only
/*
 * Spinlocks, wait queues and completions of the simulated machine. Real threads may
 * contend for these, and must not contend for its other locks.
 */
#include <linux/completion.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "sim.h"

__thread unsigned int spinlocks_held;
__thread spin_hook *spin_unlocked;

void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->held = false;
}

void spin_lock(spinlock_t *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->owner = pthread_self();
	lock->held = true;
	spinlocks_held++;
}

void spin_unlock(spinlock_t *lock)
{
	spin_assert_held(lock);
	lock->held = false;
	spinlocks_held--;
	pthread_mutex_unlock(&lock->mutex);
	if (spin_unlocked)
		spin_unlocked();
}

void spin_assert_held(spinlock_t *lock)
{
	if (!lock->held || !pthread_equal(lock->owner, pthread_self()))
		sim_bug("a spinlock that should be held is not");
}

bool sim_resched;
__thread const bool *wait_killed;
bool wait_for_others;

void init_waitqueue_head(wait_queue_head_t *wait)
{
	pthread_mutex_init(&wait->mutex, NULL);
	pthread_cond_init(&wait->woken, NULL);
	wait->waiters = 0;
}

unsigned int wait_count(wait_queue_head_t *wait)
{
	unsigned int count;

	pthread_mutex_lock(&wait->mutex);
	count = wait->waiters;
	pthread_mutex_unlock(&wait->mutex);
	return count;
}

void wake_up_all(wait_queue_head_t *wait)
{
	pthread_mutex_lock(&wait->mutex);
	pthread_cond_broadcast(&wait->woken);
	pthread_mutex_unlock(&wait->mutex);
}

void wait_enter(wait_queue_head_t *wait)
{
	pthread_mutex_lock(&wait->mutex);
	wait->waiters++;
}

void wait_for(wait_queue_head_t *wait)
{
	if (!wait_for_others)
		sim_bug("deadlock: a thread waits, but no other thread can wake it");
	pthread_cond_wait(&wait->woken, &wait->mutex);
}

bool wait_interrupted(wait_queue_head_t *wait)
{
	if (wait_killed && *(const volatile bool *)wait_killed)
		return true;
	wait_for(wait);
	return false;
}

void wait_leave(wait_queue_head_t *wait)
{
	wait->waiters--;
	pthread_mutex_unlock(&wait->mutex);
}

wait_queue_head_t completions = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.woken = PTHREAD_COND_INITIALIZER,
};

void init_completion(struct completion *x)
{
	x->done = 0;
}

void complete(struct completion *x)
{
	pthread_mutex_lock(&completions.mutex);
	x->done++;
	pthread_cond_broadcast(&completions.woken);
	pthread_mutex_unlock(&completions.mutex);
}

bool completion_done(struct completion *x)
{
	bool done;

	pthread_mutex_lock(&completions.mutex);
	done = x->done;
	pthread_mutex_unlock(&completions.mutex);
	return done;
}

void wait_for_completion(struct completion *x)
{
	might_sleep();
	wait_event(completions, x->done);
}

int wait_for_completion_killable(struct completion *x)
{
	might_sleep();
	return wait_event_killable(completions, x->done);
}
