/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_PAGEMAP_H
#define STUB_PAGEMAP_H

#include <stddef.h>

/* Bytes that can't be written; see PLATFORM_FAULT_IN */
size_t fault_in_safe_writeable(const char *to, size_t size);

#endif /* STUB_PAGEMAP_H */
