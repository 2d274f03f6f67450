// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access by emulated devices: pins pages for their drivers, and copies data.
 *
 * Owns struct tce2_access. An emulated device has no DMA engine. Its driver asks VFIO for the
 * memory that bus addresses map: it pins pages, or lets VFIO copy data (vfio_pin_pages(),
 * vfio_dma_rw()). This file finds the memory in the window's view and in the region cache. So
 * a driver reaches exactly the memory that a device with hardware reaches: the registered,
 * pinned memory of mapped entries, with the permissions of these entries.
 *
 * A request that unmaps or replaces pinned bus addresses must not leave a driver with the
 * memory. The map engine refuses such a request with TCE2_PINNED, after it has checked the
 * memory to map. Then the caller
 *
 *	1. forbids new pins in the range	tce2_access_close()
 *	2. notifies the drivers			tce2_access_release()
 *	3. repeats the request
 *	4. allows pins again			tce2_access_reopen()
 *
 * A notified driver must unpin the pages (vfio_dma_unmap(), struct vfio_device_ops). Until it
 * does, the region of the page stays pinned, because each pin holds the page (src/mm_iommu.c).
 *
 * Locks: devices_lock and pins_lock of struct tce2_access, range lock of a window.
 * Calls: tce_v2 (leaves), mm_iommu, cache, view.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vfio.h>

#include "tce2_access.h"
#include "tce2_cache.h"
#include "tce2_mm_iommu.h"
#include "tce2_tce_v2.h"
#include "tce2_why.h"

/* Number of notifications before a request fails; type1 crashes the kernel after 10 */
#define NOTIFICATIONS	10

/* Time to wait for the driver after each notification */
#define PATIENCE_MS	100

/**
 * struct tce2_pin - a pinned page
 * @ua: user address of the page
 * @count: number of pins
 */
struct tce2_pin {
	u64 ua;
	unsigned long count;
};

/**
 * tce2_access_init() - initialize the structure, with no device and no pinned page
 * @access: zeroed memory for the structure
 */
void tce2_access_init(struct tce2_access *access)
{
	mutex_init(&access->devices_lock);
	INIT_LIST_HEAD(&access->devices);
	mutex_init(&access->pins_lock);
	xa_init_flags(&access->pins, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&access->closing);
	init_waitqueue_head(&access->unpinned);
}

/**
 * tce2_access_destroy() - free the structure's memory
 * @access: the structure; all devices are closed
 *
 * If a driver has closed its device without unpinning all pages, the driver may still use
 * them. So they stay pinned permanently, and so do their regions and the region cache.
 *
 * Context: may sleep.
 */
void tce2_access_destroy(struct tce2_access *access)
{
	unsigned long number = 0;
	struct tce2_pin *pin;

	if (access->nr_pins) {
		pr_err_ratelimited("the driver of an emulated device has not unpinned %lu pages: leaking them\n",
				   access->nr_pins);
		tce2_cache_leak(access->cache);
	}
	while ((pin = xa_find(&access->pins, &number, ~0UL, XA_PRESENT))) {
		xa_erase(&access->pins, number);
		kfree(pin);
	}
	access->nr_pins = 0;
	xa_destroy(&access->pins);
}

/**
 * tce2_access_add_device() - notify a device of unmapped ranges from now on
 * @access: the container's devices
 * @device: the open device, whose driver has a function dma_unmap
 *
 * Context: may sleep.
 */
void tce2_access_add_device(struct tce2_access *access, struct vfio_device *device)
{
	mutex_lock(&access->devices_lock);
	list_add_tail(&device->iommu_entry, &access->devices);
	mutex_unlock(&access->devices_lock);
}

/**
 * tce2_access_remove_device() - undo tce2_access_add_device()
 * @access: the container's devices
 * @device: the device, which is being closed
 *
 * Waits until no thread notifies the device.
 *
 * Context: may sleep.
 * Return: true; false if the device was not added.
 */
bool tce2_access_remove_device(struct tce2_access *access, struct vfio_device *device)
{
	struct vfio_device *other;
	bool is_added = false;

	mutex_lock(&access->devices_lock);
	list_for_each_entry(other, &access->devices, iommu_entry) {
		if (other == device) {
			list_del(&device->iommu_entry);
			is_added = true;
			break;
		}
	}
	mutex_unlock(&access->devices_lock);
	return is_added;
}

/*
 * Finds the user memory that @count entries map, the first of which contains @iova. The
 * caller holds the entries. Returns 0 or a refusal.
 */
