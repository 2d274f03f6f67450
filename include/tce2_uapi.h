/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_UAPI_H
#define TCE2_UAPI_H

long tce2_uapi_ioctl(void *cookie, unsigned int cmd, unsigned long arg);

#endif /* TCE2_UAPI_H */
