/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ASM_PAGE_H
#define DUP_ASM_PAGE_H

#ifndef PAGE_SHIFT
#error "set the page size on the command line: -DPAGE_SHIFT=12 or 16"
#endif

#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

/*
 * The linear mapping begins at address 0, so physical and virtual addresses are equal.
 * There are no other mappings.
 */
#define PAGE_OFFSET 0UL
#define __va(hpa) ((void *)(uintptr_t)(hpa))
#define __pa(ptr) ((u64)(uintptr_t)(ptr))
#define H_KERN_VIRT_START sim_linear_end

/* 2^51 by default; a test may set a lower value (lib.c) */
extern unsigned long sim_linear_end;

#define MAX_PHYSMEM_BITS 51

#endif /* DUP_ASM_PAGE_H */
