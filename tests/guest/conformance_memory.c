// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conformance: REGISTER_MEMORY and UNREGISTER_MEMORY. The tests check which memory can be
 * registered, its pins and charges, and when memory can be unregistered.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SIZE	MIB(1)

/* A row of a table of requests; @row names the bad member */
struct region_row {
	const char *row;
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t size;
	int want;
};

#define FULL	sizeof(struct vfio_iommu_spapr_register_memory)

static int region_call(int fd, unsigned long nr, const struct region_row *row)
{
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = row->argsz,
		.flags = row->flags,
		.vaddr = row->vaddr,
		.size = row->size,
	};

	return call(fd, nr, &reg);
}

static void expect_rows(struct vfio *v, unsigned long nr,
			const struct region_row *row, size_t rows)
{
	struct ledger before = ledger();
	bool ok = true;

	for (; rows--; row++) {
		ok &= row_is(row->row, region_call(v->fd, nr, row), row->want);
		expect_ledger(row->row, before, 0);
	}
	if (!ok)
		fail("requests returned unexpected answers, see above");
}

TEST(register_pins_and_charges_every_page_once, .intree = "defect 18: unpins pages late")
{
	struct ledger before = ledger();
	uint8_t *ua = registered(v, SIZE);

	expect_ledger("registered", before, SIZE);
	unregister_ok(v, ua, SIZE);
	expect_ledger("unregistered", before, 0);
}

TEST(pages_are_unpinned_and_uncharged_before_unregister_returns,
     .intree = "defect 18: unpins pages late")
{
	uint8_t *ua = memory(SIZE);
	struct ledger before = ledger();

	for (int i = 0; i < 10; i++) {
		expect(spapr_register(v->fd, ua, SIZE), 0);
		expect_ledger("registered", before, SIZE);
		unregister_ok(v, ua, SIZE);
		expect_ledger("unregistered", before, 0);
	}
}

TEST(mapping_does_not_pin_pages_again)
{
	uint8_t *ua = registered(v, SIZE);
	int64_t pinned = pins();

	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	expect(pins(), pinned);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	expect(pins(), pinned);
}

TEST(registering_a_region_twice_returns_ebusy)
{
	struct ledger before = ledger();
	uint8_t *ua = registered(v, SIZE);

	expect(spapr_register(v->fd, ua, SIZE), -EBUSY);
	expect_ledger("registered twice", before, SIZE);
	unregister_ok(v, ua, SIZE);
	expect(spapr_unregister(v->fd, ua, SIZE), -ENOENT);
}

/* The overlap is found before any page is pinned (defect 18) */
TEST(a_partial_overlap_is_refused_before_any_page_is_pinned)
{
	uint64_t p = base_page();
	uint8_t *ua = memory(12 * p);
	uint64_t at = (uintptr_t)ua;
	const struct region_row rows[] = {
		{ "overlaps the front", FULL, 0, at + 3 * p, 2 * p, -EINVAL },
		{ "overlaps the end", FULL, 0, at + 7 * p, 2 * p, -EINVAL },
		{ "first page", FULL, 0, at + 4 * p, p, -EINVAL },
		{ "middle page", FULL, 0, at + 5 * p, p, -EINVAL },
		{ "last page", FULL, 0, at + 7 * p, p, -EINVAL },
		{ "all and more", FULL, 0, at, 12 * p, -EINVAL },
		{ "same start, longer", FULL, 0, at + 4 * p, 5 * p, -EINVAL },
		{ "same end, longer", FULL, 0, at + 3 * p, 5 * p, -EINVAL },
	};

	expect(spapr_register(v->fd, ua + 4 * p, 4 * p), 0);
	expect_rows(v, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, rows,
		    ARRAY_SIZE(rows));
	unregister_ok(v, ua + 4 * p, 4 * p);
}

TEST(adjacent_regions_can_be_registered)
{
	uint64_t p = base_page();
	uint8_t *ua = memory(3 * p);

	expect(spapr_register(v->fd, ua + p, p), 0);
	expect(spapr_register(v->fd, ua, p), 0);
	expect(spapr_register(v->fd, ua + 2 * p, p), 0);
	for (int i = 0; i < 3; i++)
		unregister_ok(v, ua + i * p, p);
}

