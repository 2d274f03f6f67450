/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_BITS_H
#define DUP_BITS_H

#define BIT(nr)	    (1UL << (nr))
#define BIT_ULL(nr) (1ULL << (nr))

#endif /* DUP_BITS_H */
