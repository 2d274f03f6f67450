/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STUB_EXPORT_H
#define STUB_EXPORT_H

/* Programs are linked without a list of who may call what */
#define EXPORT_SYMBOL_GPL(symbol)

#endif /* STUB_EXPORT_H */
