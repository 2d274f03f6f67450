/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_DEVICE_H
#define SIM_SHIM_DEVICE_H

/**
 * struct device - a device
 * @name: its name
 */
struct device {
	const char *name;
};

static inline const char *dev_name(const struct device *dev)
{
	return dev->name;
}

#endif /* SIM_SHIM_DEVICE_H */
