/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's EEH core, faked by ../../../sim_eeh.c */
#ifndef SIM_SHIM_ASM_EEH_H
#define SIM_SHIM_ASM_EEH_H

#include <linux/types.h>

struct eeh_pe;
struct iommu_group;

#define EEH_OPT_DISABLE		0
#define EEH_OPT_ENABLE		1
#define EEH_OPT_THAW_MMIO	2
#define EEH_OPT_THAW_DMA	3

#define EEH_RESET_DEACTIVATE	0
#define EEH_RESET_HOT		1
#define EEH_RESET_FUNDAMENTAL	3

#define EEH_ERR_TYPE_32		0
#define EEH_ERR_TYPE_64		1
#define EEH_ERR_FUNC_MAX	19

bool eeh_enabled(void);
struct eeh_pe *eeh_iommu_group_to_pe(struct iommu_group *group);
int eeh_pe_set_option(struct eeh_pe *pe, int option);
int eeh_pe_get_state(struct eeh_pe *pe);
int eeh_pe_reset(struct eeh_pe *pe, int option, bool include_passed);
int eeh_pe_configure(struct eeh_pe *pe);
int eeh_pe_inject_err(struct eeh_pe *pe, int type, int func,
		      unsigned long addr, unsigned long mask);

#endif /* SIM_SHIM_ASM_EEH_H */
