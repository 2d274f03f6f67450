/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_TOPOLOGY_H
#define SIM_SHIM_TOPOLOGY_H

static inline int numa_mem_id(void)
{
	return 0;
}

#endif /* SIM_SHIM_TOPOLOGY_H */
