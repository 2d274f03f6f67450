# SPDX-License-Identifier: GPL-2.0-only
"""Make saved states of hosts: trees with proc, sys and lib/modules, for tce2ctl --root."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.command import run

RELEASE = "6.12.9-powerpc64le-64k"
MODULE = "vfio_spapr_tce2"
IN_TREE = "vfio_iommu_spapr_tce"
KIB, MIB, GIB, TIB = (1 << bits for bits in (10, 20, 30, 40))
CONTAINER = "/dev/vfio/vfio"
# Names that a tenant may choose to do harm: terminal sequences, separators of the formats,
# invalid UTF-8, a C1 control character, and characters that reverse text or are invisible
HOSTILE = (b"\x1b[2J\x1b]0;x\x07", b"a b=c,d\\e", b'"><svg/>&\'', b"\xff\xfe\x80", b"x\ny\r\tz",
           b"\xc2\x9b31m", b"\xe2\x80\xaeabc", b"", b"-", b"\x00end", "ü€".encode(),
           "\u061c\u00ad\U000e0041x".encode())


def escaped(text: bytes) -> str:
    """Return a text as the module writes it in debugfs."""
    return "".join(
        chr(byte) if 0x20 < byte < 0x7f and chr(byte) not in "\\=," else f"\\{byte:03o}"
        for byte in text) or "-"


def record(**values: object) -> str:
    """Return a line of debugfs. bytes are texts; the keys of Python end in _ if reserved."""
    return " ".join(
        f"{key.rstrip('_')}={escaped(value) if isinstance(value, bytes) else value}"
        for key, value in values.items())


def container(number: int = 1, pid: int = 812, comm: bytes = b"qemu-system-ppc",
              **values: object) -> str:
    """Return a record of a container."""
    return record(**{
        "container": number, "pid": pid, "comm": comm, "state": "bound", "groups": 1,
        "windows": 2, "regions": 3, "charged": 4 * GIB + 24 * MIB, "locked": 4 * GIB + 30 * MIB,
        "limit": 8 * GIB, "register": 3, "unregister": 0, "map": 4096, "unmap": 17, "create": 1,
        "remove": 0, "refused": 0, "ranges": 7, "copy": 3, "pin": 5, "access": 6,
        "pinned": 4, "notified": 2, "rules": "-", **values})


def window(number: int = 1, slot: int = 0, **values: object) -> str:
    """Return a record of a window, by default of a window of 32 bits."""
    return record(**{
        "container": number, "slot": slot, "start": "0x0", "size": GIB, "page": 4 * KIB,
        "levels": 1, "mapped": 1000, "table": 4 * MIB, "view": 64 * KIB, "kvm": 1,
        "published": 1, "tracked": 0, **values})


def big_window(number: int = 1, **values: object) -> str:
    """Return a record of a window of 64 bits."""
    return window(number, 1, **{
        "start": "0x800000000000000", "size": 4 * GIB, "page": 64 * KIB, "mapped": 32768,
        "table": MIB, **values})


def region(number: int = 1, ua: int = 0x7fff00000000, **values: object) -> str:
    """Return a record of a region."""
    return record(**{
        "container": number, "ua": f"{ua:#x}", "size": 4 * GIB, "extents": 12, "page": 2 * MIB,
        "used": 0, "mapped": 32768, "readonly": 0, "mirrored": 0, **values})


def mapping(number: int = 1, slot: int = 0, **values: object) -> str:
    """Return a record of adjacent mappings."""
    return record(**{
        "container": number, "slot": slot, "iova": "0x10000", "size": MIB,
        "ua": "0x7fff00000000", "perm": "rw", **values})


def refusal(number: int = 1, seq: int = 1, **values: object) -> str:
    """Return a record of a refusal."""
    return record(**{
        "container": number, "seq": seq, "age": 1500, "request": "register", "errno": 12,
        "rule": "memlock",
        "text": b"the locked memory of the process would exceed RLIMIT_MEMLOCK: raise the limit",
        "pid": 812, "comm": b"qemu-system-ppc", "released": 0, **values})


def module_file(file: Path, version: str, srcversion: str) -> None:
    """Write a module for ppc64le that has only a section .modinfo."""
    info = b"".join(f"{key}={value}\0".encode() for key, value in (
        ("version", version), ("srcversion", srcversion), ("name", MODULE), ("license", "GPL")))
    names = b"\0.modinfo\0.shstrtab\0"
    offset = 64
    sections = offset + len(info) + len(names)
    sections += -sections % 8

    def header(name: int, kind: int, at: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, at, size, 0, 0, 1, 0)

    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 1, 21, 1, 0, 0, sections, 2, 64, 0, 0, 64, 3, 2)
    data = (elf + info + names).ljust(sections, b"\0")
    data += header(0, 0, 0, 0) + header(1, 1, offset, len(info))
    data += header(10, 3, offset + len(info), len(names))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


class State:
    """A saved state of a host, which begins without modules and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("proc/sys/kernel/osrelease", f"{RELEASE}\n")
        self.put("proc/cpuinfo", "cpu\t\t: POWER9\n\nplatform\t: PowerNV\n")
        (root / "lib" / "modules" / RELEASE).mkdir(parents=True)

    def put(self, path: str, contents: str | bytes) -> None:
        """Write a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents if isinstance(contents, bytes) else contents.encode())

    def load(self, version: str = "0.1.0", srcversion: str = "AAAA", users: int = 1,
             **parameters: str) -> None:
        """Load the module; parameters replace the default ones."""
        for name, value in (("version", version), ("srcversion", srcversion),
                            ("refcnt", users)):
            self.put(f"sys/module/{MODULE}/{name}", f"{value}\n")
        for name, value in {"enabled": "Y", "kvm": "on", "kvm_declined": "0", "kvm_windows": "1",
                            **parameters}.items():
            self.put(f"sys/module/{MODULE}/parameters/{name}", f"{value}\n")

    def load_in_tree(self, users: int = 0) -> None:
        """Load the in-tree driver."""
        self.put(f"sys/module/{IN_TREE}/refcnt", f"{users}\n")

    def use_vfio(self, uses: int, mounts: int = 0) -> None:
        """Set the use count of the module vfio: uses by files, mounts, and two modules."""
        self.put("sys/module/vfio/refcnt", f"{uses + mounts + 2}\n")
        for module in (IN_TREE, "vfio_pci_core"):
            self.put(f"sys/module/vfio/holders/{module}/refcnt", "0\n")

    def install(self, version: str = "0.1.0", srcversion: str = "AAAA") -> None:
        """Install the module on disk."""
        module_file(self.root / "lib/modules" / RELEASE / "updates" / f"{MODULE}.ko", version,
                    srcversion)
        run("depmod", "-b", self.root, RELEASE).expect(0)

    def debugfs(self, file: str, *records: str, first: str | None = None) -> None:
        """Write a file of the module in debugfs."""
        first = f"{MODULE} {file} 1" if first is None else first
        self.put(f"sys/kernel/debug/{MODULE}/{file}", "".join(
            f"{line}\n" for line in (first, *records)))

    def show(self, **files: Sequence[str]) -> None:
        """Write all files of the module in debugfs; files without records are empty."""
        self.debugfs("version", record(module="0.1.0", srcversion="AAAA"),
                     record(parameter="enabled", value="Y"))
        for name in ("containers", "groups", "windows", "regions", "mappings", "refusals"):
            self.debugfs(name, *files.get(name, ()))

    def process(self, pid: int, comm: bytes = b"qemu-system-ppc", files: Sequence[str] = (),
                extra: Mapping[str, str | bytes] | None = None) -> None:
        """Start a process with open files; extra has further files of its directory in proc."""
        self.put(f"proc/{pid}/comm", comm + b"\n")
        for number, file in enumerate(files, 20):
            link = self.root / f"proc/{pid}/fd/{number}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        for name, contents in (extra or {}).items():
            self.put(f"proc/{pid}/{name}", contents)


def good_state(root: Path) -> State:
    """Return a host on which the module handles the container of a guest."""
    state = State(root)
    state.load()
    state.load_in_tree()
    state.install()
    state.process(812, files=[CONTAINER, "/dev/vfio/3", "/dev/null"])
    state.show(
        containers=[container()], groups=[record(container=1, group=3, devices="0000:01:00.0")],
        windows=[window(), big_window()], regions=[region()],
        mappings=[mapping(), mapping(iova="0x200000", size=64 * KIB, perm="r"),
                  mapping(slot=1, iova="0x800000000000000", size=2 * GIB)])
    return state
