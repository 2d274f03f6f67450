#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# boot.sh orders|initramfs|bare|enforced: in a booted root filesystem with the module
# installed, loads the modules in each possible order, and checks after each which
# backend handles a container. As TAP.

# shellcheck source=tests/guest/functions.sh
. /tests/functions.sh

INTREE=vfio_iommu_spapr_tce
OPTIONS=/etc/modprobe.d/tce2-test.conf
CONFIGURATION=/usr/lib/modprobe.d/vfio-spapr-tce2.conf

loaded() {
	[ -d "/sys/module/$1" ]
}

absent() {
	! loaded "$1"
}

# served_by MODULE: it handles the container that a client opens now
served_by() {
	bind_edu >/dev/null
	backend=$(/tests/tce2-which-backend)
	[ "$backend" = "$1" ] && return
	echo "# served by $backend"
	lsmod | grep vfio | sed 's/^/# /'
	return 1
}

# Whatever was loaded, in whatever order: nothing of VFIO is left
unload_all() {
	udevadm settle
	modprobe -r vfio-pci 2>/dev/null
	for module in $OURS $INTREE vfio_pci vfio_pci_core vfio; do
		! loaded "$module" || rmmod "$module" || return
	done
}

# insmod MODULE...: no configuration, no dependency but the order
insmod_all() {
	for module; do
		insmod "$(modinfo -F filename "$module")" || return
	done
}

# modprobe_each MODULE...: one after the other; -b is an option of the next
modprobe_each() {
	option=
	for module; do
		case $module in
		-b)	option=-b; continue ;;
		esac
		modprobe $option "$module" || echo "# modprobe $module: $?"
		option=
	done
}

# tap_order "ORDER": modprobe each of the modules named, then see
tap_order() {
	tap_try "nothing is loaded before: modprobe $1" unload_all
	# shellcheck disable=SC2086 # one word a module
	modprobe_each $1
	tap_try "in-tree backend and this one are there after: modprobe $1" \
		eval "loaded $OURS && loaded $INTREE"
	modprobe vfio-pci
	tap_try "this module serves after: modprobe $1" served_by $OURS
}

tap_orders() {
	tap_order "vfio-pci"
	tap_order "-b vfio-pci"
	tap_order "$OURS"
	tap_order "$OURS vfio-pci"
	tap_order "$INTREE"
	tap_order "$INTREE $OURS"
	tap_order "$OURS $INTREE"
	tap_order "vfio"
	tap_order "vfio vfio-pci"

	unload_all
	tap_try "in-tree backend is insmod'ed behind this one" \
		insmod_all vfio $OURS $INTREE
	modprobe vfio-pci
	tap_try "this module serves all the same" served_by $OURS
	unload_all
	insmod_all vfio $INTREE
	modprobe vfio-pci
	tap_try "loading vfio-pci brings this module though the in-tree backend was there" \
		served_by $OURS
}

# The rule of udev alone
tap_without_modprobe() {
	unload_all
	mv "$CONFIGURATION" /tests/configuration
	modprobe vfio-pci
	udevadm settle
	tap_try "without modprobe's configuration udev loads this module" loaded $OURS
	tap_try "and it serves" served_by $OURS
	unload_all
	tap_try "the in-tree backend alone brings it, too" \
		eval "insmod_all vfio $INTREE; udevadm settle; loaded $OURS"
	unload_all
	mv /tests/configuration "$CONFIGURATION"
	modprobe vfio-pci
}

tap_reload() {
	modprobe vfio-pci
	tap_try "in-tree backend goes" rmmod $INTREE
	tap_try "this module serves without it" served_by $OURS
	tap_try "in-tree backend comes back" modprobe $INTREE
	tap_try "this module serves after that" served_by $OURS
	for turn in 1 2 3 4 5; do
		rmmod $INTREE || break
		insmod_all $INTREE || break
	done
	tap_try "and after five more times" [ "$turn $(/tests/tce2-which-backend)" = "5 $OURS" ]
}

# hold: has a container until let_go
hold() {
	mkfifo /tests/hold
	/tests/tce2-which-backend wait </tests/hold >/tests/held &
	holder=$!
	exec 3>/tests/hold
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ ! -s /tests/held ] || break
		sleep 0.2
	done
	[ "$(cat /tests/held)" = "$1" ]
}

let_go() {
	exec 3>&-
	wait "$holder"
	status=$?
	rm -f /tests/hold
	return $status
}

