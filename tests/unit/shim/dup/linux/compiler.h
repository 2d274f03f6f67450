/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_COMPILER_H
#define DUP_COMPILER_H

#include <stddef.h>

#include "sim.h"

/* Other threads may run at each access to shared data, see sim_when() */
#define READ_ONCE(x)                                \
	({                                          \
		sim_point(SIM_AT_READ);             \
		*(const volatile __typeof__(x) *)&(x); \
	})

#define WRITE_ONCE(x, value)                                    \
	do {                                                    \
		__typeof__(x) write_value = (value);            \
		sim_point(SIM_AT_WRITE);                        \
		*(volatile __typeof__(x) *)&(x) = write_value;  \
		sim.unordered = true;                           \
	} while (0)

#define barrier() __asm__ volatile("" : : : "memory")

#define likely(x)   (x)
#define unlikely(x) (x)

#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))

#define noinline __attribute__((__noinline__))
#define __aligned(bytes) __attribute__((__aligned__(bytes)))

/* There is no tracing here, so the attribute is empty */
#define noinstr

/* Annotations for sparse */
#define __must_hold(lock)
#define __force
#define __percpu
#define __acquire(lock) ((void)0)
#define __release(lock) ((void)0)

/* Hides the origin of the value from the compiler */
#define OPTIMIZER_HIDE_VAR(var) __asm__("" : "=r"(var) : "0"(var))

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#endif /* DUP_COMPILER_H */
