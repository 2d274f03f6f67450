/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_NOSPEC_H
#define DUP_NOSPEC_H

#define array_index_nospec(index, size) ((index) < (size) ? (index) : 0)

#endif /* DUP_NOSPEC_H */
