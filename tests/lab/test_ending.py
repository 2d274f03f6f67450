# SPDX-License-Identifier: GPL-2.0-only
"""Tests of terminated commands: every process that a command started ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.command import Step, call, output_of
from lab.places import SCRIPTS

# Longest time in seconds that a condition may take to become true
PATIENCE = 5

# A program like make: start a child, write its pid to $0, wait for it
STARTS_ANOTHER = 'sleep 60 & echo $! >"$0.new"; mv "$0.new" "$0"; wait'
# A program that needs 0.2 s to end after SIGTERM, and has a child that ignores SIGTERM
STARTS_A_STUBBORN_ONE = ("trap 'sleep 0.2; exit' TERM; (trap '' TERM; exec sleep 60) & "
                         'echo $! >"$0.new"; mv "$0.new" "$0"; while :; do wait; done')
# A command that starts a program through a function of lab.command, whose name is an argument
COMMAND = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SCRIPTS)!r})
from lab import command

def main(arguments):
    words = ["sh", "-c", arguments[2], arguments[1]]
    if arguments[0] == "step":
        command.logged(Path(arguments[1] + ".log"), "waiting", words)
    else:
        getattr(command, arguments[0])(*words)

command.run_main(main)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll a condition; fail after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Check that a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def start(way: str, file: Path,
          script: str = STARTS_ANOTHER) -> tuple[subprocess.Popen[bytes], int]:
    """Start COMMAND with a script; return its process, and the pid of the script's child."""
    process = subprocess.Popen([sys.executable, "-B", "-c", COMMAND, way, str(file), script],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(file.exists)
    return process, int(file.read_text())


@pytest.mark.parametrize(("way", "number"), [
    ("step", signal.SIGTERM), ("step", signal.SIGHUP), ("step", signal.SIGINT),
    ("call", signal.SIGTERM), ("output_of", signal.SIGTERM)])
def test_a_signal_ends_a_command_and_all_its_children(way: str, number: signal.Signals,
                                                      tmp_path: Path) -> None:
    process, grandchild = start(way, tmp_path / "started")
    process.send_signal(number)
    assert process.wait(PATIENCE) == 128 + number
    wait_until(lambda: not is_running(grandchild))


def test_a_second_signal_does_not_keep_a_stubborn_program_alive(tmp_path: Path) -> None:
    process, grandchild = start("step", tmp_path / "started", STARTS_A_STUBBORN_ONE)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    wait_until(lambda: not is_running(grandchild))


def test_finished_programs_return_their_status_and_output(tmp_path: Path) -> None:
    assert call("sh", "-c", "exit 3") == 3
    assert output_of("echo", "a") == "a\n"
    with pytest.raises(subprocess.CalledProcessError, match="status 4"):
        output_of("sh", "-c", "exit 4")
    with (tmp_path / "log").open("w") as log:
        assert Step(log).status_of("sh", "-c", "echo $0; pwd; echo b >&2; exit 5", "a",
                                   cwd=tmp_path) == 5
    assert (tmp_path / "log").read_text().splitlines()[1:] == [
        "a", os.path.realpath(tmp_path), "b"]
