// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vectors: many requests in one ioctl, VFIO_IOMMU_TCE2_RANGES.
 *
 * Owns the access to the elements of a vector and to their results, and the checks of each
 * element. Each element is carried out like a separate ioctl: it is complete or changes
 * nothing, and it is counted and traced as a request of its kind. So a vector needs no undo.
 * The journal gets the first refusal of a vector only.
 *
 * The elements are read in batches on the stack, so a vector of any length needs no allocated
 * memory. Each element is read once: a client may change the element meanwhile, but the values
 * in use are the values that were checked.
 *
 * Locks: none. No lock is held while user memory is read or written. Between two elements
 * no lock is held at all, so another thread's request may come between them.
 * Calls: container, trace, why.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "tce2_container.h"
#include "tce2_perm.h"
#include "tce2_ranges.h"
#include "tce2_tce_v2.h"
#include "tce2_trace_calls.h"
#include "tce2_why.h"
#include "uapi/vfio_spapr_tce2.h"

/* Number of elements that are read together */
#define BATCH	16

#define MAP_FLAGS	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/**
 * struct ranges - state of a vector that is carried out
 * @container: the container
 * @from: the client's elements
 * @to: the client's results, or NULL
 * @goes_on: the elements after a refused element are carried out
 * @done: number of elements that were carried out
 * @error: errno of the first element that was refused, or 0
 * @elements: the elements of the current batch
 * @results: their results
 */
struct ranges {
	struct tce2_container *container;
	const struct vfio_tce2_range __user *from;
	s32 __user *to;
	bool goes_on;
	u32 done;
	int error;
	struct vfio_tce2_range elements[BATCH];
	s32 results[BATCH];
};

static __always_inline int ranges_map(struct tce2_container *container,
				      const struct vfio_tce2_range *element)
{
	const struct tce2_map_request request = {
		.iova = element->iova,
		.ua = element->vaddr,
		.size = element->size,
		.perm = element->flags,
	};
	int ret;

	BUILD_BUG_ON(MAP_FLAGS != TCE2_PERM_RW);
	ret = tce2_container_map_element(container, &request);
	if (tce2_tracing_on())
		tce2_trace_map(container->id, element->iova, element->vaddr,
			       element->size, element->flags, ret);
	return ret;
}

static __always_inline int ranges_unmap(struct tce2_container *container,
					const struct vfio_tce2_range *element)
{
	int ret;

	ret = tce2_container_unmap_element(container, element->iova, element->size);
	if (tce2_tracing_on())
		tce2_trace_unmap(container->id, element->iova, element->size, ret);
	return ret;
}

static int ranges_unmap_window(struct tce2_container *container,
			       const struct vfio_tce2_range *element)
{
	int ret;

	ret = tce2_container_unmap_window(container, element->iova);
	if (tce2_tracing_on())
		tce2_trace_unmap(container->id, element->iova, 0, ret);
	return ret;
}

static int ranges_copy(struct tce2_container *container, const struct vfio_tce2_range *element)
{
	int ret;

	BUILD_BUG_ON(TCE2_MOST_RUNS != VFIO_TCE2_MAX_COPY);
	ret = tce2_container_copy(container, element->iova, element->vaddr, element->size);
	if (tce2_tracing_on())
		tce2_trace_copy(container->id, element->iova, element->vaddr,
				element->size, ret);
	return ret;
}

/* Returns the kind of an element, as which it is counted */
static __always_inline enum tce2_request ranges_kind(const struct vfio_tce2_range *element)
{
	switch (element->op) {
	case VFIO_TCE2_OP_MAP:
		return TCE2_REQUEST_MAP;
	case VFIO_TCE2_OP_UNMAP:
	case VFIO_TCE2_OP_UNMAP_WINDOW:
		return TCE2_REQUEST_UNMAP;
	case VFIO_TCE2_OP_COPY:
		return TCE2_REQUEST_COPY;
	default:
		return TCE2_REQUEST_OTHER;
	}
}

/* Checks the members of an element that only a vector has, and the members that must be 0 */
static __always_inline int ranges_check_element(const struct vfio_tce2_range *element)
{
	u32 flags = element->op == VFIO_TCE2_OP_MAP ? MAP_FLAGS : 0;
	u64 unused = 0;

	if (unlikely(!element->op || element->op > VFIO_TCE2_OP_COPY))
		return tce2_refuse(-EINVAL, TCE2_WHY_OPERATION);
	if (unlikely(element->flags & ~flags))
		return tce2_refuse(-EINVAL, TCE2_WHY_FLAGS);
	if (element->op == VFIO_TCE2_OP_UNMAP || element->op == VFIO_TCE2_OP_UNMAP_WINDOW)
		unused = element->vaddr;
	if (element->op == VFIO_TCE2_OP_UNMAP_WINDOW)
		unused |= element->size;
	return unlikely(unused | element->reserved) ?
	       tce2_refuse(-EINVAL, TCE2_WHY_RESERVED) : 0;
}

