// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints: the functions that the other files call while a tracepoint is on.
 *
 * Owns the tracepoints (include/tce2_trace.h), and the static key that is on while at least
 * one of them is on. include/tce2_trace_calls.h tests the key, and describes why.
 *
 * Locks: none.
 * Calls: why.
 */
#include <linux/jump_label.h>
#include <linux/ktime.h>
#include <linux/types.h>

#include "tce2_trace_calls.h"
#include "tce2_why.h"

#define CREATE_TRACE_POINTS
#include "tce2_trace.h"

DEFINE_STATIC_KEY_FALSE(tce2_tracing);

/**
 * tce2_trace_on() - count a tracepoint that is switched on
 *
 * Context: called by the kernel, may sleep.
 * Return: 0.
 */
int tce2_trace_on(void)
{
	static_branch_inc(&tce2_tracing);
	return 0;
}

/**
 * tce2_trace_off() - undo tce2_trace_on()
 *
 * Context: called by the kernel, may sleep.
 */
void tce2_trace_off(void)
{
	static_branch_dec(&tce2_tracing);
}

/**
 * tce2_trace_register() - trace a REGISTER_MEMORY
 * @container: number of the container
 * @ua: first user address
 * @size: bytes
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_register(u64 container, u64 ua, u64 size, int ret)
{
	trace_tce2_register(container, ua, size, tce2_errno(ret));
}

/**
 * tce2_trace_unregister() - trace an UNREGISTER_MEMORY
 * @container: number of the container
 * @ua: first user address
 * @size: bytes
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_unregister(u64 container, u64 ua, u64 size, int ret)
{
	trace_tce2_unregister(container, ua, size, tce2_errno(ret));
}

/**
 * tce2_trace_map() - trace a MAP_DMA
 * @container: number of the container
 * @iova: first bus address
 * @ua: first user address
 * @size: bytes
 * @flags: VFIO_DMA_MAP_FLAG_READ and VFIO_DMA_MAP_FLAG_WRITE
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_map(u64 container, u64 iova, u64 ua, u64 size, u32 flags, int ret)
{
	trace_tce2_map(container, iova, ua, size, flags, tce2_errno(ret));
}

/**
 * tce2_trace_unmap() - trace an UNMAP_DMA
 * @container: number of the container
 * @iova: first bus address
 * @size: bytes
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_unmap(u64 container, u64 iova, u64 size, int ret)
{
	trace_tce2_unmap(container, iova, size, tce2_errno(ret));
}

/**
 * tce2_trace_create() - trace a TCE_CREATE
 * @container: number of the container
 * @start: first bus address of the new window; 0 if the window was not made
 * @size: bytes
 * @page_shift: log2 of the IOMMU page size in bytes
 * @levels: levels of the table
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_create(u64 container, u64 start, u64 size, u32 page_shift, u32 levels,
		       int ret)
{
	trace_tce2_create(container, start, size, page_shift, levels, tce2_errno(ret));
}

/**
 * tce2_trace_remove() - trace a TCE_REMOVE
 * @container: number of the container
 * @start: first bus address
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_remove(u64 container, u64 start, int ret)
{
	trace_tce2_remove(container, start, tce2_errno(ret));
}

/**
 * tce2_trace_copy() - trace a copy of mappings
 * @container: number of the container
 * @iova: first bus address to map
 * @source: first bus address to copy
 * @size: bytes
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_copy(u64 container, u64 iova, u64 source, u64 size, int ret)
{
	trace_tce2_copy(container, iova, source, size, tce2_errno(ret));
}

/**
 * tce2_trace_ranges() - trace a vector of requests
 * @container: number of the container
 * @count: number of requests
 * @done: number of requests that were carried out
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_ranges(u64 container, u32 count, u32 done, int ret)
{
	trace_tce2_ranges(container, count, done, tce2_errno(ret));
}

/**
 * tce2_trace_pin() - trace that a driver pins pages
 * @container: number of the container
 * @iova: first bus address
 * @size: bytes
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_pin(u64 container, u64 iova, u64 size, int ret)
{
	trace_tce2_pin(container, iova, size, tce2_errno(ret));
}

/**
 * tce2_trace_unpin() - trace that a driver unpins pages
 * @container: number of the container
 * @iova: first bus address
 * @size: bytes
 */
