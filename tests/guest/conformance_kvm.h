/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of the KVM tests: a guest's TCE table attached to a window, its hypercalls,
 * and calls that stop between two hooks. The module in tests/kvmplay stands in for KVM.
 */
#ifndef GUEST_CONFORMANCE_KVM_H
#define GUEST_CONFORMANCE_KVM_H

#include "conformance.h"

#include "../kvmplay/kvmplay.h"

#define TOO_HARD	KVMPLAY_TOO_HARD

/* Size of the window that the guests use, and the address in it at which most tests map */
#define GUEST_SIZE	GIB(1)
#define GUEST_IOBA	(WINDOW1_START + MIB(16))
/* Another address in the window, for guest_arm() */
#define ARM_IOBA	(WINDOW1_START + MIB(512))

/**
 * struct guest - a TCE table of a guest
 * @fd: descriptor of /dev/tce2-kvmplay
 * @shift: log2 of the page size of the guest's TCEs
 * @last: the last hypercall, with its results
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
 * guest_in_window(). "armed_guest" calls guest_armed(), which enters the process's memory
 * in KVM's list. "kernel_guest" is an armed guest whose TCEs KVM maps in the kernel. On
 * pseries KVM maps no TCE in the kernel, so the test is skipped.
 */
FIXTURE(guest);
FIXTURE(armed_guest);
FIXTURE(kernel_guest);

/* The table of these fixtures */
extern struct guest guest;

/*
 * Hypercalls return H_SUCCESS, H_TOO_HARD or H_PARAMETER. The test fails if KVM would print
 * a warning.
 */
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

/* Read an entry of the hardware's table, and the references to the table */
uint64_t tce_at(struct guest *g, uint64_t ioba);
bool is_mapped(struct guest *g, uint64_t ioba);
uint32_t table_refs(struct guest *g);
/* Check that a single region in KVM's list of registered memory contains the whole range */
bool is_shared(struct guest *g, const void *ua, uint64_t size);

/**
 * struct stopped - a hypercall of another thread that has stopped between two hooks
 * @g: the guest whose table the hypercall changes
 * @call: the hypercall
 * @thread: the thread that makes the hypercall
 */
struct stopped {
	struct guest *g;
	struct kvmplay_call call;
	pthread_t thread;
};

#define BEFORE		0
#define AFTER		1
#define LONG_STOP	KVMPLAY_STOP_MS	/* for stops that release_call() ends */
#define SHORT_STOP	400		/* for requests that wait until the stop ends */

struct kvmplay_call stop_at(struct kvmplay_call call, uint32_t step,
			    uint32_t after, uint32_t ms);
void stop_call(struct stopped *s, struct guest *g, struct kvmplay_call call);
bool is_stopped(struct guest *g);
long release_call(struct stopped *s);

/* Counts before a test. expect_soon() passes a pointer to this struct to as_before() */
struct before {
	struct ledger ledger;
	int refs;
};

struct before before_all(void);
bool as_before(void *arg);
int refs_more_than(struct before before);
/* Wait until locked_vm is @bytes: a table's charge is refunded some time after the last put */
void expect_locked_soon(int64_t bytes);

/* Count the messages since follow_log() that the tripwire has disabled mapping in a window */
unsigned int tripped(int log);
void need_kernel_maps(void);
void set_parameter(const char *name, const char *value);

#endif /* GUEST_CONFORMANCE_KVM_H */
