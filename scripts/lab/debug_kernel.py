# SPDX-License-Identifier: GPL-2.0-only
"""Build a kernel with run-time checks (KASAN, lockdep...) from Debian's source.

Owns CACHE/debug-kernels/SERIES: the build, the installed files, and the file recipe, which
identifies the inputs of the build. tests/debug/kernel.config is the configuration
fragment. Calls kernel_add, kernel, source, hosttools, labels, command and places.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .command import CROSS, locked, output_of, quietly, say, without_settings
from .hosttools import need_tools
from .kernel import need_kernel
from .kernel_add import add_kernel
from .labels import DEFAULT_LABEL, Label, kernels_dir, label, release
from .places import LOGS, TOP, LabError, cache_dir
from .source import need_source, source_dir

USAGE = "usage: scripts/debug-kernel [LABEL]"
CONFIG = TOP / "tests" / "debug" / "kernel.config"
LOG = LOGS / "debug-kernel.log"

# A patch for a defect of Linux 7.2 on POWER, which replays soft-masked interrupts inside
# irq_enter(). The generic interrupt exit code then tells lockdep that interrupts are enabled,
# although an interrupt is still being handled. lockdep warns at boot and disables itself. With
# the new condition the generic exit code does not run in hard-interrupt context. Earlier
# series lack this code.
MENDED_FILE = "include/linux/irq-entry-common.h"
OLD_CONDITION = "if (!regs_irqs_disabled(regs)) {"
NEW_CONDITION = "if (!regs_irqs_disabled(regs) && !in_hardirq()) {"


def options_lost(fragment: str, config: str) -> list[str]:
    """Return the options of a fragment that have another value in a configuration.

    kconfig silently drops an option that the series lacks or whose dependencies are not met.
    Options in a line "# May be lost: NAME..." of the fragment are not returned.
    """
    lines = set(config.splitlines())
    may_be_lost = set(re.findall(r"\w+", " ".join(
        re.findall("^# May be lost: (.*)$", fragment, re.MULTILINE))))
    lost = []
    for line in fragment.splitlines():
        found = re.match(r"(?:# )?CONFIG_(\w+)(?:=| is not set$)", line)
        if not found or line in lines or found[1] in may_be_lost:
            continue
        is_set = any(other.startswith(f"CONFIG_{found[1]}=") for other in lines)
        if is_set or not line.startswith("#"):
            lost.append(f"CONFIG_{found[1]}")
    return lost


def mend_source(source: Path) -> None:
    """Replace OLD_CONDITION with NEW_CONDITION in a kernel's source, if the file exists."""
    file = source / MENDED_FILE
    if not file.exists():
        return
    text = file.read_text()
    if NEW_CONDITION in text:
        return
    if OLD_CONDITION not in text:
        raise LabError(f"{file} lacks the condition to patch; check if lockdep still warns at boot")
    file.write_text(text.replace(OLD_CONDITION, NEW_CONDITION))


def recipe() -> str:
    """Return the configuration and the patch of a debug kernel, as one text."""
    return f"{CONFIG.read_text()}# {MENDED_FILE}: {OLD_CONDITION} -> {NEW_CONDITION}\n"


class Build:
    """The build of a debug kernel in a directory, from the source of a label's series."""

    def __init__(self, row: Label, directory: Path) -> None:
        self._source = source_dir(row)
        self._directory = directory

    def _make(self, what: str, failure: str, *targets: str) -> None:
        """Make kbuild targets with the label's compiler."""
        path = self._directory / "path"
        before = f"{path.read_text().strip()}:" if path.exists() else ""
        quietly(LOG, what, [
            "nice", "make", f"-j{len(os.sched_getaffinity(0))}", "-C", self._source,
            f"O={self._directory}/build", "ARCH=powerpc", f"CROSS_COMPILE={CROSS}",
            f"CC={(self._directory / 'cc').read_text().strip()}",
            f"KCONFIG_ALLCONFIG={CONFIG}", f"INSTALL_MOD_PATH={self._directory}",
            "INSTALL_MOD_STRIP=1", *targets,
        ], failure=failure, env=without_settings(PATH=before + os.environ["PATH"]))

    def _configure(self) -> None:
        """Configure the kernel; raise LabError if kconfig omitted a required option."""
        self._make("configuring the debug kernel", "the debug kernel can't be configured",
                   "allnoconfig")
        config = (self._directory / "build" / ".config").read_text()
        if lost := options_lost(CONFIG.read_text(), config):
            raise LabError(f"the debug kernel would be without: {' '.join(lost)}")

    def build(self) -> None:
        """Build the kernel and install it into the directory."""
        mend_source(self._source)
        self._configure()
        self._make("building the debug kernel", "the debug kernel does not build",
                   "vmlinux", "modules")
        shutil.rmtree(self._directory / "lib", ignore_errors=True)
        self._make("installing the modules of the debug kernel",
                   "the debug kernel's modules can't be installed", "modules_install")
        output_of(f"{CROSS}strip", "-o", str(self._directory / "vmlinux"),
                  str(self._directory / "build" / "vmlinux"))


def _make_label(name: str, row: Label, directory: Path) -> None:
    need_tools("kernel")
    need_kernel(row)
    for file in ("cc", "path"):
        (directory / file).unlink(missing_ok=True)
        if (row.directory / file).exists():
            shutil.copy(row.directory / file, directory)
    need_source(row)
    Build(row, directory).build()
    add_kernel(name, str(directory))
    # Write this last: it marks the label as complete for this recipe
    (directory / "recipe").write_text(recipe())


def need_debug_kernel(row: Label) -> None:
    """Build the debug kernel of a label's series unless its recipe is unchanged."""
    source_dir(row)
    name = f"{row.series}-debug"
    directory = cache_dir() / "debug-kernels" / row.series
    with locked(directory.with_name(f"{row.series}.lock")):
        if os.environ.get("REFRESH"):
            shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(exist_ok=True)
        made_of = directory / "recipe"
        is_made = made_of.exists() and made_of.read_text() == recipe()
        if not is_made or not (kernels_dir() / name / "label").exists():
            _make_label(name, row, directory)
    say(f"debug kernel: {name} is {release(name)}")


def main(arguments: Sequence[str]) -> None:
    """Run scripts/debug-kernel."""
    if len(arguments) > 1:
        raise LabError(USAGE)
    need_debug_kernel(label(arguments[0] if arguments else DEFAULT_LABEL))
