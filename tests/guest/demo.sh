#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the demo: what surrounds tce2-demo, told to a person.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

demo() {
	echo "DEMO: $*"
}

demo_failed() {
	demo "FAILED: $*"
	exit 1
}

load_and_tell() {
	modprobe vfio_iommu_spapr_tce || demo_failed "the in-tree backend does not load"
	modprobe vfio-pci || demo_failed "vfio-pci does not load"
	demo "the in-tree backend vfio_iommu_spapr_tce is loaded"
	modprobe $OURS || demo_failed "$OURS does not load"
	demo "$OURS is loaded after it, so VFIO asks $OURS first"
}

bind_and_tell() {
	bound=$(bind_edu) || demo_failed "vfio-pci does not take the device"
	echo "$bound" | while read -r address group; do
		demo "edu device $address (IOMMU group $group) is vfio-pci's now"
	done
}

demo "Linux $(uname -r) is up, on $(sed -n "s/^cpu[^:]*: *\([A-Z0-9]*\).*/\1/p" /proc/cpuinfo | head -n 1) with $(nproc) CPUs"
kernel_mark
load_and_tell
bind_and_tell
/bin/tce2-demo || demo_failed "tce2-demo ended with status $?"
unload_backend || demo_failed "$OURS can't be unloaded"
demo "$OURS is unloaded again"
splats=$(kernel_splats)
[ -z "$splats" ] || demo_failed "the kernel complained: $splats"
demo "the kernel's log is free of warnings"
