# SPDX-License-Identifier: GPL-2.0-only
"""Test that source packages contain no results of an in-place build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from install_host import Host, files_below, script_settings, write_program

from runner.command import run

pytest_plugins = ["install_fixtures"]


def packed(host: Host, kind: str, programs: Path) -> list[str]:
    """Return the files of the source package that scripts/package makes.

    Fakes that do nothing replace the programs that would build binary packages from the source
    package.
    """
    for name in ("dpkg-buildpackage", "lintian", "rpmbuild"):
        write_program(programs / name)
    run(host.sources / "scripts" / "package", kind,
        env=script_settings(PATH=f"{programs}:{os.environ['PATH']}")).expect(0)
    tree, = (path for path in (host.sources / "build" / kind).glob("vfio-*") if path.is_dir())
    return files_below(tree)


@pytest.mark.parametrize("is_git", [False, True], ids=["from_a_tarball", "from_git"])
@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_source_packages_contain_no_build_results(kind: str, is_git: bool, work: Path,
                                                  built_host: Host, clean_sources: Path) -> None:
    for name in ("preflight/file.o", "preflight/tce2-preflight", "tce2ctl/tce2ctl"):
        (built_host.sources / "tools" / name).touch()
    if is_git:
        run("git", "init", "-q", built_host.sources).expect(0)
    assert packed(built_host, kind, work / "bin") == files_below(clean_sources)
