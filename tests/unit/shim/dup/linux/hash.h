/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_HASH_H
#define DUP_HASH_H

#include <linux/types.h>

static inline u32 hash_long(unsigned long value, unsigned int bits)
{
	return (value * 0x9e3779b97f4a7c15UL) >> (64 - bits);
}

#define hash_ptr(ptr, bits) hash_long((unsigned long)(ptr), bits)

#endif /* DUP_HASH_H */
