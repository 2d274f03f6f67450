/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ATOMIC_H
#define DUP_ATOMIC_H

#include <linux/types.h>

#include "sim.h"

/* Plain variables suffice, because sim_when() runs other threads' functions in the same thread */
typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

typedef atomic64_t atomic_long_t;

static inline int atomic_read(const atomic_t *v)
{
	return v->counter;
}

static inline void atomic_set(atomic_t *v, int value)
{
	v->counter = value;
}

static inline void atomic_inc(atomic_t *v)
{
	v->counter++;
}

static inline void atomic_dec(atomic_t *v)
{
	v->counter--;
}

static inline bool atomic_dec_and_test(atomic_t *v)
{
	return !--v->counter;
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

/* Real threads of test_range.c use these functions */
static inline int atomic_cmpxchg_acquire(atomic_t *v, int old, int new)
{
	sim_point(SIM_AT_SWAP);
	__atomic_compare_exchange_n(&v->counter, &old, new, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	return old;
}

static inline int atomic_fetch_add_acquire(int count, atomic_t *v)
{
	sim_point(SIM_AT_SWAP);
	return __atomic_fetch_add(&v->counter, count, __ATOMIC_SEQ_CST);
}

#define atomic_fetch_add_relaxed(count, v) atomic_fetch_add_acquire(count, v)
#define atomic_sub(count, v)		   ((void)atomic_fetch_sub_release(count, v))

static inline int atomic_fetch_sub_release(int count, atomic_t *v)
{
	return __atomic_fetch_sub(&v->counter, count, __ATOMIC_SEQ_CST);
}

static inline s64 atomic64_read(const atomic64_t *v)
{
	return v->counter;
}

static inline void atomic64_set(atomic64_t *v, s64 value)
{
	v->counter = value;
}

static inline void atomic64_set_release(atomic64_t *v, s64 value)
{
	sim_point(SIM_AT_PUBLISH);
	v->counter = value;
}

static inline void atomic64_inc(atomic64_t *v)
{
	v->counter++;
}

static inline void atomic64_dec(atomic64_t *v)
{
	v->counter--;
}

static inline void atomic64_add(s64 count, atomic64_t *v)
{
	v->counter += count;
}

static inline void atomic64_sub(s64 count, atomic64_t *v)
{
	v->counter -= count;
}

static inline s64 atomic64_inc_return(atomic64_t *v)
{
	return ++v->counter;
}

static inline s64 atomic64_dec_return(atomic64_t *v)
{
	return --v->counter;
}

static inline bool atomic64_sub_and_test(s64 count, atomic64_t *v)
{
	v->counter -= count;
	return !v->counter;
}

static inline bool atomic64_dec_and_test(atomic64_t *v)
{
	return atomic64_sub_and_test(1, v);
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

static inline s64 atomic64_xchg(atomic64_t *v, s64 new)
{
	s64 saw;

	sim_point(SIM_AT_SWAP);
	saw = v->counter;
	v->counter = new;
	return saw;
}

static inline s64 atomic64_fetch_or_acquire(s64 bits, atomic64_t *v)
{
	s64 saw;

	sim_point(SIM_AT_SWAP);
	saw = v->counter;
	v->counter |= bits;
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

#define atomic_long_read(v) ((long)atomic64_read(v))
#define atomic_long_inc(v)  atomic64_inc(v)
#define atomic_long_dec(v)  atomic64_dec(v)

#define cmpxchg(ptr, old, new)                     \
	({                                         \
		__typeof__(*(ptr)) cmpxchg_saw;    \
		sim_point(SIM_AT_SWAP);            \
		cmpxchg_saw = *(ptr);              \
		if (cmpxchg_saw == (old))          \
			*(ptr) = (new);            \
		cmpxchg_saw;                       \
	})

#define cmpxchg_acquire(ptr, old, new) cmpxchg(ptr, old, new)
#define cmpxchg_relaxed(ptr, old, new) cmpxchg(ptr, old, new)

#define xchg(ptr, new)                                \
	({                                            \
		__typeof__(*(ptr)) xchg_saw;          \
		sim_point(SIM_AT_SWAP);               \
		xchg_saw = *(ptr);                    \
		*(ptr) = (new);                       \
		xchg_saw;                             \
	})

#endif /* DUP_ATOMIC_H */
