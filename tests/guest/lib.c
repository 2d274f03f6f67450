// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions of lib.h: find the edu devices, open VFIO, drive the edu DMA engine, allocate
 * memory with a known physical backing, and read the kernel's counts.
 */
#define _GNU_SOURCE
#include "lib.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

size_t base_page(void)
{
	static size_t size;

	if (!size)
		size = sysconf(_SC_PAGESIZE);
	return size;
}

/* Check for pseries, a hypervisor's guest, whose TCE tables belong to the hypervisor */
bool under_hypervisor(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[128];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "platform", 8))
			found = strstr(line, "pSeries");
	if (f)
		fclose(f);
	return found;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Read the first line of a file without its newline; false if the file has no line */
bool read_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(line, size, f);
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = 0;
	return ok;
}

/* Parse a number; fail if the text contains any other character */
bool number_of(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

int64_t read_number(const char *path)
{
	char line[64];

	return read_line(path, line, sizeof(line)) ? strtoll(line, NULL, 0) : -1;
}

bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

bool write_number(const char *path, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	return write_text(path, text);
}

/*
 * Counts that show leaks
 */

/* locked_vm of this process, in bytes */
int64_t vmlck(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	long long kib = -1;
	char line[128];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %lld kB", &kib) == 1)
			break;
	fclose(f);
	return kib < 0 ? -1 : kib * 1024;
}

/*
 * Make the kernel add its per-CPU page counts to the totals now, which it otherwise does
 * about once a second.
 */
void refresh_counters(void)
{
	write_number("/proc/sys/vm/stat_refresh", 1);
}

/* Pinned pages of the whole system */
int64_t pins(void)
{
	long long acquired = 0, released = 0;
	unsigned int found = 0;
	char line[128];
	FILE *f;

	refresh_counters();
	f = fopen("/proc/vmstat", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "nr_foll_pin_acquired %lld", &acquired) == 1 ||
		    sscanf(line, "nr_foll_pin_released %lld", &released) == 1)
			found++;
	}
	fclose(f);
	return found == 2 ? acquired - released : -1;
}

/* Read a value of /proc/meminfo in bytes; 0 if it has no such name */
int64_t meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	size_t len = strlen(name);
	long long kib = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			sscanf(line + len + 1, "%lld", &kib);
	fclose(f);
	return kib * 1024;
}

/* Return the use count of a module, -1 if it is not loaded */
int module_refs(const char *name)
{
	FILE *f = fopen("/proc/modules", "re");
	char line[512], loaded[64];
	int refs, found = -1;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %*u %d", loaded, &refs) == 2 &&
		    !strcmp(loaded, name))
			found = refs;
	fclose(f);
	return found;
}

/*
 * Allocation of memory, which is private, anonymous and present unless a comment says
 * otherwise
 */

static void *reserve_aligned(size_t size, size_t align)
{
	uint8_t *ua = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ua == MAP_FAILED)
		return NULL;
	return (void *)(((uintptr_t)ua + align - 1) & ~(uintptr_t)(align - 1));
}

static void touch(uint8_t *ua, size_t size)
{
	for (size_t off = 0; off < size; off += base_page())
		ua[off] = 1;
}

/* Allocate base pages, never large pages */
void *mem_base(size_t size)
{
	void *ua = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ua == MAP_FAILED)
		return NULL;
	madvise(ua, size, MADV_NOHUGEPAGE);
	touch(ua, size);
	return ua;
}

/*
 * Allocate base pages that are not adjacent in physical memory: they are touched by turns
 * with the pages of a second mapping, which stays. The memory is aligned to 2 MiB, like
 * memory of a client that uses large IOMMU pages.
 */
void *mem_scattered(size_t size)
{
	uint8_t *ua = reserve_aligned(size, MIB(2));
	uint8_t *other = reserve_aligned(size, MIB(2));

	if (!ua || !other)
		return NULL;
	madvise(ua, size, MADV_NOHUGEPAGE);
	madvise(other, size, MADV_NOHUGEPAGE);
	for (size_t off = 0; off < size; off += base_page()) {
		ua[off] = 1;
		other[off] = 1;
	}
	return ua;
}

