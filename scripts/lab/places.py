# SPDX-License-Identifier: GPL-2.0-only
"""The directories: sources, results of builds, downloads."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SCRIPTS = TOP / "scripts"
BUILD = TOP / "build"
LOGS = BUILD / "logs"


class LabError(Exception):
    """What a user can do something about; the text is a sentence."""


def home_dir() -> Path:
    """Return the user's home directory.

    Cron and some CI runners set no HOME; then the user's entry has it.
    """
    home = os.environ.get("HOME", "")
    if not home:
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            pass
    if not home.startswith("/"):
        raise LabError("no directory for downloads: "
                       "set HOME or XDG_CACHE_HOME to an absolute path")
    return Path(home)


def cache_dir() -> Path:
    """Return the directory of downloads. (XDG wants relative paths ignored.)"""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else home_dir() / ".cache"
    return base / "vfio-spapr-tce2"


def check_paths() -> None:
    """Refuse directories whose paths make or kbuild would take apart."""
    asked = ["sh", str(SCRIPTS / "usable-path"), "the sources", str(TOP),
             "the cache", str(cache_dir())]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise LabError(answer.stdout.strip() or answer.stderr.strip())
