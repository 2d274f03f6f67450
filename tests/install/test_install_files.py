# SPDX-License-Identifier: GPL-2.0-only
"""Test `make install`: paths of the files, refusals, and clean-up after a failure."""

from __future__ import annotations

import shutil
import stat

import pytest
from install_host import FAILED, NO_TOOLS, Host, files_below, is_installed

from lab.labels import release
from runner.command import run

pytest_plugins = ["install_fixtures"]


def test_a_relative_destdir_is_relative_to_the_sources(built_host: Host) -> None:
    stage = built_host.sources / "stage"
    built_host.make("DESTDIR=stage", "install").expect(0)
    assert is_installed(stage)
    assert (stage / "usr/local/lib/modprobe.d/vfio-spapr-tce2.conf").exists()
    assert (stage / "usr/local/sbin/tce2-preflight").exists()
    assert (stage / "usr/local/sbin/tce2ctl").exists()
    assert not (built_host.kernel.build / "stage").exists()
    assert not (built_host.sources / "tools/preflight/stage").exists()
    built_host.make("DESTDIR=stage", "uninstall").expect(0)
    assert not files_below(stage)


def test_install_mod_path_is_an_alias_of_destdir(built_host: Host) -> None:
    stage = built_host.sources / "stage"
    built_host.make("INSTALL_MOD_PATH=stage", "modules_install").expect(0)
    assert is_installed(stage)
    assert len(files_below(stage)) == 1


def test_a_relative_prefix_is_refused(built_host: Host) -> None:
    built_host.install("prefix=opt").expect(FAILED, "prefix must be an absolute path")
    assert not files_below(built_host.root)


def test_without_a_module_nothing_is_installed(host: Host) -> None:
    host.refuses_to_install("no module has been built here for the kernel")


def test_a_module_of_another_release_is_not_installed(built_host: Host) -> None:
    built_host.kernel.change("build/include/config/kernel.release", r"\A", "9")
    built_host.refuses_to_install(
        f"the module here was built for the kernel {release(built_host.label)}")


def test_a_module_of_another_page_size_is_not_installed(built_host: Host) -> None:
    """Both kernels have the same release, which is possible with the user's own kernels."""
    built_host.kernel.change("build/include/generated/autoconf.h", r"(PAGE_SHIFT) [0-9]+",
                             r"\1 9")
    built_host.refuses_to_install("was built for another kernel")


@pytest.mark.parametrize("target", ["all", "modules", "install", "modules_install"])
def test_make_reports_missing_headers(target: str, host: Host) -> None:
    shutil.rmtree(host.kernel.top)
    host.make(target).expect(FAILED, f"{host.kernel.build} is no build tree of a kernel")


# The order in which the module and the udev rule are installed is not fixed. In one of the two
# cases the failure comes after other files and directories were made.
@pytest.mark.parametrize("name", ["usr/local/lib/udev", "lib/modules"])
def test_a_failed_installation_leaves_no_file(name: str, built_host: Host) -> None:
    """Cause the failure by a regular file in place of a directory that must be made."""
    in_the_way = built_host.root / name
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    before = sorted(built_host.root.rglob("*"))
    built_host.install(NO_TOOLS).expect(FAILED, "nothing has been installed")
    assert sorted(built_host.root.rglob("*")) == before


def test_without_libkmod_all_files_except_the_tools_are_installed(built_host: Host) -> None:
    built_host.install(NO_TOOLS).expect(0, "preflight is left out: libkmod")
    assert is_installed(built_host.root)
    assert len(files_below(built_host.root)) == 3


def test_all_users_can_read_what_umask_077_installs(built_host: Host) -> None:
    command = built_host.command(f"DESTDIR={built_host.root}", NO_TOOLS, "install")
    run("sh", "-c", 'umask 077 && exec "$@"', "-", *command,
        env=built_host.settings()).expect(0)
    assert is_installed(built_host.root)
    for path in (built_host.root, *built_host.root.rglob("*")):
        mode = path.lstat().st_mode
        needed = 0o555 if stat.S_ISDIR(mode) else 0o444
        assert mode & needed == needed, f"{path} has mode {mode:o}"


def test_uninstall_needs_no_headers(built_host: Host) -> None:
    built_host.install(NO_TOOLS).expect(0)
    assert is_installed(built_host.root)
    shutil.rmtree(built_host.kernel.top)
    built_host.install(target="uninstall").expect(0)
    assert not files_below(built_host.root)
