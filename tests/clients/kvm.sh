# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Scenarios with QEMU and KVM: Debian's QEMU gets an NVMe disk through vfio-pci, and the
# guest (inner.sh) reads and writes. Sourced by scenarios.sh.

first_disk() {
	echo "vfio-pci,host=$(disks | head -n 1),id=disk,addr=1"
}

# start SMP KERNEL-ARGUMENTS OPTION...: a guest with the first disk
start() {
	smp=$1 arguments=$2
	shift 2
	start_guest "$arguments" -smp "$smp" -device "$(first_disk)" "$@"
}

dma_arguments() {
	case $1 in
	off|hidden)	echo disable_ddw ;;
	esac
}

# timed NAME COMMAND: print the seconds a command takes in the guest as a figure
timed() {
	ask 120 "seconds $2" && figure "$1" "$(answer SECONDS)"
}

tap_boots() {
	judge "guest boots" guest_boots
	judge "$BACKEND handles the container" handled_by "$BACKEND"
}

tap_io() {
	judge "guest reads the known content" ask 120 "read_content $SUM"
	judge "guest writes a copy" ask 120 write_copy
	judge "guest reads the copy back" ask 120 "read_copy $SUM"
}

tap_guest_log() {
	judge "kernel log of the guest is free of warnings" ask 30 no_complaints
}

tap_copy_on_disk() {
	judge "the copy is on the disk" copy_on_disk "$(disks | head -n 1)" "$SUM"
}

boot_figures() {
	# The kernel reads the partition table some time after the disk has appeared.
	ask 30 "await_disk && sleep 0.5"
	figure booted-seconds "$(answer READY)"
	figure locked-kB "$(locked_kilobytes "$GUEST")"
	phase_ends boot
}

# io off|on|hidden: without a dynamic window, with one, or without one and without KVM's
# TCE tables
io() {
	scenario_begins "ddw-$1"
	forget_hypercalls
	[ "$1" != hidden ] || export TCE2_HIDE_KVM_TCES=1
	start 1 "$(dma_arguments "$1")"
	unset TCE2_HIDE_KVM_TCES
	tap_boots
	boot_figures
	tap_io
	timed small-reads "small_reads 2000"
	timed read-64M read_64M
	phase_ends io
	case $1 in
	off|on)	judge "I/O makes no MAP_DMA ioctl" [ "$PHASE_MAPS" = 0 ] ;;
	esac
	tap_guest_log
	hypercall_figures
	stop_guest
	scenario_ends
	tap_copy_on_disk
}

# QEMU resets the guest, then the guest reboots itself.
reboot() {
	scenario_begins reboot
	start 1 disable_ddw
	tap_boots
	monitor system_reset
	judge "guest boots after a reset" guest_boots
	judge "guest reads the known content" ask 120 "read_content $SUM"
	ask 1 "reboot -f" >/dev/null
	judge "guest boots after its own reboot" guest_boots
	tap_io
	tap_guest_log
	stop_guest
	scenario_ends
	tap_copy_on_disk
}

disk_is_gone() {
	monitor info pci
	sleep 0.5
	! tail -n 8 /tmp/mon.log | grep -q 'id "disk"'
}

# device_del and device_add while the guest runs. The guest has no rtas_errd, so this
# script calls drmgr. 0x40000008 is the slot of addr=1.
unplug() {
	scenario_begins unplug
	start 1 disable_ddw
	tap_boots
	judge "guest reads the known content" ask 120 "read_content $SUM"
	monitor device_del disk
	sleep 1
	judge "guest releases the disk" ask 60 "drmgr -c pci -r -s 0x40000008 -n"
	judge "QEMU removes the disk" await 60 disk_is_gone
	settle
	judge "no page is left pinned without the disk" no_page_left_pinned
	judge "the container is released" unused
	figure locked-unplugged-kB "$(locked_kilobytes "$GUEST")"
	# KVM charges its own TCE table of 2 MiB.
	judge "no guest memory is charged without the disk" \
		[ "$(locked_kilobytes "$GUEST")" -lt 4096 ]
	monitor device_add "$(first_disk)"
	sleep 1
	judge "$BACKEND handles the container again" handled_by "$BACKEND"
	judge "guest configures the disk again" ask 60 "drmgr -c pci -a -s 0x40000008 -n"
	tap_io
	phase_ends io
	tap_guest_log
	stop_guest
	scenario_ends
	tap_copy_on_disk
}

# SIGKILL while the disk writes to the guest's memory
killed() {
	scenario_begins killed
	start 1 disable_ddw
	tap_boots
	judge "guest keeps reading" ask 30 "keep_reading $SUM"
	sleep 1
	kill_guest
	scenario_ends
	start 1 disable_ddw
	judge "the next guest boots" guest_boots
	tap_io
	tap_guest_log
	stop_guest
	scenario_ends
	tap_copy_on_disk
}

memory_is() {
	ask 10 memory_kilobytes &&
	[ "$(($(answer MEMORY) >> 17))" = "$1" ]
}

locked_is() {
	[ "$(locked_kilobytes "$GUEST")" = "$1" ]
}

