# SPDX-License-Identifier: GPL-2.0-only
"""Find and install the packages that this machine needs.

The tables map tools to packages. Packages are installed with the machine's own package
status, but with private package lists, so the machine's own lists do not change. Python
itself is installed by scripts/hosttools, a shell script. Calls archive, command and places.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .archive import Apt, host_codename
from .command import quietly, say
from .places import LOGS, LabError

# The oldest QEMU whose powernv has the devices and the clock that the tests need
QEMU_MINIMUM = 10
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Tool:
    """A required program, file or module: its package, and the check that it is installed."""

    package: str
    is_there: Callable[[], bool]


def said_by(*command: str) -> str:
    """Return the output of a command, or "" if it is missing or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
    except OSError:
        return ""
    return "" if done.returncode else done.stdout


def program(name: str, package: str = "") -> Tool:
    """Return a Tool that requires a program on the PATH."""
    return Tool(package or name, lambda: shutil.which(name) is not None)


def file(pattern: str, package: str) -> Tool:
    """Return a Tool that requires a file matching a pattern."""
    return Tool(package, lambda: bool(glob.glob(pattern)))


def library(name: str, package: str) -> Tool:
    """Return a Tool that requires a shared library for prebuilt programs."""
    return Tool(package, lambda: name in said_by("ldconfig", "-p"))


def module(name: str, package: str, *pythons: str) -> Tool:
    """Return a Tool that requires a Python module in one of several interpreters."""
    check = f"import {name}; print('there')"
    return Tool(package, lambda: any(said_by(python, "-c", check) for python in pythons))


def has_qemu() -> bool:
    """Check that QEMU is installed and is QEMU_MINIMUM or later."""
    found = re.search(r" version ([0-9]+)", said_by("qemu-system-ppc64", "--version"))
    return found is not None and int(found[1]) >= QEMU_MINIMUM


CROSS_TOOLS = (
    program("make"),
    program("powerpc64le-linux-gnu-gcc-12", "gcc-12-powerpc64le-linux-gnu"),
    program("depmod", "kmod"),
    program("xz", "xz-utils"),
    program("bc"),
    # The libraries that kbuild's prebuilt tools in the headers packages need
    library("libelf.so.1", "libelf1"),
    library("libssl.so.3", "libssl3"),
)
# The emulated machine and its programs
GUESTS = (
    file("/usr/powerpc64le-linux-gnu/include/stdio.h", "libc6-dev-ppc64el-cross"),
    file("/usr/powerpc64le-linux-gnu/include/linux/vfio.h", "linux-libc-dev-ppc64el-cross"),
    program("fdtput", "device-tree-compiler"),
    program("cpio"),
    Tool("qemu-system-ppc", has_qemu),
)
NATIVE_COMPILER = (program("gcc"), file("/usr/include/stdio.h", "libc6-dev"))
CMOCKA = (file("/usr/include/cmocka.h", "libcmocka-dev"),)
PYTEST = (module("pytest", "python3-pytest", "python3", SYSTEM_PYTHON),)
UNIT = (program("make"), *NATIVE_COMPILER, *CMOCKA, *PYTEST)
# tce2-preflight, tce2ctl, and their tests
PREFLIGHT = (
    program("pkg-config", "pkgconf"),
    file("/usr/include/json-c/json.h", "libjson-c-dev"),
    file("/usr/include/libkmod.h", "libkmod-dev"),
    file("/usr/include/ncursesw/curses.h", "libncurses-dev"),
    file("/usr/include/bpf/btf.h", "libbpf-dev"),
    file("/usr/include/lzma.h", "liblzma-dev"),
    file("/usr/include/zstd.h", "libzstd-dev"),
    file("/usr/include/zlib.h", "zlib1g-dev"),
    program("openssl"),
    program("zstd"),
)
DEB = (
    file("/usr/share/build-essential", "build-essential"),
    program("dpkg-buildpackage", "dpkg-dev"),
    program("fakeroot"),
    program("dh", "debhelper"),
    program("dh_dkms", "dh-dkms"),
    program("lintian"),
    *PREFLIGHT,
)
# Sphinx is called by Debian's Python, which finds Debian's theme
DOCS = (
    module("sphinx", "python3-sphinx", SYSTEM_PYTHON),
    module("furo", "furo", SYSTEM_PYTHON),
    program("dot", "graphviz"),
    program("perl"),
)
# The tools of each mode; the header of scripts/hosttools explains the modes
MODES: dict[str, tuple[Tool, ...]] = {
    "": (*CROSS_TOOLS, *GUESTS),
    "build": CROSS_TOOLS,
    "pytest": PYTEST,
    "unit": UNIT,
    "quick": (*UNIT, program("cpio")),
    "check": (
        *CROSS_TOOLS, *GUESTS, *UNIT,
        program("busybox"),
        program("git"),
        module("yaml", "python3-yaml", SYSTEM_PYTHON),
        *PREFLIGHT,
    ),
    "fuzz": (
        *CROSS_TOOLS, *GUESTS,
        program("clang-14"),
        file("/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*", "libclang-rt-14-dev"),
    ),
    "lint": (
        *CROSS_TOOLS, *GUESTS, *PYTEST,
        program("mypy"),
        program("flake8"),
        program("sparse"),
        program("shellcheck"),
        program("mandoc"),
        program("perl"),
        program("spatch", "coccinelle"),
        program("clang-19"),
        # The checkers also compile the programs that run on this machine
        *NATIVE_COMPILER, *CMOCKA, *PREFLIGHT,
    ),
    "kernel": (
        *CROSS_TOOLS, *GUESTS, *NATIVE_COMPILER,
        program("flex"),
        program("bison"),
        file("/usr/include/openssl/ssl.h", "libssl-dev"),
        file("/usr/include/libelf.h", "libelf-dev"),
    ),
    "deb": (*CROSS_TOOLS, *GUESTS, *DEB),
    "rpm": (*CROSS_TOOLS, *GUESTS, program("rpmbuild", "rpm"), program("cc", "gcc")),
    "dkms": (
        *CROSS_TOOLS, *GUESTS,
        program("qemu-ppc64le-static", "qemu-user-static"),
        program("mmdebstrap"),
        program("newuidmap", "uidmap"),
        program("mke2fs", "e2fsprogs"),
        *DEB,
    ),
    "docs": DOCS,
}
USAGE = f"usage: scripts/hosttools [{'|'.join(['python', *filter(None, MODES)])}]"


