/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_ASM_BARRIER_H
#define SIM_SHIM_ASM_BARRIER_H

#include <linux/compiler.h>

#include "sim.h"

/* Records that stores to TCE tables come before the next platform call (sim_platform.c) */
void platform_barrier(void);

#define mb() platform_barrier()

/*
 * With one thread all accesses are in order. The shim only records that a barrier
 * was issued: see sim_free_later(), SIM_AT_PUBLISH and SIM_AT_READ_BARRIER.
 */
#define smp_mb()  ((void)(sim.unordered = false))
#define smp_mb__before_atomic() smp_mb()
#define smp_mb__after_atomic()  smp_mb()
#define smp_rmb() sim_point(SIM_AT_READ_BARRIER)
#define smp_wmb() ((void)(sim.unordered = false))

/* Prevents speculation, which the shim does not simulate */
#define barrier_nospec() ((void)0)

#define smp_store_release(ptr, value)    \
	do {                                 \
		sim_point(SIM_AT_PUBLISH);   \
		sim.unordered = false;       \
		WRITE_ONCE(*(ptr), (value)); \
	} while (0)

#define smp_load_acquire(ptr) READ_ONCE(*(ptr))

#define smp_store_mb(var, value)         \
	do {                             \
		WRITE_ONCE(var, value);  \
		sim.unordered = false;   \
	} while (0)

#endif /* SIM_SHIM_ASM_BARRIER_H */
