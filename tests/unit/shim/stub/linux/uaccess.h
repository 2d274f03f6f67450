/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_UACCESS_H
#define STUB_UACCESS_H

#include <errno.h>

#include "platform.h"

#define put_user(value, ptr) \
	(platform_fails(PLATFORM_PUT_USER) ? -EFAULT : (*(ptr) = (value), 0))

#endif /* STUB_UACCESS_H */
