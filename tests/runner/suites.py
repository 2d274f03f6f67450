# SPDX-License-Identifier: GPL-2.0-only
"""Suites: the directories of tests/ whose tests are functions in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.places import TOP

TESTS = TOP / "tests"


@dataclass(frozen=True)
class Suite:
    """A directory with test_*.py.

    modes lists the modes that run the suite. The modes check and host run it, too, unless
    is_separate is set. Quick suites run first. tools are the sets of tools that
    scripts/hosttools must install.
    """

    name: str
    modes: tuple[str, ...] = ()
    is_quick: bool = False
    is_separate: bool = False
    tools: tuple[str, ...] = ("check",)

    def is_part_of(self, mode: str) -> bool:
        """Check that a mode runs the suite."""
        return mode in self.modes or (not self.is_separate and mode in ("check", "host"))


SUITES = {suite.name: suite for suite in (
    Suite("runner", ("quick",), is_quick=True, tools=("unit",)),
    Suite("lab", ("quick",), is_quick=True, tools=("quick",)),
    Suite("preflight", ("preflight",)),
    Suite("tce2ctl", ("tce2ctl",)),
    Suite("install", ("install",)),
    Suite("realmode"),
    Suite("probes"),
    Suite("evidence", ("quick",), is_quick=True, tools=("unit",)),
    Suite("ci"),
    Suite("lint", ("lint",), is_separate=True, tools=("lint",)),
    Suite("dkms", ("dkms",), is_separate=True, tools=("dkms", "rpm")),
    Suite("release"),
    Suite("bench"),
    Suite("docs", tools=("check", "docs")),
)}


def suite_of(path: Path) -> Suite | None:
    """Return the suite that contains a file or directory, or None."""
    if not path.is_relative_to(TESTS) or path == TESTS:
        return None
    return SUITES.get(path.relative_to(TESTS).parts[0])
