// SPDX-License-Identifier: GPL-2.0-only
/* Tracepoints of the simulated machine, see sim_trace.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/ktime.h>

#include "sim_trace.h"
#include "tce2_trace_calls.h"

struct static_key_false tce2_tracing;
char sim_events[4096];
u64 sim_ns;

void sim_trace(bool on)
{
	tce2_tracing.on = on;
	sim_events[0] = '\0';
}

static void __attribute__((format(printf, 1, 2))) event(const char *fmt, ...)
{
	size_t length = strlen(sim_events);
	va_list args;

	va_start(args, fmt);
	vsnprintf(sim_events + length, sizeof(sim_events) - length, fmt, args);
	va_end(args);
}

void tce2_trace_register(u64 container, u64 ua, u64 size, int ret)
{
	event("register %llu %llx %llx %d\n", container, ua, size, tce2_errno(ret));
}

void tce2_trace_unregister(u64 container, u64 ua, u64 size, int ret)
{
	event("unregister %llu %llx %llx %d\n", container, ua, size, tce2_errno(ret));
}

void tce2_trace_map(u64 container, u64 iova, u64 ua, u64 size, u32 flags, int ret)
{
	event("map %llu %llx %llx %llx %x %d\n", container, iova, ua, size, flags,
	      tce2_errno(ret));
}

void tce2_trace_unmap(u64 container, u64 iova, u64 size, int ret)
{
	event("unmap %llu %llx %llx %d\n", container, iova, size, tce2_errno(ret));
}

void tce2_trace_create(u64 container, u64 start, u64 size, u32 page_shift, u32 levels,
		       int ret)
{
	event("create %llu %llx %llx %u %u %d\n", container, start, size, page_shift, levels,
	      tce2_errno(ret));
}

void tce2_trace_remove(u64 container, u64 start, int ret)
{
	event("remove %llu %llx %d\n", container, start, tce2_errno(ret));
}

void tce2_trace_copy(u64 container, u64 iova, u64 source, u64 size, int ret)
{
	event("copy %llu %llx %llx %llx %d\n", container, iova, source, size,
	      tce2_errno(ret));
}

void tce2_trace_ranges(u64 container, u32 count, u32 done, int ret)
{
	event("ranges %llu %u %u %d\n", container, count, done, tce2_errno(ret));
}

void tce2_trace_attach(u64 container, int group, int ret)
{
	event("attach %llu %d %d\n", container, group, tce2_errno(ret));
}

void tce2_trace_detach(u64 container, int group)
{
	event("detach %llu %d\n", container, group);
}

void tce2_trace_owner(u64 container, int ret)
{
	event("owner %llu %d\n", container, tce2_errno(ret));
}

void tce2_trace_dirty(u64 container, u64 iova, u64 size, u32 flags, int ret)
{
	event("dirty %llu %llx %llx %x %d\n", container, iova, size, flags, tce2_errno(ret));
}

void tce2_trace_refusal(u64 container, enum tce2_request request, int ret)
{
	event("refusal %llu %d %d %d\n", container, request, tce2_errno(ret),
	      -ret >> TCE2_WHY_SHIFT);
}

void tce2_trace_kvm_attach(u64 start, u64 size)
{
	event("kvm_attach %llx %llx\n", start, size);
}

void tce2_trace_kvm_fallback(u64 start, u64 iova)
{
	event("kvm_fallback %llx %llx\n", start, iova);
}

void tce2_trace_mirror(u64 ua, u64 size, bool made)
{
	event("mirror %llx %llx %d\n", ua, size, made);
}

void tce2_trace_wait(enum tce2_wait why, u64 began)
{
	event("wait %d %llu\n", why, ktime_get_ns() - began);
}
