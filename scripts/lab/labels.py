# SPDX-License-Identifier: GPL-2.0-only
"""The table of kernels: labels.txt, and the labels that scripts/kernel-add has made."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from .places import SCRIPTS, LabError, cache_dir

TABLE = SCRIPTS / "lab" / "labels.txt"
DEFAULT_LABEL = "6.12-64k"


@dataclass(frozen=True)
class Label:
    """A row of the table.

    labels.txt explains the columns. suites is a list of choices; suites of one choice are
    joined by "+". is_added is True for the user's own kernel, which has neither series nor
    flavour nor suites.
    """

    name: str
    series: str
    flavour: str
    suites: tuple[str, ...]
    use: str
    when: str
    is_added: bool = False

    @property
    def directory(self) -> Path:
        """The directory of the kernel in the cache."""
        return kernels_dir() / self.name


def kernels_dir() -> Path:
    """Return the directory of all kernels in the cache."""
    return cache_dir() / "kernels"


def sources_dir() -> Path:
    """Return the directory of all kernel sources in the cache."""
    return cache_dir() / "sources"


def _label(line: str, is_added: bool) -> Label:
    name, series, flavour, suites, use, when = line.split("|")
    return Label(name, series, flavour, tuple(suites.split()), use, when, is_added)


def all_labels() -> dict[str, Label]:
    """Return all labels by their names, in the order of the table."""
    rows = [_label(line, False) for line in TABLE.read_text().splitlines()
            if line and not line.startswith("#")]
    rows += [_label(file.read_text().strip(), True)
             for file in sorted(kernels_dir().glob("*/label"))]
    return {row.name: row for row in rows}


def label(name: str) -> Label:
    """Return the label with a name; raise LabError if no label has it."""
    try:
        return all_labels()[name]
    except KeyError:
        near = difflib.get_close_matches(name, all_labels(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise LabError(f"no kernel is called '{name}'; {hint}"
                       "'make kernels' lists the labels") from None


def chosen_names() -> list[str]:
    """Return the labels in KERNELS or KERNEL; if both are unset, the `always` labels.

    "all" means every label except the debug kernels. The names are not checked.
    """
    asked = os.environ.get("KERNELS") or os.environ.get("KERNEL") or ""
    if asked == "all":
        return [name for name in all_labels() if not name.endswith("-debug")]
    if asked:
        return asked.split()
    return [row.name for row in all_labels().values() if row.when == "always"]


def vmlinux(name: str) -> Path:
    """Return the image of a kernel in the cache."""
    return kernels_dir() / name / "vmlinux"


def builddir(name: str) -> Path:
    """Return the build tree of a kernel in the cache."""
    return Path((kernels_dir() / name / "builddir").read_text().strip())


def release(name: str) -> str:
    """Return the output of `uname -r` on a cached kernel."""
    return (kernels_dir() / name / "release").read_text().strip()


def compiler(name: str) -> str:
    """Return the compiler of a kernel in the cache."""
    return (kernels_dir() / name / "cc").read_text().strip()


def compiler_path(name: str) -> str:
    """Return a PATH that contains the compiler of a cached kernel."""
    path = os.environ.get("PATH", os.defpath)
    file = kernels_dir() / name / "path"
    return f"{file.read_text().strip()}:{path}" if file.exists() else path