static int access_translate(const struct tce2_window *window, u64 iova, u64 count, u64 perm,
			    u64 *ua)
{
	u64 offset = iova - window->start;
	u64 index = offset >> window->page_shift;
	struct tce2_view_run run;

	if (!tce2_view_next(&window->view, index, index + count, &run) ||
	    run.index != index)
		return tce2_refuse(-EINVAL, TCE2_WHY_ACCESS_NOT_MAPPED);
	if (run.count != count)
		return tce2_refuse(-EINVAL, TCE2_WHY_ACCESS_SCATTERED);
	if (perm & ~run.perm)
		return tce2_refuse(-EPERM, TCE2_WHY_ACCESS_PERMISSION);
	*ua = run.ua + offset - (index << window->page_shift);
	return 0;
}

static bool access_is_closing(const struct tce2_access *access, unsigned long number)
	__must_hold(&access->pins_lock)
{
	const struct tce2_closing *closing;

	lockdep_assert_held(&access->pins_lock);
	list_for_each_entry(closing, &access->closing, node) {
		if (number >= closing->first && number <= closing->last)
			return true;
	}
	return false;
}

/* Adds an element to the pinned pages */
static int access_add_pin(struct tce2_access *access, struct tce2_cache *cache,
			  unsigned long number, u64 ua)
	__must_hold(&access->pins_lock)
{
	struct tce2_pin *pin = kmalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	int ret;

	lockdep_assert_held(&access->pins_lock);
	if (!pin)
		return -ENOMEM;
	*pin = (struct tce2_pin){ .ua = ua, .count = 1 };
	ret = xa_err(xa_store(&access->pins, number, pin, GFP_KERNEL_ACCOUNT));
	if (ret) {
		kfree(pin);
		return ret;
	}
	access->cache = cache;
	WRITE_ONCE(access->nr_pins, access->nr_pins + 1);
	return 0;
}

/*
 * Counts a pin of a page that the caller holds. If a driver did not unpin a page when its
 * window was removed, no other page can be pinned at the same bus address.
 */
static int access_enter_pin(struct tce2_access *access, struct tce2_cache *cache,
			    unsigned long number, u64 ua)
{
	struct tce2_pin *pin;
	int ret = 0;

	mutex_lock(&access->pins_lock);
	pin = xa_load(&access->pins, number);
	if (access_is_closing(access, number))
		ret = tce2_refuse(-EINVAL, TCE2_WHY_ACCESS_NOT_MAPPED);
	else if (!pin)
		ret = access_add_pin(access, cache, number, ua);
	else if (pin->ua != ua)
		ret = tce2_refuse(-EBUSY, TCE2_WHY_PINNED);
	else
		pin->count++;
	mutex_unlock(&access->pins_lock);
	return ret;
}

/* Returns the number of entries that map a page of the kernel */
static u64 access_entries(const struct tce2_window *window)
{
	return window->page_shift < PAGE_SHIFT ? 1ULL << (PAGE_SHIFT - window->page_shift) : 1;
}

/* Pins one page, whose entries the caller holds; @iova is a multiple of PAGE_SIZE */
static int access_pin_page(struct tce2_access *access, struct tce2_window *window, u64 iova,
			   u64 perm, struct page **page)
{
	u64 ua, hpa;
	int ret;

	ret = access_translate(window, iova, access_entries(window), perm, &ua);
	if (ret)
		return ret;
	if (!PAGE_ALIGNED(ua))
		return tce2_refuse(-EINVAL, TCE2_WHY_ACCESS_SCATTERED);
	if (!tce2_page_hold_again(window->cache, ua, PAGE_SHIFT, perm & TCE2_PERM_WRITE,
				  &hpa))
		return tce2_refuse(-EPERM, TCE2_WHY_READ_ONLY);
	ret = access_enter_pin(access, window->cache, iova >> PAGE_SHIFT, ua);
	if (ret)
		tce2_page_drop(window->cache, ua, PAGE_SHIFT);
	else
		*page = pfn_to_page(PHYS_PFN(hpa));
	return ret;
}

