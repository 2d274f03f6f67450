/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_ATOMIC_H
#define THREADS_ATOMIC_H

#include <linux/compiler.h>
#include <linux/types.h>

typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

typedef atomic64_t atomic_long_t;

#define machine_add(v, n) __atomic_add_fetch(&(v)->counter, n, __ATOMIC_SEQ_CST)

/* Compares and swaps 8 or 4 bytes. Returns the old value. */
u64 machine_cmpxchg(void *ptr, size_t size, u64 old, u64 new);

#define cmpxchg(ptr, old, new)                                         \
	({                                                             \
		(__typeof__(*(ptr)))machine_cmpxchg(                   \
			ptr, sizeof(*(ptr)), (u64)(old), (u64)(new));  \
	})
#define cmpxchg_acquire(ptr, old, new) cmpxchg(ptr, old, new)
#define cmpxchg_relaxed(ptr, old, new) cmpxchg(ptr, old, new)

#define xchg(ptr, new) __atomic_exchange_n(ptr, new, __ATOMIC_SEQ_CST)

#define atomic_read(v)	       READ_ONCE((v)->counter)
#define atomic_set(v, n)       WRITE_ONCE((v)->counter, n)
#define atomic_inc(v)	       ((void)machine_add(v, 1))
#define atomic_dec(v)	       ((void)machine_add(v, -1))
#define atomic_dec_and_test(v) (!machine_add(v, -1))
#define atomic_cmpxchg_acquire(v, old, new) atomic_cmpxchg(v, old, new)
#define atomic_fetch_add_acquire(n, v) \
	__atomic_fetch_add(&(v)->counter, n, __ATOMIC_ACQUIRE)
#define atomic_fetch_add_relaxed(n, v) atomic_fetch_add_acquire(n, v)
#define atomic_sub(n, v)	       ((void)atomic_fetch_sub_release(n, v))
#define atomic_fetch_sub_release(n, v) \
	__atomic_fetch_sub(&(v)->counter, n, __ATOMIC_RELEASE)
#define atomic64_set(v, n)     WRITE_ONCE((v)->counter, n)
#define atomic64_set_release(v, n) \
	__atomic_store_n(&(v)->counter, n, __ATOMIC_RELEASE)
#define atomic64_inc(v)	       ((void)machine_add(v, 1))
#define atomic64_dec(v)	       ((void)machine_add(v, -1))
#define atomic64_add(n, v)     ((void)machine_add(v, n))
#define atomic64_sub(n, v)     ((void)machine_add(v, -(s64)(n)))
#define atomic64_inc_return(v) machine_add(v, 1)
#define atomic64_dec_return(v) machine_add(v, -1)

#define atomic64_sub_and_test(n, v) (!machine_add(v, -(s64)(n)))
#define atomic64_dec_and_test(v)    (!machine_add(v, -1))

#define atomic_cmpxchg(v, old, new)   cmpxchg(&(v)->counter, old, new)
#define atomic64_cmpxchg(v, old, new) cmpxchg(&(v)->counter, (s64)(old), new)

#define atomic64_xchg(v, new)	      xchg(&(v)->counter, new)

#define atomic_long_read(v) ((long)atomic64_read(v))
#define atomic_long_inc(v)  atomic64_inc(v)
#define atomic_long_dec(v)  atomic64_dec(v)

static inline s64 atomic64_read(const atomic64_t *v)
{
	return READ_ONCE(v->counter);
}

static inline s64 atomic64_fetch_or_acquire(s64 bits, atomic64_t *v)
{
	s64 old = atomic64_read(v), saw;

	while ((saw = atomic64_cmpxchg(v, old, old | bits)) != old)
		old = saw;
	return old;
}

static inline bool atomic64_add_unless(atomic64_t *v, s64 count, s64 unless)
{
	s64 old = atomic64_read(v), saw;

	while (old != unless) {
		saw = atomic64_cmpxchg(v, old, old + count);
		if (saw == old)
			return true;
		old = saw;
	}
	return false;
}

static inline bool atomic64_inc_not_zero(atomic64_t *v)
{
	return atomic64_add_unless(v, 1, 0);
}

#endif /* THREADS_ATOMIC_H */
