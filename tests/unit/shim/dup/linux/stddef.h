/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_STDDEF_H
#define DUP_STDDEF_H

#include <stddef.h>
/* Macros that uapi headers use */
#include_next <linux/stddef.h>

#define offsetofend(type, member) \
	(offsetof(type, member) + sizeof(((type *)0)->member))

#endif /* DUP_STDDEF_H */
