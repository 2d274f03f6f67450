# SPDX-License-Identifier: GPL-2.0-only
"""The fixtures of the tests of building and installing. Only pytest imports them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from install_host import Host

from lab.places import BUILD, TOP
from runner.command import run

# Directory of the sources that the tests share; no test changes it
SHARED = BUILD / "tests" / "install"


def skipped_by_copies(directory: str, names: list[str]) -> list[str]:
    """Return the names that are no sources, and that shutil.copytree() must skip."""
    return [name for name in names if Path(directory) == TOP and name in ("build", ".git")]


@pytest.fixture(scope="session")
def clean_sources() -> Path:
    """Return a copy of the sources in which nothing is built. No test changes it."""
    directory = SHARED / "clean"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(TOP, directory, symlinks=True, ignore=skipped_by_copies)
    run("make", "-s", "-C", directory, "clean").expect(0)
    return directory


@pytest.fixture(scope="session")
def built_sources(clean_sources: Path, first_label: str) -> Path:
    """Return a copy of the sources with the module built in place. No test changes it."""
    directory = SHARED / "built"
    shutil.rmtree(directory, ignore_errors=True)
    host = Host(directory, first_label, clean_sources)
    host.make("modules").expect(0)
    assert host.module().exists()
    return host.sources


@pytest.fixture
def host(work: Path, clean_sources: Path, first_label: str) -> Host:
    """Return a host on which nothing has been built."""
    return Host(work, first_label, clean_sources)


@pytest.fixture
def built_host(work: Path, built_sources: Path, first_label: str) -> Host:
    """Return a host on which the module has been built in place."""
    return Host(work, first_label, built_sources)
