/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_OVERFLOW_H
#define DUP_OVERFLOW_H

#define check_add_overflow(a, b, sum)	  __builtin_add_overflow(a, b, sum)
#define check_mul_overflow(a, b, product) __builtin_mul_overflow(a, b, product)

#endif /* DUP_OVERFLOW_H */
