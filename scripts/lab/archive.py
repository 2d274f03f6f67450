# SPDX-License-Identifier: GPL-2.0-only
"""Read and download from Debian's archive, through a private apt.

Owns CACHE/apt: package lists and an empty package status for each choice of suites. Because
these are private, this module does not change the machine and does not need root. The
machine's own apt configuration supplies the URIs of the archive. apt verifies every
signature. Calls command and places.
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
# Suites whose lists expire within a week. Expired lists are accepted, because mirrors lag.
EXPIRING = ("forky", "sid", "experimental")
LOG = LOGS / "apt.log"
# Number of attempts on all choices of suites, and seconds between attempts
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
    """Return origin, release, component, kind and URI of each configured apt source."""
    form = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)"
    listed = output_of("apt-get", "indextargets", *options, "--format", form)
    return [line.split("|") for line in listed.splitlines()]


def _configured_uri(suite: str) -> str:
    """Return the URI that this machine has configured for a suite, or "".

    Before the first apt-get update the origin of a source is unknown. In this case the first
    URI of the suite is used.
    """
    for origin, release, component, _, uri in _configured_targets():
        if (origin, release, component) == ("Debian", suite, "main"):
            return uri
    for _, release, component, kind, uri in _configured_targets("--no-release-info"):
        if (release, component, kind) == (suite, "main", "Packages"):
            return uri
    return ""


def _source_line(suite: str) -> str:
    """Return a suite's line for sources.list, or "".

    If this machine's apt is not configured for the suite, use the mirror of the machine's
    own release. The security archive is on another server, so return "" for a security suite
    without configuration.
    """
    uri = _configured_uri(suite)
    if not uri and not suite.endswith("-security"):
        uri = _configured_uri(host_codename())
    options = f"signed-by={KEYS}"
    if suite in EXPIRING:
        options += " check-valid-until=no"
    return f"deb [{options}] {uri} {suite} main\n" if uri else ""


def _version_key(name: str) -> list[tuple[list[int], int]]:
    """Return a sort key that orders names by the versions in them, as dpkg does.

    In the key, texts and numbers alternate. In a text, "~" sorts before the end, the end
    before letters, and letters before all other characters.
    """
    def weight(character: str) -> int:
        if character == "~":
            return -1
        return ord(character) + (0 if character.isalpha() else 256)

    return [([*map(weight, text), 0], int(number or 0))
            for text, number in re.findall(r"(\D*)(\d*)", name)]


class Apt:
    """A private apt for some of Debian's suites and one or two architectures.

    suites are joined by "+". native is the architecture that apt takes for this machine's:
    the names of its packages need no suffix, and dependencies are resolved for it. foreign
    is the second architecture, or empty.
    """

    def __init__(self, suites: str, *, native: str = "", foreign: str = POWER) -> None:
        self.suites = suites
        self._native = native or host_architecture()
        self._architectures = [self._native, *([foreign] if foreign else [])]
        # One directory per architecture list: apt-get update removes other architectures' lists
        self.directory = cache_dir() / "apt" / "+".join(self._architectures) / suites
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        self._write_sources()

    @classmethod
    def first_with(cls, regex: str, choices: Sequence[str], *,
                   native: str = "", foreign: str = POWER) -> Apt:
        """Return an Apt for the first choice of suites that has a matching package.

        The package lists of the suites must verify. regex must match the whole name of a
        package. If regex is empty, no package is searched.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                say(f"trying again in {PAUSE} s")
                time.sleep(PAUSE)
            are_verified = True
            for choice in choices:
                apt = cls(choice, native=native, foreign=foreign)
                if not apt.update():
                    say(f"apt cannot verify {apt} on this mirror now")
                    are_verified = False
                elif regex and not apt.newest_package(regex):
                    say(f"{apt} has no {regex}")
                else:
                    return apt
            if are_verified:
                raise LabError(f"there is no {regex} in any of: {' '.join(choices)}")
        sought = f" (for a {regex})" if regex else ""
        raise LabError(f"apt cannot read and verify any of: {' '.join(choices)}{sought}; "
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
        # Write a new file and rename it, because another process may be reading the list
        new = self.directory / f"sources.list.{os.getpid()}"
        new.write_text(lines)
        new.replace(self.directory / "sources.list")

    @property
    def source_options(self) -> list[str]:
        """The apt options that select the package sources; the package status is not set."""
        return [
            "-o", f"Dir::Etc::sourcelist={self.directory}/sources.list",
            "-o", f"Dir::Etc::sourceparts={self.directory}/parts",
            "-o", f"Dir::State::lists={self.directory}/lists",
            "-o", "Acquire::Languages=none",
            "-o", "Acquire::Retries=3",
        ]

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line for apt-get or apt-cache.

        The command takes a lock, because one of two concurrent runs of apt fails.
        """
        options = [
            *self.source_options,
            "-o", "Dir::Etc::preferences=/dev/null",
            "-o", f"Dir::Etc::preferencesparts={self.directory}/parts",
            "-o", f"Dir::State={self.directory}",
            "-o", f"Dir::State::status={self.directory}/status",
            "-o", f"Dir::Cache={self.directory}/cache",
            # Container images disable these caches; without them each query takes seconds
            "-o", "Dir::Cache::pkgcache=pkgcache.bin",
            "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin",
            "-o", f"APT::Architecture={self._native}",
            # Run as the caller: apt's sandbox user cannot enter the home directory with the cache
            "-o", "APT::Sandbox::User=",
        ]
        for architecture in self._architectures:
            options += ["-o", f"APT::Architectures::={architecture}"]
        return ["flock", str(self.directory / "lock"), program, *options, *arguments]

    def update(self) -> bool:
        """Fetch the lists; return True if all of them arrived and verified.

        Return False if the mirror is unreachable, or if the mirror is being updated, so that
        its lists do not match the signed Release.
        """
        before = LOG.stat().st_size if LOG.exists() else 0
        if not logged(LOG, f"reading the package lists of {self}",
                      self._command("apt-get", "update", "--error-on=any")):
            return True
        with LOG.open(errors="replace") as log:
            log.seek(before)
            errors = [line.rstrip("\n") for line in log if line.startswith("E:")]
        # Print the error before the last error, which only summarizes earlier errors
        for error in errors[-2:][:1]:
            print(f"    {error[:160]}", flush=True)
        return False

    def newest_package(self, regex: str) -> str:
        """Return the matching package name with the highest version in it, or ""."""
        names = output_of(*self._command("apt-cache", "pkgnames")).split()
        return max((name for name in names if re.fullmatch(regex, name)),
                   key=_version_key, default="")

    def package_field(self, package: str, field: str) -> str:
        """Return a field of PACKAGE[:ARCH][=VERSION], or "" if the package lacks the field."""
        try:
            shown = output_of(*self._command("apt-cache", "show", "--no-all-versions", package))
        except subprocess.CalledProcessError:
            raise LabError(f"there is no {package} in {self}") from None
        found = re.search(rf"^{re.escape(field)}: *(.*)$", shown, re.MULTILINE)
        return found[1] if found else ""

    def fetch(self, directory: Path, package: str) -> None:
        """Download the .deb of PACKAGE[:ARCH][=VERSION] into a directory."""
        size = in_si(int(self.package_field(package, "Size") or 0))
        title = re.sub(":.*=", " ", package)
        quietly(LOG, f"fetching {title} ({size})",
                self._command("apt-get", "download", package), cwd=directory,
                failure=f"{package.partition('=')[0]} could not be fetched")

    def fetch_all(self, directory: Path, packages: Sequence[str], *,
                  what: str, failure: str) -> list[Path]:
        """Download packages and their dependencies into a directory; return the files.

        The argument what describes the step, failure is the error message.
        """
        (directory / "partial").mkdir(parents=True, exist_ok=True)
        quietly(LOG, what, self._command(
            "apt-get", "-o", f"Dir::Cache::archives={directory}/", "install", "--yes",
            "--download-only", "--no-install-recommends", *packages), failure=failure)
        return sorted(directory.glob("*.deb"))
