/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_RCUPDATE_H
#define SIM_SHIM_RCUPDATE_H

#include <linux/types.h>

void rcu_read_lock(void);
void rcu_read_unlock(void);
/* Runs other tasks, see sim_let_others(), until all have left their read-side sections */
void synchronize_rcu(void);
/* Queues a callback for sim_grace_period() */
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

/*
 * Overwrites an object at once, and frees it in sim_grace_period(). The kernel overwrites
 * only the object's rcu_head before the grace period ends.
 */
void sim_free_later(void *ptr);

#define kfree_rcu(ptr, member)                 \
	do {                                   \
		(void)&(ptr)->member;          \
		sim_free_later(ptr);           \
	} while (0)

#endif /* SIM_SHIM_RCUPDATE_H */
