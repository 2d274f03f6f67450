/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_MMZONE_H
#define DUP_MMZONE_H

#include <stdbool.h>

#include <asm/page.h>

/* Default of powerpc: the largest allocation has 16 MiB, with either page size */
#define MAX_PAGE_ORDER (PAGE_SHIFT == 12 ? 12 : 8)

/* Returns true for page frames of TCE tables: src/ asks for no other frames */
bool pfn_valid(unsigned long pfn);

#endif /* DUP_MMZONE_H */
