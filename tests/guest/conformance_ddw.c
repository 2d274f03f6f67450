// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: dynamic DMA windows, all of them. Every kind of window in every
 * place; windows that come and go in numbers, or can't be had; groups that
 * share them; threads that do everything at once.
 *
 * What a request must be answered is worked out here, from the rules of the
 * platform, never from what came.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The rules
 */

/* log2 of the bytes of the largest one-level table: MAX_PAGE_ORDER on 4K and 64K */
#define MOST_TABLE_SHIFT	24
/* The same for one of several levels */
#define MOST_LEVEL_SHIFT	19
/* Bus address bits that levels and page size may not span */
#define MOST_BUS_BITS		55

static bool hypervisor(void)
{
	static int known = -1;

	if (known < 0)
		known = under_hypervisor();
	return known;
}

/* log2 of the TCEs in each table of a window of 2^bits pages */
static unsigned int bits_per_level(unsigned int bits, unsigned int levels)
{
	unsigned int least = __builtin_ctzll(base_page() / sizeof(uint64_t));
	unsigned int each = (bits + levels - 1) / levels;

	return each < least ? least : each;
}

/* log2 of the bytes that each table may have */
static unsigned int most_table_shift(unsigned int levels)
{
	return levels == 1 ? MOST_TABLE_SHIFT : MOST_LEVEL_SHIFT;
}

/* What TCE_CREATE says where there is room for the window */
static int answer_to(unsigned int shift, unsigned int bits, unsigned int levels)
{
	unsigned int each = bits_per_level(bits, levels);

	if (each * levels + shift >= MOST_BUS_BITS)
		return -EINVAL;
	if (!hypervisor() && each + 3 > most_table_shift(levels))
		return -ENOMEM;
	return 0;
}

/*
 * Every kind of window
 */

/* What slot 0 has gone through when a window is made in it or beside it */
enum order {
	PENDING,	/* the default window is pending, or was when removed */
	USED,		/* it was made by a map */
	REMADE,		/* it was removed, and a window of other pages made */
	ORDERS
};

/* Windows by size */
enum extent {
	ONE_PAGE,
	SOME_PAGES,
	HUGE,		/* far more than anybody maps */
	LARGEST,	/* of one level at least, for more may be too costly */
	TOO_LARGE,
	EXTENTS
};

#define NO_BITS		(~0U)
#define SOME_BITS	17
#define HUGE_SHIFT	47
/* A hypervisor allocates what it is asked for, and Linux 8 bytes a TCE */
#define HYPERVISOR_BITS	21

struct kind {
	unsigned int shift;
	unsigned int levels;
	int slot;
	enum order order;
};

/* log2 of the pages of the largest window that there can be */
static unsigned int largest_bits(unsigned int shift, unsigned int levels)
{
	unsigned int bits = NO_BITS;

	for (unsigned int i = 0; i + shift < 64; i++)
		if (!answer_to(shift, i, levels))
			bits = i;
	return bits;
}

/* log2 of its pages, NO_BITS if no window of this extent is to be tried */
static unsigned int bits_of(const struct kind *kind, enum extent extent)
{
	unsigned int largest = largest_bits(kind->shift, kind->levels);

	switch (extent) {
	case ONE_PAGE:
		return 0;
	case SOME_PAGES:
		return SOME_BITS;
	case HUGE:
		return hypervisor() ? HYPERVISOR_BITS :
				      HUGE_SHIFT - kind->shift;
	case LARGEST:
		return hypervisor() ? NO_BITS : largest;
	case TOO_LARGE:
		return largest == NO_BITS ? NO_BITS : largest + 1;
	default:
		return NO_BITS;
	}
}

/* A page size unlike the window's */
static unsigned int other_shift(const struct kind *kind)
{
	return kind->shift == 12 ? 16 : 12;
}

#define OTHER_PAGES	1024

static void make_room(struct vfio *v, const struct kind *kind)
{
	unsigned int shift = other_shift(kind);
	uint64_t start = 0;

	if (kind->order == USED)
		mapped(v, IOVA, base_page());
	if (kind->order == REMADE) {
		expect(window_remove(v->fd, 0), 0);
		start = new_window(v, shift, OTHER_PAGES << shift, 1);
		expect(start, first_start(v, shift, OTHER_PAGES << shift));
	}
	if (kind->slot == 0)
		expect(window_remove(v->fd, start), 0);
}

/* The answer, and in *start where the window begins if that is 0 */
static int wanted(struct vfio *v, const struct kind *kind, unsigned int bits,
		  uint64_t *start)
{
	uint64_t size = 1ULL << (bits + kind->shift);
	int ret = answer_to(kind->shift, bits, kind->levels);

	*start = kind->slot ? WINDOW1_START : first_start(v, kind->shift, size);
	if (ret || !hypervisor() || !kind->slot || kind->order != REMADE)
		return ret;
	/* A hypervisor has one place for what is unlike its default window */
	return other_shift(kind) == 12 ? 0 : -ENOSPC;
}

