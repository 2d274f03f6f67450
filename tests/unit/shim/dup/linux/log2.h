/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_LOG2_H
#define DUP_LOG2_H

/* ilog2(0) is -1, as in the kernel, where this is not documented */
#define ilog2(x)	 ((x) ? 63 - __builtin_clzll((x) | 1) : -1)
#define is_power_of_2(x) (__builtin_popcountll(x) == 1)

#define rounddown_pow_of_two(x) (1ULL << ilog2(x))
#define roundup_pow_of_two(x)	((x) == 1 ? 1ULL : 1ULL << (ilog2((x) - 1) + 1))

#endif /* DUP_LOG2_H */
