/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_LIMITS_H
#define DUP_LIMITS_H

/* This file hides the system's header of the same name, which the C library's headers need */
#include_next <linux/limits.h>

#define U32_MAX 0xffffffffU
#define U64_MAX 0xffffffffffffffffULL

#endif /* DUP_LIMITS_H */
