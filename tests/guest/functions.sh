# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the scripts of machines under test share: loading the backends, giving the devices
# to vfio-pci, huge pages, TAP, and reading the kernel's log. Sourced by busybox sh. The
# jobs, which are programs, have the same in lib_machine.c, lib_log.c and lib_tap.c.

OURS=vfio_spapr_tce2
FAULTS='BUG|Oops|UBSAN|memory corruption|INFO: (task|rcu|possible|trying)'
FAULTS="$FAULTS|MCE: |LOCKUP|DMA-API: |list_(add|del) corruption|refcount_t: "
COMPLAINTS="WARNING|Call Trace|leak|$FAULTS"

# Kernel lines of level warning or worse, and any that look like a splat,
# whatever their level.
kernel_complaints() {
	dmesg -r | awk -v splat="$COMPLAINTS" '
		match($0, /^<[0-9]+>/) {
			level = substr($0, 2, RLENGTH - 2) % 8
			text = substr($0, RLENGTH + 1)
			if (level <= 4 || text ~ splat)
				print text
		}'
}

# What a kernel keeps saying of itself after a bad page, an oops, a warning or a
# soft lockup, though the log may have lost it.
kernel_taints() {
	echo $(($(cat /proc/sys/kernel/tainted) & 0x42a0))
}

# kernel_mark: from here on the kernel's log counts.
kernel_mark() {
	echo "<4>tce2: mark" >/dev/kmsg
	TAINTS=$(kernel_taints)
}

# If so much came that the mark is gone, then what else is gone is not known.
log_is_whole() {
	dmesg -r | grep -q 'tce2: mark'
}

no_new_taint() {
	[ "$(kernel_taints)" = "$TAINTS" ]
}

# What comes after the mark
since_mark() {
	awk '/tce2: mark/ { lines = 0; next }
		{ line[++lines] = $0 }
		END { for (i = 1; i <= lines; i++) print line[i] }'
}

# What our own module has said above debug level since the mark. What the kernel
# says of any module that is neither its own nor signed isn't that.
own_lines() {
	dmesg -r | since_mark | grep "$OURS: " | grep -v '^<[0-9]*7>\|^<15>' |
		grep -vE 'loading out-of-tree module taints|module verification failed'
}

# What a test run must not cause, since the mark: a splat, or a line of our own
# module but for those that a test expects. Other lines are the emulated machine's.
EXPECTED='no line is expected'

kernel_splats() {
	kernel_complaints | since_mark | grep -E "$COMPLAINTS" |
		grep -vE 'loading out-of-tree module taints|module verification failed'
	own_lines | grep -v "$EXPECTED"
}

# The in-tree backend first and ours last: VFIO asks the youngest one first.
load_backends() {
	modprobe vfio_iommu_spapr_tce &&
	modprobe vfio-pci &&
	modprobe $OURS
}

# The PCI addresses of the edu devices.
edu_devices() {
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/vendor") $(cat "$device/device")" = "0x1234 0x11e8" ]; then
			basename "$device"
		fi
	done
}

# bind_edu: gives them all to vfio-pci; prints "ADDRESS GROUP" for each.
bind_edu() {
	for address in $(edu_devices); do
		device=/sys/bus/pci/devices/$address
		# An open would reset the bus behind the bridge, and that takes
		# a second each time.
		{ echo >"$device/reset_method"; } 2>/dev/null
		echo vfio-pci >"$device/driver_override"
		echo "$address" >/sys/bus/pci/drivers_probe
		[ "$(basename "$(readlink "$device/driver")")" = vfio-pci ] || return 1
		echo "$address $(basename "$(readlink "$device/iommu_group")")"
	done
}

# give ADDRESS DRIVER: has that driver drive a device, none other
give() {
	device=/sys/bus/pci/devices/$1

	[ ! -e "$device/driver" ] || echo "$1" >"$device/driver/unbind"
	echo "$2" >"$device/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink "$device/driver")")" = "$2" ]
}

# The PCI address of the first device of a class, such as 0x010802
device_of_class() {
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/class")" = "$1" ]; then
			basename "$device"
			return
		fi
	done
	return 1
}

# The machine's disk, if it has one
DISK=/dev/nvme0n1
DISK_CLASS=0x010802

# await_disk: its driver finds it some time after it was loaded, or given it
await_disk() {
	disk_tries=0
	until [ -b $DISK ]; do
		disk_tries=$((disk_tries + 1))
		[ $disk_tries -lt 100 ] || return 1
		sleep 0.1
	done
}

load_disk() {
	modprobe nvme
	! device_of_class $DISK_CLASS >/dev/null || await_disk
}

# reserve_pages KILOBYTES COUNT: huge pages of that size, where they exist
reserve_pages() {
	pool=/sys/kernel/mm/hugepages/hugepages-$1kB

	[ -d "$pool" ] || return 0
	echo "$2" >"$pool/nr_hugepages"
	[ "$(cat "$pool/nr_hugepages")" = "$2" ]
}

# TAP: tap NAME STATUS; tap_plan at the end
TAP_COUNT=0
TAP_FAILED=0

tap() {
	TAP_COUNT=$((TAP_COUNT + 1))
	if [ "$2" = 0 ]; then
		echo "ok $TAP_COUNT - $1"
	else
		TAP_FAILED=$((TAP_FAILED + 1))
		echo "not ok $TAP_COUNT - $1"
	fi
}

# tap_try NAME COMMAND...: the case holds where the command succeeds
tap_try() {
	tap_name=$1
	shift
	"$@"
	tap "$tap_name" $?
}

tap_no_splats() {
	tap_lockdep
	splats=$(kernel_splats)
	[ -z "$splats" ] || echo "$splats" | sed 's/^/# /'
	[ -z "$splats" ]
	tap "kernel log is free of warnings, BUGs and Oopses" $?
	tap_try "and all of it is there" log_is_whole
	tap_try "and the kernel is not tainted by any" no_new_taint
}

# Where the kernel has lockdep: it says nothing any more after its first complaint,
# which may have been before the mark.
tap_lockdep() {
	[ -e /proc/lockdep_stats ] || return 0
	tap_try "lockdep still looks" grep -q 'debug_locks: *1' /proc/lockdep_stats
}

tap_plan() {
	echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" = 0 ]
}
