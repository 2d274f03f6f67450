/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_KAPI_PUBLISH_H
#define TCE2_KAPI_PUBLISH_H

struct tce2_window;

/* For the owner of a window; tce2_kapi.h has the functions for other modules */
void tce2_window_publish(struct tce2_window *window);
void tce2_window_unpublish(struct tce2_window *window);

#endif /* TCE2_KAPI_PUBLISH_H */
