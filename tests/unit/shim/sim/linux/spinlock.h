/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SPINLOCK_H
#define SIM_SHIM_SPINLOCK_H

#include <pthread.h>

#include "held.h"

/**
 * struct spinlock - a lock of real threads
 * @mutex: what it is made of
 * @owner: the thread that holds it
 * @held: whether one does
 */
typedef struct spinlock {
	pthread_mutex_t mutex;
	pthread_t owner;
	bool held;
} spinlock_t;

/* What the thread does each time that it has unlocked one, if anything */
typedef void spin_hook(void);
extern __thread spin_hook *spin_unlocked;

void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);

#endif /* SIM_SHIM_SPINLOCK_H */
