/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_ARRAY_SIZE_H
#define DUP_ARRAY_SIZE_H

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif /* DUP_ARRAY_SIZE_H */
