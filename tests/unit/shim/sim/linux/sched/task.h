/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SCHED_TASK_H
#define SIM_SHIM_SCHED_TASK_H

#include <linux/pid.h>
#include <linux/sched.h>

/* The limit that sim_memlock sets; sim_memlock is 0 if the process no longer exists */
extern unsigned long sim_memlock;

struct task_struct *get_pid_task(struct pid *pid, enum pid_type type);
void put_task_struct(struct task_struct *task);

static inline unsigned long task_rlimit(const struct task_struct *task,
					unsigned int limit)
{
	return sim_memlock;
}

#endif /* SIM_SHIM_SCHED_TASK_H */
