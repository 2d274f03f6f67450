/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCE2_DEBUGFS_H
#define TCE2_DEBUGFS_H

void tce2_debugfs_init(void);
void tce2_debugfs_exit(void);

#endif /* TCE2_DEBUGFS_H */