static bool reserve_hugetlb(size_t page, size_t count)
{
	char nr[96], spare[96];
	int64_t have;

	snprintf(nr, sizeof(nr),
		 "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages",
		 page / 1024);
	snprintf(spare, sizeof(spare),
		 "/sys/kernel/mm/hugepages/hugepages-%zukB/free_hugepages",
		 page / 1024);
	have = read_number(spare);
	if (have < 0)
		return false;
	if (have < (int64_t)count)
		write_number(nr, read_number(nr) + count - have);
	return read_number(spare) >= (int64_t)count;
}

/* Allocate hugepages, from an enlarged pool if necessary; NULL if too few are available */
void *mem_hugetlb(size_t page, size_t count)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		    (__builtin_ctzll(page) << MAP_HUGE_SHIFT);
	uint8_t *ua;

	if (!reserve_hugetlb(page, count))
		return NULL;
	ua = mmap(NULL, page * count, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (ua == MAP_FAILED)
		return NULL;
	for (size_t i = 0; i < count; i++)
		ua[i * page] = 1;
	return ua;
}

/* Allocate transparent 2 MiB hugepages; NULL if part of the memory has base pages */
void *mem_thp(size_t size)
{
	uint8_t *ua = reserve_aligned(size, MIB(2));

	if (!ua || madvise(ua, size, MADV_HUGEPAGE))
		return NULL;
	touch(ua, size);
	for (size_t off = 0; off < size; off += MIB(2))
		if (!mem_contiguous(ua + off, MIB(2)))
			return NULL;
	return ua;
}

#define FRAME_MASK	((1ULL << 55) - 1)	/* of a pagemap entry */

/*
 * Find the frame numbers of consecutive base pages from ua on, 0 for pages that are not
 * present. Return false if the kernel does not provide them.
 */
bool mem_frames(const void *ua, size_t pages, uint64_t *frames)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t len = pages * sizeof(*frames);
	bool ok;

	if (pagemap < 0)
		return false;
	ok = pread(pagemap, frames, len,
		   (uintptr_t)ua / base_page() * sizeof(*frames)) == len;
	close(pagemap);
	for (size_t i = 0; ok && i < pages; i++)
		frames[i] &= FRAME_MASK;
	return ok;
}

/* Check that memory is physically contiguous and naturally aligned */
bool mem_contiguous(const void *ua, size_t size)
{
	size_t pages = size / base_page();
	uint64_t *frames = calloc(pages, sizeof(*frames));
	bool ok;

	if (!frames)
		return false;
	ok = mem_frames(ua, pages, frames) && frames[0] &&
	     frames[0] % pages == 0;
	for (size_t i = 1; ok && i < pages; i++)
		ok = frames[i] == frames[0] + i;
	free(frames);
	return ok;
}

/* Return a word that differs for every seed and at every offset (xorshift64*) */
static uint64_t pattern_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

void pattern_fill(void *ua, size_t len, uint64_t seed)
{
	uint64_t state = seed * 2 + 1, word;

	for (size_t off = 0; off < len; off += sizeof(word)) {
		word = pattern_next(&state);
		memcpy((uint8_t *)ua + off, &word, sizeof(word));
	}
}

bool pattern_is(const void *ua, size_t len, uint64_t seed)
{
	uint64_t state = seed * 2 + 1, word;

	for (size_t off = 0; off < len; off += sizeof(word)) {
		word = pattern_next(&state);
		if (memcmp((const uint8_t *)ua + off, &word, sizeof(word)))
			return false;
	}
	return true;
}

/*
 * Calls of the SPAPR TCE v2 interface
 */

static int plain_call(int fd, unsigned long nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

static void plain_close(int fd)
{
	close(fd);
}

const struct hooks plain_hooks = { plain_call, plain_close };
struct hooks hooks = { plain_call, plain_close };

int call(int fd, unsigned long nr, void *arg)
{
	return hooks.call(fd, nr, arg);
}

int check_extension(int fd, unsigned long type)
{
	return call(fd, VFIO_CHECK_EXTENSION, (void *)type);
}

int get_info(int fd, struct vfio_iommu_spapr_tce_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	return call(fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, info);
}

int spapr_register(int fd, const void *ua, uint64_t size)
{
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = sizeof(reg),
		.vaddr = (uintptr_t)ua,
		.size = size,
	};

	return call(fd, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, &reg);
}

int spapr_unregister(int fd, const void *ua, uint64_t size)
{
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = sizeof(reg),
		.vaddr = (uintptr_t)ua,
		.size = size,
	};

	return call(fd, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, &reg);
}

