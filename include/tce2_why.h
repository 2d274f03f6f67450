/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_WHY_H
#define TCE2_WHY_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct pid;

/*
 * Refusals: why this module has refused a request.
 *
 * Clients see an errno, and the same errno has many reasons. So the place that refuses a
 * request also names a rule: it returns tce2_refuse(-EINVAL, TCE2_WHY_PAST_WINDOW) instead
 * of -EINVAL. The result is a negative number with the errno in its low bits and the rule
 * above them. The callers pass it on like an errno. Before it leaves the module,
 * tce2_journal_refuse() records the rule, and returns the bare errno for the client.
 * tce2_memory_hold() returns the bare errno to other modules. So a rule needs no argument,
 * no memory and no lock, and has no cost in a request that succeeds.
 *
 * A bare errno is a refusal without a rule: tce2_why_of() then derives the rule from the
 * errno. -EAGAIN and -EINTR are bare, and so is any errno that the code of this module
 * compares with another. A refusal must not be stored in a pointer (ERR_PTR()).
 */

/**
 * enum tce2_why - rules by which this module refuses requests
 *
 * src/why.c has the name and the text of each rule. The names are part of the format of
 * the files in debugfs (Documentation/debugfs.rst), so they must not change.
 *
 * @TCE2_WHY_UNKNOWN: no rule is known
 * @TCE2_WHY_NO_MEMORY: an allocation of the kernel failed
 * @TCE2_WHY_SIGNAL: a fatal signal
 * @TCE2_WHY_PLATFORM: the platform (firmware or hypervisor) refuses
 * @TCE2_WHY_BAD_POINTER: the request structure can't be read or written
 * @TCE2_WHY_OTHER_PROCESS: the container is bound to another process
 * @TCE2_WHY_NOTHING_REGISTERED: no memory has been registered
 * @TCE2_WHY_ARGSZ: argsz is too small
 * @TCE2_WHY_FLAGS: a flag is invalid
 * @TCE2_WHY_UNKNOWN_IOCTL: the ioctl is unknown
 * @TCE2_WHY_EMPTY: the range is empty
 * @TCE2_WHY_WRAPS: the range wraps around the end of the address space
 * @TCE2_WHY_MEMORY_MISALIGNED: memory is not a multiple of the kernel's page size
 * @TCE2_WHY_NOT_USER_MEMORY: the range is not in user space
 * @TCE2_WHY_CLOSED: VFIO has released the container
 * @TCE2_WHY_ALREADY_REGISTERED: the same range is registered
 * @TCE2_WHY_OVERLAPS: the range overlaps a registered range
 * @TCE2_WHY_NOT_MAPPED: the process has not mapped all of the memory
 * @TCE2_WHY_CANNOT_PIN: the memory can't be pinned
 * @TCE2_WHY_MEMLOCK: RLIMIT_MEMLOCK is exceeded
 * @TCE2_WHY_NOT_REGISTERED: unregister: no such range is registered
 * @TCE2_WHY_REGISTRATION_BUSY: another request is registering or unregistering the range
 * @TCE2_WHY_MEMORY_IN_USE: unregister: a window maps the memory
 * @TCE2_WHY_KVM_USES_MEMORY: unregister: KVM or the in-tree driver counts the memory
 * @TCE2_WHY_MEMORY_NOT_REGISTERED: map: the memory is not registered
 * @TCE2_WHY_SCATTERED: map: an IOMMU page is scattered or misaligned in physical memory
 * @TCE2_WHY_READ_ONLY: map: the process may only read the memory
 * @TCE2_WHY_NO_PERMISSION: map: neither read nor write is requested
 * @TCE2_WHY_NO_WINDOW: the bus address is in no window
 * @TCE2_WHY_MISALIGNED: a range is not a multiple of the window's page size
 * @TCE2_WHY_PAST_WINDOW: the range reaches past the window
 * @TCE2_WHY_NO_GROUP: the container has no group
 * @TCE2_WHY_PAGE_SIZE: create: no such IOMMU page size
 * @TCE2_WHY_LEVELS: create: no such number of levels
 * @TCE2_WHY_WINDOW_SIZE: create: the size is no power of two, or less than a page
 * @TCE2_WHY_WINDOW_TOO_LARGE: create: too many bus address bits
 * @TCE2_WHY_LEVEL_TOO_LARGE: create: a table of a level would be too large
 * @TCE2_WHY_TABLE_MEMORY: create: no contiguous memory for the table
 * @TCE2_WHY_NO_SLOT: create: no slot is free
 * @TCE2_WHY_ONE_DYNAMIC_WINDOW: create: a hypervisor makes a single dynamic window
 * @TCE2_WHY_DEFAULT_BLOCKED: create: a dynamic window prevents the default window
 * @TCE2_WHY_KVM_FOUND_TABLE: create: KVM found the table too early
 * @TCE2_WHY_WINDOW_REMOVED: create: the window was removed before it was published
 * @TCE2_WHY_NO_SUCH_WINDOW: remove: no window begins at the bus address
 * @TCE2_WHY_NO_TABLE_GROUP: attach: the group has no table group
 * @TCE2_WHY_NO_DYNAMIC_WINDOWS: attach: the platform offers no dynamic windows
 * @TCE2_WHY_ALREADY_ATTACHED: attach: the group is attached already
 * @TCE2_WHY_CANNOT_SHARE: attach: the groups can't share tables
 * @TCE2_WHY_GROUP_PAGE_SIZE: attach: the group lacks the page size of a window
 * @TCE2_WHY_SOFTWARE_WINDOW: attach: the container has windows without hardware
 * @TCE2_WHY_PINNED: the driver of an emulated device does not unpin pages
 * @TCE2_WHY_NO_DEVICE: pin: no emulated device of the container is open
 * @TCE2_WHY_ACCESS_NOT_MAPPED: pin, copy: the bus address is not mapped, or is being unmapped
 * @TCE2_WHY_ACCESS_SCATTERED: pin: entries of a kernel page map several pages of memory
 * @TCE2_WHY_ACCESS_PERMISSION: pin, copy: the entry does not have the permission
 * @TCE2_WHY_KVM_CHANGES_ENTRIES: pin: KVM changes entries of the window
 * @TCE2_WHY_EEH_OPERATION: unknown EEH operation, function or type of an error
 * @TCE2_WHY_EEH_NO_ENDPOINT: the group has no partitionable endpoint
 * @TCE2_WHY_EEH_FAILED: the kernel's EEH core failed
 * @TCE2_WHY_COUNT: vector: no requests, or too many
 * @TCE2_WHY_OPERATION: vector: unknown operation
 * @TCE2_WHY_RESERVED: vector: a field that the operation does not use is not 0
 * @TCE2_WHY_RANGE: vector: one of its requests was refused. The journal has the refusal of this
 *	request instead
 * @TCE2_WHY_SOURCE_NOT_MAPPED: copy: part of the source is not mapped
 * @TCE2_WHY_TOO_MANY_RUNS: copy: the source maps too many ranges of user memory
 * @TCE2_WHY_NOT_BOUND: change of owner: the container is not bound to a process
 * @TCE2_WHY_NOT_OFFERED: change of owner: the old process has not offered its containers
 * @TCE2_WHY_OWNER_BUSY: change of owner: another module or request uses windows or memory
 * @TCE2_WHY_OWNS_OTHERS: change of owner: the new process has a region cache already
 * @TCE2_WHY_OTHER_PAGES: change of owner: the new process does not map the same pages
 * @TCE2_WHY_TRACKED: dirty pages: the window is tracked already
 * @TCE2_WHY_NOT_TRACKED: dirty pages: the window is not tracked
 * @TCE2_WHY_TOO_MANY: dirty pages: the range has too many pages
 * @TCE2_WHY_RULES: number of rules
 */
