/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_BITOPS_H
#define DUP_BITOPS_H

#include <linux/bits.h>
#include <linux/types.h>

/* Number of the highest bit set, counted from 1; 0 if there is none */
static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

/* Number of the lowest bit set, counted from 0; there must be one */
static inline unsigned int __ffs64(u64 x)
{
	return __builtin_ctzll(x);
}

#endif /* DUP_BITOPS_H */
