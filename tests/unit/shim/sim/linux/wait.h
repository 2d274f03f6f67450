/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_WAIT_H
#define SIM_SHIM_WAIT_H

#include <errno.h>
#include <pthread.h>

#include <linux/types.h>

#include "sim.h"

#define might_sleep() sim_may_sleep(__func__)

/**
 * struct wait_queue_head - a wait queue for real threads
 * @mutex: protects @waiters; held while a thread evaluates its condition
 * @woken: signalled by wake_up_all()
 * @waiters: number of waiting threads
 */
typedef struct wait_queue_head {
	pthread_mutex_t mutex;
	pthread_cond_t woken;
	unsigned int waiters;
} wait_queue_head_t;

/* Points to a flag that is set when the current thread is killed, or NULL */
extern __thread const bool *wait_killed;
/* True if other threads can end a wait. If false, a wait is a deadlock and ends the test. */
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

/* Waits until the condition is true, and ignores signals */
#define wait_event(wait, condition)    \
	({                             \
		wait_enter(&(wait));   \
		while (!(condition))   \
			wait_for(&(wait)); \
		wait_leave(&(wait));   \
	})

/* Does not wait: no other thread can make the condition true within the time */
#define wait_event_timeout(wait, condition, timeout) \
	({                                           \
		(void)(timeout);                     \
		might_sleep();                       \
		wake_up_all(&(wait));                \
		(condition);                         \
	})

#endif /* SIM_SHIM_WAIT_H */
