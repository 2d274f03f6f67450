# SPDX-License-Identifier: GPL-2.0-only
"""Test builds with unusual programs, environment or headers, and two builds at the same time."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from install_host import FAILED, FOREIGN, NO_TOOLS, SMALL, Host, is_installed, script_settings

from lab.labels import compiler_path
from runner.command import Done, run

pytest_plugins = ["install_fixtures"]

# Programs that a kernel build may expect: POSIX utilities and a few others
USERLAND = """awk basename cat chmod cksum cmp comm cp cut date dirname echo env expr
    false find grep head install ln ls mkdir mktemp mv od printf pwd readlink
    realpath rm rmdir sed seq sort stat tail tee test touch tr true uname uniq wc xargs
    """.split()

# Variables that a kernel developer may have exported for another architecture
FOREIGN_CROSS = {
    **FOREIGN, "ARCH": "arm64", "CROSS_COMPILE": "aarch64-none-", "CC": "false",
    "LD": "false", "LLVM": "1", "CFLAGS_MODULE": "-mnone", "CFLAGS": "-mnone",
    "KBUILD_MODPOST_WARN": "1", "MAKEFLAGS": "-n", "KBUILD_CFLAGS": "-mnone",
    "KBUILD_SRC": "/nowhere", "objtree": "/nowhere", "CDPATH": "/"}

IOMMU = "source/arch/powerpc/include/asm/iommu.h"
CONFIG = "build/include/generated/autoconf.h"
# A time in 2001, older than all build results
LONG_AGO = 978307200


def test_the_module_builds_with_busybox_as_userland(work: Path, host: Host) -> None:
    if not (busybox := shutil.which("busybox")):
        pytest.skip("busybox is not installed")
    programs = work / "bin"
    programs.mkdir()
    applets = run(busybox, "--list").expect(0).output.split()
    for name in USERLAND:
        if name in applets:
            (programs / name).symlink_to(busybox)
    path = f"{programs}:{compiler_path(host.label)}"
    host.make(*SMALL, "modules", env=host.settings(PATH=path)).expect(0)
    assert host.module().exists()


def test_o_on_the_command_line_is_refused(host: Host) -> None:
    host.make("O=/nowhere", "modules").expect(FAILED, "O= has no meaning here")


def test_an_in_place_build_ignores_other_trees_in_the_environment(host: Host) -> None:
    host.make(*SMALL, "modules", env=host.settings(**FOREIGN)).expect(0)
    assert host.module().exists()


def test_an_installation_ignores_other_trees_in_the_environment(built_host: Host) -> None:
    built_host.install(NO_TOOLS, env=built_host.settings(**FOREIGN)).expect(0)
    assert is_installed(built_host.root)


def test_a_cross_build_ignores_the_environment(host: Host) -> None:
    run(host.sources / "scripts" / "module", host.label,
        env=script_settings(**FOREIGN_CROSS)).expect(0)
    assert host.module(host.label).exists()


def at_the_same_time(build: Callable[[], Done]) -> str:
    """Run a build twice in parallel and return both outputs; both must succeed."""
    __tracebackhide__ = True
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(build), pool.submit(build)]
    return "".join(future.result().expect(0).output for future in both)


def test_a_second_in_place_build_waits_for_the_first(host: Host) -> None:
    printed = at_the_same_time(lambda: host.make(*SMALL, "modules"))
    assert len(re.findall(r"CC .*[ /]src/main\.o", printed)) == 1, printed


def checksums(sources: Path) -> dict[Path, str]:
    """Return the checksums of the sources and of the results of an in-place build."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sources.rglob("*")
            if path.is_file() and not path.is_relative_to(sources / "build")}


def make_small(sources: Path) -> None:
    """Reduce the module to two objects in Kbuild: scripts/module ignores the variables of SMALL."""
    kbuild = sources / "Kbuild"
    text, number = re.subn(r"^(vfio_spapr_tce2-y) :=(.*\\\n)+.*",
                           r"KBUILD_MODPOST_WARN := 1\n\1 := src/main.o src/realmode.o",
                           kbuild.read_text(), flags=re.MULTILINE)
    assert number == 1
    kbuild.write_text(text)


def test_a_second_build_of_a_label_waits_for_the_first(built_host: Host) -> None:
    """Check also that no build writes through a link to the results of an in-place build."""
    make_small(built_host.sources)
    before = checksums(built_host.sources)
    assert built_host.sources / "src" / "main.o" in before
    program = built_host.sources / "scripts" / "module"
    printed = at_the_same_time(
        lambda: run(program, built_host.label, env=script_settings()))
    assert built_host.module(built_host.label).exists()
    assert printed.count("waiting for another process") == 1, printed
    assert checksums(built_host.sources) == before


def compile_one_object(host: Host) -> Done:
    """Compile an object that needs no probe, but let the build compile one probe."""
    return host.kernel.kbuild(host.sources, "tce2-needs=iommu_table", "tce2-choices=",
                              "src/range.o")


def change_long_ago(host: Host, path: str, pattern: str, replacement: str) -> None:
    """Change a file of the kernel, and make its time stamp older than all build results."""
    os.utime(host.kernel.change(path, pattern, replacement), (LONG_AGO, LONG_AGO))


def test_changed_headers_with_old_time_stamps_cause_a_rebuild(host: Host) -> None:
    host.kernel.own(IOMMU)
    host.kernel.own(CONFIG)
    compile_one_object(host).expect(0)
    assert not compile_one_object(host).expect(0).says("PROBE")
    for path, pattern, replacement in (
            (IOMMU, r"^struct iommu_table \{", r"\g<0>\n\tint added;"),
            (CONFIG, r"\Z", "#define CONFIG_TCE2_TEST 1\n")):
        change_long_ago(host, path, pattern, replacement)
        done = compile_one_object(host).expect(0, "PROBE")
        assert done.says("src/range.o"), done.explain()
    change_long_ago(host, IOMMU, r"\bit_level_size\b", "it_leaf_size")
    compile_one_object(host).expect(FAILED, "no member named")
