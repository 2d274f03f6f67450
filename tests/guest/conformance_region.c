// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: the pages of registered memory. The tests cover large regions, many regions,
 * changes that the process makes to registered memory, dirty pages, and kinds of memory
 * that are migrated or refused.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KPF_DIRTY	(1ULL << 4)

static uint64_t frame_of(const uint8_t *ua)
{
	uint64_t frame;

	if (!mem_frames(ua, 1, &frame))
		fail("cannot read /proc/self/pagemap");
	return frame;
}

static uint64_t page_flags(uint64_t frame)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t flags;

	if (fd < 0 || pread(fd, &flags, sizeof(flags), frame * sizeof(flags)) !=
			      sizeof(flags))
		fail("cannot read /proc/kpageflags");
	close(fd);
	return flags;
}

/* Check that the kernel has marked a page dirty */
bool is_dirty(const uint8_t *ua)
{
	return page_flags(frame_of(ua)) & KPF_DIRTY;
}

TEST(a_region_of_gibibytes_is_pinned_and_charged_exactly, .intree = "defect 18")
{
	struct ledger before = ledger();
	uint64_t size = GIB(2);
	uint8_t *ua = mem_thp(size);

	if (!ua)
		skip("no 2 GiB of transparent hugepages are available");
	expect(spapr_register(v->fd, ua, size), 0);
	expect_ledger("registered", before, size);
	expect(dma_map(v->fd, IOVA, ua + size - base_page(), base_page(),
		       READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua + size - base_page());
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, size);
	/* The default window, made for the mapping, is charged as well */
	expect(window_remove(v->fd, 0), 0);
	expect_ledger("unregistered", before, 0);
}

/* Register a hundred thousand regions of one page, or as many as fit into 1 GiB */
TEST(many_thousand_regions_are_pinned_and_charged_exactly, .intree = "defects 3, 18")
{
	enum { STRIDE = 4099 };		/* a prime, so that each region gets its turn */
	uint64_t p = base_page();
	uint64_t regions = fewer(GIB(1) / p < 100000 ? GIB(1) / p : 100000);
	uint8_t *area = memory(2 * regions * p);
	struct ledger before = ledger();
	uint8_t *ua = area + 2 * (regions / 3) * p;

	for (uint64_t i = 0; i < regions; i++)
		expect(spapr_register(v->fd, area + 2 * (i * STRIDE % regions) *
						    p, p), 0);
	expect_ledger("registered", before, regions * p);
	expect(dma_map(v->fd, IOVA, ua, p, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
	/* The next page belongs to no region */
	expect(dma_map(v->fd, IOVA + p, ua + p, p, READ_WRITE), -EINVAL);
	expect(dma_unmap(v->fd, IOVA, p), 0);
	for (uint64_t i = 0; i < regions; i++)
		expect(spapr_unregister(v->fd, area + 2 * i * p, p), 0);
	expect(window_remove(v->fd, 0), 0);
	expect_ledger("unregistered", before, 0);
}

/* The process gets new pages; the device keeps the registered ones */
TEST(memory_discarded_by_the_process_stays_reachable_by_the_device)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mapped(v, IOVA, base_page());
	uint8_t copy[PROBE];

	pattern_fill(ua, PROBE, 4711);
	memcpy(copy, ua, PROBE);
	if (madvise(ua, base_page(), MADV_DONTNEED))
		fail("madvise");
	expect(ua[0], 0);
	device_reads(v, 0, IOVA, copy, &sink);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

/* DMA sets no dirty bit in page tables: only the backend marks anonymous memory dirty */
TEST(only_memory_that_was_mapped_for_writing_is_dirty)
{
	static const uint32_t perm[] = { 0, READ_ONLY, WRITE_ONLY, READ_WRITE };
	uint64_t p = base_page();

	for (size_t i = 0; i < ARRAY_SIZE(perm); i++) {
		uint8_t *ua = registered(v, p);

		if (is_dirty(ua))
			skip("this kernel marks fresh anonymous memory dirty");
		if (perm[i]) {
			expect(dma_map(v->fd, IOVA, ua, p, perm[i]), 0);
			expect(dma_unmap(v->fd, IOVA, p), 0);
		}
		unregister_ok(v, ua, p);
		expect(is_dirty(ua), perm[i] & WRITE_ONLY ? 1 : 0);
	}
}

/* In a scattered region each page is a block, with a separate dirty flag */
TEST(the_neighbours_of_a_written_page_stay_clean)
{
	uint64_t p = base_page(), size = 16 * p;
	uint8_t *ua = mem_scattered(size);

	if (!ua || mem_contiguous(ua + 4 * p, 4 * p))
		skip("the memory happens to be contiguous");
	expect(spapr_register(v->fd, ua, size), 0);
	expect(dma_map(v->fd, IOVA, ua + 5 * p, p, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, p), 0);
	unregister_ok(v, ua, size);
	expect(is_dirty(ua + 5 * p), 1);
	expect(is_dirty(ua), 0);
	expect(is_dirty(ua + 15 * p), 0);
}

/* Make sure that page 5 does not follow page 4 in physical memory */
static void scatter(uint8_t *ua)
{
	uint64_t p = base_page(), frame[2];

	for (int tries = 0; tries < 8; tries++) {
		if (!mem_frames(ua + 4 * p, 2, frame) || !frame[0])
			fail("/proc/self/pagemap does not have the page frames");
		if (frame[1] != frame[0] + 1)
			return;
		if (madvise(ua + 5 * p, p, MADV_DONTNEED))
			fail("madvise");
		/* Allocate a page, or page 5 would get the frame that was just freed */
		mem_base(p);
		ua[5 * p] = 1;
	}
	skip("the memory stays contiguous");
}

/*
 * Map more pages than a node of the region's store has blocks, with one page out of order.
 * The last page is read-only, so MAP_DMA checks each block.
 */
TEST(each_page_of_a_large_scattered_mapping_is_marked_dirty, .intree = "defect 12")
{
	uint64_t p = base_page(), pages = p / sizeof(uint64_t) + 64;
	uint64_t last = pages - 2;
	uint8_t *ua = mem_base(pages * p);

	if (!ua || mprotect(ua + (last + 1) * p, p, PROT_READ))
		skip("cannot allocate memory");
	scatter(ua);
	expect(spapr_register(v->fd, ua, pages * p), 0);
	expect(dma_map(v->fd, IOVA, ua + p, last * p, READ_WRITE), 0);
	device_reaches(v, 0, IOVA + (last - 1) * p, ua + last * p);
	expect(dma_unmap(v->fd, IOVA, last * p), 0);
	expect(dma_map(v->fd, IOVA, ua + p, (last + 1) * p, READ_WRITE), -EPERM);
	unregister_ok(v, ua, pages * p);
	expect(is_dirty(ua), 0);
	for (uint64_t i = 1; i <= last; i += i < 600 ? 1 : 61)
		expect(is_dirty(ua + i * p), 1);
	expect(is_dirty(ua + last * p), 1);
	expect(is_dirty(ua + (last + 1) * p), 0);
}

TEST(registering_memory_of_a_device_returns_efault)
{
	struct edu *edu = device(v, 0);
	struct ledger before = ledger();

	expect(spapr_register(v->fd, (void *)edu->bar, base_page()), -EFAULT);
	expect_ledger("refused", before, 0);
}

/* Register a large range whose pages must be faulted in */
static void register_for_long(void *arg)
{
	struct vfio *v = arg;
	uint64_t size = GIB(3);
	uint8_t *ua = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ua == MAP_FAILED || madvise(ua, size, MADV_NOHUGEPAGE))
		fail("mmap");
	spapr_register(v->fd, ua, size);
	for (;;)
		pause();
}

struct pinned {
	int64_t before;
	int64_t least;
};

static bool many_are_pinned(void *arg)
{
	struct pinned *pinned = arg;

	return pins() - pinned->before >= pinned->least;
}

static bool none_is_pinned(void *arg)
{
	struct pinned *pinned = arg;

	return pins() == pinned->before;
}

TEST(a_kill_ends_register_and_unpins_all_of_its_pages)
{
	struct pinned pinned = { .before = pins(), .least = 64 };
	int pid = start_child(register_for_long, v);

	expect_soon("some pages pinned", many_are_pinned, &pinned);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	expect_soon("all pages unpinned", none_is_pinned, &pinned);
}

#define BLOCKS	"/sys/devices/system/memory"

static bool write_state(int block, const char *state)
{
	char path[64];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), BLOCKS "/memory%d/state", block);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, state, strlen(state)) == (ssize_t)strlen(state);
	close(fd);
	return ok;
}

