// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the interface for code that runs with the data MMU off. The module
 * vfio_spapr_tce2_selftest (tests/selftest) makes the calls with MSR[DR] clear, and
 * compares the answers with virtual mode and with get_user_pages(). This file makes the
 * regions and windows for which the module makes its calls.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INTREE	.intree = "has no interface for real mode", .crashes = true

#define COMMAND "/sys/kernel/debug/vfio_spapr_tce2_selftest/command"

/* Flags of the self-test's commands (tests/selftest/main.c) */
#define FLAG_WRITE	1
#define FLAG_HOLD	2
#define FLAG_RACING	4
#define FLAG_GOING	16

/**
 * struct question - a command for the self-test
 * @name: name of the command
 * @base: first address of the range that the questions are about
 * @size: bytes of the range
 * @shift: log2 of the IOMMU page size, 12 if 0
 * @count: number of questions, 1 if 0
 * @flags: FLAG_*
 * @extra: argument that only some commands have
 */
struct question {
	const char *name;
	const void *base;
	uint64_t size;
	unsigned int shift;
	unsigned int count;
	unsigned int flags;
	uint64_t extra;
};

#define QUESTION(command, address, bytes, ...)				\
	((struct question){						\
		.name = command, .base = address, .size = bytes, __VA_ARGS__ })

/* Numbers of the self-test's correct answers of each kind, and of its wrong answers */
struct answer {
	uint64_t ok;
	uint64_t read_only;
	uint64_t too_hard;
	uint64_t wrong;
};

