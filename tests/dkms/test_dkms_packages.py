# SPDX-License-Identifier: GPL-2.0-only
"""Install, upgrade and purge the dkms package and kernels with real dpkg, dkms and kmod.

The tests run first with the dkms of the root filesystem's release, then with the dkms of the
next release. Each case begins in the state that the previous case has left, so a run of the
whole file installs nothing twice. If a case runs alone, its fixtures set up its state: they
check dpkg's status, and install or purge packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from dkms_root import NAME, PACKAGE, Packages, Root, skip_if_kept
from runner.command import Done

pytest_plugins = ["dkms_fixtures"]
skip_if_kept()

# A warning of readelf about Debian's headers packages under dkms 3.0. Remove it together with
# the workaround for dkms 3.0 in dkms.conf
KNOWN = "readelf: Warning: Section '.comment' was not dumped"
WARNING = re.compile("warn|deprecat|error|bad ", re.IGNORECASE)
# The status of dkms for a kernel that BUILD_EXCLUSIVE_* in dkms.conf excludes
EXCLUDED = 77
# A kernel release below the range of dkms.conf, and a release above the range
FOREIGN = ("5.10.0-99-powerpc64le", "8.0.0-1-powerpc64le")


def expect_no_warnings(done: Done) -> None:
    """Fail if the output contains an unknown warning."""
    found = [line for line in done.output.splitlines()
             if WARNING.search(line) and KNOWN not in line]
    assert not found


@pytest.fixture(scope="class")
def dkms(root: Root) -> None:
    """Use the dkms of the release. Classes for another dkms override this fixture."""
    assert root.version_of("dkms").startswith("3.0"), "the next release's dkms is installed"


def use_next_dkms(root: Root) -> None:
    """Install the later kernel, then the next release's dkms."""
    root.have(*root.later_packages)
    root.have(root.package("dkms"))


@pytest.fixture(scope="class")
def installed(dkms: None, root: Root, packages: Packages) -> Done:
    """Install the old version of the package."""
    del dkms
    root.have_not(PACKAGE)
    return root.install(packages.deb(packages.old))


@pytest.fixture(scope="class")
def upgraded(installed: Done, root: Root, packages: Packages) -> Done:
    """Upgrade the package to the new version."""
    del installed
    return root.install(packages.deb(packages.new))


class PackageCases:
    """Cases of the package that must pass with each dkms."""

    def test_the_package_installs(self, installed: Done) -> None:
        installed.expect(0)

    def test_dkms_has_no_warning_about_the_package(self, installed: Done) -> None:
        installed.expect(0)
        expect_no_warnings(installed)

    def test_the_module_is_installed(self, installed: Done, root: Root, packages: Packages) -> None:
        del installed
        root.expect_module(root.kernel, packages.old)

    def test_the_module_is_signed_with_the_key_of_dkms(self, installed: Done, root: Root) -> None:
        del installed
        root.expect_signed(root.kernel)

    def test_the_package_is_upgraded(self, upgraded: Done) -> None:
        upgraded.expect(0)

    def test_dkms_has_no_warning_about_the_upgrade(self, upgraded: Done) -> None:
        upgraded.expect(0)
        expect_no_warnings(upgraded)

    def test_the_new_version_of_the_module_is_installed(self, upgraded: Done, root: Root,
                                                        packages: Packages) -> None:
        del upgraded
        root.expect_module(root.kernel, packages.new)

    def test_dkms_has_no_entry_of_the_old_version(self, upgraded: Done, root: Root,
                                                  packages: Packages) -> None:
        del upgraded
        assert f"{NAME}/{packages.old}," not in root.output_of("dkms", "status")


# The postinst of a headers package, which runs the same hooks as the postinst of Debian's
POSTINST = """#!/bin/sh
set -e
run-parts --report --exit-on-error --arg={0} /etc/kernel/header_postinst.d
"""
CONTROL = """Package: linux-headers-{0}
Version: 1
Architecture: all
Maintainer: Test
Description: headers of a kernel that does not exist
"""