static uint64_t block_frames(void)
{
	unsigned long long size = 0;
	FILE *f = fopen(BLOCKS "/block_size_bytes", "r");

	if (f) {
		if (fscanf(f, "%llx", &size) != 1)
			size = 0;
		fclose(f);
	}
	return size / base_page();
}

/* Find a block of memory that can be put offline, and make it movable */
static int movable_block(void)
{
	for (int block = 255; block > 0; block--) {
		if (!write_state(block, "offline"))
			continue;
		if (write_state(block, "online_movable"))
			return block;
		write_state(block, "online");
	}
	return -1;
}

/* Pages that memory hotplug must be able to remove may not be pinned for long */
TEST(movable_memory_is_migrated_before_it_is_pinned)
{
	uint64_t p = base_page(), size = 64 * p, frames = block_frames();
	int block = frames ? movable_block() : -1;
	uint64_t first = block * frames, movable = 0;
	uint8_t *ua;

	if (block < 0)
		skip("no block of memory can be made movable");
	ua = memory(size);
	pattern_fill(ua, size, 99);
	for (uint64_t off = 0; off < size; off += p)
		movable += frame_of(ua + off) - first < frames;
	if (!movable)
		fail("expected some pages in movable memory, saw none");

	expect(spapr_register(v->fd, ua, size), 0);
	for (uint64_t off = 0; off < size; off += p)
		if (frame_of(ua + off) - first < frames)
			fail("expected no pinned page in movable memory");
	expect(pattern_is(ua, size, 99), 1);
	expect(dma_map(v->fd, IOVA, ua, size, READ_WRITE), 0);
	device_reaches(v, 0, IOVA + size - p, ua + size - p);
	expect(dma_unmap(v->fd, IOVA, size), 0);
	unregister_ok(v, ua, size);
	munmap(ua, size);
	expect(write_state(block, "offline"), 1);
	expect(write_state(block, "online"), 1);
}
