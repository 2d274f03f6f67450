/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_UAPI_H
#define TCE2_UAPI_H

struct tce2_container;

long tce2_check_extension(unsigned long extension);
long tce2_uapi_ioctl(struct tce2_container *container, unsigned int cmd,
		     unsigned long arg);

#endif /* TCE2_UAPI_H */
