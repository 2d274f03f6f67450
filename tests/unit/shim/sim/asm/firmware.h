/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_ASM_FIRMWARE_H
#define SIM_SHIM_ASM_FIRMWARE_H

#include <linux/types.h>

#define FW_FEATURE_PUT_TCE_IND 0x1UL
#define FW_FEATURE_STUFF_TCE   0x2UL

/* Features of the firmware are set in struct platform, see ../../../sim_platform.h */
bool firmware_has_feature(unsigned long feature);

#endif /* SIM_SHIM_ASM_FIRMWARE_H */
