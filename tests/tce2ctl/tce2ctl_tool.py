# SPDX-License-Identifier: GPL-2.0-only
"""Run tce2ctl, built with sanitizers, on saved states."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command import without_settings
from lab.places import BUILD

PLAIN = BUILD / "tce2ctl" / "tce2ctl"
TOOL = BUILD / "tce2ctl-asan" / "tce2ctl"
# Exit statuses of the tool, and the status of a program that a sanitizer stopped
OK, PROBLEM, UNKNOWN, USAGE = range(4)
CRASHED = 99
PATIENCE = 60
ENVIRONMENT = {f"{name}_OPTIONS": f"exitcode={CRASHED}" for name in ("ASAN", "UBSAN")}


@dataclass(frozen=True)
class Said:
    """The exit status and the output of the tool."""

    status: int
    raw: bytes
    errors: str

    @property
    def text(self) -> str:
        """The output, which must be valid UTF-8."""
        return self.raw.decode("utf-8", "strict")

    @property
    def json(self) -> Any:
        """The parsed JSON."""
        return json.loads(self.text)


def tce2ctl(*words: str | Path | bytes, **environment: str) -> Said:
    """Run the tool; fail if a sanitizer complains."""
    settings = {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **environment}
    done = subprocess.run([str(TOOL), *(os.fspath(word) for word in words)],
                          env=without_settings(**ENVIRONMENT, **settings), timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    errors = done.stderr.decode(errors="replace")
    assert done.returncode in (OK, PROBLEM, UNKNOWN, USAGE), f"{done.returncode}: {errors}"
    assert "runtime error" not in errors, errors
    return Said(done.returncode, done.stdout, errors)


def on_terminal(*words: str | Path, columns: int = 80,
                environment: Mapping[str, str] | None = None) -> str:
    """Run the tool on a terminal of a width; return its output."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {"TERM": "xterm", "LC_ALL": "C.UTF-8", **ENVIRONMENT,
                **(environment or {})}
    text = b""
    with subprocess.Popen([TOOL, *words], stdin=subprocess.DEVNULL, stdout=slave,
                          env=without_settings(**settings)) as process:
        os.close(slave)
        try:
            while more := os.read(master, 65536):
                text += more
        except OSError:
            pass
    os.close(master)
    assert process.returncode in (OK, PROBLEM, UNKNOWN)
    return text.decode().replace("\r\n", "\n")
