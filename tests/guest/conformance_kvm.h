/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vocabulary of the KVM tests: a guest's TCE table attached to a window, its
 * hypercalls, and calls that stop between two hooks. The module that plays KVM is
 * tests/kvmplay.
 */
#ifndef GUEST_CONFORMANCE_KVM_H
#define GUEST_CONFORMANCE_KVM_H

#include "conformance.h"

#include "../kvmplay/kvmplay.h"

#define TOO_HARD	KVMPLAY_TOO_HARD

/* The window that guests use, and where in it tests map */
#define GUEST_SIZE	GIB(1)
#define GUEST_IOBA	(WINDOW1_START + MIB(16))
/* A page of the same window that arms the module: see guest_arm() */
#define ARM_IOBA	(WINDOW1_START + MIB(512))

/**
 * struct guest - a TCE table of a guest
 * @fd: the open /dev/tce2-kvmplay
 * @shift: log2 of the page size of the guest's TCEs
 * @last: the last hypercall, with its answers
 */
struct guest {
	int fd;
	unsigned int shift;
	struct kvmplay_call last;
};

struct guest guest_new(unsigned int shift);
int guest_try_attach(struct guest *g, int slot, uint64_t start, uint64_t size);
void guest_attach(struct guest *g, int slot, uint64_t start, uint64_t size);
void guest_detach(struct guest *g, int slot);
struct guest guest_in_window(struct vfio *v, unsigned int window_shift,
			     unsigned int shift);
struct guest guest_armed(struct vfio *v);
uint8_t *guest_arm(struct vfio *v);
int64_t windows_made(struct vfio *v);
void guest_close(struct guest *g);

/*
 * Fixtures with a table of 4 KiB TCEs, in a window of 4 KiB pages. "guest" calls
 * guest_in_window(), "armed_guest" calls guest_armed(). "kernel_guest" is an armed guest
 * whose TCEs KVM maps in the kernel. Under a hypervisor it does not, and the test is skipped.
 */
FIXTURE(guest);
FIXTURE(armed_guest);
FIXTURE(kernel_guest);

/* The table of these fixtures */
extern struct guest guest;

/* H_SUCCESS, H_TOO_HARD or H_PARAMETER; the test fails where KVM would warn */
struct kvmplay_call put_of(uint64_t ioba, const void *ua, uint32_t perm);
long hypercall(struct guest *g, struct kvmplay_call call);
long put(struct guest *g, uint64_t ioba, const void *ua, uint32_t perm);
long put_series(struct guest *g, uint64_t ioba, const void *ua, uint32_t perm,
		uint32_t npages);
long put_none(struct guest *g, uint64_t ioba);
long indirect(struct guest *g, uint64_t ioba, const uint64_t *list,
	      uint32_t npages, uint32_t flags);
long stuff(struct guest *g, uint64_t ioba, uint32_t npages);
void expect_no_odds(const uint32_t *odds);

/* The hardware's entry */
uint64_t tce_at(struct guest *g, uint64_t ioba);
bool is_mapped(struct guest *g, uint64_t ioba);
uint32_t table_refs(struct guest *g);
/* Whether KVM's list of memory has all of it */
bool is_shared(struct guest *g, const void *ua, uint64_t size);

/**
 * struct stopped - a hypercall of another thread that has stopped between two hooks
 * @g: the table of the guest
 * @call: the hypercall
 * @thread: the thread
 */
struct stopped {
	struct guest *g;
	struct kvmplay_call call;
	pthread_t thread;
};

#define BEFORE		0
#define AFTER		1
#define LONG_STOP	KVMPLAY_STOP_MS	/* until release_call() */
#define SHORT_STOP	400		/* for what waits until it is over */

struct kvmplay_call stop_at(struct kvmplay_call call, uint32_t step,
			    uint32_t after, uint32_t ms);
void stop_call(struct stopped *s, struct guest *g, struct kvmplay_call call);
bool is_stopped(struct guest *g);
long release_call(struct stopped *s);

/* For expect_soon(): VmLck, pins and use count are as arg, a struct before, says */
struct before {
	struct ledger ledger;
	int refs;
};

struct before before_all(void);
bool as_before(void *arg);
int refs_more_than(struct before before);
/* A table's charge is refunded some time after its last reference was put */
void expect_locked_soon(int64_t bytes);

/* How often the log says, from follow_log() on, that KVM maps no more */
unsigned int tripped(int log);
void need_kernel_maps(void);
void set_parameter(const char *name, const char *value);

#endif /* GUEST_CONFORMANCE_KVM_H */