/* Registered memory for POINTS IOMMU pages, each of them contiguous */
#define POINTS		3

struct io_pages {
	uint8_t *page[POINTS];
	uint8_t *ua;
	size_t size;
	size_t offset;
};

/*
 * Gets IOMMU pages for each of two devices. There is only one page of 1 GiB. All IOMMU
 * pages of that size share it, and each device uses its own offset in it.
 */
static void take_io_pages(struct io_pages io_pages[SLOTS], unsigned int shift)
{
	size_t page = 1ULL << shift, step = page;
	uint8_t *ua;

	if (page < base_page())
		step = base_page();
	if (step == base_page())
		ua = mem_base(SLOTS * POINTS * step);
	else if (page <= MIB(2))
		ua = mem_hugetlb(MIB(2), SLOTS * POINTS);
	else
		ua = mem_hugetlb(GIB(1), 1);
	if (!ua)
		skip("no contiguous memory for IOMMU pages of this size");
	if (page == GIB(1))
		step = 0;
	for (int d = 0; d < SLOTS; d++) {
		struct io_pages *p = &io_pages[d];

		p->ua = ua + d * POINTS * step;
		p->size = step ? POINTS * step : page;
		p->offset = step ? 0 : d * TCE_4K;
		for (int i = 0; i < POINTS; i++)
			p->page[i] = p->ua + i * step;
	}
}

/* First, middle and last page: the device moves data there, both ways */
static void device_uses(struct vfio *v, int device, uint64_t start,
			unsigned int shift, unsigned int bits,
			const struct io_pages *io_pages)
{
	uint64_t page = 1ULL << shift, last = (1ULL << bits) - 1;
	/* The middle one isn't just below 4 GiB, where MSIs go */
	const uint64_t index[POINTS] = { 0, (last + 1) / 2, last };
	int first = last ? 0 : POINTS - 1;

	for (int i = first; i < POINTS; i++)
		expect(dma_map(v->fd, start + (index[i] << shift),
			       io_pages->page[i], page, READ_WRITE), 0);
	expect(dma_map(v->fd, start + (1ULL << (bits + shift)),
		       io_pages->page[0], page, READ_WRITE), -ENXIO);
	for (int i = first; i < POINTS; i++) {
		uint64_t off = io_pages->offset;

		if (i == POINTS - 1)
			off = page - PROBE - off;
		device_reaches(v, device, start + (index[i] << shift) + off,
			       io_pages->page[i] + off);
	}
}

static void describe(const struct kind *kind, unsigned int bits, char *text,
		     size_t size)
{
	static const char *const order[ORDERS] = {
		"pending", "used", "remade",
	};

	snprintf(text, size,
		 "2^%u pages of 2^%u, %u levels, slot %d, default %s", bits,
		 kind->shift, kind->levels, kind->slot, order[kind->order]);
}

/* Makes a window and compares the answer; true if it is there */
static bool made(struct vfio *v, const struct kind *kind, unsigned int bits,
		 uint64_t *start)
{
	struct vfio_iommu_spapr_tce_info before = info_of(v), after;
	uint64_t want_start;
	char row[128];
	int want, ret;

	describe(kind, bits, row, sizeof(row));
	want = wanted(v, kind, bits, &want_start);
	*start = ~0ULL;
	ret = window_create(v->fd, kind->shift, 1ULL << (bits + kind->shift),
			    kind->levels, start);
	if (!row_is(row, ret, want))
		fail("the window was answered otherwise");
	if (!ret && !row_is(row, *start, want_start))
		fail("the window is in another place");
	after = info_of(v);
	expect(memcmp(&before, &after, sizeof(after)), 0);
	return !ret;
}

/* The extent that the device uses: by turns, what there can be */
static enum extent extent_to_use(const struct kind *kind)
{
	enum extent extent = (kind->levels + kind->slot + kind->order) % 3;

	if (answer_to(kind->shift, bits_of(kind, extent), kind->levels))
		return LARGEST;
	return extent;
}

/* On a container of its own; the window that the device uses comes first */
static void one_kind(const struct kind *kind, int device,
		     const struct io_pages *io_pages)
{
	enum extent use = extent_to_use(kind);
	uint64_t start;
	struct vfio v;

	open_container(&v, device);
	expect(spapr_register(v.fd, io_pages->ua, io_pages->size), 0);
	make_room(&v, kind);
	if (bits_of(kind, use) != NO_BITS &&
	    made(&v, kind, bits_of(kind, use), &start)) {
		device_uses(&v, device, start, kind->shift, bits_of(kind, use),
			    io_pages);
		expect(window_remove(v.fd, start), 0);
	}
	for (enum extent extent = 0; extent < EXTENTS; extent++) {
		unsigned int bits = bits_of(kind, extent);

		if (extent == use || bits == NO_BITS ||
		    !made(&v, kind, bits, &start))
			continue;
		expect(window_remove(v.fd, start), 0);
	}
	unregister_ok(&v, io_pages->ua, io_pages->size);
	vfio_close(&v);
}

