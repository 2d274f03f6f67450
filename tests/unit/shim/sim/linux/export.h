/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_EXPORT_H
#define SIM_SHIM_EXPORT_H

/* Programs are linked without a list of who may call what */
#define EXPORT_SYMBOL_GPL(symbol)

#endif /* SIM_SHIM_EXPORT_H */
