# SPDX-License-Identifier: GPL-2.0-only
"""Fetch the source of a kernel, as Debian packages it.

Owns CACHE/sources/SERIES: the source, unmodified except for the patch that debug_kernel
applies. Also owns CACHE/sources/SERIES.docs: only the files of the source that the
documentation needs, if the cache lacks the whole source. Calls archive, labels, command
and places.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .archive import Apt
from .command import locked, output_of, say, step, without_settings
from .labels import DEFAULT_LABEL, Label, label, sources_dir
from .places import LOGS, LabError

USAGE = "usage: scripts/kernel-source [LABEL]"
LOG = LOGS / "kernel-source.log"
# The directories and files that the documentation and its tests need: 90 MB of 1.6 GB
FOR_DOCS = ("Documentation/sphinx", "arch/powerpc", "drivers/iommu", "drivers/vfio", "include",
            "mm", "scripts/kernel-doc", "virt")


def source_dir(row: Label) -> Path:
    """Return the directory of the source of a label's series."""
    if row.is_added:
        raise LabError(f"Debian has no source for the kernel {row.name}")
    return sources_dir() / row.series


def docs_source_dir(row: Label) -> Path:
    """Return the directory of the source for the documentation: the whole source or SERIES.docs."""
    whole = source_dir(row)
    return whole if (whole / "Makefile").exists() else whole.with_name(f"{whole.name}.docs")


def _fetch(row: Label, final: Path, *members: str) -> None:
    """Fetch the source; unpack the given members, or all members if members is empty."""
    work = final.with_name(f"{final.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    apt = Apt.first_with(f"linux-source-{re.escape(row.series)}", row.suites)
    apt.fetch(work, f"linux-source-{row.series}:all")
    source = work / "source"
    source.mkdir()
    with step(LOG, f"unpacking the source of {row.series}",
              "the source can't be unpacked") as unpacking:
        unpacking.run("dpkg-deb", "-x", *work.glob("*.deb"), work / "package")
        unpacking.run("tar", "-x", "-C", source, "--strip-components=1",
                      "-f", *work.glob("package/usr/src/linux-source-*.tar.xz"),
                      "--wildcards", "--no-wildcards-match-slash",
                      *(f"*/{member}" for member in members))
    shutil.rmtree(final, ignore_errors=True)
    source.rename(final)
    shutil.rmtree(work)


def need_source(row: Label) -> None:
    """Fetch the source of a label's series unless it is in the cache, or REFRESH is set."""
    final = source_dir(row)
    with locked(final.with_name(f"{final.name}.lock")):
        if (final / "Makefile").exists() and not os.environ.get("REFRESH"):
            return
        _fetch(row, final)
    version = output_of("make", "-s", "--no-print-directory", "-C", str(final),
                        "kernelversion", env=without_settings()).strip()
    say(f"source of {row.series}: {version} is in the cache")


def need_docs_source(row: Label) -> Path:
    """Fetch the source for the documentation unless the cache has it; return its directory."""
    with locked(source_dir(row).with_name(f"{row.series}.lock")):
        final = docs_source_dir(row)
        if not all((final / name).exists() for name in FOR_DOCS):
            _fetch(row, final, *FOR_DOCS)
            say(f"source of {row.series}: the files for the documentation are in the cache")
    return final


def main(arguments: Sequence[str]) -> None:
    """Run scripts/kernel-source."""
    if len(arguments) > 1:
        raise LabError(USAGE)
    need_source(label(arguments[0] if arguments else DEFAULT_LABEL))
