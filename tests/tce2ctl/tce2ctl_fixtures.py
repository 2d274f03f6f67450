# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the tests of tce2ctl."""

from __future__ import annotations

from pathlib import Path

import pytest
from tce2ctl_state import State, good_state

from lab.places import LOGS, TOP
from runner.host import make
from runner.row import build


@pytest.fixture(scope="session")
def programs() -> None:
    """Build tce2ctl."""
    build(LOGS / "tce2ctl-build.log", "building tce2ctl", make(TOP / "tests" / "tce2ctl"))


@pytest.fixture
def empty(programs: None, work: Path) -> State:
    """Return a POWER host without modules and processes."""
    del programs
    return State(work / "root")


@pytest.fixture
def host(programs: None, work: Path) -> State:
    """Return a host on which the module handles the container of a guest."""
    del programs
    return good_state(work / "root")
