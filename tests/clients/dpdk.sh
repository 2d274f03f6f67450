# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Scenarios with DPDK: testpmd forwards packets between two network cards on one hub, so
# every packet a card sends is received by the other. Sourced by scenarios.sh.

CARD_CLASS=0x020000
CARD_HUGEPAGES=128
PACKETS=/tmp/testpmd.log

cards() {
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/class")" = $CARD_CLASS ]; then
			basename "$device"
		fi
	done
}

start_testpmd() {
	options=
	for card in $(cards); do
		options="$options -a $card"
	done
	mkdir -p /var/run
	rm -f $PACKETS
	# shellcheck disable=SC2086 # one word an option
	LD_PRELOAD=/lib/ioctls.so TCE2_IOCTLS=$TESTPMD_IOCTLS dpdk-testpmd -l 0-1 $options \
		-- --auto-start --tx-first --stats-period 1 --forward-mode=io \
		--no-mlockall --total-num-mbufs=4096 >$PACKETS 2>&1 </dev/null &
	TESTPMD=$!
}

testpmd_runs() {
	kill -0 "$TESTPMD" 2>/dev/null
}

show_testpmd() {
	grep -v '^$' $PACKETS | tail -n 20 | sed 's/^/# testpmd: /'
}

# Packets received by all ports, from the last statistics testpmd has printed
packets_received() {
	awk '/NIC statistics for port 0/ { sum = 0 }
		/RX-packets:/ { sum += $2; last = sum }
		END { print last + 0 }' $PACKETS
}

# forwards COUNT SECONDS: wait until that many packets were received
forwards() {
	until_then=$(($(cut -d. -f1 /proc/uptime) + $2 * PATIENCE))
	while testpmd_runs && [ "$(cut -d. -f1 /proc/uptime)" -lt $until_then ]; do
		[ "$(packets_received)" -lt "$1" ] || return 0
		sleep 0.5
	done
	show_testpmd
	return 1
}

stops_testpmd() {
	kill -INT "$TESTPMD"
	wait "$TESTPMD" || { show_testpmd; false; }
}

tap_forwarding() {
	judge "testpmd forwards 2000 packets" forwards 2000 180
	judge "$BACKEND handles the container" handled_by "$BACKEND"
	figure testpmd-locked-kB "$(locked_kilobytes "$TESTPMD")"
}

testpmd_figures() {
	figure packets "$(packets_received)"
	phase_ends forward
}

# testpmd start|again|killed|after: start, forward, and stop; `killed` by SIGKILL
testpmd() {
	scenario_begins "testpmd-$1"
	TESTPMD_IOCTLS=$IOCTLS
	start_testpmd
	tap_forwarding
	case $1 in
	killed)	kill -KILL "$TESTPMD"
		wait "$TESTPMD" 2>/dev/null ;;
	*)	judge "testpmd stops" stops_testpmd ;;
	esac
	testpmd_figures
	scenario_ends
	# A killed testpmd leaves its files in /dev/hugepages.
	rm -f /dev/hugepages/rtemap_*
	judge "all huge pages are free afterwards" hugepages_are_back
}

# testpmd and a guest at the same time, each with its own container
both() {
	scenario_begins both
	start 1 disable_ddw
	judge "guest boots" guest_boots
	# The figures of this scenario are the guest's.
	TESTPMD_IOCTLS=$IOCTLS.testpmd
	start_testpmd
	tap_forwarding
	tap_io
	phase_ends io
	judge "testpmd forwards after that" forwards $(($(packets_received) + 2000)) 180
	judge "testpmd stops" stops_testpmd
	tap_io
	tap_guest_log
	stop_guest
	scenario_ends
	rm -f /dev/hugepages/rtemap_*
	judge "all huge pages are free afterwards" hugepages_are_back
	tap_copy_on_disk
}

# Reserve huge pages and bind the cards to vfio-pci.
dpdk_begins() {
	reserve_pages 2048 $CARD_HUGEPAGES || return
	for card in $(cards); do
		give "$card" vfio-pci || return
	done
}
