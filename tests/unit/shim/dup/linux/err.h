/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ERR_H
#define DUP_ERR_H

#include <errno.h>

#include <linux/types.h>

/* Errors are encoded as the last 4095 addresses, where no object can be */
static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline long PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline bool IS_ERR(const void *ptr)
{
	return (unsigned long)ptr > -4096UL;
}

#endif /* DUP_ERR_H */