/* Half of the kinds, on the device of one slot */
struct worker {
	pthread_t thread;
	unsigned int shift;
	unsigned int levels;
	int device;
	int devices;
	struct io_pages io_pages;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct kind kind = { .shift = worker->shift };
	int number = 0;

	for (kind.levels = 1; kind.levels <= worker->levels; kind.levels++)
		for (kind.slot = 0; kind.slot < 2; kind.slot++)
			for (kind.order = 0; kind.order < ORDERS; kind.order++)
				if (number++ % worker->devices ==
				    worker->device)
					one_kind(&kind, worker->device,
						 &worker->io_pages);
	return NULL;
}

/* The device takes a tenth of a second for each transfer, so two share them */
static void every_window_of(unsigned int shift, const char *none)
{
	struct worker worker[SLOTS];
	struct io_pages io_pages[SLOTS];
	int devices = vfio_devices();
	unsigned int levels;
	struct vfio v;

	open_container(&v, 0);
	if (!has_page_shift(&v, shift))
		skip(none);
	levels = info_of(&v).ddw.levels;
	vfio_close(&v);
	hypervisor();
	take_io_pages(io_pages, shift);
	for (int d = 0; d < devices; d++) {
		worker[d] = (struct worker){
			.shift = shift, .levels = levels, .device = d,
			.devices = devices, .io_pages = io_pages[d],
		};
		if (pthread_create(&worker[d].thread, NULL, work, &worker[d]))
			fail("pthread_create");
	}
	for (int d = 0; d < devices; d++)
		pthread_join(worker[d].thread, NULL);
}

TEST(every_window_of_4k_pages_can_be_had, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(12, "platform has no 4 KiB IOMMU pages");
}

TEST(every_window_of_64k_pages_can_be_had, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(16, "platform has no 64 KiB IOMMU pages");
}

TEST(every_window_of_2m_pages_can_be_had, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(21, "platform has no 2 MiB IOMMU pages");
}

TEST(every_window_of_16m_pages_can_be_had, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(24, "platform has no 16 MiB IOMMU pages");
}

TEST(every_window_of_1g_pages_can_be_had, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(30, "platform has no 1 GiB IOMMU pages");
}

/*
 * The kernel's log: so many windows push whatever else it says out of its buffer
 * before anybody looks
 */

/* "priority,sequence,time,flags;text": no splat, no line of the module's own */
static void expect_clean_record(const char *record)
{
	static const char *const splats[] = {
		"WARNING", "BUG", "Oops", "Call Trace", "UBSAN", "leak",
	};
	const char *text = strchr(record, ';');
	unsigned long priority = strtoul(record, NULL, 10);

	text = text ? text + 1 : record;
	for (size_t i = 0; i < ARRAY_SIZE(splats); i++)
		if (strstr(text, splats[i]))
			fail("kernel log: %s", text);
	if (!strncmp(text, "vfio_spapr_tce2: ", 17) && (priority & 7) < 7)
		fail("kernel log: %s", text);
}

static void expect_clean_log(int log)
{
	char record[LOG_RECORD];

	while (next_record(log, record))
		expect_clean_record(record);
}

/*
 * Windows that come and go
 */

struct request {
	unsigned int shift;
	unsigned int bits;	/* log2 of its pages */
	unsigned int levels;
};

/* Bytes of contiguous memory for the largest of the IOMMU pages below */
#define BLOCK			KIB(64)

static const struct request in_memory[] = {
	{ 12, 0, 1 }, { 12, 9, 1 }, { 12, 18, 1 }, { 12, 18, 2 }, { 12, 28, 2 },
	{ 12, 30, 3 }, { 12, 34, 3 }, { 12, 13, 3 }, { 12, 5, 2 },
};

static const struct request in_hypervisor[] = {
	{ 12, 0, 1 }, { 12, 9, 1 }, { 12, 18, 1 }, { 16, 0, 1 }, { 16, 10, 1 },
};

static struct request some_request(unsigned int number)
{
	if (hypervisor())
		return in_hypervisor[number % ARRAY_SIZE(in_hypervisor)];
	return in_memory[number % ARRAY_SIZE(in_memory)];
}

static int try_window(struct vfio *v, const struct request *request,
		      uint64_t *start)
{
	return window_create(v->fd, request->shift,
			     1ULL << (request->bits + request->shift),
			     request->levels, start);
}

