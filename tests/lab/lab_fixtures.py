# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the tests of scripts/lab: a fake apt and a captured progress log."""

from __future__ import annotations

import functools
import io
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import archive, command, kernel

# A fake of apt-get and apt-cache. It prints prepared files: "targets" for indextargets, and for
# each choice of suites SUITES.names for pkgnames and SUITES.PACKAGE for show. If SUITES.refused
# exists, update fails; if SUITES.broken exists, each download fails.
SCRIPT = r"""#!/bin/sh
here={here}
program=${{0##*/}}
echo "$program $*" >>"$here/calls"
for word; do
    case $word in
    Dir::State::lists=*) lists=${{word#*=}} ;;
    Dir::Cache::archives=*) archives=${{word#*=}} ;;
    esac
    last=$word
done
suites=${{lists%/lists}}
suites=$here/${{suites##*/}}
case "$program $* " in
*' indextargets '*no-release-info*) cat "$here/bare" ;;
*' indextargets '*) cat "$here/targets" ;;
*' update '*) [ ! -e "$suites.refused" ] || {{ cat "$suites.refused"; exit 100; }} ;;
*' pkgnames '*) cat "$suites.names" ;;
*' show '*) cat "$suites.${{last%%[:=]*}}" 2>/dev/null ;;
*' download '*) [ ! -e "$suites.broken" ] && cp "$here/${{last%%[:=]*}}.deb" . ;;
*' install '*)
    [ ! -e "$suites.broken" ] && {{ [ -z "$archives" ] || cp "$here"/*.deb "$archives"; }} ;;
esac
"""


CONTROL = """Package: {}
Version: 1
Architecture: all
Maintainer: Test <test@example.org>
Description: made for a test
"""


class FakeApt:
    """A fake of this machine's apt and of Debian's archive."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        bin_directory = directory / "bin"
        bin_directory.mkdir(parents=True)
        for name in ("apt-get", "apt-cache"):
            (bin_directory / name).write_text(SCRIPT.format(here=directory))
            (bin_directory / name).chmod(0o755)
        self.configure("Debian|bookworm|main|Packages|http://deb/debian")
        self.configure(bare=True)

    def configure(self, *targets: str, bare: bool = False) -> None:
        """Set the configured sources, one a line: ORIGIN|RELEASE|COMPONENT|KIND|URI."""
        file = self.directory / ("bare" if bare else "targets")
        file.write_text("".join(f"{target}\n" for target in targets))

    def has(self, suites: str, names: str = "",
            fields: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Put packages into suites: their names, and the control fields of some."""
        if names or not fields:
            (self.directory / f"{suites}.names").write_text(names.replace(" ", "\n") + "\n")
        for package, values in (fields or {}).items():
            (self.directory / f"{suites}.{package}").write_text(
                "".join(f"{field}: {value}\n" for field, value in values.items()))

    def add_deb(self, package: str, files: Mapping[str, str]) -> None:
        """Make a .deb. files maps paths to contents; all files are executable."""
        root = self.directory / package
        for name, text in {"DEBIAN/control": CONTROL.format(package), **files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        subprocess.run(["dpkg-deb", "-b", "-Znone", "--root-owner-group", root,
                        self.directory / f"{package}.deb"],
                       stdout=subprocess.DEVNULL, check=True)

    def refuses(self, suites: str, said: str = "E: bad\nE: Some index files failed\n") -> None:
        """Make apt-get update fail for suites, with a message."""
        (self.directory / f"{suites}.refused").write_text(said)

    def breaks(self, suites: str) -> None:
        """Make every download from suites fail."""
        (self.directory / f"{suites}.broken").touch()

    def calls(self, word: str) -> list[str]:
        """Return the recorded calls that contain a word."""
        file = self.directory / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if word in line.split()]


@pytest.fixture(name="said")
def progress(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Capture the progress messages of scripts/lab and return them.

    sys.stdout is not replaced, because the runner writes its report to sys.stdout before this
    fixture could restore it.
    """
    text = io.StringIO()
    for module in (archive, command, kernel):
        monkeypatch.setattr(module, "print", functools.partial(print, file=text), raising=False)
    return text


@pytest.fixture(name="debian")
def fake_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: io.StringIO) -> FakeApt:
    """Return a fake apt, first on PATH, with a cache and logs private to the test."""
    del said
    fake = FakeApt(tmp_path / "apt")
    (tmp_path / "keys").touch()
    monkeypatch.setenv("PATH", f"{fake.directory}/bin:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(archive, "KEYS", tmp_path / "keys")
    monkeypatch.setattr(archive, "LOG", tmp_path / "apt.log")
    monkeypatch.setattr(archive, "PAUSE", 0)
    monkeypatch.setattr(archive, "host_codename", lambda: "bookworm")
    return fake
