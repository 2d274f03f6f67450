/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef THREADS_SEQLOCK_H
#define THREADS_SEQLOCK_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/sched.h>

typedef struct {
	atomic_t sequence;
	struct mutex *lock;
} seqcount_mutex_t;

static inline void seqcount_mutex_init(seqcount_mutex_t *s, struct mutex *lock)
{
	atomic_set(&s->sequence, 0);
	s->lock = lock;
}

static inline void write_seqcount_begin(seqcount_mutex_t *s)
{
	lockdep_assert_held(s->lock);
	atomic_inc(&s->sequence);
}

static inline void write_seqcount_end(seqcount_mutex_t *s)
{
	lockdep_assert_held(s->lock);
	atomic_inc(&s->sequence);
}

static inline unsigned int read_seqcount_begin(const seqcount_mutex_t *s)
{
	unsigned int sequence = atomic_read(&s->sequence);

	while (sequence & 1) {
		cpu_relax();
		sequence = atomic_read(&s->sequence);
	}
	return sequence;
}

static inline bool read_seqcount_retry(const seqcount_mutex_t *s,
				       unsigned int sequence)
{
	return atomic_read(&s->sequence) != sequence;
}

#endif /* THREADS_SEQLOCK_H */
