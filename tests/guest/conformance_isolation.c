// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: isolation. Memory that a device could reach is freed, allocated by
 * another process, and filled with other bytes. Then the device tries the old
 * addresses, through the process that owns the device now. It must neither change nor
 * read any of these bytes.
 *
 * A check counts only if the new process has the page frames of the old process
 * (/proc/self/pagemap), and only if the device works (a sink, see conformance.h).
 *
 * Other files check that the device does not reach memory that still belongs to its
 * process: after unmap or unregister (conformance_map.c), and after a window was removed
 * or made again (conformance_window.c). conformance_ddw.c checks which windows stay when
 * groups are detached. conformance_process.c checks that no pin is left after a process
 * has ended.
 */
#define _GNU_SOURCE
#define TEST_ORDER LATE
#include "conformance.h"

#include <endian.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAY_OUT		MIB(256)	/* memory that stays free */
#define SCAN_SIZE	MIB(16)		/* bytes searched at a time */
#define SAMPLES		4		/* pages that the device tries */
#define POISON		0x5a

enum backing { BASE_PAGES, TRANSPARENT, HUGETLB };

/**
 * struct estate - memory that a device could reach, and that its owner has freed
 * @backing: kind of pages
 * @ua: user address in the owner
 * @iova: iova of the mapping
 * @second: iova of a second mapping in another window, or 0
 * @pages: number of base pages
 * @frames: page frame of each page
 * @heirs: for each page, the address at which the new process has its frame, or NULL
 * @found: number of frames that the new process has
 *
 * This struct and its arrays are in memory that the owner, a child, shares with the new
 * process.
 */
struct estate {
	enum backing backing;
	uint8_t *ua;
	uint64_t iova;
	uint64_t second;
	uint64_t pages;
	uint64_t *frames;
	uint8_t **heirs;
	uint64_t found;
};

/* Bytes that a test maps and frees: thousands of pages if pages are small */
static uint64_t size_of(enum backing backing)
{
	if (backing != BASE_PAGES)
		return MIB(64);
	return base_page() == KIB(4) ? MIB(16) : MIB(128);
}

/*
 * Freed pages may stay in a per-CPU list for long, so the owner and the new process run
 * on the same CPU.
 */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

static struct estate *new_estate(enum backing backing, uint64_t size)
{
	struct estate *estate = shared_memory(sizeof(*estate));

	stay_on_one_cpu();
	estate->backing = backing;
	estate->iova = IOVA;
	estate->pages = size / base_page();
	estate->frames = shared_memory(estate->pages * sizeof(*estate->frames));
	estate->heirs = shared_memory(estate->pages * sizeof(*estate->heirs));
	return estate;
}

static uint64_t bytes_of(const struct estate *estate)
{
	return estate->pages * base_page();
}

/* Allocate memory; NULL if no memory of this kind is available */
static uint8_t *take(enum backing backing, uint64_t size)
{
	switch (backing) {
	case TRANSPARENT:
		return mem_thp(size);
	case HUGETLB:
		return mem_hugetlb(MIB(2), size / MIB(2));
	default:
		return mem_base(size);
	}
}

static uint8_t *must_take(enum backing backing, uint64_t size)
{
	uint8_t *ua = take(backing, size);

	if (!ua)
		skip("no memory with this kind of pages is available");
	return ua;
}

/* Allocate memory, map it for slot 0's device, and check that the device reaches it */
static void possess(struct estate *estate, struct vfio *v)
{
	uint64_t size = bytes_of(estate), last = size - base_page();

	estate->ua = must_take(estate->backing, size);
	expect(spapr_register(v->fd, estate->ua, size), 0);
	expect(dma_map(v->fd, estate->iova, estate->ua, size, READ_WRITE), 0);
	if (!mem_frames(estate->ua, estate->pages, estate->frames))
		fail("cannot read /proc/self/pagemap");
	device_reaches(v, 0, estate->iova, estate->ua);
	device_reaches(v, 0, estate->iova + last, estate->ua + last);
}

/* Map in two windows, because the next owner's default window replaces only one of them */
static void possess_twice(struct estate *estate, struct vfio *v)
{
	possess(estate, v);
	estate->second = new_window(v, 12, GIB(1), 1) + IOVA;
	expect(dma_map(v->fd, estate->second, estate->ua, bytes_of(estate),
		       READ_WRITE), 0);
	device_reaches(v, 0, estate->second, estate->ua);
}

/* Free the pages */
static void unmap_pages(struct estate *estate)
{
	if (munmap(estate->ua, bytes_of(estate)))
		fail("munmap");
}

