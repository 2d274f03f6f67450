/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of the kernel may fail, and the parts of the job that let it fail.
 */
#ifndef GUEST_JOB_FAILNTH_H
#define GUEST_JOB_FAILNTH_H

#include <stdbool.h>

/* When the in-tree backend was loaded, and this module could not get ahead of it again */
#define ASKED_FIRST	OUR_MODULE ": " IN_TREE_MODULE " is asked first now, error -12"

/* job_failnth_inject.c */
bool inject_into_beginnings(void);
bool inject_into_module(void);
bool inject_into_return(void);
void print_injection(void);

/* job_failnth_load.c */
bool sweep_loading_ours(void);
bool sweep_loading_in_tree(void);

/* job_failnth_bypass.c */
bool bypass_reaches_nothing(void *unused);

#endif /* GUEST_JOB_FAILNTH_H */
