/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_OWNER_H
#define TCE2_OWNER_H

#include <linux/types.h>

struct tce2_container;

int tce2_owner_offer(struct tce2_container *container, bool offered);
int tce2_owner_take(struct tce2_container *container);

#endif /* TCE2_OWNER_H */
