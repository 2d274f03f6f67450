/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_LIMITS_H
#define DUP_LIMITS_H

/* The C library's own headers include this one, too */
#include_next <linux/limits.h>

#define U32_MAX 0xffffffffU
#define U64_MAX 0xffffffffffffffffULL

#endif /* DUP_LIMITS_H */
