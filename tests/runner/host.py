# SPDX-License-Identifier: GPL-2.0-only
"""The host-side tests of the module, which run on this machine."""

from __future__ import annotations

from pathlib import Path

from lab.command import without_settings
from lab.places import LOGS, TOP

from .row import NotBuilt, Row, build
from .settings import Settings

UNIT = TOP / "tests" / "unit"
PAGE_SIZES = ("4K", "64K")
# The percentage of the random episodes of `make check` that `make unit` and
# `make check-quick` run, so that they take seconds
QUICK_EFFORT = 10


def make(directory: Path, *targets: str) -> list[str]:
    """Return the command for make in a directory, without the caller's settings.

    flock makes two builds in one directory run one after the other.
    """
    kept = [f"{name}={value}" for name, value in without_settings().items()]
    return ["flock", str(directory), "env", "-i", *kept,
            "make", "-C", str(directory), "-j2", *targets]


def prepare_unit(row: Row, mode: str) -> list[str]:
    """Build the host-side tests; return the command that runs the selected cases."""
    build(LOGS / "unit-build.log", "building the host-side tests", make(UNIT, "unit"))
    effort = [f"TCE2_EFFORT={QUICK_EFFORT}"] if mode in ("unit", "quick") else []
    return ["env", *effort, str(UNIT / "run"), *dict.fromkeys(row.chosen or [])]


def host_rows(settings: Settings) -> dict[str, Row]:
    """Return the rows of a mode that run on this machine, by the path of their script in tests/."""
    if settings.mode not in ("check", "host", "quick", "unit") or settings.jobs:
        return {}
    return {"unit/run": Row("host", lambda row: prepare_unit(row, settings.mode))}


__all__ = ["PAGE_SIZES", "NotBuilt", "host_rows"]
