/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixture of the tests of src/container.c and uapi.c: a process with an open
 * container, on the simulated machine and platform. A test begins with begin_client()
 * and ends with end_client(), which closes the container and checks that nothing of
 * it is left.
 */
#ifndef UNIT_CLIENT_H
#define UNIT_CLIENT_H

#include "engine.h"
#include "tce2_container.h"

extern const struct suite container_suite, uapi_suite;

/* The cookie that VFIO has, and its container, to which the test has a reference */
extern void *cookie;
extern struct tce2_container *container;

/*
 * Opens a container for a new process, and attaches groups. The process has
 * MEMORY_PAGES pages from UA on.
 */
#define MEMORY_PAGES 64
void begin_client(unsigned int groups);
void end_client(void);
/* Fixture: a client with one attached group */
FIXTURE(client);
/* Closes the container before end_client() does */
void close_container(void);

/* Switches to a task of another process, or back to the first one */
void be_another_process(void);
void be_first_process(void);

#endif /* UNIT_CLIENT_H */
