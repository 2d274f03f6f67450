# SPDX-License-Identifier: GPL-2.0-only
"""Make the initramfs of an emulated machine in which administrators' programs run.

tce2ctl is cross-compiled with the libraries of Debian's ppc64el packages, which are unpacked
into a system root. trace-cmd, perf and bpftrace come from the packages. QEMU, the client that
they observe, comes from the archive of clients. Owns the system root and the archive of
observers in CACHE/clients. Calls clients, programs, archive, labels, command and places.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import labels, programs
from .archive import POWER, Apt
from .clients import (BUILD_LOG, LIBRARIES, OUT, SUITES, Root, archives_of_clients, join,
                      make_archive, make_initramfs, unpack)
from .command import CROSS, Step, in_si, locked, quietly, say, step, without_settings
from .kernel import need_kernel
from .places import LOGS, TOP, LabError, cache_dir

# The packages of the libraries that tools/tce2ctl/Makefile needs
DEVELOPMENT = ("libc6-dev", "libkmod-dev", "libjson-c-dev", "libncurses-dev", "liblzma-dev",
               "libzstd-dev", "zlib1g-dev")
PACKAGES = ("trace-cmd", "linux-perf", "bpftrace")
PROGRAMS = ("usr/bin/trace-cmd", "usr/bin/perf", "usr/bin/bpftrace")
# The libraries of tce2ctl, which the programs above do not need
SHARED = ("libkmod.so.2", "libjson-c.so.5", "libncursesw.so.6", "libtinfo.so.6",
          "liblzma.so.5", "libzstd.so.1", "libz.so.1", "libcrypto.so.3")
LOG = LOGS / "observers-root.log"
TOOL = OUT / "tce2ctl" / "tce2ctl"


def recipe() -> str:
    """Return a text that changes if other packages or files go into the archive."""
    return " ".join([SUITES, *DEVELOPMENT, *PACKAGES, *PROGRAMS, *SHARED]) + "\n"


def make_sysroot(root: Path, sysroot: Path) -> None:
    """Keep the headers and libraries of a root for cross-compilation.

    The linker does not accept an absolute link to the loader, so replace it with a copy.
    """
    shutil.rmtree(sysroot, ignore_errors=True)
    for name in ("usr/include", LIBRARIES):
        shutil.copytree(root / name, sysroot / name, symlinks=True,
                        ignore=shutil.ignore_patterns("libLLVM*", "libclang*", "libicu*", "perl*"))
    for name in ("lib", "lib64"):
        (sysroot / name).symlink_to(f"usr/{name}")
    (sysroot / "usr/lib64").mkdir()
    shutil.copy(root / LIBRARIES / "ld64.so.2", sysroot / "usr/lib64")


def make_files(doing: Step, work: Path, packages: list[Path], archive: Path,
               sysroot: Path) -> None:
    """Unpack the packages, and make the system root and the archive."""
    root, kept = work / "root", work / "kept"
    unpack(doing, root, packages)
    make_sysroot(root, sysroot)
    kept.mkdir()
    tree = Root(root, kept)
    for name in (*PROGRAMS, *(f"{LIBRARIES}/{library}" for library in SHARED)):
        tree.keep(name)
    tree.link_libraries()
    make_archive(doing, kept, archive)


def archive_of_observers() -> tuple[Path, Path]:
    """Return the archive and the system root. Make them if the list of packages has changed.

    REFRESH=1 makes them again.
    """
    directory = cache_dir() / "clients"
    archive, sysroot = directory / "observers.cpio.zst", directory / "sysroot"
    made_of = directory / "recipe.observers"
    with locked(directory / "lock"):
        if (not os.environ.get("REFRESH") and made_of.exists()
                and made_of.read_text() == recipe()):
            return archive, sysroot
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"),
                                         prefix="tce2-observers.") as name:
            work = Path(name)
            apt = Apt.first_with("", [SUITES], native=POWER, foreign="")
            packages = apt.fetch_all(
                work / "packages", (*DEVELOPMENT, *PACKAGES),
                what="fetching trace-cmd, perf and bpftrace for ppc64el (100 MB)",
                failure="the packages could not be fetched")
            made_of.unlink(missing_ok=True)
            with step(LOG, "packing trace-cmd, perf and bpftrace",
                      "cannot pack trace-cmd, perf and bpftrace") as doing:
                make_files(doing, work, packages, archive, sysroot)
        made_of.write_text(recipe())
    say(f"packed trace-cmd, perf and bpftrace ({in_si(archive.stat().st_size)})")
    return archive, sysroot


def build_tool(sysroot: Path) -> None:
    """Build tce2ctl for ppc64le, with the libraries of a system root."""
    library = sysroot / LIBRARIES
    quietly(BUILD_LOG, "building tce2ctl for ppc64le", [
        "make", "-C", TOP / "tools" / "tce2ctl", f"O={TOOL.parent}",
        f"CC={CROSS}gcc-12 --sysroot={sysroot}"], env=without_settings(
            PKG_CONFIG_LIBDIR=f"{library}/pkgconfig", PKG_CONFIG_SYSROOT_DIR=str(sysroot)))


def main(arguments: Sequence[str]) -> None:
    """Run scripts/observers."""
    if len(arguments) != 1:
        raise LabError("usage: scripts/observers LABEL")
    label = labels.label(arguments[0])
    need_kernel(label)
    OUT.mkdir(parents=True, exist_ok=True)
    clients = archives_of_clients()
    archive, sysroot = archive_of_observers()
    programs.main(["observers"])
    build_tool(sysroot)
    make_initramfs(OUT / "observers.cpio", label.name, "kvm-hv",
                   str(programs.program("observers")), str(TOOL))
    join(OUT / "initrd-observers", OUT / "observers.cpio", clients.host, archive)
