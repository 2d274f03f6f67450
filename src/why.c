// SPDX-License-Identifier: GPL-2.0-only
/*
 * Journals: the rules by which requests are refused, and the refusals of each container.
 *
 * Owns the names and texts of the rules, and struct tce2_journal. Also owns the refusals
 * of released containers: a program often ends right after a refusal, and an administrator
 * looks for the reason later.
 *
 * Locks: a journal's lock, and old_lock for the refusals of released containers. No lock
 * is taken inside either of them.
 * Calls: nothing of this project.
 */
#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/cred.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uidgid.h>

#include "tce2_why.h"

static const struct {
	const char *name;
	const char *text;
} rules[TCE2_WHY_RULES] = {
	[TCE2_WHY_UNKNOWN] = { "unknown", "no rule is known for this error" },
	[TCE2_WHY_NO_MEMORY] = { "no-memory",
		"the kernel is short of memory, or the memory cgroup is at its limit" },
	[TCE2_WHY_SIGNAL] = { "signal", "a fatal signal ended the request" },
	[TCE2_WHY_PLATFORM] = { "platform",
		"the firmware or the hypervisor refuses the operation" },
	[TCE2_WHY_BAD_POINTER] = { "bad-pointer",
		"the request structure cannot be read or written" },
	[TCE2_WHY_OTHER_PROCESS] = { "other-process",
		"the container is bound to another process, or to this process before exec" },
	[TCE2_WHY_NOTHING_REGISTERED] = { "nothing-registered",
		"no memory was registered through this container before" },
	[TCE2_WHY_ARGSZ] = { "argsz", "argsz is smaller than the request structure" },
	[TCE2_WHY_FLAGS] = { "flags", "the request has a flag that this ioctl does not have" },
	[TCE2_WHY_UNKNOWN_IOCTL] = { "unknown-ioctl",
		"a v2 container does not have this ioctl" },
	[TCE2_WHY_EMPTY] = { "empty", "the range has no bytes" },
	[TCE2_WHY_WRAPS] = { "wraps", "the range reaches past the end of the address space" },
	[TCE2_WHY_MEMORY_MISALIGNED] = { "memory-misaligned",
		"address or size of the memory is not a multiple of the kernel's page size" },
	[TCE2_WHY_NOT_USER_MEMORY] = { "not-user-memory",
		"the memory is not in the address space of a process" },
	[TCE2_WHY_CLOSED] = { "closed", "the container was closed meanwhile" },
	[TCE2_WHY_ALREADY_REGISTERED] = { "already-registered",
		"this container has the same memory registered, or is registering it" },
	[TCE2_WHY_OVERLAPS] = { "overlaps",
		"the memory overlaps registered memory of the process, but is not equal to it" },
	[TCE2_WHY_NOT_MAPPED] = { "not-mapped",
		"the process has not mapped all pages of the memory" },
	[TCE2_WHY_CANNOT_PIN] = { "cannot-pin",
		"pages of the memory cannot be pinned for DMA: device memory, some files, or pages past the end of a file"
	},
	[TCE2_WHY_MEMLOCK] = { "memlock",
		"the locked memory of the process would exceed RLIMIT_MEMLOCK: raise the limit" },
	[TCE2_WHY_NOT_REGISTERED] = { "not-registered",
		"this container has no registration with this address and size" },
	[TCE2_WHY_REGISTRATION_BUSY] = { "registration-busy",
		"another request is registering or unregistering the memory" },
	[TCE2_WHY_MEMORY_IN_USE] = { "memory-in-use",
		"a window still maps pages of the memory, or another module holds them" },
	[TCE2_WHY_KVM_USES_MEMORY] = { "kvm-uses-memory",
		"KVM or the in-tree driver still counts pages of the memory" },
	[TCE2_WHY_MEMORY_NOT_REGISTERED] = { "memory-not-registered",
		"part of the memory is not registered" },
	[TCE2_WHY_SCATTERED] = { "scattered",
		"an IOMMU page is scattered or misaligned in physical memory: it needs hugepages of at least its size"
	},
	[TCE2_WHY_READ_ONLY] = { "read-only",
		"the device would write to memory that was read-only for the process when it was registered"
	},
	[TCE2_WHY_NO_PERMISSION] = { "no-permission",
		"the request asks for neither read nor write permission" },
	[TCE2_WHY_NO_WINDOW] = { "no-window", "no window contains the bus address" },
	[TCE2_WHY_MISALIGNED] = { "misaligned",
		"address or size is not a multiple of the window's IOMMU page size" },
	[TCE2_WHY_PAST_WINDOW] = { "past-window",
		"the range begins in a window and reaches past its end" },
	[TCE2_WHY_NO_GROUP] = { "no-group", "the container has no group" },
	[TCE2_WHY_PAGE_SIZE] = { "page-size",
		"not all groups of the container offer this IOMMU page size" },
	[TCE2_WHY_LEVELS] = { "levels",
		"not all groups of the container offer this number of levels" },
	[TCE2_WHY_WINDOW_SIZE] = { "window-size",
		"the size of the window is not a power of two, or less than an IOMMU page" },
	[TCE2_WHY_WINDOW_TOO_LARGE] = { "window-too-large",
		"levels and page size translate too many bits of the bus address" },
	[TCE2_WHY_LEVEL_TOO_LARGE] = { "level-too-large",
		"a table of one level would be too large: use more levels or larger IOMMU pages" },
	[TCE2_WHY_TABLE_MEMORY] = { "table-memory",
		"the kernel has no contiguous memory for the TCE table" },
	[TCE2_WHY_NO_SLOT] = { "no-slot", "the groups have no free slot for another window" },
	[TCE2_WHY_ONE_DYNAMIC_WINDOW] = { "one-dynamic-window",
		"a hypervisor's group can have only one window besides the default window" },
	[TCE2_WHY_DEFAULT_BLOCKED] = { "default-blocked",
		"the hypervisor's default window cannot be made while another window exists" },
	[TCE2_WHY_KVM_FOUND_TABLE] = { "kvm-found-table",
		"KVM found the hypervisor's table before this module could take it over" },
	[TCE2_WHY_WINDOW_REMOVED] = { "window-removed",
		"the new window was removed with its group or with the container" },
	[TCE2_WHY_NO_SUCH_WINDOW] = { "no-such-window",
		"no window begins at this bus address" },
	[TCE2_WHY_NO_TABLE_GROUP] = { "no-table-group",
		"the platform has no TCE tables for the group" },
	[TCE2_WHY_NO_DYNAMIC_WINDOWS] = { "no-dynamic-windows",
		"the platform offers no dynamic DMA windows for the group" },
	[TCE2_WHY_ALREADY_ATTACHED] = { "already-attached", "the group is attached already" },
	[TCE2_WHY_CANNOT_SHARE] = { "cannot-share",
		"the group cannot share TCE tables with the groups of the container" },
	[TCE2_WHY_GROUP_PAGE_SIZE] = { "group-page-size",
		"the group lacks the IOMMU page size of a window of the container" },
	[TCE2_WHY_SOFTWARE_WINDOW] = { "software-window",
		"the container has windows without hardware: remove them before a group with hardware joins"
	},
	[TCE2_WHY_PINNED] = { "pinned",
		"the driver of an emulated device does not unpin pages, although it was notified" },
	[TCE2_WHY_NO_DEVICE] = { "no-device",
		"no open device of the container has a driver that can be notified" },
	[TCE2_WHY_ACCESS_NOT_MAPPED] = { "access-not-mapped",
		"the bus address is not mapped, or is being unmapped" },
	[TCE2_WHY_ACCESS_SCATTERED] = { "access-scattered",
		"the entries of a kernel page do not map one page of memory in order" },
	[TCE2_WHY_ACCESS_PERMISSION] = { "access-permission",
		"the bus address is mapped without the permission that the driver needs" },
	[TCE2_WHY_KVM_CHANGES_ENTRIES] = { "kvm-changes-entries",
		"KVM changes entries of the window without userspace: open emulated devices before the guest starts"
	},
	[TCE2_WHY_EEH_OPERATION] = { "eeh-operation",
		"unknown EEH operation, or unknown function or type of an injected error" },
	[TCE2_WHY_EEH_NO_ENDPOINT] = { "eeh-no-endpoint",
		"the group has no partitionable endpoint" },
	[TCE2_WHY_EEH_FAILED] = { "eeh-failed",
		"the kernel's EEH core refuses the operation" },
	[TCE2_WHY_COUNT] = { "count",
		"the vector has no requests, or more requests than the module accepts" },
	[TCE2_WHY_OPERATION] = { "operation",
		"a request of the vector has an unknown operation" },
	[TCE2_WHY_RESERVED] = { "reserved",
		"a field that the operation does not use is not 0" },
	[TCE2_WHY_RANGE] = { "range",
		"a request of the vector was refused, and its refusal has the reason" },
	[TCE2_WHY_SOURCE_NOT_MAPPED] = { "source-not-mapped",
		"part of the bus addresses to copy is not mapped" },
	[TCE2_WHY_TOO_MANY_RUNS] = { "too-many-runs",
		"the bus addresses to copy map too many separate ranges of memory: copy a smaller range"
	},
	[TCE2_WHY_NOT_BOUND] = { "not-bound",
		"the container is not bound to a process yet, so it has no owner to change" },
	[TCE2_WHY_NOT_OFFERED] = { "not-offered",
		"the container's process is alive, and has not offered its containers" },
	[TCE2_WHY_OWNER_BUSY] = { "owner-busy",
		"another module uses a window or the memory, or a request creates a window or closes a container"
	},
	[TCE2_WHY_OWNS_OTHERS] = { "owns-others",
		"the new process has used another container before: take containers over first" },
	[TCE2_WHY_TRACKED] = { "tracked", "the window's dirty pages are tracked already" },
	[TCE2_WHY_NOT_TRACKED] = { "not-tracked",
		"the window's dirty pages are not tracked, or START has not ended yet" },
	[TCE2_WHY_TOO_MANY] = { "too-many-pages",
		"the range has more than 262144 IOMMU pages: ask in several requests" },
	[TCE2_WHY_OTHER_PAGES] = { "other-pages",
		"the new process does not map the same pages at the addresses of the registered memory, or may not write to them"
	},
};