/*
 * The heir: the process that gets the page frames
 */

struct frame {
	uint64_t number;
	uint64_t page;
};

static int compare_frames(const void *a, const void *b)
{
	uint64_t x = ((const struct frame *)a)->number;
	uint64_t y = ((const struct frame *)b)->number;

	return x < y ? -1 : x > y;
}

/* Return the frames sorted by number, so that look_through() can search for a frame */
static struct frame *sorted_frames(const struct estate *estate)
{
	struct frame *frames = calloc(estate->pages, sizeof(*frames));

	if (!frames)
		fail("cannot allocate memory for the test itself");
	for (uint64_t i = 0; i < estate->pages; i++)
		frames[i] = (struct frame){ estate->frames[i], i };
	qsort(frames, estate->pages, sizeof(*frames), compare_frames);
	return frames;
}

static void look_through(struct estate *estate, const struct frame *frames,
			 uint8_t *ua, uint64_t size)
{
	uint64_t pages = size / base_page();
	uint64_t *mine = calloc(pages, sizeof(*mine));

	if (!mine || !mem_frames(ua, pages, mine))
		fail("cannot read /proc/self/pagemap");
	for (uint64_t i = 0; i < pages; i++) {
		struct frame key = { .number = mine[i] }, *hit;

		hit = bsearch(&key, frames, estate->pages, sizeof(*frames),
			      compare_frames);
		if (!hit)
			continue;
		estate->heirs[hit->page] = ua + i * base_page();
		estate->found++;
	}
	free(mine);
}

static bool memory_is_left(uint64_t size)
{
	return meminfo("MemFree") > (int64_t)(WAY_OUT + size);
}

/*
 * Allocate memory of the same kind until it includes nine tenths of the frames, or little
 * memory is free. Hugepages return to their pool, so one allocation of the same
 * size gets all of them.
 */
static uint64_t take_again(struct estate *estate)
{
	struct frame *frames = sorted_frames(estate);
	uint64_t want = estate->pages * 9 / 10, taken = 0;
	uint64_t size = estate->backing == HUGETLB ? bytes_of(estate) : SCAN_SIZE;

	while (estate->found < want && memory_is_left(size)) {
		uint8_t *ua = take(estate->backing, size);

		if (!ua)
			break;
		look_through(estate, frames, ua, size);
		taken += size;
	}
	free(frames);
	return taken;
}

static void inherit(struct estate *estate)
{
	uint64_t taken = take_again(estate);

	dprintf(STDOUT_FILENO,
		"# got %llu of %llu page frames again, among %llu MiB\n",
		(unsigned long long)estate->found,
		(unsigned long long)estate->pages,
		(unsigned long long)taken >> 20);
	if (estate->found < estate->pages / 2)
		fail("inconclusive: expected to get half of the page frames again");
	for (uint64_t i = 0; i < estate->pages; i++)
		if (estate->heirs[i])
			memset(estate->heirs[i], POISON, base_page());
}

static bool is_poison(const uint8_t *ua, size_t len)
{
	return *ua == POISON && !memcmp(ua, ua + 1, len - 1);
}

static void expect_untouched(const struct estate *estate)
{
	for (uint64_t i = 0; i < estate->pages; i++)
		if (estate->heirs[i] &&
		    !is_poison(estate->heirs[i], base_page()))
			fail("page %llu of the old owner, frame %#llx, was written to",
			     (unsigned long long)i,
			     (unsigned long long)estate->frames[i]);
}

/* Find a page that the new process has; the search begins elsewhere for each sample */
static uint64_t sample_page(const struct estate *estate, unsigned int sample)
{
	uint64_t page = estate->pages * sample / SAMPLES;

	while (!estate->heirs[page])
		page = (page + 1) % estate->pages;
	return page;
}

/* Let the device of slot 0 try the old iovas in its current container */
static void expect_out_of_reach(struct estate *estate, struct vfio *v,
				struct sink *sink)
{
	expect_untouched(estate);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t page = sample_page(estate, i);
		uint8_t *ua = estate->heirs[page];
		uint64_t iova = i % 2 && estate->second ? estate->second :
							  estate->iova;

		device_cannot_reach(v, 0, iova + page * base_page(), ua, sink);
		memset(ua, POISON, PROBE);
	}
	expect_untouched(estate);
}

/* Try the old iovas after opening the group's device in a new container */
static void expect_out_of_reach_of_the_next(struct estate *estate)
{
	struct sink sink;
	struct vfio v;

	open_container(&v, 0);
	sink = sink_at(&v, SINK_IOVA);
	expect_out_of_reach(estate, &v, &sink);
	vfio_close(&v);
}

