// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of src/ranges.c: vectors of requests. Sizes are written as numbers, because they are
 * part of the interface.
 */
#include <string.h>

#include <linux/vfio.h>

#include "client.h"
#include "sim_trace.h"
#include "sim_user.h"
#include "tce2_uapi.h"
#include "tce2_why.h"
#include "uapi/vfio_spapr_tce2.h"

#define MAP_RW	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define MAX	VFIO_TCE2_MAX_RANGES
#define BATCH	16 /* elements that src/ranges.c reads together */

/* The client's memory: it ends with the structure of the ioctl */
static struct {
	struct vfio_tce2_range ranges[MAX];
	s32 results[MAX];
	struct vfio_tce2_ranges vector;
} blob;

#define AT(member) (USER_END - sizeof(blob) + offsetof(typeof(blob), member))

static struct vfio_tce2_range map_of(u64 iova, u64 ua, u64 size)
{
	return (struct vfio_tce2_range){
		.iova = iova, .vaddr = ua, .size = size,
		.op = VFIO_TCE2_OP_MAP, .flags = MAP_RW,
	};
}

static struct vfio_tce2_range unmap_of(u64 iova, u64 size)
{
	return (struct vfio_tce2_range){
		.iova = iova, .size = size, .op = VFIO_TCE2_OP_UNMAP,
	};
}

static struct vfio_tce2_range unmap_window_of(u64 start)
{
	return (struct vfio_tce2_range){
		.iova = start, .op = VFIO_TCE2_OP_UNMAP_WINDOW,
	};
}

/* Fills in a vector of the first elements */
static void prepare(u32 count, u32 flags)
{
	blob.vector = (struct vfio_tce2_ranges){
		.argsz = sizeof(blob.vector), .flags = flags, .count = count,
		.ranges = AT(ranges), .results = AT(results), .done = 12345,
	};
	for (u32 i = 0; i < MAX; i++)
		blob.results[i] = 12345;
}

static long send(void)
{
	return tce2_uapi_ioctl(cookie, VFIO_IOMMU_TCE2_RANGES, AT(vector));
}

static long run_prepared(void)
{
	long ret;

	user_place(&blob, sizeof(blob));
	ret = send();
	user_look(&blob, sizeof(blob));
	return ret;
}

static long run(u32 count, u32 flags)
{
	prepare(count, flags);
	return run_prepared();
}

/* The last call wrote these results: @done times 0, the error, and nothing was tried then */
static void expect_results(u32 count, u32 done, s32 error)
{
	expect(blob.vector.done, done);
	for (u32 i = 0; i < MAX; i++) {
		s32 want = i < done ? 0 : i == done ? error : -ECANCELED;

		expect(blob.results[i], i < count ? want : 12345);
	}
}

static struct iommu_table *table(void)
{
	return container->ddw.window[0] ? container->ddw.window[0]->table.tbl : NULL;
}

static u64 mapped(void)
{
	return table() ? platform_mapped(table()) : 0;
}

static void register_memory(void)
{
	expect(tce2_container_register(container, UA, PAGES(MEMORY_PAGES)), 0);
}

/* Makes element i map page i of the memory, modulo its size, at entry i */
static void fill_with_maps(u32 count)
{
	for (u32 i = 0; i < count; i++)
		blob.ranges[i] = map_of(IOVA(i), UA + IOVA(i % MEMORY_PAGES), IOVA(1));
}

TEST(the_structures_of_a_vector_have_these_sizes)
{
	expect(sizeof(struct vfio_tce2_range), 32);
	expect(sizeof(struct vfio_tce2_ranges), 32);
	expect(VFIO_IOMMU_TCE2_RANGES, ';' << 8 | 0xe0);
	expect(VFIO_TCE2_MAX_RANGES, 512);
	expect(tce2_uapi_ioctl(NULL, VFIO_CHECK_EXTENSION, VFIO_TCE2_RANGES), 1);
}

