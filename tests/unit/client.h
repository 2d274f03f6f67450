/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixture for the tests of src/container.c and uapi.c: a process with an open
 * container, on the simulated machine and platform. A test begins with begin_client()
 * and ends with end_client(), which closes the container and checks for leaks.
 */
#ifndef UNIT_CLIENT_H
#define UNIT_CLIENT_H

#include "engine.h"
#include "tce2_container.h"

extern const struct suite container_suite, uapi_suite;

/* VFIO's cookie, and its container, to which the test has a reference */
extern void *cookie;
extern struct tce2_container *container;

/*
 * Opens a container for a new process, and attaches @groups groups. The process
 * has MEMORY_PAGES pages of memory from UA on.
 */
#define MEMORY_PAGES 64
void begin_client(unsigned int groups);
void end_client(void);
/* Fixture: a client with one attached group */
FIXTURE(client);
/* Closes the container, so that end_client() does not */
void close_container(void);

/* Switch to a task of a new process, or back to the test's task */
void be_another_process(void);
void be_first_process(void);

#endif /* UNIT_CLIENT_H */