/*
 * The owner frees memory and keeps the container
 */

static void unmap_and_free(struct vfio *v, enum backing backing)
{
	struct estate *estate = new_estate(backing, size_of(backing));
	struct sink sink = sink_at(v, SINK_IOVA);

	possess(estate, v);
	expect(dma_unmap(v->fd, estate->iova, bytes_of(estate)), 0);
	unregister_ok(v, estate->ua, bytes_of(estate));
	unmap_pages(estate);
	inherit(estate);
	expect_out_of_reach(estate, v, &sink);
}

TEST(base_pages_unmapped_and_freed_are_out_of_reach)
{
	unmap_and_free(v, BASE_PAGES);
}

TEST(transparent_hugepages_unmapped_and_freed_are_out_of_reach)
{
	unmap_and_free(v, TRANSPARENT);
}

TEST(hugepages_unmapped_and_freed_are_out_of_reach)
{
	unmap_and_free(v, HUGETLB);
}

TEST(pages_of_a_removed_window_are_out_of_reach)
{
	struct estate *estate = new_estate(BASE_PAGES, size_of(BASE_PAGES));
	struct sink sink = sink_at(v, SINK_IOVA);
	uint64_t start = new_window(v, 12, GIB(1), 1);

	estate->iova += start;
	possess(estate, v);
	expect(window_remove(v->fd, start), 0);
	unregister_ok(v, estate->ua, bytes_of(estate));
	unmap_pages(estate);
	inherit(estate);
	expect_out_of_reach(estate, v, &sink);
	/* Make the window again, with a mapping: the old pages must stay out of reach */
	expect(new_window(v, 12, GIB(1), 1), start);
	mapped(v, start, base_page());
	expect_out_of_reach(estate, v, &sink);
}

/*
 * The owner closes the container, or its process ends
 */

static void own_and_close(void *arg)
{
	struct vfio v;

	open_container(&v, 0);
	possess_twice(arg, &v);
	vfio_close(&v);
}

static void close_and_free(enum backing backing)
{
	struct estate *estate = new_estate(backing, size_of(backing));

	/* A child can't skip the test, so check here that such memory is available */
	munmap(must_take(backing, size_of(backing)), size_of(backing));
	in_child(own_and_close, estate);
	inherit(estate);
	expect_out_of_reach_of_the_next(estate);
}

TEST(base_pages_of_a_closed_container_are_out_of_reach, .setup = BARE)
{
	(void)v;
	close_and_free(BASE_PAGES);
}

TEST(transparent_hugepages_of_a_closed_container_are_out_of_reach, .setup = BARE)
{
	(void)v;
	close_and_free(TRANSPARENT);
}

TEST(hugepages_of_a_closed_container_are_out_of_reach, .setup = BARE)
{
	(void)v;
	close_and_free(HUGETLB);
}

static void own_detach_and_close(void *arg)
{
	struct estate *estate = arg;
	struct vfio v;

	open_container(&v, 0);
	possess_twice(estate, &v);
	expect(vfio_detach(&v, 0), 0);
	vfio_close(&v);
}

TEST(pages_of_a_container_without_its_group_are_out_of_reach, .setup = BARE)
{
	struct estate *estate = new_estate(BASE_PAGES, size_of(BASE_PAGES));

	(void)v;
	in_child(own_detach_and_close, estate);
	inherit(estate);
	expect_out_of_reach_of_the_next(estate);
}

/* An owner whose device does DMA; the owner writes to the pipe when the DMA has begun */
struct busy {
	struct estate *estate;
	struct vfio v;
	int ready[2];
};

/* Let the device copy page after page until the process ends; a transfer takes 0.1 seconds */
static void *copy_forever(void *arg)
{
	struct busy *busy = arg;
	struct edu *edu = device(&busy->v, 0);

	for (uint64_t i = 0;; i++) {
		uint64_t iova = busy->estate->iova +
				i % busy->estate->pages * base_page();

		expect(edu_to_device(edu, iova, 0, EDU_BUFFER), 0);
		expect(edu_from_device(edu, iova, 0, EDU_BUFFER), 0);
		if (!i && write(busy->ready[1], "x", 1) != 1)
			fail("write");
	}
	return NULL;
}

static void own_and_copy_forever(void *arg)
{
	struct busy *busy = arg;

	open_container(&busy->v, 0);
	possess_twice(busy->estate, &busy->v);
	copy_forever(busy);
}

