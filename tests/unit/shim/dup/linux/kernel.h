/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_KERNEL_H
#define DUP_KERNEL_H

#include <errno.h>

#include <linux/array_size.h>
#include <linux/compiler.h>
#include <linux/minmax.h>

#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))

#endif /* DUP_KERNEL_H */
