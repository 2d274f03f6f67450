/* SPDX-License-Identifier: GPL-2.0-only */
/* User memory with contents, faked by ../../../sim_user.c */
#ifndef SIM_SHIM_UACCESS_H
#define SIM_SHIM_UACCESS_H

#include <errno.h>

#include <linux/types.h>

/* An annotation for sparse */
#define __user

/* The kernel's TASK_SIZE_4PB */
#define TASK_SIZE_USER64 (1ULL << 52)

bool access_ok(const void *ptr, unsigned long size);
/* Return the number of bytes that could not be copied */
unsigned long copy_from_user(void *to, const void *from, unsigned long size);
unsigned long copy_to_user(void *to, const void *from, unsigned long size);
/* Does not sleep; the caller has called access_ok() and pagefault_disable() */
unsigned long __copy_from_user_inatomic(void *to, const void *from, unsigned long size);
void pagefault_disable(void);
void pagefault_enable(void);

#define put_user(x, ptr)                                               \
	({                                                             \
		__typeof__(*(ptr)) put_value = (x);                    \
		copy_to_user((ptr), &put_value, sizeof(put_value)) ?   \
			-EFAULT : 0;                                   \
	})

static inline void *u64_to_user_ptr(u64 ua)
{
	return (void *)(uintptr_t)ua;
}

#endif /* SIM_SHIM_UACCESS_H */
