/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_WAIT_H
#define SIM_SHIM_WAIT_H

#include <errno.h>
#include <pthread.h>

#include <linux/types.h>

#include "sim.h"

#define might_sleep() sim_may_sleep(__func__)

/**
 * struct wait_queue_head - where real threads wait
 * @mutex: guards @waiters, held while a condition is looked at
 * @woken: signalled by wake_up_all()
 * @waiters: how many wait
 */
typedef struct wait_queue_head {
	pthread_mutex_t mutex;
	pthread_cond_t woken;
	unsigned int waiters;
} wait_queue_head_t;

/* Set by a thread to what tells whether it has been killed */
extern __thread const bool *wait_killed;
/* Whether there are threads that could end a wait; else it is a deadlock */
extern bool wait_for_others;

void init_waitqueue_head(wait_queue_head_t *wait);
unsigned int wait_count(wait_queue_head_t *wait);
void wake_up_all(wait_queue_head_t *wait);
void wait_enter(wait_queue_head_t *wait);
void wait_for(wait_queue_head_t *wait);
bool wait_interrupted(wait_queue_head_t *wait);
void wait_leave(wait_queue_head_t *wait);

#define wq_has_sleeper(wait) (wait_count(wait) > 0)

#define wait_event_killable(wait, condition)           \
	({                                             \
		int wait_ret = 0;                      \
		wait_enter(&(wait));                   \
		while (!(condition)) {                 \
			if (wait_interrupted(&(wait))) { \
				wait_ret = -EINTR;     \
				break;                 \
			}                              \
		}                                      \
		wait_leave(&(wait));                   \
		wait_ret;                              \
	})

/* For who can't be interrupted */
#define wait_event(wait, condition)    \
	({                             \
		wait_enter(&(wait));   \
		while (!(condition))   \
			wait_for(&(wait)); \
		wait_leave(&(wait));   \
	})

#endif /* SIM_SHIM_WAIT_H */