TEST(bad_register_requests_change_nothing,
     .intree = "defect 11: size 0 returns ENOMEM with a WARNING")
{
	uint8_t *ua = memory(SIZE);
	uint64_t at = (uintptr_t)ua, p = base_page();
	const struct region_row rows[] = {
		{ "argsz 0", 0, 0, at, SIZE, -EINVAL },
		{ "argsz 4", 4, 0, at, SIZE, -EINVAL },
		{ "argsz one short", FULL - 1, 0, at, SIZE, -EINVAL },
		{ "flag 0", FULL, 1, at, SIZE, -EINVAL },
		{ "flag 31", FULL, 1U << 31, at, SIZE, -EINVAL },
		{ "all flags", FULL, ~0U, at, SIZE, -EINVAL },
		{ "size 0", FULL, 0, at, 0, -EINVAL },
		{ "size 1", FULL, 0, at, 1, -EINVAL },
		{ "size one short", FULL, 0, at, SIZE - 1, -EINVAL },
		{ "size one more", FULL, 0, at, SIZE + 1, -EINVAL },
		{ "size half a page", FULL, 0, at, p / 2, -EINVAL },
		{ "address one more", FULL, 0, at + 1, SIZE, -EINVAL },
		{ "address half a page more", FULL, 0, at + p / 2, p, -EINVAL },
		{ "ends at 2^64", FULL, 0, -p, p, -EINVAL },
		{ "ends past 2^64", FULL, 0, -p, 2 * p, -EINVAL },
		{ "wraps to before its start", FULL, 0, at, -p, -EINVAL },
		{ "size 2^63 wraps", FULL, 0, 1ULL << 63, 1ULL << 63, -EINVAL },
	};

	expect_rows(v, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, rows,
		    ARRAY_SIZE(rows));
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_SPAPR_REGISTER_MEMORY);
	expect(spapr_register(v->fd, ua, SIZE), 0);
}

TEST(registering_memory_outside_user_space_returns_efault)
{
	uint64_t p = base_page();
	const struct region_row rows[] = {
		{ "page 0", FULL, 0, 0, p, -EFAULT },
		{ "kernel's linear map", FULL, 0, 0xc000000000000000ULL, p,
		  -EFAULT },
		{ "kernel's vmalloc space", FULL, 0, 0xc008000000000000ULL, p,
		  -EFAULT },
		{ "after the largest user address", FULL, 0, 1ULL << 52, p,
		  -EFAULT },
		{ "second last page", FULL, 0, -2 * p, p, -EFAULT },
	};

	expect_rows(v, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, rows,
		    ARRAY_SIZE(rows));
}

/* The hole is at the front, then in the middle, then at the end (defect 11) */
TEST(registering_a_range_with_a_hole_returns_efault_and_pins_nothing, .intree = "defect 11")
{
	static const int holes[] = { 0, 7, 15 };
	uint64_t p = base_page();
	uint8_t *ua = memory(16 * p);
	struct ledger before = ledger();

	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		uint8_t *hole = ua + holes[i] * p;

		munmap(hole, p);
		expect(spapr_register(v->fd, ua, 16 * p), -EFAULT);
		expect_ledger("refused", before, 0);
		if (mmap(hole, p, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_FIXED, -1, 0) != hole)
			fail("cannot map the hole again");
	}
	expect(spapr_register(v->fd, ua, 16 * p), 0);
	expect_ledger("hole mapped again", before, 16 * p);
}

TEST(a_huge_range_with_holes_is_refused_quickly, .intree = "defect 11")
{
	uint8_t *ua = memory(SIZE);
	struct ledger before = ledger();
	uint64_t begin = now_ms();

	expect_either(spapr_register(v->fd, ua, 1ULL << 46), -EFAULT, -ENOMEM);
	expect_ledger("refused", before, 0);
	if (now_ms() - begin > patient_ms(5000))
		fail("expected an answer within 5 s, it took %llu ms",
		     (unsigned long long)(now_ms() - begin));
}

TEST(registering_inaccessible_memory_returns_efault, .intree = "defect 11")
{
	uint8_t *ua = memory(4 * base_page());
	struct ledger before = ledger();

	mprotect(ua + base_page(), base_page(), PROT_NONE);
	expect(spapr_register(v->fd, ua, 4 * base_page()), -EFAULT);
	expect_ledger("refused", before, 0);
}

/* Allocate a page of known content that the process may only read */
static uint8_t *read_only_page(void)
{
	uint8_t *ua = memory(base_page());

	pattern_fill(ua, base_page(), 4711);
	mprotect(ua, base_page(), PROT_READ);
	return ua;
}

