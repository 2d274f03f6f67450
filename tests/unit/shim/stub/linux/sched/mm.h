/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_SCHED_MM_H
#define STUB_SCHED_MM_H

struct mm_struct;

void mmgrab(struct mm_struct *mm);
void mmdrop(struct mm_struct *mm);

#endif /* STUB_SCHED_MM_H */
