/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that the guest's test programs share: a VFIO container with up to two edu
 * devices, the calls of the SPAPR TCE v2 interface, the device's DMA engine, memory with
 * each kind of backing, and the counts that show leaks.
 *
 * Calls return 0, a positive answer of the kernel, or -errno. These functions neither
 * print nor exit; the programs do.
 */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/uapi/vfio_spapr_tce2.h"

#define KIB(n)		((uint64_t)(n) << 10)
#define MIB(n)		((uint64_t)(n) << 20)
#define GIB(n)		((uint64_t)(n) << 30)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define READ_ONLY	VFIO_DMA_MAP_FLAG_READ
#define WRITE_ONLY	VFIO_DMA_MAP_FLAG_WRITE
#define READ_WRITE	(READ_ONLY | WRITE_ONLY)

/*
 * Start of the second window. IODA2: window 0 starts at 0, window 1 at PCI address bit 59.
 * On pseries, QEMU's hypervisor puts each window except the default one there.
 */
#define WINDOW1_START	(1ULL << 59)
/* Bytes of an IOMMU page of the default window, which one TCE maps */
#define TCE_4K		KIB(4)

size_t base_page(void);
bool under_hypervisor(void);

/* Size in bytes of the edu device's buffer, its only memory */
#define EDU_BUFFER	4096

/**
 * struct edu - an open edu device
 * @fd: VFIO device, -1 when closed
 * @config: file offset of the configuration space region
 * @bar: mapping of BAR 0
 * @bar_size: size of BAR 0 in bytes
 * @swap: the byte order of the device's registers differs from the CPU's
 */
struct edu {
	int fd;
	uint64_t config;
	volatile uint8_t *bar;
	size_t bar_size;
	bool swap;
};

int edu_adopt(struct edu *edu, int fd);
void edu_close(struct edu *edu);
int edu_enable(struct edu *edu);
int edu_to_device(struct edu *edu, uint64_t iova, size_t off, size_t len);
int edu_from_device(struct edu *edu, uint64_t iova, size_t off, size_t len);

#define SLOTS		2

bool is_edu(const char *name);
int group_of(const char *name);

/**
 * struct vfio - a container with its groups and devices
 * @fd: the container
 * @group: descriptor of the group of each slot's device, -1 when not attached
 * @edu: the edu device of each slot, opened on demand
 */
struct vfio {
	int fd;
	int group[SLOTS];
	struct edu edu[SLOTS];
};

int vfio_devices(void);
const char *vfio_device_name(int slot);
int vfio_device_group(int slot);

void vfio_init(struct vfio *v);
int vfio_open(struct vfio *v);
int vfio_attach(struct vfio *v, int slot);
int vfio_set_iommu(struct vfio *v, unsigned long type);
int vfio_open_device(struct vfio *v, int slot);
int vfio_own(struct vfio *v);
int vfio_device_writes(struct vfio *v, uint64_t iova, uint8_t *page);
int vfio_detach(struct vfio *v, int slot);
void vfio_close(struct vfio *v);

/**
 * struct hooks - functions that make the system calls of the interface
 * @call: make an ioctl; return its result or -errno
 * @close: close a group or a container
 *
 * Equal to plain_hooks unless a program intercepts the calls.
 */
struct hooks {
	int (*call)(int fd, unsigned long nr, void *arg);
	void (*close)(int fd);
};

extern const struct hooks plain_hooks;
extern struct hooks hooks;

int call(int fd, unsigned long nr, void *arg);
int check_extension(int fd, unsigned long type);
int get_info(int fd, struct vfio_iommu_spapr_tce_info *info);
int spapr_register(int fd, const void *ua, uint64_t size);
int spapr_unregister(int fd, const void *ua, uint64_t size);
int dma_map(int fd, uint64_t iova, const void *ua, uint64_t size,
	    uint32_t flags);
int dma_unmap(int fd, uint64_t iova, uint64_t size);
int window_create(int fd, uint32_t page_shift, uint64_t size, uint32_t levels,
		  uint64_t *start);
int window_remove(int fd, uint64_t start);
int eeh_op(int fd, uint32_t op);

struct vfio_tce2_range map_range(uint64_t iova, const void *ua, uint64_t size,
				 uint32_t flags);
struct vfio_tce2_range unmap_range(uint64_t iova, uint64_t size);
struct vfio_tce2_range unmap_window_range(uint64_t start);
struct vfio_tce2_range copy_range(uint64_t iova, uint64_t source, uint64_t size);
int run_ranges(int fd, const struct vfio_tce2_range *range, uint32_t count, uint32_t flags,
	       int32_t *result, uint32_t *done);

void *mem_base(size_t size);
void *mem_scattered(size_t size);
void *mem_hugetlb(size_t page, size_t count);
void *mem_thp(size_t size);
bool mem_contiguous(const void *ua, size_t size);
bool mem_frames(const void *ua, size_t pages, uint64_t *frames);

void pattern_fill(void *ua, size_t len, uint64_t seed);
bool pattern_is(const void *ua, size_t len, uint64_t seed);

int64_t vmlck(void);
int64_t pins(void);
bool number_of(const char *text, uint64_t *number);
bool read_line(const char *path, char *line, int size);
int64_t read_number(const char *path);
bool write_text(const char *path, const char *text);
bool write_number(const char *path, int64_t number);
int64_t meminfo(const char *name);
void refresh_counters(void);
int module_refs(const char *name);
uint64_t now_ms(void);

#endif /* GUEST_LIB_H */
