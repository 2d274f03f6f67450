# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Programs of a ppc64el root filesystem run on this machine: qemu-user behind
# the kernel's binfmt_misc, in a mount namespace, so that nothing stays mounted
# when a script ends, however it does. Sourced after lib.sh.

BINFMT=/proc/sys/fs/binfmt_misc
# The magic of a little-endian 64-bit POWER program
PPC64LE_MAGIC='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x15\x00'
PPC64LE_MASK='\xff\xff\xff\xff\xff\xff\xff\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x00'

# F: the interpreter is opened here and now, so that no root needs a copy.
register_interpreter() {
	[ -e $BINFMT/register ] || mount -t binfmt_misc binfmt_misc $BINFMT
	[ -e $BINFMT/qemu-ppc64le ] ||
		echo ":qemu-ppc64le:M::$PPC64LE_MAGIC:$PPC64LE_MASK:$(command -v qemu-ppc64le-static):F" \
			>$BINFMT/register
}

# become_chrooter ARGUMENT...: starts the calling script again as root in
# namespaces of its own, unless that is what it is.
become_chrooter() {
	local sudo=()

	[ -z "${TCE2_CHROOTER:-}" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "a root filesystem needs root or sudo"
		sudo=(sudo)
	fi
	"${sudo[@]}" env BINFMT="$BINFMT" bash -euc "
		$(declare -p PPC64LE_MAGIC PPC64LE_MASK)
		$(declare -f register_interpreter)
		register_interpreter"
	exec "${sudo[@]}" env TCE2_CHROOTER=yes TCE2_START="$TCE2_START" \
		XDG_CACHE_HOME="${CACHE%/*}" PATH="$PATH" REFRESH="${REFRESH:-}" \
		unshare --mount --pid --fork --mount-proc "$0" "$@"
}

# The few devices that programs need, in a memory of their own: nothing that
# happens to a root can reach this machine's.
make_devices() {
	local dev=$1 node

	mount -t tmpfs -o mode=755 tmpfs "$dev"
	for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
		# shellcheck disable=SC2086 # name, major, minor
		set -- $node
		mknod -m 666 "$dev/$1" c "$2" "$3"
	done
	ln -s /proc/self/fd "$dev/fd"
}

# discard_root DIR: all of it, and nothing that is mounted in it
discard_root() {
	umount "$1/dev" "$1/proc" 2>/dev/null || true
	rm -rf --one-file-system "$1"
}

# in_chroot ROOT COMMAND...
in_chroot() {
	local root=$1
	shift

	mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
	mountpoint -q "$root/dev" || make_devices "$root/dev"
	env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive TERM=dumb \
		${QEMU_UNAME:+QEMU_UNAME="$QEMU_UNAME"} \
		chroot "$root" "$@"
}