int dma_map(int fd, uint64_t iova, const void *ua, uint64_t size,
	    uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)ua,
		.iova = iova,
		.size = size,
	};

	return call(fd, VFIO_IOMMU_MAP_DMA, &map);
}

int dma_unmap(int fd, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	return call(fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

int window_create(int fd, uint32_t page_shift, uint64_t size, uint32_t levels,
		  uint64_t *start)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create),
		.page_shift = page_shift,
		.window_size = size,
		.levels = levels,
	};
	int ret = call(fd, VFIO_IOMMU_SPAPR_TCE_CREATE, &create);

	if (!ret && start)
		*start = create.start_addr;
	return ret;
}

int window_remove(int fd, uint64_t start)
{
	struct vfio_iommu_spapr_tce_remove remove = {
		.argsz = sizeof(remove),
		.start_addr = start,
	};

	return call(fd, VFIO_IOMMU_SPAPR_TCE_REMOVE, &remove);
}

/* Requests of a vector, see vfio_spapr_tce2.h */

struct vfio_tce2_range map_range(uint64_t iova, const void *ua, uint64_t size,
				 uint32_t flags)
{
	return (struct vfio_tce2_range){
		.iova = iova, .vaddr = (uintptr_t)ua, .size = size,
		.op = VFIO_TCE2_OP_MAP, .flags = flags,
	};
}

struct vfio_tce2_range unmap_range(uint64_t iova, uint64_t size)
{
	return (struct vfio_tce2_range){
		.iova = iova, .size = size, .op = VFIO_TCE2_OP_UNMAP,
	};
}

struct vfio_tce2_range unmap_window_range(uint64_t start)
{
	return (struct vfio_tce2_range){
		.iova = start, .op = VFIO_TCE2_OP_UNMAP_WINDOW,
	};
}

struct vfio_tce2_range copy_range(uint64_t iova, uint64_t source, uint64_t size)
{
	return (struct vfio_tce2_range){
		.iova = iova, .vaddr = source, .size = size, .op = VFIO_TCE2_OP_COPY,
	};
}

/* Carries out a vector; @result may be NULL */
int run_ranges(int fd, const struct vfio_tce2_range *range, uint32_t count, uint32_t flags,
	       int32_t *result, uint32_t *done)
{
	struct vfio_tce2_ranges vector = {
		.argsz = sizeof(vector), .flags = flags, .ranges = (uintptr_t)range,
		.results = (uintptr_t)result, .count = count,
	};
	int ret = call(fd, VFIO_IOMMU_TCE2_RANGES, &vector);

	*done = vector.done;
	return ret;
}

int eeh_op(int fd, uint32_t op)
{
	struct vfio_eeh_pe_op pe_op = { .argsz = sizeof(pe_op), .op = op };

	return call(fd, VFIO_EEH_PE_OP, &pe_op);
}

/*
 * The edu device (QEMU docs/specs/edu.rst)
 */

enum {
	EDU_ID		= 0x00,
	EDU_LIVENESS	= 0x04,	/* reads as the inverse of the value written */
	EDU_DMA_SRC	= 0x80,
	EDU_DMA_DST	= 0x88,
	EDU_DMA_COUNT	= 0x90,
	EDU_DMA_COMMAND	= 0x98,
};

#define EDU_ID_VALUE		0x010000edU
#define EDU_BUFFER_ADDR		0x40000ULL
#define EDU_COMMAND_START	1
#define EDU_COMMAND_TO_RAM	2
#define EDU_TIMEOUT_MS		10000

#define PCI_COMMAND_OFFSET	4
#define PCI_COMMAND_MEMORY	2
#define PCI_COMMAND_MASTER	4

static uint32_t edu_read32(struct edu *edu, unsigned int reg)
{
	uint32_t value = *(volatile uint32_t *)(edu->bar + reg);

	return edu->swap ? __builtin_bswap32(value) : value;
}

static void edu_write32(struct edu *edu, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(edu->bar + reg) =
		edu->swap ? __builtin_bswap32(value) : value;
}

static uint64_t edu_read64(struct edu *edu, unsigned int reg)
{
	uint64_t value = *(volatile uint64_t *)(edu->bar + reg);

	return edu->swap ? __builtin_bswap64(value) : value;
}

static void edu_write64(struct edu *edu, unsigned int reg, uint64_t value)
{
	*(volatile uint64_t *)(edu->bar + reg) =
		edu->swap ? __builtin_bswap64(value) : value;
}

