#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Reads vmalloc() memory with the data MMU off, which no kernel code may do:
# once with the MMU on, for comparison, and then for good. The answer is a machine
# check, which ends bare metal; in a hypervisor's guest as QEMU makes it the load
# is tried again for ever, until the kernel's watchdog stops the machine.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

load_backends && modprobe ${OURS}_selftest || exit 1

# wild FLAGS: 8 leaves the MMU on
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
