# SPDX-License-Identifier: GPL-2.0-only
"""Check the names in the documents: files, names of the kernel, specifications, URLs.

Each function yields a complaint for each name of its kind that does not exist or has
another form than these:

    LoPAR 7.3.27.1              the section, with three numbers or more
    OPAL call 126 (OPAL_PCI_TCE_KILL)    the number may be left out
    include/uapi/linux/vfio.h   the path from the top of this tree or the kernel's
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from lab.places import TOP

# Sections of LoPAR have three numbers or more; "revision 2.9" is an edition
LOPAR = re.compile(r"LoPAR,?\s+(?:section\s+)?(\d[\d.]*)")
LOPAR_SECTION = re.compile(r"LoPAR \d+(\.\d+){2,}\.?")
OPAL = re.compile(r"\b(?:OPAL call (\d+) \()?(OPAL_[A-Z][A-Z0-9_]*[A-Z0-9])\b(?![*_])")
HCALL = re.compile(r"\bH_[A-Z][A-Z0-9_]*[A-Z0-9]\b(?![*_])")
UAPI = re.compile(r"(?<!CONFIG_)\b(?:VFIO|KVM)_[A-Z0-9_a-z]*[A-Z0-9a-z]\b(?![*_])")
# A path in a tree of the kernel needs a file name, because text such as "arch/config" is none
FILE = re.compile(
    r"(?<![\w./<>*{}$-])(?:(?:debian|Documentation|include|packaging|scripts|src|tests|tools)/"
    r"[\w./-]*[\w/]|(?:arch|drivers|kernel|lib|mm|uapi|virt)/[\w./-]*\.[chS])\b(?![*<{/$])")
# The end of a path of a source, from a directory such as tests, without that directory
SOURCE = re.compile(r"(?<![\w./<>*{}$~%:-])[a-z][\w-]*/[\w./-]*\w\.(?:[chS]|py)\b(?![*<{/$])")
# Directories in which such paths begin; the third is of headers of the kernel
BELOW = ("tests", "tools", "include", "Documentation", "scripts")
# A function of the kernel or of this project, whose prefix tells to which part it belongs
FUNCTION = re.compile(r"\b((?:kvmppc|kvm_spapr|pnv|iommu|vfio|mm_iommu|spapr|tce_iommu|tce2)"
                      r"_\w+)\(\)")
DEFINED = re.compile(r"\b(?:kvmppc|kvm_spapr|pnv|iommu|vfio|mm_iommu|spapr|tce_iommu|tce2)"
                     r"_\w+(?=\()")
# Directories with these functions
DEFINED_IN = ("arch/powerpc/include", "arch/powerpc/kernel", "arch/powerpc/kvm",
              "arch/powerpc/mm", "arch/powerpc/platforms", "drivers/iommu", "drivers/vfio",
              "include/linux", "virt")
# A file name in capitals stands for any name
ANY = re.compile(r"/[A-Z]{3,}\.\w+$")
# Files that a recipe of CONTRIBUTING.rst has the reader make, and one of a kernel's build
NEW = {"include/config/auto.conf", "include/tce2_trace.h", "src/probes/part.c", "src/trace.c",
       "src/trace.o"}
# A page, by its path or, in a list of pages, by its name
PAGE = re.compile(r"(?<![\w/<>*{}$-])(?!Documentation/(?:process|admin-guide)/)"
                  r"(?:\.\./)?[A-Za-z][\w/-]*\.rst\b")
URL = re.compile(r"[a-z]+://[^\s>`\"')]+")
HTTPS = re.compile(r"https://([\w-]+\.)+[a-z]{2,}(/[\w./~%#?=&+:@-]*)?")
# Headers of the kernel that define the names for userspace
UAPI_FILES = ("include/uapi/linux/vfio.h", "include/uapi/linux/kvm.h",
              "arch/powerpc/include/uapi/asm/kvm.h", "drivers/vfio/Kconfig",
              "drivers/vfio/pci/Kconfig", "arch/powerpc/kvm/Kconfig", "drivers/vfio/vfio.h")
# Hosts of package archives; the machine's apt names the archive
ARCHIVE = re.compile(r"\b(deb|security|snapshot|archive|ftp|mirrors?|registry|proxy|pypi|files)"
                     r"\.([a-z0-9-]+\.)*(org|com|net|io)\b")


@lru_cache
def words_of(kernel: Path, *names: str) -> set[str]:
    """Return all words of files of the kernel."""
    return set(re.findall(r"\w+", "\n".join((kernel / name).read_text() for name in names)))


def lopar(text: str, _: Path) -> Iterator[str]:
    """Yield the references to LoPAR of another form."""
    for found in LOPAR.finditer(text):
        if not LOPAR_SECTION.fullmatch(re.sub(r"\s+", " ", found[0])):
            yield f"{found[0]}: write LoPAR and the number of a section"


def opal(text: str, kernel: Path) -> Iterator[str]:
    """Yield the calls of the firmware that do not exist or have another number."""
    header = (kernel / "arch/powerpc/include/asm/opal-api.h").read_text()
    numbers = dict(re.findall(r"^#define\s+(OPAL_\w+)\s+(\d+)", header, re.MULTILINE))
    known = words_of(kernel, "arch/powerpc/include/asm/opal-api.h")
    for number, name in OPAL.findall(text):
        if name not in known:
            yield f"{name} is not in opal-api.h"
        elif number and numbers.get(name) != number:
            yield f"{name} is call {numbers.get(name)}, not {number}"


def hcalls(text: str, kernel: Path) -> Iterator[str]:
    """Yield the hypercalls and their results that do not exist."""
    known = words_of(kernel, "arch/powerpc/include/asm/hvcall.h")
    yield from (f"{name} is not in hvcall.h" for name in HCALL.findall(text) if name not in known)


def uapi(text: str, kernel: Path) -> Iterator[str]:
    """Yield the ioctls and constants of VFIO, KVM and this module that do not exist."""
    known = words_of(kernel, *UAPI_FILES) | words_of(TOP, "include/uapi/vfio_spapr_tce2.h")
    yield from (f"{name} is in no header of VFIO or KVM" for name in UAPI.findall(text)
                if name not in known)


def files(text: str, kernel: Path) -> Iterator[str]:
    """Yield the paths that exist neither here nor in the kernel."""
    for name in FILE.findall(text):
        source = re.sub(r"\.o$", ".c", name)
        exists = any((top / source).exists() for top in (TOP, kernel, kernel / "include"))
        if not exists and name not in NEW and not ANY.search(name):
            yield f"{name} does not exist"


def sources(text: str, kernel: Path) -> Iterator[str]:
    """Yield the sources, named without their first directory, that do not exist."""
    tops = [TOP, *(TOP / name for name in BELOW), kernel, kernel / "include",
            kernel / "arch/powerpc", kernel / "arch/powerpc/include"]
    yield from (f"{name} does not exist" for name in SOURCE.findall(text)
                if name not in NEW and not ANY.search(name)
                and not any((top / name).exists() for top in tops))


@lru_cache
def functions_of(kernel: Path) -> set[str]:
    """Return the names that the kernel and this project define or call as functions."""
    tops = [kernel / name for name in DEFINED_IN] + [TOP / "include", TOP / "src", TOP / "tests"]
    return {name for top in tops for file in top.glob("**/*.[chS]")
            for name in DEFINED.findall(file.read_text(errors="replace"))}


def functions(text: str, kernel: Path) -> Iterator[str]:
    """Yield the functions that exist neither here nor in the kernel."""
    yield from (f"there is no function {name}" for name in FUNCTION.findall(text)
                if name not in functions_of(kernel))


def page_names(text: str) -> Iterator[str]:
    """Yield the paths from the top of the pages that a text names, even of missing pages."""
    for name in PAGE.findall(text):
        path = name.removeprefix("../")
        is_complete = path.startswith("Documentation/") or (TOP / path).exists()
        yield path if is_complete else f"Documentation/{path}"


def pages(text: str, _: Path) -> Iterator[str]:
    """Yield the pages that do not exist."""
    yield from (f"{name} does not exist" for name in page_names(text)
                if not (TOP / name).exists())


def urls(text: str, _: Path) -> Iterator[str]:
    """Yield the URLs that are not of https or have no host."""
    for url in URL.findall(text):
        if not HTTPS.fullmatch(url.rstrip(".,;")):
            yield f"{url} is no URL of https"


def archives(text: str) -> Iterator[str]:
    """Yield the hosts of package archives."""
    yield from (f"{found[0]}: the machine's apt names the archive"
                for found in ARCHIVE.finditer(text))


KINDS: dict[str, Callable[[str, Path], Iterator[str]]] = {
    "lopar": lopar, "opal": opal, "hcalls": hcalls, "uapi": uapi, "files": files, "pages": pages,
    "sources": sources, "functions": functions, "urls": urls,
}
