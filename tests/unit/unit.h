/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Declarations for the host-side tests.
 *
 * A test is TEST(name) { ... }. Tests that share set-up and clean-up are written as
 * TEST_F(fixture, name) { ... }. The name of a test is a true sentence about a file of src/.
 *
 * A test starts on a simulated machine that was just reset (sim.h). It must release all
 * pins, charges and allocations before it returns, and the runner (unit.c) checks this. The
 * first expectation that is not met ends the test.
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
 * @next: the test that is registered next
 */
struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

/* Tests run in the order of their definition in a file, and files in link order */
void register_test(struct test *test);

/* Resets the program's own state before each test, after the machine's */
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
 * A fixture keeps its data in file-scope variables, which FIXTURE_SETUP() initializes. The
 * tear-down does not run after a failed test: the simulated machine is reset before the next
 * test.
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
 * Expectations: each ends the test if it is not met
 */

void expect_at(const char *file, int line, const char *what, s64 saw, s64 want);

#define expect(what, want) expect_at(__FILE__, __LINE__, #what, (what), (want))

/* Ends the test unless pins, charge and allocations are equal to @want */
void expect_counts_at(const char *file, int line, struct sim_counts want);

#define expect_counts(want) expect_counts_at(__FILE__, __LINE__, want)

/* Name of the current row of a table of cases, printed if an expectation fails; or NULL */
extern const char *row;

/* Returns TCE2_EFFORT percent (default: 100) of a number of random episodes */
unsigned long by_effort(unsigned long episodes);

/* Returns the next number below @limit of a pseudo-random sequence; @state may start anywhere */
u64 rnd(u64 *state, u64 limit);

/* Initial value of an output argument that the called function must not change */
#define NOTHING 0x123456789abcULL

/* Returns alias number @which of @ptr outside the linear mapping, where real mode can't read */
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

#define UA    GIB(16) /* first user address of the memory of most tests */
/* Pointer to a struct tce2_memory for a call that drops pages */
#define MEMORY(first, log2, count)                                                  \
	(&(const struct tce2_memory){ .ua = (first), .pages = (count),              \
				      .shift = (log2) })

#define READ  false
#define WRITE true

/* Returns the region cache of a new process, and makes the process the current one */
struct tce2_cache *new_process(void);

/*
 * Map base pages whose frame numbers ascend from @pfn on, or descend to @pfn. No two
 * pages with descending frame numbers are contiguous.
 */
void map_contiguous(u64 ua, u64 pages, u64 pfn, bool writable);
void map_scattered(u64 ua, u64 pages, u64 pfn, bool writable);

/* Registers a range and returns its region */
struct tce2_region *registered(struct tce2_cache *cache, u64 ua, u64 size);

/* Hold or drop memory in IOMMU pages of 2^@shift bytes */
int hold_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages,
	       bool write);
void drop_pages(struct tce2_cache *cache, u64 ua, unsigned int shift, u64 pages);
/* Hold or drop memory in IOMMU pages of PAGE_SIZE bytes */
int hold(struct tce2_cache *cache, u64 ua, u64 pages, bool write);
void drop(struct tce2_cache *cache, u64 ua, u64 pages);

#endif /* UNIT_UNIT_H */
