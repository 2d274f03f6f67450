/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ASM_TCE_H
#define DUP_ASM_TCE_H

#define TCE_PCI_WRITE 0x2
#define TCE_PCI_READ  0x1

#endif /* DUP_ASM_TCE_H */
