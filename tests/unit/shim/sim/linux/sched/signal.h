/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SCHED_SIGNAL_H
#define SIM_SHIM_SCHED_SIGNAL_H

#include <linux/sched.h>

static inline bool fatal_signal_pending(struct task_struct *task)
{
	(void)task;
	sim_pause();
	return sim_fails(SIM_SIGNAL);
}

#endif /* SIM_SHIM_SCHED_SIGNAL_H */
