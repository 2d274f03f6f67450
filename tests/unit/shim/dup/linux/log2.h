/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_LOG2_H
#define DUP_LOG2_H

#define ilog2(x)	 (63 - __builtin_clzll(x))
#define is_power_of_2(x) (__builtin_popcountll(x) == 1)

#endif /* DUP_LOG2_H */
