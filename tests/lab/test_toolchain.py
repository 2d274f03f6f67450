# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.toolchain: programs started through another loader, and when to fetch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab import toolchain
from lab.places import LabError
from lab.toolchain import arrange_compiler, need_sparse, need_toolchain, start_through_loader
from lab_fixtures import FakeApt, fake_apt, progress  # noqa: F401, fixtures

ELF = b"\x7fELF and more"
NAME = "powerpc64le-linux-gnu-gcc-16"


def write(file: Path, content: bytes, mode: int = 0o755) -> Path:
    """Write a file and make its directories."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Return a toolchain whose dynamic loader is a fake that prints its arguments."""
    root = tmp_path / "gcc-16"
    write(root / "usr/lib/x86/ld-linux-x86-64.so.2", b'#!/bin/sh\nprintf "%s\\n" "$@"\n')
    write(root / "usr/lib/x86/libc.so.6", ELF, 0o644)
    return root


def test_the_loader_starts_a_program_with_its_original_argv0(unpacked: Path,
                                                             tmp_path: Path) -> None:
    program = write(tmp_path / "bin/sub/as", ELF)
    start_through_loader(tmp_path / "bin", unpacked, Path("/final"))
    (tmp_path / "link").symlink_to(program)
    done = subprocess.run([tmp_path / "link", "-o", "a b"], capture_output=True, text=True,
                          check=True)
    assert done.stdout.splitlines() == [
        "--library-path", f"{unpacked}/usr/lib/x86", "--argv0", str(tmp_path / "link"),
        "/final/sub/as.elf", "-o", "a b"]
    assert program.with_name("as.elf").read_bytes() == ELF


@pytest.mark.parametrize(("name", "content", "mode"), [
    ("libcc1.so.0", ELF, 0o755), ("script", b"#!/bin/sh\n", 0o755), ("crt1.o", ELF, 0o644)],
    ids=["library", "script", "object"])
def test_files_that_are_no_programs_are_not_changed(name: str, content: bytes, mode: int,
                                                    unpacked: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "bin" / name, content, mode)
    start_through_loader(tmp_path / "bin", unpacked, tmp_path / "bin")
    assert file.read_bytes() == content
    assert os.listdir(tmp_path / "bin") == [name]


def test_a_toolchain_without_a_c_library_is_refused(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "usr/lib/x86/libc.so.6").unlink()
    with pytest.raises(LabError, match="has no libc.so.6"):
        start_through_loader(tmp_path, unpacked, tmp_path)


@pytest.mark.parametrize(("name", "is_needed"), [
    ("gcc-16-powerpc64le-linux-gnu_16_amd64.deb", True),
    ("libgcc-16-dev-ppc64el-cross_16_all.deb", True),
    ("libstdc++6-ppc64el-cross_16_all.deb", False),
    ("libc6_2.41_amd64.deb", True)])
def test_target_libraries_are_not_unpacked(name: str, is_needed: bool) -> None:
    assert toolchain._is_needed(Path(name)) == is_needed