/* The in-tree driver registers no read-only memory (defect 12), so it fails such tests */
TEST(read_only_memory_can_be_registered_and_read_by_the_device, .intree = "defect 12")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = read_only_page();
	struct ledger before = ledger();

	expect(spapr_register(v->fd, ua, base_page()), 0);
	expect_ledger("registered", before, base_page());
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	device_reads(v, 0, IOVA, ua, &sink);
	device_cannot_write(v, 0, IOVA, ua, &sink);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	expect_ledger("unregistered", before, 0);
}

TEST(read_only_memory_is_not_mapped_for_writing, .intree = "defect 12")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = read_only_page();

	expect(spapr_register(v->fd, ua, base_page()), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EPERM);
	expect(dma_map(v->fd, IOVA, ua, base_page(), WRITE_ONLY), -EPERM);
	device_cannot_write(v, 0, IOVA, ua, &sink);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EPERM);
	device_reads(v, 0, IOVA, ua, &sink);
	device_cannot_write(v, 0, IOVA, ua, &sink);
}

TEST(read_only_file_mappings_can_be_registered, .intree = "defect 12")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	int fd = memfd_create("tce2", MFD_CLOEXEC), reopened;
	struct ledger before;
	char path[64];
	uint8_t *ua;

	if (fd < 0 || ftruncate(fd, base_page()) ||
	    pwrite(fd, read_only_page(), PROBE, 0) != PROBE)
		fail("cannot create a file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reopened = open(path, O_RDONLY | O_CLOEXEC);
	ua = mmap(NULL, base_page(), PROT_READ, MAP_SHARED, reopened, 0);
	if (ua == MAP_FAILED)
		fail("cannot map the file for reading");
	before = ledger();
	expect(spapr_register(v->fd, ua, base_page()), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), -EPERM);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	device_reads(v, 0, IOVA, ua, &sink);
	device_cannot_write(v, 0, IOVA, ua, &sink);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
	expect_ledger("unregistered", before, 0);
	close(reopened);
	close(fd);
}

TEST(untouched_read_only_memory_reads_as_zeros, .intree = "defect 12")
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mmap(NULL, base_page(), PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(spapr_register(v->fd, ua, base_page()), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_ONLY), 0);
	device_reads(v, 0, IOVA, ua, &sink);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

/* The first half is read-only, so only the second half may be mapped for writing */
TEST(a_region_may_be_partly_writable, .intree = "defect 12")
{
	uint64_t p = base_page();
	uint8_t *ua = memory(4 * p);

	mprotect(ua, 2 * p, PROT_READ);
	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect(dma_map(v->fd, IOVA, ua, 4 * p, READ_WRITE), -EPERM);
	expect(dma_map(v->fd, IOVA, ua, 4 * p, READ_ONLY), 0);
	expect(dma_map(v->fd, IOVA + 2 * p, ua + 2 * p, 2 * p, READ_WRITE), 0);
	expect(dma_unmap(v->fd, IOVA, 4 * p), 0);
	unregister_ok(v, ua, 4 * p);
}

/*
 * A read-only hugepage in a region of base pages. An IOMMU page over it covers many blocks
 * of the region, all of which are read-only.
 */
TEST(a_large_iommu_page_of_read_only_memory_is_not_writable, .intree = "defect 12")
{
	uint8_t *ua = mem_scattered(MIB(4)), *huge = mem_thp(MIB(2));
	uint64_t start;

	if (!has_page_shift(v, 21))
		skip("the platform offers no 2 MiB IOMMU pages");
	if (!ua || !huge || mremap(huge, MIB(2), MIB(2),
				   MREMAP_MAYMOVE | MREMAP_FIXED, ua) != ua ||
	    !mem_contiguous(ua, MIB(2)) || mprotect(ua, MIB(2), PROT_READ))
		skip("no transparent hugepage is available");
	start = new_window(v, 21, MIB(64), 1);
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	expect(dma_map(v->fd, start, ua, MIB(2), READ_WRITE), -EPERM);
	expect(dma_map(v->fd, start, ua, MIB(2), WRITE_ONLY), -EPERM);
	expect(dma_map(v->fd, start, ua, MIB(2), READ_ONLY), 0);
	expect(spapr_unregister(v->fd, ua, MIB(4)), -EBUSY);
	expect(dma_unmap(v->fd, start, MIB(2)), 0);
	unregister_ok(v, ua, MIB(4));
}

