/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_CRED_H
#define SIM_SHIM_CRED_H

#include <linux/uidgid.h>

/* User of the current process */
extern kuid_t sim_user;

static inline kuid_t current_uid(void)
{
	return sim_user;
}

#endif /* SIM_SHIM_CRED_H */
