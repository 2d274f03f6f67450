/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_RWSEM_H
#define SIM_SHIM_RWSEM_H

#include "held.h"

/**
 * struct rw_semaphore - a reader-writer semaphore of the simulated machine
 * @readers: number of tasks that hold it for reading
 * @writer: a task holds it for writing
 */
struct rw_semaphore {
	unsigned int readers;
	bool writer;
};

void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
int down_read_killable(struct rw_semaphore *sem);
int down_read_trylock(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
int down_write_killable(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);

#endif /* SIM_SHIM_RWSEM_H */
