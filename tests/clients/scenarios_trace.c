// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure which share of a KVM guest's TCE hypercalls KVM handles in the kernel. The kernel's
 * tracer combines the trace events at the entry and at the exit of each hypercall, because
 * only the exit event has the result.
 */
#include "lib.h"
#include "scenarios.h"

#include <stdio.h>
#include <sys/mount.h>

#define TRACING		"/sys/kernel/tracing"
#define ENTER		TRACING "/events/kvm_hv/kvm_hcall_enter/trigger"
#define EXIT		TRACING "/events/kvm_hv/kvm_hcall_exit/trigger"
#define TCE_HCALL	TRACING "/events/synthetic/tce_hcall/"
#define ONLY_TCES	" if req == 0x20 || req == 0x138 || req == 0x13c"
#define MATCH							\
	"hist:keys=vcpu_id:onmatch(kvm_hv.kvm_hcall_enter)"	\
	".trace(tce_hcall,$req,ret,$tces)"
#define HISTOGRAM	"hist:keys=req,ret:vals=tces"

/* A flag in the result of a hypercall: KVM has left the hypercall to userspace */
#define RESUME_FLAG_HOST	2

static struct hypercall {
	unsigned long long number;
	const char *name;
	unsigned long long all;
	unsigned long long hard;
} hypercalls[] = {
	{ .number = 0x20, .name = "put" },
	{ .number = 0x138, .name = "stuff" },
	{ .number = 0x13c, .name = "indirect" },
};

static bool traced;

bool trace_hypercalls(void)
{
	traced = !mount("none", TRACING, "tracefs", 0, NULL) &&
		 write_text(TRACING "/synthetic_events",
			    "tce_hcall u64 req; u64 ret; u64 tces") &&
		 write_text(ENTER, "hist:keys=vcpu_id:req=req,tces=gpr7") &&
		 write_text(EXIT, MATCH) &&
		 write_text(TCE_HCALL "trigger", HISTOGRAM ONLY_TCES);
	return traced;
}

void forget_hypercalls(void)
{
	if (traced)
		write_text(TCE_HCALL "trigger", HISTOGRAM ":clear" ONLY_TCES);
}

static void add(unsigned long long number, unsigned long long result,
		unsigned long long count)
{
	for (size_t i = 0; i < ARRAY_SIZE(hypercalls); i++) {
		struct hypercall *hypercall = &hypercalls[i];

		if (hypercall->number != number)
			continue;
		hypercall->all += count;
		hypercall->hard += result & RESUME_FLAG_HOST ? count : 0;
	}
}

static void read_histogram(void)
{
	FILE *f = fopen(TCE_HCALL "hist", "re");
	unsigned long long number, result, count;
	char line[256];

	for (size_t i = 0; i < ARRAY_SIZE(hypercalls); i++) {
		hypercalls[i].all = 0;
		hypercalls[i].hard = 0;
	}
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "{ req: %llu, ret: %llu } hitcount: %llu", &number,
			   &result, &count) == 3)
			add(number, result, count);
	if (f)
		fclose(f);
}

void hypercall_figures(void)
{
	unsigned long long all = 0, hard = 0;
	char share[16];

	if (!traced)
		return;
	read_histogram();
	for (size_t i = 0; i < ARRAY_SIZE(hypercalls); i++) {
		figure_of("hcall", hypercalls[i].name, hypercalls[i].all);
		figure_of("hard", hypercalls[i].name, hypercalls[i].hard);
		all += hypercalls[i].all;
		hard += hypercalls[i].hard;
	}
	if (!all)
		return;
	snprintf(share, sizeof(share), "%.2f%%", 100.0 * (all - hard) / all);
	figure_text("in-kernel", share);
}
