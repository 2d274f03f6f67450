# SPDX-License-Identifier: GPL-2.0-only
"""A row: a process that prints TAP, and the results parsed so far."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from lab.command import PULSE, heartbeat, say, shown, started
from lab.places import LOGS, TOP

from .tap import Parser, Result

# Seconds between two reads of the console
POLL = 0.1


def read_on(file: BinaryIO, rest: bytes) -> bytes:
    """Return rest and the new bytes of a file. If the file became shorter, return its content."""
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
        rest = b""
    return rest + file.read()


class NotBuilt(Exception):
    """The failure of a row's build; the text is the end of the build's log."""


class Row:
    """A process that prints TAP.

    name is the name of the row in reports. prepare builds the inputs of the row and returns its
    command, or raises NotBuilt. The command starts when the first case of the row runs. The file
    console has the TAP, which is parsed while the command runs. If messages is None, console has
    the output of the command. Otherwise the command writes console itself, and the file messages
    has its output.
    """

    def __init__(self, name: str, prepare: Callable[[Row], Sequence[str]]) -> None:
        self.name = name
        self.messages: Path | None = None
        self.console = LOGS / f"check-{name}.log"
        self.parser = Parser()
        self.status: int | None = None
        self.seconds = 0.0
        # The selected cases, in the order in which they run; None: all cases
        self.chosen: list[str] | None = None
        self._prepare = prepare
        # Results that neither result() nor others() has returned
        self._results: list[Result] = []
        self._failed = False
        # True when an item has asked for results, which pytest then reports
        self._is_awaited = False
        self._changed = threading.Condition()
        self._broken = ""
        self._explained = False
        self._last_sign = 0.0
        self._started = False
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def forget(self) -> None:
        """Remove the files of an earlier run."""
        for file in (self.console, self.messages):
            if file:
                file.unlink(missing_ok=True)

    def start(self) -> None:
        """Build the inputs and start the command, once; after a failure always raise NotBuilt."""
        if self._broken:
            raise NotBuilt(self._broken)
        if self._started:
            return
        self._started = True
        try:
            self._process = self._launch(self._prepare(self))
        except (NotBuilt, OSError) as error:
            self._broken = str(error)
            raise NotBuilt(self._broken) from error
        self._last_sign = time.monotonic()
        self._thread = threading.Thread(target=self._follow, args=(self._process,), daemon=True)
        self._thread.start()

    def _launch(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.console.write_bytes(b"")
        # scripts/vm writes the console log itself
        with (self.messages or self.console).open("wb") as printed:
            return subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=printed,
                                    stderr=printed if self.messages else None,
                                    start_new_session=True)

    @property
    def is_started(self) -> bool:
        """Check whether the command was started."""
        return self._thread is not None

    @property
    def is_running(self) -> bool:
        """Check that the command was started and has not ended."""
        return self.is_started and self.status is None

    def stop(self) -> None:
        """End the command if it still runs."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        try:
            self._read(process)
        finally:
            status = process.wait()
            with self._changed:
                self.status = status
                self.seconds = time.monotonic() - began
                self._changed.notify_all()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        with self.console.open("rb") as console:
            rest = b""
            ended = False
            while not ended:
                ended = process.poll() is not None
                rest = self._take(read_on(console, rest))
                if not ended:
                    time.sleep(POLL)
            self._take(rest + b"\n")

    def _take(self, text: bytes) -> bytes:
        """Parse the whole lines of a text; return the incomplete last line."""
        *lines, rest = text.split(b"\n")
        for line in lines:
            if result := self.parser.feed(line.decode(errors="replace").rstrip("\r")):
                with self._changed:
                    self._results.append(result)
                    self._failed = self._failed or result.outcome == "failed"
                    self._changed.notify_all()
                self._announce(result)
        return rest

    def _announce(self, result: Result) -> None:
        """Name a failed case at once if no item waits for the row yet."""
        if result.outcome == "failed" and not self._is_awaited:
            say(f"{self.name}: FAILED {result.name}; the reason follows with the row's results")

    def _find(self, name: str) -> Result | None:
        return next((result for result in self._results if result.name == name), None)

    def _wait(self) -> None:
        """Wait at most a second for a result; print a progress line every PULSE seconds."""
        self._changed.wait(1)
        if time.monotonic() - self._last_sign >= PULSE:
            self._last_sign = time.monotonic()
            say(f"... {self.name}: {self.parser.seen} cases so far")

    def result(self, name: str) -> Result | None:
        """Wait for the result of a case; None if the row ended without it."""
        self._is_awaited = True
        with self._changed:
            while not (found := self._find(name)) and self.status is None:
                self._wait()
            if found:
                self._results.remove(found)
            return found

    def others(self) -> list[Result]:
        """Wait for the row's end; return the results that were not returned before."""
        self._is_awaited = True
        with self._changed:
            while self.status is None:
                self._wait()
            found, self._results = self._results, []
            return found

    def complaint(self) -> str:
        """Return a complaint about the end of the row, or ""."""
        # Status 1 is expected if a case failed, which was counted as a failure before
        if self.status not in (0, 1) or (self.status == 1 and not self._failed):
            return f"{self.name} ended with status {self.status}{self.explain()}"
        if not self.parser.kept_to_plan():
            return (f"{self.name}: {self.parser.seen} cases, "
                    f"but the plan says {self.parser.planned}")
        return ""

    def explain(self) -> str:
        """Return the reason why the row ended or was not built. Later calls return ""."""
        if self._explained:
            return ""
        self._explained = True
        return ":\n" + self.tail()

    def tail(self) -> str:
        """Return the messages of scripts/vm about a failure, or the end of the console."""
        if self.messages and self.messages.exists():
            said = self.messages.read_text(errors="replace").strip()
            if self.status not in (0, 1) and said:
                return said
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        lines = text.splitlines()[-20:]
        return "\n".join([*lines, f"(all of it: {self.console})"])


def start_ahead(rows: Sequence[Row], at_once: int) -> None:
    """Start rows in order until at_once of them are running.

    The failure of a build is reported later, when the first item of the row runs.
    """
    for row in rows:
        if sum(other.is_running for other in rows) >= at_once:
            return
        if not row.is_started:
            with contextlib.suppress(NotBuilt):
                row.start()


def build(log: Path, what: str, command: Sequence[str]) -> None:
    """Run the command of a build. If it fails, raise NotBuilt with the end of its output."""
    say(what)
    LOGS.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, heartbeat(what):
        with started(command, cwd=TOP, stdout=output, stderr=output) as process:
            status = process.wait()
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise NotBuilt(f"{what} failed:\n{tail}\n(all of it: {shown(log)})")
