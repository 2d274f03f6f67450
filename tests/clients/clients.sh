# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Shared by kvm.sh and dpdk.sh in the emulated POWER9: loading the backends, checks
# after a client has ended, and a KVM guest that is driven through its console and
# QEMU's monitor. Sourced by busybox sh, after functions.sh.

IN_TREE=vfio_iommu_spapr_tce
IOCTLS=/tmp/ioctls
TRACING=/sys/kernel/tracing
# Time limits are multiplied by this.
PATIENCE=$(sed -n 's/.*tce2\.patience=\([0-9]*\).*/\1/p' /proc/cmdline)
PATIENCE=${PATIENCE:-1}
# Not empty: hypercalls are traced.
TRACED=
PATH=$PATH:/usr/bin

# load_backend ours|intree
load_backend() {
	case $1 in
	ours)	load_backends ;;
	intree)	modprobe $IN_TREE && modprobe vfio-pci ;;
	*)	return 1 ;;
	esac
}

module_of() {
	case $1 in
	ours)	echo "$OURS" ;;
	intree)	echo $IN_TREE ;;
	esac
}

# use_count MODULE
use_count() {
	cat "/sys/module/$1/refcnt" 2>/dev/null || echo 0
}

# handled_by ours|intree: that module is in use and the other is not, so all containers
# are handled by it
handled_by() {
	counts="$(use_count "$OURS") $(use_count $IN_TREE)"
	case $1,$counts in
	ours,0\ *)	;;
	ours,*\ 0)	return 0 ;;
	intree,0\ 0)	;;
	intree,0\ *)	return 0 ;;
	esac
	echo "# use counts of $OURS and $IN_TREE: $counts"
	return 1
}

unused() {
	counts="$(use_count "$OURS") $(use_count $IN_TREE)"
	[ "$counts" = "0 0" ] || { echo "# use counts: $counts"; false; }
}

# Pages pinned for DMA, on the whole machine. Each CPU has counters of its own, which are
# added when stat_refresh is written.
pins() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired / { n += $2 }
		/^nr_foll_pin_released / { n -= $2 }
		END { print n }' /proc/vmstat
}

free_hugepages() {
	awk '/^HugePages_Free:/ { print $2 }' /proc/meminfo
}

# resident_kilobytes PID
resident_kilobytes() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$1/status"
}

# locked_kilobytes PID
locked_kilobytes() {
	awk '/^VmLck:/ { print $2 }' "/proc/$1/status"
}

# figure NAME VALUE: a line for the host's table
figure() {
	echo "# figure $SCENARIO $1 $2"
}

# calls REQUEST: the number of these ioctls in the copy of the client's counters
calls() {
	awk -v request="$1" '$1 == request { print $2 + 0; found = 1 }
		END { if (!found) print 0 }' /tmp/phase
}

# phase_ends NAME: print the ioctls the client has made since the previous phase
phase_ends() {
	cp $IOCTLS /tmp/phase
	maps=$(calls MAP_DMA)
	unmaps=$(calls UNMAP_DMA)
	figure "map-$1" $((maps - MAPS))
	figure "unmap-$1" $((unmaps - UNMAPS))
	sed "s/^/# ioctls $SCENARIO $1 /" /tmp/phase
	# shellcheck disable=SC2034 # read by kvm.sh
	PHASE_MAPS=$((maps - MAPS))
	MAPS=$maps
	UNMAPS=$unmaps
}

# scenario_begins NAME: note what has to be the same at its end
scenario_begins() {
	SCENARIO=$1
	MAPS=0 UNMAPS=0
	# Direct reads unpin their last pages some time after they have ended.
	sleep 1
	PINS=$(pins)
	HUGEPAGES=$(free_hugepages)
	rm -f $IOCTLS /tmp/phase
	: >/tmp/phase
	echo "# scenario $SCENARIO"
}

# The last references to a container are put some time after its process has ended.
settle() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(pins) $(use_count "$OURS") $(use_count $IN_TREE)" != "$PINS 0 0" ] || break
		sleep 0.5
	done
}

no_page_left_pinned() {
	left=$(($(pins) - PINS))
	figure pins-left $left
	[ $left = 0 ]
}

hugepages_are_back() {
	lost=$((HUGEPAGES - $(free_hugepages)))
	figure hugepages-lost $lost
	[ $lost = 0 ]
}