/* Windows that there can't be, and what is said to them */
static void try_what_fails(struct vfio *v, unsigned int number)
{
	switch (number % 5) {
	case 0:
		expect(window_create(v->fd, 13, GIB(1), 1, NULL), -EINVAL);
		break;
	case 1:
		expect(window_create(v->fd, 12, 3 * GIB(1), 1, NULL), -EINVAL);
		break;
	case 2:
		expect(window_create(v->fd, 12, 1ULL << 55, 1, NULL), -EINVAL);
		break;
	case 3:
		expect(window_create(v->fd, 12, GIB(1), 0, NULL), -EINVAL);
		break;
	case 4:
		/* A hypervisor might well have room for it */
		if (!hypervisor())
			expect(window_create(v->fd, 12, 1ULL << 34, 1, NULL),
			       -ENOMEM);
		break;
	}
}

/* A request that can't be answered; *unwritable has room for it */
static void try_without_answer(struct vfio *v,
			       struct vfio_iommu_spapr_tce_create *unwritable,
			       const struct request *request)
{
	if (mprotect(unwritable, base_page(), PROT_READ | PROT_WRITE))
		fail("mprotect: %s", strerror(errno));
	*unwritable = (struct vfio_iommu_spapr_tce_create){
		.argsz = sizeof(*unwritable),
		.page_shift = request->shift,
		.window_size = 1ULL << (request->bits + request->shift),
		.levels = request->levels,
	};
	if (mprotect(unwritable, base_page(), PROT_READ))
		fail("mprotect: %s", strerror(errno));
	expect(call(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE, unwritable), -EFAULT);
}

/* A page at its beginning and one at its end, left there */
static void map_both_ends(struct vfio *v, uint64_t start,
			  const struct request *request, uint8_t *ua)
{
	uint64_t page = 1ULL << request->shift;
	uint64_t size = page << request->bits;

	expect(dma_map(v->fd, start, ua, page, READ_WRITE), 0);
	expect(dma_map(v->fd, start + size - page, ua, page, READ_WRITE), 0);
}

/* Several windows, or none: each cycle leaves what it found */
static void one_cycle(struct vfio *v, unsigned int number, bool beside,
		      uint8_t *ua,
		      struct vfio_iommu_spapr_tce_create *unwritable)
{
	struct request request = some_request(number);
	uint64_t start, want = WINDOW1_START;

	if (!beside)
		want = first_start(v, request.shift,
				   1ULL << (request.bits + request.shift));
	if (number % 4 == 1) {
		try_what_fails(v, number / 4);
		return;
	}
	if (number % 16 == 2) {
		try_without_answer(v, unwritable, &request);
		return;
	}
	expect(try_window(v, &request, &start), 0);
	expect(start, want);
	if (number % 8 == 3)
		map_both_ends(v, start, &request, ua);
	if (number % 32 == 4 && beside)
		expect(window_create(v->fd, 12, GIB(1), 1, NULL), -ENOSPC);
	expect(window_remove(v->fd, start), 0);
}

#define CYCLES			10000
/* A hypervisor takes three times as long for each */
#define HYPERVISOR_CYCLES	2000
#define CYCLES_A_CHECK		1000
#define CYCLES_A_LOOK		50

/* What the cycles need */
struct cycles {
	uint8_t *ua;
	struct vfio_iommu_spapr_tce_create *unwritable;
	int log;
	unsigned int number;
};

static void half_of_the_cycles(struct vfio *v, struct cycles *cycles,
			       bool beside)
{
	unsigned int last = fewer(hypervisor() ? HYPERVISOR_CYCLES :
				  CYCLES) / 2;
	struct ledger before = ledger();

	for (unsigned int i = 1; i <= last; i++) {
		one_cycle(v, cycles->number++, beside, cycles->ua,
			  cycles->unwritable);
		if (i % CYCLES_A_CHECK == 0)
			expect_ledger("so far", before, 0);
		if (i % CYCLES_A_LOOK == 0)
			expect_clean_log(cycles->log);
	}
	expect_ledger("after all cycles", before, 0);
}

/* In slot 1, beside a window in use; then in slot 0, alone */
TEST(windows_come_and_go_thousands_of_times, .intree = "defects 6, 7, 13")
{
	struct cycles cycles = {
		.ua = contiguous_memory(BLOCK),
		.unwritable = (void *)memory(base_page()),
		.log = follow_log(),
	};
	struct ledger alone;

	expect(spapr_register(v->fd, cycles.ua, BLOCK), 0);
	alone = ledger();
	expect(dma_map(v->fd, IOVA, cycles.ua, base_page(), READ_WRITE), 0);
	half_of_the_cycles(v, &cycles, true);
	device_reaches(v, 0, IOVA, cycles.ua);
	expect(window_remove(v->fd, 0), 0);
	expect_ledger("without the default window", alone, 0);
	half_of_the_cycles(v, &cycles, false);
	dprintf(STDOUT_FILENO, "# %u cycles\n", cycles.number);
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(dma_map(v->fd, IOVA, cycles.ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, cycles.ua);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, cycles.ua, BLOCK);
	close(cycles.log);
}

