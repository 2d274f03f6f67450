// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: dirty pages. A window is tracked, and the answers contain all pages that the
 * device may have written to. The in-tree driver does not have this request.
 */
#include "conformance.h"

#include <string.h>
#include <sys/mman.h>

#include "../../include/uapi/vfio_spapr_tce2.h"

#define PAGES	64
#define SIZE	(PAGES * TCE_4K)
#define START	VFIO_TCE2_DIRTY_START
#define STOP	VFIO_TCE2_DIRTY_STOP
#define GET	VFIO_TCE2_DIRTY_GET
#define CLEAR	VFIO_TCE2_DIRTY_CLEAR

static int dirty(int fd, uint32_t flags, uint64_t iova, uint64_t size, void *bitmap)
{
	struct vfio_tce2_dirty request = {
		.argsz = sizeof(request), .flags = flags, .iova = iova, .size = size,
		.bitmap = (uintptr_t)bitmap,
	};

	return call(fd, VFIO_TCE2_DIRTY_PAGES, &request);
}

/* Expect the answer for the pages from IOVA on */
static void expect_dirty(struct vfio *v, uint32_t flags, uint64_t want)
{
	uint64_t bits[2] = { ~want, 0x5555 };

	expect(dirty(v->fd, GET | flags, IOVA, SIZE, bits), 0);
	if (bits[0] != want)
		fail("expected the bits %#llx, saw %#llx", (unsigned long long)want,
		     (unsigned long long)bits[0]);
	expect(bits[1], 0x5555);
}

FIXTURE(dirty);

/* Registered memory. The default window exists, because a page has been mapped there. */
static uint8_t *ua;
static uint64_t window;

FIXTURE_SETUP(dirty)
{
	if (!check_extension(v->fd, VFIO_TCE2_DIRTY))
		skip("the backend does not track dirty pages");
	window = info_of(v).dma32_window_start;
	ua = registered(v, MIB(1));
	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
}

FIXTURE_TEARDOWN(dirty)
{
}

TEST_F(dirty, pages_mapped_for_writing_are_dirty_until_unmapped_and_cleared)
{
	expect(dma_map(v->fd, IOVA, ua, 3 * TCE_4K, READ_WRITE), 0);
	expect(dma_map(v->fd, IOVA + 8 * TCE_4K, ua, 2 * TCE_4K, READ_ONLY), 0);
	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect_dirty(v, CLEAR, 7);
	expect_dirty(v, CLEAR, 7);
	expect(dma_unmap(v->fd, IOVA + TCE_4K, TCE_4K), 0);
	expect_dirty(v, 0, 7);
	expect_dirty(v, CLEAR, 7);
	expect_dirty(v, 0, 5);
	/* Replaced by a mapping for reading */
	expect(dma_map(v->fd, IOVA, ua + TCE_4K, TCE_4K, READ_ONLY), 0);
	expect_dirty(v, CLEAR, 5);
	expect_dirty(v, 0, 4);
	expect(dirty(v->fd, STOP, window, 0, NULL), 0);
}

/* Pages that the device has written to and that were unmapped by requests for one page */
TEST_F(dirty, pages_that_the_device_has_written_are_dirty)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	unsigned int i;

	expect(dirty(v->fd, START, window, 0, NULL), 0);
	for (i = 0; i < PAGES; i += 5) {
		expect(dma_map(v->fd, IOVA + i * TCE_4K, ua + i * TCE_4K, TCE_4K,
			       READ_WRITE), 0);
		device_reaches(v, 0, IOVA + i * TCE_4K, ua + i * TCE_4K);
		expect(dma_unmap(v->fd, IOVA + i * TCE_4K, TCE_4K), 0);
	}
	expect_dirty(v, CLEAR, 0x1084210842108421);
	expect_dirty(v, 0, 0);
	expect(dirty(v->fd, STOP, window, 0, NULL), 0);
	device_reaches(v, 0, sink.iova, sink.ua);
}

TEST_F(dirty, requests_about_dirty_pages_in_the_wrong_state_are_refused)
{
	uint64_t bits = 0;

	expect(dirty(v->fd, GET, IOVA, TCE_4K, &bits), -EINVAL);
	expect(dirty(v->fd, STOP, window, 0, NULL), -EINVAL);
	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect(dirty(v->fd, START, window, 0, NULL), -EBUSY);
	expect(dirty(v->fd, START, window + TCE_4K, 0, NULL), -EINVAL);
	expect(dirty(v->fd, START | STOP, window, 0, NULL), -EINVAL);
	expect(dirty(v->fd, 0, window, 0, NULL), -EINVAL);
	expect(dirty(v->fd, CLEAR, window, 0, NULL), -EINVAL);
	expect(dirty(v->fd, GET | 16, IOVA, TCE_4K, &bits), -EINVAL);
	expect(dirty(v->fd, GET, IOVA + 1, TCE_4K, &bits), -EINVAL);
	expect(dirty(v->fd, GET, IOVA, 0, &bits), -EINVAL);
	expect(dirty(v->fd, GET, IOVA, ~0ULL << 12, &bits), -EINVAL);
	expect(dirty(v->fd, GET, 1ULL << 57, TCE_4K, &bits), -ENXIO);
	expect(dirty(v->fd, STOP, window, 0, NULL), 0);
}

