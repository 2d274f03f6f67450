// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: dynamic DMA windows (DDW). The tests create each kind of window in each
 * slot, create and remove windows thousands of times, and check refused requests. They
 * also share windows between groups, and make random requests in many threads.
 *
 * The tests compute the expected answers from the rules of the platform, not from answers
 * of the module.
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
 * The rules of the platform, which give the expected answers
 */

/*
 * log2 of the bytes in the largest one-level table. The table is one allocation, so its
 * maximum is a block of MAX_PAGE_ORDER: 16 MiB with 4K pages, and with 64K pages
 */
#define MOST_TABLE_SHIFT	24
/* log2 of the bytes in the largest table of a tree of tables, the module's own limit */
#define MOST_LEVEL_SHIFT	19
/* All levels and the IOMMU page together must cover fewer bus address bits than this */
#define MOST_BUS_BITS		55

static bool hypervisor(void)
{
	static int known = -1;

	if (known < 0)
		known = under_hypervisor();
	return known;
}

/* log2 of the number of TCEs in each table of a window of 2^bits pages */
static unsigned int bits_per_level(unsigned int bits, unsigned int levels)
{
	unsigned int least = __builtin_ctzll(base_page() / sizeof(uint64_t));
	unsigned int each = (bits + levels - 1) / levels;

	return each < least ? least : each;
}

/* log2 of the bytes in the largest table, by number of levels */
static unsigned int most_table_shift(unsigned int levels)
{
	return levels == 1 ? MOST_TABLE_SHIFT : MOST_LEVEL_SHIFT;
}

/* Return the answer to TCE_CREATE, provided that a slot is free */
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
 * Creation and use of each kind of window
 */

/* State of slot 0 when the test makes a window in slot 0 or in slot 1 */
enum order {
	PENDING,	/* the default window is pending, or was removed while pending */
	USED,		/* a MAP_DMA has made the default window */
	REMADE,		/* a window of another page size has replaced it */
	ORDERS
};

/* Sizes of windows */
enum extent {
	ONE_PAGE,
	SOME_PAGES,
	HUGE,		/* far larger than the memory that clients map */
	LARGEST,	/* the largest that the platform can make */
	TOO_LARGE,
	EXTENTS
};

#define NO_BITS		(~0U)
#define SOME_BITS	17
#define HUGE_SHIFT	47
/*
 * log2 of the pages of a HUGE window on pseries. The window is smaller there, because the
 * hypervisor allocates the whole table, and Linux a copy with 8 bytes for each TCE.
 */
#define HYPERVISOR_BITS	21

struct kind {
	unsigned int shift;
	unsigned int levels;
	int slot;
	enum order order;
};

/* log2 of the pages of the largest window that the platform can make, or NO_BITS */
static unsigned int largest_bits(unsigned int shift, unsigned int levels)
{
	unsigned int bits = NO_BITS;

	for (unsigned int i = 0; i + shift < 64; i++)
		if (!answer_to(shift, i, levels))
			bits = i;
	return bits;
}

/* log2 of the pages of a window, or NO_BITS if this extent is not tried */
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

/* Return a page size that differs from the window's */
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

/* Return the expected answer; set *start to the expected start of the window */
static int wanted(struct vfio *v, const struct kind *kind, unsigned int bits,
		  uint64_t *start)
{
	uint64_t size = 1ULL << (bits + kind->shift);
	int ret = answer_to(kind->shift, bits, kind->levels);

	*start = kind->slot ? WINDOW1_START : first_start(v, kind->shift, size);
	if (ret || !hypervisor() || !kind->slot || kind->order != REMADE)
		return ret;
	/* pseries has one slot for a window that differs from the default window */
	return other_shift(kind) == 12 ? 0 : -ENOSPC;
}

/* Number of IOMMU pages that are mapped in each window; the memory of each is contiguous */
#define POINTS		3

struct io_pages {
	uint8_t *page[POINTS];
	uint8_t *ua;
	size_t size;
	size_t offset;
};

/*
 * Allocate IOMMU pages for two devices. Only one page of 1 GiB is available. All IOMMU
 * pages of that size share it, and each device uses a different offset in it.
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
		skip("no contiguous memory is available for IOMMU pages of this size");
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

/* Let the device read and write the first, middle and last page of a window */
static void device_uses(struct vfio *v, int device, uint64_t start,
			unsigned int shift, unsigned int bits,
			const struct io_pages *io_pages)
{
	uint64_t page = 1ULL << shift, last = (1ULL << bits) - 1;
	/* The middle page is never just below 4 GiB, where the MSI addresses are */
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

/* Make a window and check the answer; return true if the window exists */
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
		fail("TCE_CREATE returned an unexpected answer, see above");
	if (!ret && !row_is(row, *start, want_start))
		fail("the window has an unexpected start, see above");
	after = info_of(v);
	expect(memcmp(&before, &after, sizeof(after)), 0);
	return !ret;
}

