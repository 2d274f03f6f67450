# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/vm, with a fake QEMU that prints prepared consoles."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import vm
from lab.places import SCRIPTS, LabError

# The fake of QEMU. With -S it writes a device tree. Otherwise, at its Nth start, it prints the
# file console.N and exits with the status in the file status.N, or runs on if the status is
# "endless".
QEMU = """#!/bin/sh
cd "$(dirname "$0")"
case " $* " in
*' -S '*)
    read -r word file
    echo "$word" >"$file"
    exit ;;
esac
echo "$*" >>starts
start=$(wc -l <starts)
cat "console.$start"
case $(cat "status.$start") in
endless)
    echo $$ >qemu.new
    mv qemu.new qemu
    exec sleep 60 ;;
esac
exit "$(cat "status.$start")"
"""
FDTGET = "#!/bin/sh\necho PowerPC,POWER9@0\necho PowerPC,POWER9@8\necho l2-cache@1\n"
FDTPUT = '#!/bin/sh\necho "$*" >>"$(dirname "$0")/put"\n'


@dataclass(frozen=True)
class Lab:
    """A directory with the fake programs and their output."""

    directory: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    def will_print(self, *consoles: str, status: str = "0") -> None:
        """Set the text that QEMU prints at its first start, at its second start, and so on."""
        for index, console in enumerate(consoles, 1):
            (self.directory / f"console.{index}").write_text(console)
            (self.directory / f"status.{index}").write_text(status)

    def arguments(self, *more: str) -> list[str]:
        """Return the arguments of scripts/vm."""
        return ["--kernel", "/vmlinux", "--initrd", "/initrd", "--log", str(self.log), *more]

    def boot(self, *more: str) -> int:
        """Boot the machine; return the status. Messages of scripts/vm go to said."""
        with redirect_stdout(self.said), redirect_stderr(self.said):
            return vm.main(self.arguments(*more))

    @property
    def log(self) -> Path:
        """The console log."""
        return self.directory / "log"

    @property
    def starts(self) -> list[str]:
        """The arguments of each start of QEMU."""
        return (self.directory / "starts").read_text().splitlines()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a Lab with the fake QEMU."""
    for name, text in {vm.QEMU: QEMU, "fdtget": FDTGET, "fdtput": FDTPUT}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Lab(tmp_path)


BOOTED = "INIT: Starting kernel\n"


@pytest.mark.parametrize(("line", "status"), [("TCE2-EXIT 0", 0), ("TCE2-EXIT 7\r", 7),
                                              ("TCE2-EXIT 1\nTCE2-EXIT 2", 2)])
def test_the_guests_last_verdict_becomes_the_status(lab: Lab, line: str, status: int) -> None:
    lab.will_print(f"{BOOTED}{line}\n", status="3")
    assert lab.boot("--machine", "pseries") == status


@pytest.mark.parametrize("last", ["", "TCE2-EXIT \n", "TCE2-EXIT x\n", " TCE2-EXIT 0\n"])
def test_a_guest_without_a_verdict_returns_125(lab: Lab, last: str) -> None:
    lab.will_print(f"{BOOTED}last words\n{last}", status="3")
    assert lab.boot("--machine", "pseries") == vm.NO_VERDICT == 125
    said = lab.said.getvalue()
    assert said.startswith("the guest ended without a verdict, QEMU with status 3\n"
                           "    the guest console:\n")
    assert "\n    last words\n" in said
    assert said.endswith(f"    (all of it: {lab.log})\n")


def test_a_guest_that_times_out_returns_124_despite_a_verdict(lab: Lab) -> None:
    lab.will_print(f"{BOOTED}TCE2-EXIT 0\n", status="endless")
    assert lab.boot("--machine", "pseries", "--timeout", "0.3") == vm.TIMED_OUT == 124
    assert "the guest did not end within 0.3 s\n" in lab.said.getvalue()
    assert len(lab.starts) == 1
    assert not Path(f"/proc/{(lab.directory / 'qemu').read_text().strip()}").exists()


def test_a_crash_report_begins_at_the_first_kernel_splat() -> None:
    lines = [f"line {number}" for number in range(100)]
    assert vm.first_complaint("\n".join(lines)) == lines[80:]
    lines[40] = "[   1.0] WARNING: CPU: 0"
    lines[70] = "Kernel panic - not syncing"
    assert vm.first_complaint("\n".join(lines)) == lines[40:71]


def test_a_line_split_by_firmware_output_is_joined(lab: Lab) -> None:
    lab.will_print("ok 1 - a_c[   12.345678901,5] PHB: reset\r\nase\r\nTCE2-E"
                   "[    1.000000000,7] x\nXIT 5\n[    2.000000000,3] alone\n")
    assert lab.boot("--machine", "pseries") == 5
    assert lab.log.read_text() == (
        "[   12.345678901,5] PHB: reset\nok 1 - a_case\n[    1.000000000,7] x\n"
        "TCE2-EXIT 5\n[    2.000000000,3] alone\n")


def test_an_unterminated_last_line_is_kept(lab: Lab) -> None:
    lab.will_print("TCE2-EXIT 4\nhalf[   12.345678901,5] firmware")
    assert lab.boot("--machine", "pseries") == 4
    assert lab.log.read_text().endswith("\n[   12.345678901,5] firmware\nhalf\n")


def test_qemu_that_dies_in_the_firmware_is_restarted_once(lab: Lab) -> None:
    lab.will_print("[    0.012345678,5] OPAL\n", "Linux ppc64le\nTCE2-EXIT 0\n", status="1")
    assert lab.boot() == 0
    assert len(lab.starts) == 2
    assert ("QEMU ended with status 1 before the kernel started: starting it again"
            in lab.said.getvalue())
    assert lab.log.read_text() == "Linux ppc64le\nTCE2-EXIT 0\n"


def test_qemu_is_not_started_a_third_time(lab: Lab) -> None:
    lab.will_print("OPAL\n", "OPAL again\n", "Linux ppc64le\nTCE2-EXIT 0\n", status="1")
    assert lab.boot() == vm.NO_VERDICT
    assert len(lab.starts) == 2


@pytest.mark.parametrize("begun", ["[    0.0] Linux ppc64le #1 SMP\n", BOOTED])
def test_a_guest_whose_kernel_started_is_not_restarted(lab: Lab, begun: str) -> None:
    lab.will_print(begun, status="1")
    assert lab.boot() == vm.NO_VERDICT
    assert len(lab.starts) == 1


def test_echoed_lines_are_printed_without_the_prefix(lab: Lab) -> None:
    lab.will_print("DEMO: one\nother\nDEMO: two\n DEMO: three\nTCE2-EXIT 0\n")
    assert lab.boot("--machine", "pseries", "--echo", "DEMO: ") == 0
    assert [line.split("] ", 1)[1] for line in lab.said.getvalue().splitlines()] == [
        "one", "two"]


def test_bare_metal_boots_with_a_device_tree_that_has_radix_page_sizes(lab: Lab) -> None:
    lab.will_print(f"{BOOTED}TCE2-EXIT 0\n")
    assert lab.boot("--append", "tce2.run=a") == 0
    tree = lab.starts[0].split(" -dtb ")[1].split()[0]
    encodings = " ".join(vm.RADIX_ENCODINGS)
    assert (lab.directory / "put").read_text() == "".join(
        f"-t x {tree} /cpus/PowerPC,POWER9@{cpu} ibm,processor-radix-AP-encodings {encodings}\n"
        for cpu in "08")
    assert "-append" not in lab.starts[0]
    assert not Path(tree).exists()


def test_a_qemu_without_a_device_tree_is_an_error(lab: Lab) -> None:
    (lab.directory / vm.QEMU).write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(LabError, match="QEMU wrote no device tree, see "):
        lab.boot()


def options(*arguments: str) -> str:
    """Return the QEMU command line and the kernel command line for arguments of scripts/vm."""
    asked = vm.parse(["--initrd", "I", *arguments])
    return " ".join(vm.qemu_command(asked)) + " // " + vm.kernel_arguments(asked)


def test_both_machines_have_two_edu_devices_and_a_disk() -> None:
    bare = options("--disk", "D", "--smp", "2")
    guest = options("--machine", "pseries", "--disk", "D", "--kernel", "K")
    assert "-machine powernv9 -m 6G -net none " in bare
    assert "-m 6G,slots=1,maxmem=32G -nodefaults " in guest
    for machine, buses in ((bare, ("pcie.0,addr=0", "pcie.1,addr=0", "pcie.2")),
                           (guest, ("pci.0,addr=1", "second.0,addr=1", "third.0"))):
        for bus in buses[:2]:
            assert f"edu,dma_mask=0xffffffffffffffff,multifunction=on,bus={bus}.0" in machine
            assert f"pci-testdev,bus={bus}.1" in machine
        assert "file=D,format=raw" in machine
        assert machine.count(f"nvme,serial=tce2,drive=disk,bus={buses[2]}") == 1
    assert "-kernel K -initrd I" in guest
    assert "kernels/6.12-64k/vmlinux -initrd I" in bare


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--icount"], " -icount shift=0 "),
    (["--mem", "3G"], " -m 3G "),
    (["--option", "-drive", "--option", "file=x"], " -drive file=x // "),
    (["--append", "a=1 b"], " log_buf_len=16M a=1 b"),
    (["--machine", "pseries", "--hcalls", "H"], " -D H -trace spapr_iommu_pci_* "),
    (["--machine", "pseries", "--smp", "2"], " powersave=off"),
    (["--label", "6.1-64k"], "kernels/6.1-64k/vmlinux"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_an_option_reaches_qemu_or_the_kernel(arguments: list[str], expected: str) -> None:
    assert expected in options(*arguments)


def test_only_a_pseries_guest_with_several_cpus_never_idles() -> None:
    assert "powersave" not in options("--machine", "pseries", "--smp", "1")
    assert "powersave" not in options("--smp", "2")


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "scripts/vm needs --initrd FILE"),
    (["--initrd"], "scripts/vm needs a value after --initrd"),
    (["--initrd", "I", "--nothing"], "scripts/vm knows no option --nothing"),
    (["--initrd", "I", "--options", "x"], "scripts/vm knows no option --options"),
    (["--initrd", "I", "initrd"], "scripts/vm knows no option initrd"),
    (["--initrd", "I", "--timeout", "1m"], "--timeout needs a number, not '1m'"),
    (["--initrd", "I", "--machine", "powernv8"], "scripts/vm knows no machine powernv8"),
    (["--initrd", "I", "--label", "6.13"], "no kernel is called '6.13'"),
])
@pytest.mark.usefixtures("lab")
def test_wrong_arguments_are_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        vm.main(arguments)


def test_a_killed_boot_leaves_no_qemu_and_no_files(lab: Lab) -> None:
    lab.will_print("OPAL\n", status="endless")
    command = (f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
               "from lab import command, vm\ncommand.run_main(vm.main)\n")
    boot = subprocess.Popen([sys.executable, "-B", "-c", command, *lab.arguments()])
    end = time.monotonic() + 20
    while not (lab.directory / "qemu").exists():
        assert time.monotonic() < end, "QEMU was not started"
        time.sleep(0.01)
    boot.send_signal(signal.SIGTERM)
    assert boot.wait(20) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{(lab.directory / 'qemu').read_text().strip()}").exists()
    assert not list(lab.directory.glob("tce2-*.dtb"))
    assert len(lab.starts) == 1
