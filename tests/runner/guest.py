# SPDX-License-Identifier: GPL-2.0-only
"""Rows of an emulated machine: one boot of a kernel for one job."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lab.command import say, started
from lab.places import BUILD, LOGS, TOP

from .row import NotBuilt, Row, build
from .settings import Settings

# The program of each job that has another name than its program, and the programs that a
# job's program starts
JOB_PROGRAMS = {"races": "job_conformance"}
RUNS = {
    "job_conformance": ("conformance",),
    "job_failnth": ("conformance",),
    "job_differ": ("differ",),
}
# The largest number of cases that a guest can select. If more are selected, it runs all cases.
MAX_ONLY = 16
CHECK_TIMEOUT = 1200


@dataclass(frozen=True)
class GuestKey:
    """The identity of a guest's row: a kernel, a machine and a job."""

    label: str
    machine: str
    job: str

    def __str__(self) -> str:
        return f"{self.label}.{self.machine}+{self.job}"

    @property
    def program(self) -> str:
        """The program of tests/guest that does the job."""
        return JOB_PROGRAMS.get(self.job, f"job_{self.job}")

    @property
    def is_slow(self) -> bool:
        """Check whether the kernel is a debug kernel, which takes ten times as long."""
        return self.label.endswith("-debug")


def is_counted(settings: Settings, key: GuestKey) -> bool:
    """Check whether a row uses a module that counts its lines, for the coverage check.

    Such a module cannot run in real mode, so only the rows differ and failnth use it. failnth
    runs all cases of conformance, too.
    """
    return settings.mode == "debug" and key.is_slow and key.job in ("differ", "failnth")


def processors(settings: Settings, key: GuestKey) -> int:
    """Return the number of processors of the machine.

    QEMU sometimes loses an interrupt between the processors of a pseries guest. Then the
    guest hangs for minutes, which is no defect of the module. So in `make check` a pseries
    guest has one processor. Debug kernels have two, because their time-out is longer.
    """
    if settings.processors:
        return settings.processors
    return 1 if key.machine == "pseries" and settings.is_short else 2


def timeout(settings: Settings, key: GuestKey) -> int:
    """Return the seconds that a guest may take."""
    if settings.guest_timeout:
        return settings.guest_timeout
    if key.is_slow or not settings.is_short:
        return 5400 + 60 * settings.race_seconds
    return CHECK_TIMEOUT


