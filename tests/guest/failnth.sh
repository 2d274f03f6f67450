#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the injected failures, as TAP, for a kernel that injects
# any: loads the module with one allocation after the other failing, says which
# allocations and user copies may fail then, has tce2-conformance go through all of
# them, then looks at the kernel's log and for memory lost.
#
# What may fail is what the module under test has called, at whatever depth (but
# for the platform's own making of windows, see below). Not the kernel's other
# work for the same system call: what VFIO does with failures is its affair.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

DEBUGFS=/sys/kernel/debug

# function_text NAME: a function of the kernel, and where the next one begins
function_text() {
	awk -v name="$1" 'found { print found, "0x" $1; exit }
		$3 == name { found = "0x" $1 }' /proc/kallsyms
}

# inject ATTRIBUTE FIRST END [FIRST END]: calls from the first range may fail,
# unless they have come by way of the second. None does by itself.
inject() {
	at=$DEBUGFS/$1
	echo 0 >"$at/probability" &&
		echo 0 >"$at/verbose" &&
		echo 32 >"$at/stacktrace-depth" &&
		echo "$2" >"$at/require-start" &&
		echo "$3" >"$at/require-end" &&
		echo "${4:-0}" >"$at/reject-start" &&
		echo "${5:-0}" >"$at/reject-end"
}

# What the debugging allocates for itself, beside each allocation, it can do
# without; and a node that an xarray doesn't get it asks for a second time. One
# failure there is harmless, and would end the sweep of a call before what matters.
exclude_harmless() {
	for cache in /sys/kernel/slab/*; do
		case ${cache##*/} in
		kmemleak_*|debug_objects_cache|radix_tree_node)
			echo 0 >"$cache/failslab" ;;
		*)	echo 1 >"$cache/failslab" ;;
		esac || return 1
	done
	echo Y >$DEBUGFS/failslab/cache-filter
}

# After a window that it could not make, pseries makes none ever again for that
# device. And where a slab gets a page it tries twice: one failure is harmless.
platform_text() {
	if grep -q 'platform.*pSeries' /proc/cpuinfo; then
		function_text spapr_tce_create_table
	else
		function_text ___slab_alloc
	fi
}

# Also allocations that can wait, and pages as small as they come
inject_into_all() {
	exclude_harmless &&
		echo N >$DEBUGFS/failslab/ignore-gfp-wait &&
		echo N >$DEBUGFS/fail_page_alloc/ignore-gfp-wait &&
		echo N >$DEBUGFS/fail_page_alloc/ignore-gfp-highmem &&
		echo 0 >$DEBUGFS/fail_page_alloc/min-order
}

# shellcheck disable=SC2046 # two addresses each
inject_into_module() {
	inject failslab $(module_text) $(function_text spapr_tce_create_table) &&
		inject fail_page_alloc $(module_text) $(platform_text) &&
		inject fail_usercopy $(module_text) &&
		inject_into_all
}

# What is called once a module is loaded: its beginning, and who is told of it
inject_into_beginnings() {
	for attribute in failslab fail_page_alloc fail_usercopy; do
		# shellcheck disable=SC2046 # two addresses
		inject $attribute $(function_text do_init_module) || return 1
	done
	inject_into_all
}

# sweep_loading MODULE: with the first call failing, with the second, and so on until
# it is loaded untouched. It is there afterwards if, and only if, loading it succeeds.
sweep_loading() {
	file=$(find /lib/modules -name "$1.ko")
	nth=0
	refused=0
	survived=0
	while [ $nth -lt 100 ]; do
		nth=$((nth + 1))
		/bin/tce2-insmod "$file" $nth >/tmp/loaded
		case $? in
		0)	break ;;
		1)	refused=$((refused + 1))
			! [ -d "/sys/module/$1" ] || return 1
			continue ;;
		2)	survived=$((survived + 1)) ;;
		*)	sed 's/^/# /' /tmp/loaded
			return 1 ;;
		esac
		rmmod "$1" || return 1
	done
	echo "# fail-nth: loading $1: $((nth - 1)) failures, $refused refused, $survived survived"
	[ $nth -lt 100 ] && [ $refused -gt 0 ] && rmmod "$1"
}

