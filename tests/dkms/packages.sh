#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# packages.sh PASS OLD NEW KERNEL LATER: in a root filesystem that KERNEL is
# installed in, the module's packages of the versions OLD and NEW and the kernel
# packages of LATER come and go, with the real dpkg, dkms and kmod. As TAP. The
# pass `first` is for the dkms that is installed, `second` for the one that
# comes with the next release; that one leaves both kernels and the module of NEW
# for KERNEL, with which the pass `tools` tries what is in the other package. In
# the end there is KERNEL and its module.

PASS=$1 OLD=$2 NEW=$3 KERNEL=$4 LATER=$5
NAME=vfio-spapr-tce2
OUTPUT=/tests/output

# shellcheck source=tests/guest/functions.sh
. /tests/functions.sh
# shellcheck source=tests/dkms/tools.sh
. /tests/tools.sh

# What dkms 3.0 makes readelf say of Debian's headers packages; goes with the
# workaround for dkms 3.0 in dkms.conf
KNOWN="readelf: Warning: Section '.comment' was not dumped"

# run COMMAND...: its output as comments, and for no_warnings to judge
run() {
	"$@" >$OUTPUT 2>&1
	status=$?
	tail -n 12 $OUTPUT | sed 's/^/# /'
	return $status
}

no_warnings() {
	! grep -v "$KNOWN" $OUTPUT | grep -iE 'warn|deprecat|error|bad '
}

