/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SCHED_H
#define SIM_SHIM_SCHED_H

#include <string.h>

#include "sim.h"

#define current sim_task()

#define TASK_COMM_LEN 16
#define get_task_comm(to, task) memcpy(to, (task)->comm, TASK_COMM_LEN)
#define task_tgid_nr(task)	sim_tgid(task)

static inline void cond_resched(void)
{
	sim_may_sleep("cond_resched");
	sim_rest();
	sim_pause();
	sim_point(SIM_AT_RESCHED);
}

static inline long schedule_timeout_uninterruptible(long timeout)
{
	sim_rest();
	sim_wait("schedule_timeout_uninterruptible");
	return 0;
}

/* A spinning thread stays on the processor; sim_when() may interrupt it */
#define cpu_relax() sim_point(SIM_AT_READ)
#define need_resched() sim_resched

#endif /* SIM_SHIM_SCHED_H */
