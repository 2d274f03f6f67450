/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_UIDGID_H
#define SIM_SHIM_UIDGID_H

#include <linux/types.h>

/**
 * struct kuid - a user
 * @val: number of the user
 */
typedef struct kuid {
	unsigned int val;
} kuid_t;

static inline bool uid_eq(kuid_t a, kuid_t b)
{
	return a.val == b.val;
}

#endif /* SIM_SHIM_UIDGID_H */
