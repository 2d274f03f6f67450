# SPDX-License-Identifier: GPL-2.0-only
"""Test a booted root filesystem in which the module is installed; print TAP.

systemd runs this program in the emulated machine. Each boot has a list of cases. The kernel
argument tce2.run names the boot. Each case begins in the state that the previous case has
left. On the host, test_system_boots.py imports CASES to list the cases.

Only the modules of Debian's python3-minimal may be imported.
"""

from __future__ import annotations

import functools
import os
import re
import select
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

OURS = "vfio_spapr_tce2"
INTREE = "vfio_iommu_spapr_tce"
OPTIONS = Path("/etc/modprobe.d/tce2-test.conf")
CONFIGURATION = Path("/usr/lib/modprobe.d/vfio-spapr-tce2.conf")
HIDDEN_CONFIGURATION = Path("/tests/configuration")
ENABLED = Path("/sys/module", OURS, "parameters/enabled")
FUNCTIONS = "/tests/functions.sh"
CLIENT = "/tests/tce2-which-backend"
# Seconds that a client may take to open a container
PATIENCE = 10

Check = Callable[[], None]
BOOTS = ("orders", "initramfs", "bare", "enforced")
# The cases of each boot by name, in the order in which they run
CASES: dict[str, dict[str, Check]] = {boot: {} for boot in BOOTS}


class Failed(Exception):
    """The failure of a case; the text is the reason."""


def case(*boots: str) -> Callable[[Check], Check]:
    """Register a function as a case of these boots."""

    def register(check: Check) -> Check:
        for boot in boots:
            CASES[boot][check.__name__] = check
        return check

    return register


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)


