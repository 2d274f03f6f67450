# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of src/probes share: kernels with one thing changed, and their builds."""

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
# What make returns when a command of it has failed
MAKE_FAILED = 2


def supported_range() -> tuple[str, str]:
    """Return the first and the last series that dkms.conf declares."""
    text = (TOP / "dkms.conf").read_text()
    found = dict(re.findall(r'^BUILD_EXCLUSIVE_KERNEL_(MIN|MAX)="(.*)"', text, re.MULTILINE))
    return found["MIN"], found["MAX"].removesuffix(".999")


class Trial:
    """A copy of a kernel, and one of the module's sources, which is built for it."""

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
        """Build the module, or what words say."""
        return self.kernel.kbuild(self.sources, *(words or ("modules",)), cc=self._cc)

    def ask(self, probe: str) -> Done:
        """Ask one probe that the sources need, for an object that needs none."""
        return self.build("src/range.o", f"tce2-needs={probe}", "tce2-choices=")

    def use_compiler(self, arguments: str, action: str) -> None:
        """Use the kernel's compiler, except where its arguments match a shell pattern."""
        script = self.kernel.top / "compiler"
        genuine = compiler(self.kernel.label)
        script.write_text(f'#!/bin/sh\ncase "$*" in {arguments}) {action} ;; '
                          f'*) exec {genuine} "$@" ;; esac\n')
        script.chmod(0o755)
        self._cc = str(script)

    def add_private_header(self) -> None:
        """Add VFIO's private header, made of the declaration of this project."""
        # The probe includes <../drivers/vfio/vfio.h>, which is beside a real directory
        self.kernel.own("source/include")
        header = self.kernel.own(PRIVATE)
        header.parent.mkdir(parents=True, exist_ok=True)
        text = (TOP / "include" / "tce2_vfio.h").read_text()
        header.write_text(text.replace("TCE2_VFIO_H", "PRIVATE_VFIO_H"))


def expect_refusal(done: Done, kernel_release: str, probe: str, answer: str) -> None:
    """Fail unless a build was refused by a probe; answer is an expression.

    probe is the name in the message. Nothing may have been compiled.
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
    """Results of tests that are made before the tests ask for them.

    Most of a build is kbuild getting started, which takes one processor. The others make
    the results of the last tests first, until they meet the processor of the tests.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) - 1))
        self._made: dict[str, tuple[Future[Done], Callable[[], Done]]] = {}

    def start(self, items: list[tuple[pytest.Item, Callable[[], Done]]]) -> None:
        """Begin with the results of tests; items are in the order in which they run."""
        for item, make in reversed(items):
            self._made[item.nodeid] = self._pool.submit(make), make

    def result(self, item: pytest.Item) -> Done:
        """Return the result of a test; make it here if nobody has begun with it."""
        future, make = self._made[item.nodeid]
        return make() if future.cancel() else future.result()

    def stop(self) -> None:
        """Leave out what nobody has begun with, and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)


def parameter(item: pytest.Item, name: str) -> Any:
    """Return a parameter of a test, or None if it has none of that name."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(name) if callspec else None
