/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SIM_SHIM_FS_H
#define SIM_SHIM_FS_H

struct file;
struct inode;
struct module;

/**
 * struct inode - a file in debugfs
 * @i_private: the data of debugfs_create_file()
 */
struct inode {
	void *i_private;
};

/**
 * struct file_operations - functions of a file; only @open and @release are called
 * @owner: module that has the functions
 * @open: opens the file
 * @read: reads the file
 * @llseek: changes the position
 * @release: closes the file
 */
struct file_operations {
	struct module *owner;
	int (*open)(struct inode *inode, struct file *file);
	void (*read)(void);
	void (*llseek)(void);
	int (*release)(struct inode *inode, struct file *file);
};

#endif /* SIM_SHIM_FS_H */