/* Choose the size for DMA: one of the first three in turn, or LARGEST if that is too large */
static enum extent extent_to_use(const struct kind *kind)
{
	enum extent extent = (kind->levels + kind->slot + kind->order) % 3;

	if (answer_to(kind->shift, bits_of(kind, extent), kind->levels))
		return LARGEST;
	return extent;
}

/* Test all sizes of a kind of window in a new container, first the size chosen for DMA */
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

/* A thread that tests its share of the kinds with the device of one slot */
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

/* Test all kinds of windows. A transfer takes 0.1 seconds, so two devices share the work. */
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

TEST(every_kind_of_window_of_4k_pages_can_be_created, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(12, "the platform offers no 4 KiB IOMMU pages");
}

TEST(every_kind_of_window_of_64k_pages_can_be_created, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(16, "the platform offers no 64 KiB IOMMU pages");
}

TEST(every_kind_of_window_of_2m_pages_can_be_created, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(21, "the platform offers no 2 MiB IOMMU pages");
}

TEST(every_kind_of_window_of_16m_pages_can_be_created, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(24, "the platform offers no 16 MiB IOMMU pages");
}

TEST(every_kind_of_window_of_1g_pages_can_be_created, .setup = BARE, .intree = "defect 6")
{
	(void)v;
	every_window_of(30, "the platform offers no 1 GiB IOMMU pages");
}

/*
 * The kernel log. The tests read it as they run, because messages about thousands of
 * windows may overwrite its buffer before the tests end.
 */

/* Fail if a log record is a splat, or a message of the module above debug level */
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
 * Creation and removal of thousands of windows
 */

struct request {
	unsigned int shift;
	unsigned int bits;	/* log2 of the number of pages */
	unsigned int levels;
};

/* Bytes of contiguous memory, enough for the largest IOMMU page of some_request() */
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

/* Make a request that must fail, and check its errno */
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
		/* The table is too large for the kernel, but maybe not for a hypervisor */
		if (!hypervisor())
			expect(window_create(v->fd, 12, 1ULL << 34, 1, NULL),
			       -ENOMEM);
		break;
	}
}

/* Make a request in a read-only page, so that the kernel can't write the answer */
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

/* Map the first and the last page of a window, and leave them mapped */
static void map_both_ends(struct vfio *v, uint64_t start,
			  const struct request *request, uint8_t *ua)
{
	uint64_t page = 1ULL << request->shift;
	uint64_t size = page << request->bits;

	expect(dma_map(v->fd, start, ua, page, READ_WRITE), 0);
	expect(dma_map(v->fd, start + size - page, ua, page, READ_WRITE), 0);
}

/* Create and remove a window, or make a failing request; restore the state */
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
/* A cycle takes three times as long on pseries */
#define HYPERVISOR_CYCLES	2000
#define CYCLES_A_CHECK		1000
#define CYCLES_A_LOOK		50

/* Data of all cycles */
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
			expect_ledger("during the cycles", before, 0);
		if (i % CYCLES_A_LOOK == 0)
			expect_clean_log(cycles->log);
	}
	expect_ledger("after all cycles", before, 0);
}

/* Half of the cycles use slot 1 beside a window in use; the other half use slot 0 alone */
TEST(creating_and_removing_thousands_of_windows_leaks_nothing, .intree = "defects 6, 7, 13")
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
 * Charge for windows, up to RLIMIT_MEMLOCK
 */

/* Return the charge for a window; check that removing the window refunds it */
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

/* MAP_DMA makes and charges the levels that a new window does not have yet */
static void map_at_the_limit(struct vfio *v, uint64_t start, uint8_t *ua)
{
	int64_t before = vmlck(), cost;

	expect(dma_map(v->fd, start, ua, TCE_4K, READ_WRITE), -ENOMEM);
	expect(vmlck(), before);
	limit_memlock(RLIM_INFINITY);
	expect(dma_map(v->fd, start, ua, TCE_4K, READ_WRITE), 0);
	cost = vmlck() - before;
	if (cost <= 0)
		fail("expected a charge for the lower levels, saw none");
	expect(window_remove(v->fd, start), 0);
}