enum tce2_why {
	TCE2_WHY_UNKNOWN,
	TCE2_WHY_NO_MEMORY,
	TCE2_WHY_SIGNAL,
	TCE2_WHY_PLATFORM,
	TCE2_WHY_BAD_POINTER,
	TCE2_WHY_OTHER_PROCESS,
	TCE2_WHY_NOTHING_REGISTERED,
	TCE2_WHY_ARGSZ,
	TCE2_WHY_FLAGS,
	TCE2_WHY_UNKNOWN_IOCTL,
	TCE2_WHY_EMPTY,
	TCE2_WHY_WRAPS,
	TCE2_WHY_MEMORY_MISALIGNED,
	TCE2_WHY_NOT_USER_MEMORY,
	TCE2_WHY_CLOSED,
	TCE2_WHY_ALREADY_REGISTERED,
	TCE2_WHY_OVERLAPS,
	TCE2_WHY_NOT_MAPPED,
	TCE2_WHY_CANNOT_PIN,
	TCE2_WHY_MEMLOCK,
	TCE2_WHY_NOT_REGISTERED,
	TCE2_WHY_REGISTRATION_BUSY,
	TCE2_WHY_MEMORY_IN_USE,
	TCE2_WHY_KVM_USES_MEMORY,
	TCE2_WHY_MEMORY_NOT_REGISTERED,
	TCE2_WHY_SCATTERED,
	TCE2_WHY_READ_ONLY,
	TCE2_WHY_NO_PERMISSION,
	TCE2_WHY_NO_WINDOW,
	TCE2_WHY_MISALIGNED,
	TCE2_WHY_PAST_WINDOW,
	TCE2_WHY_NO_GROUP,
	TCE2_WHY_PAGE_SIZE,
	TCE2_WHY_LEVELS,
	TCE2_WHY_WINDOW_SIZE,
	TCE2_WHY_WINDOW_TOO_LARGE,
	TCE2_WHY_LEVEL_TOO_LARGE,
	TCE2_WHY_TABLE_MEMORY,
	TCE2_WHY_NO_SLOT,
	TCE2_WHY_ONE_DYNAMIC_WINDOW,
	TCE2_WHY_DEFAULT_BLOCKED,
	TCE2_WHY_KVM_FOUND_TABLE,
	TCE2_WHY_WINDOW_REMOVED,
	TCE2_WHY_NO_SUCH_WINDOW,
	TCE2_WHY_NO_TABLE_GROUP,
	TCE2_WHY_NO_DYNAMIC_WINDOWS,
	TCE2_WHY_ALREADY_ATTACHED,
	TCE2_WHY_CANNOT_SHARE,
	TCE2_WHY_GROUP_PAGE_SIZE,
	TCE2_WHY_SOFTWARE_WINDOW,
	TCE2_WHY_PINNED,
	TCE2_WHY_NO_DEVICE,
	TCE2_WHY_ACCESS_NOT_MAPPED,
	TCE2_WHY_ACCESS_SCATTERED,
	TCE2_WHY_ACCESS_PERMISSION,
	TCE2_WHY_KVM_CHANGES_ENTRIES,
	TCE2_WHY_EEH_OPERATION,
	TCE2_WHY_EEH_NO_ENDPOINT,
	TCE2_WHY_EEH_FAILED,
	TCE2_WHY_COUNT,
	TCE2_WHY_OPERATION,
	TCE2_WHY_RESERVED,
	TCE2_WHY_RANGE,
	TCE2_WHY_SOURCE_NOT_MAPPED,
	TCE2_WHY_TOO_MANY_RUNS,
	TCE2_WHY_NOT_BOUND,
	TCE2_WHY_NOT_OFFERED,
	TCE2_WHY_OWNER_BUSY,
	TCE2_WHY_OWNS_OTHERS,
	TCE2_WHY_OTHER_PAGES,
	TCE2_WHY_TRACKED,
	TCE2_WHY_NOT_TRACKED,
	TCE2_WHY_TOO_MANY,
	TCE2_WHY_RULES,
};

