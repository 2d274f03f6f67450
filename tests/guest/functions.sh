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

# Print lines of the kernel log with level warning or worse, and lines of any level that
# look like a splat (COMPLAINTS).
kernel_complaints() {
	# awk would compile a pattern in a variable for each line, and logs have thousands
	dmesg -r | awk '
		match($0, /^<[0-9]+>/) {
			level = substr($0, 2, RLENGTH - 2) % 8
			text = substr($0, RLENGTH + 1)
			if (level <= 4 || text ~ /'"$COMPLAINTS"'/)
				print text
		}'
}

# Print the kernel's taint flags for a bad page, an oops, a warning and a soft lockup. The
# flags stay set even if the log has lost the message.
kernel_taints() {
	echo $(($(cat /proc/sys/kernel/tainted) & 0x42a0))
}

# Write a mark to the kernel log. Later functions look only at lines after the mark.
kernel_mark() {
	echo "<4>tce2: mark" >/dev/kmsg
	# shellcheck disable=SC2034 # read by tests/dkms
	TAINTS=$(kernel_taints)
}

# Check that the log still has the mark. Without it, later lines may be lost, too.
log_is_whole() {
	dmesg -r | grep -q 'tce2: mark'
}

# Print the lines after the last mark
since_mark() {
	awk '/tce2: mark/ { lines = 0; next }
		{ line[++lines] = $0 }
		END { for (i = 1; i <= lines; i++) print line[i] }'
}

# Print the lines of this module since the mark, except debug lines and the kernel's own
# lines about unsigned and out-of-tree modules.
own_lines() {
	dmesg -r | since_mark | grep "$OURS: " | grep -v '^<[0-9]*7>\|^<15>' |
		grep -vE 'loading out-of-tree module taints|module verification failed'
}

# Print the lines since the mark that a test run must not cause: splats, and lines of this
# module. Other lines come from the emulated machine.
kernel_splats() {
	kernel_complaints | since_mark | grep -E "$COMPLAINTS" |
		grep -vE 'loading out-of-tree module taints|module verification failed'
	own_lines
}

# Print the PCI addresses of the edu devices.
edu_devices() {
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/vendor") $(cat "$device/device")" = "0x1234 0x11e8" ]; then
			basename "$device"
		fi
	done
}

# Bind all edu devices to vfio-pci; print "ADDRESS GROUP" for each.
bind_edu() {
	for address in $(edu_devices); do
		device=/sys/bus/pci/devices/$address
		# Disable resets: each open would reset the bus below the bridge, for a second.
		{ echo >"$device/reset_method"; } 2>/dev/null
		echo vfio-pci >"$device/driver_override"
		echo "$address" >/sys/bus/pci/drivers_probe
		[ "$(basename "$(readlink "$device/driver")")" = vfio-pci ] || return 1
		echo "$address $(basename "$(readlink "$device/iommu_group")")"
	done
}
