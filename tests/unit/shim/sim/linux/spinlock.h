/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SPINLOCK_H
#define SIM_SHIM_SPINLOCK_H

#include <pthread.h>

#include "held.h"

/**
 * struct spinlock - a spinlock for real threads
 * @mutex: the lock itself
 * @owner: the thread that holds the lock
 * @held: a thread holds the lock
 */
typedef struct spinlock {
	pthread_mutex_t mutex;
	pthread_t owner;
	bool held;
} spinlock_t;

#define DEFINE_SPINLOCK(name) \
	spinlock_t name = { .mutex = PTHREAD_MUTEX_INITIALIZER }

/* Function that the current thread runs after each spin_unlock(), or NULL */
typedef void spin_hook(void);
extern __thread spin_hook *spin_unlocked;

#define DEFINE_SPINLOCK(name) \
	spinlock_t name = { .mutex = PTHREAD_MUTEX_INITIALIZER }

void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);

#endif /* SIM_SHIM_SPINLOCK_H */