@pytest.fixture
def archive_with_gcc(debian: FakeApt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    """Return an archive whose second suite has gcc-16, with a fake loader."""
    monkeypatch.setattr(toolchain, "LOG", tmp_path / "log")
    monkeypatch.delenv("REFRESH", raising=False)
    debian.has("trixie", "gcc-15-powerpc64le-linux-gnu")
    debian.has("forky", "gcc-16-powerpc64le-linux-gnu")
    debian.add_deb("gcc-16-powerpc64le-linux-gnu", {f"usr/bin/{NAME}": ELF.decode()})
    debian.add_deb("libc6", {"usr/lib/x86/ld-linux-x86-64.so.2": "#!/bin/sh\n",
                             "usr/lib/x86/libc.so.6": ELF.decode()})
    debian.add_deb("libstdc++6-ppc64el-cross", {"usr/lib/gcc-cross/libstdc++.so": ""})
    return debian


def test_a_compiler_is_installed_from_the_first_suite_that_has_it(
        archive_with_gcc: FakeApt) -> None:
    for file in archive_with_gcc.directory.glob("libstdc*.deb"):
        file.rename(file.with_name("libstdc++6-ppc64el-cross_16_all.deb"))
    need_toolchain("gcc-16")
    call, = archive_with_gcc.calls("install")
    assert "--download-only" in call and "apt/amd64+ppc64el" not in call
    assert call.endswith("gcc-16-powerpc64le-linux-gnu libelf1t64 libssl3t64 zlib1g")
    root = toolchain.toolchain_dir("gcc-16")
    assert f"{root}/usr/bin/{NAME}.elf" in (root / "usr/bin" / NAME).read_text()
    assert (root / "complete").exists() and not (root / "usr/lib/gcc-cross").exists()
    assert sorted(os.listdir(root.parent)) == ["gcc-16", "gcc-16.lock"]


def test_a_compiler_that_does_not_run_is_not_marked_complete(archive_with_gcc: FakeApt) -> None:
    archive_with_gcc.add_deb("libc6", {"usr/lib/x86/ld-linux-x86-64.so.2": "#!/bin/false\n"})
    with pytest.raises(LabError, match="^gcc-16 does not run on this machine$"):
        need_toolchain("gcc-16")
    assert not (toolchain.toolchain_dir("gcc-16") / "complete").exists()


def test_a_failed_download_names_the_compiler(archive_with_gcc: FakeApt) -> None:
    archive_with_gcc.breaks("forky")
    with pytest.raises(LabError, match="^gcc-16-powerpc64le-linux-gnu could not be fetched:"):
        need_toolchain("gcc-16")


def test_sparse_uses_the_c_library_of_the_compiler(archive_with_gcc: FakeApt) -> None:
    need_toolchain("gcc-16")
    archive_with_gcc.has("forky", "sparse", {"sparse": {"Size": "1"}})
    archive_with_gcc.add_deb("sparse", {"usr/bin/sparse": ELF.decode()})
    need_sparse("gcc-16")
    root = toolchain.toolchain_dir("gcc-16")
    script = (root / "usr/bin/sparse").read_text()
    assert f"--library-path {root}/usr/lib/x86 " in script
    assert f" {root}/usr/bin/sparse.elf " in script
    assert (root / "usr/bin/sparse.elf").exists() and not list(root.glob("sparse*"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that records each installation."""
    calls: list[str] = []

    def install(name: str) -> None:
        calls.append(name)
        write(toolchain.toolchain_dir(name) / "complete", b"")

    def install_sparse(directory: Path) -> None:
        calls.append("sparse")
        write(directory / "usr/bin/sparse", b"")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("REFRESH", raising=False)
    monkeypatch.setattr(toolchain, "_install", install)
    monkeypatch.setattr(toolchain, "_install_sparse", install_sparse)
    return calls


def test_a_compiler_in_the_cache_is_installed_again_only_for_refresh(
        installed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    need_toolchain("gcc-16")
    need_toolchain("gcc-16")
    assert installed == ["gcc-16"]
    monkeypatch.setenv("REFRESH", "1")
    need_toolchain("gcc-16")
    assert installed == ["gcc-16", "gcc-16"]


def test_an_interrupted_installation_is_repeated(installed: list[str]) -> None:
    write(toolchain.toolchain_dir("gcc-16") / "usr/bin" / NAME, ELF)
    need_toolchain("gcc-16")
    assert installed == ["gcc-16"]


def test_sparse_is_installed_once(installed: list[str]) -> None:
    need_sparse("gcc-16")
    need_sparse("gcc-16")
    assert installed == ["sparse"]


def test_a_compiler_on_path_is_used(installed: list[str], tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "bin" / NAME, ELF)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    arrange_compiler(tmp_path, "gcc-16")
    assert (tmp_path / "cc").read_text() == f"{NAME}\n"
    assert not (tmp_path / "path").exists() and not installed


def test_a_compiler_that_this_machine_lacks_is_installed(installed: list[str], tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    arrange_compiler(tmp_path, "gcc-16")
    assert (tmp_path / "cc").read_text() == f"{NAME}\n"
    assert (tmp_path / "path").read_text() == f"{toolchain.toolchain_dir('gcc-16')}/usr/bin\n"
    assert installed == ["gcc-16"]
