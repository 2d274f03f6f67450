/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ASM_PAGE_H
#define DUP_ASM_PAGE_H

#ifndef PAGE_SHIFT
#error "the command line says which page size: -DPAGE_SHIFT=12 or 16"
#endif

#define PAGE_SIZE (1UL << PAGE_SHIFT)

/*
 * Where the linear mapping begins: a physical address is that of the same
 * memory here. Where the kernel has other mappings, here is nothing at all.
 */
#define PAGE_OFFSET 0UL
#define __va(hpa) ((void *)(uintptr_t)(hpa))
#define __pa(ptr) ((u64)(uintptr_t)(ptr))
#define H_KERN_VIRT_START sim_linear_end

/* 2^51, but a test may have less (lib.c) */
extern unsigned long sim_linear_end;

#define MAX_PHYSMEM_BITS 51

#endif /* DUP_ASM_PAGE_H */
