/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_RESOURCE_H
#define SIM_SHIM_RESOURCE_H

#define RLIMIT_MEMLOCK 8
#define RLIM_INFINITY  (~0UL)

#endif /* SIM_SHIM_RESOURCE_H */
