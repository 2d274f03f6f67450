/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_ACCESS_H
#define TCE2_ACCESS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "tce2_range.h"

struct page;
struct tce2_cache;
struct tce2_window;
struct vfio_device;

/**
 * struct tce2_access - the emulated devices of a container, and the pages that they have pinned
 * @devices_lock: protects @devices; held while the drivers of all devices are notified
 * @devices: open devices (struct vfio_device, @iommu_entry) whose driver has a function
 *	dma_unmap
 * @pins_lock: protects @pins, @nr_pins, @cache and @closing
 * @pins: pinned pages (struct tce2_pin), indexed by bus address divided by PAGE_SIZE
 * @nr_pins: number of elements of @pins; read without a lock
 * @cache: region cache of the pinned pages; NULL before the first pin
 * @closing: ranges that are being unmapped (struct tce2_closing), in which no page may be
 *	pinned
 * @unpinned: wait queue for the removal of elements of @pins
 * @notified: number of calls of dma_unmap; written under @devices_lock, read without a lock
 *
 * While a page is pinned, its bus addresses stay mapped to it. The exception is a window that is
 * removed with a group or with the container.
 *
 * A driver may call tce2_access_pin() and tce2_access_unpin() while it is notified. So a thread
 * that notifies drivers holds only @devices_lock.
 *
 * Lock order: owner's lock (struct tce2_ddw) -> ranges of a window -> @pins_lock. Drivers take
 * these locks inside @devices_lock.
 */
struct tce2_access {
	struct mutex devices_lock;	/* protects devices */
	struct list_head devices;
	struct mutex pins_lock;	/* protects pins, nr_pins, cache, closing */
	struct xarray pins;
	unsigned long nr_pins;
	struct tce2_cache *cache;
	struct list_head closing;
	wait_queue_head_t unpinned;
	unsigned long notified;
};

/**
 * struct tce2_closing - a range of bus addresses in which no page may be pinned
 * @node: node in the list of struct tce2_access
 * @first: first bus address divided by PAGE_SIZE
 * @last: last bus address divided by PAGE_SIZE
 *
 * Lives on the stack of the thread that unmaps the range.
 */
struct tce2_closing {
	struct list_head node;
	unsigned long first;
	unsigned long last;
};

/**
 * struct tce2_pin_request - a driver's request to pin pages
 * @iova: first bus address
 * @count: number of pages of PAGE_SIZE
 * @perm: permissions that the driver needs: TCE2_PERM_READ, TCE2_PERM_WRITE, both or none
 * @pages: set to the pages; after an error, no element points to a page of the request
 */
struct tce2_pin_request {
	u64 iova;
	u64 count;
	u64 perm;
	struct page **pages;
};

/**
 * struct tce2_access_request - a driver's request to read or write memory
 * @iova: first bus address
 * @data: the driver's buffer
 * @bytes: number of bytes
 * @write: true to write to the memory, false to read it
 */
struct tce2_access_request {
	u64 iova;
	void *data;
	u64 bytes;
	bool write;
};

void tce2_access_init(struct tce2_access *access);
void tce2_access_destroy(struct tce2_access *access);
void tce2_access_add_device(struct tce2_access *access, struct vfio_device *device);
bool tce2_access_remove_device(struct tce2_access *access, struct vfio_device *device);

int tce2_access_pin(struct tce2_access *access, struct tce2_window *window,
		    const struct tce2_pin_request *request, enum tce2_patience patience);
void tce2_access_unpin(struct tce2_access *access, struct tce2_cache *cache, u64 iova,
		       u64 count);
int tce2_access_copy(struct tce2_window *window, struct tce2_access_request *request,
		     enum tce2_patience patience);

void tce2_access_close(struct tce2_access *access, struct tce2_closing *closing, u64 iova,
		       u64 size);
int tce2_access_release(struct tce2_access *access, const struct tce2_closing *closing);
void tce2_access_release_for_vfio(struct tce2_access *access,
				  const struct tce2_closing *closing);
void tce2_access_reopen(struct tce2_access *access, struct tce2_closing *closing);

#endif /* TCE2_ACCESS_H */
