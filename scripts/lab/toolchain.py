# SPDX-License-Identifier: GPL-2.0-only
"""Install compilers of a later Debian release that this machine's release lacks.

Owns CACHE/toolchains/NAME: unpacked packages, so that neither root nor a chroot is
needed. Such a compiler needs the later release's C library. So do the prebuilt programs
in the kernel headers of that release. Each program is replaced with a one-line script that
starts the program through that library's dynamic loader. Calls archive, command and places.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .archive import Apt, host_architecture
from .command import CROSS, locked, step
from .places import LOGS, LabError, cache_dir

# Libraries of kbuild's prebuilt programs that the compiler does not need
LIBRARIES = ("libelf1t64", "libssl3t64", "zlib1g")
# The suites that may have a compiler, and the suites whose sparse can read the headers of 7.x
COMPILER_SUITES = ("trixie", "forky", "sid")
SPARSE_SUITES = ("forky", "sid")
LOG = LOGS / "kernel.log"


def toolchain_dir(name: str) -> Path:
    """Return the directory of a compiler such as gcc-16."""
    return cache_dir() / "toolchains" / name


def _lock_of(name: str) -> Path:
    return cache_dir() / "toolchains" / f"{name}.lock"


def _programs_in(directory: Path) -> Iterator[Path]:
    """Yield the ELF programs below a directory, but no shared libraries."""
    for parent, _, names in os.walk(directory):
        for file in (Path(parent) / name for name in names if ".so" not in name):
            if file.is_symlink() or not file.is_file() or not file.stat().st_mode & 0o100:
                continue
            with file.open("rb") as program:
                if program.read(4) == b"\x7fELF":
                    yield file


def _only(toolchain: Path, pattern: str) -> Path:
    """Return the file of a toolchain that matches a pattern; raise LabError if none does."""
    for file in (toolchain / "usr" / "lib").rglob(pattern):
        return file
    raise LabError(f"{toolchain} has no {pattern}")


def start_through_loader(directory: Path, toolchain: Path, final: Path) -> None:
    """Make the programs in a directory run with the C library of a toolchain.

    The directory will be renamed to final. A program finds other programs of its package
    through argv[0], so the loader's option --argv0 sets argv[0].
    """
    loader = _only(toolchain, "ld-linux-*.so.*")
    libraries = _only(toolchain, "libc.so.6").parent
    for program in list(_programs_in(directory)):
        elf = program.with_name(f"{program.name}.elf")
        program.rename(elf)
        program.write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} --argv0 "$0" '
                           f'{final / elf.relative_to(directory)} "$@"\n')
        program.chmod(0o755)


def _is_needed(deb: Path) -> bool:
    """Check that a package must be unpacked.

    Libraries for the target are not needed, because only kernel modules are compiled.
    """
    return not fnmatch.fnmatch(deb.name, "lib*-ppc64el-cross_*") or "-dev-" in deb.name


def _expect_to_run(program: Path, name: str) -> None:
    if subprocess.run([program, "--version"], stdin=subprocess.DEVNULL,
                      stdout=subprocess.DEVNULL, check=False).returncode:
        raise LabError(f"{name} does not run on this machine")


def _install(name: str) -> None:
    """Install a compiler from the first suite that has it."""
    final = toolchain_dir(name)
    new = final.with_name(f"{name}.new")
    package = f"{name}-powerpc64le-linux-gnu"
    apt = Apt.first_with(package, COMPILER_SUITES, foreign="")
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=f"{name}.debs.") as debs:
        files = apt.fetch_all(Path(debs), [package, *LIBRARIES],
                              what=f"fetching {name} and its dependencies (60 MB)",
                              failure=f"{package} could not be fetched")
        for directory in (final, new):
            shutil.rmtree(directory, ignore_errors=True)
        with step(LOG, f"unpacking {name}") as unpacking:
            for deb in filter(_is_needed, files):
                unpacking.run("dpkg-deb", "-x", deb, new)
    new.rename(final)
    start_through_loader(final, final, final)
    _expect_to_run(final / "usr" / "bin" / f"{CROSS}{name}", name)
    (final / "complete").touch()


def need_toolchain(name: str) -> None:
    """Install a compiler unless it is cached.

    With REFRESH set, install it again: a refreshed kernel may need a later C library.
    """
    with locked(_lock_of(name)):
        if not (toolchain_dir(name) / "complete").exists() or os.environ.get("REFRESH"):
            _install(name)


def _install_sparse(toolchain: Path) -> None:
    apt = Apt.first_with("sparse", SPARSE_SUITES, foreign="")
    programs = toolchain / "usr" / "bin"
    with tempfile.TemporaryDirectory(dir=toolchain, prefix="sparse.") as name:
        work = Path(name)
        apt.fetch(work, f"sparse:{host_architecture()}")
        with step(LOG, "unpacking sparse") as unpacking:
            unpacking.run("dpkg-deb", "-x", next(work.glob("*.deb")), work)
        start_through_loader(work / "usr" / "bin", toolchain, programs)
        for file in ("sparse.elf", "sparse"):
            (work / "usr" / "bin" / file).rename(programs / file)
    _expect_to_run(programs / "sparse", "sparse")


def need_sparse(name: str) -> None:
    """Install sparse into a compiler's toolchain, whose C library it uses, unless it is there."""
    with locked(_lock_of(name)):
        if not (toolchain_dir(name) / "usr" / "bin" / "sparse").exists():
            _install_sparse(toolchain_dir(name))


def arrange_compiler(directory: Path, name: str) -> None:
    """Write the file cc of a kernel, and the file path if this machine lacks the compiler."""
    (directory / "cc").write_text(f"{CROSS}{name}\n")
    if not shutil.which(f"{CROSS}{name}"):
        need_toolchain(name)
        (directory / "path").write_text(f"{toolchain_dir(name)}/usr/bin\n")