void tce2_trace_unpin(u64 container, u64 iova, u64 size)
{
	trace_tce2_unpin(container, iova, size);
}

/**
 * tce2_trace_access() - trace that a driver reads or writes memory
 * @container: number of the container
 * @iova: first bus address
 * @size: bytes
 * @write: true to write to the memory, false to read it
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_access(u64 container, u64 iova, u64 size, bool write, int ret)
{
	trace_tce2_access(container, iova, size, write, tce2_errno(ret));
}

/**
 * tce2_trace_attach() - trace that VFIO attaches a group
 * @container: number of the container
 * @group: number of the group
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_attach(u64 container, int group, int ret)
{
	trace_tce2_attach(container, group, tce2_errno(ret));
}

/**
 * tce2_trace_detach() - trace that VFIO detaches a group
 * @container: number of the container
 * @group: number of the group
 */
void tce2_trace_detach(u64 container, int group)
{
	trace_tce2_detach(container, group);
}

/**
 * tce2_trace_owner() - trace that a process tries to take containers over
 * @container: number of the container
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_owner(u64 container, int ret)
{
	trace_tce2_owner(container, tce2_errno(ret));
}

/**
 * tce2_trace_dirty() - trace a request about dirty pages
 * @container: number of the container
 * @iova: first bus address
 * @size: bytes
 * @flags: VFIO_TCE2_DIRTY_*
 * @ret: 0, an errno or a refusal
 */
void tce2_trace_dirty(u64 container, u64 iova, u64 size, u32 flags, int ret)
{
	trace_tce2_dirty(container, iova, size, flags, tce2_errno(ret));
}

/**
 * tce2_trace_refusal() - trace a refused request
 * @container: number of the container
 * @request: kind of the request
 * @ret: an errno or a refusal
 */
void tce2_trace_refusal(u64 container, enum tce2_request request, int ret)
{
	trace_tce2_refusal(container, tce2_request_name(request), tce2_errno(ret),
			   tce2_why_name(tce2_why_of(ret)));
}

/**
 * tce2_trace_kvm_attach() - trace the first map of KVM in a window
 * @start: first bus address of the window
 * @size: bytes of the window
 */
void tce2_trace_kvm_attach(u64 start, u64 size)
{
	trace_tce2_kvm_attach(start, size);
}

/**
 * tce2_trace_kvm_fallback() - trace a map that KVM leaves to userspace
 * @start: first bus address of the window
 * @iova: bus address of the entry
 */
void tce2_trace_kvm_fallback(u64 start, u64 iova)
{
	trace_tce2_kvm_fallback(start, iova);
}

/**
 * tce2_trace_mirror() - trace an attempt to make the mirror of a region
 * @ua: first user address of the region
 * @size: bytes of the region
 * @made: the mirror was made
 */
void tce2_trace_mirror(u64 ua, u64 size, bool made)
{
	trace_tce2_mirror(ua, size, made);
}

/**
 * tce2_trace_wait() - trace a wait that has ended
 * @why: reason of the wait
 * @began: time at which the wait began (ktime_get_ns())
 */
void tce2_trace_wait(enum tce2_wait why, u64 began)
{
	static const char *const names[] = {
		[TCE2_WAIT_ENTRIES]	= "entries",
		[TCE2_WAIT_GROUPS]	= "groups",
		[TCE2_WAIT_WINDOWS]	= "windows",
	};

	trace_tce2_wait(names[why], ktime_get_ns() - began);
}
