/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_BITS_H
#define DUP_BITS_H

#define BITS_PER_LONG 64

#define BIT(nr)	    (1UL << (nr))
#define BIT_ULL(nr) (1ULL << (nr))

#define GENMASK_ULL(high, low) (~0ULL >> (63 - (high)) & ~0ULL << (low))

#endif /* DUP_BITS_H */
