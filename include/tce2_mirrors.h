/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_MIRRORS_H
#define TCE2_MIRRORS_H

#include <linux/types.h>

struct tce2_cache;
struct tce2_region;

void tce2_cache_mirror(struct tce2_cache *cache);
void tce2_cache_mirror_range(struct tce2_cache *cache, u64 ua, u64 size);
int tce2_region_unmirror(struct tce2_region *region, bool may_be_mapped);
bool tce2_cache_mirrors_serve(const struct tce2_cache *cache,
			      unsigned int shift);

#endif /* TCE2_MIRRORS_H */
