#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# scenarios.sh ours|intree SUM SCENARIO...: runs clients in the emulated POWER9. SUM is
# the MD5 of the first 32 MiB of the disks; a SCENARIO is a function of kvm.sh or
# dpdk.sh, with its options after colons. Prints TAP and lines
# "# figure SCENARIO NAME VALUE".

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh
# shellcheck source=tests/clients/clients.sh
. /lib/clients.sh
# shellcheck source=tests/clients/kvm.sh
. /lib/kvm.sh
# shellcheck source=tests/clients/dpdk.sh
. /lib/dpdk.sh

BACKEND=$1
SUM=$2
shift 2

disks_to_vfio() {
	for address in $(disks); do
		give "$address" vfio-pci || return
	done
}

backend_unloads() {
	rmmod "$(module_of "$BACKEND")"
}

no_splats() {
	splats=$(kernel_splats)
	figure warnings "$(echo "$splats" | grep -cE 'WARNING:|BUG:|Oops:')"
	[ -z "$splats" ] || { echo "$splats" | head -n 40 | sed 's/^/# /'; false; }
}

kernel_mark
SCENARIO=start
tap_try "the modules load: $BACKEND" load_backend "$BACKEND"
tap_try "KVM loads" modprobe kvm_hv
# A debug kernel may have no histograms.
trace_hypercalls 2>/tmp/tracing.log || echo "# hypercalls are not traced"
modprobe nvme
tap_try "vfio-pci takes the disks" disks_to_vfio
if [ -n "$(cards)" ]; then
	tap_try "vfio-pci takes the network cards" dpdk_begins
fi
for scenario; do
	# shellcheck disable=SC2046 # one word an option
	set -- $(echo "$scenario" | tr : ' ')
	"$@"
done
SCENARIO=end
if [ -n "$LEAKED" ]; then
	tap_known "the module of the backend unloads" "$LEAKED"
else
	judge "the module of the backend unloads" backend_unloads
fi
judge "kernel log is free of warnings, BUGs and Oopses" no_splats
judge "the kernel log is complete" log_is_whole
judge "the kernel is not tainted by a warning" no_new_taint
tap_plan