# tap_known NAME REASON: a case that a known defect of the kernel prevents
tap_known() {
	tap "$SCENARIO: $1 # SKIP $2" 0
}

# Not empty: KVM has leaked a reference to a table, which keeps the module.
LEAKED=

scenario_ends() {
	settle
	judge "no page is left pinned" no_page_left_pinned
	if [ -n "$LEAKED" ]; then
		tap_known "neither backend is in use afterwards" "$LEAKED"
		figure use-count "$(use_count "$(module_of "$BACKEND")")"
	else
		judge "neither backend is in use afterwards" unused
	fi
}

# judge NAME COMMAND...: a case of the scenario. A failure of the in-tree driver is
# skipped and counted in the table.
judge() {
	name="$SCENARIO: $1"
	shift
	if "$@"; then
		tap "$name" 0
	elif [ "$BACKEND" = intree ]; then
		tap "$name # SKIP the in-tree driver fails it" 0
		figure failed 1
	else
		tap "$name" 1
	fi
}

# The share of a KVM guest's TCE hypercalls that is answered in the kernel. Every
# hypercall's entry is matched with its exit, because only the exit has the result.
TCE_HCALLS='if req == 0x20 || req == 0x138 || req == 0x13c'

# shellcheck disable=SC2016 # $req and $tces are variables of the histogram
trace_hypercalls() {
	mount -t tracefs none $TRACING &&
	echo 'tce_hcall u64 req; u64 ret; u64 tces' >$TRACING/synthetic_events &&
	echo 'hist:keys=vcpu_id:req=req,tces=gpr7' \
		>$TRACING/events/kvm_hv/kvm_hcall_enter/trigger &&
	echo 'hist:keys=vcpu_id:onmatch(kvm_hv.kvm_hcall_enter).trace(tce_hcall,$req,ret,$tces)' \
		>$TRACING/events/kvm_hv/kvm_hcall_exit/trigger &&
	echo "hist:keys=req,ret:vals=tces $TCE_HCALLS" \
		>$TRACING/events/synthetic/tce_hcall/trigger &&
	TRACED=yes
}

forget_hypercalls() {
	[ -n "$TRACED" ] || return 0
	echo "hist:keys=req,ret:vals=tces:clear $TCE_HCALLS" \
		>>$TRACING/events/synthetic/tce_hcall/trigger
}

# RESUME_FLAG_HOST, bit 1 of the result: userspace has to handle the hypercall.
hypercall_figures() {
	[ -n "$TRACED" ] || return 0
	sed -n 's/^{ req: *\([0-9]*\), ret: *\([0-9]*\) } hitcount: *\([0-9]*\) .*/\1 \2 \3/p' \
		$TRACING/events/synthetic/tce_hcall/hist >/tmp/hcalls
	awk -v scenario="$SCENARIO" '
		BEGIN { name[32] = "put"; name[312] = "stuff"; name[316] = "indirect" }
		{
			all[$1] += $3
			if (int($2 / 2) % 2)
				hard[$1] += $3
		}
		END {
			for (req in name) {
				print "# figure", scenario, "hcall-" name[req], all[req] + 0
				print "# figure", scenario, "hard-" name[req], hard[req] + 0
				sum += all[req]
				hard_sum += hard[req]
			}
			if (sum)
				printf "# figure %s in-kernel %.2f%%\n", scenario,
					100 * (sum - hard_sum) / sum
		}' /tmp/hcalls
}

# The guest's console and QEMU's monitor are two pipes each. This shell keeps both ends
# open. Otherwise opening a pipe would block until QEMU opens it, or after QEMU has
# ended.

GUEST=
ASKED=0
BOOTS=0
GUEST_ARGUMENTS='panic=-1 oops=panic loglevel=3 nowatchdog'
GUEST_MACHINE=pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off

