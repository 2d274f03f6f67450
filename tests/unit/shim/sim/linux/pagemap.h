/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_PAGEMAP_H
#define SIM_SHIM_PAGEMAP_H

#include <stddef.h>

/* Bytes that can't be written; see PLATFORM_FAULT_IN */
size_t fault_in_safe_writeable(const char *to, size_t size);

#endif /* SIM_SHIM_PAGEMAP_H */
