#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# host.sh TREE: what needs no root filesystem, cross-built for 6.12-64k from a
# copy of the sources: `make install` and `uninstall` into a directory, and the
# RPMs. As TAP.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/guest/functions.sh
. "$TOP/tests/guest/functions.sh"
# What fails is a case's business.
set +e

[ $# -eq 1 ] || die "usage: tests/dkms/host.sh TREE"
TREE=$1
KERNEL=$(kernel_dir 6.12-64k)
RELEASE=$(cat "$KERNEL/release")
DEST=$BUILD/dkms-dest
RPMS=$BUILD/dkms-rpm
KBUILD=("ARCH=powerpc" "CROSS_COMPILE=$CROSS" "CC=$(cat "$KERNEL/cc")")

# run COMMAND...: its last words as comments
run() {
	local status

	"$@" >"$LOGS/dkms-command.log" 2>&1 </dev/null
	status=$?
	[ $status = 0 ] || tail -n 12 "$LOGS/dkms-command.log" | sed 's/^/# /'
	return $status
}

in_tree() {
	without_settings make -C "$TREE" KDIR="$(cat "$KERNEL/builddir")" \
		"${KBUILD[@]}" DESTDIR="$DEST" "$@"
}

# files DIR PATTERN...: those are all that there are, in that order
files_are() {
	local found

	found=$(cd "$1" && find . ! -type d | sed 's:^\.::' | sort)
	shift

	while [ $# -gt 0 ]; do
		# shellcheck disable=SC2254 # a pattern it is
		case $(head -n 1 <<<"$found") in
		$1)	found=$(tail -n +2 <<<"$found"); shift ;;
		*)	break ;;
		esac
	done
	[ -z "$found$*" ] || { printf '# %s\n' "${found:-misses $*}"; false; }
}

# The files of one package in RPMS
rpm_has() {
	find "$RPMS" -name "$1-[0-9]*.rpm" -exec rpm -qpl {} + 2>/dev/null |
		grep -x "$2" >/dev/null
}

tap_install() {
	rm -rf "$DEST"
	tap_try "the module builds in place" run in_tree modules
	tap_try "make install works with DESTDIR and prefix" run in_tree install prefix=/opt
	tap_try "it installs the module, its configuration, the programs, nothing else" \
		files_are "$DEST" "/lib/modules/$RELEASE/updates/$OURS.ko*" \
		/opt/lib/modprobe.d/vfio-spapr-tce2.conf \
		/opt/lib/udev/rules.d/70-vfio-spapr-tce2.rules /opt/sbin/tce2-preflight \
		/opt/share/man/man8/tce2-preflight.8
	tap_try "make uninstall works" run in_tree uninstall prefix=/opt
	tap_try "it leaves no file" files_are "$DEST"
	run in_tree clean
}

make_kmod() {
	rpmbuild --rebuild --nodeps --target ppc64le-linux --define "_topdir $RPMS/kmod" \
		--define "kernels $RELEASE" --define "kernel_dir $(cat "$KERNEL/builddir")" \
		--define "kbuild_options ${KBUILD[*]}" "$RPMS"/akmod/usr/src/akmods/*.src.rpm
}

unpack_akmod() {
	mkdir -p "$RPMS/akmod" &&
	rpm2cpio "$BUILD"/rpm/RPMS/*/akmod-*.rpm | (cd "$RPMS/akmod" && cpio --quiet -id)
}

tap_rpm() {
	rm -rf "$RPMS"
	tap_try "rpmbuild -ba takes the spec" run "$TOP/scripts/package" rpm
	mkdir -p "$RPMS/all"
	cp -r "$BUILD/rpm/RPMS/"* "$RPMS/all/"
	tap_try "the dkms package has the source" \
		rpm_has dkms-vfio-spapr-tce2 '/usr/src/vfio-spapr-tce2-.*/dkms.conf'
	tap_try "the common package has modprobe's configuration" \
		rpm_has vfio-spapr-tce2 '/usr/lib/modprobe.d/vfio-spapr-tce2.conf'
	tap_try "the akmod package has a source package" run unpack_akmod
	tap_try "that source package builds a kmod for $RELEASE" run make_kmod
	tap_try "the kmod has the module where akmods looks for it" rpm_has \
		"kmod-vfio-spapr-tce2-$RELEASE" \
		"/lib/modules/$RELEASE/extra/vfio-spapr-tce2/$OURS.ko"
}

tap_install
tap_rpm
tap_plan
