# SPDX-License-Identifier: GPL-2.0-only
"""Programs: what they may see of the environment, their logs, and signs of life."""

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

# The prefix of the programs that compile for POWER
CROSS = "powerpc64le-linux-gnu-"
# Seconds between signs of life
PULSE = 15
# Seconds that a program has to end after SIGTERM
GRACE = 10
# Signals on which a command ends, and what it has started
ENDING = (signal.SIGTERM, signal.SIGHUP)
# What without_settings() keeps
KEPT = ("PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR", "TERM", "SOURCE_DATE_EPOCH",
        "DEB_BUILD_OPTIONS", "DEB_BUILD_PROFILES")

# Programs that are called count from the same moment
START = int(os.environ.setdefault("TCE2_START", str(int(time.time()))))


def in_si(size: float) -> str:
    """Return a number of bytes as a person reads it, rounded up: 8.4KB, 153MB."""
    units = ["", "K", "M", "G", "T"]
    while math.ceil(size) >= 1000:
        size /= 1000
        del units[0]
    is_small = units[0] and size <= 9.9
    number = f"{math.ceil(size * 10) / 10:.1f}" if is_small else str(math.ceil(size))
    return f"{number}{units[0]}B"


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{int(time.time()) - START:3d}s] {text}", flush=True)


@contextlib.contextmanager
def heartbeat(what: str) -> Iterator[None]:
    """Give a sign of life every 15 s as long as something takes."""
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
    """Return an environment with none of the caller's settings, and with variables.

    kbuild, dpkg-buildpackage and the Makefiles of the tests read a hundred variables
    (ARCH, CC, CFLAGS, KBUILD_OUTPUT, LLVM, O...), which a kernel developer may have
    exported for another tree, and the flags of a make above. All are dropped, except
    those that say where things are. Messages are English, because scripts look for words
    in them.
    """
    kept = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    return {**kept, "LC_ALL": "C.UTF-8", **variables}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program of started() that still runs, and all that it has started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        # The number of a group stays its own as long as one process is left in it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def started(command: Sequence[str | Path], *, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, stdin: int | IO[Any] = subprocess.DEVNULL,
            stdout: int | IO[Any] | None = None, stderr: int | IO[Any] | None = None,
            ) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, which does not outlive the context, nor do its children.

    make leaves compilers behind if only make is killed. So each program has a process
    group of its own, and the whole group is ended. It stays in the session, because
    sudo remembers a password for the terminal of the session.
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
    """Run a program that prints to where this command prints; return its status."""
    with started(command, env=env) as process:
        return process.wait()


class Broken(LabError):
    """A program has failed; the text says what was being done, and the end of its log."""


def shown(log: Path) -> str:
    """Return how a log is called in messages."""
    return str(log.relative_to(TOP)) if log.is_relative_to(TOP) else str(log)


class Step:
    """Work whose programs write to a log."""

    def __init__(self, log: IO[str]) -> None:
        self._log = log

    def status_of(self, *command: str | Path, cwd: Path | None = None,
                  env: Mapping[str, str] | None = None, stdout: IO[bytes] | None = None) -> int:
        """Run a command whose output is added to the log; return its status.

        With stdout only its messages are.
        """
        self.note(f"+ {' '.join(map(str, command))}")
        with started(command, cwd=cwd, env=env, stdout=stdout or self._log,
                     stderr=self._log) as process:
            return process.wait()

    def run(self, *command: str | Path, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, stdout: IO[bytes] | None = None) -> None:
        """Do the same; raise CalledProcessError if the command fails."""
        if status := self.status_of(*command, cwd=cwd, env=env, stdout=stdout):
            raise subprocess.CalledProcessError(status, str(command[0]))

    def note(self, line: str) -> None:
        """Add a line to the log."""
        self._log.write(f"{line}\n")
        self._log.flush()


@contextlib.contextmanager
def step(log: Path, what: str, failure: str = "") -> Iterator[Step]:
    """Say what is being done, and have its programs write to the log.

    If one fails, raise Broken with the sentence failure and the end of the log.
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
    """Do one command as a step, and return its status."""
    with step(log, what) as done:
        return done.status_of(*command, cwd=cwd, env=env)


def quietly(log: Path, what: str, command: Sequence[str | Path], *, failure: str = "",
            cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Do one command as a step, and raise Broken if it fails."""
    with step(log, what, failure) as done:
        done.run(*command, cwd=cwd, env=env)


def output_of(*command: str, cwd: Path | None = None,
              env: Mapping[str, str] | None = None) -> str:
    """Return what a command prints; raise CalledProcessError if it fails."""
    with started(command, cwd=cwd, env=env, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[0])
    return output.decode(errors="replace")


@contextlib.contextmanager
def locked(file: Path, what: str = "") -> Iterator[IO[str]]:
    """Hold the lock of a file. what says what another holder may be doing."""
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
    """Leave all contexts: locks, temporary directories, programs."""
    # timeout(1) sends its signal twice; the second one must not break off the first
    for each in ENDING:
        signal.signal(each, lambda *_: None)
    sys.exit(128 + number)


def run_main(main: Callable[[Sequence[str]], int | None]) -> None:
    """Run a command's main() with its arguments, and exit with its status.

    An error of the lab, of the system or of a program ends it with status 1 and a
    sentence, a signal as if it had no handler.
    """
    # depmod and friends are no user's commands in Debian, but run for any user
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    for number in ENDING:
        # nohup(1) has SIGHUP ignored
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_by_signal)
    try:
        check_paths()
        LOGS.mkdir(parents=True, exist_ok=True)
        sys.exit(main(sys.argv[1:]) or 0)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (LabError, OSError, subprocess.CalledProcessError) as error:
        elapsed = int(time.time()) - START
        print(f"[{elapsed:3d}s] error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
