/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated EEH core, which records each call. Each group has a partitionable
 * endpoint (PE), except the groups in eeh.no_pe.
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
 * struct eeh_call - a call to the EEH core
 * @what: the function
 * @group: index of the group in group[]
 * @arg: the option, or the type of the error to inject
 * @func: function of the error to inject
 * @addr: address of the error to inject
 * @mask: mask of the error to inject
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
 * @answer: value that the calls for each group return
 * @calls: number of calls
 * @call: the recorded calls
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
