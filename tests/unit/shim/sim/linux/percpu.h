/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PERCPU_H
#define SIM_SHIM_PERCPU_H

#include <linux/slab.h>

/* The simulated machine has one processor */
#define __percpu

#define alloc_percpu_gfp(type, gfp) kzalloc(sizeof(type), gfp)
#define free_percpu(ptr)	 kfree(ptr)
#define per_cpu_ptr(ptr, cpu)	 ((void)(cpu), (ptr))
#define for_each_possible_cpu(i) for ((i) = 0; (i) < 1; (i)++)
#define raw_cpu_inc(variable)	 ((void)(variable)++)

#endif /* SIM_SHIM_PERCPU_H */