/* Find the byte order of the registers; fail if the device is not an edu device */
static int edu_self_check(struct edu *edu)
{
	const uint32_t probe = 0x12345678;

	edu->swap = false;
	if (edu_read32(edu, EDU_ID) != EDU_ID_VALUE)
		edu->swap = true;
	if (edu_read32(edu, EDU_ID) != EDU_ID_VALUE)
		return -ENODEV;
	edu_write32(edu, EDU_LIVENESS, probe);
	return edu_read32(edu, EDU_LIVENESS) == ~probe ? 0 : -EIO;
}

static int region_info(int fd, uint32_t index, struct vfio_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	return call(fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

/* Enable the device's BAR and its DMA */
int edu_enable(struct edu *edu)
{
	uint64_t where = edu->config + PCI_COMMAND_OFFSET;
	uint16_t command;

	if (pread(edu->fd, &command, sizeof(command), where) != sizeof(command))
		return -EIO;
	command = htole16(le16toh(command) | PCI_COMMAND_MEMORY |
			  PCI_COMMAND_MASTER);
	if (pwrite(edu->fd, &command, sizeof(command), where) !=
	    sizeof(command))
		return -EIO;
	return 0;
}

static int edu_map_bar(struct edu *edu)
{
	struct vfio_region_info info;
	int ret = region_info(edu->fd, VFIO_PCI_BAR0_REGION_INDEX, &info);
	void *bar;

	if (ret)
		return ret;
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, edu->fd,
		   info.offset);
	if (bar == MAP_FAILED)
		return -errno;
	edu->bar = bar;
	edu->bar_size = info.size;
	return 0;
}

/* Initialize @edu from the descriptor of an open VFIO device, which edu_close() will close */
int edu_adopt(struct edu *edu, int fd)
{
	struct vfio_region_info info;
	int ret;

	*edu = (struct edu){ .fd = fd };
	ret = region_info(fd, VFIO_PCI_CONFIG_REGION_INDEX, &info);
	if (ret)
		return ret;
	edu->config = info.offset;
	ret = edu_enable(edu);
	if (!ret)
		ret = edu_map_bar(edu);
	if (!ret)
		ret = edu_self_check(edu);
	return ret;
}

/* Unmap the BAR first, because its mapping keeps the device open */
void edu_close(struct edu *edu)
{
	if (edu->bar)
		munmap((void *)edu->bar, edu->bar_size);
	if (edu->fd >= 0)
		close(edu->fd);
	*edu = (struct edu){ .fd = -1 };
}

/* Run the DMA engine until it is done; the device does not report failed accesses */
static int edu_dma(struct edu *edu, uint64_t src, uint64_t dst, size_t len,
		   uint64_t command)
{
	uint64_t deadline = now_ms() + EDU_TIMEOUT_MS;

	edu_write64(edu, EDU_DMA_SRC, src);
	edu_write64(edu, EDU_DMA_DST, dst);
	edu_write64(edu, EDU_DMA_COUNT, len);
	__sync_synchronize();
	edu_write64(edu, EDU_DMA_COMMAND, command | EDU_COMMAND_START);
	while (edu_read64(edu, EDU_DMA_COMMAND) & EDU_COMMAND_START) {
		if (now_ms() > deadline)
			return -ETIMEDOUT;
		usleep(2000);
	}
	__sync_synchronize();
	return 0;
}

/* Let the device read len bytes at iova into its buffer at off */
int edu_to_device(struct edu *edu, uint64_t iova, size_t off, size_t len)
{
	if (off + len > EDU_BUFFER)
		return -ERANGE;
	return edu_dma(edu, iova, EDU_BUFFER_ADDR + off, len, 0);
}

/* Let the device write len bytes of its buffer at off to iova */
int edu_from_device(struct edu *edu, uint64_t iova, size_t off, size_t len)
{
	if (off + len > EDU_BUFFER)
		return -ERANGE;
	return edu_dma(edu, EDU_BUFFER_ADDR + off, iova, len,
		       EDU_COMMAND_TO_RAM);
}

/*
 * VFIO containers, groups and devices
 */

#define PCI_DEVICES	"/sys/bus/pci/devices"

static struct {
	char name[32];
	int group;
} devices[SLOTS];

bool is_edu(const char *name)
{
	char path[320];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/vendor", name);
	if (read_number(path) != 0x1234)
		return false;
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/device", name);
	return read_number(path) == 0x11e8;
}

/* Return the IOMMU group of a PCI device, -1 without a group */
int group_of(const char *name)
{
	char path[320], link[320];
	ssize_t len;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/iommu_group", name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -1;
	link[len] = 0;
	return atoi(strrchr(link, '/') + 1);
}

/* Count the edu devices that have a group; assign them to slots in order of address */
int vfio_devices(void)
{
	static int found = -1;
	struct dirent **entry;
	int n;

	if (found >= 0)
		return found;
	found = 0;
	n = scandir(PCI_DEVICES, &entry, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name;

		if (found < SLOTS && is_edu(name) && group_of(name) >= 0) {
			snprintf(devices[found].name,
				 sizeof(devices[found].name), "%.31s", name);
			devices[found++].group = group_of(name);
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return found;
}

const char *vfio_device_name(int slot)
{
	return slot < vfio_devices() ? devices[slot].name : NULL;
}

int vfio_device_group(int slot)
{
	return slot < vfio_devices() ? devices[slot].group : -1;
}

/* Initialize @v without open descriptors, so that vfio_close() may be called at any time */
void vfio_init(struct vfio *v)
{
	v->fd = -1;
	for (int slot = 0; slot < SLOTS; slot++) {
		v->group[slot] = -1;
		v->edu[slot] = (struct edu){ .fd = -1 };
	}
}

/* Open an empty container, which has no group and no backend */
int vfio_open(struct vfio *v)
{
	vfio_init(v);
	v->fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	return v->fd < 0 ? -errno : 0;
}

/* Add the group of a slot's device to the container */
int vfio_attach(struct vfio *v, int slot)
{
	char path[32];
	int ret;

	if (slot >= vfio_devices())
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev/vfio/%d", devices[slot].group);
	v->group[slot] = open(path, O_RDWR | O_CLOEXEC);
	if (v->group[slot] < 0)
		return -errno;
	ret = call(v->group[slot], VFIO_GROUP_SET_CONTAINER, &v->fd);
	if (ret) {
		close(v->group[slot]);
		v->group[slot] = -1;
	}
	return ret;
}

int vfio_set_iommu(struct vfio *v, unsigned long type)
{
	return call(v->fd, VFIO_SET_IOMMU, (void *)type);
}

/* Open a slot's device unless it is open. Call this only for DMA: it may reset the bus */
int vfio_open_device(struct vfio *v, int slot)
{
	int fd, ret;

	if (v->edu[slot].fd >= 0)
		return 0;
	fd = call(v->group[slot], VFIO_GROUP_GET_DEVICE_FD, devices[slot].name);
	if (fd < 0)
		return fd;
	ret = edu_adopt(&v->edu[slot], fd);
	if (ret)
		edu_close(&v->edu[slot]);
	return ret;
}

/* Open a v2 container with slot 0's group and without mappings */
int vfio_own(struct vfio *v)
{
	int ret = vfio_open(v);

	if (!ret)
		ret = vfio_attach(v, 0);
	return ret ?: vfio_set_iommu(v, VFIO_SPAPR_TCE_v2_IOMMU);
}

/* Let slot 0's device write to iova; return 1 if @page changes, else 0 or -errno */
int vfio_device_writes(struct vfio *v, uint64_t iova, uint8_t *page)
{
	const uint64_t seed = 7;
	int ret;

	pattern_fill(page, EDU_BUFFER, seed);
	ret = vfio_open_device(v, 0) ?: edu_enable(&v->edu[0]);
	if (ret)
		return ret;
	edu_from_device(&v->edu[0], iova, 0, EDU_BUFFER);
	return !pattern_is(page, EDU_BUFFER, seed);
}

/* Remove a group from the container with VFIO_GROUP_UNSET_CONTAINER */
int vfio_detach(struct vfio *v, int slot)
{
	int ret;

	edu_close(&v->edu[slot]);
	ret = call(v->group[slot], VFIO_GROUP_UNSET_CONTAINER, NULL);
	hooks.close(v->group[slot]);
	v->group[slot] = -1;
	return ret;
}

void vfio_close(struct vfio *v)
{
	for (int slot = 0; slot < SLOTS; slot++) {
		edu_close(&v->edu[slot]);
		if (v->group[slot] >= 0)
			hooks.close(v->group[slot]);
		v->group[slot] = -1;
	}
	if (v->fd >= 0)
		hooks.close(v->fd);
	v->fd = -1;
}