def make_headers(root: Root, release: str) -> str:
    """Make a headers package for an invented release, with the headers of the first kernel."""
    directory = f"/tests/headers-{release}"
    modules = f"{directory}/lib/modules/{release}"
    tree = root.output_of("readlink", "-f", f"/lib/modules/{root.kernel}/build")
    root.run("rm", "-rf", directory).expect(0)
    root.write(f"{directory}/DEBIAN/control", CONTROL.format(release))
    root.write(f"{directory}/DEBIAN/postinst", POSTINST.format(release))
    root.run("chmod", "755", f"{directory}/DEBIAN/postinst").expect(0)
    root.run("mkdir", "-p", modules).expect(0)
    root.run("ln", "-s", tree, f"{modules}/build").expect(0)
    root.run("dpkg-deb", "--build", directory, f"{directory}.deb").expect(0)
    return f"{directory}.deb"


@pytest.fixture(scope="class", params=FOREIGN)
def foreign(request: pytest.FixtureRequest, dkms: None, root: Root,
            packages: Packages) -> Iterator[tuple[str, Done]]:
    """Install headers of an unsupported kernel while the package is installed."""
    del dkms
    release: str = request.param
    root.have(packages.deb(packages.new))
    yield release, root.install(make_headers(root, release))
    root.purge(f"linux-headers-{release}")
    root.run("rm", "-rf", f"/lib/modules/{release}").expect(0)


class ForeignKernelCases:
    """Cases of kernels outside the range in dkms.conf that must pass with each dkms."""

    def test_headers_outside_the_range_install(self, foreign: tuple[str, Done]) -> None:
        foreign[1].expect(0)

    def test_the_installation_reports_that_a_kernel_is_outside_the_range(
            self, foreign: tuple[str, Done]) -> None:
        release, done = foreign
        done.expect(0, f"nothing is built for {re.escape(release)}|BUILD_EXCLUSIVE")

    def test_dkms_builds_nothing_for_kernels_outside_the_range(self, foreign: tuple[str, Done],
                                                               root: Root) -> None:
        root.expect_no_module(foreign[0])

    def test_dkms_reports_kernels_outside_the_range_as_excluded(self, foreign: tuple[str, Done],
                                                                root: Root,
                                                                packages: Packages) -> None:
        root.run("dkms", "build", f"{NAME}/{packages.new}", "-k", foreign[0]).expect(EXCLUDED)


class TestPackage(PackageCases):
    """Test the package with the dkms of the root filesystem's release."""


class TestKernelComes:
    """Test that dkms builds for a kernel that is installed after the package."""

    @pytest.fixture(scope="class")
    def kernel_came(self, dkms: None, root: Root, packages: Packages) -> Done:
        """Install the later kernel."""
        del dkms
        root.have(packages.deb(packages.new))
        root.have_not(*root.later_names)
        return root.install(*root.later_packages)

    def test_the_later_kernel_installs(self, kernel_came: Done) -> None:
        kernel_came.expect(0)

    def test_installing_the_later_kernel_builds_the_module_for_it(self, kernel_came: Done,
                                                                  root: Root,
                                                                  packages: Packages) -> None:
        del kernel_came
        root.expect_module(root.later, packages.new)

    def test_the_module_for_the_later_kernel_is_signed_with_the_key_of_dkms(
            self, kernel_came: Done, root: Root) -> None:
        del kernel_came
        root.expect_signed(root.later)

    def test_the_module_for_the_first_kernel_is_still_there(self, kernel_came: Done, root: Root,
                                                            packages: Packages) -> None:
        del kernel_came
        root.expect_module(root.kernel, packages.new)


class TestForeignKernel(ForeignKernelCases):
    """Test unsupported kernels with the dkms of the root filesystem's release."""


class TestPurge:
    """Test purging the package."""

    @pytest.fixture(scope="class")
    def purged(self, dkms: None, root: Root, packages: Packages) -> Done:
        """Purge the package."""
        del dkms
        root.have(packages.deb(packages.new))
        return root.purge(PACKAGE)

    def test_the_package_is_purged(self, purged: Done) -> None:
        purged.expect(0)

    def test_a_purge_leaves_no_file(self, purged: Done, root: Root) -> None:
        purged.expect(0)
        root.expect_nothing_left()

    def test_dkms_has_no_entry_of_a_purged_package(self, purged: Done, root: Root) -> None:
        del purged
        assert not root.output_of("dkms", "status")


