# SPDX-License-Identifier: GPL-2.0-only
"""Test the package with tce2-preflight, and the removal of a kernel.

The package is built in the root filesystem from the source packages, installed, upgraded
and purged. While it is installed, tce2-preflight checks the kernels of the root filesystem
with the modules that dkms has built. Each case begins in the state that the previous case has
left. If a case runs alone, its fixtures set up its state, as in test_dkms_packages.py.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dkms_root import NAME, OURS, PACKAGE, PRUNED, Packages, Root, skip_if_kept
from runner.command import Done

pytest_plugins = ["dkms_fixtures"]
skip_if_kept()

TOOLS = f"{NAME}-tools"
WORK = "/tests/build"
MISSING = "5.10.0-99-powerpc64le"
SYMBOL = "vfio_register_iommu_driver"
LIBRARIES = ("libc6 (>= ", "libkmod2 (>= ", "libbpf1 (>= ", "libjson-c5", "liblzma5",
             "libncursesw6", "libzstd1", "zlib1g")


class Tools:
    """The tools packages, built in the root filesystem."""

    def __init__(self, root: Root) -> None:
        self.root = root

    def source(self, version: str) -> str:
        """Return the directory of a version's source."""
        return f"{WORK}/{NAME}-{version}"

    def deb(self, version: str) -> str:
        """Return the package of a version."""
        return f"{WORK}/{TOOLS}_{version}_ppc64el.deb"

    def build(self, version: str) -> Done:
        """Build the package like ppc64el's build daemons, but with this machine's compiler."""
        source = self.source(version)
        self.root.run("mkdir", "-p", WORK).expect(0)
        self.root.run("dpkg-source", "--extract", f"/packages/{NAME}_{version}.dsc",
                      source).expect(0)
        return self.root.run("env", "CC=powerpc64le-linux-gnu-gcc-12", "dpkg-buildpackage",
                             "-B", "-us", "-uc", cwd=source)

    def paths(self) -> list[str]:
        """Return all paths, except paths that tests and dpkg write."""
        return self.root.paths(*PRUNED, "dev", "tmp", "var/log", "var/lib/dpkg/status-old")


@pytest.fixture(scope="module")
def tools(root: Root, packages: Packages) -> Tools:
    """Install the next dkms and the new version of the module for both kernels."""
    root.have(*root.later_packages)
    root.have(root.package("dkms"))
    root.have(packages.deb(packages.new))
    return Tools(root)


@pytest.fixture(scope="module")
def old_built(tools: Tools, packages: Packages) -> Done:
    """Build the tools package of the old version."""
    return tools.build(packages.old)


@pytest.fixture(scope="module")
def new_built(tools: Tools, packages: Packages) -> Done:
    """Build the tools package of the new version."""
    return tools.build(packages.new)


@pytest.fixture(scope="module")
def before(tools: Tools, old_built: Done, new_built: Done) -> list[str]:
    """Return the paths that exist before a tools package is installed."""
    del old_built, new_built
    return tools.paths()


@pytest.fixture(scope="module")
def installed(tools: Tools, before: list[str], packages: Packages) -> Done:
    """Install the tools package of the old version."""
    del before
    return tools.root.install(tools.deb(packages.old))


@pytest.fixture(scope="module")
def upgraded(tools: Tools, installed: Done, packages: Packages) -> Done:
    """Upgrade the tools package to the new version."""
    del installed
    return tools.root.install(tools.deb(packages.new))


@pytest.fixture(scope="module")
def purged(tools: Tools, upgraded: Done) -> Done:
    """Purge the tools package."""
    del upgraded
    return tools.root.purge(TOOLS)


def expect_version(root: Root, version: str) -> None:
    """Fail unless dpkg and tce2-preflight report a version of the tools."""
    assert root.version_of(TOOLS) == version
    assert root.output_of("tce2-preflight", "--version") == f"tce2-preflight {version}"


def test_the_old_tools_package_builds_for_ppc64el(old_built: Done) -> None:
    old_built.expect(0)


def test_the_new_tools_package_builds_for_ppc64el(new_built: Done) -> None:
    new_built.expect(0)


def test_the_tools_package_depends_on_the_libraries_of_the_program(tools: Tools, old_built: Done,
                                                                   packages: Packages) -> None:
    old_built.expect(0)
    depends = tools.root.output_of("dpkg-deb", "-f", tools.deb(packages.old), "Depends")
    assert not [library for library in LIBRARIES if library not in depends], depends


def test_the_tools_package_installs(installed: Done) -> None:
    installed.expect(0)


def test_program_and_tools_package_are_of_the_old_version(installed: Done, root: Root,
                                                          packages: Packages) -> None:
    del installed
    expect_version(root, packages.old)


def test_the_manual_page_of_the_program_is_there(installed: Done, root: Root) -> None:
    del installed
    root.run("man", "8", "tce2-preflight").expect(
        0, "(?i)tell whether vfio_spapr_tce2 will work")


def test_the_tools_package_is_upgraded(upgraded: Done) -> None:
    upgraded.expect(0)


def test_program_and_tools_package_are_of_the_new_version(upgraded: Done, root: Root,
                                                          packages: Packages) -> None:
    del upgraded
    expect_version(root, packages.new)


