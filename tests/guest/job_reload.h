/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients that open containers while backends are loaded and unloaded.
 */
#ifndef GUEST_JOB_RELOAD_H
#define GUEST_JOB_RELOAD_H

#include "lib.h"

/* The backend that handles a container, with a value for no backend */
enum server { OURS, IN_TREE, NOBODY, SERVERS };

#define ASKERS		3
/* Each client of a device has a second thread while it closes a container */
#define CLIENT_THREADS	(SLOTS + ASKERS)

bool clients_start(void);
bool clients_failed(void);
unsigned int clients_seen(void);
bool clients_stop(void);
enum server server_of_next(void);

#endif /* GUEST_JOB_RELOAD_H */
