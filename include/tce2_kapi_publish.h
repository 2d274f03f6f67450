/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_KAPI_PUBLISH_H
#define TCE2_KAPI_PUBLISH_H

struct tce2_window;

/* Functions of src/kapi.c for a window's owner; tce2_kapi.h has those for other modules */
void tce2_window_publish(struct tce2_window *window);
void tce2_window_unpublish(struct tce2_window *window);

#endif /* TCE2_KAPI_PUBLISH_H */
