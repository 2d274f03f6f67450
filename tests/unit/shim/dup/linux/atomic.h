/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ATOMIC_H
#define DUP_ATOMIC_H

#include <linux/types.h>

#include "sim.h"

/* The test program has one thread; see sim_when() for the others */
typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

static inline int atomic_read(const atomic_t *v)
{
	return v->counter;
}

static inline int atomic_cmpxchg(atomic_t *v, int old, int new)
{
	int saw;

	sim_point(SIM_AT_SWAP);
	saw = v->counter;
	if (saw == old)
		v->counter = new;
	return saw;
}

static inline s64 atomic64_read(const atomic64_t *v)
{
	return v->counter;
}

static inline void atomic64_set(atomic64_t *v, s64 value)
{
	v->counter = value;
}

static inline bool atomic64_sub_and_test(s64 count, atomic64_t *v)
{
	v->counter -= count;
	return !v->counter;
}

static inline s64 atomic64_cmpxchg(atomic64_t *v, s64 old, s64 new)
{
	s64 saw;

	sim_point(SIM_AT_SWAP);
	saw = v->counter;
	if (saw == old)
		v->counter = new;
	return saw;
}

static inline bool atomic64_add_unless(atomic64_t *v, s64 count, s64 unless)
{
	sim_point(SIM_AT_COUNT);
	if (v->counter == unless)
		return false;
	v->counter += count;
	return true;
}

static inline bool atomic64_inc_not_zero(atomic64_t *v)
{
	return atomic64_add_unless(v, 1, 0);
}

#define cmpxchg(ptr, old, new)                     \
	({                                         \
		__typeof__(*(ptr)) cmpxchg_saw;    \
		sim_point(SIM_AT_SWAP);            \
		cmpxchg_saw = *(ptr);              \
		if (cmpxchg_saw == (old))          \
			*(ptr) = (new);            \
		cmpxchg_saw;                       \
	})

#endif /* DUP_ATOMIC_H */
