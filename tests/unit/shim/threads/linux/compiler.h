/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_COMPILER_H
#define THREADS_COMPILER_H

#include <stddef.h>

#include "sim.h"

/*
 * READ_ONCE() acquires and WRITE_ONCE() releases, because ThreadSanitizer derives the
 * order of two threads only from such loads and stores. A thread may be preempted at
 * each of them.
 */
void machine_preempt(void);

#define READ_ONCE(x)                                     \
	({                                               \
		machine_preempt();                       \
		__atomic_load_n(&(x), __ATOMIC_ACQUIRE); \
	})

#define WRITE_ONCE(x, value)                                   \
	do {                                                   \
		machine_preempt();                             \
		__atomic_store_n(&(x), (__typeof__(x))(value), \
				 __ATOMIC_RELEASE);            \
	} while (0)

#define RB_STORE(pointer, value) WRITE_ONCE(pointer, value)

#define barrier() __asm__ volatile("" : : : "memory")

#define OPTIMIZER_HIDE_VAR(var) __asm__("" : "=r"(var) : "0"(var))

#define likely(x)   (x)
#define unlikely(x) (x)

#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))

#define noinline __attribute__((__noinline__))

/* There is no tracing here, so the attribute is empty */
#define noinstr

/* Annotations for sparse */
#define __must_hold(lock)
#define __force
#define __percpu
#define __acquire(lock) ((void)0)
#define __release(lock) ((void)0)

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#endif /* THREADS_COMPILER_H */
