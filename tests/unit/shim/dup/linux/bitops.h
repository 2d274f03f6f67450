/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_BITOPS_H
#define DUP_BITOPS_H

#include <linux/bits.h>
#include <linux/types.h>

/* Returns the number of the highest set bit, counted from 1; 0 if no bit is set */
static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

/* Returns the number of the lowest set bit, counted from 0; a bit must be set */
static inline unsigned int __ffs64(u64 x)
{
	return __builtin_ctzll(x);
}

#endif /* DUP_BITOPS_H */
