# SPDX-License-Identifier: GPL-2.0-only
"""An emulated POWER machine that boots a kernel of the cache.

It has two `edu` devices, each in an IOMMU group of its own. The guest's console goes to
a log, and the guest's line "TCE2-EXIT N" becomes the status. Calls labels, command and
places.
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
# The status of a guest that did not end in time, and of one that ended without a verdict
TIMED_OUT = 124
NO_VERDICT = 125
SPLAT = re.compile(r"WARNING:|BUG:|Oops:|Kernel panic")
# What the console shows once the firmware has started the kernel
BEGUN = re.compile(r"Linux ppc64le|INIT: Starting kernel")
# A line of the firmware that begins in the middle of a line of the guest's
FIRMWARE = re.compile(rb"(.+)(\[ *[0-9]+\.[0-9]{9},[0-7]\] .*)")
# Shift << 29 | actual page size code, for 4K, 64K, 2M and 1G: what a POWER9 supports and
# QEMU's powernv machines leave out of the device tree. Without it the kernel has no huge
# pages.
RADIX_ENCODINGS = ("0000000c", "a0000010", "20000015", "4000001e")


@dataclass
class Machine:
    """What is asked for; scripts/vm says what each option means."""

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
    """Return a number that an option has; raise LabError if it is none."""
    try:
        return float(text)
    except ValueError:
        raise LabError(f"scripts/vm: {what} needs a number, not '{text}'") from None


def parse(arguments: Sequence[str]) -> Machine:
    """Return the machine that the arguments of scripts/vm ask for."""
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

    Beside it lies a function that no driver takes. As long as VFIO does not have all of
    a bus, it cannot reset the bus, which it would do for more than a second at every
    close.
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

    An IOMMU group is all that is behind a host bridge here. The capabilities are those
    that TCG cannot offer, and would complain about. Without maxmem a driver's request
    for a window is one of no size, after which the device gets no window at all.
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
    """Return QEMU's command without the kernel's arguments and the console's place."""
    if asked.machine not in MACHINES:
        raise LabError(f"scripts/vm knows no machine {asked.machine}")
    return [QEMU, "-accel", "tcg", "-smp", str(asked.smp), "-display", "none", "-no-reboot",
            "-kernel", asked.kernel or str(labels.vmlinux(asked.label)),
            "-initrd", asked.initrd,
            *(["-icount", "shift=0"] if asked.icount else []),
            *MACHINES[asked.machine](asked), *asked.option]


def kernel_arguments(asked: Machine) -> str:
    """Return the kernel's arguments.

    An Oops ends the guest at once, because what it leaves proves nothing. Warnings stay
    off the console, where they could break a line of the test's; so do errors, because
    pseries reports each window as one. /init shows them in the end. Watchdogs are off,
    because a starved host is no fault of the guest.

    A processor of a hypervisor's guest that has nothing to do cedes itself, and at times
    QEMU does not wake it when another processor sends it an interrupt. So it spins,
    unless it is the only one.
    """
    spins = asked.machine == "pseries" and asked.smp > 1
    return " ".join([
        "console=hvc0 panic=-1 oops=panic loglevel=3 nowatchdog nosoftlockup log_buf_len=16M",
        *(["powersave=off"] if spins else []), asked.append])


def dump_device_tree(asked: Machine, dtb: Path) -> None:
    """Have QEMU write the device tree of this very machine.

    The tree holds the kernel's arguments and the initrd's place, too.
    """
    command = [*qemu_command(asked), "-append", kernel_arguments(asked),
               "-S", "-serial", "none", "-monitor", "stdio"]
    with asked.log.open("wb") as log, started(command, stdin=subprocess.PIPE, stdout=log,
                                              stderr=subprocess.STDOUT) as qemu:
        qemu.communicate(f"dumpdtb {dtb}\nquit\n".encode())
    if not dtb.stat().st_size:
        raise LabError(f"QEMU gave no device tree, see {asked.log}")


def add_radix_encodings(dtb: Path) -> None:
    """Add the huge page sizes to a device tree."""
    for cpu in output_of("fdtget", "-l", str(dtb), "/cpus").splitlines():
        if cpu.startswith("PowerPC"):
            call("fdtput", "-t", "x", dtb, f"/cpus/{cpu}",
                 "ibm,processor-radix-AP-encodings", *RADIX_ENCODINGS)


@contextmanager
def boot_options(asked: Machine) -> Iterator[list[str]]:
    """Return the options that carry the kernel's arguments.

    QEMU takes the arguments only once, and a device tree of ours has them already.
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
    """Return the lines of a console.

    The firmware writes to the same UART as the guest, at times into the middle of a line
    of the guest's. The halves of such a line are joined.
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
    """Copy the console to the log, and show the lines wanted; return the guest's verdict."""
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
    """How QEMU ended: its status as a shell has it, the verdict, and whether it took too long."""

    status: int
    verdict: str
    is_late: bool

    @property
    def has_verdict(self) -> bool:
        """Check whether the guest has told a status."""
        return bool(re.fullmatch(r"[0-9]+", self.verdict))


def boot_once(asked: Machine) -> Ended:
    """Boot the machine, and wait for its end."""
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
    """Return what a console says about a guest's death.

    The first complaint of a kernel says more than its last words.
    """
    lines = console.splitlines()
    for index, line in enumerate(lines):
        if SPLAT.search(line):
            return lines[index:index + 31]
    return lines[-20:]


def explain_death(asked: Machine, what: str) -> None:
    """Print what happened, and the part of the console that tells why."""
    console = asked.log.read_text(errors="replace")
    print("\n".join([what, "    the guest console:",
                     *(f"    {line}" for line in first_complaint(console)),
                     f"    (all of it: {shown(asked.log)})"]), file=sys.stderr, flush=True)


def died_in_firmware(asked: Machine, ended: Ended) -> bool:
    """Check whether QEMU ended before the kernel began.

    QEMU 10.0 at times dies while the firmware of a powernv machine starts, which says
    nothing about the guest.
    """
    return (not ended.is_late and not ended.has_verdict
            and not BEGUN.search(asked.log.read_text(errors="replace")))


def boot(asked: Machine) -> int:
    """Boot the machine, a second time if QEMU dies in the firmware; return the status."""
    ended = boot_once(asked)
    if died_in_firmware(asked, ended):
        say(f"QEMU ended with status {ended.status} before the kernel began: "
            "starting it once more")
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
    """Boot the machine that scripts/vm is asked for."""
    asked = parse(arguments)
    labels.label(asked.label)
    asked.log.parent.mkdir(parents=True, exist_ok=True)
    return boot(asked)
