/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_TIME64_H
#define SIM_SHIM_TIME64_H

#define NSEC_PER_MSEC 1000000L

#endif /* SIM_SHIM_TIME64_H */