static void ask_as_stranger(void *arg)
{
	struct vfio *v = arg;
	uint64_t bits;

	expect(dirty(v->fd, GET | CLEAR, IOVA, TCE_4K, &bits), -EPERM);
	expect(dirty(v->fd, STOP, window, 0, NULL), -EPERM);
}

TEST_F(dirty, dirty_pages_of_another_process_returns_eperm)
{
	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	in_child(ask_as_stranger, v);
	expect_dirty(v, 0, 1);
}

/* The page of the bitmap is not writable, or not in user space */
TEST_F(dirty, get_with_an_unwritable_bitmap_keeps_all_dirty_pages)
{
	void *readonly = mmap(NULL, base_page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);

	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect(dma_map(v->fd, IOVA, ua, 4 * TCE_4K, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, 4 * TCE_4K), 0);
	expect(dirty(v->fd, GET | CLEAR, IOVA, SIZE, readonly), -EFAULT);
	expect(dirty(v->fd, GET | CLEAR, IOVA, SIZE, NULL), -EFAULT);
	expect(dirty(v->fd, GET | CLEAR, IOVA, SIZE, (void *)(1ULL << 63)), -EFAULT);
	expect(dirty(v->fd, GET | CLEAR, IOVA, SIZE, (void *)-8ULL), -EFAULT);
	expect_dirty(v, CLEAR, 15);
	expect_dirty(v, 0, 0);
}

/* The first element of the bitmap can be written, the second one cannot */
TEST_F(dirty, an_answer_that_faults_in_its_second_element_loses_no_dirty_page)
{
	uint64_t none = 0, *end = at_page_end(&none, sizeof(none)), bits[2];

	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect(dma_map(v->fd, IOVA, ua, 2 * SIZE, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, 2 * SIZE), 0);
	expect(dirty(v->fd, GET | CLEAR, IOVA, 2 * SIZE, end), -EFAULT);
	expect(dirty(v->fd, GET | CLEAR, IOVA, 2 * SIZE, bits), 0);
	expect(bits[0] == ~0ULL && bits[1] == ~0ULL, true);
	expect(dirty(v->fd, GET | CLEAR, IOVA, 2 * SIZE, bits), 0);
	expect(bits[0] || bits[1], false);
	expect(dirty(v->fd, STOP, window, 0, NULL), 0);
}

/* Copied entries are mapped, unmapped and replaced like others */
TEST_F(dirty, copied_mappings_are_dirty_like_others)
{
	uint64_t source = IOVA + MIB(64);
	struct vfio_tce2_range copy = copy_range(IOVA, source, 4 * TCE_4K);
	uint32_t done;

	expect(dma_map(v->fd, source, ua, 2 * TCE_4K, READ_ONLY), 0);
	expect(dma_map(v->fd, source + 2 * TCE_4K, ua, 2 * TCE_4K, READ_WRITE), 0);
	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect(run_ranges(v->fd, &copy, 1, 0, NULL, &done), 0);
	expect_dirty(v, CLEAR, 0xc);
	device_reaches(v, 0, IOVA + 3 * TCE_4K, ua + TCE_4K);
	expect(dma_unmap(v->fd, IOVA + 3 * TCE_4K, TCE_4K), 0);
	/* Replaced by mappings for reading only */
	copy = copy_range(IOVA + TCE_4K, source, 2 * TCE_4K);
	expect(run_ranges(v->fd, &copy, 1, 0, NULL, &done), 0);
	expect_dirty(v, CLEAR, 0xc);
	expect_dirty(v, CLEAR, 0);
	expect(dirty(v->fd, STOP, window, 0, NULL), 0);
}

