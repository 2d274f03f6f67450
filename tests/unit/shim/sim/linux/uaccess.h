/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_UACCESS_H
#define SIM_SHIM_UACCESS_H

#include <errno.h>

#include "sim_platform.h"

void pagefault_disable(void);
void pagefault_enable(void);
/* Whether it faults; it must not wait for a page with a lock held */
int put_user_fails(void);

#define put_user(value, ptr) \
	(put_user_fails() ? -EFAULT : (*(ptr) = (value), 0))

#endif /* SIM_SHIM_UACCESS_H */
