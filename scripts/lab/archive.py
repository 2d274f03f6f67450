# SPDX-License-Identifier: GPL-2.0-only
"""Debian's archive, through an apt of our own.

This room owns CACHE/apt: package lists and an empty package status for each choice of
suites, so that nothing of the machine changes and no root is needed. The machine's own
apt configuration says where the archive is. apt verifies every signature. Calls command
and places.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .command import in_si, logged, output_of, quietly, say
from .places import LOGS, LabError, cache_dir

# Debian's name for ppc64le
POWER = "ppc64el"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Suites whose lists expire within a week. A mirror that lags is no reason to refuse them.
EXPIRING = ("forky", "sid", "experimental")
LOG = LOGS / "apt.log"
# How often all choices of suites are tried, and the seconds in between
ATTEMPTS = 3
PAUSE = 10


@functools.cache
def host_architecture() -> str:
    """Return Debian's name for the architecture of this machine."""
    return output_of("dpkg", "--print-architecture").strip()


def host_codename() -> str:
    """Return the codename of this machine's release."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def _configured_targets(*options: str) -> list[list[str]]:
    """Return origin, release, component, kind and URI of what the machine has configured."""
    form = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)"
    listed = output_of("apt-get", "indextargets", *options, "--format", form)
    return [line.split("|") for line in listed.splitlines()]


def _configured_uri(suite: str) -> str:
    """Return the machine's URI for a suite, or nothing.

    A machine that has never fetched its lists cannot tell the origin. There the first
    URI for the suite has to do.
    """
    for origin, release, component, _, uri in _configured_targets():
        if (origin, release, component) == ("Debian", suite, "main"):
            return uri
    for _, release, component, kind, uri in _configured_targets("--no-release-info"):
        if (release, component, kind) == (suite, "main", "Packages"):
            return uri
    return ""


def _source_line(suite: str) -> str:
    """Return a suite's line for sources.list.

    A suite that the machine does not use is expected beside the machine's own release.
    The security archive has an address of its own, so its suites may have no line.
    """
    uri = _configured_uri(suite)
    if not uri and not suite.endswith("-security"):
        uri = _configured_uri(host_codename())
    options = f"signed-by={KEYS}"
    if suite in EXPIRING:
        options += " check-valid-until=no"
    return f"deb [{options}] {uri} {suite} main\n" if uri else ""


def _version_key(name: str) -> list[tuple[list[int], int]]:
    """Return what sorts names by the versions in them, as dpkg compares versions.

    Texts and numbers alternate. "~" sorts before the end of a text, the end before
    letters, letters before all else.
    """
    def weight(character: str) -> int:
        if character == "~":
            return -1
        return ord(character) + (0 if character.isalpha() else 256)

    return [([*map(weight, text), 0], int(number or 0))
            for text, number in re.findall(r"(\D*)(\d*)", name)]


class Apt:
    """A private apt that knows some suites of Debian, for one or two architectures.

    suites are joined by "+". native is the architecture that counts as the machine's
    own: packages of it need no suffix, and dependencies are resolved for it. foreign is
    the second architecture, or empty.
    """

    def __init__(self, suites: str, *, native: str = "", foreign: str = POWER) -> None:
        self.suites = suites
        self._native = native or host_architecture()
        self._architectures = [self._native, *([foreign] if foreign else [])]
        # apt-get update removes the lists of other architectures
        self.directory = cache_dir() / "apt" / "+".join(self._architectures) / suites
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        self._write_sources()

    @classmethod
    def first_with(cls, regex: str, choices: Sequence[str], *,
                   native: str = "", foreign: str = POWER) -> Apt:
        """Return the first choice of suites whose lists verify, and name such a package.

        regex has to match the whole name. If it is empty, no package is looked for.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                say(f"once more in {PAUSE} s")
                time.sleep(PAUSE)
            for choice in choices:
                apt = cls(choice, native=native, foreign=foreign)
                if not apt.update():
                    say(f"apt refuses {apt} as this mirror has it now")
                elif regex and not apt.newest_package(regex):
                    say(f"{apt} has no {regex}")
                else:
                    return apt
        sought = f" (for a {regex})" if regex else ""
        raise LabError(f"apt can read and verify none of: {' '.join(choices)}{sought}; "
                       "see build/logs/apt.log, try again later or from another mirror")

    def __str__(self) -> str:
        return self.suites.replace("+", " and ")

    def _write_sources(self) -> None:
        if not os.access(KEYS, os.R_OK):
            raise LabError(f"{KEYS} is missing: install the package debian-archive-keyring")
        lines = "".join(map(_source_line, self.suites.split("+")))
        if not lines:
            raise LabError("this machine's apt knows no Debian archive (apt-get indextargets "
                           f"shows none for {host_codename()}/main)")
        # Another process may be reading the list
        new = self.directory / f"sources.list.{os.getpid()}"
        new.write_text(lines)
        new.replace(self.directory / "sources.list")

    @property
    def source_options(self) -> list[str]:
        """apt's options that say where packages come from, with any package status."""
        return [
            "-o", f"Dir::Etc::sourcelist={self.directory}/sources.list",
            "-o", f"Dir::Etc::sourceparts={self.directory}/parts",
            "-o", f"Dir::State::lists={self.directory}/lists",
            "-o", "Acquire::Languages=none",
            "-o", "Acquire::Retries=3",
        ]

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Return the command for a program of apt.

        It takes the lock, because one of two concurrent runs of apt fails.
        """
        options = [
            *self.source_options,
            "-o", "Dir::Etc::preferences=/dev/null",
            "-o", f"Dir::Etc::preferencesparts={self.directory}/parts",
            "-o", f"Dir::State={self.directory}",
            "-o", f"Dir::State::status={self.directory}/status",
            "-o", f"Dir::Cache={self.directory}/cache",
            # Container images switch these off, and then each question takes seconds
            "-o", "Dir::Cache::pkgcache=pkgcache.bin",
            "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin",
            "-o", f"APT::Architecture={self._native}",
            # The cache is in a home directory that apt's own user cannot enter
            "-o", "APT::Sandbox::User=",
        ]
        for architecture in self._architectures:
            options += ["-o", f"APT::Architectures::={architecture}"]
        return ["flock", str(self.directory / "lock"), program, *options, *arguments]

    def update(self) -> bool:
        """Fetch the lists; return whether all of them arrived and verified.

        They do not where the mirror is out of reach, or in mid-update: then its lists do
        not match the signed Release.
        """
        before = LOG.stat().st_size if LOG.exists() else 0
        if not logged(LOG, f"reading the package lists of {self}",
                      self._command("apt-get", "update", "--error-on=any")):
            return True
        with LOG.open(errors="replace") as log:
            log.seek(before)
            errors = [line.rstrip("\n") for line in log if line.startswith("E:")]
        # The last one sums up
        for error in errors[-2:][:1]:
            print(f"    {error[:160]}", flush=True)
        return False

    def newest_package(self, regex: str) -> str:
        """Return the highest version among the names that match, or nothing."""
        names = output_of(*self._command("apt-cache", "pkgnames")).split()
        return max((name for name in names if re.fullmatch(regex, name)),
                   key=_version_key, default="")

    def package_field(self, package: str, field: str) -> str:
        """Return a field of PACKAGE[:ARCH][=VERSION]; nothing if the package lacks it."""
        try:
            shown = output_of(*self._command("apt-cache", "show", "--no-all-versions", package))
        except subprocess.CalledProcessError:
            raise LabError(f"there is no {package} in {self}") from None
        found = re.search(rf"^{re.escape(field)}: *(.*)$", shown, re.MULTILINE)
        return found[1] if found else ""

    def fetch(self, directory: Path, package: str) -> None:
        """Put the file of PACKAGE[:ARCH][=VERSION] into a directory."""
        size = in_si(int(self.package_field(package, "Size") or 0))
        title = re.sub(":.*=", " ", package)
        quietly(LOG, f"fetching {title} ({size})",
                self._command("apt-get", "download", package), cwd=directory,
                failure=f"{package.partition('=')[0]} could not be fetched")

    def fetch_all(self, directory: Path, packages: Sequence[str], *,
                  what: str, failure: str) -> list[Path]:
        """Put packages and what they depend on into a directory; return the files.

        what is the line of progress, failure the sentence if a package is missing.
        """
        (directory / "partial").mkdir(parents=True, exist_ok=True)
        quietly(LOG, what, self._command(
            "apt-get", "-o", f"Dir::Cache::archives={directory}/", "install", "--yes",
            "--download-only", "--no-install-recommends", *packages), failure=failure)
        return sorted(directory.glob("*.deb"))
