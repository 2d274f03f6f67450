/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_ASM_BARRIER_H
#define THREADS_ASM_BARRIER_H

#include <linux/compiler.h>

/* barrier() suffices, because READ_ONCE() is a load-acquire, WRITE_ONCE() a store-release */
#define mb()	  barrier()
#define smp_mb()  __sync_synchronize()
#define smp_mb__before_atomic() smp_mb()
#define smp_mb__after_atomic()  smp_mb()
#define smp_rmb() barrier()
#define smp_wmb() barrier()

#define smp_load_acquire(ptr)	      READ_ONCE(*(ptr))
#define smp_store_release(ptr, value) WRITE_ONCE(*(ptr), value)
#define smp_store_mb(var, value)      WRITE_ONCE(var, value)

#endif /* THREADS_ASM_BARRIER_H */
