/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients that run before and after the conformance tests, each in its own process.
 */
#ifndef GUEST_JOB_CONFORMANCE_H
#define GUEST_JOB_CONFORMANCE_H

#include <stdbool.h>

bool hold_group(int group);
bool use_group_while_plugging(const char *device);

#endif /* GUEST_JOB_CONFORMANCE_H */
