/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_ASM_HVCALL_H
#define SIM_SHIM_ASM_HVCALL_H

/* Number of the only hypercall that src/ makes itself (LoPAR 14.5.4.2.4) */
#define H_PUT_TCE_INDIRECT 0x13C

/* The hypervisor is faked by ../../../sim_platform.c */
long plpar_hcall_norets(unsigned long opcode, ...);

#endif /* SIM_SHIM_ASM_HVCALL_H */
