# SPDX-License-Identifier: GPL-2.0-only
"""Run tce2-preflight on stock kernels, and on copies of their files with one change."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.command import CROSS, without_settings
from lab.labels import builddir, kernels_dir, release, vmlinux
from lab.places import BUILD, TOP
from runner.command import Done, run

# The tool as installed, and the programs built with ASan and UBSan
PLAIN = BUILD / "preflight"
SANITIZED = BUILD / "preflight-asan"
TOOL = SANITIZED / "tce2-preflight"
# Exit statuses of the tool, and the status of a program that a sanitizer stopped
OK, FAIL, UNKNOWN, USAGE = range(4)
CRASHED = 99
ENVIRONMENT = {f"{name}_OPTIONS": f"exitcode={CRASHED}" for name in ("ASAN", "UBSAN")}
# Number of lines of a sanitizer's report that a failure message shows
REPORTED = 30
# Time-out of a program in seconds; timeout(1) then returns 124
PATIENCE = 60
# A file that is neither an ELF file nor a configuration
SCRIPT = TOP / "tests" / "run"
SYMBOL = "vfio_register_iommu_driver"
LAYOUT = ".init.tce2_layout"


@dataclass(frozen=True)
class Kernel:
    """A stock kernel of the cache, and the module that was built for it."""

    label: str
    module: Path

    @property
    def top(self) -> Path:
        """The directory that has lib/modules."""
        return kernels_dir() / self.label / "modules"

    @property
    def release(self) -> str:
        """The release, as `uname -r` prints it."""
        return release(self.label)

    @property
    def modules(self) -> Path:
        """The directory of the kernel's modules."""
        return self.top / "lib" / "modules" / self.release

    @property
    def vfio_dir(self) -> Path:
        """The directory of the modules of VFIO."""
        return self.modules / "kernel" / "drivers" / "vfio"

    @property
    def vmlinux(self) -> Path:
        """The kernel's image."""
        return vmlinux(self.label)

    @property
    def build(self) -> Path:
        """The kernel's build tree."""
        return builddir(self.label)


@dataclass(frozen=True)
class Section:
    """The offsets of the header and the contents of a section in an ELF file."""

    header: int
    offset: int
    size: int


def sections(elf: bytes) -> dict[str, Section]:
    """Return the sections of an ELF file for a 64-bit little-endian machine, by name."""
    table, = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = range(table, table + size * count, size)
    strings, = struct.unpack_from("<Q", elf, headers[names] + 24)
    found = {}
    for header in headers:
        name = strings + struct.unpack_from("<I", elf, header)[0]
        offset, length = struct.unpack_from("<QQ", elf, header + 24)
        found[elf[name:elf.index(b"\0", name)].decode()] = Section(header, offset, length)
    return found


def contents(file: Path, name: str) -> bytes:
    """Return the contents of a section of an ELF file."""
    elf = file.read_bytes()
    section = sections(elf)[name]
    return elf[section.offset:section.offset + section.size]


def changed_copy(file: Path, copy: Path, offset: int, new: bytes) -> Path:
    """Copy a file, with other bytes at an offset; return the copy."""
    data = bytearray(file.read_bytes())
    data[offset:offset + len(new)] = new
    assert data != file.read_bytes(), f"{copy} does not differ from {file}"
    copy.write_bytes(data)
    return copy


def edited_copy(file: Path, copy: Path, pattern: str, replacement: str) -> Path:
    """Copy a text file with all matches of a pattern replaced; return the copy.

    ^ and $ match in each line.
    """
    text, count = re.subn(pattern, replacement, file.read_text(), flags=re.MULTILINE)
    assert count, f"{pattern} matches nothing in {file}"
    copy.write_text(text)
    return copy


def sanitized(*command: str | Path, patience: int = PATIENCE) -> Done:
    """Run a program that was built with ASan and UBSan; fail if a sanitizer complains."""
    __tracebackhide__ = True
    # timeout(1) also stops the children of the program
    done = run("timeout", str(patience), *command, env=without_settings(**ENVIRONMENT),
               patience=2 * patience)
    if done.status == CRASHED:
        report = re.search(r"^.*(ERROR: |runtime error: )", done.output, re.MULTILINE)
        lines = done.output[report.start() if report else 0:].splitlines()[:REPORTED]
        pytest.fail("\n".join([f"a sanitizer stopped {' '.join(done.command)}", *lines]),
                    pytrace=False)
    return done


