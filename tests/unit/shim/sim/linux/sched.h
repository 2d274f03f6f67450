/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SCHED_H
#define SIM_SHIM_SCHED_H

#include "sim.h"

struct task_struct;

#define current ((struct task_struct *)NULL)

static inline void cond_resched(void)
{
	sim_may_sleep("cond_resched");
	sim_rest();
	sim_pause();
}

#endif /* SIM_SHIM_SCHED_H */
