# SPDX-License-Identifier: GPL-2.0-only
"""Build the guest's programs, statically linked.

Owns build/guest: tce2-NAME is made of tests/guest/NAME*.c, or of
tests/clients/NAME*.c, and of the shared tests/guest/lib*.c. Calls command and places.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .command import CROSS, call, locked
from .places import BUILD, LOGS, TOP, LabError

SOURCES = TOP / "tests" / "guest"
CLIENTS = TOP / "tests" / "clients"
# The directories of other headers that programs include
INTERFACES = (TOP / "tests" / "kvmplay", TOP / "tests" / "emulated", TOP / "include" / "uapi")
GUEST = BUILD / "guest"
COMPILER = (f"{CROSS}gcc-12", "-std=gnu11", "-static", "-O2", "-pthread",
            "-Wall", "-Wextra", "-Werror")


def program(name: str) -> Path:
    """Return the file of a program."""
    return GUEST / f"tce2-{name}"


def is_up_to_date(file: Path) -> bool:
    """Check whether no source is newer than a program."""
    if not file.exists():
        return False
    built = file.stat().st_mtime_ns
    return all(source.stat().st_mtime_ns <= built
               for directory in (SOURCES, CLIENTS, *INTERFACES)
               for source in directory.rglob("*.[ch]"))


def build(name: str) -> None:
    """Build a program unless it is up to date. The compiler prints its complaints itself."""
    directory = CLIENTS if (CLIENTS / f"{name}.c").exists() else SOURCES
    if not (directory / f"{name}.c").exists():
        raise LabError(f"tests/guest/{name}.c is missing")
    file = program(name)
    if is_up_to_date(file):
        return
    # Rename the output when the compiler has succeeded: a partial file would be newer than the
    # sources, and would not be built again
    new = file.with_suffix(".new")
    sources = [*sorted(directory.glob(f"{name}*.c")), *sorted(SOURCES.glob("lib*.c"))]
    if call(*COMPILER, "-I", SOURCES, "-o", new, *sources):
        raise LabError(f"tests/{directory.name}/{name}*.c does not build")
    new.replace(file)


def main(names: Sequence[str]) -> None:
    """Build each named program."""
    with locked(LOGS / "programs.lock", "building the guest's programs"):
        GUEST.mkdir(parents=True, exist_ok=True)
        for name in names:
            build(name)
