/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_EXPORT_H
#define SIM_SHIM_EXPORT_H

/* All callers are in the same program, so no symbol is exported */
#define EXPORT_SYMBOL_GPL(symbol)

#endif /* SIM_SHIM_EXPORT_H */
