// SPDX-License-Identifier: GPL-2.0-only
/*
 * User interface: VFIO's ioctl callback, and one table with every ioctl of a v2 container.
 *
 * Owns the access to user structures (except vectors, src/ranges.c), the checks of their
 * size and flags, and the order of the checks. Other files interpret the fields.
 * uapi/linux/vfio.h defines the structures and the ioctl numbers, and
 * include/uapi/vfio_spapr_tce2.h the structures and numbers that only this module has.
 *
 * MAP_DMA and UNMAP_DMA first call tce2_container_map_page() or tce2_container_unmap_page(),
 * without a reference to the container and without this file's other checks. A thread without
 * this reference must not sleep, because the module could be removed while it sleeps.
 *
 * Locks: none. No lock is held while user memory is read or written.
 * Calls: query, ranges, owner, container, trace, why.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include <asm/barrier.h>

#include "tce2_container.h"
#include "tce2_owner.h"
#include "tce2_page.h"
#include "tce2_perm.h"
#include "tce2_query.h"
#include "tce2_ranges.h"
#include "tce2_tce_v2.h"
#include "tce2_trace_calls.h"
#include "tce2_track.h"
#include "tce2_uapi.h"
#include "tce2_why.h"
#include "uapi/vfio_spapr_tce2.h"

static bool enabled = true;
module_param(enabled, bool, 0644);
MODULE_PARM_DESC(enabled,
		 "Use this backend for new containers (default: 1); 0 leaves them to vfio_iommu_spapr_tce");

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
	struct vfio_tce2_ranges ranges;
	struct vfio_tce2_owner owner;
	struct vfio_tce2_dirty dirty;
};

/*
 * Returns true if the client asks for the capabilities of GET_INFO. A large argsz does not
 * suffice: the in-tree driver accepts an argsz larger than the client's structure, so existing
 * clients may pass it.
 */
static bool uapi_wants_caps(const union uapi_request *request, void __user *arg)
{
	struct vfio_tce2_info __user *user = arg;
	u32 magic;

	return request->argsz >= sizeof(*user) && access_ok(user, sizeof(*user)) &&
	       !copy_from_user(&magic, &user->magic, sizeof(magic)) &&
	       magic == VFIO_TCE2_INFO_MAGIC;
}

/* Answers GET_INFO with capabilities, or with their size if the buffer is too small */
static long uapi_get_caps(struct tce2_container *container, union uapi_request *request,
			  void __user *arg)
{
	struct vfio_tce2_info answer = { .magic = VFIO_TCE2_INFO_MAGIC };
	struct vfio_tce2_info __user *user = arg;
	struct tce2_chain chain;
	struct tce2_caps caps;
	u32 size;
	int ret = tce2_container_info(container, &request->info, &caps);

	if (ret)
		return ret;
	tce2_query_caps(&caps, sizeof(answer), &chain);
	size = sizeof(answer) + chain.size;
	answer.info = request->info;
	answer.info.flags |= VFIO_TCE2_INFO_CAPS;
	if (request->argsz < size)
		answer.info.argsz = size;
	else
		answer.cap_offset = sizeof(answer);
	if (answer.cap_offset && (!access_ok(user, size) ||
				  copy_to_user(user + 1, chain.bytes, chain.size)))
		return -EFAULT;
	return copy_to_user(user, &answer, sizeof(answer)) ? -EFAULT : 0;
}

static long uapi_get_info(struct tce2_container *container, union uapi_request *request,
			  void __user *arg)
{
	size_t size = offsetofend(struct vfio_iommu_spapr_tce_info,
				  dma32_window_size);
	int ret;

	if (uapi_wants_caps(request, arg))
		return uapi_get_caps(container, request, arg);
	ret = tce2_container_info(container, &request->info, NULL);
	if (ret)
		return ret;
	/* Clients that predate DDW pass a shorter structure */
	if (request->argsz >= offsetofend(struct vfio_iommu_spapr_tce_info, ddw))
		size = offsetofend(struct vfio_iommu_spapr_tce_info, ddw);
	return copy_to_user(arg, &request->info, size) ? -EFAULT : 0;
}

