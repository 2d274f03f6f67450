# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Functions for scripts on emulated machines: check the kernel log, and bind the edu devices
# to vfio-pci. Sourced by init, by inner.sh of tests/clients and by tests/dkms. The C
# counterparts for programs are lib_log.c and lib_machine.c.

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
	# shellcheck disable=SC2034 # read by tests/dkms
	TAINTS=$(kernel_taints)
}

# If so much came that the mark is gone, then what else is gone is not known.
log_is_whole() {
	dmesg -r | grep -q 'tce2: mark'
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
# module. Other lines are the emulated machine's.
kernel_splats() {
	kernel_complaints | since_mark | grep -E "$COMPLAINTS" |
		grep -vE 'loading out-of-tree module taints|module verification failed'
	own_lines
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