# start_guest KERNEL-ARGUMENTS OPTION...: start QEMU with the options
start_guest() {
	arguments=$1
	shift
	for pipe in con.in con.out mon.in mon.out; do
		rm -f /tmp/$pipe
		mkfifo /tmp/$pipe
	done
	exec 5<>/tmp/con.in 6<>/tmp/con.out 7<>/tmp/mon.in 8<>/tmp/mon.out
	: >/tmp/con.log
	: >/tmp/mon.log
	cat <&6 >>/tmp/con.log &
	READERS=$!
	cat <&8 >>/tmp/mon.log &
	READERS="$READERS $!"
	BOOTS=0
	LD_PRELOAD=/lib/ioctls.so TCE2_IOCTLS=$IOCTLS qemu-system-ppc64 \
		-machine $GUEST_MACHINE -accel kvm -m 256M,slots=1,maxmem=512M \
		-nodefaults -display none \
		-kernel /inner/vmlinux -initrd /inner/initrd \
		-append "console=hvc0 $GUEST_ARGUMENTS tce2.run=inner $arguments" \
		-chardev pipe,id=con,path=/tmp/con -serial chardev:con \
		-chardev pipe,id=mon,path=/tmp/mon -mon chardev=mon,mode=readline \
		"$@" 2>/tmp/qemu.log &
	GUEST=$!
}

guest_runs() {
	kill -0 "$GUEST" 2>/dev/null
}

show_guest_logs() {
	escape=$(printf '\033')
	for log in qemu.log mon.log con.log; do
		# The monitor draws its line again for each character that it gets.
		tail -n 15 /tmp/$log | tr -d '\r' |
			sed "s/$escape\[K//g; s/.*$escape\[D//; s/^/# $log: /"
	done
}

# await SECONDS COMMAND...: repeat the command until it succeeds, or QEMU ends
await() {
	await_until=$(($(cut -d. -f1 /proc/uptime) + $1 * PATIENCE))
	shift
	until "$@"; do
		if ! guest_runs || [ "$(cut -d. -f1 /proc/uptime)" -gt $await_until ]; then
			show_guest_logs
			return 1
		fi
		sleep 0.3
	done
}

booted() {
	[ "$(grep -c '^READY ' /tmp/con.log)" -ge "$1" ]
}

# guest_boots [SECONDS]: await the next boot
guest_boots() {
	BOOTS=$((BOOTS + 1))
	await "${1:-120}" booted $BOOTS
}

answered() {
	grep -q "^DONE $ASKED " /tmp/con.log
}

# ask SECONDS COMMAND: run a command in the guest; its status
ask() {
	ASKED=$((ASKED + 1))
	echo "$ASKED $2" >&5
	await "$1" answered || return
	grep -q "^DONE $ASKED 0" /tmp/con.log || { show_guest_logs; false; }
}

# answer WORD: the rest of the last line of the guest that begins with WORD
answer() {
	tr -d '\r' </tmp/con.log | sed -n "s/^$1 //p" | tail -n 1
}

monitor() {
	echo "$*" >&7
}

guest_gone() {
	! guest_runs
}

guest_is_reaped() {
	wait "$GUEST" 2>/dev/null
	# shellcheck disable=SC2086 # one word a process
	kill $READERS 2>/dev/null
	# shellcheck disable=SC2086
	wait $READERS 2>/dev/null
	exec 5>&- 6>&- 7>&- 8>&-
}

stop_guest() {
	monitor quit
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		guest_runs || break
		sleep 0.5
	done
	! guest_runs || kill -KILL "$GUEST"
	guest_is_reaped
}

kill_guest() {
	kill -KILL "$GUEST"
	guest_is_reaped
}

# The disks, by their PCI addresses
disks() {
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/class")" = "$DISK_CLASS" ]; then
			basename "$device"
		fi
	done
}

# namespace_of ADDRESS: the block device of an NVMe disk
namespace_of() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		# Under multipath the directory has nvme0c0n1, the device is nvme0n1.
		name=$(find "/sys/bus/pci/devices/$1/nvme/" -name 'nvme*n1' 2>/dev/null |
			sed -n 's/.*\///; s/c[0-9]*n1$/n1/; p' | head -n 1)
		[ -z "$name" ] || break
		sleep 0.2
	done
	[ -n "$name" ] && echo "/dev/$name" && [ -b "/dev/$name" ]
}

# copy_on_disk ADDRESS SUM: the copy the guest wrote is right, read from the host. Zeros
# replace it, so that the next scenario has to write it again.
copy_on_disk() {
	give "$1" nvme && node=$(namespace_of "$1") &&
	sum=$(dd if="$node" bs=1M iflag=direct skip=64 count=32 2>/dev/null |
		md5sum | cut -d' ' -f1)
	dd if=/dev/zero of="$node" bs=1M seek=64 count=32 conv=notrunc,fsync 2>/dev/null
	give "$1" vfio-pci
	[ "$sum" = "$2" ] || { echo "# $node has $sum"; false; }
}
