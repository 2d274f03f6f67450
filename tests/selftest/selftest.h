/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTEST_H
#define SELFTEST_H

#include <linux/types.h>

struct tce2_cache;

/* False if the functions under test cannot run in real mode (coverage.h) */
#ifdef ST_COVERAGE
#define ST_REAL_MODE	false
#else
#define ST_REAL_MODE	true
#endif

/* Functions of real.S */
unsigned long st_call_real(unsigned long a, unsigned long b, unsigned long c,
			   unsigned long d, unsigned long e, void *function);
unsigned long st_msr(void);
unsigned long st_nothing(unsigned long a, ...);
unsigned long st_read(const u64 *address);

/* Function of state.c */
void st_state(struct tce2_cache *cache, u64 iova, u64 size, char *text,
	      size_t len);

#endif /* SELFTEST_H */
