# SPDX-License-Identifier: GPL-2.0-only
"""Tests of runner.command, with which tests in Python run commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import run

# A script that starts a child. The script kills the child at SIGTERM, but cannot at SIGKILL.
STARTS_ANOTHER = "trap 'kill $!; touch ended; exit' TERM; sleep 60 & wait"


def test_a_command_that_takes_too_long_can_end_its_children(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="took longer than 2 s"):
        run("sh", "-c", STARTS_ANOTHER, cwd=tmp_path, patience=2)
    assert (tmp_path / "ended").exists()


def test_a_command_has_a_status_an_output_and_an_input() -> None:
    done = run("sh", "-c", "cat; echo b >&2; exit 3", stdin="a\n")
    assert (done.status, done.output) == (3, "a\nb\n")
    assert run("cat").output == ""


def test_a_command_that_takes_too_long_is_stopped_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="took longer than 1 s"):
        run("sh", "-c", 'sleep 60 & echo $! >"$1"; wait', "sh", tmp_path / "child", patience=1)
    state = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/status")
    # The child may still be a zombie
    assert not state.exists() or "State:\tZ" in state.read_text()
