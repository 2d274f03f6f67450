# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/rootfs, with a fake mmdebstrap that records its arguments."""

from __future__ import annotations

import io
import os
import re
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from lab import rootfs
from lab.places import TOP, LabError

# The fake: record the arguments and the mode of the work directory, write the archive
MMDEBSTRAP = """#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$@" >"$here/arguments"
for argument; do
    case $argument in
    --extract-hook=*)
        hook=${argument#*=}
        [ -x "$hook" ] && ls "${hook%/*}" >"$here/packages"
        stat -c %a "${hook%/*/*}" >"$here/mode" ;;
    */bookworm.tar.new)
        echo new >"$argument" ;;
    esac
done
[ ! -e "$here/fails" ]
"""


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the archive, with the fake mmdebstrap and without a network."""
    (tmp_path / "mmdebstrap").write_text(MMDEBSTRAP)
    (tmp_path / "mmdebstrap").chmod(0o755)
    (tmp_path / "work").mkdir()

    def fetch_packages(packages: Path) -> None:
        for kind in rootfs.KINDS:
            (packages / kind).mkdir(parents=True)

    monkeypatch.setattr(rootfs, "fetch_packages", fetch_packages)
    monkeypatch.setattr(rootfs, "register_interpreter", lambda: None)
    monkeypatch.setattr(rootfs, "LOGS", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    monkeypatch.delenv("REFRESH", raising=False)
    return tmp_path / "bookworm.tar"


def make(out: Path) -> None:
    """Run scripts/rootfs without its progress messages."""
    with redirect_stdout(io.StringIO()):
        rootfs.main([str(out)])


def test_the_root_filesystem_has_all_build_dependencies() -> None:
    control = (TOP / "debian" / "control").read_text()
    needed = rootfs.build_depends()
    assert len(needed) >= 6
    assert all(re.search(rf"^ {re.escape(name)}( |,|$)", control, re.MULTILINE) for name in needed)
    assert set(needed) < set(rootfs.recipe().split())
    assert not re.search("[(),=]", " ".join(needed))


@pytest.mark.parametrize(("deb", "kind"), [
    ("dpkg_1.21.22_ppc64el.deb", "system"),
    ("linux-base_4.9_all.deb", "system"),
    ("linux-libc-dev_6.1.1-1_ppc64el.deb", "system"),
    ("linux-kbuild-6.12.9+deb12_6.12.9-1_ppc64el.deb", "kernels"),
    ("linux-headers-6.12.9+deb12-common_6.12.9-1_all.deb", "kernels"),
    ("linux-image-6.12.9+deb12-powerpc64le-64k_6.12.9-1_ppc64el.deb", "kernels"),
    ("linux-image-6.12.9+deb12-powerpc64le_6.12.9-1_ppc64el.deb", "later"),
    ("linux-headers-6.12.9+deb12-powerpc64le_6.12.9-1_ppc64el.deb", "later"),
])
def test_packages_are_sorted_by_the_stage_that_installs_them(deb: str, kind: str) -> None:
    assert rootfs.kind_of(Path(deb)) == kind


def test_an_archive_is_made_of_packages_that_another_user_can_read(out: Path,
                                                                   tmp_path: Path) -> None:
    make(out)
    assert out.read_text() == "new\n"
    assert (tmp_path / "mode").read_text() == "755\n"
    assert (tmp_path / "packages").read_text().split() == ["fill", "kernels", "later", "system"]
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize(("user", "mode"), [(0, "root"), (1000, "unshare")])
def test_only_root_needs_no_user_namespace(user: int, mode: str,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    command = rootfs.command_for(Path("/packages"), Path("/out"))
    assert f"--mode={mode}" in command
    assert "--extract-hook=/packages/fill" in command


def test_an_archive_of_the_same_packages_is_not_rebuilt(out: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    make(out)
    out.write_text("old")
    make(out)
    assert out.read_text() == "old"
    monkeypatch.setattr(rootfs, "SYSTEM", (*rootfs.SYSTEM, "hello"))
    make(out)
    assert out.read_text() == "new\n"


@pytest.mark.parametrize("reason", ["refresh", "no recipe", "no archive"])
def test_an_archive_is_rebuilt_on_refresh_or_if_incomplete(out: Path, reason: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    make(out)
    out.write_text("old")
    if reason == "refresh":
        monkeypatch.setenv("REFRESH", "1")
    else:
        (rootfs.recipe_file(out) if reason == "no recipe" else out).unlink()
    make(out)
    assert out.read_text() == "new\n"


def test_a_failed_build_keeps_the_old_archive(out: Path, tmp_path: Path) -> None:
    out.write_text("old")
    (tmp_path / "fails").touch()
    with pytest.raises(LabError, match="no root filesystem could be made"):
        make(out)
    assert out.read_text() == "old"
    assert not rootfs.recipe_file(out).exists()


def test_rootfs_takes_exactly_one_file() -> None:
    with pytest.raises(LabError, match="usage: scripts/rootfs FILE"):
        rootfs.main([])


def test_existing_mount_points_are_accepted(tmp_path: Path) -> None:
    for _ in range(2):
        subprocess.run(["sh", "-ec", rootfs.DIRECTORIES, "sh", tmp_path], check=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dev", "proc", "sys"]
