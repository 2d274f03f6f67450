#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the benchmark: makes the machine ready, then tce2-bench
# loads and unloads the module as it needs it.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

# First, before memory is fragmented
reserve_hugepages 512 1 || echo "no hugepages"
kernel_mark
modprobe vfio_iommu_spapr_tce && modprobe vfio-pci && bind_edu || exit 2
mount -t tracefs tracefs /sys/kernel/tracing

/bin/tce2-bench "$@"
status=$?
kernel_splats
exit $status