def differ_calls(settings: Settings, key: GuestKey) -> int:
    """Return the number of calls to compare: fewer on debug kernels, which are slower."""
    if key.is_slow:
        return settings.differ_calls // 20
    return -(-settings.differ_calls // len(settings.machines))


def arguments(settings: Settings, key: GuestKey, only: list[str]) -> list[str]:
    """Return the arguments of the job's program."""
    result: list[str] = []
    if key.program == "job_conformance":
        for name in only:
            result += ["--only", name]
    if key.job == "races":
        result += ["--stress", "--seconds", str(settings.race_seconds)]
    elif key.job == "reload" and not settings.is_short:
        result += [str(settings.race_seconds)]
    elif key.job == "failnth":
        result += ["--budget", str(settings.failures)]
    elif key.job == "differ":
        # Each machine gets a different seed
        default = "1" if key.machine == "powernv9" else "2"
        result += ["--seed", settings.differ_seed or default]
        if settings.mode == "debug":
            result += ["--calls", str(differ_calls(settings, key))]
    if key.program == "job_conformance" and key.is_slow:
        result += ["--patience", "4"]
    return result


def boot_command(key: GuestKey, initrd: str, append: list[str], console: str,
                 options: list[str]) -> list[str]:
    """Return the command of scripts/vm."""
    return [str(TOP / "scripts" / "vm"), "--label", key.label, "--machine", key.machine,
            "--initrd", initrd, "--append", " ".join(append), "--log", console, *options]


def make_initrd(key: GuestKey, name: str, program: str) -> str:
    """Build a job's programs and initramfs; return the path of the initramfs."""
    programs = (program, *RUNS.get(program, ()))
    log = LOGS / f"initrd-{name}-{key.label}.log"
    build(log, "building the guest's programs", [str(TOP / "scripts" / "programs"), *programs])
    path = str(BUILD / "initrd" / f"{name}-{key.label}.cpio")
    build(log, f"{key}: packing its root filesystem",
          [str(TOP / "scripts" / "initramfs"), key.label, path,
           *(str(BUILD / "guest" / f"tce2-{each}") for each in programs)])
    return path


class ModuleBuild:
    """Builds of the module: at most one for each label, with and without line counts."""

    def __init__(self, fresh: bool) -> None:
        self.fresh = fresh
        self._current: dict[str, tuple[bool, str]] = {}

    def ensure(self, label: str, counted: bool) -> None:
        """Build the module; raise NotBuilt if the build fails or gives a warning."""
        if label not in self._current or self._current[label][0] != counted:
            broken = ""
            try:
                self._build(label, counted)
            except (NotBuilt, OSError) as error:
                broken = str(error)
            self._current[label] = (counted, broken)
        if broken := self._current[label][1]:
            raise NotBuilt(broken)

    def _build(self, label: str, counted: bool) -> None:
        scripts = TOP / "scripts"
        build(LOGS / f"kernel-{label}.log", f"kernel {label}",
              [str(scripts / "kernel"), label])
        settings = ["W=1", f"COVERAGE={'gcov' if counted else ''}"]
        if self.fresh:
            settings.append("FRESH=1")
        build(LOGS / f"check-module-{label}.log", f"building the module for {label} (W=1)",
              ["env", *settings, str(scripts / "module"), label])
        log = LOGS / f"module-{label}.log"
        warnings = [line for line in log.read_text(errors="replace").splitlines()
                    if "warning:" in line or "error:" in line]
        if warnings:
            raise NotBuilt("the module builds with warnings:\n" + "\n".join(warnings))


def guest_row(settings: Settings, key: GuestKey, modules: ModuleBuild) -> Row:
    """Return the row of a boot."""

    def prepare(row: Row) -> list[str]:
        modules.ensure(key.label, is_counted(settings, key))
        initrd = make_initrd(key, key.job, key.program)
        disk = BUILD / f"disk-{key}.img"
        disk.unlink(missing_ok=True)
        with disk.open("wb") as file:
            os.truncate(file.fileno(), 64 << 20)
        chosen = row.chosen or []
        only = chosen if len(chosen) <= MAX_ONLY else []
        append = ["page_owner=on", "kasan_multi_shot"] if key.is_slow else []
        append.append(f"tce2.run=tce2-{key.program}")
        if args := arguments(settings, key, only):
            append.append(f"tce2.args={','.join(args)}")
        say(f"{row.name}: booting")
        return boot_command(key, initrd, append, str(row.console), [
            "--smp", str(processors(settings, key)), "--disk", str(disk),
            "--timeout", str(timeout(settings, key))])

    row = Row(str(key), prepare)
    row.messages = LOGS / f"check-{key}.vm"
    return row


def boot_shortly(key: GuestKey, program: str, append: list[str],
                 name: str) -> tuple[int, str]:
    """Boot a guest for a case that needs a separate boot.

    Return the status of scripts/vm, and the text of the console. Messages of scripts/vm go to
    a log, where they name the file of the console.
    """
    console = LOGS / f"{name}-{key}.log"
    console.unlink(missing_ok=True)
    initrd = make_initrd(key, f"{program}-short", program)
    with (LOGS / f"{name}-{key}.vm").open("wb") as messages:
        command = boot_command(key, initrd, [f"tce2.run=tce2-{program}", *append],
                               str(console), ["--smp", "2", "--timeout", "180"])
        # Use started(): if subprocess.run() killed scripts/vm, QEMU would continue to run
        with started(command, cwd=TOP, stdout=messages, stderr=messages) as process:
            status = process.wait()
    return status, (console.read_text(errors="replace") if console.exists() else "")