#define MAP_FLAGS	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define MAP_SIZE	offsetofend(struct vfio_iommu_type1_dma_map, size)
#define UNMAP_SIZE	offsetofend(struct vfio_iommu_type1_dma_unmap, size)
#define MEMORY_SIZE	offsetofend(struct vfio_iommu_spapr_register_memory, size)

/* Returns the permissions of a map request; the two flags have the permissions' values */
static u64 uapi_map_perm(u32 flags)
{
	BUILD_BUG_ON(VFIO_DMA_MAP_FLAG_READ != TCE2_PERM_READ);
	BUILD_BUG_ON(VFIO_DMA_MAP_FLAG_WRITE != TCE2_PERM_WRITE);
	return flags & MAP_FLAGS;
}

static long uapi_map_dma(struct tce2_container *container, union uapi_request *request,
			 void __user *arg)
{
	struct tce2_map_request map = {
		.iova = request->map.iova,
		.ua = request->map.vaddr,
		.size = request->map.size,
		.perm = uapi_map_perm(request->flags),
	};

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
	request->create.start_addr = creation.start;
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

static long uapi_ranges(struct tce2_container *container, union uapi_request *request,
			void __user *arg)
{
	struct vfio_tce2_ranges __user *user = arg;
	int ret;

	/* If this write succeeds, the last one fails only if the client unmaps the memory */
	request->ranges.done = 0;
	if (put_user(request->ranges.done, &user->done))
		return -EFAULT;
	ret = tce2_ranges_run(container, &request->ranges);
	return put_user(request->ranges.done, &user->done) ? -EFAULT : ret;
}

static long uapi_eeh_pe_op(struct tce2_container *container, union uapi_request *request,
			   void __user *arg)
{
	/* Only VFIO_EEH_PE_INJECT_ERR uses @err, which makes the structure longer */
	if (request->eeh.op == VFIO_EEH_PE_INJECT_ERR) {
		size_t size = offsetofend(struct vfio_eeh_pe_op, err.mask);

		if (request->argsz < size)
			return tce2_refuse(-EINVAL, TCE2_WHY_ARGSZ);
		if (copy_from_user(&request->eeh, arg, size))
			return -EFAULT;
		/* The client may have changed op between the two reads */
		request->eeh.op = VFIO_EEH_PE_INJECT_ERR;
	}
	return tce2_container_eeh(container, &request->eeh);
}

static long uapi_offer_owner(struct tce2_container *container,
			     union uapi_request *request, void __user *arg)
{
	return tce2_owner_offer(container, !(request->flags & VFIO_TCE2_OFFER_WITHDRAW));
}

static long uapi_take_owner(struct tce2_container *container,
			    union uapi_request *request, void __user *arg)
{
	return tce2_owner_take(container);
}

#define DIRTY_FLAGS	(VFIO_TCE2_DIRTY_START | VFIO_TCE2_DIRTY_STOP | \
			 VFIO_TCE2_DIRTY_GET | VFIO_TCE2_DIRTY_CLEAR)

/* Returns the number of elements of a bitmap with a bit for each page of at least 4 KiB */
static u64 uapi_dirty_words(u64 pages)
{
	return (min(pages, TCE2_TRACK_MOST) + 63) / 64;
}

/*
 * Answers GET. The bitmap is written with no lock held, because the client can delay the
 * write. If it can't be written, the record is restored, so that no page is forgotten.
 */
static long uapi_get_dirty(struct tce2_container *container, union uapi_request *request)
{
	void __user *user = u64_to_user_ptr(request->dirty.bitmap);
	u64 words = uapi_dirty_words(request->dirty.size >> TCE2_MIN_PAGE_SHIFT) ?: 1;
	struct tce2_track track = {
		.clear = request->flags & VFIO_TCE2_DIRTY_CLEAR,
	};
	long ret;

	BUILD_BUG_ON(VFIO_TCE2_DIRTY_MAX_PAGES != TCE2_TRACK_MOST);
	track.bits = kcalloc(words, sizeof(u64), GFP_KERNEL_ACCOUNT);
	if (!track.bits)
		return -ENOMEM;
	ret = tce2_container_get_dirty(container, request->dirty.iova,
				       request->dirty.size, &track);
	if (!ret) {
		size_t size = uapi_dirty_words(track.end - track.first) * sizeof(u64);

		if (!access_ok(user, size) || copy_to_user(user, track.bits, size)) {
			tce2_container_restore_dirty(container, request->dirty.iova,
						     &track);
			ret = -EFAULT;
		}
	}
	kfree(track.bits);
	return ret;
}