static const char *const requests[TCE2_REQUESTS] = {
	[TCE2_REQUEST_REGISTER]		= "register",
	[TCE2_REQUEST_UNREGISTER]	= "unregister",
	[TCE2_REQUEST_MAP]		= "map",
	[TCE2_REQUEST_UNMAP]		= "unmap",
	[TCE2_REQUEST_CREATE]		= "create",
	[TCE2_REQUEST_REMOVE]		= "remove",
	[TCE2_REQUEST_INFO]		= "info",
	[TCE2_REQUEST_EEH]		= "eeh",
	[TCE2_REQUEST_ATTACH]		= "attach",
	[TCE2_REQUEST_OWNER]		= "owner",
	[TCE2_REQUEST_DIRTY]		= "dirty",
	[TCE2_REQUEST_OTHER]		= "other",
	[TCE2_REQUEST_RANGES]		= "ranges",
	[TCE2_REQUEST_COPY]		= "copy",
	[TCE2_REQUEST_PIN]		= "pin",
	[TCE2_REQUEST_ACCESS]		= "access",
};

/* Refusals of released containers, in no order. Protected by old_lock. */
static struct tce2_old_refusal old_refusals[TCE2_OLD_REFUSALS];
static u64 old_refused;
static DEFINE_SPINLOCK(old_lock);

