# SPDX-License-Identifier: GPL-2.0-only
"""The ppc64el root filesystem that the package tests modify.

qemu-user runs real programs of the root filesystem in a chroot. dpkg's status tells which
packages are installed, so every test can ask for the state that it needs.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.chroot import as_root, command_in
from lab.command import CROSS
from lab.places import BUILD, LOGS, TOP, cache_dir
from runner.command import Done, run

NAME = "vfio-spapr-tce2"
PACKAGE = f"{NAME}-dkms"
OURS = "vfio_spapr_tce2"
DEBS = BUILD / "deb"
STAGE = BUILD / "tests" / "dkms"
LOG = LOGS / "dkms-root.log"
TARBALL = cache_dir() / "rootfs" / "bookworm.tar"
# Seconds that an emulated command may take
PATIENCE = 3600
# Directories to ignore: they have files of tests/dkms, or files that belong to no package
PRUNED = ("tests", "packages", "proc")
BINUTILS = ("as", "ld", "ld.bfd", "ar", "nm", "objcopy", "objdump", "readelf", "strip")


def skip_if_kept() -> None:
    """Skip a whole test file if KEEP is set: KEEP runs only the boots."""
    if os.environ.get("KEEP"):
        pytest.skip("KEEP is set: only the boots run", allow_module_level=True)


def outside(*command: str | Path) -> Done:
    """Run a command of this machine as root; fail unless it succeeds."""
    return run(*as_root(), *command, patience=PATIENCE).expect(0)


@dataclass(frozen=True)
class Packages:
    """The versions of the two packages: the version in dkms.conf and a later version."""

    old: str
    new: str

    def deb(self, version: str) -> str:
        """Return the path of the dkms package of a version in the root filesystem."""
        return f"/packages/{PACKAGE}_{version}_all.deb"


class Root:
    """A root filesystem. The first kernel is installed; the later kernel only as packages."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (self.kernel,) = [path.name for path in directory.glob("lib/modules/*")]
        (image,) = directory.glob("packages/linux-image-*.deb")
        self.later = image.name.removeprefix("linux-image-").split("_")[0]

    def run(self, *command: str | Path, stdin: str | None = None, cwd: str = "/") -> Done:
        """Run a command in the root filesystem, where uname prints the first kernel's release."""
        words = tuple(str(word) for word in command)
        done = run(*command_in(self.directory, ["env", "--chdir", cwd, *words], self.kernel),
                   stdin=stdin, patience=PATIENCE)
        with LOG.open("a") as log:
            log.write(f"+ {' '.join(words)}\n{done.output}+ status {done.status}\n")
        return dataclasses.replace(done, command=words)

    def output_of(self, *command: str | Path) -> str:
        """Run a command in the root filesystem; return its output; fail unless it succeeds."""
        return self.run(*command).expect(0).output.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file in the root filesystem."""
        self.run("sh", "-c", 'mkdir -p "${0%/*}" && cat >"$0"', path, stdin=text).expect(0)

    def paths(self, *pruned: str) -> list[str]:
        """Return every path in the root filesystem, except paths below the pruned directories."""
        unwanted = [word for path in pruned
                    for word in ("-o", "-path", str(self.directory / path))]
        return sorted(outside("find", self.directory, "-xdev", "(", *unwanted[1:], ")", "-prune",
                              "-o", "-printf", "/%P\\n").output.splitlines())

    def package(self, name: str) -> str:
        """Return the path of a package's .deb, below /packages in the root filesystem."""
        (deb,) = self.directory.glob(f"packages/{name}_*.deb")
        return f"/packages/{deb.name}"

    def version_of(self, package: str) -> str:
        """Return the installed version of a package, or ""."""
        status = (self.directory / "var/lib/dpkg/status").read_text()
        for paragraph in status.split("\n\n"):
            if re.search(rf"^Package: {re.escape(package)}\n(.*\n)*?Status: install ok installed$",
                         paragraph, re.MULTILINE):
                found = re.search(r"^Version: (.*)$", paragraph, re.MULTILINE)
                return found[1] if found else ""
        return ""

    def install(self, *debs: str) -> Done:
        """Install packages with dpkg."""
        return self.run("dpkg", "-i", *debs)

    def purge(self, *packages: str) -> Done:
        """Purge packages with dpkg."""
        return self.run("dpkg", "-P", *packages)

    def have(self, *debs: str) -> None:
        """Install each package that is not installed, or is installed in another version."""
        missing = []
        for deb in debs:
            name, version, _ = Path(deb).name.split("_")
            if self.version_of(name) != version:
                missing.append(deb)
        if missing:
            self.install(*missing).expect(0)

    def have_not(self, *packages: str) -> None:
        """Purge the packages that are installed."""
        if present := [package for package in packages if self.version_of(package)]:
            self.purge(*present).expect(0)

    @property
    def later_packages(self) -> tuple[str, str]:
        """The packages of the later kernel."""
        return (self.package(f"linux-image-{self.later}"),
                self.package(f"linux-headers-{self.later}"))

    @property
    def later_names(self) -> tuple[str, str]:
        """The names of the later kernel's packages, in the order in which they can be purged."""
        return f"linux-headers-{self.later}", f"linux-image-{self.later}"

    def modinfo(self, kernel: str, field: str, pattern: str) -> str:
        """Fail unless a field of the module for a kernel matches a pattern; return it."""
        done = self.run("modinfo", "-k", kernel, "-F", field, OURS)
        return done.expect(0, pattern).output.strip()

    def expect_module(self, kernel: str, version: str) -> None:
        """Fail unless kmod finds the module for a kernel, in a version, where dkms installs it."""
        self.modinfo(kernel, "version", rf"\A{re.escape(version)}$")
        self.modinfo(kernel, "filename", rf"\A/lib/modules/{re.escape(kernel)}/updates/dkms/")
        self.modinfo(kernel, "vermagic", rf"\A{re.escape(kernel)} ")

    def expect_no_module(self, kernel: str) -> None:
        """Fail if the module is installed for a kernel."""
        if not (done := self.run("modinfo", "-k", kernel, OURS)).status:
            pytest.fail(done.explain(), pytrace=False)
        if found := [*(self.directory / "lib/modules" / kernel).rglob(f"{OURS}*")]:
            pytest.fail(f"these files exist: {found}", pytrace=False)

    def expect_signed(self, kernel: str) -> None:
        """Fail unless the module for a kernel is signed with the key that dkms made."""
        self.modinfo(kernel, "signer", "DKMS module signing key")
        serial = self.output_of("openssl", "x509", "-inform", "DER", "-in",
                                "/var/lib/dkms/mok.pub", "-noout", "-serial")
        digits = serial.removeprefix("serial=")
        self.modinfo(kernel, "sig_key", rf"\A{':?'.join(digits)}$")

    def expect_nothing_left(self) -> None:
        """Fail if a path has the module's name."""
        if left := [path for path in self.paths(*PRUNED)
                    if re.search("vfio.spapr.tce2", path, re.IGNORECASE)]:
            pytest.fail("\n".join(["these paths are left:", *left]), pytrace=False)


def libraries_of(programs: list[Path]) -> list[Path]:
    """Return the shared libraries of this machine's programs, and the dynamic loader."""
    output = run("ldd", *programs).output
    return [Path(path) for path in
            sorted(set(re.findall(r"(?:=> |\t)(/\S+) \(0x", output, re.MULTILINE)))]


def program(name: str) -> Path:
    """Return the path of a program of this machine."""
    if not (path := shutil.which(name)):
        pytest.fail(f"{name} is missing")
    return Path(path)


def stage_compiler() -> Path:
    """Return a directory with this machine's gcc-12, to be copied into a root filesystem.

    The root filesystem's own compiler, which has the same version, takes ten times as long
    under emulation. All other programs of a build (make, kbuild, modpost) are the programs of
    the root filesystem.
    """
    stage = STAGE / "compiler"
    shutil.rmtree(stage, ignore_errors=True)
    binaries, tools = stage / "usr/local/bin", stage / "usr/local/powerpc64le-linux-gnu/bin"
    binaries.mkdir(parents=True)
    tools.mkdir(parents=True)
    compiler = program(f"{CROSS}gcc-12")
    programs = [compiler, *(program(f"{CROSS}{name}") for name in BINUTILS)]
    for file in programs:
        shutil.copy(file, binaries)
    for name in BINUTILS:
        shutil.copy(program(f"{CROSS}{name}"), tools / name)
    shutil.copytree("/usr/lib/gcc-cross", stage / "usr/local/lib/gcc-cross", symlinks=True)
    cc1 = Path(run(compiler, "-print-prog-name=cc1").expect(0).output.strip())
    for library in libraries_of([*programs, cc1]):
        # /lib and /lib64 are links into /usr
        name = str(library) if library.is_relative_to("/usr") else f"/usr{library}"
        (stage / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, stage / name[1:])
    return stage


def unpack(directory: Path, packages: Packages) -> Root:
    """Unpack the root filesystem into a directory, and add the files that the tests need."""
    outside("tar", "-C", directory, "-xf", TARBALL)
    outside("install", "-d", directory / "tests")
    outside("cp", TOP / "tests/guest/functions.sh", TOP / "tests/dkms/dkms_guest.py",
            BUILD / "guest/tce2-which-backend", directory / "tests")
    debs = [file for version in (packages.old, packages.new)
            for file in (DEBS / f"{PACKAGE}_{version}_all.deb", DEBS / f"{NAME}_{version}.dsc",
                         DEBS / f"{NAME}_{version}.tar.xz")]
    outside("cp", *debs, directory / "packages")
    outside("cp", "-r", "--no-preserve=ownership", f"{stage_compiler()}/.", directory)
    root = Root(directory)
    # Make no initramfs when packages are installed: each takes a minute under emulation. Only
    # make_disk() makes them, for the boots
    root.write("/etc/initramfs-tools/update-initramfs.conf", "update_initramfs=no\n")
    return root


@dataclass(frozen=True)
class Disk:
    """The boot files of the emulated machine: a disk, a kernel and three initramfs."""

    directory: Path

    @property
    def image(self) -> Path:
        """The file with the content of the disk."""
        return self.directory / "disk.img"

    @property
    def kernel(self) -> Path:
        """The file of the kernel."""
        return self.directory / "vmlinux"


UNIT = """[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /tests/dkms_guest.py
# Wait until the console buffer is written; power-off would discard it
ExecStopPost=/bin/sleep 0.5
ExecStopPost=/bin/systemctl poweroff --force --force
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/hvc0
"""


def furnish(root: Root) -> None:
    """Add the service that runs the cases of a boot, and the files that load VFIO before."""
    units = "/etc/systemd/system"
    root.write(f"{units}/tce2.service", UNIT)
    root.run("mkdir", "-p", f"{units}/multi-user.target.wants").expect(0)
    root.run("ln", "-sf", "../tce2.service", f"{units}/multi-user.target.wants/").expect(0)
    root.run("ln", "-sf", "/dev/null", f"{units}/serial-getty@.service").expect(0)
    root.write("/etc/modules-load.d/tce2-test.conf", "vfio-pci\n")


def make_initramfs(root: Root, file: Path) -> None:
    """Make an initramfs of the root filesystem in its present state."""
    root.run("mkinitramfs", "-o", "/tests/initrd", root.kernel).expect(0)
    outside("mv", root.directory / "tests/initrd", file)


def make_initramfs_without_module(root: Root, file: Path) -> None:
    """Make an initramfs without the files that the package installs."""
    moved = ((f"/lib/modules/{root.kernel}/updates", "/tests/updates"),
             (f"/usr/lib/modprobe.d/{NAME}.conf", f"/tests/{NAME}.conf"))
    for installed, hidden in moved:
        root.run("mv", installed, hidden).expect(0)
    root.run("depmod", root.kernel).expect(0)
    make_initramfs(root, file)
    for installed, hidden in moved:
        root.run("mv", hidden, installed).expect(0)
    root.run("depmod", root.kernel).expect(0)


def make_disk(root: Root, disk: Disk) -> None:
    """Make the boot files. Two of the initramfs load vfio-pci."""
    outside("rm", "-rf", disk.directory)
    disk.directory.mkdir(parents=True)
    furnish(root)
    outside("cp", root.directory / f"boot/vmlinux-{root.kernel}", disk.kernel)
    make_initramfs(root, disk.directory / "initrd")
    root.run("sh", "-c", "echo vfio-pci >>/etc/initramfs-tools/modules").expect(0)
    make_initramfs(root, disk.directory / "initrd-vfio")
    make_initramfs_without_module(root, disk.directory / "initrd-bare")
    root.run("sh", "-c", "rm -rf /packages/linux-* /tests/build").expect(0)
    with disk.image.open("wb") as file:
        os.truncate(file.fileno(), 2 << 30)
    outside("mke2fs", "-q", "-F", "-t", "ext4", "-d", root.directory, disk.image)
    outside("chmod", "-R", "a+rX", disk.directory)
    outside("chown", "-R", f"--reference={BUILD}", disk.directory)
