/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_KTIME_H
#define SIM_SHIM_KTIME_H

#include <linux/types.h>

/* The clock of the simulated machine, which only tests advance */
extern u64 sim_ns;

static inline u64 ktime_get_ns(void)
{
	return sim_ns;
}

#endif /* SIM_SHIM_KTIME_H */
