# SPDX-License-Identifier: GPL-2.0-only
"""Test `tce2ctl preflight`, which runs tce2-preflight."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tce2ctl_tool import PLAIN, TOOL, UNKNOWN

from lab.command import without_settings
from runner.command import Done, run

pytest_plugins = ["tce2ctl_fixtures"]


def fake(directory: Path, name: str) -> None:
    """Install a tce2-preflight that prints its name and arguments, and has status 1."""
    directory.mkdir(exist_ok=True)
    file = directory / "tce2-preflight"
    file.write_text(f'#!/bin/sh\necho {name} "$@"\nexit 1\n')
    file.chmod(0o755)


def preflight(tool: Path, path: Path, *words: str) -> Done:
    """Run `tce2ctl preflight` with a directory in PATH."""
    return run(tool, "preflight", *words, env=without_settings(PATH=f"{path}:/usr/bin:/bin"))


@pytest.fixture(name="path")
def make_path(programs: None, work: Path) -> Path:
    """Return a directory that has a tce2-preflight."""
    del programs
    fake(work / "path", "path")
    return work / "path"


def test_preflight_gets_the_arguments_and_its_status_is_returned(path: Path) -> None:
    done = preflight(TOOL, path, "--json", "-m", "a b", "--guest", "6.12")
    done.expect(1, "^path --json -m a b --guest 6.12$")


def test_tce2_preflight_next_to_the_tool_is_preferred_to_path(path: Path, work: Path) -> None:
    fake(work / "sbin", "sbin")
    shutil.copy(PLAIN, work / "sbin" / "tce2ctl")
    preflight(work / "sbin" / "tce2ctl", path, "6.12").expect(1, "^sbin 6.12$")


def test_a_missing_tce2_preflight_has_status_unknown(path: Path) -> None:
    (path / "tce2-preflight").unlink()
    preflight(TOOL, path, "6.12").expect(UNKNOWN, "^tce2ctl: cannot run tce2-preflight: No such")