def test_the_packages_own_tests_pass(upgraded: Done, tools: Tools, packages: Packages) -> None:
    del upgraded
    file = f"{tools.source(packages.new)}/debian/tests/control"
    paragraphs = tools.root.output_of("cat", file).split("\n\n")
    commands = [re.sub("^Test-Command: ", "", paragraph.splitlines()[0])
                for paragraph in paragraphs
                if f"Depends: {TOOLS}" in paragraph.splitlines()]
    assert commands
    tools.root.run("sh", "-ex", "-c", "\n".join(commands)).expect(0)


# Tests that run tce2-preflight on the modules that dkms has built

@pytest.fixture(scope="module")
def symvers(upgraded: Done, root: Root) -> str:
    """Return Module.symvers of the first kernel: the symbols that it exports."""
    del upgraded
    return root.output_of("cat", f"/lib/modules/{root.kernel}/build/Module.symvers") + "\n"


def will_work(kernel: str, version: str) -> str:
    """Return a pattern for the verdict that a version will work on a kernel."""
    return f"^{OURS} {re.escape(version)} on {re.escape(kernel)}: will work$"


def test_preflight_finds_the_module_that_dkms_built_and_says_that_it_will_work(
        upgraded: Done, root: Root, packages: Packages) -> None:
    del upgraded
    root.run("tce2-preflight", root.kernel).expect(0, will_work(root.kernel, packages.new))


def test_preflight_json_says_ok_of_every_symbol_and_member(upgraded: Done, root: Root,
                                                           packages: Packages) -> None:
    del upgraded
    said: dict[str, Any] = json.loads(root.run("tce2-preflight", "--json", root.kernel)
                                      .expect(0, '^{"format":1,').output)
    assert said["symbols"] and said["layout"]
    assert not [entry for entry in [*said["symbols"], *said["layout"]]
                if entry["status"] != "ok"]
    assert (said["verdict"], said.get("error")) == ("ok", None)
    assert f"/lib/modules/{root.kernel}/updates/dkms/" in said["module"]["file"]
    assert said["module"]["version"] == packages.new
    assert said["target"]["release"] == root.kernel


def test_preflight_fails_for_a_kernel_that_lacks_a_symbol_and_names_it(symvers: str,
                                                                       root: Root) -> None:
    lines = [line for line in symvers.splitlines() if line.split("\t")[1] != SYMBOL]
    assert len(lines) == symvers.count("\n") - 1
    root.write(f"{WORK}/without", "\n".join([*lines, ""]))
    root.run("tce2-preflight", f"--symvers={WORK}/without", root.kernel).expect(
        1, f"fail +symbols .*does not export {SYMBOL}")


def test_preflight_result_is_unknown_for_a_kernel_without_crcs(symvers: str, root: Root) -> None:
    root.write(f"{WORK}/unversioned",
               re.sub("^0x[0-9a-f]*", "0x00000000", symvers, flags=re.MULTILINE))
    root.run("tce2-preflight", f"--symvers={WORK}/unversioned", root.kernel).expect(
        2, "unknown +symbols .*no CRC")


def test_preflight_says_that_the_module_for_the_later_kernel_will_work(upgraded: Done, root: Root,
                                                                       packages: Packages) -> None:
    del upgraded
    root.run("tce2-preflight", root.later).expect(0, will_work(root.later, packages.new))


def test_preflight_fails_for_a_module_whose_kernel_has_larger_pages(upgraded: Done,
                                                                    root: Root) -> None:
    del upgraded
    file = root.modinfo(root.kernel, "filename", "^/")
    root.run("tce2-preflight", f"--module={file}", root.later).expect(
        1, "fail +page-size +built for pages of 64K, the kernel has pages of 4K")


def test_preflight_result_is_unknown_with_a_reason_for_a_missing_kernel(upgraded: Done,
                                                                        root: Root) -> None:
    del upgraded
    root.run("tce2-preflight", MISSING).expect(
        2, f"^tce2-preflight: .*{re.escape(MISSING)}")


def test_preflight_json_has_the_reason_for_a_missing_kernel(upgraded: Done, root: Root) -> None:
    del upgraded
    done = root.run("sh", "-c", f"exec tce2-preflight --json {MISSING} 2>/dev/null").expect(2)
    said = json.loads(done.output)
    assert said["verdict"] == "unknown"
    assert said["error"]


def test_the_tools_package_is_purged(purged: Done) -> None:
    purged.expect(0)


def test_a_purge_of_the_tools_package_restores_the_earlier_paths(purged: Done, before: list[str],
                                                                 tools: Tools) -> None:
    purged.expect(0)
    assert sorted({*before} ^ {*tools.paths()}) == []


# Tests of the removal of a kernel

@pytest.fixture(scope="module")
def kernel_gone(tools: Tools) -> Done:
    """Purge the later kernel."""
    return tools.root.purge(*tools.root.later_names)


def test_the_later_kernel_is_purged(kernel_gone: Done) -> None:
    kernel_gone.expect(0)


def test_the_module_of_a_purged_kernel_is_gone(kernel_gone: Done, root: Root) -> None:
    kernel_gone.expect(0)
    root.expect_no_module(root.later)


def test_the_module_for_the_first_kernel_stays_when_the_later_kernel_is_purged(
        kernel_gone: Done, root: Root, packages: Packages) -> None:
    del kernel_gone
    root.expect_module(root.kernel, packages.new)
    assert root.version_of(PACKAGE) == packages.new
