/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_ASM_BARRIER_H
#define STUB_ASM_BARRIER_H

/* What was written to a table is there for all, from here on */
void platform_barrier(void);

#define mb() platform_barrier()

#endif /* STUB_ASM_BARRIER_H */