static long uapi_dirty_pages(struct tce2_container *container,
			     union uapi_request *request, void __user *arg)
{
	const struct vfio_tce2_dirty *dirty = &request->dirty;
	u32 flags = dirty->flags;

	if (flags == VFIO_TCE2_DIRTY_GET ||
	    flags == (VFIO_TCE2_DIRTY_GET | VFIO_TCE2_DIRTY_CLEAR))
		return uapi_get_dirty(container, request);
	if (dirty->size || dirty->bitmap)
		return tce2_refuse(-EINVAL, TCE2_WHY_FLAGS);
	if (flags == VFIO_TCE2_DIRTY_START)
		return tce2_container_track(container, dirty->iova);
	if (flags == VFIO_TCE2_DIRTY_STOP)
		return tce2_container_untrack(container, dirty->iova);
	return tce2_refuse(-EINVAL, TCE2_WHY_FLAGS);
}

/**
 * struct ioctl_row - one ioctl of a v2 container
 * @cmd: the ioctl's number
 * @kind: kind of the ioctl in the container's journal
 * @name: the ioctl's name in debug messages
 * @needs_memory: the ioctl needs registered memory; if no memory has been
 *	registered, it returns -EPERM, whatever the request is
 * @any_process: processes other than the container's may use the ioctl
 * @size: bytes of the structure to read, and the smallest argsz
 * @flags: the valid flags
 * @run: function that carries out the ioctl
 */
struct ioctl_row {
	unsigned int cmd;
	enum tce2_request kind;
	const char *name;
	bool needs_memory;
	bool any_process;
	size_t size;
	u32 flags;
	long (*run)(struct tce2_container *container, union uapi_request *request,
		    void __user *arg);
};

/* Rows that are used by their index, without a search */
enum {
	ROW_MAP_DMA,
	ROW_UNMAP_DMA,
};