/* No request has used the window yet, so START makes it */
TEST(the_pending_default_window_can_be_tracked)
{
	uint64_t start = info_of(v).dma32_window_start, bits[1];
	uint8_t *page;

	if (!check_extension(v->fd, VFIO_TCE2_DIRTY))
		skip("the backend does not track dirty pages");
	expect(dirty(v->fd, GET, IOVA, TCE_4K, bits), -EINVAL);
	expect(dirty(v->fd, STOP, start, 0, NULL), -EINVAL);
	expect(dirty(v->fd, START, start + TCE_4K, 0, NULL), -EINVAL);
	expect(vmlck(), 0);
	expect(dirty(v->fd, START, start, 0, NULL), 0);
	if (!vmlck())
		fail("expected the table of the default window to be charged");
	expect_dirty(v, CLEAR, 0);
	page = registered(v, base_page());
	expect(dma_map(v->fd, IOVA, page, TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, page);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	expect_dirty(v, CLEAR, 1);
	expect(dirty(v->fd, STOP, start, 0, NULL), 0);
	expect(window_remove(v->fd, start), 0);
	expect(dirty(v->fd, START, start, 0, NULL), -EINVAL);
}

TEST_F(dirty, closing_a_container_frees_a_tracked_window)
{
	expect(dirty(v->fd, START, window, 0, NULL), 0);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
}

/* Each thread maps and unmaps one page, and finds it dirty exactly until it has asked */
static void map_unmap_and_ask(struct workers *workers, int number)
{
	uint64_t iova = IOVA + MIB(4) * (1 + number), bits = 0;
	struct vfio *v = workers->v;

	expect(dma_map(v->fd, iova, ua, TCE_4K, READ_WRITE), 0);
	expect(dma_unmap(v->fd, iova, TCE_4K), 0);
	expect(dirty(v->fd, GET | CLEAR, iova, TCE_4K, &bits), 0);
	expect(bits, 1);
	expect(dirty(v->fd, GET | CLEAR, iova, TCE_4K, &bits), 0);
	expect(bits, 0);
}

TEST_F(dirty, concurrent_gets_report_each_threads_dirty_pages,
       .race = "MAP_DMA, UNMAP_DMA and DIRTY_PAGES")
{
	struct workers workers = { .v = v };

	expect(dirty(v->fd, START, window, 0, NULL), 0);
	workers_start(&workers, race_threads(), map_unmap_and_ask);
	race_wait();
	workers_stop(&workers);
	expect(dirty(v->fd, STOP, window, 0, NULL), 0);
}

static void start_and_stop(struct workers *workers, UNUSED int number)
{
	struct vfio *v = workers->v;
	uint64_t bits;
	int ret;

	ret = dirty(v->fd, START, window, 0, NULL);
	expect_either(ret, 0, -EBUSY);
	ret = dirty(v->fd, GET | CLEAR, IOVA, TCE_4K, &bits);
	expect_either(ret, 0, -EINVAL);
	ret = dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE) ?:
	      dma_unmap(v->fd, IOVA, TCE_4K);
	expect(ret, 0);
	ret = dirty(v->fd, STOP, window, 0, NULL);
	expect_either(ret, 0, -EINVAL);
}

TEST_F(dirty, concurrent_starts_and_stops_leave_the_window_usable,
       .race = "MAP_DMA, UNMAP_DMA, START and STOP of DIRTY_PAGES")
{
	struct workers workers = { .v = v };

	workers_start(&workers, race_threads(), start_and_stop);
	race_wait();
	workers_stop(&workers);
	dirty(v->fd, STOP, window, 0, NULL);
	expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}

/* Map and unmap, in turn, one page and several pages, for reading and for writing */
static void map_and_unmap(struct workers *workers, int number)
{
	uint64_t iova = IOVA + MIB(4) * (1 + number), size = (1 + number) * TCE_4K;
	struct vfio *v = workers->v;

	expect(dma_map(v->fd, iova, ua, size, READ_WRITE), 0);
	expect(dma_map(v->fd, iova, ua, TCE_4K, READ_ONLY), 0);
	expect(dma_unmap(v->fd, iova, size), 0);
	/* In the leaf of the pages of the test's main thread */
	expect(dma_map(v->fd, IOVA + (8 + number) * TCE_4K, ua, TCE_4K, READ_ONLY), 0);
	expect(dma_unmap(v->fd, IOVA + (8 + number) * TCE_4K, TCE_4K), 0);
}

TEST_F(dirty, answers_are_exact_while_other_threads_map_and_unmap,
       .race = "MAP_DMA, UNMAP_DMA, START, GET, CLEAR and STOP of DIRTY_PAGES")
{
	struct workers workers = { .v = v };

	expect(dma_map(v->fd, IOVA + TCE_4K, ua, TCE_4K, READ_WRITE), 0);
	workers_start(&workers, race_threads(), map_and_unmap);
	while (race_round()) {
		expect(dirty(v->fd, START, window, 0, NULL), 0);
		expect_dirty(v, CLEAR, 2);
		expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
		expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
		expect_dirty(v, 0, 3);
		expect_dirty(v, CLEAR, 3);
		expect_dirty(v, CLEAR, 2);
		expect(dirty(v->fd, STOP, window, 0, NULL), 0);
		expect(dma_map(v->fd, IOVA, ua, TCE_4K, READ_WRITE), 0);
		expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	}
	workers_stop(&workers);
}
