/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that the parts of the benchmark share: they read the clock, measure
 * each backend in turn, allocate memory of each kind, and print figures.
 *
 * Under QEMU's -icount shift=0 the guest's clock advances by one nanosecond with
 * each instruction, so the measured nanoseconds are instructions. The code does
 * not depend on -icount.
 */
#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

#include "lib.h"

#include <sys/platform/ppc.h>

extern struct vfio vfio;

/* End the program if a call failed */
void need(int ret, const char *what);

/* Read the time base, in ticks of about two nanoseconds. Costs one instruction. */
static inline uint64_t ticks(void)
{
	return __ppc_get_timebase();
}

double ns_since(uint64_t start);
double median(double *sample, int count);

/* Number of turns of each backend */
extern int rounds;

/*
 * Run @measure once for each backend and round, with a new container in "vfio".
 * @measure must unregister and unmap all memory before it returns.
 */
void each_backend(void (*measure)(void *arg), void *arg);
const char *backend_name(void);
/* Set the backend that figure() prints, for parts that do not call each_backend() */
void figures_of(bool ours);
void run_program(const char *program, const char *module);

/* Check that the platform offers windows with this page size and number of levels */
bool offered(unsigned int shift, unsigned int levels);

/*
 * Print a measured value, or the error of a refused call. A figure's name has the
 * form group.action.variant.
 */
__attribute__((format(printf, 3, 4)))
void figure(double value, const char *unit, const char *name, ...);
__attribute__((format(printf, 2, 3)))
void refused(int error, const char *name, ...);

/* Wait for deferred work of the kernel, and measure deferred work (see bench.c) */
void settle(void);
double deferred_ns(void);

/*
 * SCATTERED: base pages that are adjacent in user memory but not in physical memory
 * FRESH: base pages in the order in which the kernel allocates them
 */
enum memory_kind { SCATTERED, FRESH, THP, HUGE_2M, HUGE_1G, KINDS };

extern const char *const kind_name[KINDS];

struct memory {
	enum memory_kind kind;
	uint8_t *ua;
	uint64_t size;
	void *mapping;
	uint64_t mapped;
};

/* Touch pages in an order that makes adjacent user pages not physically adjacent */
void touch_scattered(uint8_t *ua, uint64_t count, uint64_t page);

bool memory_get(struct memory *mem, enum memory_kind kind, uint64_t size);
void memory_put(struct memory *mem);

/*
 * Marks for the plugin of QEMU that counts instructions by address (tests/profile). On
 * POWER these instructions do nothing.
 */
static inline void count_on(void)
{
	asm volatile("or 20,20,20" : : : "memory");
}

static inline void count_off(void)
{
	asm volatile("or 21,21,21" : : : "memory");
}

/* Make the plugin count memory accesses, too. The caller must wait a few milliseconds. */
static inline void count_memory(void)
{
	asm volatile("or 23,23,23" : : : "memory");
}

/*
 * Begin a phase, in which the plugin counts from zero, and print its name. @units is
 * the number of TCEs, pages or calls by which the counts are divided.
 */
__attribute__((format(printf, 3, 4)))
void phase_begin(double units, const char *unit, const char *name, ...);
/* Print the addresses of the functions of all modules, for the following phases */
void print_module_symbols(void);

void bench_cache(void);
void bench_memory(void);
void bench_map(void);
void bench_growth(void);
void bench_realmode(void);
void bench_kvm(void);
void bench_threads(void);
void bench_hcalls(void);
void bench_short(void);
void bench_vector(void);
void bench_profile(void);
void bench_lines(void);

/* The measurements of bench_cache() and bench_map() that bench_short() repeats */
void bench_cache_short(void);
void bench_map_short(void);

#endif /* GUEST_BENCH_H */