/*
 * RLIMIT_MEMLOCK
 */

/* What a window costs, which is given back with it */
static int64_t cost_of(struct vfio *v, const struct request *request)
{
	int64_t before = vmlck(), cost;
	uint64_t start;

	limit_memlock(RLIM_INFINITY);
	expect(try_window(v, request, &start), 0);
	cost = vmlck() - before;
	expect(window_remove(v->fd, start), 0);
	expect(vmlck(), before);
	return cost;
}

/* What is left of the window's levels is charged when something is mapped */
static void map_at_the_limit(struct vfio *v, uint64_t start, uint8_t *ua)
{
	int64_t before = vmlck(), cost;

	expect(dma_map(v->fd, start, ua, TCE_4K, READ_WRITE), -ENOMEM);
	expect(vmlck(), before);
	limit_memlock(RLIM_INFINITY);
	expect(dma_map(v->fd, start, ua, TCE_4K, READ_WRITE), 0);
	cost = vmlck() - before;
	if (cost <= 0)
		fail("expected the levels below to cost something");
	expect(window_remove(v->fd, start), 0);
}

static void at_the_limit(struct vfio *v, const struct request *request,
			 uint8_t *ua)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v), after;
	int64_t cost = cost_of(v, request);
	struct ledger before = ledger();
	uint64_t start;

	/* A window of a page or so costs less than a page, which is none */
	if (cost) {
		limit_memlock(before.vmlck + cost - base_page());
		expect(try_window(v, request, NULL), -ENOMEM);
		expect_ledger("a page less than it takes", before, 0);
		expect(dma_map(v->fd, WINDOW1_START, ua, TCE_4K, READ_WRITE),
		       -ENXIO);
		after = info_of(v);
		expect(memcmp(&info, &after, sizeof(info)), 0);
	}
	limit_memlock(before.vmlck + cost);
	expect(try_window(v, request, &start), 0);
	expect(start, WINDOW1_START);
	expect(vmlck() - before.vmlck, cost);
	if (request->levels > 1)
		map_at_the_limit(v, start, ua);
	else
		expect(window_remove(v->fd, start), 0);
	expect_ledger("removed again", before, 0);
	limit_memlock(RLIM_INFINITY);
}

TEST(a_window_is_had_exactly_when_the_memlock_limit_covers_it,
     .intree = "defects 6, 13")
{
	uint8_t *ua = mapped(v, IOVA, base_page());
	unsigned int count = hypervisor() ? ARRAY_SIZE(in_hypervisor) :
					    ARRAY_SIZE(in_memory);

	drop_ipc_lock();
	for (unsigned int i = 0; i < count; i++) {
		struct request request = some_request(i);

		at_the_limit(v, &request, ua);
	}
}