/* Bits of an errno in a refusal (MAX_ERRNO is 4095) */
#define TCE2_WHY_SHIFT		12

/**
 * tce2_refuse() - build a refusal from an errno and a rule
 * @error: a negative errno, not -EAGAIN or -EINTR
 * @why: the rule
 *
 * Return: the refusal, a negative number.
 */
static __always_inline int tce2_refuse(int error, enum tce2_why why)
{
	return error - ((int)why << TCE2_WHY_SHIFT);
}

/**
 * tce2_errno() - get the errno of a refusal
 * @ret: a refusal, a negative errno, or a number that is not negative
 *
 * Return: the negative errno; @ret itself if it is not negative.
 */
static __always_inline int tce2_errno(int ret)
{
	return ret < 0 ? -(-ret & ((1 << TCE2_WHY_SHIFT) - 1)) : ret;
}

/**
 * tce2_refuse_unless_ruled() - add a rule to a bare errno
 * @ret: a refusal, a negative errno, or 0
 * @why: the rule
 *
 * -EINTR stays bare.
 *
 * Return: @ret, with the rule if it was a bare errno.
 */
static inline int tce2_refuse_unless_ruled(int ret, enum tce2_why why)
{
	if (ret >= 0 || ret != tce2_errno(ret) || ret == -EINTR)
		return ret;
	return tce2_refuse(ret, why);
}

