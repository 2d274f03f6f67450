# SPDX-License-Identifier: GPL-2.0-only
"""Boot a cached kernel in an emulated POWER machine.

The machine has two `edu` devices, each in a separate IOMMU group. The guest's console goes to
a log. At its end the guest prints "TCE2-EXIT N". N is called the verdict, and becomes the
exit status. Calls labels, command and places.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import labels
from .command import call, end, output_of, say, shown, started
from .places import LOGS, LabError

QEMU = "qemu-system-ppc64"
# Exit status of a guest that timed out, and of a guest that ended without a verdict
TIMED_OUT = 124
NO_VERDICT = 125
SPLAT = re.compile(r"WARNING:|BUG:|Oops:|Kernel panic")
# Console output that shows that the firmware has started the kernel
BEGUN = re.compile(r"Linux ppc64le|INIT: Starting kernel")
# A message of the firmware in the middle of a guest's line
FIRMWARE = re.compile(rb"(.+)(\[ *[0-9]+\.[0-9]{9},[0-7]\] .*)")
# Page sizes for the device tree: AP encoding << 29 | page shift, for 4K, 64K, 2M and 1G pages.
# QEMU's powernv omits this property of a POWER9, so the kernel would have no huge pages.
RADIX_ENCODINGS = ("0000000c", "a0000010", "20000015", "4000001e")


@dataclass
class Machine:
    """The requested machine. The header of scripts/vm explains the options."""

    label: str = labels.DEFAULT_LABEL
    kernel: str = ""
    machine: str = "powernv9"
    initrd: str = ""
    append: str = ""
    smp: int = 1
    mem: str = "6G"
    icount: bool = False
    timeout: float = 300
    log: Path = LOGS / "vm.log"
    echo: str = ""
    disk: str = ""
    hcalls: str = ""
    option: tuple[str, ...] = ()


def number(text: str, what: str) -> float:
    """Return the number given to an option; raise LabError if it is no number."""
    try:
        return float(text)
    except ValueError:
        raise LabError(f"scripts/vm: {what} needs a number, not '{text}'") from None


def parse(arguments: Sequence[str]) -> Machine:
    """Parse the arguments of scripts/vm."""
    asked = Machine()
    words = iter(arguments)
    for option in words:
        name = option.removeprefix("--")
        if option == "--icount":
            asked.icount = True
            continue
        if not option.startswith("--") or name not in vars(asked):
            raise LabError(f"scripts/vm knows no option {option}")
        value = next(words, None)
        if value is None:
            raise LabError(f"scripts/vm needs a value after {option}")
        if name == "option":
            asked.option += (value,)
        elif name == "smp":
            asked.smp = int(number(value, option))
        elif name == "timeout":
            asked.timeout = number(value, option)
        else:
            setattr(asked, name, Path(value) if name == "log" else value)
    if not asked.initrd:
        raise LabError("scripts/vm needs --initrd FILE")
    return asked


def edu_on(bus: str, slot: int) -> list[str]:
    """Return the options for an edu device.

    Function 1 is a pci-testdev, which prevents a bus reset: VFIO resets a bus only if it owns
    all devices of the bus, and function 1 has no driver. A reset would take more than a second
    at every close.
    """
    return ["-device", "edu,dma_mask=0xffffffffffffffff,multifunction=on,"
                       f"bus={bus},addr={slot}.0",
            "-device", f"pci-testdev,bus={bus},addr={slot}.1"]


def disk_on(asked: Machine, bus: str) -> list[str]:
    """Return the options for the disk, if there is one."""
    if not asked.disk:
        return []
    return ["-drive", f"file={asked.disk},format=raw,if=none,id=disk,cache=unsafe",
            "-device", f"nvme,serial=tce2,drive=disk,bus={bus}"]


def powernv_options(asked: Machine) -> list[str]:
    """Return the options for bare metal. -nodefaults would remove the PCI host bridges."""
    return ["-machine", asked.machine, "-m", asked.mem, "-net", "none",
            *edu_on("pcie.0", 0), *edu_on("pcie.1", 0), *disk_on(asked, "pcie.2")]


def pseries_options(asked: Machine) -> list[str]:
    """Return the options for a guest of a hypervisor.

    On pseries an IOMMU group has all devices below one host bridge. The capabilities are
    disabled because TCG lacks them and would print warnings. maxmem is set because without
    it a driver requests a window of size 0, and after this failure Linux creates no window
    for the device.
    """
    return ["-machine", f"{asked.machine},cap-cfpc=broken,cap-sbbc=broken,"
                        "cap-ibs=broken,cap-ccf-assist=off",
            "-m", f"{asked.mem},slots=1,maxmem=32G", "-nodefaults",
            "-device", "spapr-pci-host-bridge,index=1,id=second",
            "-device", "spapr-pci-host-bridge,index=2,id=third",
            *edu_on("pci.0", 1), *edu_on("second.0", 1), *disk_on(asked, "third.0"),
            *(["-D", asked.hcalls, "-trace", "spapr_iommu_pci_*"] if asked.hcalls else [])]


MACHINES: dict[str, Callable[[Machine], list[str]]] = {
    "powernv9": powernv_options,
    "pseries": pseries_options,
}


def qemu_command(asked: Machine) -> list[str]:
    """Return the QEMU command line, without kernel command line and console."""
    if asked.machine not in MACHINES:
        raise LabError(f"scripts/vm knows no machine {asked.machine}")
    return [QEMU, "-accel", "tcg", "-smp", str(asked.smp), "-display", "none", "-no-reboot",
            "-kernel", asked.kernel or str(labels.vmlinux(asked.label)),
            "-initrd", asked.initrd,
            *(["-icount", "shift=0"] if asked.icount else []),
            *MACHINES[asked.machine](asked), *asked.option]


def kernel_arguments(asked: Machine) -> str:
    """Return the kernel command line.

    An Oops ends the guest at once, because later results would be meaningless. Warnings and
    errors are not printed on the console, because they could split a line of a test, and
    pseries logs each window as an error. /init prints both at the end. Watchdogs are off,
    because an overloaded host must not fail the guest.

    An idle CPU of a pseries guest cedes (H_CEDE), and sometimes QEMU does not wake it on an
    interrupt from another CPU. So idle CPUs spin, unless the guest has only one CPU.
    """
    spins = asked.machine == "pseries" and asked.smp > 1
    return " ".join([
        "console=hvc0 panic=-1 oops=panic loglevel=3 nowatchdog nosoftlockup log_buf_len=16M",
        *(["powersave=off"] if spins else []), asked.append])


def dump_device_tree(asked: Machine, dtb: Path) -> None:
    """Let QEMU write the device tree of this machine.

    The device tree includes the kernel command line and the address of the initrd.
    """
    command = [*qemu_command(asked), "-append", kernel_arguments(asked),
               "-S", "-serial", "none", "-monitor", "stdio"]
    with asked.log.open("wb") as log, started(command, stdin=subprocess.PIPE, stdout=log,
                                              stderr=subprocess.STDOUT) as qemu:
        qemu.communicate(f"dumpdtb {dtb}\nquit\n".encode())
    if not dtb.stat().st_size:
        raise LabError(f"QEMU wrote no device tree, see {asked.log}")


def add_radix_encodings(dtb: Path) -> None:
    """Add the page sizes of the radix MMU to a device tree."""
    for cpu in output_of("fdtget", "-l", str(dtb), "/cpus").splitlines():
        if cpu.startswith("PowerPC"):
            call("fdtput", "-t", "x", dtb, f"/cpus/{cpu}",
                 "ibm,processor-radix-AP-encodings", *RADIX_ENCODINGS)


@contextmanager
def boot_options(asked: Machine) -> Iterator[list[str]]:
    """Yield the QEMU options that pass the kernel command line: -append, or a device tree.

    On powernv QEMU gets a modified device tree, which already contains the command line.
    """
    if asked.machine == "pseries":
        yield ["-append", kernel_arguments(asked)]
        return
    with tempfile.NamedTemporaryFile(prefix="tce2-", suffix=".dtb") as file:
        dtb = Path(file.name)
        dump_device_tree(asked, dtb)
        add_radix_encodings(dtb)
        yield ["-dtb", file.name]


def whole_lines(console: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a console.

    The firmware writes to the same UART as the guest, sometimes in the middle of a guest's
    line. Join the two halves of such a line.
    """
    half = b""
    for text in console:
        line = half + text.removesuffix(b"\n").removesuffix(b"\r").replace(b"\0", b"")
        half = b""
        if found := FIRMWARE.fullmatch(line):
            half, line = found[1], found[2]
        yield line
    if half:
        yield half


