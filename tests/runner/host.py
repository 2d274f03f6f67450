# SPDX-License-Identifier: GPL-2.0-only
"""Rows of this machine: the host-side tests of the module, and tests of scripts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.command import without_settings
from lab.places import LOGS, TOP

from .row import NotBuilt, Row, build
from .settings import Settings

UNIT = TOP / "tests" / "unit"
PAGE_SIZES = ("4K", "64K")
PREFLIGHT_LABELS = ("6.12-64k", "6.12-4k", "6.1-64k")


def make(directory: Path, *targets: str) -> list[str]:
    """Return the command for make in a directory, without the caller's settings."""
    kept = [f"{name}={value}" for name, value in without_settings().items()]
    return ["env", "-i", *kept, "make", "-C", str(directory), "-j2", *targets]


def one_after_the_other(commands: Sequence[Sequence[str]]) -> list[str]:
    """Return a command that runs others, and fails if one of them fails."""
    lines = " || status=1\n".join(shlex.join(command) for command in commands)
    return ["bash", "-c", f"status=0\n{lines} || status=1\nexit $status"]


def prepare_unit(row: Row) -> list[str]:
    """Build the host-side tests; return the command for the cases wanted."""
    build(LOGS / "unit-build.log", "building the host-side tests", make(UNIT, "unit"))
    script = str(UNIT / "run")
    if row.chosen is None:
        return [script]
    return one_after_the_other([[script, name] for name in dict.fromkeys(row.chosen)])


def build_modules(labels: Sequence[str]) -> None:
    """Build the module for kernels, where something has changed."""
    for label in labels:
        build(LOGS / f"check-module-{label}.log", f"building the module for {label}",
              [str(TOP / "scripts" / "module"), label])


def prepare_preflight(row: Row) -> list[str]:
    """Build tce2-preflight and the modules that it looks at."""
    del row
    build_modules(PREFLIGHT_LABELS)
    build(LOGS / "preflight-build.log", "building tce2-preflight",
          make(TOP / "tests" / "preflight"))
    return [str(TOP / "tests" / "preflight" / "run")]


def script(*command: str) -> Callable[[Row], list[str]]:
    """Return the preparation of a row that is a script of tests/."""
    return lambda row: [str(TOP / "tests" / command[0]), *command[1:]]


def host_rows(settings: Settings) -> dict[str, Row]:
    """Return the rows of this machine that a mode has, by the script's path in tests/."""
    first = settings.labels[0]
    if settings.mode in ("guests", "debug") or settings.jobs:
        return {}
    rows = {
        "unit/run": Row("host", prepare_unit),
        "evidence/run": Row("evidence", script("evidence/run")),
        "ci/run": Row("ci", script("ci/run")),
        "release/run": Row("release", script("release/run")),
        "realmode/run": Row("realmode", script("realmode/run")),
        "probes/run": Row("probes", script("probes/run", first)),
        "install/run": Row("install", script("install/run", first)),
        "preflight/run": Row("preflight", prepare_preflight),
        "clients/run": Row("clients", script("clients/run", "--short")),
    }
    wanted = {
        "preflight": ["preflight/run"],
        "install": ["install/run"],
        "unit": ["unit/run", "evidence/run"],
    }.get(settings.mode, list(rows))
    return {path: row for path, row in rows.items() if path in wanted}


__all__ = ["PAGE_SIZES", "NotBuilt", "host_rows"]
