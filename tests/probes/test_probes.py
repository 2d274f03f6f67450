# SPDX-License-Identifier: GPL-2.0-only
"""Test that src/probes accepts an unmodified kernel, and refuses a kernel with one change.

Each test runs kbuild like DKMS, with make -C and M=, and builds only the objects that it
needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.command import CROSS
from lab.labels import release
from lab.places import TOP
from probed import (IOMMU, LIST, MM, MODULE, PRIVATE, SYMVERS, Ahead, Trial, expect_blame,
                    expect_refusal, parameter)
from runner.command import Done, run, work_directory

# Symbols imported from these subsystems must be in the API list
SUBSYSTEMS = re.compile(r"(vfio|iommu|mm_iommu|eeh_pe|eeh_iommu|(__)?account|fault|find|(un)?pin"
                        r"|rb|vmalloc_to|xa)_")
Preparation = Callable[[Trial], None]


@dataclass(frozen=True)
class Change:
    """A change in a copy of the kernel, and the message of the probe that must refuse the kernel.

    answer is a regular expression for the message, probe is the name of the probe in it. If asked
    is set, the test builds an object with the probe asked. Otherwise it builds the whole module.
    """

    prepare: Preparation
    answer: str
    probe: str = ""
    asked: str = ""


def change(name: str, prepare: Preparation, *, answer: str, probe: str = "",
           asked: str = "") -> Any:
    """Return a row of a table of changes."""
    return pytest.param(Change(prepare, answer, probe, asked), id=name)


def edit(path: str, pattern: str, replacement: str) -> Preparation:
    """Return the preparation that changes a file of the kernel."""
    def prepare(trial: Trial) -> None:
        trial.kernel.change(path, pattern, replacement)

    return prepare


def remove(path: str) -> Preparation:
    """Return the preparation that removes a file of the kernel."""
    return lambda trial: trial.kernel.own(path).unlink()


def private(pattern: str, replacement: str) -> Preparation:
    """Return the preparation that adds VFIO's private header with a change."""
    def prepare(trial: Trial) -> None:
        trial.add_private_header()
        trial.kernel.change(PRIVATE, pattern, replacement)

    return prepare


def broken_compiler(source: str, action: str) -> Preparation:
    """Return the preparation that runs a shell command in place of the compiler for one source."""
    return lambda trial: trial.use_compiler(f"*{source}", action)


def enable_preempt_rt(trial: Trial) -> None:
    """Enable PREEMPT_RT in the configuration of the kernel."""
    trial.kernel.change("build/include/generated/autoconf.h", r"\A",
                        "#define CONFIG_PREEMPT_RT 1\n")
    # With PREEMPT_RT a spinlock is larger; another header records the size
    trial.kernel.change("build/include/generated/bounds.h", r"(SPINLOCK_SIZE) .*", r"\1 64")


def remove_one_crc(trial: Trial) -> None:
    """Remove the CRC of one exported symbol, in a kernel where all symbols have CRCs."""
    config = trial.kernel.own("build/include/config/auto.conf")
    if "CONFIG_MODVERSIONS=y\n" not in config.read_text():
        trial.kernel.change("build/include/config/auto.conf", r"\Z", "CONFIG_MODVERSIONS=y\n")
    symvers = trial.kernel.own(SYMVERS)
    symvers.write_text(re.sub(r"^0x0*\t", "0x00000001\t", symvers.read_text(),
                              flags=re.MULTILINE))
    trial.kernel.change(SYMVERS, r"^0x[0-9a-f]*(\tiommu_flush_tce\t)", r"0x00000000\1")


