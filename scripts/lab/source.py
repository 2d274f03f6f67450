# SPDX-License-Identifier: GPL-2.0-only
"""Fetch the source of a kernel, as Debian packages it.

Owns CACHE/sources/SERIES: the unmodified source, except for the patch that
debug_kernel applies. Calls archive, labels, command and places.
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


def source_dir(row: Label) -> Path:
    """Return the directory of the source of a label's series."""
    if row.is_added:
        raise LabError(f"Debian has no source for the kernel {row.name}")
    return sources_dir() / row.series


def _fetch(row: Label, final: Path) -> None:
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
                      "-f", *work.glob("package/usr/src/linux-source-*.tar.xz"))
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


def main(arguments: Sequence[str]) -> None:
    """Run scripts/kernel-source."""
    if len(arguments) > 1:
        raise LabError(USAGE)
    need_source(label(arguments[0] if arguments else DEFAULT_LABEL))
