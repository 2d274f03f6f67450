# SPDX-License-Identifier: GPL-2.0-only
"""Copy the sources, and replace programs that are slow or need a network with fakes.

The fakes replace apt, git's configuration, QEMU, the builds, and the tests of tests/run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from lab.labels import all_labels
from lab.command import without_settings
from runner.command import Done, copy_sources, run
from runner.suites import SUITES

from ci_jobs import Job

# Fakes of apt for an archive with one kernel of each label. NEWER is the version of the kernels.
APT_GET = """
case " $* " in
*" indextargets "*) echo 'Debian|bookworm|main|Packages|file:/archive' ;;
esac
"""
APT_CACHE = """
case " $* " in
*" pkgnames "*)
    for series in $SERIES; do
        printf "linux-image-$series.${NEWER:-5}-powerpc64le%s\\n" '' -64k
    done ;;
*" show "*)
    printf 'Version: %s\\n' "$series.${NEWER:-5}-1" ;;
esac
"""
# The fake of make records target, label and machine, and then runs make. A repeated call does
# nothing. To save time, only two labels run check-guests: one with use "run" and one with
# "load". For other labels make -n checks that the target exists.
MAKE = """
for word; do
    case $word in *=*) export "$word" ;; esac
done
label=${KERNEL:-${KERNELS:-}}
PATH=${PATH#*:}
! grep -Fx "$1 $label ${MACHINES:-}" "$RECORD" >/dev/null 2>&1 || exit 0
echo "$1 $label ${MACHINES:-}" >>"$RECORD"
case $1,$label in
check-guests,6.12-4k|check-guests,6.1-64k) ;;
check-guests,*|kernel-versions,7.[3-9]*) set -- -n "$@" ;;
esac
exec make "$@"
"""
# The fake of tests/run lists the cases before it runs them
TESTS_RUN = '"$0.real" "$@" --collect-only && exec "$0.real" "$@"\n'
KERNEL = '[ "$1" != --newest ] || exec "$0.real" "$1"\n'
MODULE = """
cd "$(dirname "$0")/.." && mkdir -p "build/$1" build/logs &&
touch "build/$1/vfio_spapr_tce2.ko" "build/logs/module-$1.log"
"""
# The fake of scripts/vm: every test of the C sources passes. Programs of other jobs print one
# result, which is not listed.
VM = """
while [ $# -gt 0 ]; do
    case $1 in
    --log) log=$2 ;;
    --append) append=$2 ;;
    esac
    shift
done
cd "$(dirname "$0")/.."
{
    printf '%s\\n' '# MMU: Hash' 'with the MMU on: ok 1 ' 'MCE: machine check'
    case $append in
    *tce2.run=tce2-job_conformance*)
        cat tests/guest/conformance_*.c |
            sed -nE 's/^TEST(_F\\([a-z_]+, |\\()([a-z0-9_]+).*/ok 1 - \\2/p' ;;
    *) echo 'ok 1 - passes' ;;
    esac
} >"$log"
echo "1..$(grep -c '^ok ' "$log")" >>"$log"
"""
UNIT = """
cd "$(dirname "$0")"
for size in 4K 64K; do
    sed -nE "s/^TEST(_F\\([a-z_]+, |\\()([a-z0-9_]+).*/ok 1 - \\2 ($size pages)/p" test_*.c
done
echo "1..$((2 * $(cat test_*.c | grep -cE '^TEST(_F)?[(]')))"
"""
SCRIPT = 'printf "ok 1 - passes\\n1..1\\n"\n'
SUITE = "def test_passes() -> None:\n    pass\n"
MAKEFILE = ".PHONY: all unit\nall unit:\n"

# Lines in the output of tests/run: test ids, and the table of rows
LISTED = re.compile(r"^(tests/[^:]+)::(.+)$", re.MULTILINE)
OF_THIS_MACHINE = re.compile(r"^(\S+) +(\d+) passed$", re.MULTILINE)
GUESTS = re.compile(r"^KERNEL +JOB +(\S+)$", re.MULTILINE)
OF_A_GUEST = re.compile(r"^(\S+) +(\S+) +(\d+) passed$", re.MULTILINE)
# Programs whose results are all listed. Each other program prints one unlisted result.
LISTED_ROWS = ("tests/unit/run", "tests/guest/job_conformance.c")


def program(file: Path, text: str) -> None:
    """Write a program for bash."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/bash\n{text}")
    file.chmod(0o755)


