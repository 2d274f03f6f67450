/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_MUTEX_H
#define THREADS_MUTEX_H

#include <pthread.h>

#include <linux/lockdep.h>
#include <linux/types.h>

/**
 * struct mutex - a mutex for real threads
 * @mutex: the lock itself
 * @owner: the thread that holds the mutex
 * @held: a thread holds the mutex
 */
struct mutex {
	pthread_mutex_t mutex;
	pthread_t owner;
	bool held;
};

#define DEFINE_MUTEX(name) \
	struct mutex name = { .mutex = PTHREAD_MUTEX_INITIALIZER }

void mutex_init(struct mutex *lock);
void mutex_lock(struct mutex *lock);
int mutex_lock_killable(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

#endif /* THREADS_MUTEX_H */
