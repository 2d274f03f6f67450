# SPDX-License-Identifier: GPL-2.0-only
"""Helpers of the tests of building and installing: a POWER host for each test.

A host has a copy of the sources, where the module may have been built in place, and a copy of
the kernel's build tree. Both copies belong to one test, which may change them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.command import without_settings
from lab.labels import compiler_path
from runner.command import Done, run
from runner.kernel_copy import KernelCopy

MODULE = "vfio_spapr_tce2.ko"
# Build without debugging information, to save a third of a build's time
NO_DEBUG = {"KCFLAGS": "-g0"}
# Install without the tools, to save half of an installation's time
NO_TOOLS = "PKG_CONFIG=false"
# A small module for tests of the build itself: an ordinary object and an object for real
# mode. Modpost only warns about its unresolved symbols.
SMALL = ("vfio_spapr_tce2-y=src/main.o src/realmode.o", "KBUILD_MODPOST_WARN=1")
# Exit status of a failed make
FAILED = 2

# Variables that a kernel developer may have exported for another tree
FOREIGN = {name: "/nowhere" for name in (
    "KBUILD_OUTPUT", "KBUILD_EXTMOD", "KBUILD_EXTMOD_OUTPUT", "O", "M", "MO", "srctree")
} | {"sub_make_done": "1"}


def files_below(directory: Path) -> list[str]:
    """Return the sorted paths of all files below a directory, which may be missing."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*")
                  if path.is_symlink() or not path.is_dir())


def is_installed(root: Path) -> bool:
    """Check that the module is installed below a root directory."""
    return any(root.glob(f"lib/modules/*/updates/{MODULE}*"))


def write_program(file: Path, script: str = "") -> None:
    """Write a shell script as a program; an empty script succeeds."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def script_settings(**variables: str) -> dict[str, str]:
    """Return an environment for scripts/, which includes the variables that locate the cache."""
    kept = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", "")}
    return without_settings(**NO_DEBUG, **kept, **variables)


class Host:
    """A POWER host: the sources, a kernel's build tree, and a root for installations."""

    def __init__(self, directory: Path, label: str, original: Path) -> None:
        self.label = label
        self.sources = directory / "sources"
        self.kernel = KernelCopy(label, directory / "kernel")
        self.root = directory / "root"
        shutil.copytree(original, self.sources, symlinks=True)
        # Kbuild before 6.13 writes absolute paths to modules.order
        order = self.sources / "modules.order"
        if order.exists():
            order.write_text(re.sub(rf"^{re.escape(str(original))}/", f"{self.sources}/",
                                    order.read_text(), flags=re.MULTILINE))

    def command(self, *words: str) -> list[str | Path]:
        """Return the make command for the sources, as on a POWER host."""
        return ["make", "-j2", "-C", self.sources, f"KDIR={self.kernel.build}",
                *self.kernel.variables(), f"KCFLAGS={NO_DEBUG['KCFLAGS']}", *words]

    def settings(self, **variables: str) -> dict[str, str]:
        """Return make's environment, with variables."""
        return without_settings(**{"PATH": compiler_path(self.label), **variables})

    def make(self, *words: str, env: Mapping[str, str] | None = None) -> Done:
        """Run make in the sources. words are targets and variables."""
        return run(*self.command(*words), env=env or self.settings())

    def install(self, *words: str, target: str = "install",
                env: Mapping[str, str] | None = None) -> Done:
        """Run `make install` for the root of the host."""
        return self.make(f"DESTDIR={self.root}", *words, target, env=env)

    def refuses_to_install(self, sentence: str) -> None:
        """Fail unless `make install` prints a message and installs nothing."""
        __tracebackhide__ = True
        self.install().expect(FAILED, re.escape(sentence))
        installed = files_below(self.root)
        assert not installed, installed

    def module(self, label: str = "") -> Path:
        """Return the file of the module that was built in place, or was built for a label."""
        return self.sources / (f"build/{label}" if label else "") / MODULE