refused() {
	! "$@" 2>/tests/message && grep 'in use' /tests/message >/dev/null
}

tap_in_use() {
	tap_try "a container is open" hold $OURS
	tap_try "rmmod says that the module is in use" refused rmmod $OURS
	tap_try "modprobe -r says so too" refused modprobe -r $OURS
	tap_try "in-tree backend is reloaded meanwhile" \
		eval "rmmod $INTREE && modprobe $INTREE"
	tap_try "the container that was open can be closed" let_go
	tap_try "this module serves after it" served_by $OURS
}

tap_unload() {
	tap_try "modprobe -r of this module works" modprobe -r $OURS
	tap_try "it is gone" absent $OURS
	tap_try "it has not taken the in-tree backend away" loaded $INTREE
	tap_try "in-tree backend serves then" served_by $INTREE
	modprobe $OURS
	tap_try "this module serves once it is back" served_by $OURS
	tap_try "modprobe -r of vfio-pci works" modprobe -r vfio-pci
	tap_try "vfio-pci is gone" absent vfio_pci
	modprobe vfio-pci
	tap_try "this module serves once vfio-pci is back" served_by $OURS
	modprobe -r vfio-pci
	tap_try "modprobe -r of the in-tree backend works" modprobe -r $INTREE
	tap_try "in-tree backend is gone" absent $INTREE
	modprobe vfio-pci
	tap_try "this module serves after that and vfio-pci" served_by $OURS
}

tap_switch() {
	enabled=/sys/module/$OURS/parameters/enabled

	tap_try "a container is open before the switch" hold $OURS
	tap_try "the switch can be turned off meanwhile" eval "echo 0 >$enabled"
	tap_try "the open container is closed" let_go
	tap_try "in-tree backend serves the next one" served_by $INTREE
	echo 1 >$enabled
	tap_try "this module serves once switched on" served_by $OURS
	echo "options $OURS enabled=0" >$OPTIONS
	unload_all
	modprobe vfio-pci
	tap_try "with the option in modprobe.d the in-tree backend serves" served_by $INTREE
	tap_try "although this module is loaded" loaded $OURS
	rm $OPTIONS
	unload_all
	modprobe vfio-pci
	tap_try "without it this module serves" served_by $OURS
}

orders() {
	tap_try "at boot, modules-load.d has brought vfio-pci" loaded vfio_pci
	tap_try "this module serves after boot" served_by $OURS
	tap_orders
	tap_without_modprobe
	tap_reload
	tap_in_use
	tap_unload
	tap_switch
	tap_try "everything can be unloaded in the end" unload_all
}

initramfs() {
	tap_try "the initramfs has loaded vfio-pci" loaded vfio_pci
	tap_try "and this module with it" loaded $OURS
	tap_try "this module serves after boot" served_by $OURS
}

# An initramfs of before this module was installed
bare() {
	tap_try "the initramfs has loaded vfio-pci" loaded vfio_pci
	udevadm settle
	tap_try "this module has come later" loaded $OURS
	tap_try "this module serves after boot" served_by $OURS
}

# This machine trusts no key of dkms.
enforced() {
	tap_try "vfio-pci was loaded at boot though this module may not be" loaded vfio_pci
	tap_try "this module is not loaded" absent $OURS
	tap_try "in-tree backend serves" served_by $INTREE
	modprobe $OURS 2>/tests/message
	sed 's/^/# /' /tests/message
	tap_try "modprobe says what README says of a key that is not trusted" \
		grep 'Key was rejected by service' /tests/message
	file=$(modinfo -F filename $OURS)
	case $file in
	*.xz)	xz -dc "$file" ;;
	*)	cat "$file" ;;
	esac >/tests/unsigned.ko
	strip --strip-debug /tests/unsigned.ko
	insmod /tests/unsigned.ko 2>/tests/message
	tap_try "insmod says what README says of a module without a signature" \
		grep 'Key was rejected by service' /tests/message
	dmesg | grep 'is rejected' | sed 's/^/# /'
	tap_try "the kernel's log tells of a key that is not trusted" \
		eval "dmesg | grep -i 'loading of module with unavailable key is rejected'"
	tap_try "the kernel's log tells of a missing signature" \
		eval "dmesg | grep -i 'loading of unsigned module is rejected'"
}

kernel_mark
"$1"
tap_no_splats
tap_plan
