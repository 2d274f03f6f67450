/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_REFCOUNT_H
#define THREADS_REFCOUNT_H

#include <linux/atomic.h>

#include "sim.h"

typedef struct {
	atomic_t refs;
} refcount_t;

static inline void refcount_set(refcount_t *r, int refs)
{
	atomic_set(&r->refs, refs);
}

static inline int refcount_read(const refcount_t *r)
{
	return atomic_read(&r->refs);
}

static inline void refcount_inc(refcount_t *r)
{
	if (machine_add(&r->refs, 1) <= 1)
		sim_bug("a reference is taken to an object without references");
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	int refs = atomic_read(&r->refs);

	while (refs) {
		int saw = atomic_cmpxchg(&r->refs, refs, refs + 1);

		if (saw == refs)
			return true;
		refs = saw;
	}
	return false;
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	int refs = machine_add(&r->refs, -1);

	if (refs < 0)
		sim_bug("an object without references is put");
	return !refs;
}

#endif /* THREADS_REFCOUNT_H */