def follow(asked: Machine, console: Iterable[bytes]) -> str:
    """Copy the console to the log; print the lines of --echo; return the guest's verdict."""
    verdict = ""
    with asked.log.open("wb", buffering=0) as log:
        for line in whole_lines(console):
            log.write(line + b"\n")
            text = line.decode(errors="replace")
            if text.startswith("TCE2-EXIT "):
                verdict = text.removeprefix("TCE2-EXIT ")
            if asked.echo and text.startswith(asked.echo):
                say(text.removeprefix(asked.echo))
    return verdict


@dataclass(frozen=True)
class Ended:
    """The end of QEMU: its status (as in a shell), the guest's verdict, and a time-out flag."""

    status: int
    verdict: str
    is_late: bool

    @property
    def has_verdict(self) -> bool:
        """Check that the guest has printed a verdict."""
        return bool(re.fullmatch(r"[0-9]+", self.verdict))


def boot_once(asked: Machine) -> Ended:
    """Boot the machine and wait until QEMU exits."""
    late = threading.Event()
    with boot_options(asked) as options:
        command = [*qemu_command(asked), *options, "-serial", "stdio", "-monitor", "none"]
        with started(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:

            def expire() -> None:
                late.set()
                end(qemu)

            timer = threading.Timer(asked.timeout, expire)
            timer.start()
            try:
                assert qemu.stdout
                verdict = follow(asked, qemu.stdout)
                status = qemu.wait()
            finally:
                timer.cancel()
    return Ended(status if status >= 0 else 128 - status, verdict, late.is_set())


def first_complaint(console: str) -> list[str]:
    """Return the lines of the console that explain why a guest died.

    These are the lines from the first splat (a warning or an oops) of the kernel. Without a
    splat, they are the last lines.
    """
    lines = console.splitlines()
    for index, line in enumerate(lines):
        if SPLAT.search(line):
            return lines[index:index + 31]
    return lines[-20:]


def explain_death(asked: Machine, what: str) -> None:
    """Print what happened, and the part of the console that explains it."""
    console = asked.log.read_text(errors="replace")
    print("\n".join([what, "    the guest console:",
                     *(f"    {line}" for line in first_complaint(console)),
                     f"    (all of it: {shown(asked.log)})"]), file=sys.stderr, flush=True)


def died_in_firmware(asked: Machine, ended: Ended) -> bool:
    """Check that QEMU ended before the kernel started.

    QEMU 10.0 sometimes dies while a powernv machine runs its firmware, which is no failure of
    the guest.
    """
    return (not ended.is_late and not ended.has_verdict
            and not BEGUN.search(asked.log.read_text(errors="replace")))


def boot(asked: Machine) -> int:
    """Boot the machine; retry once if QEMU dies in the firmware; return the status."""
    ended = boot_once(asked)
    if died_in_firmware(asked, ended):
        say(f"QEMU ended with status {ended.status} before the kernel started: "
            "starting it again")
        ended = boot_once(asked)
    if ended.is_late:
        explain_death(asked, f"the guest did not end within {asked.timeout:g} s")
        return TIMED_OUT
    if not ended.has_verdict:
        explain_death(asked, "the guest ended without a verdict, "
                             f"QEMU with status {ended.status}")
        return NO_VERDICT
    return int(ended.verdict) & 0xff


def main(arguments: Sequence[str]) -> int:
    """Run scripts/vm."""
    asked = parse(arguments)
    labels.label(asked.label)
    asked.log.parent.mkdir(parents=True, exist_ok=True)
    return boot(asked)
