/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_MUTEX_H
#define SIM_SHIM_MUTEX_H

#include <linux/lockdep.h>
#include <linux/types.h>

/**
 * struct mutex - a lock of the simulated machine
 * @owner: the thread that holds it, 0 for none
 * @era: see sim_reset(); one held since an earlier era is free
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