# installed KERNEL VERSION: kmod finds that version, where dkms puts it
installed() {
	[ "$(modinfo -k "$1" -F version $OURS)" = "$2" ] &&
	case $(modinfo -k "$1" -F filename $OURS) in
	/lib/modules/"$1"/updates/dkms/*)	true ;;
	*)					false ;;
	esac &&
	[ "$(modinfo -k "$1" -F vermagic $OURS | cut -d' ' -f1)" = "$1" ]
}

not_installed() {
	! modinfo -k "$1" $OURS >/dev/null 2>&1 &&
	[ -z "$(find "/lib/modules/$1" -name "$OURS*" 2>/dev/null)" ]
}

# signed KERNEL: with the key that dkms made
signed() {
	modinfo -k "$1" -F signer $OURS | grep 'DKMS module signing key' &&
	[ "$(modinfo -k "$1" -F sig_key $OURS | tr -d :)" = \
		"$(openssl x509 -inform DER -in /var/lib/dkms/mok.pub -noout -serial |
			sed 's/.*=//')" ]
}

forgotten() {
	! dkms status | grep "$NAME/$1,"
}

# Everything but what this test itself has brought
nothing_left() {
	left=$(find / -xdev \( -path /tests -o -path /packages -o -path /proc \) -prune -o \
		-print | grep -iE 'vfio.spapr.tce2|vfio_spapr_tce2')
	[ -z "$left" ] || { echo "$left" | sed 's/^/# /'; false; }
}

package() {
	echo "/packages/$NAME-dkms_$1_all.deb"
}

# headers RELEASE: a package of headers for a kernel of that name. It runs the
# hooks that Debian's run; what they find is the tree of a true kernel.
headers() {
	dir=/tests/headers-$1

	rm -rf "$dir"
	mkdir -p "$dir/DEBIAN" "$dir/lib/modules/$1"
	ln -s "$(readlink -f "/lib/modules/$KERNEL/build")" "$dir/lib/modules/$1/build"
	cat >"$dir/DEBIAN/control" <<-END
		Package: linux-headers-$1
		Version: 1
		Architecture: all
		Maintainer: nobody
		Description: headers of a kernel that does not exist
	END
	cat >"$dir/DEBIAN/postinst" <<-END
		#!/bin/sh
		set -e
		run-parts --report --exit-on-error --arg=$1 /etc/kernel/header_postinst.d
	END
	chmod 755 "$dir/DEBIAN/postinst"
	dpkg-deb --build "$dir" "$dir.deb" >/dev/null
}

# build_status KERNEL: what dkms says to a build for it
build_status() {
	dkms build "$NAME/$NEW" -k "$1" >$OUTPUT 2>&1
	echo $?
}

tap_outside_the_range() {
	for release in 5.10.0-99-powerpc64le 8.0.0-1-powerpc64le; do
		headers $release
		tap_try "headers of $release install though the module is not for it" \
			run dpkg -i "/tests/headers-$release.deb"
		tap_try "the installation says that nothing is built for $release" \
			grep -Eq "(nothing is built for $release|BUILD_EXCLUSIVE)" $OUTPUT
		tap_try "nothing is built for $release" not_installed $release
		tap_try "dkms calls $release excluded, not failed" \
			[ "$(build_status $release)" = 77 ]
		run dpkg -P linux-headers-$release
		rm -rf "/lib/modules/$release"
	done
}

tap_package() {
	tap_try "the package installs" run dpkg -i "$(package "$OLD")"
	tap_try "nothing about it makes dkms warn" no_warnings
	tap_try "the module is installed for $KERNEL" installed "$KERNEL" "$OLD"
	tap_try "the module is signed with the key of dkms" signed "$KERNEL"
	tap_try "the package is upgraded" run dpkg -i "$(package "$NEW")"
	tap_try "nothing about the upgrade makes dkms warn" no_warnings
	tap_try "the new version is installed for $KERNEL" installed "$KERNEL" "$NEW"
	tap_try "dkms has forgotten the old version" forgotten "$OLD"
}

tap_kernel_comes() {
	tap_try "the kernel $LATER installs" run dpkg -i "/packages/linux-image-${LATER}_"*.deb \
		"/packages/linux-headers-${LATER}_"*.deb
	tap_try "the module has been built for it by the way" installed "$LATER" "$NEW"
	tap_try "the module for it is signed too" signed "$LATER"
	tap_try "the module for $KERNEL is still there" installed "$KERNEL" "$NEW"
}

tap_kernel_goes() {
	tap_try "the kernel $LATER is purged" \
		run dpkg -P "linux-headers-$LATER" "linux-image-$LATER"
	tap_try "its module has gone with it" not_installed "$LATER"
	tap_try "the module for $KERNEL is still there after that" installed "$KERNEL" "$NEW"
}

# without the package, for both kernels
tap_by_hand() {
	dpkg-deb -x "$(package "$OLD")" /tests/unpacked
	cp -r "/tests/unpacked/usr/src/$NAME-$OLD" /usr/src/
	tap_try "dkms adds the source" run dkms add "$NAME/$OLD"
	tap_try "dkms has no warning for dkms.conf" no_warnings
	for release in "$KERNEL" "$LATER"; do
		tap_try "dkms builds for $release" run dkms build "$NAME/$OLD" -k "$release"
		tap_try "building for $release makes no warning" no_warnings
		tap_try "dkms installs for $release" run dkms install "$NAME/$OLD" -k "$release"
		tap_try "the module is there for $release" installed "$release" "$OLD"
	done
	tap_try "dkms removes it all" run dkms remove "$NAME/$OLD" --all
	rm -rf "/usr/src/$NAME-$OLD" /tests/unpacked
	tap_try "nothing is left of it" nothing_left
}

tap_purge() {
	tap_try "the package is purged" run dpkg -P $NAME-dkms
	tap_try "no file is left of it" nothing_left
	tap_try "dkms knows nothing of it" [ -z "$(dkms status)" ]
}

echo "# dkms $(dkms --version)"
case $PASS in
first)
	tap_package
	tap_kernel_comes
	tap_outside_the_range
	tap_purge ;;
second)
	tap_try "the next release's dkms installs" run dpkg -i /packages/dkms_*.deb
	echo "# dkms $(dkms --version)"
	tap_by_hand
	tap_package
	tap_outside_the_range ;;
tools)
	tap_tools
	tap_kernel_goes ;;
esac
tap_plan
