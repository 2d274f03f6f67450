/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_QUERY_H
#define TCE2_QUERY_H

#include <linux/types.h>

struct tce2_caps;

/* Room for the longest chain, see query_add() */
#define TCE2_CHAIN_BYTES	288

/**
 * struct tce2_chain - capabilities in the format of include/uapi/vfio_spapr_tce2.h
 * @size: number of bytes in use
 * @bytes: the capabilities
 */
struct tce2_chain {
	u32 size;
	u8 bytes[TCE2_CHAIN_BYTES] __aligned(8);
};

void tce2_query_caps(const struct tce2_caps *caps, u32 offset, struct tce2_chain *chain);

#endif /* TCE2_QUERY_H */
