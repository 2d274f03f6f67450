# SPDX-License-Identifier: GPL-2.0-only
"""Test make install, make uninstall and the RPMs, cross-built on this machine."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path

import pytest

from dkms_root import DEBS, NAME, OURS, STAGE, Packages, skip_if_kept
from lab import labels
from lab.command import CROSS
from lab.places import BUILD, LOGS, SCRIPTS
from runner.command import Done, run
from runner.row import build

pytest_plugins = ["dkms_fixtures"]
skip_if_kept()

LABEL = "6.12-64k"
DEST = STAGE / "dest"
RPMS = STAGE / "rpm"
TOPDIR = RPMS / "kmod"


def kbuild_options() -> list[str]:
    """Return the kbuild variables for a cross-build."""
    return ["ARCH=powerpc", f"CROSS_COMPILE={CROSS}", f"CC={labels.compiler(LABEL)}"]


def files_in(directory: Path) -> list[str]:
    """Return the sorted paths of the files in a directory, relative to the directory."""
    return sorted(f"/{path.relative_to(directory)}" for path in directory.rglob("*")
                  if not path.is_dir())


class Tree:
    """A copy of the sources, in which make runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self, *targets: str) -> Done:
        """Run make for the kernel, with DESTDIR."""
        return run("make", "-C", self.directory, f"KDIR={labels.builddir(LABEL)}",
                   *kbuild_options(), f"DESTDIR={DEST}", *targets)


@pytest.fixture(scope="module")
def release() -> str:
    """Return the release of the kernel that the modules are for."""
    build(LOGS / f"kernel-{LABEL}.log", f"kernel {LABEL}", [str(SCRIPTS / "kernel"), LABEL])
    return labels.release(LABEL)


@pytest.fixture(scope="module")
def tree(packages: Packages, release: str) -> Tree:
    """Return the source tree from which the Debian packages were made."""
    del release
    shutil.rmtree(DEST, ignore_errors=True)
    return Tree(DEBS / f"{NAME}-{packages.old}")


@pytest.fixture(scope="module")
def built(tree: Tree) -> Done:
    """Build the module in the tree."""
    return tree.make("modules")


@pytest.fixture(scope="module")
def installed(tree: Tree, built: Done) -> tuple[Done, list[str]]:
    """Run make install; return its result and the files in DESTDIR."""
    del built
    done = tree.make("install", "prefix=/opt")
    return done, files_in(DEST)


@pytest.fixture(scope="module")
def uninstalled(tree: Tree, installed: tuple[Done, list[str]]) -> tuple[Done, list[str]]:
    """Run make uninstall; return its result and the files left in DESTDIR."""
    del installed
    done = tree.make("uninstall", "prefix=/opt")
    left = files_in(DEST)
    tree.make("clean")
    return done, left


def test_the_module_builds_in_place(built: Done) -> None:
    built.expect(0)


def test_make_install_works_with_destdir_and_prefix(
        installed: tuple[Done, list[str]]) -> None:
    installed[0].expect(0)


def test_make_install_installs_module_configuration_programs_and_nothing_else(
        installed: tuple[Done, list[str]], release: str) -> None:
    wanted = [f"/lib/modules/{release}/updates/{OURS}.ko*",
              "/opt/lib/modprobe.d/vfio-spapr-tce2.conf",
              "/opt/lib/udev/rules.d/70-vfio-spapr-tce2.rules",
              "/opt/sbin/tce2-preflight", "/opt/sbin/tce2ctl",
              "/opt/share/bash-completion/completions/tce2ctl",
              "/opt/share/man/man8/tce2-preflight.8", "/opt/share/man/man8/tce2ctl.8"]
    found = installed[1]
    assert len(found) == len(wanted), found
    assert all(map(fnmatch.fnmatchcase, found, wanted)), found


def test_make_uninstall_works(uninstalled: tuple[Done, list[str]]) -> None:
    uninstalled[0].expect(0)


def test_make_uninstall_leaves_no_file(uninstalled: tuple[Done, list[str]]) -> None:
    uninstalled[0].expect(0)
    assert not uninstalled[1]


@pytest.fixture(scope="module")
def rpms() -> Done:
    """Make the RPMs."""
    shutil.rmtree(RPMS, ignore_errors=True)
    done = run(SCRIPTS / "package", "rpm")
    shutil.copytree(BUILD / "rpm/RPMS", RPMS / "all")
    return done


@pytest.fixture(scope="module")
def akmod(rpms: Done) -> Done:
    """Unpack the akmod package."""
    del rpms
    directory = RPMS / "akmod"
    directory.mkdir()
    return run("bash", "-o", "pipefail", "-c", 'rpm2cpio "$0" | cpio --quiet -id',
               *RPMS.glob("all/*/akmod-*.rpm"), cwd=directory)


@pytest.fixture(scope="module")
def kmod(akmod: Done, release: str) -> Done:
    """Build the kmod package from the source package that the akmod package contains."""
    del akmod
    return run("rpmbuild", "--rebuild", "--nodeps", "--target", "ppc64le-linux",
               "--define", f"_topdir {TOPDIR}", "--define", f"kernels {release}",
               "--define", f"kernel_dir {labels.builddir(LABEL)}",
               "--define", f"kbuild_options {' '.join(kbuild_options())}",
               *RPMS.glob("akmod/usr/src/akmods/*.src.rpm"))


def expect_in_rpm(name: str, pattern: str) -> None:
    """Fail unless the RPM with a name has a file whose whole path matches a pattern."""
    files = [*RPMS.rglob(f"{name}-[0-9]*.rpm")]
    assert files, f"there is no package {name}"
    run("rpm", "-qpl", *files).expect(0, f"^{pattern}$")


def test_rpmbuild_accepts_the_spec(rpms: Done) -> None:
    rpms.expect(0)


def test_the_dkms_rpm_has_the_source(rpms: Done) -> None:
    rpms.expect(0)
    expect_in_rpm(f"dkms-{NAME}", "/usr/src/vfio-spapr-tce2-.*/dkms.conf")


def test_the_common_rpm_has_the_configuration_of_modprobe(rpms: Done) -> None:
    rpms.expect(0)
    expect_in_rpm(NAME, "/usr/lib/modprobe.d/vfio-spapr-tce2.conf")


def test_the_akmod_rpm_has_a_source_package(akmod: Done) -> None:
    akmod.expect(0)
    assert [*RPMS.glob("akmod/usr/src/akmods/*.src.rpm")]


def test_the_source_package_of_the_akmod_rpm_builds_a_kmod_rpm(kmod: Done) -> None:
    kmod.expect(0)


def test_the_kmod_rpm_has_the_module_where_akmods_looks_for_it(kmod: Done,
                                                               release: str) -> None:
    kmod.expect(0)
    expect_in_rpm(f"kmod-{NAME}-{release}".replace("+", "[+]"),
                  f"/lib/modules/{release.replace('+', '[+]')}/extra/{NAME}/{OURS}.ko")
