/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_PERM_H
#define TCE2_PERM_H

#include <linux/bits.h>

/*
 * Permissions of devices for the memory that a TCE maps. An entry of the view stores
 * the same bits (TCE2_VIEW_FLAGS).
 */
#define TCE2_PERM_READ	BIT_ULL(0)
#define TCE2_PERM_WRITE	BIT_ULL(1)
#define TCE2_PERM_RW	(TCE2_PERM_READ | TCE2_PERM_WRITE)

#endif /* TCE2_PERM_H */