HEADERS = (
    change("a_member_renamed", edit(IOMMU, r"\bit_level_size\b", "it_leaf_size"),
           probe="struct iommu_table (src/probes/iommu_table.c)",
           answer=r"no member named .it_level_size"),
    change("a_member_of_another_type",
           edit(IOMMU, r"unsigned long +it_page_shift", "unsigned int it_page_shift"),
           asked="iommu_table", probe="struct iommu_table (src/probes/iommu_table.c)",
           answer=r"struct iommu_table has another type of it_page_shift"),
    change("a_callback_with_another_argument",
           edit(IOMMU, r"^(\tvoid \(\*clear\)\(struct iommu_table \*tbl),", r"\1, bool flush,"),
           asked="iommu_table_ops", probe="struct iommu_table_ops (src/probes/iommu_table_ops.c)",
           answer=r"struct iommu_table_ops has another type of clear"),
    change("a_function_with_another_argument",
           edit(MM, r"^(int account_locked_vm\(.*), bool inc", r"\1, int inc"),
           asked="pages", probe="pinning and accounting memory (src/probes/pages.c)",
           answer=r"account_locked_vm\(\) has another prototype"),
    change("a_third_slot_for_windows",
           edit(IOMMU, r"(IOMMU_TABLE_GROUP_MAX_TABLES)\t2", r"\1\t3"),
           asked="iommu_table_group",
           probe="struct iommu_table_group (src/probes/iommu_table_group.c)",
           answer=r"IOMMU_TABLE_GROUP_MAX_TABLES has another value"),
    change("ownership_in_none_of_the_known_ways",
           edit(IOMMU, r"(long|void) (\(\*take_ownership\))", r"int \2"),
           probe="take_ownership() called by the IOMMU core, for a device "
                 "(src/probes/ownership_device.c)",
           answer=r"struct iommu_table_group_ops has another type of take_ownership"),
    change("preempt_rt_configured", enable_preempt_rt, asked="preemption",
           probe="spinlocks that do not sleep (src/probes/preemption.c)",
           answer=r"the kernel has PREEMPT_RT, where spinlocks sleep"),
    change("a_header_that_is_gone", remove(IOMMU), asked="iommu_table",
           probe="the headers that the sources include (src/probes/headers.c)",
           answer=r"fatal error: asm/iommu\.h: No such file"),
)

EXPORTS = (
    change("an_export_removed", edit(SYMVERS, r"^.*\tpin_user_pages_fast\t.*\n", ""),
           asked="iommu_table", probe="exported symbols (src/probes/exports)",
           answer=r"pin_user_pages_fast\(\) is not exported"),
    change("an_export_for_others_only",
           edit(SYMVERS, r"^(.*\tvfio_register_iommu_driver\t.*\t)$", r"\1module:vfio_iommu_type1"),
           asked="iommu_table", probe="exported symbols (src/probes/exports)",
           answer=r"vfio_register_iommu_driver\(\) is exported to module:vfio_iommu_type1 only"),
    change("an_export_without_its_crc", remove_one_crc, asked="iommu_table",
           probe="exported symbols (src/probes/exports)",
           answer=r"iommu_flush_tce\(\) has no CRC"),
    change("a_build_tree_without_exports", remove(SYMVERS), asked="iommu_table",
           probe="exported symbols", answer=r"the build tree has no Module\.symvers"),
)

PRIVATE_MEMBERS = (
    change("a_private_member_moved",
           private(r"^\tvoid \(\*release\)", r"\tvoid *added;\n\g<0>"), asked="vfio_ops",
           probe="struct vfio_iommu_driver_ops (src/probes/vfio_ops.c)",
           answer=r"struct vfio_iommu_driver_ops has another release"),
    change("a_private_member_added",
           private(r"^\tvoid \(\*notify\).*", r"\g<0>\n\tvoid *added;"), asked="vfio_ops",
           probe="struct vfio_iommu_driver_ops (src/probes/vfio_ops.c)",
           answer=r"struct vfio_iommu_driver_ops has more members"),
)

NO_KERNELS_FAULT = (
    change("a_compiler_that_compiles_nothing",
           broken_compiler("sanity.c", 'echo "sanity.c:1: error: no code today"; exit 1'),
           answer=r"error: no code today"),
    change("a_compiler_that_crashes",
           broken_compiler("iommu_table.c", "echo killed; exit 137"), asked="iommu_table",
           answer=r"killed"),
    change("headers_cut_short",
           edit("source/include/linux/module.h", r"\A(.*\n)", r"\1#error cut short\n"),
           asked="iommu_table", answer=r"error: #error cut short"),
)


@pytest.fixture
def trial(first_label: str, work: Path) -> Trial:
    """Return an unmodified copy of the kernel, and a copy of the sources."""
    return Trial(first_label, work)


def build_changed(label: str, item: pytest.Item, row: Change) -> Done:
    """Build for a kernel with the change of a test's row."""
    trial = Trial(label, work_directory(item))
    row.prepare(trial)
    return trial.ask(row.asked) if row.asked else trial.build()


@pytest.fixture(scope="module", autouse=True)
def ahead(request: pytest.FixtureRequest, first_label: str) -> Iterator[Ahead]:
    """Start the builds of all table rows in advance."""
    builds = Ahead()
    builds.start([(item, partial(build_changed, first_label, item, row))
                  for item in request.session.items
                  if item.path == request.path and (row := parameter(item, "row"))])
    yield builds
    builds.stop()