/* Limits that cover the default window, or not even that */
TEST(a_failing_create_beside_the_pending_default_costs_nothing, .intree = "defect 6")
{
	static const struct request like_default = { 12, 18, 1 };
	struct ledger before = ledger();
	uint8_t *ua = memory(base_page());
	int64_t cost, page = base_page();
	struct vfio other;
	uint64_t start;

	drop_ipc_lock();
	limit_memlock(RLIM_INFINITY);
	open_container(&other, 1);
	expect(try_window(&other, &like_default, &start), 0);
	expect(window_remove(other.fd, start), 0);
	cost = vmlck() - before.vmlck;
	vfio_close(&other);
	expect_ledger("the other container closed", before, 0);

	limit_memlock(before.vmlck + cost - page);
	expect(try_window(v, &like_default, NULL), -ENOMEM);
	expect_ledger("no default window", before, 0);
	limit_memlock(before.vmlck + cost);
	expect(try_window(v, &like_default, NULL), -ENOMEM);
	/* A hypervisor's is not risked a second time */
	expect(vmlck() - before.vmlck, hypervisor() ? cost : 0);
	limit_memlock(RLIM_INFINITY);
	expect(spapr_register(v->fd, ua, page), 0);
	expect(try_window(v, &like_default, &start), 0);
	expect(start, WINDOW1_START);
	expect(dma_map(v->fd, IOVA, ua, page, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}

/*
 * Several groups
 */

/* Two windows with something in them: pages of 64 KiB at 0, levels at bit 59 */
struct two_windows {
	uint8_t *low;
	uint8_t *high;
	uint64_t iova[2];
};

#define HIGH_SIZE	(1ULL << 40)
#define LOW_SIZE	GIB(8)

static struct two_windows two_windows(struct vfio *v)
{
	struct two_windows two = {
		.iova = { LOW_SIZE - MIB(1),
			  WINDOW1_START + HIGH_SIZE - MIB(1) },
	};

	expect(window_remove(v->fd, 0), 0);
	expect(new_window(v, 16, LOW_SIZE, 2), 0);
	expect(new_window(v, 12, HIGH_SIZE, 2), WINDOW1_START);
	/* The larger IOMMU pages need contiguous memory */
	two.low = contiguous_memory(BLOCK);
	two.high = memory(BLOCK);
	expect(spapr_register(v->fd, two.low, BLOCK), 0);
	expect(spapr_register(v->fd, two.high, BLOCK), 0);
	expect(dma_map(v->fd, two.iova[0], two.low, BLOCK, READ_WRITE), 0);
	expect(dma_map(v->fd, two.iova[1], two.high, BLOCK, READ_WRITE), 0);
	return two;
}

static void device_reaches_both(struct vfio *v, int device,
				const struct two_windows *two)
{
	device_reaches(v, device, two->iova[0], two->low);
	device_reaches(v, device, two->iova[1], two->high);
}

/* In a container of its own, with a sink where the others have nothing */
static void device_alone_reaches_neither(int device,
					 const struct two_windows *two)
{
	struct vfio elsewhere;
	struct sink sink;

	open_container(&elsewhere, device);
	sink = sink_at(&elsewhere, SINK_IOVA);
	device_cannot_reach(&elsewhere, device, two->iova[0], two->low, &sink);
	device_cannot_reach(&elsewhere, device, two->iova[1], two->high,
			    &sink);
	vfio_close(&elsewhere);
}

static void join_leave_and_rejoin(struct vfio *v, int stays, int leaves)
{
	struct two_windows two;

	need_groups_that_share();
	open_container(v, stays);
	two = two_windows(v);
	device_reaches_both(v, stays, &two);
	expect(vfio_attach(v, leaves), 0);
	device_reaches_both(v, leaves, &two);

	expect(vfio_detach(v, leaves), 0);
	device_reaches_both(v, stays, &two);
	device_alone_reaches_neither(leaves, &two);
	device_reaches_both(v, stays, &two);
	expect(spapr_unregister(v->fd, two.low, BLOCK), -EBUSY);
	expect(spapr_unregister(v->fd, two.high, BLOCK), -EBUSY);

	expect(vfio_attach(v, leaves), 0);
	device_reaches_both(v, leaves, &two);
	expect(window_remove(v->fd, 0), 0);
	expect(window_remove(v->fd, WINDOW1_START), 0);
	unregister_ok(v, two.low, BLOCK);
	unregister_ok(v, two.high, BLOCK);
}

TEST(the_second_group_joins_leaves_and_rejoins_live_windows,
     .setup = BARE, .intree = "defect 5")
{
	join_leave_and_rejoin(v, 0, 1);
}

TEST(a_group_of_a_lower_address_may_be_the_second, .setup = BARE, .intree = "defect 5")
{
	join_leave_and_rejoin(v, 1, 0);
}

/* The first leaves, on which the windows were made; then they go both ways */
TEST(windows_outlive_the_group_they_were_made_with, .setup = BARE, .intree = "defect 5")
{
	struct two_windows two;
	struct sink sink;

	need_groups_that_share();
	open_container(v, 0);
	expect(vfio_attach(v, 1), 0);
	two = two_windows(v);
	expect(vfio_detach(v, 0), 0);
	device_reaches_both(v, 1, &two);
	device_alone_reaches_neither(0, &two);
	device_reaches_both(v, 1, &two);

	expect(window_remove(v->fd, 0), 0);
	unregister_ok(v, two.low, BLOCK);
	sink = (struct sink){ .iova = two.iova[1], .ua = two.high };
	device_cannot_reach(v, 1, two.iova[0], two.low, &sink);
	expect(new_window(v, 12, GIB(1), 1), 0);
	expect(vfio_attach(v, 0), 0);
	for (int device = 0; device < SLOTS; device++) {
		device_cannot_reach(v, device, two.iova[0], two.low, &sink);
		device_reaches(v, device, two.iova[1], two.high);
	}
}

TEST(a_window_of_two_groups_is_removed_with_one_left,
     .setup = TWO_GROUPS, .intree = "defect 5")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, HIGH_SIZE, 2), p = base_page();
	uint8_t *ua = mapped(v, start + IOVA, p);
	int64_t locked;

	for (int device = 0; device < SLOTS; device++)
		device_reaches(v, device, start + IOVA, ua);
	expect(vfio_detach(v, 1), 0);
	expect(window_remove(v->fd, start), 0);
	device_cannot_reach(v, 0, start + IOVA, ua, &sink);
	expect(vfio_attach(v, 1), 0);
	device_cannot_reach(v, 1, start + IOVA, ua, &sink);

	locked = vmlck();
	expect(new_window(v, 12, HIGH_SIZE, 2), start);
	expect(dma_map(v->fd, start + IOVA, ua, p, READ_WRITE), 0);
	for (int device = 0; device < SLOTS; device++)
		device_reaches(v, device, start + IOVA, ua);
	expect(window_remove(v->fd, start), 0);
	expect(vmlck(), locked);
}

