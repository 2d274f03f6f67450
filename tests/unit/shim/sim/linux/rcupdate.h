/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_RCUPDATE_H
#define SIM_SHIM_RCUPDATE_H

#include <linux/types.h>

void rcu_read_lock(void);
void rcu_read_unlock(void);
/* Lets others go on, see sim_let_others(), until none of them reads */
void synchronize_rcu(void);
/* Called back in sim_grace_period() */
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

/*
 * Freed in sim_grace_period(). The kernel writes into the object's rcu_head
 * meanwhile; here all of it is overwritten at once.
 */
void sim_free_later(void *ptr);

#define kfree_rcu(ptr, member)                 \
	do {                                   \
		(void)&(ptr)->member;          \
		sim_free_later(ptr);           \
	} while (0)

#endif /* SIM_SHIM_RCUPDATE_H */
