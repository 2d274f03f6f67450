/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_TRACE_CALLS_H
#define TCE2_TRACE_CALLS_H

#include <linux/compiler.h>
#include <linux/jump_label.h>
#include <linux/ktime.h>
#include <linux/types.h>

#include "tce2_why.h"

/*
 * Calls of the tracepoints (include/tce2_trace.h). Only src/trace.c includes the
 * tracepoints. The other files test one static key, which is on while any tracepoint of
 * this module is on. If the key is on, they call a function that is not inlined. So a
 * tracepoint that is off costs one instruction, and no register.
 */

/* On while a tracepoint of this module is on */
DECLARE_STATIC_KEY_FALSE(tce2_tracing);

/**
 * enum tce2_wait - reasons for a wait
 * @TCE2_WAIT_ENTRIES: a request waits for another request that has locked a range
 * @TCE2_WAIT_GROUPS: VFIO waits to attach or detach a group, or to close a container
 * @TCE2_WAIT_WINDOWS: a request waits for a thread that changes groups or windows
 */
enum tce2_wait {
	TCE2_WAIT_ENTRIES,
	TCE2_WAIT_GROUPS,
	TCE2_WAIT_WINDOWS,
};

void tce2_trace_register(u64 container, u64 ua, u64 size, int ret);
void tce2_trace_unregister(u64 container, u64 ua, u64 size, int ret);
void tce2_trace_map(u64 container, u64 iova, u64 ua, u64 size, u32 flags, int ret);
void tce2_trace_unmap(u64 container, u64 iova, u64 size, int ret);
void tce2_trace_create(u64 container, u64 start, u64 size, u32 page_shift, u32 levels,
		       int ret);
void tce2_trace_remove(u64 container, u64 start, int ret);
void tce2_trace_copy(u64 container, u64 iova, u64 source, u64 size, int ret);
void tce2_trace_ranges(u64 container, u32 count, u32 done, int ret);
void tce2_trace_pin(u64 container, u64 iova, u64 size, int ret);
void tce2_trace_unpin(u64 container, u64 iova, u64 size);
void tce2_trace_access(u64 container, u64 iova, u64 size, bool write, int ret);
void tce2_trace_attach(u64 container, int group, int ret);
void tce2_trace_detach(u64 container, int group);
void tce2_trace_owner(u64 container, int ret);
void tce2_trace_dirty(u64 container, u64 iova, u64 size, u32 flags, int ret);
void tce2_trace_refusal(u64 container, enum tce2_request request, int ret);
void tce2_trace_kvm_attach(u64 start, u64 size);
void tce2_trace_kvm_fallback(u64 start, u64 iova);
void tce2_trace_mirror(u64 ua, u64 size, bool made);
void tce2_trace_wait(enum tce2_wait why, u64 began);

/**
 * tce2_tracing_on() - check whether any tracepoint of this module is on
 *
 * Context: any, with the data MMU on.
 * Return: true if a tracepoint is on.
 */
static __always_inline bool tce2_tracing_on(void)
{
	return static_branch_unlikely(&tce2_tracing);
}

/**
 * tce2_trace_begin_wait() - read the clock before a wait, if a tracepoint is on
 *
 * Return: the time for tce2_trace_end_wait(), or 0.
 */
static inline u64 tce2_trace_begin_wait(void)
{
	return tce2_tracing_on() ? ktime_get_ns() : 0;
}

/**
 * tce2_trace_end_wait() - trace a wait that has ended
 * @why: reason of the wait
 * @began: result of tce2_trace_begin_wait()
 */
static inline void tce2_trace_end_wait(enum tce2_wait why, u64 began)
{
	if (unlikely(began))
		tce2_trace_wait(why, began);
}

#endif /* TCE2_TRACE_CALLS_H */
