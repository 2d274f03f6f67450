/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_ASM_MMU_H
#define STUB_ASM_MMU_H

#include "sim.h"

static inline bool radix_enabled(void)
{
	return !sim.hash_mmu;
}

#endif /* STUB_ASM_MMU_H */