/**
 * enum tce2_request - kinds of requests
 * @TCE2_REQUEST_REGISTER: VFIO_IOMMU_SPAPR_REGISTER_MEMORY
 * @TCE2_REQUEST_UNREGISTER: VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY
 * @TCE2_REQUEST_MAP: VFIO_IOMMU_MAP_DMA
 * @TCE2_REQUEST_UNMAP: VFIO_IOMMU_UNMAP_DMA
 * @TCE2_REQUEST_CREATE: VFIO_IOMMU_SPAPR_TCE_CREATE
 * @TCE2_REQUEST_REMOVE: VFIO_IOMMU_SPAPR_TCE_REMOVE
 * @TCE2_REQUEST_INFO: VFIO_IOMMU_SPAPR_TCE_GET_INFO
 * @TCE2_REQUEST_EEH: VFIO_EEH_PE_OP
 * @TCE2_REQUEST_ATTACH: VFIO attaches a group
 * @TCE2_REQUEST_OWNER: VFIO_TCE2_OFFER_OWNER or VFIO_TCE2_TAKE_OWNER
 * @TCE2_REQUEST_DIRTY: VFIO_TCE2_DIRTY_PAGES
 * @TCE2_REQUEST_OTHER: an unknown ioctl
 * @TCE2_REQUEST_RANGES: VFIO_IOMMU_TCE2_RANGES; its elements count as the other kinds
 * @TCE2_REQUEST_COPY: VFIO_TCE2_OP_COPY, in a vector
 * @TCE2_REQUEST_PIN: a driver pins pages (vfio_pin_pages())
 * @TCE2_REQUEST_ACCESS: a driver reads or writes memory (vfio_dma_rw())
 * @TCE2_REQUESTS: number of kinds
 */
enum tce2_request {
	TCE2_REQUEST_REGISTER,
	TCE2_REQUEST_UNREGISTER,
	TCE2_REQUEST_MAP,
	TCE2_REQUEST_UNMAP,
	TCE2_REQUEST_CREATE,
	TCE2_REQUEST_REMOVE,
	TCE2_REQUEST_INFO,
	TCE2_REQUEST_EEH,
	TCE2_REQUEST_ATTACH,
	TCE2_REQUEST_OWNER,
	TCE2_REQUEST_DIRTY,
	TCE2_REQUEST_OTHER,
	TCE2_REQUEST_RANGES,
	TCE2_REQUEST_COPY,
	TCE2_REQUEST_PIN,
	TCE2_REQUEST_ACCESS,
	TCE2_REQUESTS,
};

/* Number of refusals that a container keeps */
#define TCE2_REFUSALS		16

/* Number of refusals that are kept of all released containers together */
#define TCE2_OLD_REFUSALS	64

/* Old refusals kept of one container, to leave room for the refusals of other containers */
#define TCE2_OLD_OF_ONE		4

/**
 * struct tce2_refusal - a refused request
 * @seq: number of the refusal in its container, from 1
 * @when: time of the refusal (ktime_get_ns())
 * @request: kind of the request
 * @error: the errno, positive
 * @why: the rule
 * @pid: number of the process that sent the request, in the initial pid namespace. A
 *	reference to struct pid would keep the process's pid namespace
 * @comm: name of this process's first thread
 */
