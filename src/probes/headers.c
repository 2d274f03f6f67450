// SPDX-License-Identifier: GPL-2.0-only
/*
 * the headers that the sources include
 *
 * The other probes depend on this one, and kbuild makes it again when any of
 * these headers has changed.
 */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include <asm/barrier.h>
#include <asm/eeh.h>
#include <asm/firmware.h>
#include <asm/iommu.h>
#include <asm/tce.h>

#include "probe.h"
