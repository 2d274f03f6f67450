/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_CPUMASK_H
#define SIM_SHIM_CPUMASK_H

#define nr_cpu_ids 3U

#endif /* SIM_SHIM_CPUMASK_H */