struct tce2_refusal {
	u64 seq;
	u64 when;
	enum tce2_request request : 8;
	int error : 16;
	enum tce2_why why : 8;
	int pid;
	char comm[TASK_COMM_LEN];
};

/**
 * struct tce2_owner - the process that uses a container
 * @pid: the process's number in each of its pid namespaces, with a reference; NULL after
 *	the release of the container
 * @comm: name of the process's first thread
 */
struct tce2_owner {
	struct pid *pid;
	char comm[TASK_COMM_LEN];
};

/**
 * struct tce2_old_refusal - a refused request of a container that was released
 * @seq: number of the refusal, from 1, counted for all released containers together
 * @container: number of the container
 * @user: user of the container's owner
 * @refusal: the refusal
 */
struct tce2_old_refusal {
	u64 seq;
	u64 container;
	kuid_t user;
	struct tce2_refusal refusal;
};

/**
 * struct tce2_counts - requests that have come in on one processor
 * @requests: number of requests of each kind
 */
struct tce2_counts {
	u64 requests[TCE2_REQUESTS];
};

/**
 * struct tce2_journal - requests and refusals of a container
 * @counts: requests of each kind, per CPU, so that requests of different threads
 *	write no common cache line. Brief requests use it through their window
 *	(@counts of struct tce2_window)
 * @lock: protects @refused, @ruled, @refusals and @owner
 * @refused: number of refused requests
 * @ruled: number of refused requests of each rule; the sum is @refused
 * @refusals: the newest refusals; refusal number n is in element n % TCE2_REFUSALS
 * @owner: the process that opened the container, later the process to which the
 *	container is bound, later the process that has taken it over
 * @user: user of the last process in @owner; stays after the release of the container
 */
struct tce2_journal {
	struct tce2_counts __percpu *counts;
	spinlock_t lock;	/* protects refused, ruled, refusals, owner */
	u64 refused;
	u64 ruled[TCE2_WHY_RULES];
	struct tce2_refusal refusals[TCE2_REFUSALS];
	struct tce2_owner owner;
	kuid_t user;
};

int tce2_journal_init(struct tce2_journal *journal);
void tce2_journal_close(struct tce2_journal *journal, u64 container);
void tce2_journal_exit(void);

void tce2_journal_own(struct tce2_journal *journal);
void tce2_journal_disown(struct tce2_journal *journal);
void tce2_journal_owner(struct tce2_journal *journal, struct tce2_owner *owner);
int tce2_journal_refuse(struct tce2_journal *journal, enum tce2_request request,
			int ret);
u64 tce2_journal_requests(const struct tce2_journal *journal,
			  enum tce2_request request);
u64 tce2_journal_refused(struct tce2_journal *journal);
u64 tce2_journal_ruled(struct tce2_journal *journal, enum tce2_why why);
bool tce2_journal_next(struct tce2_journal *journal, u64 seq,
		       struct tce2_refusal *refusal);
bool tce2_journal_next_old(u64 seq, struct tce2_old_refusal *old);

const char *tce2_why_name(enum tce2_why why);
const char *tce2_why_text(enum tce2_why why);
enum tce2_why tce2_why_of(int ret);
const char *tce2_request_name(enum tce2_request request);

/**
 * tce2_count() - count a request
 * @counts: the counts of the journal
 * @request: kind of the request
 *
 * Only threads count, so no interrupt can change the counter between load and store.
 *
 * Context: process context; the caller can't be preempted.
 */
static __always_inline void tce2_count(struct tce2_counts __percpu *counts,
				       enum tce2_request request)
{
	raw_cpu_inc(counts->requests[request]);
}

/**
 * tce2_journal_count() - count a request
 * @journal: the container's journal
 * @request: kind of the request
 *
 * Disabling preemption costs nothing on a kernel that is not preemptible.
 *
 * Context: process context.
 */
static __always_inline void tce2_journal_count(struct tce2_journal *journal,
					       enum tce2_request request)
{
	preempt_disable();
	tce2_count(journal->counts, request);
	preempt_enable();
}

#endif /* TCE2_WHY_H */
