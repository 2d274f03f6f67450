// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated VFIO devices, for tests only.
 *
 * VFIO makes an IOMMU group for each device. It has no regions and no
 * interrupts. A program makes the device pin pages, unpin them, or copy data (emulated.h).
 * The module uses only VFIO's interface for drivers, so it works with any backend.
 *
 * Locks: emulated_device.lock. VFIO calls dma_unmap() in the thread that unmaps, and this
 * function takes the lock. So no ioctl holds the lock while it calls VFIO.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "emulated.h"

/**
 * struct emulated_pinned - a page that the device has pinned
 * @iova: its first bus address
 * @page: the page
 */
struct emulated_pinned {
	u64 iova;
	struct page *page;
};

/**
 * struct emulated_device - a device
 * @vfio: the device for VFIO
 * @lock: protects the other members
 * @pinned: the pinned pages
 * @pins: number of elements of @pinned
 * @notified: number of notifications
 * @iova: first bus address of the last notification
 * @size: bytes of the last notification
 * @ignore: number of notifications to ignore
 */
struct emulated_device {
	struct vfio_device vfio;
	struct mutex lock;	/* protects pinned to ignore */
	struct emulated_pinned pinned[EMULATED_PINS];
	unsigned int pins;
	u64 notified;
	u64 iova;
	u64 size;
	u32 ignore;
};

/* VFIO needs a parent with a driver, from which it takes the owner of the device */
static struct platform_device *parents[EMULATED_DEVICES];

static struct emulated_device *emulated_of(struct vfio_device *vfio)
{
	return container_of(vfio, struct emulated_device, vfio);
}

/* Takes a page of a range out of the list; returns false if no page is in the range */
static bool emulated_take(struct emulated_device *device, u64 iova, u64 size, u64 *found)
{
	unsigned int i;
	bool is_found = false;

	mutex_lock(&device->lock);
	for (i = 0; i < device->pins && !is_found; i++) {
		if (device->pinned[i].iova - iova >= size)
			continue;
		*found = device->pinned[i].iova;
		device->pinned[i] = device->pinned[--device->pins];
		is_found = true;
	}
	mutex_unlock(&device->lock);
	return is_found;
}

static void emulated_unpin(struct emulated_device *device, u64 iova, u64 size)
{
	u64 found;

	while (emulated_take(device, iova, size, &found))
		vfio_unpin_pages(&device->vfio, found, 1);
}

static int emulated_open(struct vfio_device *vfio)
{
	struct emulated_device *device = emulated_of(vfio);

	device->notified = 0;
	device->ignore = 0;
	return 0;
}

/* A device that ignores notifications also keeps its pages, until it is opened again */
static void emulated_close(struct vfio_device *vfio)
{
	struct emulated_device *device = emulated_of(vfio);

	if (!device->ignore)
		emulated_unpin(device, 0, ~0ULL);
}

static void emulated_dma_unmap(struct vfio_device *vfio, u64 iova, u64 size)
{
	struct emulated_device *device = emulated_of(vfio);
	bool ignores;

	mutex_lock(&device->lock);
	device->notified++;
	device->iova = iova;
	device->size = size;
	ignores = device->ignore;
	if (ignores)
		device->ignore--;
	mutex_unlock(&device->lock);
	if (!ignores)
		emulated_unpin(device, iova, size);
}

/* Adds pages to the list; returns -ENOSPC if the list is full */
static int emulated_add(struct emulated_device *device, u64 iova, u32 count,
			struct page **pages)
{
	int ret = 0;
	u32 i;

	mutex_lock(&device->lock);
	if (device->pins + count > EMULATED_PINS)
		ret = -ENOSPC;
	for (i = 0; !ret && i < count; i++)
		device->pinned[device->pins++] = (struct emulated_pinned){
			iova + (u64)i * PAGE_SIZE, pages[i],
		};
	mutex_unlock(&device->lock);
	return ret;
}