# sweep_until ENOUGH MODULE: what else the debugging allocates is not the same each
# time, so that a sweep may miss a call
sweep_until() {
	sweep_loading "$2" && { "$1" || sweep_loading "$2"; } &&
		{ "$1" || sweep_loading "$2"; } && "$1"
}

# The kernel allocates once for a module, and this one's part is to register itself,
# which takes two allocations
all_were_refused() {
	[ "$refused" -ge 3 ]
}

sweep_loading_ours() {
	unload_backend && sweep_until all_were_refused $OURS && load_ours
}

# When the other backend is loaded again this one goes before it again. If it can't,
# it says so, and the other is asked first from then on.
ASKED_FIRST="$OURS: vfio_iommu_spapr_tce is asked first now, error -12"

was_asked_first() {
	dmesg | grep -q "$ASKED_FIRST"
}

sweep_loading_in_tree() {
	rmmod vfio_iommu_spapr_tce &&
		sweep_until was_asked_first vfio_iommu_spapr_tce &&
		modprobe vfio_iommu_spapr_tce
}

# What powernv calls when it has a group back from its owner
inject_into_return() {
	for attribute in failslab fail_page_alloc fail_usercopy; do
		# shellcheck disable=SC2046 # two addresses
		inject $attribute $(function_text pnv_pci_ioda2_setup_default_config) ||
			return 1
	done
	inject_into_all
}

# A second device of the group would have the platform try again
remove_neighbours() {
	for device in $(edu_devices); do
		for other in /sys/bus/pci/devices/"${device%.*}".*; do
			[ "${other##*/}" = "$device" ] || echo 1 >"$other/remove" || return 1
		done
	done
}

# Who gets no memory may say so with a trace, and powernv loses a default window that
# it could not note; nothing else may come of it
nothing_worse() {
	worse=$(kernel_complaints | since_mark | grep -E "$FAULTS"
		own_lines | grep -v "$EXPECTED")
	[ -z "$worse" ] || echo "$worse" | sed 's/^/# /'
	[ -z "$worse" ]
}

# The platform says what it could not do, with a trace, so this comes last.
tap_bypass() {
	grep -q 'platform.*PowerNV' /proc/cpuinfo || return 0
	tap_try "the module loads once more" load_ours
	tap_try "each device is alone in its group" remove_neighbours
	tap_try "what a group's return calls can be made to fail" inject_into_return
	tap_try "a group that the platform could not set up reaches nothing" /bin/tce2-bypass
	tap_unload_without_leaks
	tap_try "and the kernel complains of nothing but memory" nothing_worse
}

# VFIO would have the in-tree backend serve a container that ours failed to open.
# (It comes once more before it goes, which this module has to notice.)
unload_in_tree() {
	rmmod vfio_iommu_spapr_tce && modprobe vfio_iommu_spapr_tce &&
		rmmod vfio_iommu_spapr_tce && ! [ -d /sys/module/vfio_iommu_spapr_tce ]
}

kernel_mark
# A case maps the disk
load_disk
tap_try "this kernel injects failures" [ -w /proc/self/fail-nth ]
tap_try "and finds leaks" [ -e $KMEMLEAK ]
tap_try "in-tree backend, vfio-pci and then the module load" load_backends
tap_try "what loading calls can be made to fail" inject_into_beginnings
tap_try "this module is loaded whole or not at all" sweep_loading_ours
tap_try "and is told of the in-tree backend whole, or says so" sweep_loading_in_tree
EXPECTED=$ASKED_FIRST
tap_try "the in-tree backend unloads" unload_in_tree
tap_try "the self-test loads" modprobe "${OURS}_selftest"
bind_edu | sed 's/^/# edu /'
tap_try "both edu devices are bound to vfio-pci" edu_bound 2
tap_try "what the module calls can be made to fail" inject_into_module
echo "# what may fail is called from $(module_text), not by $(platform_text)"

/bin/tce2-conformance --fail-nth --times "$@"
status=$?
# 1 is what it says when a case of its own has failed.
tap_try "tce2-conformance runs to its end" [ $status -le 1 ]

tap_try "the self-test unloads" rmmod "${OURS}_selftest"
tap_unload_without_leaks
tap_no_splats
tap_bypass
tap_plan && [ $status = 0 ]
