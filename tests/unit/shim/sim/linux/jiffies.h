/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_JIFFIES_H
#define SIM_SHIM_JIFFIES_H

#define msecs_to_jiffies(ms) ((long)(ms))

#endif /* SIM_SHIM_JIFFIES_H */
