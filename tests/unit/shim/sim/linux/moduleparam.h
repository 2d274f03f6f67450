/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_MODULEPARAM_H
#define SIM_SHIM_MODULEPARAM_H

#include <linux/types.h>

struct kernel_param;

struct kernel_param_ops {
	int (*set)(const char *value, const struct kernel_param *param);
	int (*get)(char *buffer, const struct kernel_param *param);
};

struct kernel_param {
	const struct kernel_param_ops *ops;
	void *arg;
	const char *name;
};

/* Defines an object through which tests call a parameter's set() and get() */
#define module_param_cb(name, operations, argument, perm) \
	const struct kernel_param sim_parameter_##name = { operations, argument, #name }

#define module_param(name, type, perm)
#define module_param_named(name, variable, type, perm)
#define MODULE_PARM_DESC(name, text) _Static_assert(1, text)

#endif /* SIM_SHIM_MODULEPARAM_H */
