# SPDX-License-Identifier: GPL-2.0-only
"""Helpers of the tests in Python: run commands, build modules, make directories."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.command import started, without_settings
from lab.labels import chosen_names
from lab.places import BUILD, LOGS, SCRIPTS, TOP

from .row import build
from .suites import TESTS

# Number of output lines that a failure message shows
SHOWN = 20
# Default time-out of a command, in seconds
PATIENCE = 600


@dataclass(frozen=True)
class Done:
    """A finished command: its exit status, and its stdout and stderr combined."""

    command: tuple[str, ...]
    status: int
    output: str

    def explain(self) -> str:
        """Return the command, its status and the end of its output."""
        lines = self.output.splitlines()[-SHOWN:]
        return "\n".join([f"status {self.status} of: {' '.join(self.command)}", *lines])

    def expect(self, status: int, pattern: str = "") -> Done:
        """Fail unless the status matches and, if a pattern is given, some line matches it."""
        __tracebackhide__ = True
        if self.status != status:
            pytest.fail(f"expected status {status}, got {self.explain()}", pytrace=False)
        if not re.search(pattern, self.output, re.MULTILINE):
            pytest.fail(f"expected a line like {pattern}, got {self.explain()}", pytrace=False)
        return self

    def says(self, sentence: str) -> bool:
        """Check that the output contains a sentence."""
        return sentence in self.output


def run(*command: str | Path, cwd: Path = TOP, env: Mapping[str, str] | None = None,
        stdin: str | None = None, patience: float = PATIENCE) -> Done:
    """Run a command to its end. Without env, the command gets a clean environment.

    After patience seconds the command and its children are killed, and the test fails.
    """
    words = tuple(str(word) for word in command)
    with started(words, cwd=cwd, env=without_settings() if env is None else env,
                 stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said, _ = process.communicate(None if stdin is None else stdin.encode(), patience)
        except subprocess.TimeoutExpired as error:
            text = (error.stdout or b"").decode(errors="replace")
            pytest.fail(f"{' '.join(words)} took longer than {patience:.0f} s:\n{text[-2000:]}",
                        pytrace=False)
    return Done(words, process.returncode, said.decode(errors="replace"))


def work_directory(item: pytest.Item) -> Path:
    """Make an empty directory for a test. The directory is kept until the test runs again."""
    parts = item.path.relative_to(TESTS).parts
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", item.name).strip("_")
    directory = BUILD / "tests" / parts[0] / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def work(request: pytest.FixtureRequest) -> Path:
    """Return an empty directory for a test. The directory is kept until the test runs again."""
    return work_directory(request.node)


@pytest.fixture(scope="session")
def first_label() -> str:
    """Return the first chosen kernel, fetched into the cache if needed."""
    label = chosen_names()[0]
    build(LOGS / f"kernel-{label}.log", f"kernel {label}", [str(SCRIPTS / "kernel"), label])
    return label


def built_module(label: str) -> Path:
    """Build the module for a kernel if a source changed; return the .ko."""
    build(LOGS / f"check-module-{label}.log", f"building the module for {label}",
          [str(SCRIPTS / "module"), label])
    return BUILD / label / "vfio_spapr_tce2.ko"


def copy_sources(directory: Path) -> None:
    """Copy the working tree, without build results and without .git."""

    def ignored(where: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(where) == TOP and name in ("build", ".git")]

    shutil.copytree(TOP, directory, symlinks=True, ignore=ignored)
