/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_MUTEX_H
#define SIM_SHIM_MUTEX_H

#include <linux/lockdep.h>
#include <linux/types.h>

/**
 * struct mutex - a mutex of the simulated machine
 * @owner: number of the task that holds the mutex, 0 for none
 * @era: sim_era() when the mutex was locked; a mutex locked in an earlier era is free
 */
struct mutex {
	unsigned int owner;
	unsigned int era;
};

#define DEFINE_MUTEX(name) struct mutex name

void mutex_init(struct mutex *lock);
void mutex_lock(struct mutex *lock);
int mutex_lock_killable(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

#endif /* SIM_SHIM_MUTEX_H */
