/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_COMPILER_H
#define DUP_COMPILER_H

#include <stddef.h>

#define READ_ONCE(x)	     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

#define barrier() __asm__ volatile("" : : : "memory")

#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))

#define noinline __attribute__((__noinline__))

/* For sparse */
#define __must_hold(lock)

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))

#endif /* DUP_COMPILER_H */
