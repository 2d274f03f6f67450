# SPDX-License-Identifier: GPL-2.0-only
"""The directories of the sources, of build results and of downloads."""

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
    """An error that the user can act on. The text is a complete message."""


def home_dir() -> Path:
    """Return the user's home directory.

    If HOME is not set, as with Cron and some CI runners, use the passwd entry.
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
    """Return the cache directory. XDG requires that a relative path is ignored."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else home_dir() / ".cache"
    return base / "vfio-spapr-tce2"


def check_paths() -> None:
    """Refuse paths with characters that make or kbuild would split or expand."""
    asked = ["sh", str(SCRIPTS / "usable-path"), "the sources", str(TOP),
             "the cache", str(cache_dir())]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise LabError(answer.stdout.strip() or answer.stderr.strip())
