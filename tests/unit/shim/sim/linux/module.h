/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_MODULE_H
#define SIM_SHIM_MODULE_H

#include <linux/moduleparam.h>
#include <linux/types.h>

struct module;

#define THIS_MODULE ((struct module *)NULL)

/* Count references to the module in sim.now.modules */
void __module_get(struct module *module);
bool try_module_get(struct module *module);
void module_put(struct module *module);

#endif /* SIM_SHIM_MODULE_H */