class Preflight:
    """The tool with the files of 6.12-64k, and copies of these files in a directory."""

    def __init__(self, kernel: Kernel, module: Path, work: Path) -> None:
        self.kernel = kernel
        self.module = module
        self.work = work

    def command(self, *options: str | Path, module: Path | None = None,
                kernel: Kernel | None = None) -> list[str]:
        """Return the command that checks a module for a kernel.

        Without module or kernel, use the module and the kernel of this object.
        """
        kernel = kernel or self.kernel
        return [str(word) for word in (
            TOOL, "--module", module or self.module, "--build", kernel.build,
            "--vmlinux", kernel.vmlinux, *options, kernel.top)]

    def check(self, *options: str | Path, module: Path | None = None,
              kernel: Kernel | None = None) -> Done:
        """Check a module for a kernel; module and kernel are as in command()."""
        return sanitized(*self.command(*options, module=module, kernel=kernel))

    def json(self, *options: str | Path, module: Path | None = None) -> tuple[int, bytes]:
        """Return the status of the tool, and the JSON that it prints."""
        done = subprocess.run(self.command(*options, "--json", module=module),
                              env=without_settings(**ENVIRONMENT), timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode in (OK, FAIL, UNKNOWN), done.stderr.decode(errors="replace")
        return done.returncode, done.stdout

    def report(self, *options: str | Path,
               module: Path | None = None) -> tuple[int, dict[str, Any]]:
        """Return the status of the tool, and its parsed JSON."""
        status, text = self.json(*options, module=module)
        return status, json.loads(text)

    def changed_module(self, section: str, name: str, offset: int, new: bytes) -> Path:
        """Return a copy of the module with new bytes in a section.

        offset is relative to the first occurrence of a name in the section.
        """
        elf = self.module.read_bytes()
        place = sections(elf)[section]
        at = elf.index(name.encode(), place.offset, place.offset + place.size)
        return changed_copy(self.module, self.work / "changed.ko", at + offset, new)

    def module_without(self, section: str) -> Path:
        """Return a copy of the module without a section."""
        assert section in sections(self.module.read_bytes())
        copy = self.work / "without.ko"
        run(f"{CROSS}objcopy", "-R", section, self.module, copy).expect(0)
        return copy

    def symvers(self, pattern: str, replacement: str) -> Path:
        """Return a copy of Module.symvers in which a pattern is replaced."""
        return edited_copy(self.kernel.build / "Module.symvers", self.work / "Module.symvers",
                           pattern, replacement)

    def config(self, pattern: str, replacement: str) -> Path:
        """Return a copy of the kernel's configuration in which a pattern is replaced."""
        return edited_copy(self.kernel.build / ".config", self.work / "config",
                           pattern, replacement)


class Root:
    """A root filesystem with this module, one kernel, and the VFIO modules of the kernel."""

    def __init__(self, path: Path, kernel: Kernel, module: Path) -> None:
        self.path = path
        self.module = module
        self.release = kernel.release
        self.modules = path / "lib" / "modules" / kernel.release
        self.vfio_dir = self.modules / "kernel" / "drivers" / "vfio"

    def fill(self, kernel: Kernel) -> None:
        """Make the files of the root."""
        for directory in ("boot", "etc/modprobe.d", "usr/src"):
            (self.path / directory).mkdir(parents=True)
        shutil.copytree(kernel.vfio_dir, self.vfio_dir)
        (self.modules / "updates").mkdir()
        shutil.copy(self.module, self.modules / "updates")
        for name in ("order", "builtin", "builtin.modinfo"):
            shutil.copy(kernel.modules / f"modules.{name}", self.modules)
        shutil.copy(TOP / "packaging" / "vfio-spapr-tce2.conf",
                    self.path / "etc" / "modprobe.d" / "test.conf")
        (self.path / "boot" / f"vmlinux-{kernel.release}").symlink_to(kernel.vmlinux)
        (self.path / "usr" / "src" / "headers").symlink_to(kernel.build)
        (self.modules / "build").symlink_to("/usr/src/headers")
        self.depmod()

    def depmod(self) -> None:
        """Write the indexes of the modules."""
        run("depmod", "-b", self.path, self.release).expect(0)

    def uninstall(self) -> None:
        """Remove the module and its files in modprobe.d."""
        (self.path / "etc" / "modprobe.d" / "test.conf").unlink()
        (self.modules / "updates" / "vfio_spapr_tce2.ko").unlink()
        self.depmod()

    def put(self, path: str, text: str) -> None:
        """Write a text to a file below the root."""
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_text(text)

    def add_udev_rule(self) -> None:
        """Install the rule of the package."""
        rule = TOP / "packaging" / "70-vfio-spapr-tce2.rules"
        self.put(f"usr/lib/udev/rules.d/{rule.name}", rule.read_text())

    def check(self, *options: str | Path) -> Done:
        """Run the tool on the module for the kernel in this root filesystem."""
        return sanitized(TOOL, "--module", self.module, *options, self.path)

    def check_order(self, modprobe: str, module: Path | None = None) -> Done:
        """Check the module, or another module, with the lines modprobe in modprobe.d."""
        self.put("etc/modprobe.d/test.conf", f"{modprobe}\n")
        return sanitized(TOOL, "--root", self.path, "--module", module or self.module, "-v",
                         self.release)


def put_fifo(file: Path) -> Path:
    """Replace a file by a FIFO; return the FIFO."""
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(file)
    return file


def retyped(base: Path, btf: str | Path, copy: Path, *change: str) -> Path:
    """Copy BTF and change one type, as tests/preflight/retype.c describes; return the copy."""
    done = run(SANITIZED / "retype", base, btf, copy, *change)
    if done.status:
        pytest.fail(done.explain(), pytrace=False)
    return copy
