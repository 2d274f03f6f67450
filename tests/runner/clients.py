# SPDX-License-Identifier: GPL-2.0-only
"""Rows in which unmodified clients run on the emulated POWER9.

The clients are QEMU with KVM and a passed-through NVMe disk, and DPDK's testpmd with two
network cards. They run with the in-tree driver and with this module. tests/clients/scenarios.c
starts them in the emulated machine. Figures and ioctl counts are kept in build/clients.

In the run OBSERVERS the programs of administrators observe clients of this module: tce2ctl,
trace-cmd, perf and bpftrace (tests/clients/observers.c). Reports of tce2ctl are kept in
build/clients.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.clients import OUT
from lab.command import say
from lab.labels import DEFAULT_LABEL
from lab.places import LOGS, SCRIPTS

from .row import Row, build
from .settings import Settings, number, unknown

BACKENDS = ("intree", "ours")
# The known content at the beginning of a disk, and the size of the disk
CONTENT = 32 << 20
DISK = 128 << 20
FIGURE = re.compile(r"^# figure (.*?)\r?$", re.MULTILINE)
IOCTLS = re.compile(r"^# ioctls (.*?)\r?$", re.MULTILINE)
# A report of tce2ctl on the console: its name, and lines with a prefix
REPORT = re.compile(r"^# report (\S+)\r?\n((?:# > .*\n)+)", re.MULTILINE)

OBSERVERS = "observers"
# The scenarios of each run, with their options (tests/clients/scenarios.c). `make check` has
# only the run SHORT.
SHORT = "short"
SCENARIOS: Mapping[str, tuple[str, ...]] = {
    SHORT: ("io:off",),
    "kvm": ("io:off", "io:on", "io:hidden", "reboot", "killed", "unplug", "dimm:off",
            "dimm:on", "groups:phbs"),
    "shared": ("groups:shared",),
    "hostile": ("hostile:{seconds}:{seed}",),
    "dpdk": ("testpmd:start", "testpmd:again", "testpmd:killed", "testpmd:after", "both"),
    OBSERVERS: (),
}
RUNS = tuple(run for run in SCENARIOS if run != SHORT)
# Options of scripts/vm by run. With counted instructions the figures of the kvm run are
# reproducible. The other runs need processors that run in parallel. DPDK has two network cards
# on one hub.
COUNTED = ("--icount", "--smp", "1")
PARALLEL = ("--smp", "2")
MACHINES: Mapping[str, tuple[str, ...]] = {
    "hostile": PARALLEL,
    OBSERVERS: PARALLEL,
    "dpdk": (*PARALLEL,
             "--option", "-netdev", "--option", "hubport,id=port0,hubid=0",
             "--option", "-netdev", "--option", "hubport,id=port1,hubid=0",
             "--option", "-device", "--option", "e1000e,netdev=port0,bus=pcie.4,romfile=",
             "--option", "-device", "--option", "e1000e,netdev=port1,bus=pcie.5,romfile="),
}


@dataclass(frozen=True)
class ClientsKey:
    """A run of clients with a backend."""

    run: str
    backend: str

    def __str__(self) -> str:
        return "clients" if self.run == SHORT else f"{self.run}.{self.backend}"

    @property
    def exists(self) -> bool:
        """Check that the run exists for the backend: only this module is observed."""
        return self.run != OBSERVERS or self.backend == "ours"


@dataclass(frozen=True)
class ClientsSettings:
    """Settings of environment variables: the kernel, the scenarios, the hostile guest."""

    label: str
    scenarios: tuple[str, ...]
    hostile_seconds: int
    hostile_seed: int
    timeout: int

    def __post_init__(self) -> None:
        """Refuse unknown scenarios. A hostile scenario may have any duration and seed."""
        there_are = [text.format(seconds=self.hostile_seconds, seed=self.hostile_seed)
                     for scenarios in SCENARIOS.values() for text in scenarios]
        for name in self.scenarios:
            if name not in there_are and not name.startswith("hostile:"):
                raise unknown("scenario", name, there_are)

    @classmethod
    def from_environment(cls) -> ClientsSettings:
        """Read the settings from the environment variables."""
        return cls(label=os.environ.get("KERNEL") or DEFAULT_LABEL,
                   scenarios=tuple(os.environ.get("SCENARIOS", "").split()),
                   hostile_seconds=number(os.environ, "HOSTILE_SECONDS", 20),
                   hostile_seed=number(os.environ, "HOSTILE_SEED", 1),
                   timeout=number(os.environ, "GUEST_TIMEOUT", 0))

    @property
    def is_slow(self) -> bool:
        """Check whether the kernel is a debug kernel, which is slower and needs more memory."""
        return self.label.endswith("-debug")

    def scenarios_of(self, run: str) -> list[str]:
        """Return the scenarios of a run."""
        return [text.format(seconds=self.hostile_seconds, seed=self.hostile_seed)
                for text in self.scenarios or SCENARIOS[run]]

    def seconds(self) -> int:
        """Return the time-out of a run, in seconds."""
        return self.timeout or (900 + 4 * self.hostile_seconds) * (8 if self.is_slow else 1)


def chosen(name: str, there_are: tuple[str, ...]) -> list[str]:
    """Return the names in an environment variable, or all names; refuse unknown names."""
    names = os.environ.get(name, "").split() or list(there_are)
    for each in names:
        if each not in there_are:
            raise unknown(name.lower().rstrip("s"), each, there_are)
    return names


def make_disks() -> str:
    """Make two disks with the same known content; return the MD5 sum of the content."""
    OUT.mkdir(parents=True, exist_ok=True)
    content = os.urandom(CONTENT)
    for name in ("disk0", "disk1"):
        with (OUT / name).open("wb") as file:
            file.write(content)
            file.truncate(DISK)
    return hashlib.md5(content).hexdigest()


def boot_command(key: ClientsKey, settings: ClientsSettings, content: str,
                 console: Path) -> list[str]:
    """Return the command of scripts/vm for a run."""
    arguments = ",".join([key.backend, content, *settings.scenarios_of(key.run)])
    append = ["tce2.run=tce2-scenarios", f"tce2.args={arguments}"]
    initrd = OUT / "initrd"
    if key.run == OBSERVERS:
        append = ["tce2.run=tce2-observers"]
        initrd = OUT / "initrd-observers"
    if settings.is_slow:
        append += ["tce2.patience=8", "kasan_multi_shot"]
    return [
        str(SCRIPTS / "vm"), "--label", settings.label, "--initrd", str(initrd),
        "--mem", "6G" if settings.is_slow else "3G", "--disk", str(OUT / "disk0"),
        "--option", "-drive",
        "--option", f"file={OUT / 'disk1'},format=raw,if=none,id=second,cache=unsafe",
        "--option", "-device", "--option", "nvme,serial=second,drive=second,bus=pcie.3",
        *MACHINES.get(key.run, COUNTED),
        "--timeout", str(settings.seconds()), "--log", str(console),
        "--append", " ".join(append)]


def clients_row(key: ClientsKey, settings: ClientsSettings) -> Row:
    """Return the row of a run."""

    def prepare(row: Row) -> list[str]:
        label = settings.label
        packer = "observers" if key.run == OBSERVERS else "clients"
        build(LOGS / f"check-module-{label}.log", f"building the module for {label}",
              [str(SCRIPTS / "module"), label])
        build(LOGS / "clients-pack.log", "packing the clients",
              [str(SCRIPTS / packer), label])
        say(f"{row.name}: booting")
        return boot_command(key, settings, make_disks(), row.console)

    row = Row(str(key), prepare)
    row.messages = LOGS / f"check-{key}.vm"
    return row


def clients_rows(settings: Settings) -> dict[ClientsKey, Row]:
    """Return the rows of a mode: all runs with both backends, or the short run."""
    if settings.mode == "clients":
        keys = [ClientsKey(run, backend) for run in chosen("RUNS", RUNS)
                for backend in chosen("BACKENDS", BACKENDS)]
        keys = [key for key in keys if key.exists]
    elif settings.mode in ("check", "host") and not settings.jobs:
        keys = [ClientsKey(SHORT, "ours")]
    else:
        keys = []
    mine = ClientsSettings.from_environment()
    return {key: clients_row(key, mine) for key in keys}


def keep_reports(console: str) -> None:
    """Write the reports of tce2ctl on a console to build/clients."""
    for name, lines in REPORT.findall(console):
        text = "".join(f"{line.removeprefix('# > ')}\n" for line in lines.splitlines())
        (OUT / f"{name}.report").write_text(text)


def keep_figures(row: Row) -> list[tuple[str, str, str]]:
    """Write figures and ioctls of a run to build/clients.

    Return scenario, name and value of each figure.
    """
    console = row.console.read_text(errors="replace") if row.console.exists() else ""
    figures = FIGURE.findall(console)
    (OUT / f"{row.name}.figures").write_text("".join(f"{line}\n" for line in figures))
    (OUT / f"{row.name}.ioctls").write_text(
        "".join(f"{line}\n" for line in IOCTLS.findall(console)))
    keep_reports(console)
    return [(words[0], words[1], words[2]) for line in figures
            if len(words := line.split()) >= 3]


def table(rows: Mapping[ClientsKey, Row]) -> Iterator[str]:
    """Yield a line for each figure of each scenario, with a column for each backend.

    If a scenario prints the figure "failed" several times, its values are added.
    """
    values: dict[tuple[str, str], dict[str, str]] = {}
    for key, row in rows.items():
        for scenario, name, value in keep_figures(row):
            title = f"{key.run}-end" if scenario == "end" else scenario
            cell = values.setdefault((title, name), {})
            if name == "failed":
                value = str(int(cell.get(key.backend, "0")) + int(value))
            cell[key.backend] = value
    if not values:
        return
    backends = list(dict.fromkeys(key.backend for key in rows))
    columns = "".join(f" {backend:>12}" for backend in backends)
    yield f"{'SCENARIO':<15} {'FIGURE':<20}{columns}"
    for (scenario, name), cell in values.items():
        columns = "".join(f" {cell.get(backend, '-'):>12}" for backend in backends)
        yield f"{scenario:<15} {name:<20}{columns}"
