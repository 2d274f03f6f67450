/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host-side tests are written in.
 *
 * A test is TEST(name) { ... }, or TEST_F(fixture, name) { ... } if other tests begin and
 * end in the same way; its name is a true sentence about a file of src/. It starts on a
 * machine that has just been switched on (sim.h) and ends by returning, with
 * everything given back: pins, charges, allocations; the runner (unit.c) looks.
 * The first expectation that isn't met ends it.
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <errno.h>
#include <stdio.h>

#include <linux/mm.h>

#include "sim.h"
#include "tce2_kapi.h"
#include "tce2_mm_iommu.h"

/**
 * struct test - a test
 * @name: a true sentence about the module
 * @run: the body of the test
 * @next: the test registered after it
 */
struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

/* Tests run in the order of their definition in a file, files in link order */
void register_test(struct test *test);

/* Called before each test: resets what the program has beside the machine */
void program_reset(void);

/* TEST(name) { statements }: defines a test and registers it before main() */
#define TEST(fn)							\
	static void fn(void);						\
	static void __attribute__((constructor)) fn##_register(void)	\
	{								\
		static struct test test = { .name = #fn, .run = fn };	\
									\
		register_test(&test);					\
	}								\
	static void fn(void)

/*
 * Fixtures, as in the kernel's kselftest_harness.h and in tests/guest/conformance.h: set-up
 * before and clean-up after the statements of several tests.
 *
 *	FIXTURE(name);			declares a fixture, in a file or in a header
 *	FIXTURE_SETUP(name) { }		runs before the statements
 *	FIXTURE_TEARDOWN(name) { }	runs after the statements
 *	TEST_F(name, test) { }
 *
 * A fixture keeps its data in file-scope variables, which setup initializes. A failing
 * test does not reach the tear-down, and need not: the simulated machine is reset before
 * the next test.
 */
#define FIXTURE(name)							\
	void name##_setup(void);					\
	void name##_teardown(void)

#define FIXTURE_SETUP(name)	void name##_setup(void)
#define FIXTURE_TEARDOWN(name)	void name##_teardown(void)

#define TEST_F(fixture, fn)						\
	static void fn##_body(void);					\
	TEST(fn)							\
	{								\
		fixture##_setup();					\
		fn##_body();						\
		fixture##_teardown();					\
	}								\
	static void fn##_body(void)

/*
 * Expectations
 */

void expect_at(const char *file, int line, const char *what, s64 saw, s64 want);

#define expect(what, want) expect_at(__FILE__, __LINE__, #what, (what), (want))

/* Pins, charge and allocations are what they were */
void expect_counts_at(const char *file, int line, struct sim_counts want);

#define expect_counts(want) expect_counts_at(__FILE__, __LINE__, want)

/* A row of a table is named in what is printed when an expectation fails */
extern const char *row;

/* Return TCE2_EFFORT percent (default: 100) of a number of random episodes */
unsigned long by_effort(unsigned long episodes);

/* The next number below @limit of a sequence that begins with any @state */
u64 rnd(u64 *state, u64 limit);

/* To be found again in what is not to be written to */
#define NOTHING 0x123456789abcULL

/* One of a few addresses that mean the same only with the data MMU on */
#define NOT_LINEAR 5
void *not_linear(const void *ptr, unsigned int which);

/*
 * Processes and their memory
 */

#define KIB(n)	 ((u64)(n) << 10)
#define MIB(n)	 ((u64)(n) << 20)
#define GIB(n)	 ((u64)(n) << 30)
#define TIB(n)	 ((u64)(n) << 40)
#define PAGES(n) ((u64)(n) << PAGE_SHIFT)

#define UA    GIB(16) /* where tests have their memory */
/* Pointer to a struct tce2_memory for a call that drops pages */
#define MEMORY(first, log2, count)                                                  \
	(&(const struct tce2_memory){ .ua = (first), .pages = (count),              \
				      .shift = (log2) })

#define READ  false
#define WRITE true

struct tce2_cache *new_process(void);

/* Base pages of ascending frame numbers, or with no two of them adjacent */
void map_contiguous(u64 ua, u64 pages, u64 pfn, bool writable);
void map_scattered(u64 ua, u64 pages, u64 pfn, bool writable);

struct tce2_region *registered(struct tce2_cache *cache, u64 ua, u64 size);

/* Holds or drops memory in IOMMU pages of any size */
int hold_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages,
	       bool write);
void drop_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages);
/* Holds or drops memory in base pages */
int hold(struct tce2_cache *cache, u64 ua, u64 pages, bool write);
void drop(struct tce2_cache *cache, u64 ua, u64 pages);

#endif /* UNIT_UNIT_H */
