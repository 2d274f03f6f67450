// SPDX-License-Identifier: GPL-2.0-only
/* Pids and time of the simulated machine. */
#include <stdlib.h>

#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/sched.h>

#include "sim.h"

long sim_pid_refs;
u64 sim_ns;

struct pid *get_task_pid(struct task_struct *task, enum pid_type type)
{
	struct pid *pid = malloc(sizeof(*pid));

	if (!pid)
		abort();
	*pid = (struct pid){ .refs = 1, .nr = sim_tgid(task) };
	sim_pid_refs++;
	return pid;
}

struct pid *get_pid(struct pid *pid)
{
	if (pid) {
		pid->refs++;
		sim_pid_refs++;
	}
	return pid;
}

void put_pid(struct pid *pid)
{
	if (!pid)
		return;
	sim_pid_refs--;
	if (!--pid->refs)
		free(pid);
}

int pid_vnr(struct pid *pid)
{
	return pid ? pid->nr : 0;
}
