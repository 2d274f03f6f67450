# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.command: environment, logs and locks of programs; exit of a command."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import command
from lab.command import (Broken, heartbeat, in_si, locked, logged, quietly, run_main, step,
                         without_settings)
from lab.places import SCRIPTS, LabError
from lab_fixtures import progress  # noqa: F401, a fixture

pytestmark = pytest.mark.usefixtures("said")


def test_progress_is_reported_until_the_work_ends(monkeypatch: pytest.MonkeyPatch,
                                                  said: io.StringIO) -> None:
    monkeypatch.setattr(command, "PULSE", 0.01)
    with heartbeat("waiting"):
        time.sleep(0.05)
    signs = said.getvalue()
    assert "... still waiting (0 s)" in signs
    time.sleep(0.02)
    assert said.getvalue() == signs


def test_short_work_reports_no_progress(said: io.StringIO) -> None:
    with heartbeat("waiting"):
        pass
    assert not said.getvalue()


def test_the_output_of_a_command_is_added_to_its_log(tmp_path: Path, said: io.StringIO) -> None:
    log = tmp_path / "logs" / "log"
    assert logged(log, "trying", ["sh", "-c", "echo out; echo err >&2; exit 3"]) == 3
    assert logged(log, "trying again", ["cat"]) == 0
    assert log.read_text() == "+ sh -c echo out; echo err >&2; exit 3\nout\nerr\n+ cat\n"
    assert re.search(r"^\[ *\d+s\] trying\n\[ *\d+s\] trying again\n$", said.getvalue())


def test_a_failed_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(Broken) as raised:
        quietly(log, "counting", ["sh", "-c", "seq 100; exit 1"])
    lines = str(raised.value).splitlines()
    assert lines[0] == "counting failed:"
    assert lines[-1] == f"    (all of it: {log})"
    assert lines[-3:-1] == ["    100", "    Command 'sh' returned non-zero exit status 1."]
    assert len(lines) == 22


def test_the_error_begins_with_the_callers_message(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="^the kernel does not build:\n"):
        quietly(tmp_path / "log", "building", ["false"], failure="the kernel does not build")


def test_a_step_ends_with_the_first_command_that_fails(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="^making failed:"):
        with step(tmp_path / "log", "making") as making:
            making.run("true")
            making.run("false")
            making.run("touch", tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["no-such-program", "/dev/null"])
def test_a_program_that_cannot_be_started_breaks_the_step(name: str, tmp_path: Path) -> None:
    with pytest.raises(Broken, match=name):
        quietly(tmp_path / "log", "trying", [name])


def test_a_step_may_write_to_a_file(tmp_path: Path) -> None:
    with step(tmp_path / "log", "writing") as writing, (tmp_path / "out").open("wb") as out:
        writing.run("sh", "-c", "echo out; echo err >&2", stdout=out)
    assert (tmp_path / "out").read_text() == "out\n"
    assert (tmp_path / "log").read_text().endswith("err\n")


def test_programs_do_not_inherit_the_callers_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARCH", "CC", "KBUILD_OUTPUT", "MAKEFLAGS", "LC_MESSAGES", "LANGUAGE", "O"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("TMPDIR", "")
    seen = without_settings(W="1")
    assert not {"foreign", ""} & set(seen.values())
    assert seen["HOME"] == "/home/u" and seen["PATH"] == os.environ["PATH"]
    assert seen["W"] == "1" and seen["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize(("size", "text"), [
    (0, "0B"), (999, "999B"), (1000, "1.0KB"), (9900, "9.9KB"), (9901, "10KB"),
    (153123456, "154MB"), (999999, "1.0MB"), (12e9, "12GB")])
def test_sizes_are_rounded_up(size: float, text: str) -> None:
    assert in_si(size) == text


def test_a_second_locker_waits_for_the_first(tmp_path: Path, said: io.StringIO) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path / "lock", "building"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "lock", "building"):
        thread.start()
        while "waiting for another process, which is building" not in said.getvalue():
            time.sleep(0.001)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_is_released_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(LabError), locked(tmp_path / "lock"):
        raise LabError
    with locked(tmp_path / "lock", "never"):
        pass


def ends(*outcome: object, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return the exit status of a command. Its main() returns outcome, or raises an exception."""
    def main(arguments: object) -> int | None:
        del arguments
        if outcome and isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0] if outcome else None  # type: ignore[return-value]

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(command, "check_paths", lambda: None)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with pytest.raises(SystemExit) as raised:
        run_main(main)
    return raised.value.code


@pytest.mark.parametrize(("outcome", "status"), [
    ((), 0), ((0,), 0), ((3,), 3), ((KeyboardInterrupt(),), 130)])
def test_a_command_exits_with_the_status_of_its_main(outcome: tuple[object, ...], status: int,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(*outcome, monkeypatch=monkeypatch) == status


@pytest.mark.parametrize("error", [
    LabError("the disk is missing"),
    OSError(28, "the disk is missing", "/cache"),
    subprocess.CalledProcessError(1, "the disk is missing"),
], ids=["lab_error", "os_error", "failed_program"])
def test_an_error_ends_a_command_with_a_one_line_message(
        error: Exception, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(error, monkeypatch=monkeypatch) == 1
    assert re.search(r"^\[ *\d+s\] error: .*the disk is missing.*\n$", capsys.readouterr().err)


WAITING = """
import sys, tempfile, time
sys.path.insert(0, sys.argv.pop(1))
from lab.command import run_main
def main(arguments):
    with tempfile.TemporaryDirectory(dir=arguments[0]):
        print("ready", flush=True)
        time.sleep(60)
run_main(main)
"""


def test_a_command_that_is_terminated_removes_its_directories(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-B", "-c", WAITING, str(SCRIPTS), str(tmp_path)],
                          stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout and waiting.stdout.readline() == "ready\n"
        assert list(tmp_path.iterdir())
        waiting.terminate()
        assert waiting.wait() == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