class Sources:
    """A copy of the sources, in which jobs run as on GitHub or GitLab."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.top = work / "sources"
        self.record = work / "record"
        (work / "cache").mkdir(parents=True)
        copy_sources(self.top)
        program(work / "first" / "make", MAKE)
        program(work / "bin" / "apt-get", APT_GET)
        series = {row.series for row in all_labels().values() if not row.is_added}
        program(work / "bin" / "apt-cache", f"SERIES='{' '.join(sorted(series))}'\n{APT_CACHE}")
        self._fake_scripts()
        self._fake_tests()

    def _fake_scripts(self) -> None:
        scripts = self.top / "scripts"
        (scripts / "kernel").rename(scripts / "kernel.real")
        for name, text in {"hosttools": "", "initramfs": "", "clients": "", "programs": "",
                           "lint": "", "kernel": KERNEL, "module": MODULE, "vm": VM}.items():
            program(scripts / name, text)

    def _fake_tests(self) -> None:
        tests = self.top / "tests"
        for script in tests.glob("*/run"):
            program(script, SCRIPT)
        program(tests / "unit" / "run", UNIT)
        for name in ("unit", "preflight"):
            (tests / name / "Makefile").write_text(MAKEFILE)
        for name in SUITES:
            if (tests / name).is_dir():
                for file in (tests / name).glob("test_*.py"):
                    file.unlink()
                (tests / name / f"test_of_{name}.py").write_text(SUITE)
        (tests / "run").rename(tests / "run.real")
        program(tests / "run", TESTS_RUN)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment with the fakes on the PATH."""
        path = f"{self.work / 'bin'}:{os.environ.get('PATH', os.defpath)}"
        return without_settings(PATH=path, **variables)

    def run_job(self, job: Job) -> Done:
        """Run a job's script in bash, as GitHub and GitLab do."""
        script = job.script.replace("/var/cache", str(self.work / "cache"))
        environment = self.environment(RECORD=str(self.record),
                                       GIT_CONFIG_SYSTEM=str(self.work / "gitconfig"))
        environment["PATH"] = f"{self.work / 'first'}:{environment['PATH']}"
        return run("bash", "-eo", "pipefail", "-c", script, cwd=self.top, env=environment)

    def newest(self, version: str) -> str:
        """Return build/kernel-versions, which is a cache key, for an archive with a version."""
        run(self.top / "scripts" / "kernel.real", "--newest", env=self.environment(
            NEWER=version, KERNELS="6.12-64k", XDG_CACHE_HOME=str(self.work / "cache"))).expect(0)
        return (self.top / "build" / "kernel-versions").read_text()


def listed(output: str) -> Counter[str]:
    """Return the number of results of each row: listed cases plus unlisted results."""
    counts: Counter[str] = Counter()
    for path, name in LISTED.findall(output):
        directory = path.split("/")[1]
        row = name.rsplit("[", 1)[1].rstrip("]") if directory == "guest" else directory
        is_script = "_runs_to_its_end" in name and path not in LISTED_ROWS
        counts["host" if row == "unit" else row] += 2 if is_script else 1
    return counts


def passed(output: str) -> dict[str, int]:
    """Return the number of passed cases of each row in the table of tests/run."""
    here, *guests = GUESTS.split(output)
    counts = {row: int(number) for row, number in OF_THIS_MACHINE.findall(here)}
    for machine, table in zip(guests[::2], guests[1::2]):
        for label, job, number in OF_A_GUEST.findall(table):
            counts[f"{label}.{machine}+{job}"] = int(number)
    return counts
