/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_MAPPED_H
#define TCE2_MAPPED_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/smp.h>
#include <linux/types.h>

/*
 * The mapped count of a region, which include/tce2_cache.h describes.
 *
 * A process may have all of its memory in one region. If each map request wrote the same
 * count, the CPUs would wait for each other's cache line, even if they map in different
 * leaves. So the count of a large region has several parts. Each CPU adds to its own part, and
 * the mapped count is the sum of @count and all parts.
 *
 * A sum of parts that other CPUs change has no exact value at any moment. So before a thread
 * decides whether a region is mapped, it gathers the parts: it moves all of them to @count.
 * Until it spreads the count again, all threads use @count. A region that no container has
 * registered stays gathered, so the thread that drops its last page sees @count become 0.
 */

/**
 * struct tce2_mapped_part - part of a mapped count
 * @count: TCE2_SPREAD, plus pages that were held through this part, minus pages that were
 *	dropped through it; 0 while the part is gathered
 * @padding: unused, so that the parts of two CPUs are in different cache lines
 */
struct tce2_mapped_part {
	atomic64_t count;
	unsigned char padding[L1_CACHE_BYTES - sizeof(atomic64_t)];
};

/* Added to each part and to the common count while the parts are used; larger than any count */
#define TCE2_SPREAD	((s64)BIT_ULL(62))

/**
 * struct tce2_mapped - mapped count of a region
 * @count: the mapped count while the parts are gathered. Otherwise TCE2_SPREAD plus the part
 *	of the mapped count that is not in @parts; atomic
 * @parts: the parts, or NULL if the count has no parts; immutable
 * @mask: number of parts minus 1, immutable
 * @gathered: the parts are gathered, or the count has no parts; protected by the cache lock
 *
 * While threads gather or spread a count, other threads may hold a page in a part and drop it
 * from @count, or the reverse. So without TCE2_SPREAD, @count and a part may be negative.
 * Only a registered region is spread, so the mapped count itself is then at least 1.
 */
struct tce2_mapped {
	atomic64_t count;
	struct tce2_mapped_part *parts;
	unsigned int mask;
	bool gathered;
};

void tce2_mapped_init(struct tce2_mapped *mapped, u64 bytes);
void tce2_mapped_free(struct tce2_mapped *mapped);
void tce2_mapped_gather(struct tce2_mapped *mapped);
void tce2_mapped_spread(struct tce2_mapped *mapped);

/**
 * tce2_mapped_add_part() - add pages to the part of this CPU
 * @mapped: the mapped count
 * @pages: number of pages, negative to drop pages
 *
 * Preemption stays enabled: a page may be held through one part and dropped through another.
 *
 * Context: any, also with the data MMU off.
 * Return: true; false if the count has no parts, or if they are gathered.
 */
static __always_inline bool tce2_mapped_add_part(struct tce2_mapped *mapped, s64 pages)
{
	struct tce2_mapped_part *parts = mapped->parts;

	return parts &&
	       atomic64_add_unless(&parts[raw_smp_processor_id() & mapped->mask].count,
				   pages, 0);
}

/**
 * tce2_mapped_add() - add pages to a mapped count unless it is 0
 * @mapped: the mapped count
 * @pages: number of pages, more than 0
 *
 * Context: any, also with the data MMU off.
 * Return: true; false if the mapped count is 0.
 */
static __always_inline bool tce2_mapped_add(struct tce2_mapped *mapped, u64 pages)
{
	return tce2_mapped_add_part(mapped, pages) ||
	       atomic64_add_unless(&mapped->count, pages, 0);
}

/**
 * tce2_mapped_sub() - subtract pages from a mapped count
 * @mapped: the mapped count
 * @pages: number of pages that the caller holds, more than 0
 *
 * Context: any.
 * Return: true if the mapped count is 0 now, and the caller has to destroy the region. After
 * false, the region may be gone.
 */
static __always_inline bool tce2_mapped_sub(struct tce2_mapped *mapped, u64 pages)
{
	return !tce2_mapped_add_part(mapped, -(s64)pages) &&
	       unlikely(atomic64_sub_and_test(pages, &mapped->count));
}

/**
 * tce2_mapped_sum() - compute a mapped count without gathering it
 * @mapped: the mapped count
 *
 * Context: any.
 * Return: the mapped count. While other threads hold or drop pages, the result may differ by
 * some of these pages. While another thread gathers the parts, the pages of some parts may be
 * missing.
 */
static inline s64 tce2_mapped_sum(const struct tce2_mapped *mapped)
{
	s64 sum = atomic64_read(&mapped->count), part;
	unsigned int i;

	if (sum >= TCE2_SPREAD / 2)
		sum -= TCE2_SPREAD;
	for (i = 0; mapped->parts && i <= mapped->mask; i++) {
		part = atomic64_read(&mapped->parts[i].count);
		if (part)
			sum += part - TCE2_SPREAD;
	}
	return max_t(s64, sum, 0);
}

#endif /* TCE2_MAPPED_H */
