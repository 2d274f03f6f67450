# SPDX-License-Identifier: GPL-2.0-only
"""Run programs of a ppc64el root filesystem on this machine with qemu-user.

The kernel starts qemu-user through binfmt_misc. Calls command and places.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .command import call
from .places import LabError

BINFMT = Path("/proc/sys/fs/binfmt_misc")
EMULATOR = "qemu-ppc64le-static"
# The first bytes of a little-endian 64-bit POWER program, by which the kernel recognizes it
MAGIC = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x15\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x00"
# $1 has the flag F: the kernel opens qemu-user at registration, so that root filesystems need
# no copy of it
REGISTER = """
[ -e "$0/register" ] || mount -t binfmt_misc binfmt_misc "$0"
printf '%s' "$1" >"$0/register"
"""
# /dev is a private tmpfs, so that programs in a root cannot reach this machine's devices
ENTER = """
mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=755 tmpfs "$0/dev" &&
while read -r name major minor; do
    mknod -m 666 "$0/dev/$name" c $major $minor || exit
done <<END &&
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
ln -s /proc/self/fd "$0/dev/fd" && exec chroot "$0" "$@"
"""
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
    "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TERM": "dumb"}


def as_root() -> list[str]:
    """Return the command prefix that runs a command as root."""
    if os.getuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise LabError("qemu-user for ppc64el needs root or sudo, once after a boot")
    return ["sudo"]


def register_interpreter() -> None:
    """Register qemu-user with binfmt_misc. Needs root unless it is already registered."""
    if (BINFMT / "qemu-ppc64le").exists():
        return
    emulator = shutil.which(EMULATOR)
    if not emulator:
        raise LabError(f"{EMULATOR} is missing: install the package qemu-user-static")
    if as_root() and sys.stdin.isatty():
        # Ask for the password now: programs that call() starts cannot read from the terminal
        subprocess.run([*as_root(), "-v"], check=True)
    format_ = f":qemu-ppc64le:M::{MAGIC}:{MASK}:{emulator}:F"
    if call(*as_root(), "sh", "-euc", REGISTER, BINFMT, format_):
        raise LabError(f"the kernel does not take {emulator} for programs of ppc64el")


def command_in(root: Path, words: Sequence[str | Path], uname: str = "") -> list[str]:
    """Return the command that runs a program in a root filesystem, as root.

    words are the program and its arguments. The program runs in new namespaces, so that no
    mount outlives the program. If uname is given, programs see a kernel of that release.
    Call register_interpreter() first.
    """
    variables = {**ENVIRONMENT, **({"QEMU_UNAME": uname} if uname else {})}
    return [*as_root(), "env", "-i", *(f"{name}={value}" for name, value in variables.items()),
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            "sh", "-c", ENTER, str(root), *map(str, words)]