/*
 * A storm
 */

#define STORM_SIZE		KIB(256)
#define STORM_REGIONS		3

/**
 * struct storm - what the threads of a storm share
 * @ua: regions of STORM_SIZE; the first stays registered
 * @read_only: a page that nothing can be written to
 * @done: how often a call of each kind has succeeded
 */
enum storm_call { CREATES, REMOVES, MAPS, UNMAPS, REGISTERS, JOINS, CALLS };

struct storm {
	uint8_t *ua[STORM_REGIONS];
	void *read_only;
	unsigned long done[CALLS];
};

static void storm_did(struct storm *storm, enum storm_call call, int ret)
{
	if (!ret)
		__atomic_fetch_add(&storm->done[call], 1, __ATOMIC_RELAXED);
}

/* Each thread's own; xorshift64 */
static uint64_t pick(uint64_t below)
{
	static __thread uint64_t state;

	if (!state)
		state = (uintptr_t)&state ^ 0x9e3779b97f4a7c15ULL;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % below;
}

static uint64_t storm_iova(void)
{
	uint64_t iova = (pick(2) ? WINDOW1_START : 0) + pick(64) * STORM_SIZE;

	return iova + pick(4) * base_page();
}

static int expect_one_of(const char *what, int saw, const int *set,
			 size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (saw == set[i])
			return saw;
	fail("%s: saw %d (%s), which isn't among its answers", what, saw,
	     saw < 0 ? strerrorname_np(-saw) : "?");
}

