# SPDX-License-Identifier: GPL-2.0-only
"""Build the documentation: HTML and manual pages.

Owns build/docs. Sphinx reads Documentation/conf.py and loads the kernel's own extensions
from the source of a kernel. kernel-doc makes a manual page of each exported function.
Calls source, hosttools, labels, command and places.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .command import Step, output_of, say, shown, step, without_settings
from .hosttools import SYSTEM_PYTHON, need_tools
from .labels import DEFAULT_LABEL, label
from .places import BUILD, LOGS, TOP, LabError
from .source import need_docs_source

USAGE = "usage: scripts/docs"
SOURCES = TOP / "Documentation"
DOCS = BUILD / "docs"
HTML = DOCS / "html"
MAN = DOCS / "man"
LOG = LOGS / "docs.log"
# The first line of each manual page in the output of kernel-doc
PAGE = re.compile(r'^\.TH "(\w+)" 9 .*\n', re.MULTILINE)


def _sphinx(done: Step, kernel: Path, builder: str, into: Path, *options: str) -> None:
    """Run Sphinx. Every reference needs a target, and each warning is an error."""
    done.run(SYSTEM_PYTHON, "-B", "-m", "sphinx", "-q", "-n", "-W", "--keep-going", *options,
             "-d", DOCS / "doctrees", "-b", builder, SOURCES, into,
             env=without_settings(KERNEL_SOURCE=str(kernel), PYTHONDONTWRITEBYTECODE="1"))


def man_pages(text: str) -> dict[str, str]:
    """Split the output of kernel-doc -man; return the pages by function."""
    _, *parts = PAGE.split(text)
    return {name: f'.TH "{name}" 9 "" "vfio_spapr_tce2" "Kernel API"\n'
                  + page.replace("noinstr ", "")
            for name, page in zip(parts[::2], parts[1::2])}


def _exported(kernel: Path) -> dict[str, str]:
    """Return a manual page of each function that is exported to other modules."""
    sources = sorted(str(file) for file in (TOP / "src").glob("*.c")
                     if "\nEXPORT_SYMBOL" in file.read_text())
    return man_pages(output_of("perl", str(kernel / "scripts" / "kernel-doc"), "-man",
                               "-export", *sources, env=without_settings()))


def build(kernel: Path) -> None:
    """Build all pages with the extensions of a kernel's source."""
    shutil.rmtree(DOCS, ignore_errors=True)
    LOG.unlink(missing_ok=True)
    with step(LOG, "building the documentation", "the documentation has errors") as done:
        _sphinx(done, kernel, "html", HTML)
        _sphinx(done, kernel, "man", MAN)
        for name, page in _exported(kernel).items():
            (MAN / f"{name}.9").write_text(page)


def main(arguments: Sequence[str]) -> None:
    """Run scripts/docs."""
    if arguments:
        raise LabError(USAGE)
    need_tools("docs")
    build(need_docs_source(label(DEFAULT_LABEL)))
    say(f"documentation: {shown(HTML)}/index.html, manual pages in {shown(MAN)}")