class TestNextDkms:
    """Test the installation of the next release's dkms."""

    @pytest.fixture(scope="class")
    def dkms(self, root: Root) -> Done:
        """Install the next release's dkms."""
        root.have_not(PACKAGE)
        root.have(*root.later_packages)
        return root.install(root.package("dkms"))

    def test_the_next_dkms_installs(self, dkms: Done, root: Root) -> None:
        dkms.expect(0)
        assert not root.version_of("dkms").startswith("3.0")


class TestNextDkmsByHand:
    """Test the commands of the next release's dkms for both kernels, without the package."""

    @pytest.fixture(scope="class")
    def added(self, root: Root, packages: Packages) -> Done:
        """Call dkms add with the source from the package."""
        root.have_not(PACKAGE)
        use_next_dkms(root)
        root.run("dpkg-deb", "-x", packages.deb(packages.old), "/tests/unpacked").expect(0)
        source = f"/usr/src/{NAME}-{packages.old}"
        root.run("cp", "-r", f"/tests/unpacked{source}", "/usr/src/").expect(0)
        return root.run("dkms", "add", f"{NAME}/{packages.old}")

    @pytest.fixture(scope="class", params=["first", "later"])
    def release(self, request: pytest.FixtureRequest, root: Root) -> str:
        """Return the release of the first, then of the later kernel."""
        return root.kernel if request.param == "first" else root.later

    @pytest.fixture(scope="class")
    def built(self, added: Done, release: str, root: Root, packages: Packages) -> Done:
        """Call dkms build for a kernel."""
        del added
        return root.run("dkms", "build", f"{NAME}/{packages.old}", "-k", release)

    @pytest.fixture(scope="class")
    def installed(self, built: Done, release: str, root: Root, packages: Packages) -> Done:
        """Call dkms install for a kernel."""
        del built
        return root.run("dkms", "install", f"{NAME}/{packages.old}", "-k", release)

    @pytest.fixture(scope="class")
    def removed(self, added: Done, root: Root, packages: Packages) -> Done:
        """Call dkms remove for all kernels; then remove the source."""
        del added
        done = root.run("dkms", "remove", f"{NAME}/{packages.old}", "--all")
        root.run("rm", "-rf", f"/usr/src/{NAME}-{packages.old}", "/tests/unpacked").expect(0)
        return done

    def test_dkms_adds_the_source(self, added: Done) -> None:
        added.expect(0)

    def test_dkms_has_no_warning_about_dkms_conf(self, added: Done) -> None:
        added.expect(0)
        expect_no_warnings(added)

    def test_dkms_builds(self, built: Done) -> None:
        built.expect(0)

    def test_dkms_builds_without_a_warning(self, built: Done) -> None:
        built.expect(0)
        expect_no_warnings(built)

    def test_dkms_installs(self, installed: Done) -> None:
        installed.expect(0)

    def test_the_module_is_installed_by_dkms(self, installed: Done, release: str, root: Root,
                                             packages: Packages) -> None:
        del installed
        root.expect_module(release, packages.old)

    def test_dkms_removes_the_module_for_all_kernels(self, removed: Done) -> None:
        removed.expect(0)

    def test_a_removal_leaves_no_file(self, removed: Done, root: Root) -> None:
        removed.expect(0)
        root.expect_nothing_left()


class TestNextDkmsPackage(PackageCases):
    """Test the package with the next release's dkms."""

    @pytest.fixture(scope="class")
    def dkms(self, root: Root) -> None:
        """Have the next release's dkms installed."""
        use_next_dkms(root)


class TestNextDkmsForeignKernel(ForeignKernelCases):
    """Test unsupported kernels with the next release's dkms."""

    @pytest.fixture(scope="class")
    def dkms(self, root: Root) -> None:
        """Have the next release's dkms installed."""
        use_next_dkms(root)
