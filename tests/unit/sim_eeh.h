/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's EEH core, which records each call. Each group has a partitionable
 * endpoint (PE) unless the test says otherwise.
 */
#ifndef UNIT_EEH_H
#define UNIT_EEH_H

#include <linux/types.h>

#include "sim_platform.h"

enum eeh_function {
	EEH_SET_OPTION = 1,
	EEH_GET_STATE,
	EEH_RESET,
	EEH_CONFIGURE,
	EEH_INJECT,
};

/**
 * struct eeh_call - a call of the EEH core
 * @what: the function
 * @group: index of the group in group[]
 * @arg: option, or type of error
 * @func: function of an error to inject
 * @addr: its address
 * @mask: its mask
 */
struct eeh_call {
	enum eeh_function what;
	unsigned int group;
	int arg;
	int func;
	u64 addr;
	u64 mask;
};

#define MAX_EEH_CALLS 16

/**
 * struct eeh - the state of the EEH core
 * @enabled: the kernel handles EEH on this machine
 * @no_pe: bit mask of the groups without a PE
 * @answer: the result of each group's calls
 * @calls: number of calls
 * @call: the calls
 */
struct eeh {
	bool enabled;
	unsigned int no_pe;
	int answer[MAX_GROUPS];
	unsigned int calls;
	struct eeh_call call[MAX_EEH_CALLS];
};

extern struct eeh eeh;

void eeh_reset(void);

#endif /* UNIT_EEH_H */