#define expect_among(what, ...)						\
	expect_one_of(#what, (what), (const int[]){ __VA_ARGS__ },	\
		      sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

static void storm_create(struct vfio *v, struct storm *storm)
{
	struct request request = some_request(pick(64));
	int ret;

	switch (pick(8)) {
	case 0:
		expect_among(window_create(v->fd, 13, GIB(1), 1, NULL),
			     -EINVAL);
		break;
	case 1:
		expect_among(window_create(v->fd, 12, 1ULL << 55, 1, NULL),
			     -EINVAL);
		break;
	case 2:
		if (!hypervisor())
			expect_among(window_create(v->fd, 12, 1ULL << 34, 1,
						   NULL), -ENOMEM);
		break;
	case 3:
		expect_among(call(v->fd, VFIO_IOMMU_SPAPR_TCE_CREATE,
				  storm->read_only), -EFAULT, -ENOSPC,
			     hypervisor() ? -EPERM : -EFAULT);
		break;
	default:
		ret = expect_among(try_window(v, &request, NULL), 0, -ENOSPC,
				   hypervisor() ? -EPERM : -ENOSPC);
		storm_did(storm, CREATES, ret);
	}
}

/* EINVAL: the pages of a window that came in the meantime are larger */
static void storm_map(struct vfio *v, struct storm *storm)
{
	uint8_t *ua = storm->ua[pick(STORM_REGIONS)];
	uint64_t size = (1 + pick(4)) * base_page();
	uint64_t iova = storm_iova();

	if (pick(2))
		storm_did(storm, MAPS,
			  expect_among(dma_map(v->fd, iova, ua, size,
					       READ_WRITE),
				       0, -ENXIO, -EINVAL));
	else
		storm_did(storm, UNMAPS,
			  expect_among(dma_unmap(v->fd, iova, size), 0,
				       -ENXIO, -EINVAL));
}

static void storm_register(struct vfio *v, struct storm *storm)
{
	uint8_t *ua = storm->ua[1 + pick(STORM_REGIONS - 1)];

	if (pick(2))
		storm_did(storm, REGISTERS,
			  expect_among(spapr_register(v->fd, ua, STORM_SIZE), 0,
				       -EBUSY));
	else
		expect_among(spapr_unregister(v->fd, ua, STORM_SIZE), 0,
			     -EBUSY, -ENOENT);
}

static void storm_info(struct vfio *v)
{
	struct vfio_iommu_spapr_tce_info info;

	expect(get_info(v->fd, &info), 0);
	expect(info.ddw.max_dynamic_windows_supported, 2);
}

static void storm_anything(struct workers *workers, int number)
{
	struct storm *storm = workers->arg;
	struct vfio *v = workers->v;

	(void)number;
	switch (pick(8)) {
	case 0:
		storm_create(v, storm);
		break;
	case 1:
		storm_did(storm, REMOVES,
			  expect_among(window_remove(v->fd,
						     pick(2) * WINDOW1_START),
				       0, -EINVAL));
		break;
	case 2:
		storm_register(v, storm);
		break;
	case 3:
		storm_info(v);
		break;
	default:
		storm_map(v, storm);
	}
}

/* The only thread that knows about the second group */
static void storm_second_group(struct workers *workers, int number)
{
	struct vfio *v = workers->v;
	int ret = vfio_attach(v, 1);

	(void)number;
	/* A hypervisor's groups share no tables */
	expect(ret, hypervisor() ? -EPERM : 0);
	usleep(pick(2000));
	storm_did(workers->arg, JOINS, ret);
	if (!ret)
		expect(vfio_detach(v, 1), 0);
}

/* A storm in which nothing succeeds proves nothing, so it goes on until then */
#define STORM_LEAST		10

static bool storm_has_come_up(const struct storm *storm)
{
	for (int i = 0; i < CALLS; i++)
		if (__atomic_load_n(&storm->done[i], __ATOMIC_RELAXED) <
		    STORM_LEAST && (i != JOINS || !hypervisor()))
			return false;
	return true;
}

static void storm_says(const struct storm *storm)
{
	static const char *const name[CALLS] = {
		"creates", "removes", "maps", "unmaps", "registers", "joins",
	};

	for (int i = 0; i < CALLS; i++)
		dprintf(STDOUT_FILENO, "# %lu %s\n", storm->done[i], name[i]);
}

/* Nothing is lost: all of it can be given back, one by one */
static void storm_settles(struct vfio *v, struct storm *storm,
			  struct ledger before)
{
	expect_among(window_remove(v->fd, 0), 0, -EINVAL);
	expect_among(window_remove(v->fd, WINDOW1_START), 0, -EINVAL);
	unregister_ok(v, storm->ua[0], STORM_SIZE);
	for (int i = 1; i < STORM_REGIONS; i++)
		expect_among(spapr_unregister(v->fd, storm->ua[i], STORM_SIZE),
			     0, -ENOENT);
	expect_ledger("after the storm", before, 0);
}

static void both_devices_work(struct vfio *v)
{
	for (int slot = 0; slot < vfio_devices(); slot++) {
		uint8_t *ua;

		open_container(v, slot);
		ua = mapped(v, IOVA, base_page());
		device_reaches(v, slot, IOVA, ua);
		expect(new_window(v, 12, GIB(4), 1), WINDOW1_START);
		expect(dma_map(v->fd, WINDOW1_START, ua, base_page(),
			       READ_WRITE), 0);
		device_reaches(v, slot, WINDOW1_START, ua);
		vfio_close(v);
	}
}

TEST(a_storm_leaves_everything_in_order,
     .race = "any ioctl, attach and detach", .intree = "defect 4", .crashes = true)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create), .page_shift = 12,
		.window_size = GIB(1), .levels = 1,
	};
	struct ledger before = ledger();
	struct storm storm = {};
	struct workers workers = { .v = v, .arg = &storm };
	int log = follow_log();

	hypervisor();
	for (int i = 0; i < STORM_REGIONS; i++)
		storm.ua[i] = memory(STORM_SIZE);
	storm.read_only = memcpy(memory(base_page()), &create, sizeof(create));
	mprotect(storm.read_only, base_page(), PROT_READ);
	expect(spapr_register(v->fd, storm.ua[0], STORM_SIZE), 0);

	workers_start(&workers, race_threads(), storm_anything);
	if (vfio_devices() > 1)
		workers_start(&workers, 1, storm_second_group);
	while (race_goes_on() || !storm_has_come_up(&storm)) {
		usleep(10000);
		expect_clean_log(log);
	}
	workers_stop(&workers);
	storm_says(&storm);
	storm_settles(v, &storm, before);
	vfio_close(v);
	expect_ledger("closed", before, 0);
	both_devices_work(v);
	expect_clean_log(log);
	close(log);
}

/* Pages all over it, each with leaves of its own where there are levels */
TEST(removing_a_64_tib_sparse_window_is_quick, .intree = "defect 13")
{
	unsigned int shift = hypervisor() ? 24 : 12;
	uint64_t size = 1ULL << 46, step = size / 64, page = 1ULL << shift;
	size_t need = page < base_page() ? base_page() : page;
	uint8_t *ua = contiguous_memory(need);
	int64_t locked;
	uint64_t begin, took, start;

	expect(window_remove(v->fd, 0), 0);
	expect(spapr_register(v->fd, ua, need), 0);
	locked = vmlck();
	start = new_window(v, shift, size, hypervisor() ? 1 : 3);
	for (uint64_t off = 0; off < size; off += step)
		expect(dma_map(v->fd, start + off, ua, page, READ_WRITE), 0);
	expect(spapr_unregister(v->fd, ua, need), -EBUSY);
	begin = now_ms();
	expect(window_remove(v->fd, start), 0);
	took = now_ms() - begin;
	if (took > patient_ms(500))
		fail("expected to be quick, it took %llu ms",
		     (unsigned long long)took);
	expect(vmlck(), locked);
	unregister_ok(v, ua, need);
}