@pytest.fixture
def built(request: pytest.FixtureRequest, ahead: Ahead) -> Done:
    """Return the finished build of a test's row."""
    return ahead.result(request.node)


def asked(done: Done) -> int:
    """Return the number of probes that a build compiled."""
    return len(re.findall(r"^ *PROBE ", done.output, re.MULTILINE))


def test_the_module_builds_for_the_kernel_as_it_is(trial: Trial) -> None:
    trial.build().expect(0)
    module = trial.sources / MODULE
    assert module.exists()
    header = (trial.sources / "src" / "probes" / "tce2_probed.h").read_text()
    assert len(re.findall(r"^#define TCE2_HAVE_", header, re.MULTILINE)) == 2, header
    # A symbol that a new source file imports from these subsystems must be listed
    imports = run(f"{CROSS}nm", "-u", module).expect(0).output.split()
    exports = (trial.sources / "src" / "probes" / "exports.lst").read_text().split()
    assert exports, "exports.lst is empty"
    difference = set(filter(SUBSYSTEMS.match, imports)) ^ set(exports)
    assert not difference


def test_a_kernel_without_pseries_needs_no_hypercall(trial: Trial) -> None:
    # PPC_SPLPAR depends on PPC_PSERIES
    for option in ("PPC_PSERIES", "PPC_SPLPAR"):
        trial.kernel.change("build/include/generated/autoconf.h",
                            rf"^#define CONFIG_{option} 1\n", "")
    trial.kernel.change(SYMVERS, r"^.*\tplpar_hcall_norets\t.*\n", "")
    trial.build().expect(0)
    imports = run(f"{CROSS}nm", "-u", trial.sources / MODULE).expect(0).output.split()
    assert "iommu_flush_tce" in imports
    assert "plpar_hcall_norets" not in imports


def test_a_line_added_to_the_list_is_probed(trial: Trial) -> None:
    """The probes and the check of exports must use a new line, even after an earlier build."""
    file = trial.sources / LIST
    genuine = file.read_text()
    for line, probe, answer in (
            ("KERNEL_MEMBER(iommu_table, it_color, int)",
             "struct iommu_table (src/probes/iommu_table.c)", r"no member named .it_color"),
            ("KERNEL_EXPORT(iommu_paint)",
             "exported symbols (src/probes/exports)", r"iommu_paint\(\) is not exported")):
        file.write_text(genuine)
        trial.ask("iommu_table").expect(0)
        text, count = re.subn(r"^.*it_kref,.*\n", rf"\g<0>{line}\n", genuine, flags=re.MULTILINE)
        assert count == 1, f"{LIST} has no place for another line"
        file.write_text(text)
        expect_refusal(trial.ask("iommu_table"), trial.release, probe, answer)


def test_answers_are_cached_until_an_input_changes(trial: Trial) -> None:
    trial.use_compiler("--version*", "echo gcc 98")
    assert asked(trial.ask("iommu_table").expect(0)) == 3
    assert asked(trial.ask("iommu_table").expect(0)) == 0
    trial.kernel.change(IOMMU, r"^struct iommu_table \{", r"\g<0>\n\tint added;")
    assert asked(trial.ask("iommu_table").expect(0)) == 3
    # The compiler has the same path, and only prints another version
    trial.use_compiler("--version*", "echo gcc 99")
    assert asked(trial.ask("iommu_table").expect(0)) == 3


def test_the_private_header_is_compared_where_it_exists(trial: Trial) -> None:
    trial.add_private_header()
    # Kbuild needs the probe only if the header exists
    need = run("make", "-s", "-f", "-", "probe", stdin=(
        f"srctree := {trial.kernel.source}\ninclude {TOP}/src/probes/Makefile.probes\n"
        "probe:; @echo $(filter vfio_ops,$(tce2-needs))\nFORCE:\n"))
    trial.ask(need.expect(0, r"\Avfio_ops$").output.strip()).expect(0)
    assert (trial.sources / "src" / "probes" / "vfio_ops.probe").read_text().startswith("yes ")


@pytest.mark.parametrize("row", [*HEADERS, *EXPORTS, *PRIVATE_MEMBERS])
def test_a_changed_kernel_stops_the_build(row: Change, built: Done, first_label: str) -> None:
    expect_refusal(built, release(first_label), row.probe, row.answer)


@pytest.mark.parametrize("row", NO_KERNELS_FAULT)
def test_the_probes_do_not_blame_the_kernel_for(row: Change, built: Done) -> None:
    expect_blame(built, row.answer)
