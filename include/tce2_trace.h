/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints. Documentation/tracepoints.rst describes the events and their fields.
 *
 * Only src/trace.c includes this header. A ret field is 0, or the negative errno that the
 * client or the driver gets.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_spapr_tce2

#if !defined(TCE2_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TCE2_TRACE_H

#include <linux/string.h>
#include <linux/tracepoint.h>

/* Longest name of a rule or of a kind of requests, with its end */
#define TCE2_TRACE_NAME	24

int tce2_trace_on(void);
void tce2_trace_off(void);

DECLARE_EVENT_CLASS(tce2_memory,
	TP_PROTO(u64 container, u64 ua, u64 size, int ret),
	TP_ARGS(container, ua, size, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, ua)
		__field(u64, size)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->ua = ua;
		__entry->size = size;
		__entry->ret = ret;
	),
	TP_printk("container=%llu ua=0x%llx size=%llu ret=%d", __entry->container,
		  __entry->ua, __entry->size, __entry->ret)
);

DEFINE_EVENT_FN(tce2_memory, tce2_register,
	TP_PROTO(u64 container, u64 ua, u64 size, int ret),
	TP_ARGS(container, ua, size, ret),
	tce2_trace_on, tce2_trace_off
);

DEFINE_EVENT_FN(tce2_memory, tce2_unregister,
	TP_PROTO(u64 container, u64 ua, u64 size, int ret),
	TP_ARGS(container, ua, size, ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_map,
	TP_PROTO(u64 container, u64 iova, u64 ua, u64 size, u32 flags, int ret),
	TP_ARGS(container, iova, ua, size, flags, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, ua)
		__field(u64, size)
		__field(u32, flags)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->ua = ua;
		__entry->size = size;
		__entry->flags = flags;
		__entry->ret = ret;
	),
	TP_printk("container=%llu iova=0x%llx ua=0x%llx size=%llu flags=0x%x ret=%d",
		  __entry->container, __entry->iova, __entry->ua, __entry->size,
		  __entry->flags, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_unmap,
	TP_PROTO(u64 container, u64 iova, u64 size, int ret),
	TP_ARGS(container, iova, size, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, size)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->size = size;
		__entry->ret = ret;
	),
	TP_printk("container=%llu iova=0x%llx size=%llu ret=%d", __entry->container,
		  __entry->iova, __entry->size, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_create,
	TP_PROTO(u64 container, u64 start, u64 size, u32 page_shift, u32 levels, int ret),
	TP_ARGS(container, start, size, page_shift, levels, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, start)
		__field(u64, size)
		__field(u32, page_shift)
		__field(u32, levels)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->start = start;
		__entry->size = size;
		__entry->page_shift = page_shift;
		__entry->levels = levels;
		__entry->ret = ret;
	),
	TP_printk("container=%llu start=0x%llx size=%llu page_shift=%u levels=%u ret=%d",
		  __entry->container, __entry->start, __entry->size,
		  __entry->page_shift, __entry->levels, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_remove,
	TP_PROTO(u64 container, u64 start, int ret),
	TP_ARGS(container, start, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, start)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->start = start;
		__entry->ret = ret;
	),
	TP_printk("container=%llu start=0x%llx ret=%d", __entry->container,
		  __entry->start, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_copy,
	TP_PROTO(u64 container, u64 iova, u64 source, u64 size, int ret),
	TP_ARGS(container, iova, source, size, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, source)
		__field(u64, size)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->source = source;
		__entry->size = size;
		__entry->ret = ret;
	),
	TP_printk("container=%llu iova=0x%llx source=0x%llx size=%llu ret=%d",
		  __entry->container, __entry->iova, __entry->source, __entry->size,
		  __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_ranges,
	TP_PROTO(u64 container, u32 count, u32 done, int ret),
	TP_ARGS(container, count, done, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u32, count)
		__field(u32, done)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->count = count;
		__entry->done = done;
		__entry->ret = ret;
	),
	TP_printk("container=%llu count=%u done=%u ret=%d", __entry->container,
		  __entry->count, __entry->done, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_pin,
	TP_PROTO(u64 container, u64 iova, u64 size, int ret),
	TP_ARGS(container, iova, size, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, size)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->size = size;
		__entry->ret = ret;
	),
	TP_printk("container=%llu iova=0x%llx size=%llu ret=%d", __entry->container,
		  __entry->iova, __entry->size, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_unpin,
	TP_PROTO(u64 container, u64 iova, u64 size),
	TP_ARGS(container, iova, size),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, size)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->size = size;
	),
	TP_printk("container=%llu iova=0x%llx size=%llu", __entry->container,
		  __entry->iova, __entry->size),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_access,
	TP_PROTO(u64 container, u64 iova, u64 size, bool write, int ret),
	TP_ARGS(container, iova, size, write, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, size)
		__field(bool, write)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->size = size;
		__entry->write = write;
		__entry->ret = ret;
	),
	TP_printk("container=%llu iova=0x%llx size=%llu write=%d ret=%d",
		  __entry->container, __entry->iova, __entry->size, __entry->write,
		  __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_attach,
	TP_PROTO(u64 container, int group, int ret),
	TP_ARGS(container, group, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(int, group)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->group = group;
		__entry->ret = ret;
	),
	TP_printk("container=%llu group=%d ret=%d", __entry->container, __entry->group,
		  __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_detach,
	TP_PROTO(u64 container, int group),
	TP_ARGS(container, group),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(int, group)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->group = group;
	),
	TP_printk("container=%llu group=%d", __entry->container, __entry->group),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_owner,
	TP_PROTO(u64 container, int ret),
	TP_ARGS(container, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->ret = ret;
	),
	TP_printk("container=%llu ret=%d", __entry->container, __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_dirty,
	TP_PROTO(u64 container, u64 iova, u64 size, u32 flags, int ret),
	TP_ARGS(container, iova, size, flags, ret),
	TP_STRUCT__entry(
		__field(u64, container)
		__field(u64, iova)
		__field(u64, size)
		__field(u32, flags)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->container = container;
		__entry->iova = iova;
		__entry->size = size;
		__entry->flags = flags;
		__entry->ret = ret;
	),
	TP_printk("container=%llu iova=0x%llx size=%llu flags=0x%x ret=%d",
		  __entry->container, __entry->iova, __entry->size, __entry->flags,
		  __entry->ret),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_refusal,
	TP_PROTO(u64 container, const char *request, int ret, const char *rule),
	TP_ARGS(container, request, ret, rule),
	TP_STRUCT__entry(
		__field(u64, container)
		__array(char, request, TCE2_TRACE_NAME)
		__field(int, ret)
		__array(char, rule, TCE2_TRACE_NAME)
	),
	TP_fast_assign(
		__entry->container = container;
		strscpy_pad(__entry->request, request, TCE2_TRACE_NAME);
		__entry->ret = ret;
		strscpy_pad(__entry->rule, rule, TCE2_TRACE_NAME);
	),
	TP_printk("container=%llu request=%s ret=%d rule=%s", __entry->container,
		  __entry->request, __entry->ret, __entry->rule),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_kvm_attach,
	TP_PROTO(u64 start, u64 size),
	TP_ARGS(start, size),
	TP_STRUCT__entry(
		__field(u64, start)
		__field(u64, size)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->size = size;
	),
	TP_printk("start=0x%llx size=%llu", __entry->start, __entry->size),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_kvm_fallback,
	TP_PROTO(u64 start, u64 iova),
	TP_ARGS(start, iova),
	TP_STRUCT__entry(
		__field(u64, start)
		__field(u64, iova)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->iova = iova;
	),
	TP_printk("start=0x%llx iova=0x%llx", __entry->start, __entry->iova),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_mirror,
	TP_PROTO(u64 ua, u64 size, bool made),
	TP_ARGS(ua, size, made),
	TP_STRUCT__entry(
		__field(u64, ua)
		__field(u64, size)
		__field(bool, made)
	),
	TP_fast_assign(
		__entry->ua = ua;
		__entry->size = size;
		__entry->made = made;
	),
	TP_printk("ua=0x%llx size=%llu made=%d", __entry->ua, __entry->size,
		  __entry->made),
	tce2_trace_on, tce2_trace_off
);

TRACE_EVENT_FN(tce2_wait,
	TP_PROTO(const char *why, u64 ns),
	TP_ARGS(why, ns),
	TP_STRUCT__entry(
		__array(char, why, TCE2_TRACE_NAME)
		__field(u64, ns)
	),
	TP_fast_assign(
		strscpy_pad(__entry->why, why, TCE2_TRACE_NAME);
		__entry->ns = ns;
	),
	TP_printk("why=%s ns=%llu", __entry->why, __entry->ns),
	tce2_trace_on, tce2_trace_off
);

#endif /* TCE2_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE tce2_trace

#include <trace/define_trace.h>
