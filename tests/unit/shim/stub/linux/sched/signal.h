/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_SCHED_SIGNAL_H
#define STUB_SCHED_SIGNAL_H

#include <linux/sched.h>

static inline bool fatal_signal_pending(struct task_struct *task)
{
	(void)task;
	sim_pause();
	return sim_fails(SIM_SIGNAL);
}

#endif /* STUB_SCHED_SIGNAL_H */
