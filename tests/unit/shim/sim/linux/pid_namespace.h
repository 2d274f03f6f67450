/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PID_NAMESPACE_H
#define SIM_SHIM_PID_NAMESPACE_H

/**
 * struct pid_namespace - a pid namespace
 * @level: 0 for the initial namespace
 */
struct pid_namespace {
	unsigned int level;
};

extern struct pid_namespace init_pid_ns;

/* The namespace of each task */
extern struct pid_namespace *sim_pid_ns;

#define task_active_pid_ns(task) ((void)(task), sim_pid_ns)

#endif /* SIM_SHIM_PID_NAMESPACE_H */
