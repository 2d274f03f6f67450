/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for emulated devices in containers. The module vfio_spapr_tce2_emulated
 * (tests/emulated) has the devices.
 */
#ifndef GUEST_CONFORMANCE_ACCESS_H
#define GUEST_CONFORMANCE_ACCESS_H

#include "conformance.h"

#include "../emulated/emulated.h"

/* Reason for .intree of a test */
#define REFUSED	"the in-tree driver has no emulated devices"

/**
 * struct emulated - an emulated device in a container
 * @group: descriptor of its group
 * @fd: descriptor of the device, or -1
 */
struct emulated {
	int group;
	int fd;
};

/* Attach the group of device @number; return 0 or an errno */
int emulated_join(struct vfio *v, struct emulated *e, int number);
void emulated_open(struct emulated *e, int number);
/* Close the device, if it is open, and the group */
void emulated_leave(struct emulated *e);

/* The commands of emulated.h; each returns the device's answer, or a negative errno */
int emulated_pin(struct emulated *e, uint64_t iova, uint32_t pages, bool write);
int emulated_unpin(struct emulated *e, uint64_t iova, uint32_t pages);
int emulated_copy(struct emulated *e, unsigned long nr, uint64_t iova, void *data,
		  uint32_t bytes, bool write);
struct emulated_state emulated_state(struct emulated *e);
void emulated_ignore(struct emulated *e, uint32_t times);

#endif /* GUEST_CONFORMANCE_ACCESS_H */
