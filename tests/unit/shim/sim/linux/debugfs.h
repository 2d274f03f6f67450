/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_DEBUGFS_H
#define SIM_SHIM_DEBUGFS_H

#include <linux/fs.h>

struct dentry;

struct dentry *debugfs_create_dir(const char *name, struct dentry *parent);
struct dentry *debugfs_create_file(const char *name, unsigned int mode,
				   struct dentry *parent, void *data,
				   const struct file_operations *fops);
void debugfs_remove(struct dentry *dentry);

#endif /* SIM_SHIM_DEBUGFS_H */
