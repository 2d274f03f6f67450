/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PERCPU_H
#define SIM_SHIM_PERCPU_H

#include <linux/slab.h>

#include "sim.h"

/* The simulated machine has one processor */
#define alloc_percpu_gfp(type, gfp) kzalloc(sizeof(type), gfp)
#define free_percpu(ptr)	 kfree(ptr)
#define per_cpu_ptr(ptr, cpu)	 ((void)(cpu), (ptr))
#define for_each_possible_cpu(i) for ((i) = 0; (i) < 1; (i)++)

/* A thread that moves to another processor meanwhile would lose a count */
#define raw_cpu_inc(variable)                             \
	do {                                              \
		if (sim_preemptible())                    \
			sim_bug("raw_cpu_inc is preempted"); \
		(variable)++;                             \
	} while (0)

#endif /* SIM_SHIM_PERCPU_H */
