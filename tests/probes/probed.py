# SPDX-License-Identifier: GPL-2.0-only
"""Shared code of the tests of src/probes: kernels with one change, and their builds."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.labels import compiler, release
from lab.places import TOP
from runner.command import Done
from runner.kernel_copy import KernelCopy

IOMMU = "source/arch/powerpc/include/asm/iommu.h"
MM = "source/include/linux/mm.h"
SYMVERS = "build/Module.symvers"
PRIVATE = "source/drivers/vfio/vfio.h"
LIST = "include/tce2_kernel_api.h"
MODULE = "vfio_spapr_tce2.ko"
# The exit status of make after a failed command
MAKE_FAILED = 2


def supported_range() -> tuple[str, str]:
    """Return the first and the last series that dkms.conf declares."""
    text = (TOP / "dkms.conf").read_text()
    found = dict(re.findall(r'^BUILD_EXCLUSIVE_KERNEL_(MIN|MAX)="(.*)"', text, re.MULTILINE))
    return found["MIN"], found["MAX"].removesuffix(".999")


class Trial:
    """A copy of a kernel, and a copy of the module's sources to build for it."""

    def __init__(self, label: str, work: Path) -> None:
        self.kernel = KernelCopy(label, work / "kernel")
        self.sources = work / "module"
        self.release = release(label)
        self._cc = ""
        self.sources.mkdir()
        for name in ("Kbuild", "dkms.conf"):
            shutil.copy2(TOP / name, self.sources)
        for name in ("src", "include"):
            shutil.copytree(TOP / name, self.sources / name)

    def build(self, *words: str) -> Done:
        """Build the module, or the targets in words, which may include variables."""
        return self.kernel.kbuild(self.sources, *(words or ("modules",)), cc=self._cc)

    def ask(self, probe: str) -> Done:
        """Build an object that needs no probe, but let the build compile one probe."""
        return self.build("src/range.o", f"tce2-needs={probe}", "tce2-choices=")

    def use_compiler(self, arguments: str, action: str) -> None:
        """Replace the kernel's compiler by an action if its arguments match a shell pattern."""
        script = self.kernel.top / "compiler"
        genuine = compiler(self.kernel.label)
        script.write_text(f'#!/bin/sh\ncase "$*" in {arguments}) {action} ;; '
                          f'*) exec {genuine} "$@" ;; esac\n')
        script.chmod(0o755)
        self._cc = str(script)

    def add_private_header(self) -> None:
        """Add VFIO's private header, made of this project's copy of its declarations."""
        # The probe includes <../drivers/vfio/vfio.h>, so include/ must not be a symbolic link
        self.kernel.own("source/include")
        header = self.kernel.own(PRIVATE)
        header.parent.mkdir(parents=True, exist_ok=True)
        text = (TOP / "include" / "tce2_vfio.h").read_text()
        header.write_text(text.replace("TCE2_VFIO_H", "PRIVATE_VFIO_H"))


def expect_refusal(done: Done, kernel_release: str, probe: str, answer: str) -> None:
    """Fail unless a probe refused a build before an object was compiled.

    probe is the name of the probe in the message. answer is a regular expression for the rest of
    the message.
    """
    __tracebackhide__ = True
    first, last = supported_range()
    for line in (re.escape(f"can't be built for the kernel {kernel_release}."),
                 re.escape(f"supported: Linux {first} to {last}, "),
                 re.escape(f"probe:     {probe}"), rf"answer:    .*{answer}"):
        done.expect(MAKE_FAILED, line)
    compiled = re.findall(r"^.*(?:CC|LD) .*", done.output, re.MULTILINE)
    assert not compiled, "an object was compiled before the refusal"


def expect_blame(done: Done, answer: str) -> None:
    """Fail unless a build blamed the build tree or the compiler, and not the kernel."""
    __tracebackhide__ = True
    done.expect(MAKE_FAILED, "the kernel's build tree or the compiler is broken")
    done.expect(MAKE_FAILED, rf"answer:    .*{answer}")
    assert not done.says("supported:"), done.explain()


class Ahead:
    """Results that worker threads compute before the tests need them.

    The start of kbuild takes most of a build's time, and uses one processor. The workers use the
    other processors. They begin with the last test and proceed to the first, while pytest
    proceeds from the first to the last.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) - 1))
        self._made: dict[str, tuple[Future[Done], Callable[[], Done]]] = {}

    def start(self, items: list[tuple[pytest.Item, Callable[[], Done]]]) -> None:
        """Start to compute the results of tests; items have the order of the tests."""
        for item, make in reversed(items):
            self._made[item.nodeid] = self._pool.submit(make), make

    def result(self, item: pytest.Item) -> Done:
        """Return the result of a test; compute it here if no worker has started it."""
        future, make = self._made[item.nodeid]
        return make() if future.cancel() else future.result()

    def stop(self) -> None:
        """Cancel the builds that no worker has started, and wait for the running builds."""
        self._pool.shutdown(cancel_futures=True)


def parameter(item: pytest.Item, name: str) -> Any:
    """Return a parameter of a test, or None if the test lacks it."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(name) if callspec else None
