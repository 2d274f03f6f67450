/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_RWSEM_H
#define THREADS_RWSEM_H

#include <pthread.h>

#include "held.h"

struct rw_semaphore {
	pthread_rwlock_t lock;
};

void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
int down_read_killable(struct rw_semaphore *sem);
int down_read_trylock(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
int down_write_killable(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);

#endif /* THREADS_RWSEM_H */