/**
 * tce2_why_name() - get the name of a rule
 * @why: the rule
 *
 * Return: the name, which consists of lower-case letters and dashes.
 */
const char *tce2_why_name(enum tce2_why why)
{
	return rules[why].name;
}

/**
 * tce2_why_text() - get the text of a rule
 * @why: the rule
 *
 * Return: the rule in words.
 */
const char *tce2_why_text(enum tce2_why why)
{
	return rules[why].text;
}

/**
 * tce2_request_name() - get the name of a kind of requests
 * @request: the kind
 *
 * Return: the name.
 */
const char *tce2_request_name(enum tce2_request request)
{
	return requests[request];
}

/**
 * tce2_why_of() - get the rule of a refusal
 * @ret: a refusal, or a negative errno without a rule
 *
 * Return: the rule. A few bare errnos have a single reason; for the others the rule is
 * TCE2_WHY_UNKNOWN.
 */
enum tce2_why tce2_why_of(int ret)
{
	unsigned int why = (unsigned int)-ret >> TCE2_WHY_SHIFT;

	if (why)
		return why < TCE2_WHY_RULES ? why : TCE2_WHY_UNKNOWN;
	switch (ret) {
	case -EINTR:
		return TCE2_WHY_SIGNAL;
	case -ENOMEM:
		return TCE2_WHY_NO_MEMORY;
	case -EIO:
		return TCE2_WHY_PLATFORM;
	case -EFAULT:
		return TCE2_WHY_BAD_POINTER;
	default:
		return TCE2_WHY_UNKNOWN;
	}
}