static void own_and_exit_beside_the_copying(void *arg)
{
	struct busy *busy = arg;
	pthread_t thread;
	char byte;

	open_container(&busy->v, 0);
	possess_twice(busy->estate, &busy->v);
	if (pthread_create(&thread, NULL, copy_forever, busy) ||
	    read(busy->ready[0], &byte, 1) != 1)
		fail("cannot start DMA in a second thread");
	usleep(30000);
	_exit(0);
}

static struct busy new_busy(void)
{
	struct busy busy = { .estate = new_estate(BASE_PAGES, MIB(16)) };

	if (pipe(busy.ready))
		fail("pipe");
	return busy;
}

static void kill_amid_dma(unsigned int wait_ms)
{
	struct busy busy = new_busy();
	char byte;
	int pid = start_child(own_and_copy_forever, &busy);

	if (read(busy.ready[0], &byte, 1) != 1)
		fail("a child of the test ended too early");
	usleep(wait_ms * 1000);
	kill_child(pid);
	inherit(busy.estate);
	expect_out_of_reach_of_the_next(busy.estate);
	close(busy.ready[0]);
	close(busy.ready[1]);
}

/* Kill at different moments of a copy, which takes 0.2 seconds */
TEST(pages_of_a_process_killed_amid_dma_are_out_of_reach, .setup = BARE)
{
	(void)v;
	kill_amid_dma(10);
	kill_amid_dma(110);
}

TEST(pages_of_a_process_that_exits_amid_dma_are_out_of_reach, .setup = BARE)
{
	struct busy busy = new_busy();

	(void)v;
	in_child(own_and_exit_beside_the_copying, &busy);
	inherit(busy.estate);
	expect_out_of_reach_of_the_next(busy.estate);
}

/*
 * Two owners at the same time
 */

/* Pages that an owner maps for its device; both processes can read them */
struct pair {
	uint8_t *both;		/* mapped at an iova at which the other owner maps its own page */
	uint8_t *alone;		/* mapped at an iova that only this owner maps */
	uint64_t alone_at;
};

/* MINE_IOVA is in a second window, which the other owner does not have */
#define MINE_IOVA	(WINDOW1_START + MIB(32))
#define THEIRS_IOVA	MIB(48)

static struct pair new_pair(uint64_t alone_at)
{
	return (struct pair){
		shared_memory(base_page()), shared_memory(base_page()), alone_at,
	};
}

static void own_pair(struct vfio *v, struct pair *pair)
{
	expect(spapr_register(v->fd, pair->both, base_page()), 0);
	expect(spapr_register(v->fd, pair->alone, base_page()), 0);
	if (pair->alone_at >= WINDOW1_START)
		expect(new_window(v, 12, GIB(1), 1), WINDOW1_START);
	expect(dma_map(v->fd, IOVA, pair->both, base_page(), READ_WRITE), 0);
	expect(dma_map(v->fd, pair->alone_at, pair->alone, base_page(),
		       READ_WRITE), 0);
}

/* Check that a device reaches its owner's pages and no page of the other owner */
static void expect_only_mine(struct vfio *v, int slot, struct pair *mine,
			     struct pair *theirs, struct sink *sink)
{
	uint8_t before[PROBE];

	memcpy(before, theirs->both, PROBE);
	device_reaches(v, slot, IOVA, mine->both);
	device_reaches(v, slot, mine->alone_at, mine->alone);
	if (memcmp(before, theirs->both, PROBE))
		fail("device %d wrote to the other owner's memory", slot);
	device_cannot_reach(v, slot, theirs->alone_at, theirs->alone, sink);
}

struct neighbour {
	struct pair mine, theirs;
};

static void live_next_door(void *arg)
{
	struct neighbour *neighbour = arg;
	struct sink sink;
	struct vfio v;

	open_container(&v, 1);
	sink = sink_at(&v, SINK_IOVA);
	own_pair(&v, &neighbour->theirs);
	expect_only_mine(&v, 1, &neighbour->theirs, &neighbour->mine, &sink);
	vfio_close(&v);
}

/* The owners take turns, so each can check that its memory is unchanged */
TEST(devices_of_two_processes_reach_only_their_own_memory)
{
	struct neighbour neighbour = {
		new_pair(MINE_IOVA), new_pair(THEIRS_IOVA),
	};
	struct sink sink = sink_at(v, SINK_IOVA);

	need_two_devices();
	own_pair(v, &neighbour.mine);
	expect_only_mine(v, 0, &neighbour.mine, &neighbour.theirs, &sink);
	in_child(live_next_door, &neighbour);
	expect_only_mine(v, 0, &neighbour.mine, &neighbour.theirs, &sink);
}

