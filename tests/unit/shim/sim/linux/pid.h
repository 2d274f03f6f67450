/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PID_H
#define SIM_SHIM_PID_H

#include <linux/types.h>

struct task_struct;

enum pid_type { PIDTYPE_TGID };

/**
 * struct pid - number of a process
 * @refs: number of references
 * @nr: the number
 */
struct pid {
	unsigned int refs;
	int nr;
};

/* Number of references to pids; 0 when nothing is left */
extern long sim_pid_refs;

struct pid *get_task_pid(struct task_struct *task, enum pid_type type);
struct pid *get_pid(struct pid *pid);
void put_pid(struct pid *pid);
int pid_vnr(struct pid *pid);

#endif /* SIM_SHIM_PID_H */