# dimm off|on: plug and unplug a DIMM while the guest reads into its memory, without and
# with a dynamic window
dimm() {
	scenario_begins "dimm-$1"
	forget_hypercalls
	start 1 "memhp_default_state=online_movable $(dma_arguments "$1")"
	tap_boots
	locked=$(locked_kilobytes "$GUEST")
	judge "guest keeps reading" ask 30 "keep_reading $SUM"
	monitor object_add memory-backend-ram,id=ram1,size=256M
	monitor device_add pc-dimm,id=dimm1,memdev=ram1
	judge "guest has the DIMM" await 60 memory_is 3
	judge "the DIMM is charged" locked_is $((locked + 262144))
	figure locked-dimm-kB "$(locked_kilobytes "$GUEST")"
	sleep 1
	monitor device_del dimm1
	judge "guest releases the DIMM" await 60 memory_is 1
	judge "the DIMM is uncharged after the unplug" await 30 locked_is "$locked"
	judge "all reads during plug and unplug were right" ask 120 stop_reading
	tap_io
	phase_ends io
	hypercall_figures
	tap_guest_log
	stop_guest
	scenario_ends
	tap_copy_on_disk
}

# What the guest runs to wait for its devices
PROBED=true

# start with retries: an emulated KVM guest with two CPUs or two disks may stall or oops
# at an MMIO access in its boot, with either backend.
guest_boots_at_last() {
	for _ in 1 2 3 4 5; do
		start "$@"
		if guest_boots 60 >/tmp/boot.log && ask 60 "$PROBED" >/tmp/boot.log; then
			return 0
		fi
		grep 'Oops\|panic' /tmp/boot.log
		echo "# the guest failed in its boot, starting it again"
		kill_guest
	done
	return 1
}

# groups phbs|shared: two disks in a guest, each with its own host bridge and container,
# or both in one container
groups() {
	scenario_begins "groups-$1"
	second=$(disks | sed -n 2p)
	case $1 in
	phbs)	set -- -device spapr-pci-host-bridge,index=1,id=other \
			-device "vfio-pci,host=$second,id=disk2,bus=other.0" ;;
	shared)	set -- -device "vfio-pci,host=$second,id=disk2"
		# kvm_spapr_tce_attach_iommu_group() of 6.12, with any backend. The
		# in-tree driver does not count tables.
		# shellcheck disable=SC2034 # read by clients.sh
		[ "$BACKEND" != ours ] ||
			LEAKED="KVM leaks a reference to a table that two groups share" ;;
	esac
	PROBED='until [ -b /dev/nvme1n1 ]; do sleep 0.2; done'
	# QEMU maps no BAR that shares a page with another one, and MMIO that KVM has to
	# emulate fails under TCG. So each BAR gets 64 KiB.
	judge "guest boots with two disks" guest_boots_at_last 1 \
		"disable_ddw pci=resource_alignment=16@pci:1b36:0010" "$@"
	PROBED=true
	judge "$BACKEND handles the containers" handled_by "$BACKEND"
	tap_io
	for node in /dev/nvme0n1 /dev/nvme1n1; do
		judge "guest reads the known content of $node" \
			ask 120 "read_content $SUM $node"
	done
	phase_ends io
	figure containers "$(calls SET_IOMMU)"
	tap_guest_log
	stop_guest
	scenario_ends
}

# Plug and unplug the DIMM once.
plug_and_unplug() {
	monitor object_add memory-backend-ram,id=ram1,size=256M
	monitor device_add pc-dimm,id=dimm1,memdev=ram1
	await 60 memory_is 3 &&
	sleep 1 &&
	monitor device_del dimm1 &&
	await 60 memory_is 1 &&
	sleep 0.5 &&
	monitor object_del ram1
}

# QEMU frees a DIMM's memory in its RCU thread, which may wait long for the lock that
# busy vCPUs hold. Until then each DIMM takes memory from the outer machine.
dimm_is_freed() {
	[ "$(resident_kilobytes "$GUEST")" -lt 2000000 ]
}

hostile_is_done() {
	grep -q '^HOSTILE ENDED' /tmp/con.log
}

may_plug_again() {
	dimm_is_freed || hostile_is_done
}

# hostile SECONDS SEED: a module in the guest makes random hypercalls from two CPUs
# while the DIMM is plugged and unplugged, then QEMU is killed.
hostile() {
	scenario_begins hostile
	forget_hypercalls
	judge "guest boots with two CPUs" guest_boots_at_last 2 \
		"disable_ddw tce2.disk=no memhp_default_state=online_movable"
	judge "$BACKEND handles the container" handled_by "$BACKEND"
	judge "the hostile module loads" ask 30 "insmod /lib/hostile.ko"
	ask 30 "{ echo $1 $2 >/sys/kernel/debug/hostile; echo HOSTILE ENDED; } &"
	plugged=0
	until hostile_is_done || ! guest_runs; do
		plug_and_unplug >/tmp/plug.log || break
		plugged=$((plugged + 1))
		await 600 may_plug_again || break
	done
	cat /tmp/plug.log
	judge "guest survives its hypercalls" await $(($1 * 3 + 60)) hostile_is_done
	judge "the DIMM is plugged and unplugged meanwhile" [ $plugged -gt 0 ]
	ask 30 "cat /sys/kernel/debug/hostile"
	tr -d '\r' </tmp/con.log | sed -n 's/^CALLS //p' >/tmp/calls
	while read -r call succeeded parameter other; do
		figure "hostile-$call" $((succeeded + parameter + other))
		figure "hostile-$call-done" "$succeeded"
	done </tmp/calls
	figure hostile-plugs $plugged
	phase_ends hostile
	hypercall_figures
	# QEMU is killed in the middle of hypercalls.
	ask 30 "echo 600 $2 >/sys/kernel/debug/hostile &"
	sleep 2
	kill_guest
	scenario_ends
}
