/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_CACHE_H
#define DUP_CACHE_H

#define L1_CACHE_SHIFT 7
#define L1_CACHE_BYTES (1 << L1_CACHE_SHIFT)
#define ____cacheline_aligned_in_smp __attribute__((__aligned__(1 << L1_CACHE_SHIFT)))

#endif /* DUP_CACHE_H */
