/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_SEQLOCK_H
#define DUP_SEQLOCK_H

#include <linux/mutex.h>

#include "sim.h"

typedef struct {
	unsigned int sequence;
	struct mutex *lock;
} seqcount_mutex_t;

static inline void seqcount_mutex_init(seqcount_mutex_t *s, struct mutex *lock)
{
	s->sequence = 0;
	s->lock = lock;
}

static inline void write_seqcount_begin(seqcount_mutex_t *s)
{
	lockdep_assert_held(s->lock);
	sim_preempt_disable();
	s->sequence++;
}

static inline void write_seqcount_end(seqcount_mutex_t *s)
{
	lockdep_assert_held(s->lock);
	s->sequence++;
	sim_preempt_enable();
}

static inline unsigned int read_seqcount_begin(const seqcount_mutex_t *s)
{
	unsigned int sequence = s->sequence;

	if (sequence & 1)
		sim_bug("deadlock: a reader would spin, because the writer is this thread");
	sim_point(SIM_AT_LOOKUP);
	return sequence;
}

static inline bool read_seqcount_retry(const seqcount_mutex_t *s,
				       unsigned int sequence)
{
	return s->sequence != sequence;
}

#endif /* DUP_SEQLOCK_H */