/* Pins all pages, whose entries the caller holds. After an error no page is pinned or returned. */
static int access_pin_pages(struct tce2_access *access, struct tce2_window *window,
			    const struct tce2_pin_request *request)
{
	u64 i, iova = request->iova;
	int ret;

	for (i = 0; i < request->count; i++, iova += PAGE_SIZE) {
		ret = access_pin_page(access, window, iova, request->perm,
				      &request->pages[i]);
		if (ret) {
			tce2_access_unpin(access, window->cache, request->iova, i);
			memset(request->pages, 0, i * sizeof(*request->pages));
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/**
 * tce2_access_pin() - pin the pages that bus addresses map
 * @access: the container's devices
 * @window: the window
 * @request: the request; the bus addresses are in the window, @iova is a multiple of PAGE_SIZE
 * @patience: condition to stop waiting for entries
 *
 * The pages stay pinned until tce2_access_unpin(). If IOMMU pages are smaller than the
 * kernel's pages, all entries of a kernel page must map one page of memory, in order.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 0; or an error, with no page pinned: -EINVAL if a page is not mapped, is mapped to
 * several pages of memory, or is being unmapped; -EPERM if an entry does not have the
 * permissions; -EBUSY if KVM changes entries of the window without userspace, or if a driver
 * still has another page pinned at this address; -ENOMEM; -EINTR or -EAGAIN from
 * tce2_range_queue().
 */
int tce2_access_pin(struct tce2_access *access, struct tce2_window *window,
		    const struct tce2_pin_request *request, enum tce2_patience patience)
{
	u64 index = (request->iova - window->start) >> window->page_shift;
	u64 last = request->iova - window->start + (request->count << PAGE_SHIFT) - 1;
	struct tce2_range range;
	int ret;

	ret = tce2_window_lock_leaves(window, &range, index,
				      (last >> window->page_shift) - index + 1, patience);
	if (ret)
		return ret;
	if (window->pins)
		ret = access_pin_pages(access, window, request);
	else
		ret = tce2_refuse(-EBUSY, TCE2_WHY_KVM_CHANGES_ENTRIES);
	tce2_window_unlock_leaves(window, &range);
	return ret;
}

/*
 * Removes one pin; returns false if the page is not pinned. Drops the page before the pin is
 * gone: when a request that waits for the driver finds no pin, the pin holds no memory.
 */
static bool access_leave_pin(struct tce2_access *access, struct tce2_cache *cache,
			     unsigned long number)
{
	struct tce2_pin *pin;
	bool pinned;

	mutex_lock(&access->pins_lock);
	pin = xa_load(&access->pins, number);
	pinned = pin;
	if (pinned) {
		tce2_page_drop(cache, pin->ua, PAGE_SHIFT);
		pin->count--;
	}
	if (pinned && !pin->count) {
		xa_erase(&access->pins, number);
		kfree(pin);
		WRITE_ONCE(access->nr_pins, access->nr_pins - 1);
	}
	mutex_unlock(&access->pins_lock);
	return pinned;
}

/**
 * tce2_access_unpin() - undo tce2_access_pin()
 * @access: the container's devices
 * @cache: region cache of the container's process
 * @iova: first bus address, a multiple of PAGE_SIZE
 * @count: number of pages of PAGE_SIZE
 *
 * Takes no lock of windows, so a driver may call this function while it is notified. The
 * window may have been removed.
 *
 * Context: may sleep.
 */
void tce2_access_unpin(struct tce2_access *access, struct tce2_cache *cache, u64 iova,
		       u64 count)
{
	unsigned long number = iova >> PAGE_SHIFT;

	for (; count; count--, number++) {
		WARN_ON_ONCE(!access_leave_pin(access, cache, number));
		cond_resched();
	}
	wake_up_all(&access->unpinned);
}

/* Copies data from or to a page of memory, which the caller holds */
static void access_copy(u64 hpa, void *data, u64 bytes, bool write)
{
	struct page *page = pfn_to_page(PHYS_PFN(hpa));

	if (write)
		memcpy_to_page(page, offset_in_page(hpa), data, bytes);
	else
		memcpy_from_page(data, page, offset_in_page(hpa), bytes);
}

/* Returns the number of bytes up to the end of the kernel's page and of the IOMMU page */
static u64 access_chunk(const struct tce2_window *window,
			const struct tce2_access_request *request)
{
	u64 shift = min_t(u64, window->page_shift, PAGE_SHIFT);
	u64 rest = (1ULL << shift) - (request->iova & ((1ULL << shift) - 1));

	return min(rest, request->bytes);
}

/**
 * tce2_access_copy() - read or write the beginning of a range of bus addresses
 * @window: the window that contains the first bus address
 * @request: the request, with more than 0 bytes; on success the copied bytes are removed
 * @patience: condition to stop waiting for entries
 *
 * The entry is locked during the copy. So after an unmap request has returned, no copy
 * reaches the memory any more. The copy uses the pinned page, like a device, not the process's
 * mapping of it: it needs no page fault, and any thread may copy.
 *
 * Context: may sleep; the caller holds the owner's lock at least for reading.
 * Return: 0; -EINVAL if the bus address is not mapped; -EPERM if the entry does not have
 * the permission; -EINTR or -EAGAIN from tce2_range_queue().
 */
int tce2_access_copy(struct tce2_window *window, struct tce2_access_request *request,
		     enum tce2_patience patience)
{
	u64 perm = request->write ? TCE2_PERM_WRITE : TCE2_PERM_READ;
	u64 bytes = access_chunk(window, request), ua, hpa;
	u64 index = (request->iova - window->start) >> window->page_shift;
	struct tce2_range range;
	int ret;

	ret = tce2_window_lock_leaves(window, &range, index, 1, patience);
	if (ret)
		return ret;
	ret = access_translate(window, request->iova, 1, perm, &ua);
	if (ret)
		goto unlock;
	if (!tce2_page_hold_again(window->cache, ua & PAGE_MASK, PAGE_SHIFT,
				  request->write, &hpa)) {
		ret = tce2_refuse(-EPERM, TCE2_WHY_READ_ONLY);
		goto unlock;
	}
	access_copy(hpa + offset_in_page(ua), request->data, bytes, request->write);
	tce2_page_drop(window->cache, ua & PAGE_MASK, PAGE_SHIFT);
	request->iova += bytes;
	request->data += bytes;
	request->bytes -= bytes;
unlock:
	tce2_window_unlock_leaves(window, &range);
	return ret;
}

/**
 * tce2_access_close() - forbid pins in a range of bus addresses
 * @access: the container's devices
 * @closing: memory of the caller, in use until tce2_access_reopen()
 * @iova: first bus address
 * @size: bytes, more than 0
 *
 * Otherwise a driver could pin pages again while a thread makes it unpin them.
 *
 * Context: may sleep.
 */
void tce2_access_close(struct tce2_access *access, struct tce2_closing *closing, u64 iova,
		       u64 size)
{
	closing->first = iova >> PAGE_SHIFT;
	closing->last = (iova + size - 1) >> PAGE_SHIFT;
	mutex_lock(&access->pins_lock);
	list_add(&closing->node, &access->closing);
	mutex_unlock(&access->pins_lock);
}

/**
 * tce2_access_reopen() - undo tce2_access_close()
 * @access: the container's devices
 * @closing: the range
 *
 * Context: may sleep.
 */
void tce2_access_reopen(struct tce2_access *access, struct tce2_closing *closing)
{
	mutex_lock(&access->pins_lock);
	list_del(&closing->node);
	mutex_unlock(&access->pins_lock);
}

/* Returns true if a page of the range is pinned */
static bool access_is_pinned(struct tce2_access *access, const struct tce2_closing *closing)
{
	unsigned long number = closing->first;

	return xa_find(&access->pins, &number, closing->last, XA_PRESENT);
}

/* Tells the drivers of all devices to unpin the pages of a range */
static void access_notify(struct tce2_access *access, const struct tce2_closing *closing)
{
	u64 iova = (u64)closing->first << PAGE_SHIFT;
	u64 size = (u64)(closing->last - closing->first + 1) << PAGE_SHIFT;
	struct vfio_device *device;

	mutex_lock(&access->devices_lock);
	list_for_each_entry(device, &access->devices, iommu_entry) {
		device->ops->dma_unmap(device, iova, size);
		WRITE_ONCE(access->notified, access->notified + 1);
	}
	mutex_unlock(&access->devices_lock);
}

/* Implements tce2_access_release() and tce2_access_release_for_vfio() */
static int access_release(struct tce2_access *access, const struct tce2_closing *closing,
			  bool killable)
{
	unsigned int tries;

	for (tries = 0; tries < NOTIFICATIONS; tries++) {
		if (!access_is_pinned(access, closing))
			return 0;
		/* A killed thread need not wait for a driver, once for each element of a vector */
		if (killable && fatal_signal_pending(current))
			return -EINTR;
		access_notify(access, closing);
		wait_event_timeout(access->unpinned, !access_is_pinned(access, closing),
				   msecs_to_jiffies(PATIENCE_MS));
	}
	if (!access_is_pinned(access, closing))
		return 0;
	pr_err_ratelimited("the driver of an emulated device does not unpin pages at bus addresses from %#llx on\n",
			   (u64)closing->first << PAGE_SHIFT);
	return tce2_refuse(-EBUSY, TCE2_WHY_PINNED);
}

/**
 * tce2_access_release() - make drivers unpin the pages of a range
 * @access: the container's devices
 * @closing: the range, closed by tce2_access_close()
 *
 * The caller must not hold a lock that a driver needs to pin or to unpin pages.
 *
 * Context: may sleep; a fatal signal interrupts it.
 * Return: 0; -EBUSY if a driver does not unpin its pages; -EINTR.
 */
int tce2_access_release(struct tce2_access *access, const struct tce2_closing *closing)
{
	return access_release(access, closing, true);
}

/**
 * tce2_access_release_for_vfio() - same as tce2_access_release(), but ignores signals
 * @access: the container's devices
 * @closing: the range, closed by tce2_access_close()
 *
 * For a request that can't fail. A page that a driver does not unpin stays pinned.
 *
 * Context: may sleep.
 */
void tce2_access_release_for_vfio(struct tce2_access *access,
				  const struct tce2_closing *closing)
{
	access_release(access, closing, false);
}
