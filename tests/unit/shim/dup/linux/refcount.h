/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_REFCOUNT_H
#define DUP_REFCOUNT_H

#include <linux/types.h>

#include "sim.h"

/* A count that must not be incremented once it is 0 */
typedef struct {
	int refs;
} refcount_t;

static inline void refcount_set(refcount_t *r, int refs)
{
	r->refs = refs;
}

static inline int refcount_read(const refcount_t *r)
{
	return r->refs;
}

static inline void refcount_inc(refcount_t *r)
{
	if (r->refs++ <= 0)
		sim_bug("a reference is taken to an object without references");
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	if (!r->refs)
		return false;
	r->refs++;
	return true;
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	if (r->refs <= 0)
		sim_bug("an object without references is put");
	/* The kernel's function is a release barrier */
	sim.unordered = false;
	return !--r->refs;
}

#endif /* DUP_REFCOUNT_H */