/**
 * tce2_journal_init() - initialize the journal of a new container
 * @journal: zeroed memory for the journal
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int tce2_journal_init(struct tce2_journal *journal)
{
	/*
	 * VFIO holds locks that all containers share, so do not wait for the lock of the
	 * per-CPU allocator, which is held during reclaim, unless its reserve is used up.
	 */
	journal->counts = alloc_percpu_gfp(struct tce2_counts, GFP_NOWAIT | __GFP_NOWARN);
	if (!journal->counts)
		journal->counts = alloc_percpu_gfp(struct tce2_counts,
						   GFP_KERNEL | __GFP_NOWARN);
	if (!journal->counts)
		return -ENOMEM;
	spin_lock_init(&journal->lock);
	tce2_journal_own(journal);
	return 0;
}

/* Counts the old refusals of a user */
static unsigned int journal_count_old(kuid_t user)
{
	unsigned int i, count = 0;

	for (i = 0; i < TCE2_OLD_REFUSALS; i++)
		count += old_refusals[i].seq && uid_eq(old_refusals[i].user, user);
	return count;
}

/*
 * Chooses the element for an old refusal of @user: a free element, or the oldest refusal of the
 * user with the most refusals. So no refusal of a user with fewer refusals is replaced.
 */
static struct tce2_old_refusal *journal_choose_old(kuid_t user)
{
	struct tce2_old_refusal *old, *chosen = NULL;
	unsigned int most = 0, count;

	for (old = old_refusals; old < old_refusals + TCE2_OLD_REFUSALS; old++) {
		if (!old->seq)
			return old;
		count = journal_count_old(old->user) + uid_eq(old->user, user);
		if (count > most || (count == most && old->seq < chosen->seq)) {
			chosen = old;
			most = count;
		}
	}
	return chosen;
}

/* Adds a refusal of a released container, which may replace another */
static void journal_add_old(u64 container, kuid_t user, const struct tce2_refusal *refusal)
{
	spin_lock(&old_lock);
	*journal_choose_old(user) = (struct tce2_old_refusal){
		.seq = ++old_refused,
		.container = container,
		.user = user,
		.refusal = *refusal,
	};
	spin_unlock(&old_lock);
}

/**
 * tce2_journal_close() - keep the newest refusals of a container as old refusals
 * @journal: the journal of a container without references
 * @container: number of the container
 *
 * Frees the counts at once. They are memory that no process pays for, and a client can open
 * and close many containers in an RCU grace period. A brief request, which has no
 * reference, may still record a refusal, which is lost. It counts only while it holds an
 * entry of a window, and all windows were retired (tce2_window_retire()).
 *
 * Context: may sleep.
 */
void tce2_journal_close(struct tce2_journal *journal, u64 container)
{
	u64 refused = tce2_journal_refused(journal);
	struct tce2_refusal refusal = {
		.seq = refused > TCE2_OLD_OF_ONE ? refused - TCE2_OLD_OF_ONE : 0,
	};

	while (tce2_journal_next(journal, refusal.seq, &refusal))
		journal_add_old(container, journal->user, &refusal);
	/* A request that was still running may have become the owner again */
	tce2_journal_disown(journal);
	free_percpu(journal->counts);
}

/**
 * tce2_journal_exit() - forget the refusals of all released containers
 *
 * The caller ensures that no container is left.
 *
 * Context: may sleep.
 */
void tce2_journal_exit(void)
{
	memset(old_refusals, 0, sizeof(old_refusals));
	old_refused = 0;
}

/* Copies the name of the current process's first thread */
static void journal_get_comm(char (*comm)[TASK_COMM_LEN])
{
	/* Another thread of the process may become its first thread (exec) */
	rcu_read_lock();
	get_task_comm(*comm, current->group_leader);
	rcu_read_unlock();
}

/* Returns the pid of the old owner, whose reference the caller puts */
static struct pid *journal_replace_owner(struct tce2_journal *journal,
					 const struct tce2_owner *new)
{
	struct pid *old;

	spin_lock(&journal->lock);
	old = journal->owner.pid;
	journal->owner = *new;
	spin_unlock(&journal->lock);
	return old;
}

/**
 * tce2_journal_own() - make the current process the owner of a container
 * @journal: the container's journal
 *
 * Context: process context.
 */
void tce2_journal_own(struct tce2_journal *journal)
{
	struct tce2_owner new = { .pid = get_task_pid(current, PIDTYPE_TGID) };

	journal_get_comm(&new.comm);
	WRITE_ONCE(journal->user, current_uid());
	put_pid(journal_replace_owner(journal, &new));
}

/**
 * tce2_journal_disown() - put the reference to the owner's pid
 * @journal: the container's journal
 *
 * A released container may exist for long, as long as a request of it runs. A reference to
 * the pid would also keep the pid namespace.
 *
 * Context: process context.
 */
