/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_RCUPDATE_H
#define STUB_RCUPDATE_H

#include <linux/types.h>

void rcu_read_lock(void);
void rcu_read_unlock(void);
/* Called back in sim_grace_period() */
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

#endif /* STUB_RCUPDATE_H */
