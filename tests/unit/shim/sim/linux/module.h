/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_MODULE_H
#define SIM_SHIM_MODULE_H

#include <linux/moduleparam.h>
#include <linux/types.h>

/**
 * struct module - the module
 * @srcversion: hash of its sources
 * @kp: its parameters
 * @num_kp: number of parameters
 */
struct module {
	const char *srcversion;
	const struct kernel_param *kp;
	unsigned int num_kp;
};

extern struct module sim_module;

#define THIS_MODULE (&sim_module)

#define kernel_param_lock(module)   ((void)(module))
#define kernel_param_unlock(module) ((void)(module))

/* Count references to the module in sim.now.modules */
void __module_get(struct module *module);
bool try_module_get(struct module *module);
void module_put(struct module *module);

#endif /* SIM_SHIM_MODULE_H */
