# SPDX-License-Identifier: GPL-2.0-only
"""Private copies of a kernel's build tree, for tests that change headers or options."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lab.command import CROSS, without_settings
from lab.labels import builddir, compiler, compiler_path

from .command import Done, run


def link_into(source: Path, target: Path) -> None:
    """Make a directory of links to all entries of another directory."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        (target / entry.name).symlink_to(entry)


class KernelCopy:
    """A copy of the build tree of a kernel in the cache.

    The copy consists of symbolic links, except for changed files. build is the directory for
    KDIR; source has the headers that all flavours of the kernel share. Paths passed to the
    methods begin with "build/" or "source/".
    """

    def __init__(self, label: str, top: Path) -> None:
        self.label = label
        self.top = top
        self.build = top / "build"
        self.source = top / "source"
        genuine = builddir(label)
        included = re.search(r"^include (/.*)/Makefile$", (genuine / "Makefile").read_text(),
                             re.MULTILINE)
        common = included[1] if included else str(genuine)
        link_into(genuine, self.build)
        if included:
            link_into(Path(common), self.source)
        else:
            self.source.symlink_to(self.build.name)
        for name in ("Makefile", ".kernelvariables"):
            if (self.build / name).exists():
                file = self.own(f"build/{name}")
                file.write_text(file.read_text().replace(str(genuine), str(self.build))
                                .replace(common, str(self.source)))

    def own(self, path: str) -> Path:
        """Replace the links to a file and its directories with copies; return the file."""
        entry = self.top
        for part in Path(path).parts:
            entry /= part
            if not entry.is_symlink():
                continue
            target = entry.resolve()
            entry.unlink()
            if target.is_dir():
                link_into(target, entry)
            else:
                shutil.copy(target, entry)
        return entry

    def change(self, path: str, pattern: str, replacement: str) -> Path:
        """Replace all matches of a pattern in a file of the tree; return the file.

        ^ and $ match in each line, \\A and \\Z match at the beginning and the end of the file.
        The test fails if the replacement does not change the file.
        """
        __tracebackhide__ = True
        file = self.own(path)
        before = file.read_text()
        after = re.sub(pattern, replacement, before, flags=re.MULTILINE)
        if after == before:
            pytest.fail(f"{pattern} changes nothing in {file}", pytrace=False)
        file.write_text(after)
        return file

    def variables(self, cc: str = "") -> list[str]:
        """Return the make variables for this kernel, with the compiler cc or the kernel's own."""
        return ["ARCH=powerpc", f"CROSS_COMPILE={CROSS}", f"CC={cc or compiler(self.label)}"]

    def kbuild(self, module: Path, *words: str, cc: str = "") -> Done:
        """Run kbuild on a module's sources, as DKMS does. words are make goals and variables."""
        return run("make", "-j2", "-C", self.build, f"M={module}", *self.variables(cc), *words,
                   env=without_settings(PATH=compiler_path(self.label)))
