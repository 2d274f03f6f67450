# SPDX-License-Identifier: GPL-2.0-only
"""Boot the root filesystem with the module in the emulated machine.

In the machine dkms_guest.py runs and prints a result for each case. The cases of a boot depend
on each other, so a boot runs all of its cases, but only the chosen cases are reported. If KEEP
is set, the disk of the last run is used again. No boot changes the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dkms_guest import CASES
from dkms_root import PACKAGE, Disk, Packages, Root, make_disk
from lab.command import say
from lab.places import BUILD, LOGS, SCRIPTS
from runner.row import NotBuilt, Row

pytest_plugins = ["dkms_fixtures"]

# The initramfs of each boot, and its kernel arguments besides ROOT
INITRAMFS = {"initramfs": "initrd-vfio", "bare": "initrd-bare"}
NO_MODULES_LOAD = "systemd.mask=systemd-modules-load.service"
ARGUMENTS = {"initramfs": NO_MODULES_LOAD, "bare": NO_MODULES_LOAD,
             "enforced": "module.sig_enforce=1"}
ROOT = "root=/dev/nvme0n1 rw quiet systemd.show_status=false"


@pytest.fixture(scope="session")
def disk(request: pytest.FixtureRequest) -> Disk:
    """Return a disk with the root filesystem as the other tests left it, or with KEEP the last."""
    disk = Disk(BUILD / "dkms")
    if os.environ.get("KEEP"):
        if not disk.image.exists():
            pytest.fail("KEEP is set, but no earlier run has made a disk", pytrace=False)
        return disk
    root: Root = request.getfixturevalue("root")
    packages: Packages = request.getfixturevalue("packages")
    root.have_not(*root.later_names)
    root.have(root.package("dkms"))
    root.have(packages.deb(packages.new))
    assert root.version_of(PACKAGE) == packages.new
    make_disk(root, disk)
    return disk


def boot_row(boot: str, disk: Disk) -> Row:
    """Return the row of a boot."""

    def prepare(row: Row) -> list[str]:
        say(f"booting: {boot}")
        append = f"{ROOT} tce2.run={boot} {ARGUMENTS.get(boot, '')}".strip()
        # QEMU discards all writes of a boot to the disk
        return [str(SCRIPTS / "vm"), "--kernel", str(disk.kernel),
                "--initrd", str(disk.directory / INITRAMFS.get(boot, "initrd")),
                "--disk", str(disk.image), "--option", "-snapshot", "--append", append,
                "--smp", "2", "--timeout", os.environ.get("GUEST_TIMEOUT") or "900",
                "--log", str(row.console)]

    row = Row(f"dkms-{boot}", prepare)
    row.console = LOGS / f"dkms-boot-{boot}.log"
    row.messages = LOGS / f"dkms-boot-{boot}.vm"
    row.forget()
    return row


class Boots:
    """The boots of a session, one at a time."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._rows: dict[str, Row] = {}

    def row(self, boot: str) -> Row:
        """Return the row of a boot. If it is new, stop the previous boot and start it."""
        if boot not in self._rows:
            self.stop()
            self._rows[boot] = boot_row(boot, self.disk)
        try:
            self._rows[boot].start()
        except NotBuilt as error:
            pytest.fail(str(error), pytrace=False)
        return self._rows[boot]

    def stop(self) -> None:
        """Stop the running machine, whose chosen cases all have results."""
        for row in self._rows.values():
            row.stop()


@pytest.fixture(scope="session")
def boots(disk: Disk) -> Iterator[Boots]:
    """Return the boots."""
    all_boots = Boots(disk)
    yield all_boots
    all_boots.stop()


def expect_good_end(row: Row, boot: str) -> None:
    """Wait for the end of a boot; fail on a bad status or on results of unknown cases."""
    unknown = [result.name for result in row.others() if result.name not in CASES[boot]]
    if unknown:
        pytest.fail(f"results of unknown cases: {unknown}", pytrace=False)
    if complaint := row.complaint():
        pytest.fail(complaint, pytrace=False)


def expect_case(row: Row, name: str) -> None:
    """Wait for a case of a boot, and fail unless it passes."""
    result = row.result(name)
    if result is None:
        pytest.fail(f"{row.name} ended before this case{row.explain()}", pytrace=False)
    if result.outcome != "passed":
        pytest.fail("\n".join(result.comments) or "no comment", pytrace=False)


def test_a_disk_and_three_initramfs_are_made_of_the_root_filesystem(disk: Disk) -> None:
    names = [*INITRAMFS.values(), "initrd"]
    assert not [file for file in (disk.image, disk.kernel, *map(disk.directory.joinpath, names))
                if not file.exists()]


END = "the_machine_powers_off_after_all_cases"


@pytest.mark.parametrize(("boot", "case"), [
    pytest.param(boot, case, id=f"{boot}-{case}")
    for boot, cases in CASES.items() for case in [*cases, END]])
def test_each_case_passes_in_a_booted_system(boots: Boots, boot: str, case: str) -> None:
    row = boots.row(boot)
    if case == END:
        expect_good_end(row, boot)
    else:
        expect_case(row, case)
