/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_REALMODE_H
#define TCE2_REALMODE_H

#include <linux/types.h>

struct tce2_cache;
struct tce2_region;

/**
 * enum tce2_rm_status - what a real-mode question was answered with
 * @TCE2_RM_OK: answered
 * @TCE2_RM_READ_ONLY: the memory may not be written by a device
 * @TCE2_RM_TOO_HARD: not answerable without taking a lock; ask the
 *	virtual-mode counterpart, which says for certain
 */
enum tce2_rm_status {
	TCE2_RM_OK,
	TCE2_RM_READ_ONLY,
	TCE2_RM_TOO_HARD,
};

struct tce2_region *tce2_rm_lookup(const struct tce2_cache *cache, u64 ua,
				   u64 bytes);
enum tce2_rm_status tce2_rm_ua_to_hpa(const struct tce2_region *region, u64 ua,
				      unsigned int shift, bool write,
				      u64 *hpa);

#endif /* TCE2_REALMODE_H */
