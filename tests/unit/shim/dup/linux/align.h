/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ALIGN_H
#define DUP_ALIGN_H

#define ALIGN(x, a) (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))

#endif /* DUP_ALIGN_H */