TEST_F(client, a_vector_of_512_maps_and_512_unmaps_is_carried_out)
{
	register_memory();
	fill_with_maps(MAX);
	expect(run(MAX, 0), 0);
	expect_results(MAX, MAX, 0);
	expect(mapped(), MAX);
	for (u32 i = 0; i < MAX; i++) {
		expect(view_at(container->ddw.window[0], i),
		       (UA + IOVA(i % MEMORY_PAGES)) | RW);
		blob.ranges[i] = unmap_of(IOVA(i), IOVA(1));
	}
	/* Replaces nothing: an unmap and a map of other entries in one vector */
	blob.ranges[MAX - 1] = map_of(IOVA(MAX), UA, IOVA(2));
	expect(run(MAX, VFIO_TCE2_RANGES_CONTINUE), 0);
	expect_results(MAX, MAX, 0);
	expect(mapped(), 3);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_RANGES), 2);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP), MAX + 1);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_UNMAP), MAX - 1);
	expect(tce2_journal_refused(&container->journal), 0);
}

/* The permissions of each element are its own */
TEST_F(client, elements_have_permissions_like_map_dma)
{
	register_memory();
	fill_with_maps(3);
	for (u32 i = 0; i < 3; i++)
		blob.ranges[i].flags = i + 1;
	expect(run(3, 0), 0);
	expect(view_at(container->ddw.window[0], 0), UA | TCE2_PERM_READ);
	expect(view_at(container->ddw.window[0], 1), (UA + IOVA(1)) | TCE2_PERM_WRITE);
	expect(view_at(container->ddw.window[0], 2), (UA + IOVA(2)) | RW);
}

/**
 * struct bad_vector - a vector that is refused before its first element
 * @row: name of the row
 * @vector: the fields that replace the fields of a vector of two maps
 * @error: the errno
 * @why: the rule
 */
static const struct bad_vector {
	const char *row;
	struct vfio_tce2_ranges vector;
	int error;
	enum tce2_why why;
} bad_vectors[] = {
	{ "argsz 0", { 0, 0, AT(ranges), 0, 2, 0 }, EINVAL, TCE2_WHY_ARGSZ },
	{ "argsz 31", { 31, 0, AT(ranges), 0, 2, 0 }, EINVAL, TCE2_WHY_ARGSZ },
	{ "flag 1", { 32, 2, AT(ranges), 0, 2, 0 }, EINVAL, TCE2_WHY_FLAGS },
	{ "flag 31", { 32, 1U << 31, AT(ranges), 0, 2, 0 }, EINVAL, TCE2_WHY_FLAGS },
	{ "no element", { 32, 0, AT(ranges), 0, 0, 0 }, EINVAL, TCE2_WHY_COUNT },
	{ "513 elements", { 32, 0, AT(ranges), 0, 513, 0 }, EINVAL, TCE2_WHY_COUNT },
	{ "2^27 elements", { 32, 0, AT(ranges), 0, 1U << 27, 0 }, EINVAL, TCE2_WHY_COUNT },
	{ "all elements", { 32, 1, AT(ranges), 0, ~0U, 0 }, EINVAL, TCE2_WHY_COUNT },
	{ "no address", { 32, 0, 0, 0, 2, 0 }, EFAULT, TCE2_WHY_BAD_POINTER },
	{ "no address, all are tried", { 32, 1, 0, 0, 2, 0 }, EFAULT, TCE2_WHY_BAD_POINTER },
	{ "elements past the end", { 32, 0, USER_END - 63, 0, 2, 0 }, EFAULT,
	  TCE2_WHY_BAD_POINTER },
	{ "elements in the kernel", { 32, 0, 0xc000000000000000ULL, 0, 2, 0 }, EFAULT,
	  TCE2_WHY_BAD_POINTER },
	{ "elements up to the kernel", { 32, 0, (1ULL << 52) - 63, 0, 2, 0 }, EFAULT,
	  TCE2_WHY_BAD_POINTER },
	{ "elements that wrap", { 32, 0, ~0ULL, 0, 2, 0 }, EFAULT, TCE2_WHY_BAD_POINTER },
	{ "results in the kernel", { 32, 0, AT(ranges), 1ULL << 63, 2, 0 }, EFAULT,
	  TCE2_WHY_BAD_POINTER },
	{ "results up to the kernel", { 32, 0, AT(ranges), (1ULL << 52) - 7, 2, 0 }, EFAULT,
	  TCE2_WHY_BAD_POINTER },
};

