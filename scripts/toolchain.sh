# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A compiler that this machine's release doesn't have, from a later one, in
# CACHE/toolchains/NAME: packages unpacked, nothing installed, no root and no
# chroot. Its programs, and those of kbuild that belong to the same kernels,
# need a later C library too; so each is replaced by a script of one line that
# starts it through the loader of that library. Sourced after archive.sh.

# What kbuild's programs need beyond what the compiler needs
TOOLCHAIN_LIBRARIES='libelf1t64 libssl3t64 zlib1g'

toolchain_dir() {
	echo "$CACHE/toolchains/$1"
}

is_elf() {
	local magic

	LC_ALL=C IFS= read -rn 4 magic <"$1" && [ "$magic" = $'\x7fELF' ]
}

# through_loader DIR TOOLCHAIN [FINAL]: the scripts, for all programs in DIR,
# which is going to be FINAL. A program finds its siblings by the name it was
# called with, hence --argv0.
through_loader() {
	local dir=$1 final=${3:-$1} loader libraries program

	loader=$(find "$2/usr/lib" -name 'ld-linux-*.so.*')
	libraries=$(dirname "$(find "$2/usr/lib" -name libc.so.6)")
	find "$dir" -type f -perm -100 ! -name '*.so*' -print0 |
		while IFS= read -r -d '' program; do
			is_elf "$program" || continue
			mv "$program" "$program.elf"
			# shellcheck disable=SC2016 # for the shell of that script
			printf '#!/bin/sh\nexec %s --library-path %s --argv0 "$0" %s "$@"\n' \
				"$loader" "$libraries" "$final${program#"$dir"}.elf" >"$program"
			chmod 755 "$program"
		done
}

# The libraries of the programs it would make for POWER are of no use here.
unpack_toolchain() {
	local deb

	mkdir "$1" &&
	for deb in "$APT_DIR"/cache/archives/*.deb; do
		case ${deb##*/} in
		lib*-dev-*)		dpkg-deb -x "$deb" "$1" || return ;;
		lib*-ppc64el-cross_*)	;;
		*)			dpkg-deb -x "$deb" "$1" || return ;;
		esac
	done
	rm "$APT_DIR"/cache/archives/*.deb
}

# install_toolchain gcc-N: from the first suite that has it
install_toolchain() {
	local final package=$1-powerpc64le-linux-gnu

	final=$(toolchain_dir "$1")
	# shellcheck disable=SC2034 # read by use_suites
	FOREIGN_ARCH=
	use_first_with "$package" trixie forky sid
	rm -f "$APT_DIR"/cache/archives/*.deb
	# shellcheck disable=SC2086 # one word a package
	quietly "$LOGS/apt.log" "fetching $1 and what it needs (60 MB)" \
		private_apt apt-get install --yes --download-only --no-install-recommends \
		"$package" $TOOLCHAIN_LIBRARIES ||
		die "$package could not be fetched"
	rm -rf "$final" "$final.new"
	quietly "$LOGS/kernel.log" "unpacking $1" unpack_toolchain "$final.new"
	mv "$final.new" "$final"
	through_loader "$final" "$final"
	"$final/usr/bin/$CROSS$1" --version >>"$LOGS/kernel.log" ||
		die "$1 does not run on this machine"
	touch "$final/complete"
}

# need_toolchain gcc-N. A refreshed kernel may want a later C library.
need_toolchain() (
	mkdir -p "$CACHE/toolchains"
	exec 8>"$(toolchain_dir "$1").lock"
	flock 8
	if [ ! -e "$(toolchain_dir "$1")/complete" ] || [ -n "${REFRESH:-}" ]; then
		install_toolchain "$1"
	fi
)

# The first sparse that can read the headers of 7.x is newer than Debian 13's.
install_sparse() {
	local dir=$1 work=$1/sparse.new

	# shellcheck disable=SC2034 # read by use_suites
	FOREIGN_ARCH=
	use_first_with sparse forky sid
	rm -rf "$work"
	mkdir "$work"
	fetch_package "$work" "sparse:$HOST_ARCH"
	dpkg-deb -x "$work"/*.deb "$work"
	through_loader "$work/usr/bin" "$dir" "$dir/usr/bin"
	mv "$work/usr/bin/sparse.elf" "$work/usr/bin/sparse" "$dir/usr/bin/"
	rm -r "$work"
	"$dir/usr/bin/sparse" --version >>"$LOGS/kernel.log" ||
		die "sparse does not run on this machine"
}

# need_sparse gcc-N: beside that compiler, whose C library it takes
need_sparse() (
	exec 8>"$(toolchain_dir "$1").lock"
	flock 8
	if [ ! -e "$(toolchain_dir "$1")/usr/bin/sparse" ]; then
		install_sparse "$(toolchain_dir "$1")"
	fi
)

# arrange_compiler DIR gcc-N: into DIR the files `cc` and, for a compiler from
# elsewhere because this machine has none of that version, `path`
arrange_compiler() {
	local dir=$1 cc=$2

	echo "$CROSS$cc" >"$dir/cc"
	if ! command -v "$CROSS$cc" >/dev/null; then
		need_toolchain "$cc"
		echo "$(toolchain_dir "$cc")/usr/bin" >"$dir/path"
	fi
}
