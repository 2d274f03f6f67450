# SPDX-License-Identifier: GPL-2.0-only
"""Build vfio_spapr_tce2.ko and the test modules for a cached kernel.

Owns build/LABEL and, with CLANG set, build/clang/LABEL. These directories have symbolic
links to the sources, so builds for several kernels do not change the source tree.
Calls kernel, toolchain, labels, command and places.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import labels
from .command import CROSS, locked, output_of, quietly, say, without_settings
from .kernel import need_kernel
from .places import BUILD, LOGS, TOP, LabError
from .toolchain import need_sparse

PRODUCT = "vfio_spapr_tce2.ko"
# Sources to link, and the directories whose objects clang compiles
LINKED = ("Kbuild", "dkms.conf", "src", "include", "tests/selftest", "tests/kvmplay",
          "tests/emulated")
COMPILED = ("src", "tests/selftest", "tests/kvmplay", "tests/emulated")
# Environment variables that are passed to kbuild
PASSED = ("W", "C", "V", "KCFLAGS")


def setting(name: str) -> str:
    """Return an environment variable, or ""."""
    return os.environ.get(name, "")


class Built:
    """The results of an in-place build: paths that match .gitignore."""

    def __init__(self) -> None:
        patterns = [line for line in (TOP / ".gitignore").read_text().splitlines()
                    if line and not line.startswith("#")]
        self._paths = [pattern.strip("/") for pattern in patterns if pattern.startswith("/")]
        self._names = [pattern for pattern in patterns if not pattern.startswith("/")]

    def __contains__(self, path: Path) -> bool:
        """Match a path, relative to the top directory or to a copy of it."""
        return (any(fnmatch.fnmatchcase(path.name, name) for name in self._names)
                or any(fnmatch.fnmatchcase(str(path), each) for each in self._paths))


def source_files() -> Iterator[Path]:
    """Return the files that a build needs, relative to the top directory."""
    built = Built()
    for name in LINKED:
        found = [TOP / name] if (TOP / name).is_file() else (TOP / name).rglob("*")
        for file in found:
            path = file.relative_to(TOP)
            if not file.is_dir() and path not in built:
                yield path


def link_sources(out: Path) -> None:
    """Link every source file into a directory, and remove all other links.

    Results of an in-place build are not linked: the compiler would write through the
    links.
    """
    wanted = {out / path: TOP / path for path in source_files()}
    for link, file in wanted.items():
        if not link.is_symlink() or link.readlink() != file:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file)
    for file in list(out.rglob("*")):
        if file.is_symlink() and file not in wanted:
            file.unlink()


def clang_options(clang: str) -> list[str]:
    """Return kbuild variables for clang with a kernel that was configured for gcc.

    The variables tell kbuild the clang version. They disable function tracing and the stack
    protector, which only gcc supports on POWER. They also disable debugging information,
    because its configuration has options for gcc's assembler.
    """
    major, minor, patch = (int(part) for part in output_of(clang, "-dumpversion").split("."))
    return ["CONFIG_CC_IS_GCC=", "CONFIG_GCC_VERSION=0", "CONFIG_CC_IS_CLANG=y",
            f"CONFIG_CLANG_VERSION={major}{minor:02d}{patch:02d}",
            "CONFIG_CC_IMPLICIT_FALLTHROUGH=-Wimplicit-fallthrough",
            "CONFIG_FUNCTION_TRACER=", "CONFIG_MPROFILE_KERNEL=",
            "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=", "CONFIG_UBSAN=",
            "CONFIG_STACKPROTECTOR=", "CONFIG_DEBUG_INFO=",
            "KCFLAGS=-DCONFIG_CC_IS_CLANG=1",
            f"CHECK={clang} --analyze --analyzer-output text", "CHECKFLAGS="]


def objects(out: Path) -> list[str]:
    """Return the objects of the module and of the test modules, as targets for clang.

    The module itself is no target, so the real-mode check does not run. The check would fail:
    clang does not inline the kernel's atomics into noinstr code.
    """
    return [str(source.relative_to(out).with_suffix(".o"))
            for name in COMPILED for source in sorted((out / name).glob("*.c"))]


def pahole_version(config: Path) -> str:
    """Return the version of pahole in a kernel's configuration, to suppress a warning.

    kbuild warns if the installed pahole has another version than the configured version. But
    without the kernel's vmlinux kbuild makes no BTF and does not run pahole.
    """
    found = re.search(r"^CONFIG_PAHOLE_VERSION=(.*)$", config.read_text(), re.MULTILINE)
    return found[1] if found else ""


def kbuild_command(name: str, out: Path) -> list[str]:
    """Return the make command for the modules, or for clang's objects, in a directory."""
    tree = labels.builddir(name)
    clang = setting("CLANG")
    options = [f"PAHOLE_VERSION={pahole_version(tree / '.config')}"]
    options += [f"{variable}={value}" for variable in PASSED if (value := setting(variable))]
    if setting("C"):
        # Set the result of kbuild's script that looks for sparse: headers packages lack it
        options.append(f"KBUILD_CHECKSRC={setting('C')}")
    if clang:
        options += clang_options(clang)
    return ["make", f"-j{len(os.sched_getaffinity(0))}", "-C", str(tree), f"M={out}",
            "ARCH=powerpc", f"CROSS_COMPILE={CROSS}", f"CC={clang or labels.compiler(name)}",
            *options, "TCE2_SELFTEST=1", f"TCE2_COVERAGE={setting('COVERAGE')}",
            *(objects(out) if clang else ["modules"])]


def need_checker(name: str) -> None:
    """Install sparse for a kernel that is too new for this machine's compilers and sparse."""
    if setting("C") and not setting("CLANG") and (labels.label(name).directory / "path").exists():
        need_sparse(labels.compiler(name).removeprefix(CROSS))


def complaints(log: str) -> list[str]:
    """Return the warnings and errors in a log of kbuild."""
    return [line for line in log.splitlines() if "warning:" in line or "error:" in line]


def probe_time(log: str) -> str:
    """Return number and duration of the probes, or "" if results of an earlier build were used."""
    found = re.search(r"^ *([0-9]* probes in .*)$", log, re.MULTILINE)
    return f" ({found[1]})" if found else ""


def build(name: str) -> None:
    """Build the module for a kernel of the cache."""
    is_clang = bool(setting("CLANG"))
    out = BUILD / "clang" / name if is_clang else BUILD / name
    log = LOGS / f"module-{'clang-' if is_clang else ''}{name}.log"
    with locked(log.with_name(f"{log.name}.lock"), f"building for {name}"):
        if setting("FRESH"):
            shutil.rmtree(out, ignore_errors=True)
        link_sources(out)
        need_checker(name)
        log.write_text("")
        quietly(log, f"building the module for {name} ({labels.release(name)})",
                kbuild_command(name, out),
                env=without_settings(PATH=labels.compiler_path(name)),
                failure=f"the module does not build for {name}")
        text = log.read_text(errors="replace")
    for line in complaints(text):
        print(f"    {line}")
    product = "objects" if is_clang else PRODUCT
    say(f"built {out.relative_to(TOP)}/{product}{probe_time(text)}")


def main(arguments: Sequence[str]) -> None:
    """Run scripts/module."""
    if len(arguments) != 1:
        raise LabError("usage: scripts/module LABEL")
    row = labels.label(arguments[0])
    need_kernel(row)
    build(row.name)
