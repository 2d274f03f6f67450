/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_MMZONE_H
#define DUP_MMZONE_H

#include <stdbool.h>

#include <asm/page.h>

/* The default of powerpc: 16 MiB blocks with 4K pages, 512 MiB with 64K */
#define MAX_PAGE_ORDER (PAGE_SHIFT == 12 ? 12 : 8)

/* Whether there is memory there: all that src/ looks for in it is tables */
bool pfn_valid(unsigned long pfn);

#endif /* DUP_MMZONE_H */