/* If two groups can share a container, slot 1's group stays in the old container */
TEST(a_group_that_moves_reaches_only_its_new_containers_memory)
{
	bool two = !under_hypervisor() && vfio_devices() > 1;
	struct pair of_a = new_pair(MINE_IOVA), of_b = new_pair(THEIRS_IOVA);
	struct sink sink_a = sink_at(v, SINK_IOVA), sink_b;
	struct vfio b;

	if (two)
		expect(vfio_attach(v, 1), 0);
	own_pair(v, &of_a);
	expect(vfio_detach(v, 0), 0);
	open_container(&b, 0);
	sink_b = sink_at(&b, SINK_IOVA);
	own_pair(&b, &of_b);
	expect_only_mine(&b, 0, &of_b, &of_a, &sink_b);
	if (two)
		expect_only_mine(v, 1, &of_a, &of_b, &sink_a);

	expect(vfio_detach(&b, 0), 0);
	expect(vfio_attach(v, 0), 0);
	/* VFIO removes the backend from a container without a group */
	if (!two) {
		expect(vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU), 0);
		sink_a = sink_at(v, SINK_IOVA);
		own_pair(v, &of_a);
	}
	expect_only_mine(v, 0, &of_a, &of_b, &sink_a);
	vfio_close(&b);
}

/*
 * Memory that the process replaces while it is mapped for the device
 */

static void new_memory_at(uint8_t *ua)
{
	if (mmap(ua, base_page(), PROT_READ | PROT_WRITE, MAP_PRIVATE |
		 MAP_ANONYMOUS | MAP_FIXED, -1, 0) != ua)
		fail("mmap");
}

static void unmap_it(uint8_t *ua)
{
	munmap(ua, base_page());
	new_memory_at(ua);
}

static void discard_it(uint8_t *ua)
{
	madvise(ua, base_page(), MADV_DONTNEED);
}

static void move_it_away(uint8_t *ua)
{
	if (mremap(ua, base_page(), base_page(), MREMAP_MAYMOVE | MREMAP_FIXED,
		   memory(base_page())) == MAP_FAILED)
		fail("mremap");
	new_memory_at(ua);
}

static void move_other_memory_there(uint8_t *ua)
{
	if (mremap(memory(base_page()), base_page(), base_page(),
		   MREMAP_MAYMOVE | MREMAP_FIXED, ua) == MAP_FAILED)
		fail("mremap");
}

/*
 * The device reaches the registered pages, and no page that replaces them at their user
 * address. Unregistering the user address still releases the registered pages.
 */
TEST(memory_that_replaces_mapped_memory_is_not_reached)
{
	static void (*const replace[])(uint8_t *) = {
		unmap_it, discard_it, move_it_away, move_other_memory_there,
	};
	struct sink sink = sink_at(v, SINK_IOVA);
	struct ledger before = ledger();
	uint8_t copy[PROBE];

	for (size_t i = 0; i < ARRAY_SIZE(replace); i++) {
		uint8_t *ua = mapped(v, IOVA, base_page());

		pattern_fill(ua, PROBE, i);
		memcpy(copy, ua, PROBE);
		replace[i](ua);
		device_reads(v, 0, IOVA, copy, &sink);
		device_cannot_reach(v, 0, IOVA, ua, &sink);
		expect(dma_unmap(v->fd, IOVA, base_page()), 0);
		device_cannot_reach(v, 0, IOVA, ua, &sink);
		unregister_ok(v, ua, base_page());
		expect_ledger("after UNREGISTER_MEMORY", before, 0);
	}
}

/* The user address of a forked child's copy, and the inherited device */
struct heritage {
	struct vfio *v;
	struct sink sink;
	uint8_t *ua;
};

static void try_the_childs_copy(void *arg)
{
	struct heritage *heritage = arg;

	device_cannot_reach(heritage->v, 0, IOVA, heritage->ua,
			    &heritage->sink);
}

/* fork_keeps_mapped_pages_with_the_parent_and_its_device checks the parent's memory */
TEST(a_forked_childs_copy_of_mapped_memory_is_not_reached)
{
	struct heritage heritage = {
		.v = v,
		.sink = { SINK_IOVA, shared_memory(base_page()) },
		.ua = mapped(v, IOVA, base_page()),
	};

	expect(spapr_register(v->fd, heritage.sink.ua, base_page()), 0);
	expect(dma_map(v->fd, SINK_IOVA, heritage.sink.ua, base_page(),
		       READ_WRITE), 0);
	device(v, 0);
	in_child(try_the_childs_copy, &heritage);
	device_reaches(v, 0, IOVA, heritage.ua);
}