/* Carries out an element that was checked; the called functions count it */
static __always_inline int ranges_carry_out(struct tce2_container *container,
					    const struct vfio_tce2_range *element)
{
	switch (element->op) {
	case VFIO_TCE2_OP_MAP:
		return ranges_map(container, element);
	case VFIO_TCE2_OP_UNMAP:
		return ranges_unmap(container, element);
	case VFIO_TCE2_OP_COPY:
		return ranges_copy(container, element);
	default:
		return ranges_unmap_window(container, element);
	}
}

/*
 * Returns the errno of a refused element for the client. Records only the first refused
 * element of a vector. Otherwise one vector could replace all older refusals of the container.
 */
static noinline int ranges_refuse(struct ranges *ranges, enum tce2_request kind, int ret)
{
	struct tce2_container *container = ranges->container;

	pr_debug("container %llu: element of TCE2_RANGES: error %d: %s\n", container->id,
		 tce2_errno(ret), tce2_why_text(tce2_why_of(ret)));
	if (tce2_tracing_on())
		tce2_trace_refusal(container->id, kind, ret);
	if (!ranges->error)
		ranges->error = tce2_journal_refuse(&container->journal, kind, ret);
	return tce2_errno(ret);
}

/* Returns true if a refused element has ended the vector */
static __always_inline bool ranges_have_ended(const struct ranges *ranges)
{
	return unlikely(ranges->error) && !ranges->goes_on;
}

/* Carries out one element, unless the vector has ended; returns its result */
static __always_inline s32 ranges_run_one(struct ranges *ranges,
					  const struct vfio_tce2_range *element)
{
	enum tce2_request kind = ranges_kind(element);
	int ret;

	if (ranges_have_ended(ranges))
		return -ECANCELED;
	ret = ranges_check_element(element);
	if (unlikely(ret))
		tce2_journal_count(&ranges->container->journal, kind);
	else
		ret = ranges_carry_out(ranges->container, element);
	if (unlikely(ret))
		return ranges_refuse(ranges, kind, ret);
	ranges->done++;
	return 0;
}

/*
 * Reads and carries out the elements from @first on, and writes their results. Returns 0;
 * -EINTR after a fatal signal; or -EFAULT. If only the results are not writable, the elements
 * of the batch were carried out.
 */
static int ranges_run_batch(struct ranges *ranges, u32 first, u32 nr)
{
	u32 i;

	/* A killed thread need not wait for all elements */
	if (fatal_signal_pending(current))
		return -EINTR;
	/* A vector that has ended needs only results, whatever the other elements are */
	if (!ranges_have_ended(ranges) &&
	    copy_from_user(ranges->elements, ranges->from + first,
			   nr * sizeof(*ranges->elements)))
		return -EFAULT;
	for (i = 0; i < nr; i++)
		ranges->results[i] = ranges_run_one(ranges, &ranges->elements[i]);
	if (ranges->to && copy_to_user(ranges->to + first, ranges->results,
				       nr * sizeof(*ranges->results)))
		return -EFAULT;
	cond_resched();
	return 0;
}

/*
 * Checks a vector without its elements. Checks the addresses once for all batches:
 * uapi_read_request() says why access_ok() is necessary.
 */
static int ranges_check(const struct ranges *ranges, u32 count)
{
	if (!count || count > VFIO_TCE2_MAX_RANGES)
		return tce2_refuse(-EINVAL, TCE2_WHY_COUNT);
	if (!access_ok(ranges->from, count * sizeof(*ranges->from)) ||
	    !access_ok(ranges->to, count * sizeof(*ranges->to)))
		return -EFAULT;
	return 0;
}

/**
 * tce2_ranges_run() - carry out a vector of requests
 * @container: the container, through which memory has been registered
 * @vector: the client's structure, of which argsz and flags are checked; @done is set
 *
 * Implements VFIO_IOMMU_TCE2_RANGES (include/uapi/vfio_spapr_tce2.h).
 *
 * Context: may sleep. A fatal signal interrupts it between two batches, or in an element.
 * Return:
 * * 0 - all elements were carried out
 * * -EINVAL - the vector has no elements, or too many
 * * -EFAULT - elements are not readable, or results are not writable
 * * -EINTR - a fatal signal
 * * other errors - of the first refused element, with the rule TCE2_WHY_RANGE. The journal has
 *   the refusal of this element
 */
int tce2_ranges_run(struct tce2_container *container, struct vfio_tce2_ranges *vector)
{
	struct ranges ranges = {
		.container = container,
		.from = u64_to_user_ptr(vector->ranges),
		.to = u64_to_user_ptr(vector->results),
		.goes_on = vector->flags & VFIO_TCE2_RANGES_CONTINUE,
	};
	int ret = ranges_check(&ranges, vector->count);
	u32 first, nr;

	for (first = 0; !ret && first < vector->count; first += nr) {
		nr = min_t(u32, vector->count - first, BATCH);
		ret = ranges_run_batch(&ranges, first, nr);
		/* Without results there is nothing to do for the other elements */
		if (ranges_have_ended(&ranges) && !ranges.to)
			break;
	}
	vector->done = ranges.done;
	if (ret || !ranges.error)
		return ret;
	return tce2_refuse(ranges.error, TCE2_WHY_RANGE);
}
