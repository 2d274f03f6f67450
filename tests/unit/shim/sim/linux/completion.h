/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_COMPLETION_H
#define SIM_SHIM_COMPLETION_H

#include <linux/wait.h>

struct completion {
	unsigned int done;
};

/* The wait queue of all completions */
extern wait_queue_head_t completions;

void init_completion(struct completion *x);
void complete(struct completion *x);
bool completion_done(struct completion *x);
void wait_for_completion(struct completion *x);
int wait_for_completion_killable(struct completion *x);

#endif /* SIM_SHIM_COMPLETION_H */
