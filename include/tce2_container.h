/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_CONTAINER_H
#define TCE2_CONTAINER_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "tce2_ddw.h"
#include "tce2_why.h"

struct iommu_group;
struct tce2_cache;
struct tce2_map_request;
struct tce2_region;
struct tce2_track;
struct vfio_eeh_pe_op;
struct vfio_iommu_spapr_tce_info;

/**
 * struct tce2_registration - a region that a container has registered
 * @node: in the container's tree; protected by the container's reg_lock
 * @ua: first user address, immutable
 * @size: bytes, immutable
 * @region: the region, whose used count includes this registration; NULL
 *	while a request registers or unregisters the region. Meanwhile the
 *	registration belongs to this request
 */
struct tce2_registration {
	struct rb_node node;
	u64 ua;
	u64 size;
	struct tce2_region *region;
};

/**
 * struct tce2_container - state that this module keeps for a VFIO container
 * @refs: one for VFIO, from open to release, and one for each running request except
 *	brief requests
 * @id: the container's number in the table of containers, never 0 and never used again,
 *	immutable
 * @node: in the table of containers; protected by the table's lock, read under RCU
 * @cache: region cache of the process the container is bound to; set once,
 *	by the first request that needs one, then immutable
 * @ddw: groups and windows, with the lock for them
 * @moving: in the list of the containers that move to another process together; protected by
 *	the range lock @registering of @cache
 * @reg_lock: protects @registrations and @closed. VFIO waits for this lock, so
 *	requests hold it only briefly, and never pin, unpin or charge memory under it.
 *	Only the release of the container unpins memory under it
 * @registrations: regions registered through this container
 *	(struct tce2_registration), sorted by first user address
 * @enabled: memory has been registered at least once; set under @reg_lock, after
 *	@cache, and never cleared; read without a lock
 * @closed: VFIO has released the container, so nothing more may be registered
 * @regions: number of elements of @registrations with a region; written under
 *	@reg_lock, read without a lock
 * @registered: bytes of these regions; written under @reg_lock, read without a lock
 * @journal: counts of requests, and the newest refusals
 * @rcu: frees the container after a grace period, because readers may still
 *	find it in the table
 *
 * @reg_lock and @ddw.lock are never held together.
 */
struct tce2_container {
	refcount_t refs;
	u64 id;
	struct hlist_node node;
	struct tce2_cache *cache;
	struct tce2_ddw ddw;
	struct list_head moving;
	struct mutex reg_lock;	/* protects registrations, closed */
	struct rb_root registrations;
	bool enabled;
	bool closed;
	unsigned long regions;
	u64 registered;
	struct tce2_journal journal;
	struct rcu_head rcu;
};

/**
 * struct tce2_region_info - properties of a registered region, for debugfs
 * @ua: first user address
 * @size: bytes
 * @blocks: number of blocks of physically contiguous memory
 * @page_shift: log2 of the largest IOMMU page size, in bytes, for which each aligned page
 *	of the region can be mapped
 * @used: number of other containers that have the region registered
 * @mapped: number of mapped and held IOMMU pages
 * @readonly: part of the memory is read-only
 * @mirrored: KVM can map the memory without userspace
 */
struct tce2_region_info {
	u64 ua;
	u64 size;
	u64 blocks;
	unsigned int page_shift;
	unsigned long used;
	u64 mapped;
	bool readonly;
	bool mirrored;
};

int tce2_container_init(void);
void tce2_container_exit(void);

void *tce2_container_open(void);
void tce2_container_release(void *cookie);
struct tce2_container *tce2_container_get(void *cookie);
void tce2_container_put(struct tce2_container *container);

u64 tce2_container_id(const void *cookie);
struct tce2_container *tce2_container_next(u64 id);
bool tce2_container_next_region(struct tce2_container *container, u64 ua,
				struct tce2_region_info *info);

int tce2_container_attach(struct tce2_container *container,
			  struct iommu_group *group);
int tce2_container_attach_emulated(struct tce2_container *container,
				   struct iommu_group *group);
int tce2_container_detach(struct tce2_container *container,
			  struct iommu_group *group);
void tce2_container_add_device(struct tce2_container *container,
			       struct vfio_device *device);
void tce2_container_remove_device(struct tce2_container *container,
				  struct vfio_device *device);
int tce2_container_pin(struct tce2_container *container,
		       const struct tce2_pin_request *request);
void tce2_container_unpin(struct tce2_container *container, u64 iova, u64 count);
int tce2_container_access(struct tce2_container *container,
			  struct tce2_access_request *request);
int tce2_container_info(struct tce2_container *container,
			struct vfio_iommu_spapr_tce_info *info, struct tce2_caps *caps);
int tce2_container_check_process(struct tce2_container *container);

int tce2_container_register(struct tce2_container *container, u64 ua,
			    u64 size);
int tce2_container_unregister(struct tce2_container *container, u64 ua,
			      u64 size);
int tce2_container_map(struct tce2_container *container,
		       const struct tce2_map_request *request);
int tce2_container_unmap(struct tce2_container *container, u64 iova, u64 size);
int tce2_container_copy(struct tce2_container *container, u64 iova, u64 source, u64 size);
int tce2_container_unmap_window(struct tce2_container *container, u64 start);
int tce2_container_map_element(struct tce2_container *container,
			       const struct tce2_map_request *request);
int tce2_container_unmap_element(struct tce2_container *container, u64 iova, u64 size);
int tce2_container_map_page(const void *cookie, u64 iova, u64 ua, u64 size, u64 perm,
			    struct tce2_container **container);
int tce2_container_unmap_page(const void *cookie, u64 iova, u64 size,
			      struct tce2_container **container);
int tce2_container_create_window(struct tce2_container *container,
				 const struct tce2_window_spec *spec,
				 struct tce2_creation *creation);
int tce2_container_publish_window(struct tce2_container *container,
				  struct tce2_creation *creation);
void tce2_container_cancel_window(struct tce2_container *container,
				  struct tce2_creation *creation);
int tce2_container_remove_window(struct tce2_container *container, u64 start);
int tce2_container_track(struct tce2_container *container, u64 start);
int tce2_container_untrack(struct tce2_container *container, u64 start);
int tce2_container_get_dirty(struct tce2_container *container, u64 iova, u64 size,
			     struct tce2_track *track);
void tce2_container_restore_dirty(struct tce2_container *container, u64 iova,
				  const struct tce2_track *track);
int tce2_container_eeh(struct tce2_container *container,
		       const struct vfio_eeh_pe_op *op);
bool tce2_container_has_eeh(void);

#endif /* TCE2_CONTAINER_H */
