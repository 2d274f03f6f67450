# SPDX-License-Identifier: GPL-2.0-only
"""Run programs: their environment, logs, progress messages, locks and termination."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .places import LOGS, TOP, LabError, check_paths

# The prefix of the cross toolchain
CROSS = "powerpc64le-linux-gnu-"
# Seconds between progress messages
PULSE = 15
# Seconds between SIGTERM and SIGKILL
GRACE = 10
# Signals that terminate a command and its children
ENDING = (signal.SIGTERM, signal.SIGHUP)
# Variables that without_settings() keeps
KEPT = ("PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR", "TERM", "SOURCE_DATE_EPOCH",
        "DEB_BUILD_OPTIONS", "DEB_BUILD_PROFILES")

# Export the start time, so that child commands print times relative to the same start
START = int(os.environ.setdefault("TCE2_START", str(int(time.time()))))


def in_si(size: float) -> str:
    """Return a size with an SI unit, rounded up: 8.4KB, 153MB."""
    units = ["", "K", "M", "G", "T"]
    while math.ceil(size) >= 1000:
        size /= 1000
        del units[0]
    is_small = units[0] and size <= 9.9
    number = f"{math.ceil(size * 10) / 10:.1f}" if is_small else str(math.ceil(size))
    return f"{number}{units[0]}B"


def say(text: str) -> None:
    """Print a progress message."""
    print(f"[{int(time.time()) - START:3d}s] {text}", flush=True)


@contextlib.contextmanager
def heartbeat(what: str) -> Iterator[None]:
    """Print a progress message every PULSE seconds until the work ends."""
    began = time.monotonic()
    ended = threading.Event()

    def pulse() -> None:
        while not ended.wait(PULSE):
            say(f"... still {what} ({time.monotonic() - began:.0f} s)")

    thread = threading.Thread(target=pulse, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def without_settings(**variables: str) -> dict[str, str]:
    """Return a clean environment, plus variables.

    kbuild, dpkg-buildpackage and the Makefiles of the tests read a hundred variables
    (ARCH, CC, CFLAGS, KBUILD_OUTPUT, LLVM, O...). A kernel developer may have exported
    them for another tree, or a parent make may have set MAKEFLAGS. All are removed, except
    KEPT. The locale is set to English, because scripts match words in messages.
    """
    kept = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    return {**kept, "LC_ALL": "C.UTF-8", **variables}


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate the process group of a program that started() has started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        # Use the leader's pid: it is not reused while a process of the group exists
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def started(command: Sequence[str | Path], *, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, stdin: int | IO[Any] = subprocess.DEVNULL,
            stdout: int | IO[Any] | None = None, stderr: int | IO[Any] | None = None,
            ) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program; terminate it and its children when the context is left.

    Each program gets a separate process group, and the whole group is killed: if only make
    were killed, its compilers would continue to run. The group stays in the caller's session,
    because sudo caches the password for the terminal of the session.
    """
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=stdin, stdout=stdout,
                               stderr=stderr, process_group=0)
    try:
        yield process
    finally:
        end(process)
        if process.stdout:
            process.stdout.close()


def call(*command: str | Path, env: Mapping[str, str] | None = None) -> int:
    """Run a program with this command's stdout and stderr; return its status."""
    with started(command, env=env) as process:
        return process.wait()


class Broken(LabError):
    """The error of a failed program. The text has the failed step and the end of the log."""


def shown(log: Path) -> str:
    """Return the name of a log for messages: relative to TOP if it is below TOP."""
    return str(log.relative_to(TOP)) if log.is_relative_to(TOP) else str(log)


class Step:
    """A step of work, whose programs write to one log."""

    def __init__(self, log: IO[str]) -> None:
        self._log = log

    def status_of(self, *command: str | Path, cwd: Path | None = None,
                  env: Mapping[str, str] | None = None, stdout: IO[bytes] | None = None) -> int:
        """Run a command and append its output to the log; return its status.

        If stdout is given, only stderr goes to the log.
        """
        self.note(f"+ {' '.join(map(str, command))}")
        with started(command, cwd=cwd, env=env, stdout=stdout or self._log,
                     stderr=self._log) as process:
            return process.wait()

    def run(self, *command: str | Path, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, stdout: IO[bytes] | None = None) -> None:
        """Run a command like status_of(); raise CalledProcessError if it fails."""
        if status := self.status_of(*command, cwd=cwd, env=env, stdout=stdout):
            raise subprocess.CalledProcessError(status, str(command[0]))

    def note(self, line: str) -> None:
        """Add a line to the log."""
        self._log.write(f"{line}\n")
        self._log.flush()


@contextlib.contextmanager
def step(log: Path, what: str, failure: str = "") -> Iterator[Step]:
    """Print the progress message what; yield a Step that writes to the log.

    If a program fails, raise Broken with the message failure and the end of the log.
    """
    say(what)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output, heartbeat(what):
        done = Step(output)
        try:
            yield done
            return
        except (subprocess.CalledProcessError, OSError) as error:
            done.note(str(error))
    lines = log.read_text(errors="replace").splitlines()[-20:]
    raise Broken("\n".join([f"{failure or f'{what} failed'}:", *(f"    {line}" for line in lines),
                            f"    (all of it: {shown(log)})"]))


def logged(log: Path, what: str, command: Sequence[str | Path], *,
           cwd: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run one command as a step; return its status."""
    with step(log, what) as done:
        return done.status_of(*command, cwd=cwd, env=env)


def quietly(log: Path, what: str, command: Sequence[str | Path], *, failure: str = "",
            cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run one command as a step; raise Broken if it fails."""
    with step(log, what, failure) as done:
        done.run(*command, cwd=cwd, env=env)


def output_of(*command: str, cwd: Path | None = None,
              env: Mapping[str, str] | None = None) -> str:
    """Return the stdout of a command; raise CalledProcessError if it fails."""
    with started(command, cwd=cwd, env=env, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[0])
    return output.decode(errors="replace")


@contextlib.contextmanager
def locked(file: Path, what: str = "") -> Iterator[IO[str]]:
    """Hold an exclusive flock() on a file.

    what describes the work of the process that has the lock, for a message to a waiting user.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if what:
                say(f"waiting for another process, which is {what}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _end_by_signal(number: int, _: object) -> None:
    """Handle a signal: exit, so that all contexts release locks, remove files, kill programs."""
    # timeout(1) sends its signal twice; the second one must not interrupt the cleanup
    for each in ENDING:
        signal.signal(each, lambda *_: None)
    sys.exit(128 + number)


def run_main(main: Callable[[Sequence[str]], int | None]) -> None:
    """Run a command's main() with its arguments, and exit with its status.

    After a LabError, an OSError or a failed program, print one message and exit with
    status 1. After a signal, clean up and exit with 128 plus the signal number.
    """
    # Add /sbin to PATH: Debian has depmod there, which ordinary users can run
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    for number in ENDING:
        # Keep SIGHUP ignored if nohup(1) has started this command
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_by_signal)
    try:
        check_paths()
        LOGS.mkdir(parents=True, exist_ok=True)
        sys.exit(main(sys.argv[1:]) or 0)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of stdout has ended: redirect stdout, so that the flush at exit does not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (LabError, OSError, subprocess.CalledProcessError) as error:
        elapsed = int(time.time()) - START
        print(f"[{elapsed:3d}s] error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
