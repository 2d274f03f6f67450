// SPDX-License-Identifier: GPL-2.0-only
/*
 * User interface: one table with every ioctl of a v2 container.
 *
 * Owns the access to user structures, the checks of their size and flags, and the order
 * of the checks. Other files interpret the fields. uapi/linux/vfio.h defines the
 * structures and the ioctl numbers.
 *
 * Locks: none. No lock is held while user memory is read or written.
 * Calls: container.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "tce2_container.h"
#include "tce2_perm.h"
#include "tce2_tce_v2.h"
#include "tce2_uapi.h"

/* A request of any kind; each structure begins with argsz and flags */
union uapi_request {
	struct {
		u32 argsz;
		u32 flags;
	};
	struct vfio_iommu_spapr_tce_info info;
	struct vfio_iommu_type1_dma_map map;
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_iommu_spapr_register_memory memory;
	struct vfio_iommu_spapr_tce_create create;
	struct vfio_iommu_spapr_tce_remove remove;
	struct vfio_eeh_pe_op eeh;
};

static long uapi_get_info(struct tce2_container *container, union uapi_request *request,
			  void __user *arg)
{
	size_t size = offsetofend(struct vfio_iommu_spapr_tce_info,
				  dma32_window_size);
	int ret = tce2_container_info(container, &request->info);

	if (ret)
		return ret;
	/* Clients that predate DDW pass a shorter structure */
	if (request->argsz >= offsetofend(struct vfio_iommu_spapr_tce_info, ddw))
		size = offsetofend(struct vfio_iommu_spapr_tce_info, ddw);
	return copy_to_user(arg, &request->info, size) ? -EFAULT : 0;
}

static long uapi_map_dma(struct tce2_container *container, union uapi_request *request,
			 void __user *arg)
{
	struct tce2_map_request map = {
		.iova = request->map.iova,
		.ua = request->map.vaddr,
		.size = request->map.size,
	};

	if (request->flags & VFIO_DMA_MAP_FLAG_READ)
		map.perm |= TCE2_PERM_READ;
	if (request->flags & VFIO_DMA_MAP_FLAG_WRITE)
		map.perm |= TCE2_PERM_WRITE;
	return tce2_container_map(container, &map);
}

static long uapi_unmap_dma(struct tce2_container *container, union uapi_request *request,
			   void __user *arg)
{
	return tce2_container_unmap(container, request->unmap.iova,
				    request->unmap.size);
}

static long uapi_register_memory(struct tce2_container *container,
				 union uapi_request *request, void __user *arg)
{
	return tce2_container_register(container, request->memory.vaddr,
				       request->memory.size);
}

static long uapi_unregister_memory(struct tce2_container *container,
				   union uapi_request *request, void __user *arg)
{
	return tce2_container_unregister(container, request->memory.vaddr,
					 request->memory.size);
}

static long uapi_create_window(struct tce2_container *container,
			       union uapi_request *request, void __user *arg)
{
	struct vfio_iommu_spapr_tce_create __user *user = arg;
	struct tce2_window_spec spec = {
		.size = request->create.window_size,
		.page_shift = request->create.page_shift,
		.levels = request->create.levels,
	};
	struct tce2_creation creation;
	int ret = tce2_container_create_window(container, &spec, &creation);

	if (ret)
		return ret;
	/* No lock is held: userfaultfd lets the client delay this write indefinitely */
	if (put_user(creation.start, &user->start_addr)) {
		tce2_container_cancel_window(container, &creation);
		return -EFAULT;
	}
	return tce2_container_publish_window(container, &creation);
}

static long uapi_remove_window(struct tce2_container *container,
			       union uapi_request *request, void __user *arg)
{
	return tce2_container_remove_window(container,
					    request->remove.start_addr);
}

static long uapi_eeh_pe_op(struct tce2_container *container, union uapi_request *request,
			   void __user *arg)
{
	/* Only VFIO_EEH_PE_INJECT_ERR uses @err, which makes the structure longer */
	if (request->eeh.op == VFIO_EEH_PE_INJECT_ERR) {
		size_t size = offsetofend(struct vfio_eeh_pe_op, err.mask);

		if (request->argsz < size)
			return -EINVAL;
		if (copy_from_user(&request->eeh, arg, size))
			return -EFAULT;
		/* The client may have changed op between the two reads */
		request->eeh.op = VFIO_EEH_PE_INJECT_ERR;
	}
	return tce2_container_eeh(container, &request->eeh);
}

/**
 * struct ioctl_row - one ioctl of a v2 container
 * @cmd: the ioctl's number
 * @name: the ioctl's name in debug messages
 * @needs_memory: the ioctl needs registered memory; if no memory has been
 *	registered, it returns -EPERM before the request is read
 * @size: bytes of the structure to read, and the smallest argsz
 * @flags: the valid flags
 * @run: function that carries out the ioctl
 */
struct ioctl_row {
	unsigned int cmd;
	const char *name;
	bool needs_memory;
	size_t size;
	u32 flags;
	long (*run)(struct tce2_container *container, union uapi_request *request,
		    void __user *arg);
};