static void at_the_limit(struct vfio *v, const struct request *request,
			 uint8_t *ua)
{
	struct vfio_iommu_spapr_tce_info info = info_of(v), after;
	int64_t cost = cost_of(v, request);
	struct ledger before = ledger();
	uint64_t start;

	/* The table of a tiny window is smaller than a page and costs nothing */
	if (cost) {
		limit_memlock(before.vmlck + cost - base_page());
		expect(try_window(v, request, NULL), -ENOMEM);
		expect_ledger("with a limit one page too low", before, 0);
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
	expect_ledger("after the window was removed", before, 0);
	limit_memlock(RLIM_INFINITY);
}

TEST(a_window_is_created_exactly_if_the_memlock_limit_covers_it,
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

/* The limit is one page too low for the default window, then exactly enough for it */
TEST(a_failed_create_beside_the_pending_default_window_charges_nothing, .intree = "defect 6")
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
	expect_ledger("after the other container was closed", before, 0);

	limit_memlock(before.vmlck + cost - page);
	expect(try_window(v, &like_default, NULL), -ENOMEM);
	expect_ledger("without a default window", before, 0);
	limit_memlock(before.vmlck + cost);
	expect(try_window(v, &like_default, NULL), -ENOMEM);
	/* pseries keeps the default window, which it might not be able to make again */
	expect(vmlck() - before.vmlck, hypervisor() ? cost : 0);
	limit_memlock(RLIM_INFINITY);
	expect(spapr_register(v->fd, ua, page), 0);
	expect(try_window(v, &like_default, &start), 0);
	expect(start, WINDOW1_START);
	expect(dma_map(v->fd, IOVA, ua, page, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}

/*
 * Windows that two groups share
 */

/* Two windows of 2 levels, with mappings: 64 KiB pages at 0, 4 KiB pages at bit 59 */
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

/*
 * Check that a detached device reaches no mapping of @two. The device gets another container,
 * with a sink at an iova that @two does not map.
 */
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

TEST(the_second_group_attaches_detaches_and_reattaches_to_live_windows,
     .setup = BARE, .intree = "defect 5")
{
	join_leave_and_rejoin(v, 0, 1);
}

TEST(a_group_with_a_lower_pci_address_may_attach_second, .setup = BARE, .intree = "defect 5")
{
	join_leave_and_rejoin(v, 1, 0);
}

/* The group that was attached when the windows were made is detached, and attached again */
TEST(windows_stay_when_the_group_they_were_made_with_is_detached,
     .setup = BARE, .intree = "defect 5")
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

TEST(a_window_of_two_groups_can_be_removed_after_one_is_detached,
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
 * Storm: threads that make all kinds of requests in random order
 */

#define STORM_SIZE		KIB(256)
#define STORM_REGIONS		3

/* Kinds of calls whose successes a storm counts */
enum storm_call { CREATES, REMOVES, MAPS, UNMAPS, REGISTERS, JOINS, CALLS };

/**
 * struct storm - data that the threads of a storm share
 * @ua: regions of STORM_SIZE; the first region stays registered
 * @read_only: a TCE_CREATE request in a read-only page, so its answer can't be written
 * @done: number of successful calls of each kind
 */
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

/* Return a random number; each thread has a separate state (xorshift64) */
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
	fail("%s: saw %d (%s), which is not a valid answer", what, saw,
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

/* Make a MAP_DMA. It returns EINVAL if another thread has made a window with larger pages. */
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

/* Only this thread attaches and detaches the second group */
static void storm_second_group(struct workers *workers, int number)
{
	struct vfio *v = workers->v;
	int ret = vfio_attach(v, 1);

	(void)number;
	/* Groups cannot share TCE tables on pseries */
	expect(ret, hypervisor() ? -EPERM : 0);
	usleep(pick(2000));
	storm_did(workers->arg, JOINS, ret);
	if (!ret)
		expect(vfio_detach(v, 1), 0);
}

/* A storm continues until this number of calls of each kind have succeeded */
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

/* Check that all windows can be removed, all memory can be unregistered, and nothing leaked */
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

TEST(random_concurrent_requests_leak_nothing,
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
	expect_ledger("after the container was closed", before, 0);
	both_devices_work(v);
	expect_clean_log(log);
	close(log);
}

/* Map pages all over the window; with several levels, each page needs a lower table */
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
		fail("removing the window took too long: %llu ms",
		     (unsigned long long)took);
	expect(vmlck(), locked);
	unregister_ok(v, ua, need);
}