void tce2_journal_disown(struct tce2_journal *journal)
{
	const struct tce2_owner none = {};

	put_pid(journal_replace_owner(journal, &none));
}

/**
 * tce2_journal_owner() - get the owner of a container
 * @journal: the container's journal
 * @owner: set to the owner, with a reference to its pid that the caller puts
 *
 * Context: any context that may take a spinlock.
 */
void tce2_journal_owner(struct tce2_journal *journal, struct tce2_owner *owner)
{
	spin_lock(&journal->lock);
	*owner = journal->owner;
	get_pid(owner->pid);
	spin_unlock(&journal->lock);
}

/**
 * tce2_journal_refuse() - record a refused request of the current process
 * @journal: the container's journal
 * @request: kind of the request
 * @ret: the refusal, or a negative errno
 *
 * The process may be another one than the container's owner.
 *
 * Context: process context; does not sleep.
 * Return: the bare errno, negative.
 */
int tce2_journal_refuse(struct tce2_journal *journal, enum tce2_request request,
			int ret)
{
	struct tce2_refusal new = {
		.when = ktime_get_ns(),
		.request = request,
		.error = -tce2_errno(ret),
		.why = tce2_why_of(ret),
		.pid = task_tgid_nr(current),
	};

	journal_get_comm(&new.comm);
	spin_lock(&journal->lock);
	new.seq = ++journal->refused;
	journal->ruled[new.why]++;
	journal->refusals[new.seq % TCE2_REFUSALS] = new;
	spin_unlock(&journal->lock);
	return tce2_errno(ret);
}

/**
 * tce2_journal_requests() - count the requests of one kind
 * @journal: the container's journal
 * @request: the kind
 *
 * Context: any.
 * Return: number of requests that have come in.
 */
u64 tce2_journal_requests(const struct tce2_journal *journal,
			  enum tce2_request request)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(journal->counts, cpu)->requests[request]);
	return sum;
}

/**
 * tce2_journal_refused() - count the refused requests
 * @journal: the container's journal
 *
 * Context: any context that may take a spinlock.
 * Return: number of requests that were answered with an error.
 */
u64 tce2_journal_refused(struct tce2_journal *journal)
{
	u64 refused;

	spin_lock(&journal->lock);
	refused = journal->refused;
	spin_unlock(&journal->lock);
	return refused;
}

/**
 * tce2_journal_ruled() - count the requests that a rule refused
 * @journal: the container's journal
 * @why: the rule
 *
 * Context: any context that may take a spinlock.
 * Return: number of requests that the rule refused.
 */
u64 tce2_journal_ruled(struct tce2_journal *journal, enum tce2_why why)
{
	u64 ruled;

	spin_lock(&journal->lock);
	ruled = journal->ruled[why];
	spin_unlock(&journal->lock);
	return ruled;
}

/**
 * tce2_journal_next() - find the next refusal of a container
 * @journal: the container's journal
 * @seq: number of the previous refusal, or 0
 * @refusal: set to the oldest kept refusal with a higher number
 *
 * Context: any context that may take a spinlock.
 * Return: true; false if there is no such refusal.
 */
bool tce2_journal_next(struct tce2_journal *journal, u64 seq,
		       struct tce2_refusal *refusal)
{
	bool found;

	spin_lock(&journal->lock);
	/* The first number after @seq that is still kept */
	seq = max(seq + 1, journal->refused < TCE2_REFUSALS ?
		  1 : journal->refused - TCE2_REFUSALS + 1);
	found = seq <= journal->refused;
	if (found)
		*refusal = journal->refusals[seq % TCE2_REFUSALS];
	spin_unlock(&journal->lock);
	return found;
}

/**
 * tce2_journal_next_old() - find the next refusal of the released containers
 * @seq: number of the previous refusal (@seq of struct tce2_old_refusal), or 0
 * @old: set to the oldest kept refusal with a higher number
 *
 * Context: any context that may take a spinlock.
 * Return: true; false if there is no such refusal.
 */
bool tce2_journal_next_old(u64 seq, struct tce2_old_refusal *old)
{
	const struct tce2_old_refusal *next = NULL;
	unsigned int i;

	spin_lock(&old_lock);
	for (i = 0; i < TCE2_OLD_REFUSALS; i++) {
		if (old_refusals[i].seq > seq && (!next || old_refusals[i].seq < next->seq))
			next = &old_refusals[i];
	}
	if (next)
		*old = *next;
	spin_unlock(&old_lock);
	return next;
}