/* The newest refusal of the container has this kind, errno and rule */
static void expect_refusal(enum tce2_request request, int error, enum tce2_why why)
{
	u64 newest = tce2_journal_refused(&container->journal);
	struct tce2_refusal refusal;

	expect(tce2_journal_next(&container->journal, newest - 1, &refusal), true);
	expect(refusal.request, request);
	expect(refusal.error, error);
	expect(refusal.why, why);
}

TEST_F(client, a_vector_with_a_bad_field_is_refused_before_its_first_element)
{
	struct sim_counts before;
	u64 refused = 0;

	register_memory();
	before = sim.now;
	for (size_t i = 0; i < ARRAY_SIZE(bad_vectors); i++) {
		const struct bad_vector *bad = &bad_vectors[i];

		row = bad->row;
		fill_with_maps(2);
		prepare(2, 0);
		blob.vector = bad->vector;
		expect(run_prepared() == -bad->error, true);
		expect(blob.vector.done, 0);
		expect(blob.results[0], 12345);
		expect(!container->ddw.window[0], true);
		expect_counts(before);
		expect(tce2_journal_refused(&container->journal), ++refused);
		expect_refusal(TCE2_REQUEST_RANGES, bad->error, bad->why);
	}
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP), 0);
}

TEST_F(client, a_vector_needs_registered_memory_and_the_right_process)
{
	fill_with_maps(1);
	expect(run(1, 0), -EPERM);
	expect(blob.vector.done, 12345);
	expect_refusal(TCE2_REQUEST_RANGES, EPERM, TCE2_WHY_NOTHING_REGISTERED);
	register_memory();
	be_another_process();
	expect(run(1, 0), -EPERM);
	expect_refusal(TCE2_REQUEST_RANGES, EPERM, TCE2_WHY_OTHER_PROCESS);
	be_first_process();
	expect(run(1, 0), 0);
	close_container();
	expect(run(1, 0), -EINVAL);
}

TEST_F(client, a_vector_that_is_not_writable_carries_out_no_element)
{
	register_memory();
	fill_with_maps(2);
	prepare(2, 0);
	user_place(&blob, sizeof(blob));
	user.readonly = true;
	expect(send(), -EFAULT);
	expect(mapped(), 0);
	expect(tce2_journal_requests(&container->journal, TCE2_REQUEST_MAP), 0);
}

/**
 * struct bad_element - an element that is refused
 * @row: name of the row
 * @element: the element
 * @request: kind as which it is counted
 * @error: the errno
 * @why: the rule
 */