static const struct ioctl_row ioctls[] = {
	{ VFIO_IOMMU_MAP_DMA, "MAP_DMA", true,
	  offsetofend(struct vfio_iommu_type1_dma_map, size),
	  VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE, uapi_map_dma },
	{ VFIO_IOMMU_UNMAP_DMA, "UNMAP_DMA", true,
	  offsetofend(struct vfio_iommu_type1_dma_unmap, size), 0, uapi_unmap_dma },
	{ VFIO_IOMMU_SPAPR_REGISTER_MEMORY, "REGISTER_MEMORY", false,
	  offsetofend(struct vfio_iommu_spapr_register_memory, size), 0,
	  uapi_register_memory },
	{ VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, "UNREGISTER_MEMORY", false,
	  offsetofend(struct vfio_iommu_spapr_register_memory, size), 0,
	  uapi_unregister_memory },
	/*
	 * Two fields are output, so any value is valid: flags of TCE_GET_INFO, and
	 * start_addr of TCE_CREATE.
	 */
	{ VFIO_IOMMU_SPAPR_TCE_GET_INFO, "TCE_GET_INFO", false,
	  offsetofend(struct vfio_iommu_spapr_tce_info, dma32_window_size),
	  ~0U, uapi_get_info },
	{ VFIO_IOMMU_SPAPR_TCE_CREATE, "TCE_CREATE", false,
	  offsetofend(struct vfio_iommu_spapr_tce_create, start_addr), 0,
	  uapi_create_window },
	{ VFIO_IOMMU_SPAPR_TCE_REMOVE, "TCE_REMOVE", false,
	  offsetofend(struct vfio_iommu_spapr_tce_remove, start_addr), 0,
	  uapi_remove_window },
	{ VFIO_EEH_PE_OP, "EEH_PE_OP", false,
	  offsetofend(struct vfio_eeh_pe_op, op), 0, uapi_eeh_pe_op },
};

static const struct ioctl_row *uapi_find_ioctl(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ioctls); i++) {
		if (ioctls[i].cmd == cmd)
			return &ioctls[i];
	}
	return NULL;
}

/*
 * Reads the first @size bytes of a request; returns false after a fault. MAP_DMA and
 * UNMAP_DMA are frequent, so they use constant sizes: for a size that is not constant,
 * check_object_size() costs as much as the copy.
 */
static bool uapi_read_request(union uapi_request *request, const void __user *arg,
			      size_t size)
{
	const size_t map = offsetofend(struct vfio_iommu_type1_dma_map, size);
	const size_t unmap = offsetofend(struct vfio_iommu_type1_dma_unmap,
					 size);

	/*
	 * Check the address first. In Linux 7.2 copy_from_user() replaces a kernel
	 * address with 1 << 63 and relies on a fault. On bare metal that access
	 * does not fault.
	 */
	if (!access_ok(arg, size))
		return false;
	if (size == map)
		return !copy_from_user(request, arg, map);
	if (size == unmap)
		return !copy_from_user(request, arg, unmap);
	return !copy_from_user(request, arg, size);
}

static long uapi_run_ioctl(struct tce2_container *container,
			   const struct ioctl_row *row, void __user *arg)
{
	union uapi_request request;
	bool enabled;
	int ret;

	/*
	 * Read @enabled before the binding is checked. An enabled container is
	 * bound, so another process can't pass both checks while the container is
	 * being bound. Pairs with container_end_registration().
	 */
	enabled = smp_load_acquire(&container->enabled);
	ret = tce2_container_check_process(container);
	if (ret)
		return ret;
	if (row->needs_memory && !enabled)
		return -EPERM;
	if (!uapi_read_request(&request, arg, row->size))
		return -EFAULT;
	if (request.argsz < row->size || (request.flags & ~row->flags))
		return -EINVAL;
	return row->run(container, &request, arg);
}

/**
 * tce2_check_extension() - report support for an extension or IOMMU type
 * @extension: a VFIO extension or IOMMU type
 *
 * The result for v1 containers is 0, so VFIO uses the in-tree driver for them.
 *
 * Return: 1 if this module supports @extension, else 0.
 */
long tce2_check_extension(unsigned long extension)
{
	switch (extension) {
	case VFIO_SPAPR_TCE_v2_IOMMU:
		return 1;
	case VFIO_EEH:
		return tce2_container_has_eeh();
	default:
		return 0;
	}
}

/**
 * tce2_uapi_ioctl() - carry out an ioctl of a container
 * @container: the container
 * @cmd: number of the ioctl
 * @arg: argument of the ioctl, a user pointer
 *
 * Context: may sleep.
 * Return:
 * * 0 or more - success
 * * -ENOTTY - unknown ioctl
 * * -EPERM - the container is bound to another process, or the ioctl needs
 *   registered memory and no memory has been registered
 * * -EFAULT - the structure can't be read or written
 * * -EINVAL - argsz is too small, or a flag is invalid
 * * other errors - from the functions of include/tce2_container.h
 */
long tce2_uapi_ioctl(struct tce2_container *container, unsigned int cmd,
		     unsigned long arg)
{
	const struct ioctl_row *row = uapi_find_ioctl(cmd);
	long ret;

	if (!row)
		return tce2_container_check_process(container) ?: -ENOTTY;
	ret = uapi_run_ioctl(container, row, (void __user *)arg);
	if (ret < 0)
		pr_debug("container %llu: %s: error %ld\n", container->id,
			 row->name, ret);
	return ret;
}