static int self_test(void)
{
	int fd = open(COMMAND, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("module vfio_spapr_tce2_selftest is not loaded");
	return fd;
}

/* Ask the self-test; return 0 or -errno */
static int try(int fd, struct question q, struct answer *answer)
{
	char text[256];
	ssize_t len = snprintf(text, sizeof(text), "%s %lx %lx %x %x %x %lx %s",
			       q.name, (unsigned long)q.base, (long)q.size,
			       q.shift ?: 12, q.count ?: 1, q.flags,
			       (long)q.extra, vfio_device_name(0));
	int error = write(fd, text, len) == len ? 0 : errno ?: EIO;

	if (error)
		return -error;
	len = pread(fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	if (sscanf(text, "ok %" SCNu64 " read_only %" SCNu64 " too_hard %" SCNu64
		   " wrong %" SCNu64, &answer->ok, &answer->read_only,
		   &answer->too_hard, &answer->wrong) != 4)
		fail("the self-test gives no valid answer: '%s'", text);
	return 0;
}

static struct answer ask(int fd, struct question q)
{
	struct answer answer;
	int ret = try(fd, q, &answer);

	if (ret)
		fail("self-test '%s' returns %d", q.name, ret);
	return answer;
}

/* Check that each question has the right answer */
static void expect_all_ok(struct answer answer, uint64_t count)
{
	expect(answer.wrong, 0);
	expect(answer.read_only, 0);
	expect(answer.too_hard, 0);
	expect(answer.ok, count);
}

/*
 * Number of questions for each pair of a kind of memory and a size of IOMMU page, with and
 * without holding the page. There are 13 such pairs with 4K pages and 15 with 64K pages: a
 * million questions.
 */
#define ROUNDS		40000

/* Translate with each size of IOMMU page up to 1 << @largest */
static void translate_all(struct vfio *v, uint8_t *ua, uint64_t size,
			  unsigned int largest)
{
	static const unsigned int shifts[] = { 12, 16, 21, 24, 30 };
	unsigned int rounds = fewer(ROUNDS), count = 0;
	int fd = self_test();
	struct answer answer;

	if (!ua)
		skip("no memory with this kind of pages is available");
	expect(spapr_register(v->fd, ua, size), 0);
	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		if (shifts[i] > largest)
			break;
		for (unsigned int flags = 0; flags <= FLAG_HOLD;
		     flags += FLAG_HOLD) {
			answer = ask(fd, QUESTION("translate", ua, size,
						  .shift = shifts[i],
						  .count = rounds,
						  .flags = flags));
			expect_all_ok(answer, rounds);
			count += rounds;
		}
	}
	printf("# %u translations compared\n", count);
	unregister_ok(v, ua, size);
	close(fd);
}

static unsigned int base_shift(void)
{
	return base_page() == KIB(4) ? 12 : 16;
}

TEST(real_mode_translates_base_pages, INTREE)
{
	translate_all(v, mem_base(MIB(16)), MIB(16), base_shift());
}

TEST(real_mode_translates_scattered_pages, INTREE)
{
	translate_all(v, mem_scattered(MIB(4)), MIB(4), base_shift());
}

TEST(real_mode_translates_transparent_hugepages, INTREE)
{
	translate_all(v, mem_thp(MIB(64)), MIB(64), 21);
}

TEST(real_mode_translates_hugepages_of_2m, INTREE)
{
	translate_all(v, mem_hugetlb(MIB(2), 16), MIB(32), 21);
}

TEST(real_mode_translates_hugepages_of_1g, INTREE)
{
	translate_all(v, mem_hugetlb(GIB(1), 1), GIB(1), 30);
}

/* Register many regions with gaps between them, in which no page is found */
TEST(real_mode_finds_the_right_region_among_many, INTREE)
{
	uint64_t p = base_page(), size = 512 * p, found, count = 10000;
	uint8_t *ua = memory(size);
	int fd = self_test();
	struct answer answer;

	for (uint64_t at = 0; at < size; at += 4 * p)
		expect(spapr_register(v->fd, ua + at, 3 * p), 0);
	answer = ask(fd, QUESTION("translate", ua, size, .count = count));
	expect(answer.wrong, 0);
	/* Three of four pages are registered */
	found = answer.ok * 100 / count;
	if (found < 70 || found > 80)
		fail("found %" PRIu64 " of 100 pages, expected about 75", found);
	expect(answer.too_hard, count - answer.ok);
	for (uint64_t at = 0; at < size; at += 4 * p)
		unregister_ok(v, ua + at, 3 * p);
	close(fd);
}

TEST(real_mode_returns_too_hard_for_memory_it_cannot_translate, INTREE)
{
	uint64_t p = base_page();
	uint8_t *ua = registered(v, 16 * p), *scattered = mem_scattered(MIB(4));
	int fd = self_test();
	struct answer answer;

	answer = ask(fd, QUESTION("translate", ua + 16 * p, 16 * p,
				  .count = 1000));
	expect(answer.too_hard, 1000);
	if (scattered) {
		expect(spapr_register(v->fd, scattered, MIB(4)), 0);
		answer = ask(fd, QUESTION("translate", scattered, MIB(4),
					  .shift = 21, .count = 1000));
		expect(answer.wrong, 0);
		expect(answer.too_hard, 1000);
		unregister_ok(v, scattered, MIB(4));
	}
	unregister_ok(v, ua, 16 * p);
	close(fd);
}

TEST(read_only_memory_is_read_only_in_real_mode, INTREE)
{
	uint64_t size = 4 * base_page();
	uint8_t *ua = memory(size);
	int fd = self_test();
	struct answer answer;

	expect(mprotect(ua, size, PROT_READ), 0);
	expect(spapr_register(v->fd, ua, size), 0);
	answer = ask(fd, QUESTION("translate", ua, size, .count = 1000));
	expect_all_ok(answer, 1000);
	answer = ask(fd, QUESTION("translate", ua, size, .count = 1000,
				  .flags = FLAG_WRITE));
	expect(answer.wrong, 0);
	expect(answer.read_only, 1000);
	answer = ask(fd, QUESTION("dirty", ua, size));
	expect(answer.read_only, 1);
	unregister_ok(v, ua, size);
	close(fd);
}

/* Memory held in real mode counts as mapped */
TEST(memory_held_in_real_mode_stays_registered, INTREE)
{
	struct ledger before = ledger();
	uint64_t p = 4 * base_page();
	uint8_t *ua = registered(v, p);
	int fd = self_test();
	struct answer answer;

	answer = ask(fd, QUESTION("hold", ua, p, .extra = 3));
	expect(answer.ok, 1);
	expect(spapr_unregister(v->fd, ua, p), -EBUSY);
	answer = ask(fd, QUESTION("drop", ua, p));
	/* The registration also counts the region, so no drop drops the last count */
	expect_all_ok(answer, 3);
	unregister_ok(v, ua, p);
	expect_ledger("unregistered", before, 0);
	close(fd);
}

TEST(the_last_held_page_is_dropped_only_in_virtual_mode, INTREE)
{
	struct ledger before = ledger();
	uint64_t p = 4 * base_page();
	uint8_t *ua = registered(v, p);
	int fd = self_test();
	struct answer answer;

	answer = ask(fd, QUESTION("hold", ua, p, .extra = 3));
	expect(answer.ok, 1);
	vfio_close(v);
	expect_ledger("container closed", before, p);
	/* Real mode must not begin to hold memory that no container has registered */
	answer = ask(fd, QUESTION("translate", ua, p, .count = 10,
				  .flags = FLAG_HOLD | FLAG_RACING));
	expect(answer.too_hard, 10);
	answer = ask(fd, QUESTION("drop", ua, p));
	expect(answer.ok, 2);
	expect(answer.too_hard, 1);
	expect_ledger("dropped", before, 0);
	close(fd);
}

TEST(memory_marked_dirty_in_real_mode_is_dirty_when_unpinned, INTREE)
{
	uint64_t p = base_page();
	uint8_t *ua = registered(v, 2 * p);
	int fd = self_test();
	struct answer answer;

	if (is_dirty(ua))
		skip("this kernel marks fresh anonymous memory dirty");
	answer = ask(fd, QUESTION("dirty", ua, p));
	expect_all_ok(answer, 1);
	unregister_ok(v, ua, 2 * p);
	expect(is_dirty(ua), 1);
	close(fd);
}

/* The default window has 4K TCEs: runs, arrays, and entries that were never mapped */
TEST(real_mode_reads_the_user_address_of_each_tce, INTREE)
{
	uint8_t *ua = registered(v, MIB(16));
	int fd = self_test();
	struct question q = QUESTION("window", (void *)IOVA, MIB(16),
				     .count = 20000);
	struct answer answer;

	expect(dma_map(v->fd, IOVA, ua, MIB(8), READ_WRITE), 0);
	answer = ask(fd, q);
	expect(answer.wrong, 0);
	/* The second half of the range was never mapped */
	if (answer.too_hard < q.count / 3 || answer.ok < q.count / 3)
		fail("%" PRIu64 " questions too hard, expected about half", answer.too_hard);
	/* A page out of order makes two runs of a leaf, so the leaf becomes an array */
	for (uint64_t at = 0; at < MIB(8); at += MIB(1))
		expect(dma_map(v->fd, IOVA + at + KIB(8), ua + MIB(9), TCE_4K,
			       READ_ONLY), 0);
	expect(dma_unmap(v->fd, IOVA + MIB(2), MIB(2)), 0);
	expect(dma_unmap(v->fd, IOVA + MIB(5), KIB(64)), 0);
	q.size = MIB(8);
	answer = ask(fd, q);
	expect_all_ok(answer, q.count);
	expect(dma_unmap(v->fd, IOVA, MIB(16)), 0);
	answer = ask(fd, q);
	expect_all_ok(answer, q.count);
	unregister_ok(v, ua, MIB(16));
	close(fd);
}

TEST(real_mode_refuses_pointers_that_it_can_t_follow, INTREE)
{
	uint64_t p = base_page();
	uint8_t *ua = mapped(v, IOVA, p);
	int fd = self_test(), ret;
	struct answer answer;

	ret = try(fd, QUESTION("refuse", ua, p, .extra = IOVA), &answer);
	if (ret == -EOPNOTSUPP)
		skip("real mode cannot find this kernel's page descriptors");
	expect(ret, 0);
	expect(answer.wrong, 0);
	expect(answer.ok, 0);
	expect(answer.too_hard, 13);
	expect(dma_unmap(v->fd, IOVA, p), 0);
	unregister_ok(v, ua, p);
	close(fd);
}

static void find_pages_of(struct vfio *v, int fd, uint8_t *ua, uint64_t size)
{
	struct answer answer;

	if (!ua)
		return;
	expect(spapr_register(v->fd, ua, size), 0);
	answer = ask(fd, QUESTION("pages", ua, size, .count = 5000));
	/* Each page is found, and a reference to each page is put */
	expect_all_ok(answer, 2 * 5000);
	unregister_ok(v, ua, size);
}

TEST(real_mode_finds_and_puts_page_descriptors, INTREE)
{
	uint8_t *ua = mem_base(MIB(4)), *huge = mem_hugetlb(MIB(2), 2);
	int fd = self_test();
	struct answer answer;
	int ret;

	/* Register this memory before the first question, and other memory after it */
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	ret = try(fd, QUESTION("pages", ua, MIB(4), .count = 5000), &answer);
	if (ret == -EOPNOTSUPP)
		skip("real mode cannot find this kernel's page descriptors");
	expect(ret, 0);
	expect_all_ok(answer, 2 * 5000);
	find_pages_of(v, fd, mem_scattered(MIB(2)), MIB(2));
	find_pages_of(v, fd, mem_thp(MIB(16)), MIB(16));
	/* Begin inside a hugepage: its reference count is in the head page */
	find_pages_of(v, fd, huge ? huge + MIB(1) : NULL, MIB(3));
	find_pages_of(v, fd, mem_hugetlb(GIB(1), 1), GIB(1));
	unregister_ok(v, ua, MIB(4));
	close(fd);
}

/* The index of page descriptors is empty, so REGISTER_MEMORY must add nodes to it */
TEST(registering_adds_page_descriptors_to_an_empty_index, INTREE)
{
	int fd = self_test();
	struct answer answer;
	int ret;

	ret = try(fd, QUESTION("index", NULL, MIB(4)), &answer);
	if (ret == -EOPNOTSUPP)
		skip("real mode cannot find this kernel's page descriptors");
	expect(ret, 0);
	find_pages_of(v, fd, mem_base(MIB(4)), MIB(4));
	close(fd);
}

TEST(real_mode_does_not_put_the_last_reference, INTREE)
{
	uint8_t *ua = mem_base(MIB(4));
	int fd = self_test();
	struct answer answer;
	int ret;

	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	ret = try(fd, QUESTION("pages", ua, MIB(4)), &answer);
	if (ret == -EOPNOTSUPP)
		skip("real mode cannot find this kernel's page descriptors");
	expect(ret, 0);
	/* The index keeps the descriptors, and the self-test allocates the freed pages */
	unregister_ok(v, ua, MIB(4));
	munmap(ua, MIB(4));
	answer = ask(fd, QUESTION("last", NULL, MIB(4), .count = 4096));
	expect(answer.wrong, 0);
	expect(answer.ok, 1);
	close(fd);
}

/*
 * Concurrent requests of other threads
 */

#define REGION		MIB(1)
#define REGIONS		16

/*
 * Register and unregister every other region, in an order that depends on the thread. A
 * call may fail because another thread was faster, or because real mode holds pages.
 */
static void register_odd_regions(struct workers *workers, int number)
{
	uint8_t *ua = workers->arg;
	int fd = workers->v->fd;

	for (int i = 0; i < REGIONS / 2; i++) {
		int odd = 2 * ((i * 3 + number * 5) % (REGIONS / 2)) + 1, ret;

		expect_either(spapr_register(fd, ua + odd * REGION, REGION), 0,
			      -EBUSY);
		ret = spapr_unregister(fd, ua + odd * REGION, REGION);
		if (ret != -EBUSY)
			expect_either(ret, 0, -ENOENT);
	}
}

TEST(real_mode_translates_correctly_while_memory_is_registered,
     INTREE, .race = "real mode holds, register and unregister")
{
	uint8_t *ua = memory(REGIONS * REGION);
	struct workers workers = { .v = v, .arg = ua };
	struct answer sum = {}, answer;
	int fd = self_test();

	for (int i = 0; i < REGIONS; i += 2)
		expect(spapr_register(v->fd, ua + i * REGION, REGION), 0);
	workers_start(&workers, race_threads(), register_odd_regions);
	while (race_round()) {
		answer = ask(fd, QUESTION("translate", ua, REGIONS * REGION,
					  .count = 1000,
					  .flags = FLAG_HOLD | FLAG_RACING));
		expect(answer.wrong, 0);
		sum.ok += answer.ok;
		sum.too_hard += answer.too_hard;
	}
	workers_stop(&workers);
	printf("# %" PRIu64 " answered, %" PRIu64 " too hard\n", sum.ok,
	       sum.too_hard);
	/*
	 * Half of the memory is always registered. A lookup fails only while the tree is
	 * rebalanced, but a busy host may stop the guest at that moment.
	 */
	if (sum.ok < (sum.ok + sum.too_hard) / 4)
		fail("only %" PRIu64 " questions answered", sum.ok);
	for (int i = 0; i < REGIONS; i++)
		expect_either(spapr_unregister(v->fd, ua + i * REGION, REGION),
			      0, i % 2 ? -ENOENT : 0);
	close(fd);
}

/* The container may be closed while real mode holds its page */
static void open_register_and_close(struct workers *workers, int number)
{
	struct vfio own;

	open_container(&own, number % 2);
	expect(spapr_register(own.fd, workers->arg, REGION), 0);
	sched_yield();
	vfio_close(&own);
}

/*
 * The last user of the memory, a container or real mode, unpins it. After this, real mode
 * must not hold the memory again.
 */
TEST(real_mode_holds_no_memory_of_a_closed_container,
     INTREE, .setup = BARE, .race = "real mode holds, close of the container")
{
	uint8_t *ua = memory(REGION);
	struct ledger before = ledger();
	struct workers workers = { .v = v, .arg = ua };
	uint64_t ok = 0, too_hard = 0;
	int fd = self_test();

	/* One thread for each device */
	workers_start(&workers, vfio_devices(), open_register_and_close);
	while (race_round()) {
		struct answer answer;

		answer = ask(fd, QUESTION("translate", ua, REGION,
					  .count = 1000,
					  .flags = FLAG_HOLD | FLAG_RACING |
						   FLAG_GOING));
		expect(answer.wrong, 0);
		ok += answer.ok;
		too_hard += answer.too_hard;
	}
	workers_stop(&workers);
	printf("# %" PRIu64 " too hard\n", too_hard);
	race_saw("held", ok);
	expect_ledger("all containers closed", before, 0);
	close(fd);
}

#define CHAOS_IOVA	IOVA
#define CHAOS_SIZE	MIB(8)

/* Map or unmap a random range, so that leaves change between run and array */
static void map_or_unmap_range(struct workers *workers, int number)
{
	static __thread unsigned int seed;
	uint64_t size = TCE_4K << (rand_r(&seed) % 11);
	uint64_t at = rand_r(&seed) % (CHAOS_SIZE / size) * size;
	uint8_t *ua = workers->arg;

	if (!seed)
		seed = number + 1;
	if (rand_r(&seed) % 2)
		expect(dma_map(workers->v->fd, CHAOS_IOVA + at, ua + at, size,
			       READ_WRITE), 0);
	else
		expect(dma_unmap(workers->v->fd, CHAOS_IOVA + at, size), 0);
}

TEST(real_mode_reads_tces_correctly_while_they_change,
     INTREE, .race = "real mode reads, map and unmap")
{
	uint8_t *ua = registered(v, CHAOS_SIZE);
	struct workers workers = { .v = v, .arg = ua };
	uint64_t ok = 0, empty = 0, too_hard = 0;
	int fd = self_test();

	expect(dma_map(v->fd, CHAOS_IOVA, ua, CHAOS_SIZE, READ_WRITE), 0);
	workers_start(&workers, race_threads(), map_or_unmap_range);
	while (race_round()) {
		struct answer answer;

		/* Ask few questions: each comparison must wait for a lock that the maps hold */
		answer = ask(fd, QUESTION("window", (void *)CHAOS_IOVA,
					  CHAOS_SIZE, .count = 100,
					  .flags = FLAG_RACING,
					  .extra = (uint64_t)ua));
		expect(answer.wrong, 0);
		ok += answer.ok;
		empty += answer.read_only;
		too_hard += answer.too_hard;
	}
	workers_stop(&workers);
	printf("# %" PRIu64 " mapped, %" PRIu64 " not, %" PRIu64 " too hard\n",
	       ok, empty, too_hard);
	/* About half of the range is mapped at any time */
	if (too_hard > ok || empty > 20 * ok)
		fail("real mode does not find mapped entries");
	expect(dma_unmap(v->fd, CHAOS_IOVA, CHAOS_SIZE), 0);
	unregister_ok(v, ua, CHAOS_SIZE);
	close(fd);
}

/* Remove the window while the self-test has its handle: no answer may be wrong */
static void make_and_remove_window_1(struct workers *workers, int number)
{
	uint64_t start;
	uint8_t *ua = workers->arg;

	(void)number;
	expect(window_create(workers->v->fd, 12, MIB(256), 1, &start), 0);
	expect(dma_map(workers->v->fd, start, ua, CHAOS_SIZE, READ_WRITE), 0);
	expect(window_remove(workers->v->fd, start), 0);
}

TEST(real_mode_reads_a_window_correctly_while_it_is_removed,
     INTREE, .race = "real mode reads, remove window")
{
	uint8_t *ua = mapped(v, IOVA, CHAOS_SIZE);
	struct workers workers = { .v = v, .arg = ua };
	uint64_t found = 0;
	int fd = self_test();

	workers_start(&workers, 1, make_and_remove_window_1);
	while (race_round() || !found) {
		struct answer answer;
		int ret = try(fd, QUESTION("window", (void *)WINDOW1_START,
					   CHAOS_SIZE, .count = 5000,
					   .flags = FLAG_RACING,
					   .extra = (uint64_t)ua), &answer);

		if (ret == -ENODEV)
			continue;
		expect(ret, 0);
		expect(answer.wrong, 0);
		found++;
	}
	workers_stop(&workers);
	printf("# window found %" PRIu64 " times\n", found);
	expect(dma_unmap(v->fd, IOVA, CHAOS_SIZE), 0);
	unregister_ok(v, ua, CHAOS_SIZE);
	close(fd);
}
