// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the drivers of emulated devices pin pages and copy data while other threads
 * map, unmap, register and unregister the memory. After an unmap request has returned, no
 * driver may have the memory.
 */
#define _GNU_SOURCE
#include "conformance_access.h"

#include <string.h>
#include <unistd.h>

#define PAGES		4

/* Each byte of the memory, while it is mapped and after it was unmapped */
#define MAPPED		0x11
#define UNMAPPED	0x22

/* Counts of the answers that the drivers got */
struct answers {
	unsigned long pinned;
	unsigned long unpinned;
	unsigned long copied;
	unsigned long uncopied;
};

static struct emulated first, second;

static void count(unsigned long *number)
{
	__atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
}

static void pin_and_touch(struct answers *answers, uint64_t iova)
{
	int ret = emulated_pin(&first, iova, 1, true);
	uint8_t byte = 0;

	expect_either(ret, 1, -EINVAL);
	count(ret == 1 ? &answers->pinned : &answers->unpinned);
	/* Another thread may have unpinned the page since then */
	ret = emulated_copy(&first, EMULATED_TOUCH, iova + 8, &byte, 1, false);
	expect_either(ret, 0, -ENOENT);
	if (!ret)
		expect(byte, MAPPED);
	expect(emulated_unpin(&first, iova, 1), 0);
}

static void copy_one(struct answers *answers, uint64_t iova, bool write)
{
	uint8_t byte = MAPPED;
	int ret = emulated_copy(&first, EMULATED_RW, iova, &byte, 1, write);

	expect_either(ret, 0, -EINVAL);
	count(ret ? &answers->uncopied : &answers->copied);
	if (!ret)
		expect(byte, MAPPED);
}

static void pin_and_copy(struct workers *workers, int number)
{
	uint64_t iova = IOVA + number % PAGES * base_page();

	pin_and_touch(workers->arg, iova);
	copy_one(workers->arg, iova + 16, false);
	copy_one(workers->arg, iova + 24, true);
}

static void fill(uint8_t *ua, uint8_t byte)
{
	memset(ua, byte, PAGES * base_page());
}

static bool is_filled(const uint8_t *ua, uint8_t byte)
{
	return ua[0] == byte && !memcmp(ua, ua + 1, PAGES * base_page() - 1);
}

/* Odd rounds unmap one TCE first, which makes the driver unpin the page that contains it */
static void unmap_pages(struct vfio *v)
{
	if (score->rounds % 2)
		expect(dma_unmap(v->fd, IOVA + base_page() - TCE_4K, TCE_4K), 0);
	expect(dma_unmap(v->fd, IOVA, PAGES * base_page()), 0);
}

TEST(no_driver_reaches_memory_after_unmap_returns,
     .race = "pin, unpin and copy, register, map, unmap and unregister",
     .intree = REFUSED)
{
	uint8_t *ua = memory(PAGES * base_page());
	struct answers answers = {};
	struct workers workers = { .v = v, .arg = &answers };
	struct ledger before;

	mapped(v, SINK_IOVA, base_page());
	before = ledger();
	expect(emulated_join(v, &first, 0), 0);
	emulated_open(&first, 0);
	workers_start(&workers, race_threads(), pin_and_copy);
	while (race_round()) {
		fill(ua, MAPPED);
		expect(spapr_register(v->fd, ua, PAGES * base_page()), 0);
		expect(dma_map(v->fd, IOVA, ua, PAGES * base_page(), READ_WRITE), 0);
		usleep(score->rounds % 8 * 500);
		unmap_pages(v);
		fill(ua, UNMAPPED);
		usleep(score->rounds % 4 * 500);
		expect(is_filled(ua, UNMAPPED), true);
		expect(spapr_unregister(v->fd, ua, PAGES * base_page()), 0);
	}
	workers_stop(&workers);
	expect(emulated_state(&first).pins, 0);
	emulated_leave(&first);
	expect_ledger("all unregistered", before, 0);
	race_saw("pages pinned", answers.pinned);
	race_saw("pages not pinned, because they were not mapped", answers.unpinned);
	race_saw("copies", answers.copied);
	race_saw("copies refused, because the page was not mapped", answers.uncopied);
}

/*
 * While a device is open, requests for one page take the general path. So each open and each
 * close changes the path of the other threads.
 */
static void open_or_map(struct workers *workers, int number)
{
	uint64_t iova = IOVA + MIB(64) + number * TCE_4K;
	int ret;

	if (number) {
		expect(dma_map(workers->v->fd, iova, workers->arg, TCE_4K, READ_WRITE), 0);
		expect(dma_unmap(workers->v->fd, iova, TCE_4K), 0);
		return;
	}
	emulated_open(&second, 1);
	ret = emulated_pin(&second, IOVA, PAGES, true);
	expect_either(ret, PAGES, -EINVAL);
	race_served(ret == PAGES);
	close(second.fd);
	second.fd = -1;
}

TEST(opening_and_closing_a_device_races_with_maps_and_unmaps,
     .race = "open and close of an emulated device, map and unmap",
     .intree = REFUSED)
{
	uint8_t *ua = registered(v, PAGES * base_page());
	struct workers workers = { .v = v, .arg = ua };

	expect(emulated_join(v, &second, 1), 0);
	workers_start(&workers, race_threads(), open_or_map);
	while (race_round()) {
		expect(dma_map(v->fd, IOVA, ua, PAGES * base_page(), READ_WRITE), 0);
		device_reaches(v, 0, IOVA, ua);
		unmap_pages(v);
	}
	workers_stop(&workers);
	emulated_leave(&second);
	unregister_ok(v, ua, PAGES * base_page());
}
