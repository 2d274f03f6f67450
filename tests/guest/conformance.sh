#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the conformance tests, as TAP: the module's comings and
# goings, then tce2-conformance, then what the kernel's log says about it all.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

# The cases about hooks in an unknown order cause this line
EXPECTED='KVM uses the TCE table'

# disk_writes SEED: all of 16 MiB, and the kernel has no copy left
disk_writes() {
	await_disk || return 1
	yes "$1" | dd of=/tmp/data bs=1M count=16 iflag=fullblock 2>/dev/null &&
		dd if=/tmp/data of=$DISK bs=1M conv=fsync 2>/dev/null &&
		echo 3 >/proc/sys/vm/drop_caches
}

# disk_reads SEED: what disk_writes wrote
disk_reads() {
	yes "$1" | dd of=/tmp/data bs=1M count=16 iflag=fullblock 2>/dev/null &&
		dd if=$DISK bs=1M count=16 2>/dev/null | cmp - /tmp/data
}

# A device goes from its driver to a client of ours and back, twice: the kernel
# must find its own DMA windows as they were.
tap_device_comes_back() {
	address=$(device_of_class $DISK_CLASS)
	for turn in first second; do
		tap_try "a disk works with the kernel's driver before its $turn client" \
			disk_writes "$turn"
		tap_try "the disk can be given to its $turn client" give "$address" vfio-pci
		tap_try "the $turn client has the disk in two windows" /bin/tce2-hold \
			"$(basename "$(readlink "/sys/bus/pci/devices/$address/iommu_group")")"
		tap_try "the kernel's driver takes the disk back from its $turn client" \
			give "$address" nvme
		tap_try "the disk has kept what was written before its $turn client" \
			disk_reads "$turn"
	done
	tap_try "the disk can be written after all that" disk_writes last
	tap_try "and read" disk_reads last
	rm -f /tmp/data
}

# Neither one case nor the races alone
all_cases() {
	case " $* " in
	*" --only "*|*" --stress "*)	return 1 ;;
	esac
}

# in_tree_comes_again GROUP: and yet a client is served by this module
in_tree_comes_again() {
	rmmod vfio_iommu_spapr_tce &&
		modprobe vfio_iommu_spapr_tce &&
		/bin/tce2-hold "$1"
}

# powernv takes the windows from a group in use to which a device is added.
tap_device_joins_group_in_use() {
	grep -q 'platform.*PowerNV' /proc/cpuinfo || return 0
	device=$(edu_devices | head -n 1)
	other=${device%.*}.1
	tap_try "the other device of a group is unplugged" \
		eval "echo 1 >/sys/bus/pci/devices/$other/remove"
	tap_try "the group's owner can still use it after the device is plugged in again" \
		/bin/tce2-plug "$other"
}

sed -n 's/^MMU[[:space:]]*: /# MMU: /p' /proc/cpuinfo
kernel_mark
# A case maps the disk, too
load_disk
tap_load_cycle
tap_try "the self-test of real mode loads" modprobe ${OURS}_selftest
tap_try "the module that plays KVM loads" modprobe ${OURS}_kvmplay
! all_cases "$@" || tap_device_comes_back
bind_edu | sed 's/^/# edu /'
tap_try "both edu devices are bound to vfio-pci" edu_bound 2
tap_try "this module serves although the in-tree backend was loaded again" \
	in_tree_comes_again "$(bind_edu | sed -n '1s/.* //p')"

/bin/tce2-conformance "$@"
status=$?
# 1 is what it says when a case of its own has failed.
tap_try "tce2-conformance runs to its end" [ $status -le 1 ]

! all_cases "$@" || tap_device_joins_group_in_use
tap_try "the self-test of real mode unloads" rmmod ${OURS}_selftest
tap_try "the module that plays KVM unloads" rmmod ${OURS}_kvmplay
tap_unload_without_leaks
tap_no_splats
tap_plan && [ $status = 0 ]