def must(*command: str) -> str:
    """Run a command and return its output; fail unless it succeeds."""
    done = run(*command)
    if done.returncode:
        raise Failed(f"status {done.returncode} of: {' '.join(command)}\n{done.stdout}")
    return done.stdout


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script that may call the functions of tests/guest/functions.sh."""
    return run("sh", "-c", f". {FUNCTIONS}\n{script}")


def is_loaded(module: str) -> bool:
    """Check that a module is loaded."""
    return Path("/sys/module", module).is_dir()


def expect_loaded(*modules: str) -> None:
    """Fail unless modules are loaded."""
    for module in modules:
        if not is_loaded(module):
            raise Failed(f"{module} is not loaded")


def expect_absent(module: str) -> None:
    """Fail if a module is loaded."""
    if is_loaded(module):
        raise Failed(f"{module} is loaded")


def expect_handled_by(module: str) -> None:
    """Open a container; fail unless this backend handles it."""
    shell("bind_edu")
    backend = run(CLIENT).stdout.strip()
    if backend != module:
        listed = [line for line in run("lsmod").stdout.splitlines() if "vfio" in line]
        raise Failed("\n".join([f"the container is handled by {backend}", *listed]))


def file_of(module: str) -> str:
    """Return the file from which modprobe would load a module."""
    return must("modinfo", "-F", "filename", module).strip()


def unload_all() -> None:
    """Unload all VFIO modules, whatever modules are loaded and in whatever order."""
    must("udevadm", "settle")
    run("modprobe", "-r", "vfio-pci")
    for module in (OURS, INTREE, "vfio_pci", "vfio_pci_core", "vfio"):
        if is_loaded(module):
            must("rmmod", module)


def insmod(*modules: str) -> None:
    """Load modules in this order with insmod, which ignores modprobe.d and dependencies."""
    for module in modules:
        must("insmod", file_of(module))


class Client:
    """A client that keeps a container open."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def open(self, module: str) -> None:
        """Open a container; fail unless this backend handles it."""
        self._process = subprocess.Popen([CLIENT, "wait"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        backend = self._process.stdout.readline().strip() if ready else "no answer"
        if backend != module:
            raise Failed(f"the container is handled by {backend}")

    def close(self) -> None:
        """Close the container, and fail unless the client ends with status 0."""
        if not self._process:
            raise Failed("no container is open")
        process, self._process = self._process, None
        process.communicate()
        if process.returncode:
            raise Failed(f"the client ended with status {process.returncode}")


CLIENT_THAT_WAITS = Client()


def expect_in_use(*command: str) -> None:
    """Fail unless a command fails with a message that a module is in use."""
    done = run(*command)
    if not done.returncode or "in use" not in done.stdout:
        raise Failed(f"status {done.returncode} of: {' '.join(command)}\n{done.stdout}")


def say(text: str) -> None:
    """Print lines as comments of TAP."""
    for line in text.splitlines():
        print(f"# {line}", flush=True)


# Cases for the modules that are loaded after boot

@case("orders")
def modules_load_d_loads_vfio_pci_at_boot() -> None:
    expect_loaded("vfio_pci")


@case("initramfs", "bare")
def the_initramfs_loads_vfio_pci() -> None:
    expect_loaded("vfio_pci")


@case("initramfs")
def the_initramfs_loads_this_module() -> None:
    expect_loaded(OURS)


@case("bare")
def udev_loads_this_module_after_an_initramfs_without_it() -> None:
    must("udevadm", "settle")
    expect_loaded(OURS)


@case("orders", "initramfs", "bare")
def this_module_handles_a_container_after_boot() -> None:
    expect_handled_by(OURS)


# Cases that load the modules with modprobe in every order. udev calls modprobe with -b.

def modprobe_each(modules: tuple[str, ...]) -> None:
    """Load modules one after the other; the word "-b" is an option for the next module."""
    options: list[str] = []
    for word in modules:
        if word == "-b":
            options = [word]
            continue
        if status := run("modprobe", *options, word).returncode:
            say(f"status {status} of: modprobe {' '.join(options)} {word}")
        options = []


def both_are_loaded_by(modules: tuple[str, ...]) -> None:
    """Load modules; fail unless both backends are loaded afterwards."""
    modprobe_each(modules)
    expect_loaded(OURS, INTREE)


def handled_with_vfio_pci() -> None:
    """Load vfio-pci; fail unless this module handles a container afterwards."""
    run("modprobe", "vfio-pci")
    expect_handled_by(OURS)


def register_order(*modules: str) -> None:
    """Register the cases of one load order."""
    name = "_then_".join(modules).replace("-b_then_", "b_").replace("-", "_")
    CASES["orders"] |= {
        f"all_can_be_unloaded_before_modprobe_{name}": unload_all,
        f"both_backends_are_loaded_after_modprobe_{name}":
            functools.partial(both_are_loaded_by, modules),
        f"this_module_handles_a_container_after_modprobe_{name}": handled_with_vfio_pci,
    }


register_order("vfio-pci")
register_order("-b", "vfio-pci")
register_order(OURS)
register_order(OURS, "vfio-pci")
register_order(INTREE)
register_order(INTREE, OURS)
register_order(OURS, INTREE)
register_order("vfio")
register_order("vfio", "vfio-pci")


# Cases that load modules with insmod, which ignores the configuration of modprobe

@case("orders")
def insmod_loads_the_in_tree_driver_after_this_module() -> None:
    unload_all()
    insmod("vfio", OURS, INTREE)


@case("orders")
def this_module_handles_a_container_though_the_in_tree_driver_came_later() -> None:
    handled_with_vfio_pci()


@case("orders")
def vfio_pci_loads_this_module_though_the_in_tree_driver_was_loaded_before() -> None:
    unload_all()
    insmod("vfio", INTREE)
    handled_with_vfio_pci()


# Cases with the udev rule of the package, but without its file in modprobe.d

@case("orders")
def udev_loads_this_module_without_the_configuration_of_modprobe() -> None:
    unload_all()
    CONFIGURATION.rename(HIDDEN_CONFIGURATION)
    must("modprobe", "vfio-pci")
    must("udevadm", "settle")
    expect_loaded(OURS)


@case("orders")
def this_module_handles_a_container_without_the_configuration_of_modprobe() -> None:
    expect_handled_by(OURS)


@case("orders")
def udev_loads_this_module_when_only_the_in_tree_driver_is_loaded() -> None:
    unload_all()
    insmod("vfio", INTREE)
    must("udevadm", "settle")
    expect_loaded(OURS)


# Cases that reload the in-tree driver

@case("orders")
def the_in_tree_driver_can_be_unloaded() -> None:
    unload_all()
    HIDDEN_CONFIGURATION.rename(CONFIGURATION)
    must("modprobe", "vfio-pci")
    must("rmmod", INTREE)


@case("orders")
def this_module_handles_a_container_without_the_in_tree_driver() -> None:
    expect_handled_by(OURS)


@case("orders")
def the_in_tree_driver_can_be_loaded_again() -> None:
    must("modprobe", INTREE)


@case("orders")
def this_module_handles_a_container_after_the_in_tree_driver_is_loaded_again() -> None:
    expect_handled_by(OURS)


@case("orders")
def this_module_handles_a_container_after_five_more_reloads_of_the_in_tree_driver() -> None:
    for _ in range(5):
        must("rmmod", INTREE)
        insmod(INTREE)
    expect_handled_by(OURS)


# Cases that load or unload modules while a container is open

@case("orders")
def a_client_can_keep_a_container_open() -> None:
    CLIENT_THAT_WAITS.open(OURS)


@case("orders")
def rmmod_says_that_the_module_is_in_use() -> None:
    expect_in_use("rmmod", OURS)


@case("orders")
def modprobe_r_says_that_the_module_is_in_use() -> None:
    expect_in_use("modprobe", "-r", OURS)


@case("orders")
def the_in_tree_driver_can_be_reloaded_while_the_container_is_open() -> None:
    must("rmmod", INTREE)
    must("modprobe", INTREE)


@case("orders")
def the_open_container_can_be_closed() -> None:
    CLIENT_THAT_WAITS.close()


@case("orders")
def this_module_handles_a_container_after_the_open_one_is_closed() -> None:
    expect_handled_by(OURS)


# Cases that unload this module, vfio-pci and the in-tree driver with modprobe -r

@case("orders")
def modprobe_r_of_this_module_works() -> None:
    must("modprobe", "-r", OURS)


@case("orders")
def this_module_is_unloaded_by_modprobe_r() -> None:
    expect_absent(OURS)


@case("orders")
def modprobe_r_of_this_module_leaves_the_in_tree_driver_loaded() -> None:
    expect_loaded(INTREE)


@case("orders")
def the_in_tree_driver_handles_a_container_without_this_module() -> None:
    expect_handled_by(INTREE)


@case("orders")
def this_module_handles_a_container_once_it_is_loaded_again() -> None:
    must("modprobe", OURS)
    expect_handled_by(OURS)


@case("orders")
def modprobe_r_of_vfio_pci_works() -> None:
    must("modprobe", "-r", "vfio-pci")


@case("orders")
def vfio_pci_is_unloaded_by_modprobe_r() -> None:
    expect_absent("vfio_pci")


@case("orders")
def this_module_handles_a_container_once_vfio_pci_is_loaded_again() -> None:
    handled_with_vfio_pci()


@case("orders")
def modprobe_r_of_the_in_tree_driver_works() -> None:
    must("modprobe", "-r", "vfio-pci")
    must("modprobe", "-r", INTREE)


@case("orders")
def the_in_tree_driver_is_unloaded_by_modprobe_r() -> None:
    expect_absent(INTREE)


@case("orders")
def this_module_handles_a_container_after_both_are_unloaded_and_vfio_pci_is_loaded() -> None:
    handled_with_vfio_pci()


# Cases for this module's parameter "enabled"

@case("orders")
def a_client_can_keep_a_container_open_before_the_module_is_disabled() -> None:
    CLIENT_THAT_WAITS.open(OURS)


@case("orders")
def the_module_can_be_disabled_while_the_container_is_open() -> None:
    ENABLED.write_text("0\n")


@case("orders")
def the_open_container_of_a_disabled_module_can_be_closed() -> None:
    CLIENT_THAT_WAITS.close()


@case("orders")
def the_in_tree_driver_handles_the_next_container_of_a_disabled_module() -> None:
    expect_handled_by(INTREE)


@case("orders")
def this_module_handles_a_container_once_it_is_enabled_again() -> None:
    ENABLED.write_text("1\n")
    expect_handled_by(OURS)


@case("orders")
def the_in_tree_driver_handles_a_container_with_enabled_0_in_modprobe_d() -> None:
    OPTIONS.write_text(f"options {OURS} enabled=0\n")
    unload_all()
    must("modprobe", "vfio-pci")
    expect_handled_by(INTREE)


@case("orders")
def this_module_is_loaded_with_enabled_0_in_modprobe_d() -> None:
    expect_loaded(OURS)


@case("orders")
def this_module_handles_a_container_without_the_option_in_modprobe_d() -> None:
    OPTIONS.unlink()
    unload_all()
    handled_with_vfio_pci()


@case("orders")
def all_can_be_unloaded_at_the_end() -> None:
    unload_all()


# Cases for a machine that does not trust the key with which dkms signs modules

REJECTED = "Key was rejected by service"


def expect_message(pattern: str, text: str) -> None:
    """Fail unless a text matches a pattern."""
    if not re.search(pattern, text, re.IGNORECASE):
        raise Failed(f"no match of '{pattern}' in:\n{text}")


@functools.cache
def message_of_modprobe() -> str:
    """Return the message of modprobe about the untrusted key."""
    return run("modprobe", OURS).stdout


@functools.cache
def message_of_insmod() -> str:
    """Return the message of insmod for the module without signature."""
    file = file_of(OURS)
    unsigned = Path("/tests/unsigned.ko")
    with unsigned.open("wb") as output:
        subprocess.run(["xz" if file.endswith(".xz") else "cat",
                        *(["-dc"] if file.endswith(".xz") else []), file],
                       stdout=output, check=True)
    must("strip", "--strip-debug", str(unsigned))
    return run("insmod", str(unsigned)).stdout


@case("enforced")
def vfio_pci_is_loaded_at_boot_though_this_module_is_rejected() -> None:
    expect_loaded("vfio_pci")


@case("enforced")
def this_module_is_not_loaded_if_its_key_is_not_trusted() -> None:
    expect_absent(OURS)


@case("enforced")
def the_in_tree_driver_handles_a_container_if_this_module_is_rejected() -> None:
    expect_handled_by(INTREE)


@case("enforced")
def modprobe_says_what_readme_says_of_a_key_that_is_not_trusted() -> None:
    expect_message(REJECTED, message_of_modprobe())


@case("enforced")
def insmod_says_what_readme_says_of_a_module_without_a_signature() -> None:
    expect_message(REJECTED, message_of_insmod())


@case("enforced")
def the_kernel_log_tells_of_a_key_that_is_not_trusted() -> None:
    message_of_modprobe()
    expect_message("loading of module with unavailable key is rejected", must("dmesg"))


@case("enforced")
def the_kernel_log_tells_of_a_missing_signature() -> None:
    message_of_insmod()
    expect_message("loading of unsigned module is rejected", must("dmesg"))


# Cases for the kernel log since the start of this program

@functools.cache
def taints_at_start() -> str:
    """Write a mark to the kernel log; return the kernel's taint flags."""
    return shell('kernel_mark; echo "$TAINTS"').stdout


@case(*BOOTS)
def the_kernel_log_has_no_warning_bug_or_oops() -> None:
    if splats := shell("kernel_splats").stdout:
        raise Failed(splats)


@case(*BOOTS)
def the_kernel_log_is_complete() -> None:
    if shell("log_is_whole").returncode:
        raise Failed("the beginning of the kernel log is lost")


@case(*BOOTS)
def the_kernel_is_not_tainted_by_a_warning_or_an_oops() -> None:
    taints = shell("kernel_taints").stdout
    if taints != taints_at_start():
        raise Failed(f"the taints are {taints.strip()}, they were {taints_at_start().strip()}")


def holds(check: Check) -> bool:
    """Run a case; print the reason if it fails; return True if it passes."""
    try:
        check()
    except Failed as error:
        say(str(error))
        return False
    except Exception:
        # An unexpected exception is also a failure
        say(traceback.format_exc())
        return False
    return True


def run_cases(cases: dict[str, Check]) -> int:
    """Run cases and print TAP; return the exit status of the machine."""
    taints_at_start()
    failed = 0
    for number, (name, check) in enumerate(cases.items(), start=1):
        is_good = holds(check)
        failed += not is_good
        print(f"{'ok' if is_good else 'not ok'} {number} - {name}", flush=True)
    print(f"1..{len(cases)}", flush=True)
    return 1 if failed else 0


def main() -> None:
    """Run the cases of the boot named on the kernel command line."""
    boot = re.findall(r"(?:^|\s)tce2\.run=(\S+)", Path("/proc/cmdline").read_text())[-1]
    print(f"TCE2-BEGIN {boot} on {os.uname().release}", flush=True)
    status = 1
    try:
        status = run_cases(CASES[boot])
    finally:
        print(f"TCE2-EXIT {status}", flush=True)
        sys.stdout.flush()
        os.sync()


if __name__ == "__main__":
    main()
