/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the benchmark share: the clock, the backends by turns,
 * memory of every backing, and figures.
 *
 * Under QEMU -icount shift=0 each instruction takes the guest one nanosecond,
 * so what the clock counts is instructions. bench.c does not know and need not.
 */
#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

#include "lib.h"

#include <sys/platform/ppc.h>

extern struct vfio vfio;

/* Ends the program unless a call went well */
void need(int ret, const char *what);

/* Time base, in ticks of about two nanoseconds; reading it costs one instruction */
static inline uint64_t ticks(void)
{
	return __ppc_get_timebase();
}

double ns_since(uint64_t start);
double median(double *sample, int count);

/*
 * Runs @measure once for each backend and round. A container is open and empty
 * while it runs; it leaves nothing registered behind, nor mapped.
 */
void each_backend(void (*measure)(void *arg), void *arg);
const char *backend_name(void);
/* Whose the next figures are, for what both do in one go */
void figures_of(bool ours);
void run_program(const char *program, const char *module);

/* Whether the platform has windows of such TCEs, and so many levels */
bool offered(unsigned int shift, unsigned int levels);

/*
 * One measured value. A figure is named by dots: group.what.variant. What the
 * backend refuses is reported too, with the errno.
 */
__attribute__((format(printf, 3, 4)))
void figure(double value, const char *unit, const char *name, ...);
__attribute__((format(printf, 2, 3)))
void refused(int error, const char *name, ...);

/* Work done by the kernel behind this program's back, see bench.c */
void settle(void);
double deferred_ns(void);

/* SCATTERED: base pages without neighbours; FRESH: as the kernel hands them out */
enum memory_kind { SCATTERED, FRESH, THP, HUGE_2M, HUGE_1G, KINDS };

extern const char *const kind_name[KINDS];

struct memory {
	enum memory_kind kind;
	uint8_t *ua;
	uint64_t size;
	void *mapping;
	uint64_t mapped;
};

/* Touches pages in an order that leaves no neighbours in physical memory */
void touch_scattered(uint8_t *ua, uint64_t count, uint64_t page);

bool memory_get(struct memory *mem, enum memory_kind kind, uint64_t size);
void memory_put(struct memory *mem);

void bench_cache(void);
void bench_memory(void);
void bench_map(void);
void bench_growth(void);
void bench_realmode(void);
void bench_kvm(void);
void bench_threads(void);
void bench_hcalls(void);

#endif /* GUEST_BENCH_H */
