#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Reads vmalloc() memory with the MMU on, for comparison, and then with the data MMU
# off, which no kernel code may do. The second read causes a machine check, which
# stops the kernel on bare metal. In a hypervisor's guest on QEMU the kernel repeats
# the load until its watchdog stops it.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

load_backends && modprobe ${OURS}_selftest || exit 1

# wild FLAGS: reads a vmalloc() address; 8 leaves the MMU on
wild() {
	echo "wild 0 1000 c 1 $1 0" >&3
	cat <&3
}

(
	cd /proc/sys/kernel &&
		echo 4 >watchdog_thresh
		echo 1 >hardlockup_panic
		echo 1 >nmi_watchdog
		echo 1 >watchdog
) 2>/dev/null

exec 3<>/sys/kernel/debug/${OURS}_selftest/command
echo "vmalloc read with the MMU on: $(wild 8)"
exec 3<>/sys/kernel/debug/${OURS}_selftest/command
echo "vmalloc read with the MMU off: $(wild 0)"
