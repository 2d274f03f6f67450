/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_SMP_H
#define SIM_SHIM_SMP_H

/* A thread may move to another processor at any time, so each call returns another one */
static inline unsigned int raw_smp_processor_id(void)
{
	static __thread unsigned int calls;

	return calls++;
}

#endif /* SIM_SHIM_SMP_H */
