#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# inner.sh: runs in the KVM guest. Reads lines "NUMBER COMMAND" from the console,
# evaluates each in this shell and prints "DONE NUMBER STATUS".

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

DISK=/dev/nvme0n1
# Size of the known content of the disk, and offset at which the guest writes a copy, in MiB
CONTENT=32
COPY_AT=64

# await_disk: wait until nvme has found the disk, after nvme was loaded or bound to the disk
await_disk() {
	disk_tries=0
	until [ -b $DISK ]; do
		disk_tries=$((disk_tries + 1))
		[ $disk_tries -lt 100 ] || return 1
		sleep 0.1
	done
}

disk_read() {
	dd if="${3:-$DISK}" bs=1M iflag=direct skip="$1" count="$2" 2>/dev/null
}

disk_sum() {
	disk_read "$@" | md5sum | cut -d' ' -f1
}

# read_content SUM [DISK]: succeed if the content has this MD5 sum
read_content() {
	[ -n "${2:-}" ] || await_disk && [ "$(disk_sum 0 $CONTENT "${2:-}")" = "$1" ]
}

drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# write_copy [DISK]: write a copy of the content through the page cache
write_copy() {
	disk_read 0 $CONTENT "${1:-}" |
		dd of="${1:-$DISK}" bs=1M seek=$COPY_AT conv=notrunc 2>/dev/null &&
		drop_caches
}

# read_copy SUM [DISK]: succeed if the copy has this MD5 sum
read_copy() {
	[ "$(disk_sum $COPY_AT $CONTENT "${2:-}")" = "$1" ]
}

# seconds COMMAND...: print the duration of a command in seconds, to 10 ms
seconds() {
	read -r began _ </proc/uptime
	"$@" || return
	read -r ended _ </proc/uptime
	echo "SECONDS $(awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.2f", b - a }')"
}

read_64M() {
	dd if="$DISK" of=/dev/null bs=1M iflag=direct count=64 2>/dev/null
}

# small_reads COUNT: read COUNT blocks of 4 KiB, one at a time
small_reads() {
	dd if="$DISK" of=/dev/null bs=4k iflag=direct count="$1" 2>/dev/null
}

# keep_reading SUM: read the content in the background until stop_reading
keep_reading() {
	rm -f /tmp/stop /tmp/wrong
	while [ ! -e /tmp/stop ]; do
		read_content "$1" || : >/tmp/wrong
	done &
	READER=$!
}

stop_reading() {
	: >/tmp/stop
	wait "$READER"
	[ ! -e /tmp/wrong ]
}

memory_kilobytes() {
	awk '/^MemTotal:/ { print "MEMORY " $2 }' /proc/meminfo
}

no_complaints() {
	complaints=$(kernel_splats)
	[ -z "$complaints" ] || { echo "$complaints" | tail -n 15; false; }
}

kernel_mark
# drmgr needs these directories and this module
PATH=$PATH:/usr/sbin
mkdir -p /var/log /var/lock /run
modprobe rpadlpar_io

stty -echo -opost
if ! grep -q tce2.disk=no /proc/cmdline; then
	modprobe nvme
	await_disk
fi
echo "READY $(cut -d' ' -f1 /proc/uptime)"
while read -r number command; do
	[ -n "$command" ] || continue
	eval "$command"
	echo "DONE $number $?"
done
