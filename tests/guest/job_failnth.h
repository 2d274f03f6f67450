/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interfaces between the source files of tce2-job_failnth.
 */
#ifndef GUEST_JOB_FAILNTH_H
#define GUEST_JOB_FAILNTH_H

#include <stdbool.h>

/* This module logs this text if it fails to register again after the in-tree driver loads */
#define ASKED_FIRST	OUR_MODULE ": " IN_TREE_MODULE \
			" gets new containers now: cannot register again, error -12"

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