def missing(mode: str) -> list[str]:
    """Return the packages that this machine lacks for a mode."""
    return list(dict.fromkeys(tool.package for tool in MODES[mode] if not tool.is_there()))


def qemu_packages(statuses: str) -> list[str]:
    """Return the required and the installed QEMU packages, which must have the same version.

    statuses has lines "STATUS PACKAGE" as printed by dpkg-query.
    """
    words = [line.split() for line in statuses.splitlines()]
    has = {word[1] for word in words if word[0] == "installed"}
    return sorted(has | {"qemu-system-ppc", "qemu-system-common", "qemu-system-data"})


def requests(packages: Sequence[str], codename: str) -> list[str]:
    """Return the packages as arguments of apt-get install, with a suite where needed.

    On bookworm, only QEMU comes from the backports, because bookworm's QEMU is too old.
    """
    wanted = []
    for package in packages:
        if package == "qemu-system-ppc" and codename == "bookworm":
            statuses = said_by("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n",
                               "qemu-system-*")
            wanted += [f"{part}/bookworm-backports" for part in qemu_packages(statuses)]
        else:
            wanted.append(package)
    return wanted


def host_suites(codename: str) -> list[str]:
    """Return the choices of suites for this machine's release.

    The second choice omits the suites that a mirror may lack during its update.
    """
    if codename == "bookworm":
        return ["bookworm+bookworm-updates+bookworm-security+bookworm-backports",
                "bookworm+bookworm-backports"]
    return [f"{codename}+{codename}-updates+{codename}-security", codename]


def _install(packages: Sequence[str], wanted: Sequence[str]) -> None:
    sudo = [] if os.getuid() == 0 else ["sudo"]
    if sudo and not shutil.which("sudo"):
        raise LabError("installing packages needs root or sudo: apt-get install "
                       f"{' '.join(packages)} (QEMU {QEMU_MINIMUM} or later, "
                       "from bookworm-backports)")
    if sudo and sys.stdin.isatty():
        # Ask for the password now, before progress messages are printed
        subprocess.run(["sudo", "-v"], check=True)
    apt = Apt.first_with("", host_suites(host_codename()), foreign="")
    quietly(LOGS / "hosttools.log", "installing the host tools", [
        *sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *apt.source_options,
        "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
        "-o", "DPkg::Lock::Timeout=300",
        "install", "--yes", "--no-install-recommends", "--no-remove", *wanted,
    ], failure="apt-get could not install the host tools (it never removes a package for them)")


def need_tools(mode: str = "") -> None:
    """Install the packages that this machine lacks for a mode."""
    if packages := missing(mode):
        wanted = requests(packages, host_codename())
        say(f"host tools missing: {' '.join(packages)}")
        say(f"apt-get is going to install {' '.join(wanted)}")
        _install(packages, wanted)
        if packages := missing(mode):
            raise LabError(f"still missing: {' '.join(packages)}")
    say("host tools: all there")


def main(arguments: Sequence[str]) -> None:
    """Run scripts/hosttools, which has already installed Python."""
    mode = arguments[0] if arguments else ""
    if len(arguments) > 1 or mode not in MODES:
        raise LabError(USAGE)
    need_tools(mode)