static const struct ioctl_row ioctls[] = {
	[ROW_MAP_DMA] = { VFIO_IOMMU_MAP_DMA, TCE2_REQUEST_MAP, "MAP_DMA", true, false, MAP_SIZE,
	  MAP_FLAGS, uapi_map_dma },
	[ROW_UNMAP_DMA] = { VFIO_IOMMU_UNMAP_DMA, TCE2_REQUEST_UNMAP, "UNMAP_DMA", true, false,
	  UNMAP_SIZE, 0, uapi_unmap_dma },
	{ VFIO_IOMMU_SPAPR_REGISTER_MEMORY, TCE2_REQUEST_REGISTER, "REGISTER_MEMORY", false, false,
	  MEMORY_SIZE, 0, uapi_register_memory },
	{ VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, TCE2_REQUEST_UNREGISTER, "UNREGISTER_MEMORY",
	  false, false, MEMORY_SIZE, 0, uapi_unregister_memory },
	/*
	 * Two fields are output, so any value is valid: flags of TCE_GET_INFO, and
	 * start_addr of TCE_CREATE.
	 */
	{ VFIO_IOMMU_SPAPR_TCE_GET_INFO, TCE2_REQUEST_INFO, "TCE_GET_INFO", false, false,
	  offsetofend(struct vfio_iommu_spapr_tce_info, dma32_window_size),
	  ~0U, uapi_get_info },
	{ VFIO_IOMMU_SPAPR_TCE_CREATE, TCE2_REQUEST_CREATE, "TCE_CREATE", false, false,
	  offsetofend(struct vfio_iommu_spapr_tce_create, start_addr), 0,
	  uapi_create_window },
	{ VFIO_IOMMU_SPAPR_TCE_REMOVE, TCE2_REQUEST_REMOVE, "TCE_REMOVE", false, false,
	  offsetofend(struct vfio_iommu_spapr_tce_remove, start_addr), 0,
	  uapi_remove_window },
	{ VFIO_EEH_PE_OP, TCE2_REQUEST_EEH, "EEH_PE_OP", false, false,
	  offsetofend(struct vfio_eeh_pe_op, op), 0, uapi_eeh_pe_op },
	{ VFIO_IOMMU_TCE2_RANGES, TCE2_REQUEST_RANGES, "TCE2_RANGES", true, false,
	  sizeof(struct vfio_tce2_ranges), VFIO_TCE2_RANGES_CONTINUE, uapi_ranges },
	{ VFIO_TCE2_OFFER_OWNER, TCE2_REQUEST_OWNER, "OFFER_OWNER", false, false,
	  sizeof(struct vfio_tce2_owner), VFIO_TCE2_OFFER_WITHDRAW, uapi_offer_owner },
	{ VFIO_TCE2_TAKE_OWNER, TCE2_REQUEST_OWNER, "TAKE_OWNER", false, true,
	  sizeof(struct vfio_tce2_owner), 0, uapi_take_owner },
	{ VFIO_TCE2_DIRTY_PAGES, TCE2_REQUEST_DIRTY, "DIRTY_PAGES", false, false,
	  sizeof(struct vfio_tce2_dirty), DIRTY_FLAGS, uapi_dirty_pages },
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

/* Reads the first @size bytes of a request; returns false after a fault */
static __always_inline bool uapi_read_request(union uapi_request *request,
					      const void __user *arg, size_t size)
{
	/*
	 * Check the address first. In Linux 7.2 copy_from_user() replaces a kernel
	 * address with 1 << 63 and relies on a fault. On bare metal that access
	 * does not fault.
	 */
	if (!access_ok(arg, size))
		return false;
	/* With a constant size, check_object_size() costs nothing, else as much as the copy */
	if (size == MEMORY_SIZE)
		return !copy_from_user(request, arg, MEMORY_SIZE);
	return !copy_from_user(request, arg, size);
}

/*
 * Reads a request without sleeping, for a caller without a reference to the container. Returns
 * false after a page fault, or if the address is invalid.
 */
static __always_inline bool uapi_peek_request(union uapi_request *request,
					      const void __user *arg, size_t size)
{
	unsigned long left;

	if (!access_ok(arg, size))
		return false;
	/* As in copy_from_user(): use no data that was read with a mispredicted check */
	barrier_nospec();
	pagefault_disable();
	left = __copy_from_user_inatomic(request, arg, size);
	pagefault_enable();
	return !left;
}

/* Traces a request after it was carried out or refused */
static noinline void uapi_trace(u64 id, const struct ioctl_row *row,
				const union uapi_request *request, int ret)
{
	switch (row->kind) {
	case TCE2_REQUEST_REGISTER:
		tce2_trace_register(id, request->memory.vaddr, request->memory.size, ret);
		break;
	case TCE2_REQUEST_UNREGISTER:
		tce2_trace_unregister(id, request->memory.vaddr, request->memory.size,
				      ret);
		break;
	case TCE2_REQUEST_MAP:
		tce2_trace_map(id, request->map.iova, request->map.vaddr,
			       request->map.size, request->map.flags, ret);
		break;
	case TCE2_REQUEST_UNMAP:
		tce2_trace_unmap(id, request->unmap.iova, request->unmap.size, ret);
		break;
	case TCE2_REQUEST_CREATE:
		tce2_trace_create(id, ret ? 0 : request->create.start_addr,
				  request->create.window_size,
				  request->create.page_shift, request->create.levels,
				  ret);
		break;
	case TCE2_REQUEST_REMOVE:
		tce2_trace_remove(id, request->remove.start_addr, ret);
		break;
	case TCE2_REQUEST_RANGES:
		tce2_trace_ranges(id, request->ranges.count, request->ranges.done, ret);
		break;
	case TCE2_REQUEST_DIRTY:
		tce2_trace_dirty(id, request->dirty.iova, request->dirty.size,
				 request->dirty.flags, ret);
		break;
	default:
		break;
	}
}

/*
 * Traces a brief request, which was carried out or refused without a reference to its
 * container. Does not sleep. @ret is a bare errno, from which the rule follows.
 */
static noinline void uapi_trace_page(const void *cookie, unsigned int row,
				     const union uapi_request *request, int ret)
{
	u64 id = tce2_container_id(cookie);

	uapi_trace(id, &ioctls[row], request, ret);
	if (ret)
		tce2_trace_refusal(id, ioctls[row].kind, ret);
}

/* Returns true if the size and the flags of a request are valid */
static __always_inline bool uapi_is_valid(const union uapi_request *request, size_t size,
					  u32 flags)
{
	return request->argsz >= size && !(request->flags & ~flags);
}

/* Checks the caller and the request, and carries out an ioctl; @is_read as in uapi_ioctl() */
static long uapi_run_ioctl(struct tce2_container *container, const struct ioctl_row *row,
			   union uapi_request *request, void __user *arg, bool is_read)
{
	bool has_memory;
	long ret;

	tce2_journal_count(&container->journal, row->kind);
	/*
	 * Read @enabled before the binding is checked. An enabled container is
	 * bound, so another process can't pass both checks while the container is
	 * being bound. Pairs with container_end_registration().
	 */
	has_memory = smp_load_acquire(&container->enabled);
	ret = unlikely(row->any_process) ? 0 : tce2_container_check_process(container);
	if (ret)
		return ret;
	if (row->needs_memory && !has_memory)
		return tce2_refuse(-EPERM, TCE2_WHY_NOTHING_REGISTERED);
	if (!is_read && !uapi_read_request(request, arg, row->size))
		return -EFAULT;
	if (request->argsz < row->size)
		return tce2_refuse(-EINVAL, TCE2_WHY_ARGSZ);
	if (request->flags & ~row->flags)
		return tce2_refuse(-EINVAL, TCE2_WHY_FLAGS);
	ret = row->run(container, request, arg);
	if (tce2_tracing_on())
		uapi_trace(container->id, row, request, ret);
	return ret;
}

/*
 * Records a refused request, and returns the errno for the client. The refusal of a vector's
 * element is recorded already (ranges_refuse()).
 */
static noinline long uapi_refuse(struct tce2_container *container,
				 const struct ioctl_row *row, int ret)
{
	enum tce2_request kind = row ? row->kind : TCE2_REQUEST_OTHER;

	if (tce2_why_of(ret) == TCE2_WHY_RANGE)
		return tce2_errno(ret);
	pr_debug("container %llu: %s: error %d: %s\n", container->id,
		 row ? row->name : "unknown ioctl", tce2_errno(ret),
		 tce2_why_text(tce2_why_of(ret)));
	if (tce2_tracing_on())
		tce2_trace_refusal(container->id, kind, ret);
	return tce2_journal_refuse(&container->journal, kind, ret);
}

/*
 * Carries out an ioctl, and puts the caller's reference to the container, which may be NULL.
 * If @is_read is true, @request is already read. The ioctl must use this copy, because the
 * client may change its structure meanwhile.
 */
static noinline long uapi_ioctl(struct tce2_container *container, const struct ioctl_row *row,
				union uapi_request *request, void __user *arg,
				bool is_read)
{
	long ret;

	if (!container)
		return -EINVAL;
	ret = uapi_run_ioctl(container, row, request, arg, is_read);
	if (unlikely(ret < 0))
		ret = uapi_refuse(container, row, ret);
	tce2_container_put(container);
	return ret;
}

/*
 * MAP_DMA, the most frequent ioctl. A brief request mostly returns here. @traced is a
 * constant.
 */
static __always_inline long uapi_ioctl_map(void *cookie, void __user *arg, bool traced)
{
	struct tce2_container *container;
	union uapi_request request;
	bool is_read = uapi_peek_request(&request, arg, MAP_SIZE);

	if (likely(is_read) && likely(uapi_is_valid(&request, MAP_SIZE, MAP_FLAGS))) {
		int ret = tce2_container_map_page(cookie, request.map.iova,
						  request.map.vaddr, request.map.size,
						  uapi_map_perm(request.flags),
						  &container);

		if (likely(ret != TCE2_NOT_BRIEF)) {
			if (traced)
				uapi_trace_page(cookie, ROW_MAP_DMA, &request, ret);
			return ret;
		}
	} else {
		container = tce2_container_get(cookie);
	}
	return uapi_ioctl(container, &ioctls[ROW_MAP_DMA], &request, arg, is_read);
}

static __always_inline long uapi_ioctl_unmap(void *cookie, void __user *arg, bool traced)
{
	struct tce2_container *container;
	union uapi_request request;
	bool is_read = uapi_peek_request(&request, arg, UNMAP_SIZE);

	if (likely(is_read) && likely(uapi_is_valid(&request, UNMAP_SIZE, 0))) {
		int ret = tce2_container_unmap_page(cookie, request.unmap.iova,
						    request.unmap.size, &container);

		if (likely(ret != TCE2_NOT_BRIEF)) {
			if (traced)
				uapi_trace_page(cookie, ROW_UNMAP_DMA, &request, ret);
			return ret;
		}
	} else {
		container = tce2_container_get(cookie);
	}
	return uapi_ioctl(container, &ioctls[ROW_UNMAP_DMA], &request, arg, is_read);
}

/* Copies of the functions, used while a tracepoint is on. The originals have no cost for it. */
static noinline long uapi_ioctl_map_traced(void *cookie, void __user *arg)
{
	return uapi_ioctl_map(cookie, arg, true);
}

static noinline long uapi_ioctl_unmap_traced(void *cookie, void __user *arg)
{
	return uapi_ioctl_unmap(cookie, arg, true);
}

/* Carries out an ioctl other than MAP_DMA and UNMAP_DMA */
static noinline long uapi_other_ioctl(void *cookie, unsigned int cmd, void __user *arg)
{
	struct tce2_container *container = tce2_container_get(cookie);
	const struct ioctl_row *row = uapi_find_ioctl(cmd);
	union uapi_request request;
	long ret;

	if (!container || row)
		return uapi_ioctl(container, row, &request, arg, false);
	ret = tce2_container_check_process(container) ?:
	      tce2_refuse(-ENOTTY, TCE2_WHY_UNKNOWN_IOCTL);
	ret = uapi_refuse(container, NULL, ret);
	tce2_container_put(container);
	return ret;
}

/*
 * Returns 1 or more if this module supports an extension or IOMMU type, else 0. The result
 * for v1 containers is 0, so VFIO uses the in-tree driver for them.
 */
static long uapi_check_extension(const void *cookie, unsigned long extension)
{
	/* VFIO passes NULL while its container has no backend */
	if (!cookie && !READ_ONCE(enabled))
		return 0;
	switch (extension) {
	case VFIO_SPAPR_TCE_v2_IOMMU:
		return 1;
	case VFIO_EEH:
		return tce2_container_has_eeh();
	case VFIO_TCE2_API:
		return VFIO_TCE2_VERSION;
	case VFIO_TCE2_INFO:
	case VFIO_TCE2_RANGES:
	case VFIO_TCE2_COPY:
	case VFIO_TCE2_OWNER:
	case VFIO_TCE2_DIRTY:
		return 1;
	default:
		return 0;
	}
}

/**
 * tce2_uapi_ioctl() - carry out an ioctl of a container
 * @cookie: the iommu_data that VFIO passes: the container's cookie, or NULL
 * @cmd: number of the ioctl
 * @arg: argument of the ioctl, a user pointer except for VFIO_CHECK_EXTENSION
 *
 * The errors of the container and its process come before errors of the request.
 *
 * Context: may sleep.
 * Return:
 * * 0 or more - success
 * * -EINVAL - the container has been released
 * * -ENOTTY - unknown ioctl
 * * -EPERM - the container is bound to another process, or the ioctl needs
 *   registered memory and no memory has been registered
 * * -EFAULT - the structure can't be read or written
 * * -EINVAL - argsz is too small, or a flag is invalid
 * * other errors - from the functions of include/tce2_container.h
 */
long tce2_uapi_ioctl(void *cookie, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case VFIO_IOMMU_MAP_DMA:
		if (tce2_tracing_on())
			return uapi_ioctl_map_traced(cookie, (void __user *)arg);
		return uapi_ioctl_map(cookie, (void __user *)arg, false);
	case VFIO_IOMMU_UNMAP_DMA:
		if (tce2_tracing_on())
			return uapi_ioctl_unmap_traced(cookie, (void __user *)arg);
		return uapi_ioctl_unmap(cookie, (void __user *)arg, false);
	case VFIO_CHECK_EXTENSION:
		return uapi_check_extension(cookie, arg);
	}
	return uapi_other_ioctl(cookie, cmd, (void __user *)arg);
}
