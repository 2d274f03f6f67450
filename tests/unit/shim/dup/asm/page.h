/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ASM_PAGE_H
#define DUP_ASM_PAGE_H

#ifndef PAGE_SHIFT
#error "the command line says which page size: -DPAGE_SHIFT=12 or 16"
#endif

#define PAGE_SIZE (1UL << PAGE_SHIFT)

#endif /* DUP_ASM_PAGE_H */