TEST(shared_memory_can_be_registered_and_reached)
{
	uint8_t *ua = mmap(NULL, base_page(), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	expect(spapr_register(v->fd, ua, base_page()), 0);
	expect(dma_map(v->fd, IOVA, ua, base_page(), READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua);
}

#define DISK		"/dev/nvme0n1"

static void map_disk(uint8_t *at, int prot)
{
	int fd = open(DISK, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip("the machine has no disk");
	if (mmap(at, base_page(), prot, MAP_SHARED | MAP_FIXED, fd, 0) != at)
		fail("cannot map the disk: %s", strerror(errno));
	close(fd);
}

static bool kernel_pins_files_on_disks(void)
{
	struct utsname name;
	int major, minor;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		fail("uname");
	return major < 6 || (major == 6 && minor < 5);
}

/*
 * The kernel can't track a device's writes to a shared mapping of a disk, so written data
 * might not reach the disk. Therefore the kernel refuses to pin such memory for writing, and
 * the module unpins the pages that it has pinned before. The kernel pins such memory for
 * reading.
 */
TEST(registering_a_shared_disk_mapping_returns_efault_unless_read_only, .intree = "defect 12")
{
	uint64_t p = base_page();
	uint8_t *ua = memory(4 * p);
	struct ledger before = ledger();

	if (kernel_pins_files_on_disks())
		skip("kernels before 6.5 pin shared memory of files on disks");
	map_disk(ua + 3 * p, PROT_READ | PROT_WRITE);
	expect(spapr_register(v->fd, ua + 3 * p, p), -EFAULT);
	expect_ledger("after the disk was refused", before, 0);
	expect(spapr_register(v->fd, ua, 4 * p), -EFAULT);
	expect_ledger("after memory with the disk was refused", before, 0);
	map_disk(ua + 3 * p, PROT_READ);
	expect(spapr_register(v->fd, ua, 4 * p), 0);
	expect_ledger("registered", before, 4 * p);
	expect(dma_map(v->fd, IOVA, ua + 3 * p, p, READ_WRITE), -EPERM);
	unregister_ok(v, ua, 4 * p);
	expect_ledger("unregistered", before, 0);
}

TEST(untouched_memory_can_be_registered_and_reached)
{
	uint8_t *ua = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(spapr_register(v->fd, ua, SIZE), 0);
	expect(dma_map(v->fd, IOVA, ua, SIZE, READ_WRITE), 0);
	device_reaches(v, 0, IOVA + SIZE - TCE_4K, ua + SIZE - TCE_4K);
}

TEST(a_hugepage_is_charged_as_its_base_pages)
{
	uint8_t *ua = mem_hugetlb(MIB(2), 2);
	int64_t locked = vmlck();

	if (!ua)
		skip("no 2 MiB hugepage is available");
	expect(spapr_register(v->fd, ua, MIB(4)), 0);
	expect(vmlck() - locked, MIB(4));
	unregister_ok(v, ua, MIB(4));
	expect(vmlck() - locked, 0);
}

TEST(a_range_within_a_hugepage_can_be_registered)
{
	uint8_t *ua = mem_hugetlb(MIB(2), 1);
	uint64_t p = base_page();
	int64_t locked = vmlck();

	if (!ua)
		skip("no 2 MiB hugepage is available");
	expect(spapr_register(v->fd, ua + p, 4 * p), 0);
	expect(vmlck() - locked, 4 * p);
	expect(dma_map(v->fd, IOVA, ua + 2 * p, p, READ_WRITE), 0);
	device_reaches(v, 0, IOVA, ua + 2 * p);
}

TEST(unregister_in_a_fresh_container_returns_enoent, .intree = "returns EPERM instead of ENOENT")
{
	expect(spapr_unregister(v->fd, memory(SIZE), SIZE), -ENOENT);
	expect(call(v->fd, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, NULL), -EFAULT);
}

TEST(bad_unregister_requests_change_nothing)
{
	uint8_t *area = memory(3 * SIZE), *ua = area + SIZE;
	uint64_t at = (uintptr_t)ua, p = base_page();
	const struct region_row rows[] = {
		{ "argsz 0", 0, 0, at, SIZE, -EINVAL },
		{ "argsz one short", FULL - 1, 0, at, SIZE, -EINVAL },
		{ "flag 0", FULL, 1, at, SIZE, -EINVAL },
		{ "all flags", FULL, ~0U, at, SIZE, -EINVAL },
		{ "size 1", FULL, 0, at, 1, -EINVAL },
		{ "size one more", FULL, 0, at, SIZE + 1, -EINVAL },
		{ "address one more", FULL, 0, at + 1, SIZE, -EINVAL },
		{ "first half", FULL, 0, at, SIZE / 2, -ENOENT },
		{ "second half", FULL, 0, at + SIZE / 2, SIZE / 2, -ENOENT },
		{ "a page more", FULL, 0, at, SIZE + p, -ENOENT },
		{ "a page before", FULL, 0, at - p, SIZE, -ENOENT },
		{ "never registered", FULL, 0, at + SIZE, SIZE, -ENOENT },
		{ "kernel address", FULL, 0, 0xc000000000000000ULL, SIZE,
		  -ENOENT },
	};

	expect(spapr_register(v->fd, ua, SIZE), 0);
	expect_rows(v, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, rows,
		    ARRAY_SIZE(rows));
	expect_either(spapr_unregister(v->fd, ua, 0), -EINVAL, -ENOENT);
	expect_bad_pointers_fault(v->fd, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY);
	unregister_ok(v, ua, SIZE);
}

TEST(register_and_unregister_accept_a_larger_argsz)
{
	uint8_t *ua = memory(SIZE);
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = ~0U,
		.vaddr = (uintptr_t)ua,
		.size = SIZE,
	};
	void *last = at_page_end(&reg, sizeof(reg));

	expect(call(v->fd, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, last), 0);
	expect(call(v->fd, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, last), 0);
}

/* Unregistering mapped memory changes nothing, and works after the unmap (defect 3) */
TEST(unregister_while_mapped_returns_ebusy_and_can_be_retried, .intree = "defect 3")
{
	struct ledger before = ledger();
	uint8_t *ua = mapped(v, IOVA, SIZE);

	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(pins() - before.pins, SIZE / base_page());
	device_reaches(v, 0, IOVA, ua);
	expect(spapr_register(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, SIZE), 0);
	unregister_ok(v, ua, SIZE);
	expect(pins(), before.pins);
	expect(spapr_unregister(v->fd, ua, SIZE), -ENOENT);
	expect(spapr_register(v->fd, ua, SIZE), 0);
}

TEST(one_mapped_tce_keeps_the_whole_region_registered, .intree = "defect 3")
{
	uint8_t *ua = registered(v, SIZE);

	expect(dma_map(v->fd, IOVA, ua + SIZE - TCE_4K, TCE_4K, READ_WRITE), 0);
	expect(spapr_unregister(v->fd, ua, SIZE), -EBUSY);
	expect(dma_unmap(v->fd, IOVA, TCE_4K), 0);
	unregister_ok(v, ua, SIZE);
}

TEST(memory_unmapped_by_the_process_stays_reachable_by_the_device)
{
	struct sink sink = sink_at(v, SINK_IOVA);
	uint8_t *ua = mapped(v, IOVA, base_page());
	uint8_t copy[PROBE];

	pattern_fill(ua, PROBE, 815);
	memcpy(copy, ua, PROBE);
	munmap(ua, base_page());
	device_reads(v, 0, IOVA, copy, &sink);
	expect(dma_unmap(v->fd, IOVA, base_page()), 0);
	unregister_ok(v, ua, base_page());
}

/* Register the even pages, then the odd pages; unregister all in another order */
TEST(many_regions_are_registered_and_unregistered_exactly, .intree = "defect 3")
{
	enum { PAGES = 256, STRIDE = 37 };	/* coprime */
	uint64_t p = base_page();
	uint8_t *ua = memory(PAGES * p);
	struct ledger before = ledger();

	for (int i = 0; i < PAGES; i++) {
		int page = 2 * i % PAGES + 2 * i / PAGES;

		expect(spapr_register(v->fd, ua + page * p, p), 0);
	}
	expect_ledger("all registered", before, PAGES * p);
	expect(dma_map(v->fd, IOVA, ua + 77 * p, p, READ_WRITE), 0);
	for (int i = 0; i < PAGES; i++) {
		int page = i * STRIDE % PAGES;

		expect(spapr_unregister(v->fd, ua + page * p, p),
		       page == 77 ? -EBUSY : 0);
	}
	expect(dma_unmap(v->fd, IOVA, p), 0);
	unregister_ok(v, ua + 77 * p, p);
}