static long emulated_pin_pages(struct emulated_device *device, const struct emulated_pin *pin)
{
	int prot = IOMMU_READ | (pin->write ? IOMMU_WRITE : 0);
	struct page **pages;
	int ret, err;

	if (!pin->pages || pin->pages > EMULATED_PINS)
		return -EINVAL;
	pages = kcalloc(pin->pages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	ret = vfio_pin_pages(&device->vfio, pin->iova, pin->pages, prot, pages);
	if (ret > 0) {
		err = emulated_add(device, pin->iova, pin->pages, pages);
		if (err) {
			vfio_unpin_pages(&device->vfio, pin->iova, pin->pages);
			ret = err;
		}
	}
	kfree(pages);
	return ret;
}

/* Copies a part of a page that the device has pinned */
static long emulated_touch_page(struct emulated_device *device,
				const struct emulated_copy *copy, void *data)
{
	u64 base = copy->iova & PAGE_MASK;
	unsigned int i;
	long ret = -ENOENT;

	if (offset_in_page(copy->iova) + copy->bytes > PAGE_SIZE)
		return -EINVAL;
	mutex_lock(&device->lock);
	for (i = 0; i < device->pins; i++) {
		if (device->pinned[i].iova != base)
			continue;
		if (copy->write)
			memcpy_to_page(device->pinned[i].page, offset_in_page(copy->iova), data,
				       copy->bytes);
		else
			memcpy_from_page(data, device->pinned[i].page,
					 offset_in_page(copy->iova), copy->bytes);
		ret = 0;
		break;
	}
	mutex_unlock(&device->lock);
	return ret;
}

static long emulated_move(struct emulated_device *device, const struct emulated_copy *copy,
			  bool pinned, void *data)
{
	if (pinned)
		return emulated_touch_page(device, copy, data);
	return vfio_dma_rw(&device->vfio, copy->iova, data, copy->bytes, copy->write);
}

static long emulated_copy_data(struct emulated_device *device,
			       const struct emulated_copy *copy, bool pinned)
{
	void __user *user = u64_to_user_ptr(copy->data);
	void *data;
	long ret = 0;

	if (copy->bytes > EMULATED_BYTES)
		return -EINVAL;
	data = kvzalloc(copy->bytes + 1, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (copy->write && copy_from_user(data, user, copy->bytes))
		ret = -EFAULT;
	if (!ret)
		ret = emulated_move(device, copy, pinned, data);
	if (!ret && !copy->write && copy_to_user(user, data, copy->bytes))
		ret = -EFAULT;
	kvfree(data);
	return ret;
}

static long emulated_get_state(struct emulated_device *device, void __user *arg)
{
	struct emulated_state state;

	mutex_lock(&device->lock);
	state = (struct emulated_state){
		device->notified, device->iova, device->size, device->pins,
	};
	mutex_unlock(&device->lock);
	return copy_to_user(arg, &state, sizeof(state)) ? -EFAULT : 0;
}

static long emulated_ioctl(struct vfio_device *vfio, unsigned int cmd, unsigned long arg)
{
	struct emulated_device *device = emulated_of(vfio);
	void __user *user = (void __user *)arg;
	union {
		struct emulated_pin pin;
		struct emulated_copy copy;
		u32 ignore;
	} request;

	if (cmd == EMULATED_STATE)
		return emulated_get_state(device, user);
	if (_IOC_TYPE(cmd) != 'E' || _IOC_SIZE(cmd) > sizeof(request))
		return -ENOTTY;
	if (copy_from_user(&request, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	switch (cmd) {
	case EMULATED_PIN:
		return emulated_pin_pages(device, &request.pin);
	case EMULATED_UNPIN:
		emulated_unpin(device, request.pin.iova, (u64)request.pin.pages * PAGE_SIZE);
		return 0;
	case EMULATED_RW:
	case EMULATED_TOUCH:
		return emulated_copy_data(device, &request.copy, cmd == EMULATED_TOUCH);
	case EMULATED_IGNORE:
		mutex_lock(&device->lock);
		device->ignore = request.ignore;
		mutex_unlock(&device->lock);
		return 0;
	}
	return -ENOTTY;
}

static const struct vfio_device_ops emulated_ops = {
	.name		= EMULATED_NAME,
	.open_device	= emulated_open,
	.close_device	= emulated_close,
	.dma_unmap	= emulated_dma_unmap,
	.ioctl		= emulated_ioctl,
#if IS_ENABLED(CONFIG_IOMMUFD)
	.bind_iommufd	= vfio_iommufd_emulated_bind,
	.unbind_iommufd	= vfio_iommufd_emulated_unbind,
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
	.detach_ioas	= vfio_iommufd_emulated_detach_ioas,
#endif
};

static int emulated_probe(struct platform_device *parent)
{
	struct emulated_device *device;
	int ret;

	device = vfio_alloc_device(emulated_device, vfio, &parent->dev, &emulated_ops);
	if (IS_ERR(device))
		return PTR_ERR(device);
	mutex_init(&device->lock);
	ret = vfio_register_emulated_iommu_dev(&device->vfio);
	if (ret)
		vfio_put_device(&device->vfio);
	else
		platform_set_drvdata(parent, device);
	return ret;
}

/*
 * Called before the parent goes, and not as the driver's function remove(), whose type differs
 * between kernels
 */
static void emulated_put(struct platform_device *parent)
{
	struct emulated_device *device = platform_get_drvdata(parent);

	if (!device)
		return;
	vfio_unregister_group_dev(&device->vfio);
	vfio_put_device(&device->vfio);
}

static struct platform_driver emulated_driver = {
	.driver	= { .name = EMULATED_NAME, .suppress_bind_attrs = true },
	.probe	= emulated_probe,
};

static void emulated_remove_all(void)
{
	unsigned int i;

	for (i = 0; i < EMULATED_DEVICES; i++) {
		if (IS_ERR_OR_NULL(parents[i]))
			continue;
		emulated_put(parents[i]);
		platform_device_unregister(parents[i]);
	}
}

static int __init emulated_init(void)
{
	unsigned int i;
	int ret = platform_driver_register(&emulated_driver);

	if (ret)
		return ret;
	for (i = 0; !ret && i < EMULATED_DEVICES; i++) {
		parents[i] = platform_device_register_simple(EMULATED_NAME, i, NULL, 0);
		ret = PTR_ERR_OR_ZERO(parents[i]);
	}
	if (!ret)
		return 0;
	emulated_remove_all();
	platform_driver_unregister(&emulated_driver);
	return ret;
}

static void __exit emulated_exit(void)
{
	emulated_remove_all();
	platform_driver_unregister(&emulated_driver);
}

module_init(emulated_init);
module_exit(emulated_exit);

MODULE_DESCRIPTION("Emulated VFIO devices for tests of a backend");
MODULE_LICENSE("GPL");
