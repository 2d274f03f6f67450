# SPDX-License-Identifier: GPL-2.0-only
"""Tests of lab.chroot: qemu-user and the environment of programs in a root filesystem."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import chroot
from lab.places import LabError


@pytest.fixture
def binfmt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that replaces binfmt_misc, with a fake of qemu-user."""
    (tmp_path / "register").touch()
    (tmp_path / chroot.EMULATOR).touch(0o755)
    monkeypatch.setattr(chroot, "BINFMT", tmp_path)
    monkeypatch.setattr(chroot, "as_root", lambda: [])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_qemu_user_is_registered_once_with_the_f_flag(binfmt: Path) -> None:
    chroot.register_interpreter()
    written = (binfmt / "register").read_text()
    assert written.startswith(r":qemu-ppc64le:M::\x7f\x45\x4c\x46\x02\x01\x01\x00")
    assert written.endswith(f":{binfmt}/{chroot.EMULATOR}:F")
    (binfmt / "register").write_text("")
    (binfmt / "qemu-ppc64le").touch()
    chroot.register_interpreter()
    assert (binfmt / "register").read_text() == ""


def test_sudo_asks_for_its_password_where_it_can_read_one(
        binfmt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo can read the password only in the foreground process group of the terminal."""
    sudo = binfmt / "sudo"
    sudo.write_text('#!/bin/sh\necho "$1 $(cut -d " " -f 5 /proc/$$/stat)" >>"${0%/*}/asked"\n')
    sudo.chmod(0o755)
    monkeypatch.setattr(chroot, "as_root", lambda: ["sudo"])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    chroot.register_interpreter()
    first, second = (line.split() for line in (binfmt / "asked").read_text().splitlines())
    assert first == ["-v", str(os.getpgrp())]
    assert second[0] == "sh" and second[1] != first[1]


def test_without_qemu_user_the_error_names_its_package(binfmt: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    (binfmt / chroot.EMULATOR).unlink()
    monkeypatch.setenv("PATH", str(binfmt))
    with pytest.raises(LabError, match="install the package qemu-user-static"):
        chroot.register_interpreter()


def test_programs_in_a_root_do_not_inherit_the_callers_environment(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroot, "as_root", lambda: [])
    command = chroot.command_in(Path("/root"), ["dpkg", "-l"], uname="6.12")
    start = command.index("env")
    assert command[start:start + 2] == ["env", "-i"]
    assert "QEMU_UNAME=6.12" in command and "DEBIAN_FRONTEND=noninteractive" in command
    assert command[-3:] == ["/root", "dpkg", "-l"]
    assert not [word for word in chroot.command_in(Path("/root"), ["true"])
                if word.startswith("QEMU_UNAME")]
