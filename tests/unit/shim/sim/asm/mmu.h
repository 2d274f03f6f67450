/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_ASM_MMU_H
#define SIM_SHIM_ASM_MMU_H

#include "sim.h"

static inline bool radix_enabled(void)
{
	return !sim.hash_mmu;
}

#endif /* SIM_SHIM_ASM_MMU_H */
