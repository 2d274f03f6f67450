# SPDX-License-Identifier: GPL-2.0-only
"""The fixtures that several files of tests/dkms share."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dkms_root import LOG, TARBALL, Packages, Root, outside, unpack
from lab.chroot import register_interpreter
from lab.command import without_settings
from lab.places import LOGS, SCRIPTS, TOP
from runner.row import build


@pytest.fixture(scope="session")
def packages() -> Packages:
    """Make the Debian packages of both versions."""
    found = re.search(r'^PACKAGE_VERSION="(.*)"', (TOP / "dkms.conf").read_text(), re.MULTILINE)
    assert found
    head, _, last = found[1].rpartition(".")
    made = Packages(found[1], f"{head}.{int(last) + 1}")
    log = LOGS / "dkms-packages.log"
    build(log, f"Debian packages of version {made.old}", [str(SCRIPTS / "package"), "deb"])
    build(log, f"Debian packages of version {made.new}",
          [str(SCRIPTS / "package"), "deb", made.new])
    return made


@pytest.fixture(scope="session")
def root(packages: Packages) -> Iterator[Root]:
    """Return the root filesystem, which all tests of a session change."""
    # Register before a build, because a build's programs cannot ask for sudo's password
    register_interpreter()
    build(LOGS / "dkms-rootfs.log", "root filesystem of packages",
          [str(SCRIPTS / "rootfs"), str(TARBALL)])
    build(LOGS / "dkms-programs.log", "client of the boots",
          [str(SCRIPTS / "programs"), "which-backend"])
    LOG.unlink(missing_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="tce2-dkms.",
                                      dir=without_settings().get("TMPDIR", "/var/tmp")))
    try:
        directory.chmod(0o755)
        yield unpack(directory, packages)
    finally:
        outside("rm", "-rf", "--one-file-system", directory)
