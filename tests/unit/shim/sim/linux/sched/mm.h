/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SCHED_MM_H
#define SIM_SHIM_SCHED_MM_H

struct mm_struct;

void mmgrab(struct mm_struct *mm);
void mmdrop(struct mm_struct *mm);

#endif /* SIM_SHIM_SCHED_MM_H */
