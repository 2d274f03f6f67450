# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/module, programs and initramfs, with fake tools that record arguments."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import initramfs, labels, module, programs
from lab.command import CROSS
from lab.places import SCRIPTS, TOP, LabError

# A fake tool: record the arguments and the environment, then run the test's shell code
TOOL = """#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$0" "$@" >"$here/arguments"
env >"$here/environment"
[ ! -e "$here/script" ] || . "$here/script"
"""
LABEL = "6.12-64k"
RELEASE = "6.12.0-64k"


@dataclass(frozen=True)
class Lab:
    """Private directories for one test: sources, build results, cache and fake programs."""

    directory: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    def run(self, main: Callable[[Sequence[str]], None], *arguments: str | Path) -> None:
        """Run a command of scripts/lab. The output goes to said; the caller gets exceptions."""
        with redirect_stdout(self.said), redirect_stderr(self.said):
            main([str(argument) for argument in arguments])

    @property
    def top(self) -> Path:
        """The source directory."""
        return self.directory / "top"

    @property
    def build(self) -> Path:
        """The build directory."""
        return self.top / "build"

    @property
    def kernel(self) -> Path:
        """The directory of the cached kernel."""
        return self.directory / "vfio-spapr-tce2" / "kernels" / LABEL

    def write(self, name: str, text: str = "") -> Path:
        """Write a file in the source directory."""
        file = self.top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def tool(self, name: str, script: str = "") -> None:
        """Make a fake program that records its call and runs a shell script."""
        file = self.directory / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(TOOL)
        file.chmod(0o755)
        if script:
            (file.parent / "script").write_text(script)

    @property
    def arguments(self) -> list[str]:
        """The recorded arguments."""
        return (self.directory / "bin" / "arguments").read_text().splitlines()

    @property
    def environment(self) -> dict[str, str]:
        """The recorded environment."""
        text = (self.directory / "bin" / "environment").read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a Lab with a few source files and an empty kernel."""
    lab = Lab(tmp_path)
    for name in ("Kbuild", "dkms.conf", "src/main.c", "include/tce2.h", "tests/selftest/main.c",
                 "tests/kvmplay/main.c", "tests/guest/init", "tests/guest/functions.sh"):
        lab.write(name, name)
    lab.write(".gitignore", "# built\n/build/\n*.o\n.*.cmd\n/src/probes/found.h*\n")
    tree = lab.kernel / "tree"
    tree.mkdir(parents=True)
    (tree / ".config").write_text("CONFIG_A=y\nCONFIG_PAHOLE_VERSION=124\n")
    for name, text in {"builddir": str(tree), "release": RELEASE, "cc": f"{CROSS}gcc-12"}.items():
        (lab.kernel / name).write_text(f"{text}\n")
    for variable in (*module.PASSED, "CLANG", "COVERAGE", "FRESH", "REFRESH", "BACKEND",
                     "MORE_MODULES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(module, "TOP", lab.top)
    for each in (module, initramfs):
        monkeypatch.setattr(each, "BUILD", lab.build)
    for each in (module, programs):
        monkeypatch.setattr(each, "LOGS", lab.build / "logs")
    monkeypatch.setattr(initramfs, "GUEST", lab.top / "tests" / "guest")
    monkeypatch.setattr(programs, "SOURCES", lab.top / "tests" / "guest")
    monkeypatch.setattr(programs, "CLIENTS", lab.top / "tests" / "clients")
    monkeypatch.setattr(programs, "INTERFACES", (lab.top / "tests" / "kvmplay",
                                                 lab.top / "include" / "uapi"))
    monkeypatch.setattr(programs, "GUEST", lab.build / "guest")
    return lab


def linked(out: Path) -> list[str]:
    """Return the symbolic links below a directory."""
    return sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_symlink())


def test_sources_are_linked_but_not_results_of_an_in_place_build(lab: Lab) -> None:
    for name in ("src/main.o", "src/.main.o.cmd", "src/probes/found.h.new", "tests/unit/unit.c"):
        lab.write(name)
    lab.write("src/probes/found.c")
    out = lab.build / LABEL
    module.link_sources(out)
    assert linked(out) == [
        "Kbuild", "dkms.conf", "include/tce2.h", "src/main.c", "src/probes/found.c",
        "tests/kvmplay/main.c", "tests/selftest/main.c"]
    assert (out / "src/main.c").read_text() == "src/main.c"


def test_stale_links_are_removed_and_build_results_are_kept(lab: Lab) -> None:
    out = lab.build / LABEL
    gone = lab.write("src/gone.c")
    module.link_sources(out)
    gone.unlink()
    (out / "src/main.o").write_text("result")
    (out / "src/old.o").symlink_to(lab.write("src/old.o"))
    (out / "src/main.c").unlink()
    (out / "src/main.c").write_text("a copy")
    module.link_sources(out)
    assert linked(out / "src") == ["main.c"]
    assert (out / "src/main.o").read_text() == "result"
    assert (out / "src/main.c").read_text() == "src/main.c"


def test_every_gitignore_pattern_matches_only_build_results() -> None:
    built = module.Built()
    for name in ("build", "src/main.o", "src/.main.o.cmd", "vfio_spapr_tce2.mod.c",
                 "Module.symvers", "src/probes/tce2_probed.h.tmp", "src/probes/kernel.stamp"):
        assert Path(name) in built, name
    for path in module.source_files():
        assert path not in built
    for name in ("src/main.c", "Kbuild", "src/probes/probe.sh", "tests/selftest/real.S"):
        assert Path(name) not in built, name


def test_kbuild_gets_only_the_documented_variables(lab: Lab,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    lab.tool("make")
    for name, value in {"W": "1", "KCFLAGS": "-g0", "COVERAGE": "gcov", "CC": "false",
                        "ARCH": "arm64", "MAKEFLAGS": "-n", "CFLAGS": "-mnone"}.items():
        monkeypatch.setenv(name, value)
    lab.run(module.main, LABEL)
    assert lab.arguments[2:] == [
        "-C", str(lab.kernel / "tree"), f"M={lab.build / LABEL}", "ARCH=powerpc",
        f"CROSS_COMPILE={CROSS}", f"CC={CROSS}gcc-12", "PAHOLE_VERSION=124", "W=1",
        "KCFLAGS=-g0", "TCE2_SELFTEST=1", "TCE2_COVERAGE=gcov", "modules"]
    assert not {"CC", "ARCH", "MAKEFLAGS", "CFLAGS", "W"} & set(lab.environment)


def test_the_module_is_built_with_the_kernels_own_compiler(lab: Lab) -> None:
    lab.tool("make")
    (lab.kernel / "path").write_text("/toolchain/bin\n")
    lab.run(module.main, LABEL)
    assert lab.environment["PATH"].startswith(f"/toolchain/bin:{lab.directory}/bin:")


def test_clang_compiles_only_the_objects(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.tool("clang-99")
    lab.tool("make", '[ "$1" != -dumpversion ] || echo 19.1.7')
    monkeypatch.setenv("CLANG", "clang-99")
    monkeypatch.setenv("C", "2")
    lab.run(module.main, LABEL)
    out = lab.build / "clang" / LABEL
    assert f"M={out}" in lab.arguments
    for word in ("CC=clang-99", "CONFIG_CLANG_VERSION=190107", "KBUILD_CHECKSRC=2",
                 "CHECK=clang-99 --analyze --analyzer-output text"):
        assert word in lab.arguments
    assert lab.arguments[-3:] == ["src/main.o", "tests/selftest/main.o", "tests/kvmplay/main.o"]
    assert "/objects" in lab.said.getvalue()


def test_fresh_discards_earlier_build_results(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.tool("make")
    result = lab.write(f"build/{LABEL}/src/main.o")
    lab.run(module.main, LABEL)
    assert result.exists()
    monkeypatch.setenv("FRESH", "1")
    lab.run(module.main, LABEL)
    assert not result.exists()


def test_warnings_and_the_time_of_the_probes_are_shown(lab: Lab) -> None:
    lab.tool("make", "echo 'a.c:1: warning: b'; echo '  3 probes in 2 s'; echo c")
    lab.run(module.main, LABEL)
    said = lab.said.getvalue().splitlines()
    assert said[-2] == "    a.c:1: warning: b"
    assert said[-1].endswith(f"built build/{LABEL}/vfio_spapr_tce2.ko (3 probes in 2 s)")


def test_a_failed_build_prints_the_end_of_its_log(lab: Lab) -> None:
    lab.tool("make", "seq 100; exit 2")
    with pytest.raises(LabError, match=r"does not build for 6.12-64k:\n(.*\n)*    100\n"):
        lab.run(module.main, LABEL)


@pytest.mark.parametrize("arguments", [[], [LABEL, LABEL]])
def test_module_builds_for_one_label(arguments: list[str]) -> None:
    with pytest.raises(LabError, match="usage: scripts/module LABEL"):
        module.main(arguments)


def test_a_second_build_waits_for_the_first(lab: Lab) -> None:
    lab.tool("make")
    lock = lab.write(f"build/logs/module-{LABEL}.log.lock")
    with lock.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        build = threading.Thread(target=lab.run, args=(module.main, LABEL))
        build.start()
        end = time.monotonic() + 20
        while not lab.said.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
        assert lab.said.getvalue().endswith(
            "waiting for another process, which is building for 6.12-64k\n")
        assert not (lab.build / LABEL).exists()
    build.join()
    assert (lab.build / LABEL / "Kbuild").exists()


def test_a_killed_build_leaves_no_compiler_running(lab: Lab) -> None:
    lab.tool("make", 'sleep 60 & echo $! >"$here/new"; mv "$here/new" "$here/compiler"; wait')
    command = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SCRIPTS)!r})
from lab import module
from lab.command import run_main
module.TOP, module.BUILD, module.LOGS = map(Path, sys.argv[2:])
run_main(lambda arguments: module.main(arguments[:1]))
"""
    build = subprocess.Popen(
        [sys.executable, "-B", "-c", command, LABEL, lab.top, lab.build, lab.build / "logs"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    compiler = lab.directory / "bin" / "compiler"
    end = time.monotonic() + 20
    while not compiler.exists():
        assert time.monotonic() < end, "make was not started"
        time.sleep(0.01)
    build.send_signal(signal.SIGTERM)
    assert build.wait(20) == 128 + signal.SIGTERM
    process = Path(f"/proc/{compiler.read_text().strip()}/status")
    assert not process.exists() or "State:\tZ" in process.read_text()


def test_a_program_is_built_from_its_sources_and_the_shared_ones(lab: Lab) -> None:
    lab.tool(f"{CROSS}gcc-12", 'while [ "$1" != -o ]; do shift; done; echo >"$2"')
    for name in ("bench.c", "bench_map.c", "lib.c", "demo.c"):
        lab.write(f"tests/guest/{name}")
    lab.run(programs.main, "bench")
    assert programs.program("bench").exists()
    assert [Path(word).name for word in lab.arguments[-3:]] == ["bench.c", "bench_map.c", "lib.c"]
    assert not list(programs.GUEST.glob("*.new"))


@pytest.mark.parametrize("changed", ["tests/guest/lib.h", "tests/kvmplay/kvmplay.h",
                                     "include/uapi/vfio_spapr_tce2.h"])
def test_a_program_is_built_again_if_a_source_is_newer(lab: Lab, changed: str) -> None:
    lab.tool(f"{CROSS}gcc-12", 'while [ "$1" != -o ]; do shift; done; echo >"$2"')
    lab.write("tests/guest/bench.c")
    header = lab.write(changed)
    lab.run(programs.main, "bench")
    file = programs.program("bench")
    first = file.stat().st_ino
    lab.run(programs.main, "bench")
    assert file.stat().st_ino == first
    later = file.stat().st_mtime_ns + 10**9
    os.utime(header, ns=(later, later))
    assert not programs.is_up_to_date(file)


@pytest.mark.parametrize(("name", "message"), [("bench", "tests/guest/bench.c is missing"),
                                               ("demo", r"tests/guest/demo\*.c does not build")])
def test_a_program_that_cannot_be_built_is_an_error(lab: Lab, name: str, message: str) -> None:
    lab.tool(f"{CROSS}gcc-12", "exit 1")
    lab.write("tests/guest/demo.c")
    with pytest.raises(LabError, match=message):
        lab.run(programs.main, name)
    assert not programs.program(name).exists()


@pytest.fixture
def contents(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make a kernel with modules; return a dict that main() fills with the packed files."""
    (lab.directory / "vfio-spapr-tce2" / "busybox").mkdir()
    (lab.directory / "vfio-spapr-tce2" / "busybox" / "busybox").write_text("busybox")
    base = lab.kernel / "modules" / "lib" / "modules" / RELEASE
    base.mkdir(parents=True)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order", "vfio.ko",
                 "nvme.ko", "core.ko"):
        (base / name).write_text(name)
    lab.tool("depmod")
    lab.tool("modprobe", f"""
        case $0:$6 in
        *modprobe:vfio_iommu_spapr_tce) echo "builtin $6" ;;
        *modprobe:kvm-hv)   exit 1 ;;
        *modprobe:nvme)     printf 'insmod {base}/%s.ko \\n' core nvme ;;
        *modprobe:*)        echo "insmod {base}/vfio.ko " ;;
        esac""")
    packed: dict[str, str] = {}

    def pack(root: Path, out: Path) -> None:
        assert out == lab.directory / "out" / "initrd"
        for file in root.rglob("*"):
            if file.is_file():
                mode = file.stat().st_mode & 0o777
                packed[str(file.relative_to(root))] = f"{mode:o} {file.read_text()}"

    monkeypatch.setattr(initramfs, "pack", pack)
    return packed


def test_an_initramfs_has_the_modules_with_their_dependencies(lab: Lab,
                                                              contents: dict[str, str]) -> None:
    lab.write(f"build/{LABEL}/vfio_spapr_tce2_selftest.ko", "selftest")
    lab.write("tests/guest/demo.sh", "demo")
    lab.run(initramfs.main, LABEL, lab.directory / "out" / "initrd",
            lab.top / "tests/guest/demo.sh", f"{lab.top}/tests/guest/demo.sh:/lib/other.sh")
    base = f"lib/modules/{RELEASE}"
    assert contents.pop(f"{base}/modules.order").endswith("modules.order")
    assert contents.pop("bin/busybox").endswith(" busybox")
    assert contents.pop("bin/sh").endswith(" busybox")
    assert contents.pop(f"{base}/extra/vfio_spapr_tce2_selftest.ko").endswith("selftest")
    assert {name: text for name, text in contents.items() if "builtin" not in name} == {
        f"{base}/vfio.ko": "644 vfio.ko", f"{base}/nvme.ko": "644 nvme.ko",
        f"{base}/core.ko": "644 core.ko", "init": "755 tests/guest/init",
        "lib/functions.sh": "755 tests/guest/functions.sh", "bin/demo": "755 demo",
        "lib/other.sh": "755 demo"}
    assert not list((lab.directory / "out").iterdir())


def test_backend_selects_another_module_file(lab: Lab, contents: dict[str, str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(f"build/{LABEL}/vfio_spapr_tce2.ko", "now")
    monkeypatch.setenv("BACKEND", str(lab.write("before/vfio_spapr_tce2.ko", "before")))
    lab.run(initramfs.main, LABEL, lab.directory / "out" / "initrd")
    assert contents[f"lib/modules/{RELEASE}/extra/vfio_spapr_tce2.ko"].endswith(" before")


@pytest.mark.usefixtures("contents")
def test_a_module_that_the_kernel_lacks_is_an_error(lab: Lab,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORE_MODULES", "kvm-hv")
    with pytest.raises(LabError, match="kernel 6.12-64k has no module kvm-hv"):
        lab.run(initramfs.main, LABEL, lab.directory / "out" / "initrd")


def test_the_archive_contains_directories_and_is_owned_by_root(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b").write_text("b")
    initramfs.pack(tmp_path / "root", tmp_path / "out")
    listed = subprocess.run(["cpio", "-tvn", "--quiet"], input=(tmp_path / "out").read_bytes(),
                            stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    assert [line.split()[-1] for line in listed] == [".", "a", "a/b"]
    assert all(line.split()[2:4] == ["0", "0"] for line in listed)
    assert not list(tmp_path.glob("*.new"))


def test_the_initramfs_has_the_modules_that_the_guest_loads() -> None:
    assert labels.DEFAULT_LABEL == LABEL
    loaded = "".join((TOP / "tests" / "guest" / name).read_text()
                     for name in ("machine.h", "lib_machine.c"))
    for name in initramfs.MODULES[1:]:
        assert name in loaded