static const struct bad_element {
	const char *row;
	struct vfio_tce2_range element;
	enum tce2_request request;
	int error;
	enum tce2_why why;
} bad_elements[] = {
	{ "no operation", { 0, UA, IOVA(1), 0, 3, 0 }, TCE2_REQUEST_OTHER, EINVAL,
	  TCE2_WHY_OPERATION },
	{ "unknown operation", { 0, UA, IOVA(1), 5, 3, 0 }, TCE2_REQUEST_OTHER, EINVAL,
	  TCE2_WHY_OPERATION },
	{ "largest operation", { 0, UA, IOVA(1), 0xffff, 3, 0 }, TCE2_REQUEST_OTHER, EINVAL,
	  TCE2_WHY_OPERATION },
	{ "map: reserved", { 0, UA, IOVA(1), 1, 3, 1 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_RESERVED },
	{ "map: highest reserved bit", { 0, UA, IOVA(1), 1, 3, 1U << 31 }, TCE2_REQUEST_MAP,
	  EINVAL, TCE2_WHY_RESERVED },
	{ "map: no permission", { 0, UA, IOVA(1), 1, 0, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_NO_PERMISSION },
	{ "map: unknown flag", { 0, UA, IOVA(1), 1, 4, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_FLAGS },
	{ "map: highest flag", { 0, UA, IOVA(1), 1, 0x8003, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_FLAGS },
	{ "map: empty", { 0, UA, 0, 1, 3, 0 }, TCE2_REQUEST_MAP, EINVAL, TCE2_WHY_EMPTY },
	{ "map: odd iova", { 1, UA, IOVA(1), 1, 3, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_MISALIGNED },
	{ "map: odd vaddr", { 0, UA + 1, IOVA(1), 1, 3, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_MISALIGNED },
	{ "map: odd size", { 0, UA, IOVA(1) + 1, 1, 3, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_MISALIGNED },
	{ "map: vaddr wraps", { 0, -IOVA(1), IOVA(2), 1, 3, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_WRAPS },
	{ "map: iova wraps", { IOVA(1), UA, -IOVA(1), 1, 3, 0 }, TCE2_REQUEST_MAP, EINVAL,
	  TCE2_WHY_WRAPS },
	{ "map: past the window", { GIB(1) - IOVA(1), UA, IOVA(2), 1, 3, 0 },
	  TCE2_REQUEST_MAP, EINVAL, TCE2_WHY_PAST_WINDOW },
	{ "map: in no window", { GIB(1), UA, IOVA(1), 1, 3, 0 }, TCE2_REQUEST_MAP, ENXIO,
	  TCE2_WHY_NO_WINDOW },
	{ "map: not registered", { 0, UA - IOVA(1), IOVA(1), 1, 3, 0 }, TCE2_REQUEST_MAP,
	  EINVAL, TCE2_WHY_MEMORY_NOT_REGISTERED },
	{ "unmap: vaddr", { 0, UA, IOVA(1), 2, 0, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_RESERVED },
	{ "unmap: reserved", { 0, 0, IOVA(1), 2, 0, 1 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_RESERVED },
	{ "unmap: flag", { 0, 0, IOVA(1), 2, 1, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_FLAGS },
	{ "unmap: empty", { 0, 0, 0, 2, 0, 0 }, TCE2_REQUEST_UNMAP, EINVAL, TCE2_WHY_EMPTY },
	{ "unmap: odd size", { 0, 0, 1, 2, 0, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_MISALIGNED },
	{ "unmap: past the window", { 0, 0, GIB(2), 2, 0, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_PAST_WINDOW },
	{ "unmap: in no window", { ~0ULL, 0, IOVA(1), 2, 0, 0 }, TCE2_REQUEST_UNMAP, ENXIO,
	  TCE2_WHY_NO_WINDOW },
	{ "unmap window: size", { 0, 0, IOVA(1), 3, 0, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_RESERVED },
	{ "unmap window: vaddr", { 0, UA, 0, 3, 0, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_RESERVED },
	{ "unmap window: reserved", { 0, 0, 0, 3, 0, 1 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_RESERVED },
	{ "unmap window: flag", { 0, 0, 0, 3, 2, 0 }, TCE2_REQUEST_UNMAP, EINVAL,
	  TCE2_WHY_FLAGS },
	{ "unmap window: not its start", { IOVA(1), 0, 0, 3, 0, 0 }, TCE2_REQUEST_UNMAP,
	  EINVAL, TCE2_WHY_NO_SUCH_WINDOW },
	{ "unmap window: in no window", { NOWHERE, 0, 0, 3, 0, 0 }, TCE2_REQUEST_UNMAP, ENXIO,
	  TCE2_WHY_NO_WINDOW },
};

/* With one mapping in the window, and with a default window that is pending */
TEST(a_refused_element_changes_nothing_and_names_its_rule)
{
	for (int made = 0; made < 2; made++) {
		begin_client(1);
		register_memory();
		blob.ranges[0] = map_of(0, UA + IOVA(5), IOVA(1));
		if (made)
			expect(run(1, 0), 0);
		for (size_t i = 0; i < ARRAY_SIZE(bad_elements); i++) {
			const struct bad_element *bad = &bad_elements[i];
			u64 refused = tce2_journal_refused(&container->journal);

			row = bad->row;
			blob.ranges[0] = bad->element;
			expect(run(1, i % 2), -bad->error);
			expect_results(1, 0, -bad->error);
			expect_refusal(bad->request, bad->error, bad->why);
			expect(tce2_journal_refused(&container->journal), refused + 1);
			expect(!container->ddw.window[0], !made);
			expect(mapped(), made);
		}
		if (made)
			expect(view_at(container->ddw.window[0], 0), (UA + IOVA(5)) | RW);
		end_client();
	}
}

/* Refuses each element in turn: the vector stops there, or goes on */
TEST_F(client, the_results_are_exact_wherever_an_element_is_refused)
{
	const u32 count = 2 * BATCH + 3;

	register_memory();
	for (u32 bad = 0; bad < count; bad++) {
		for (u32 flags = 0; flags < 2; flags++) {
			fill_with_maps(count);
			blob.ranges[bad].vaddr = UA - IOVA(1);
			expect(run(count, flags), -EINVAL);
			if (!flags) {
				expect_results(count, bad, -EINVAL);
				expect(mapped(), bad);
			} else {
				expect(blob.vector.done, count - 1);
				for (u32 i = 0; i < count; i++)
					expect(blob.results[i], i == bad ? -EINVAL : 0);
				expect(mapped(), count - 1);
			}
			blob.ranges[0] = unmap_of(0, GIB(1));
			expect(run(1, 0), 0);
			expect(platform.held, 0);
		}
	}
}

TEST_F(client, the_vector_fails_with_the_errno_of_the_first_refused_element)
{
	register_memory();
	fill_with_maps(4);
	blob.ranges[1].iova = NOWHERE;
	blob.ranges[2].vaddr = 0;
	expect(run(4, VFIO_TCE2_RANGES_CONTINUE), -ENXIO);
	expect(blob.vector.done, 2);
	expect(blob.results[1], -ENXIO);
	expect(blob.results[2], -EINVAL);
	expect(blob.results[3], 0);
}

/* One vector leaves the older refusals in the journal */
TEST_F(client, a_vector_records_only_the_refusal_of_its_first_refused_element)
{
	register_memory();
	fill_with_maps(MAX);
	for (u32 i = 1; i < MAX; i++)
		blob.ranges[i].vaddr = 0;
	blob.ranges[1].iova = NOWHERE;
	sim_trace(true);
	expect(run(MAX, VFIO_TCE2_RANGES_CONTINUE), -ENXIO);
	expect(blob.vector.done, 1);
	expect(tce2_journal_refused(&container->journal), 1);
	expect_refusal(TCE2_REQUEST_MAP, ENXIO, TCE2_WHY_NO_WINDOW);
	/* Each refused element has an event */
	expect(!strstr(sim_events, " -22 "), false);
	sim_trace(false);
}

TEST_F(client, a_vector_without_results_reports_the_number_of_elements)
{
	register_memory();
	fill_with_maps(MAX);
	blob.ranges[300].op = 0;
	prepare(MAX, 0);
	blob.vector.results = 0;
	expect(run_prepared(), -EINVAL);
	expect(blob.vector.done, 300);
	expect(blob.results[0], 12345);
	expect(mapped(), 300);
	prepare(MAX, VFIO_TCE2_RANGES_CONTINUE);
	blob.vector.results = 0;
	expect(run_prepared(), -EINVAL);
	expect(blob.vector.done, MAX - 1);
	expect(mapped(), MAX - 1);
}

/* The elements end in the middle: the batches before were carried out */
TEST_F(client, elements_that_are_not_readable_end_the_vector)
{
	register_memory();
	fill_with_maps(MAX);
	prepare(MAX, VFIO_TCE2_RANGES_CONTINUE);
	blob.vector.ranges = AT(results) - 20 * sizeof(blob.ranges[0]);
	memcpy(blob.ranges + MAX - 20, blob.ranges, 20 * sizeof(blob.ranges[0]));
	blob.vector.results = 0;
	blob.vector.count = 20;
	expect(run_prepared(), 0);
	expect(mapped(), 20);
	/* As many elements as fit before the end of the memory */
	blob.vector.count = MAX;
	blob.vector.ranges = USER_END - 20 * sizeof(blob.ranges[0]);
	user_place(&blob, sizeof(blob));
	memcpy(user.bytes + USER_BYTES - sizeof(blob), &blob, sizeof(blob));
	expect(send(), -EFAULT);
	user_look(&blob, sizeof(blob));
	expect(blob.vector.done <= BATCH, true);
}

/* The first of 40 elements is refused, and only 20 are readable: the others need no reading */
TEST_F(client, a_vector_that_has_ended_reads_no_further_element)
{
	register_memory();
	fill_with_maps(MAX);
	prepare(2 * 20, 0);
	blob.vector.ranges = USER_END - 20 * sizeof(blob.ranges[0]);
	user_place(&blob, sizeof(blob));
	/* The last bytes of the memory are results, which are no valid elements */
	memcpy(user.bytes + USER_BYTES - sizeof(blob), &blob, sizeof(blob));
	expect(send(), -EINVAL);
	user_look(&blob, sizeof(blob));
	expect(blob.vector.done, 0);
	expect(blob.results[0], -EINVAL);
	for (u32 i = 1; i < 2 * 20; i++)
		expect(blob.results[i], -ECANCELED);
}

static void make_readonly(void)
{
	user.readonly = true;
}

/* Copies: 1 the structure, 2 done; then for each batch the elements and the results; done */
TEST_F(client, results_that_become_read_only_end_the_vector)
{
	register_memory();
	fill_with_maps(3 * BATCH);
	for (u32 batch = 0; batch < 3; batch++) {
		prepare(3 * BATCH, 0);
		user_place(&blob, sizeof(blob));
		user.other_at = 4 + 2 * batch;
		user.other = make_readonly;
		expect(send(), -EFAULT);
		expect(mapped(), (batch + 1) * BATCH);
		blob.ranges[0] = unmap_window_of(0);
		expect(run(1, 0), 0);
		fill_with_maps(1);
	}
	prepare(3 * BATCH, 0);
	user_place(&blob, sizeof(blob));
	user.other_at = 9;
	expect(user.copies, 0);
	user.other = make_readonly;
	expect(send(), -EFAULT);
	expect(user.copies, 9);
}

/* Another thread of the client changes the elements after they were read */
static void change_elements(void)
{
	memset(user.bytes + USER_BYTES - sizeof(blob), 0xff, sizeof(blob.ranges));
}

TEST_F(client, each_element_is_read_once)
{
	register_memory();
	fill_with_maps(BATCH);
	prepare(BATCH, 0);
	user_place(&blob, sizeof(blob));
	user.other_at = 4;
	user.other = change_elements;
	expect(send(), 0);
	expect(mapped(), BATCH);
	for (u32 i = 0; i < BATCH; i++)
		expect(view_at(container->ddw.window[0], i), (UA + IOVA(i)) | RW);
}

TEST_F(client, another_thread_may_close_the_container_during_a_vector)
{
	register_memory();
	fill_with_maps(2 * BATCH);
	prepare(2 * BATCH, VFIO_TCE2_RANGES_CONTINUE);
	user_place(&blob, sizeof(blob));
	user.other_at = 4;
	user.other = close_container;
	expect(send(), -ENXIO);
	user_look(&blob, sizeof(blob));
	expect(blob.vector.done, BATCH);
	expect(blob.results[BATCH], -ENXIO);
	expect(platform.tables, 0);
}

TEST_F(client, unmap_window_unmaps_all_of_one_window)
{
	const struct tce2_window_spec spec = {
		.size = MIB(64), .page_shift = 16, .levels = 1,
	};
	struct tce2_creation creation;

	register_memory();
	/* A default window that is pending has no mappings, and stays pending */
	blob.ranges[0] = unmap_window_of(0);
	expect(run(1, 0), 0);
	expect(container->ddw.default_pending, true);
	expect(tce2_container_create_window(container, &spec, &creation), 0);
	blob.ranges[0] = unmap_window_of(NOWHERE);
	expect(run(1, 0), -ENXIO);
	expect(tce2_container_publish_window(container, &creation), 0);
	blob.ranges[0] = map_of(0, UA, IOVA(3));
	blob.ranges[1] = map_of(GIB(1) - IOVA(1), UA, IOVA(1));
	blob.ranges[2] = map_of(NOWHERE, UA, KIB(64));
	expect(run(3, 0), 0);
	expect(mapped(), 4);
	blob.ranges[0] = unmap_window_of(0);
	expect(run(1, 0), 0);
	expect(mapped(), 0);
	expect(platform_mapped(container->ddw.window[1]->table.tbl), 1);
	/* The window stays, and other elements may follow */
	blob.ranges[0] = unmap_window_of(NOWHERE);
	blob.ranges[1] = map_of(0, UA, IOVA(1));
	expect(run(2, 0), 0);
	expect(platform_mapped(container->ddw.window[1]->table.tbl), 0);
	expect(mapped(), 1);
}

/* Makes each call of a kind fail in turn. The earlier elements stay carried out. */
static void each_fails_in_turn(enum sim_fault fault, s32 want)
{
	const u32 count = 2 * BATCH + 1;
	bool fired = true;

	for (unsigned int nth = 1; fired; nth++) {
		long ret;

		begin_client(1);
		register_memory();
		/* Elements of one page, of several pages, and in several leaves */
		for (u32 i = 0; i < count; i++)
			blob.ranges[i] = map_of(IOVA(i * LEAF), UA, IOVA(1 + i % 3));
		prepare(count, 0);
		user_place(&blob, sizeof(blob));
		sim_fail(fault, nth);
		ret = send();
		fired = sim.fired;
		sim_fail_nothing();
		user_look(&blob, sizeof(blob));
		if (fired) {
			u32 done = blob.vector.done;
			u64 pages = 0;

			expect(ret, want);
			for (u32 i = 0; i < done; i++)
				pages += 1 + i % 3;
			expect(mapped(), pages);
			expect(platform.held, pages);
			if (done < count && blob.results[done] != 12345)
				expect(blob.results[done], want);
		} else {
			expect(ret, 0);
			expect(nth > 1, true);
		}
		/* The rest can be sent again */
		expect(run(count, 0), 0);
		end_client();
		sim_reset();
	}
}

TEST(any_failed_allocation_ends_a_vector_with_enomem)
{
	each_fails_in_turn(SIM_ALLOC, -ENOMEM);
}

TEST(a_fatal_signal_at_any_point_ends_a_vector_with_eintr)
{
	each_fails_in_turn(SIM_SIGNAL, -EINTR);
}

TEST(a_kill_during_any_wait_ends_a_vector_with_eintr)
{
	each_fails_in_turn(SIM_KILL, -EINTR);
}

/* Brief requests do not look for signals, so the vector has to */
TEST_F(client, a_fatal_signal_ends_a_vector_between_two_batches)
{
	register_memory();
	for (unsigned int nth = 1; nth <= 3; nth++) {
		fill_with_maps(1);
		expect(run(1, 0), 0);
		for (u32 i = 0; i < 3 * BATCH; i++)
			blob.ranges[i] = map_of(IOVA(1 + i), UA + IOVA(1 + i), IOVA(1));
		prepare(3 * BATCH, VFIO_TCE2_RANGES_CONTINUE);
		sim_fail(SIM_SIGNAL, nth);
		expect(run_prepared(), -EINTR);
		sim_fail_nothing();
		expect(blob.vector.done, (nth - 1) * BATCH);
		expect(mapped(), 1 + (nth - 1) * BATCH);
		blob.ranges[0] = unmap_window_of(0);
		expect(run(1, 0), 0);
	}
}

TEST_F(client, a_tce_that_the_platform_refuses_ends_the_vector_with_eio)
{
	register_memory();
	for (unsigned int nth = 1; nth <= 20; nth++) {
		fill_with_maps(20);
		blob.ranges[7].size = IOVA(3);
		platform_kind = PLATFORM_ODD_FORMAT;
		platform.error = -EIO;
		platform_fail(PLATFORM_XCHG, nth, 1);
		if (run(20, 0)) {
			expect(blob.results[blob.vector.done], -EIO);
			expect(platform.held, mapped());
		}
		platform_fail_nothing();
		blob.ranges[0] = unmap_window_of(0);
		expect(run(1, 0), 0);
		expect(platform.held, 0);
	}
}

TEST_F(client, each_element_of_a_vector_is_traced)
{
	char want[600];
	u64 id = container->id;

	register_memory();
	blob.ranges[0] = map_of(IOVA(1), UA, IOVA(1));
	blob.ranges[1] = unmap_of(IOVA(1), IOVA(1));
	blob.ranges[2] = unmap_window_of(0);
	blob.ranges[3] = (struct vfio_tce2_range){ .op = 9 };
	sim_trace(true);
	expect(run(4, 0), -EINVAL);
	snprintf(want, sizeof(want),
		 "map %llu %llx %llx %llx 3 0\nunmap %llu %llx %llx 0\nunmap %llu 0 0 0\n"
		 "refusal %llu %d -22 %d\nranges %llu 4 3 -22\n",
		 id, IOVA(1), UA, IOVA(1), id, IOVA(1), IOVA(1), id, id,
		 TCE2_REQUEST_OTHER, TCE2_WHY_OPERATION, id);
	if (strcmp(sim_events, want))
		sim_bug("expected the events\n%ssaw\n%s", want, sim_events);
	sim_trace(false);
}
