/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DUP_KREF_H
#define DUP_KREF_H

#include <linux/refcount.h>

struct kref {
	refcount_t refcount;
};

static inline void kref_init(struct kref *kref)
{
	refcount_set(&kref->refcount, 1);
}

static inline unsigned int kref_read(const struct kref *kref)
{
	return kref->refcount.refs;
}

#endif /* DUP_KREF_H */
