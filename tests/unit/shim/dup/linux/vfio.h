/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_VFIO_H
#define DUP_VFIO_H

/* Includes this machine's uapi header, which needs this type */
#include <asm/types.h>
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#include_next <linux/vfio.h>

#endif /* DUP_VFIO_H */
