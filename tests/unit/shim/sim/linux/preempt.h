/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PREEMPT_H
#define SIM_SHIM_PREEMPT_H

#include <linux/types.h>

#include "sim.h"

bool in_interrupt(void);

#define in_softirq()	  in_interrupt()
#define preempt_disable() sim_preempt_disable()
#define preempt_enable()  sim_preempt_enable()

#endif /* SIM_SHIM_PREEMPT_H */
