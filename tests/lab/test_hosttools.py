# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.hosttools and scripts/hosttools: missing packages and their installation."""

from __future__ import annotations

import glob
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import hosttools
from lab.hosttools import MODES, host_suites, missing, need_tools, qemu_packages, requests
from lab.places import SCRIPTS, LabError
from lab_fixtures import FakeApt, fake_apt, progress  # noqa: F401, fixtures

CROSS = ("make gcc-12-powerpc64le-linux-gnu kmod xz-utils bc libelf1 libssl3")
GUESTS = ("libc6-dev-ppc64el-cross linux-libc-dev-ppc64el-cross device-tree-compiler cpio "
          "qemu-system-ppc")
PREFLIGHT = ("pkgconf libjson-c-dev libkmod-dev libncurses-dev libbpf-dev liblzma-dev libzstd-dev "
             "zlib1g-dev openssl zstd")
DEB = f"build-essential dpkg-dev fakeroot debhelper dh-dkms lintian {PREFLIGHT}"
EXPECTED = {
    "": f"{CROSS} {GUESTS}",
    "build": CROSS,
    "pytest": "python3-pytest",
    "unit": "make gcc libc6-dev libcmocka-dev python3-pytest",
    "quick": "make gcc libc6-dev libcmocka-dev python3-pytest cpio",
    "check": f"{CROSS} {GUESTS} gcc libc6-dev libcmocka-dev python3-pytest busybox git "
             f"python3-yaml {PREFLIGHT}",
    "fuzz": f"{CROSS} {GUESTS} clang-14 libclang-rt-14-dev",
    "lint": f"{CROSS} {GUESTS} python3-pytest mypy flake8 sparse shellcheck mandoc perl "
            f"coccinelle clang-19 gcc libc6-dev libcmocka-dev {PREFLIGHT}",
    "kernel": f"{CROSS} {GUESTS} gcc libc6-dev flex bison libssl-dev libelf-dev",
    "deb": f"{CROSS} {GUESTS} {DEB}",
    "rpm": f"{CROSS} {GUESTS} rpm gcc",
    "dkms": f"{CROSS} {GUESTS} qemu-user-static mmdebstrap uidmap e2fsprogs {DEB}",
    "docs": "python3-sphinx furo graphviz perl",
}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a bare machine; return its empty directory, the only one on PATH."""
    directory = tmp_path / "empty"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(glob, "glob", lambda _: [])
    # Replace absolute paths of tools, for which PATH is ignored
    starting = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: starting(
        ["no-such-program" if command[0] == hosttools.SYSTEM_PYTHON else command[0],
         *command[1:]], **options))
    return directory


def test_every_mode_has_its_list() -> None:
    assert set(EXPECTED) == set(MODES)


@pytest.mark.parametrize("mode", EXPECTED)
def test_a_bare_machine_lacks_each_package_once(mode: str, bare: Path) -> None:
    assert " ".join(missing(mode)) == EXPECTED[mode]


@pytest.mark.parametrize("mode", EXPECTED)
def test_a_machine_with_all_tools_lacks_nothing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(glob, "glob", lambda pattern: [pattern])
    monkeypatch.setattr(hosttools, "said_by",
                        lambda *_: "there: version 10.0 libelf.so.1 libssl.so.3")
    assert not missing(mode)


@pytest.mark.parametrize(("version", "is_missing"), [
    ("7.2.17", True), ("9.2.0", True), ("10.0.8", False), ("11.0.0", False), ("", True)])
def test_an_old_qemu_is_missing(version: str, is_missing: bool, bare: Path) -> None:
    qemu = bare / "qemu-system-ppc64"
    qemu.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version} (Debian 1)'\n")
    qemu.chmod(0o755)
    assert ("qemu-system-ppc" in missing("")) == is_missing


def test_all_qemu_packages_are_requested_together() -> None:
    assert qemu_packages("installed qemu-system-x86\nconfig-files qemu-system-arm\n") == [
        "qemu-system-common", "qemu-system-data", "qemu-system-ppc", "qemu-system-x86"]


@pytest.mark.parametrize(("codename", "wanted"), [
    ("bookworm", ["bc", "qemu-system-common/bookworm-backports",
                  "qemu-system-data/bookworm-backports", "qemu-system-ppc/bookworm-backports"]),
    ("trixie", ["bc", "qemu-system-ppc"])])
def test_only_bookworm_gets_qemu_from_its_backports(codename: str, wanted: list[str],
                                                    bare: Path) -> None:
    assert requests(["bc", "qemu-system-ppc"], codename) == wanted


def test_the_second_choice_omits_suites_that_a_mirror_may_lack() -> None:
    assert host_suites("bookworm")[1] == "bookworm+bookworm-backports"
    assert host_suites("trixie") == ["trixie+trixie-updates+trixie-security", "trixie"]


def test_an_unknown_mode_prints_the_usage() -> None:
    for arguments in (["units"], ["unit", "check"]):
        with pytest.raises(LabError, match=r"^usage: scripts/hosttools \[python\|build\|"):
            hosttools.main(arguments)


@pytest.fixture
def lacks_bc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, debian: FakeApt) -> FakeApt:
    """Return the fake apt of a machine that lacks only bc, until apt installs it."""
    monkeypatch.setattr(hosttools, "host_codename", lambda: "bookworm")
    monkeypatch.setattr(hosttools, "LOGS", tmp_path)
    monkeypatch.setattr(hosttools, "missing",
                        lambda _: [] if debian.calls("install") else ["bc"])
    return debian


def test_missing_packages_are_installed_with_private_package_lists(
        lacks_bc: FakeApt, said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    need_tools()
    call, = lacks_bc.calls("install")
    assert call.endswith("install --yes --no-install-recommends --no-remove bc")
    assert "Dir::State::lists=" in call and "Dir::State::status=" not in call
    lines = [line.partition("] ")[2] for line in said.getvalue().splitlines()]
    assert lines[:2] == ["host tools missing: bc", "apt-get is going to install bc"]
    assert lines[-1] == "host tools: all there"


def test_a_package_that_is_still_missing_is_named(lacks_bc: FakeApt,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(hosttools, "missing", lambda _: ["bc"])
    with pytest.raises(LabError, match="^still missing: bc$"):
        need_tools()


def test_without_sudo_the_error_names_the_packages_to_install(
        lacks_bc: FakeApt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LabError, match="needs root or sudo: apt-get install bc"):
        need_tools()
    assert not lacks_bc.calls("install")


# Tests of scripts/hosttools itself, the launcher, on a machine without Python

APT_GET = """#!/bin/sh
echo "$*" >>{here}/calls
case " $* " in
*" install "*) ln -s {python} {here}/python3 ;;
esac
"""


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """Return a copy of scripts/hosttools whose Python does not exist until apt installs it."""
    scripts = tmp_path / "scripts"
    (scripts / "lab").mkdir(parents=True)
    for name in ("lib.sh", "usable-path", "lab/labels.txt", "hosttools"):
        shutil.copy(SCRIPTS / name, scripts / name)
    program = scripts / "hosttools"
    program.write_text(program.read_text().replace("/usr/bin/python3", f"{tmp_path}/python3"))
    (tmp_path / "bin").mkdir()
    apt_get = tmp_path / "bin" / "apt-get"
    apt_get.write_text(APT_GET.format(here=tmp_path, python=sys.executable))
    id_of_root = tmp_path / "bin" / "id"
    id_of_root.write_text("#!/bin/sh\necho 0\n")
    for file in (apt_get, id_of_root):
        file.chmod(0o755)
    return program


def launch(launcher: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher with the fake apt-get."""
    top = launcher.parents[1]
    return subprocess.run(
        [launcher, *arguments], text=True, check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": f"{top}/bin:/usr/bin:/bin", "XDG_CACHE_HOME": f"{top}/cache"})


def test_python_is_installed_with_private_package_lists(launcher: Path, tmp_path: Path) -> None:
    done = launch(launcher, "python")
    assert done.returncode == 0 and "host tools missing: python3" in done.stdout
    update, install = (tmp_path / "calls").read_text().splitlines()
    lists = f"Dir::State::lists={tmp_path}/cache/vfio-spapr-tce2/apt/python"
    assert lists in update and update.endswith(" update")
    assert lists in install
    assert install.endswith("install --yes --no-install-recommends --no-remove python3")
    assert launch(launcher, "python").stdout == ""


def test_the_modes_run_in_python(launcher: Path, tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    package = launcher.parent / "lab"
    package.joinpath("__init__.py").touch()
    package.joinpath("command.py").write_text("def run_main(main): main()\n")
    package.joinpath("hosttools.py").write_text(
        "import sys\ndef main(): print(sys.argv[1:], sys.dont_write_bytecode)\n")
    assert launch(launcher, "unit").stdout == "['unit'] True\n"
    assert not (tmp_path / "calls").exists()


def test_python_still_missing_after_the_installation_is_an_error(launcher: Path,
                                                                 tmp_path: Path) -> None:
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\n")
    done = launch(launcher, "unit")
    assert done.returncode == 1 and "error: still missing: python3" in done.stdout
