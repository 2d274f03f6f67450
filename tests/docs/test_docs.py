# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the documents: they build, each command is tested, each name exists.

commands.txt says how each command is tested. See docs_commands.py for how a document
shows a command, and docs_names.py for the form of a reference.
"""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docs_commands import (BEGINS, POWER_MARK, TABLE, Block, Command, Row, begun, blocks,
                           commands, commands_of, documented, documents, inline_commands,
                           inline_of, other_documents, read_table, rest_blocks, text_blocks,
                           unknown_parts)
from docs_names import KINDS, archives, page_names
from docs_run import WAYS, prepare

from lab.labels import DEFAULT_LABEL, label
from lab.places import BUILD, TOP
from lab.source import docs_source_dir
from runner.command import Done, copy_sources, run

HTML = BUILD / "docs" / "html"
MAN = BUILD / "docs" / "man"
# Files of other hosts that a browser would fetch to show a page
FETCHED = re.compile(r'<(?:script|img|link|object|iframe)\b[^>]*(?:src|href|data)="(\w+:)?//[^"]*"')
IMPORTED = re.compile(r"@import|url\(\s*[\"']?(?:\w+:)?/|^import ", re.MULTILINE)
SOURCES = ("debian", "include", "packaging", "scripts", "src", "tests", "tools")
# A document in a comment, but not one of the kernel
DOCUMENT = re.compile(r"(?<![\w/])Documentation/(?!process/|admin-guide/)[\w/-]+\.rst\b")
DRAWING = re.compile(r"^\.\. graphviz::.*\n((?:[ \t]+\S.*\n)*)", re.MULTILINE)
TABLE_ROWS = read_table(TABLE.read_text())
ROWS = [row for row in TABLE_ROWS if row.how != "power"]
# The reasons why a tested command is marked as needing a POWER host
MARKED = [row for row in TABLE_ROWS if row.how == "power"]


def row_of(command: str) -> Row | None:
    """Return the first row that matches a command."""
    return next((row for row in ROWS if row.matches(command)), None)


def path_of(file: Path) -> str:
    """Return the path of a document as the id of a case."""
    return str(file.relative_to(TOP))


each_document = pytest.mark.parametrize("file", documents(), ids=path_of)


@pytest.fixture(scope="session")
def made() -> Done:
    """Return the result of `make docs`, which also fetches the source of the kernel."""
    return run("make", "docs")


@pytest.fixture
def kernel(made: Done) -> Path:
    """Return the source of the kernel."""
    source = docs_source_dir(label(DEFAULT_LABEL))
    assert source.exists(), made.explain()
    return source


@pytest.fixture
def built(made: Done) -> Path:
    """Return the directory of the HTML pages."""
    made.expect(0, "documentation: build/docs/html/index.html")
    return HTML


@pytest.fixture(scope="module", autouse=True)
def fresh_copy() -> None:
    """Make the first command that runs with fakes copy the sources again; add labels."""
    prepare()


def test_documentation_builds_without_a_warning(built: Path) -> None:
    for file in (TOP / "Documentation").glob("**/*.rst"):
        page = built / file.relative_to(TOP / "Documentation").with_suffix(".html")
        assert page.exists(), page


def test_each_exported_function_has_a_manual_page(built: Path) -> None:
    assert built
    exported = {name for file in (TOP / "src").glob("*.c")
                for name in re.findall(r"^EXPORT_SYMBOL_GPL\((\w+)\)", file.read_text(), re.M)}
    assert exported == {page.stem for page in MAN.glob("*.9")}


def test_the_client_interface_has_a_manual_page(built: Path) -> None:
    assert built
    page = (MAN / "vfio_spapr_tce2.4").read_text()
    assert re.search(r'^\.TH "VFIO_SPAPR_TCE2" "4" ', page, re.MULTILINE)
    assert "VFIO_IOMMU_MAP_DMA" in page


@each_document
def test_each_drawing_has_a_caption_and_a_text_for_readers_who_cannot_see_it(file: Path) -> None:
    for options in DRAWING.findall(file.read_text()):
        assert ":alt: " in options and ":caption: " in options, options


def test_pages_need_no_network(built: Path) -> None:
    for page in built.glob("**/*.html"):
        found = FETCHED.search(page.read_text())
        assert not found, f"{page.name}: {found and found[0]}"
    for file in [*built.glob("**/*.css"), *built.glob("**/*.js")]:
        assert not IMPORTED.search(file.read_text()), file


# Errors: the file, the text appended to it, and a line that the build must print
ERRORS = {
    "an_undefined_label": ("Documentation/testing.rst", ":ref:`no-such-section`",
                           "testing.rst:[0-9]+: WARNING: undefined label: 'no-such-section'"),
    "an_unknown_page": ("Documentation/testing.rst", ":doc:`no-such-page`",
                        "testing.rst:[0-9]+: WARNING: unknown document: 'no-such-page'"),
    "an_unknown_term": ("Documentation/testing.rst", ":term:`no such term`",
                        "testing.rst:[0-9]+: WARNING: term not in glossary: 'no such term'"),
    "an_unknown_function": ("Documentation/testing.rst", ":c:func:`tce2_no_such_function`",
                            "testing.rst:[0-9]+: WARNING: .* not found: tce2_no_such_function"),
    "a_missing_drawing": ("Documentation/testing.rst", ".. graphviz:: no-such.dot",
                          "testing.rst:[0-9]+: WARNING: .*no-such.dot"),
    "bad_markup_in_kernel_doc": (
        "include/tce2_pin.h", "/**\n * struct tce2_bad - *brief\n * @a: a\n */\n"
        "struct tce2_bad {\n\tint a;\n};", "tce2_pin.h:[0-9]+: WARNING: Inline emphasis"),
    "a_source_without_a_comment": (
        "Documentation/testing.rst", ".. file-comment:: include/tce2_uapi.h",
        "testing.rst:[0-9]+: .*tce2_uapi.h has no comment"),
}


# The only pages of the copy, to save time
KEPT = ("index.rst", "testing.rst", "memory.rst")


@pytest.fixture(scope="module")
def refused() -> str:
    """Build a copy with all these errors; return the log of the build."""
    work = BUILD / "tests" / "docs" / "errors"
    shutil.rmtree(work, ignore_errors=True)
    copy_sources(work)
    for page in (work / "Documentation").glob("**/*.rst"):
        if page.name not in KEPT:
            page.unlink()
    for path, text, _ in ERRORS.values():
        with (work / path).open("a") as file:
            file.write(f"\n{text}\n")
    run(work / "scripts" / "docs").expect(1, "error: the documentation has errors:")
    return (work / "build" / "logs" / "docs.log").read_text()


@pytest.mark.parametrize("error", ERRORS)
def test_the_build_refuses(error: str, refused: str) -> None:
    assert re.search(ERRORS[error][2], refused), refused


@each_document
def test_each_command_is_tested_or_needs_a_power_host(file: Path) -> None:
    wrong = [str(command) for command in commands(file)
             if not command.needs_power and not row_of(command.text)]
    assert not wrong, "\n".join([f"no row in {path_of(TABLE)} for", *wrong])


def wrongly_marked(found: list[Command]) -> list[str]:
    """Return the marked commands that another row tests, without a reason for the mark."""
    return [str(command) for command in found if command.needs_power
            and (row := row_of(command.text)) and (row.how != "test" or not any(
                reason.matches(command.text) for reason in MARKED))]


@each_document
def test_no_command_is_marked_that_runs_on_any_machine(file: Path) -> None:
    assert not wrongly_marked(commands(file)), "\n".join(wrongly_marked(commands(file)))


@pytest.mark.parametrize("row", MARKED, ids=str)
def test_a_mark_of_a_tested_command_has_a_reason(row: Row) -> None:
    assert len(row.detail.split()) >= 3
    assert any(command.needs_power and row.matches(command.text)
               for file in documents() for command in commands(file))


@pytest.mark.parametrize(("text", "is_wrong"), [
    ("make check", True), ("make kernels", True), ("make uninstall", True),
    ("make install", False), ("modprobe vfio", False)])
def test_a_mark_without_a_reason_is_found(text: str, is_wrong: bool) -> None:
    assert bool(wrongly_marked([Command(TOP / "README", 1, text, True)])) == is_wrong


@each_document
def test_a_marked_command_has_only_parts_that_exist(file: Path) -> None:
    wrong = [f"{command}: {why}" for command in commands(file) if command.needs_power
             for why in unknown_parts(command.text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", other_documents(), ids=path_of)
def test_commands_in_other_documents_have_only_parts_that_exist(file: Path) -> None:
    wrong = [why for command in begun(file.read_text(), file.suffix)
             for why in unknown_parts(command)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("command", "sentence"), [
    ("make", ""), ("make install KDIR=/a", ""), ("make -C tools/preflight install", ""),
    ("make -C /lib/modules/$(uname -r)/build M=$PWD modules", ""),
    ("scripts/lint python", ""), ("tce2-preflight --json -m a.ko b | jq .", ""),
    ("make no-such-target", "make has no target no-such-target"),
    ("make && make nonsense ALL=1", "make has no target nonsense"),
    ("make -C tools/preflight nonsense", "make has no target nonsense"),
    ("make -C tools/no install", "there is no Makefile in"),
    ("scripts/no-such a", "there is no scripts/no-such"),
    ("tce2-preflight --jsn a", "tce2-preflight has no option --jsn"),
    ("tce2ctl status --json", ""), ("tce2ctl status --jsn", "tce2ctl has no option --jsn"),
])
def test_only_parts_that_do_not_exist_are_found(command: str, sentence: str) -> None:
    found = "".join(unknown_parts(command))
    assert sentence in found if sentence else not found


def test_commands_of_other_documents_are_found() -> None:
    assert list(begun(".Dl tce2-preflight 6.1\n      - run: make lint\ntext", ".8")) == [
        "tce2-preflight 6.1", "make lint"]
    assert list(begun("Run `make lint`.\n\n    $ scripts/lint man\n", ".md")) == [
        "scripts/lint man", "make lint"]


LINK = re.compile(r"\]\((?!https:)([^)#]*)(?:#([^)]*))?\)")


def bad_links(text: str, top: Path) -> list[str]:
    """Return the links of a text in Markdown whose page or heading does not exist."""
    return [f"{path}#{heading}" for path, heading in LINK.findall(text)
            if not (top / path).exists() or heading and heading not in {
                re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
                for line in (top / path).read_text().splitlines()}]


def test_links_in_markdown_lead_to_a_heading() -> None:
    for file in (TOP / ".github").glob("**/*.md"):
        assert not bad_links(file.read_text(), file.parent)


def test_a_bad_link_is_found() -> None:
    page = "(../Documentation/security.rst"
    assert bad_links(f"[a]{page}#no-such-heading) [b](../no.rst)", TOP / ".github") == [
        "../Documentation/security.rst#no-such-heading", "../no.rst#"]


def is_misplaced(block: Block) -> bool:
    """Check that a block of another kind shows a command."""
    return block.language != "console" and any(
        re.match(r"\$ ", line.strip()) or BEGINS.match(line.strip()) for line in block.lines)


@each_document
def test_commands_stand_in_console_blocks(file: Path) -> None:
    wrong = [f"{path_of(file)}:{block.line}: {block.language or 'no language'}"
             for block in blocks(file) if is_misplaced(block)]
    assert not wrong, "\n".join(wrong)


@each_document
def test_a_console_block_shows_a_command(file: Path) -> None:
    wrong = [f"{path_of(file)}:{block.line}" for block in blocks(file)
             if block.language == "console" and not list(commands_of(file, block))]
    assert not wrong, "\n".join(wrong)


@each_document
def test_each_command_in_a_sentence_is_tested(file: Path) -> None:
    wrong = [str(command) for command in inline_commands(file) if not row_of(command.text)]
    assert not wrong, "\n".join([f"no row in {path_of(TABLE)} for", *wrong])


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_tests_its_commands(row: Row) -> None:
    mine = sorted({command.text for command in documented() if row_of(command.text) == row})
    assert mine, "no document has such a command"
    # Commands with fakes share one copy of the sources, so they run one at a time
    with ThreadPoolExecutor(1 if row.how == "fake" else os.cpu_count()) as threads:
        list(threads.map(lambda command: WAYS[row.how](command, row), mine))


def test_the_directory_of_preflight_installs_the_tool(tmp_path: Path) -> None:
    run("make", "-C", "tools/preflight", "install", f"O={BUILD / 'preflight'}",
        f"DESTDIR={tmp_path}").expect(0)
    assert (tmp_path / "usr/local/sbin/tce2-preflight").exists()


def test_the_directory_of_tce2ctl_installs_the_tool(tmp_path: Path) -> None:
    run("make", "-C", "tools/tce2ctl", "install", f"O={BUILD / 'tce2ctl'}",
        f"DESTDIR={tmp_path}").expect(0)
    assert (tmp_path / "usr/local/sbin/tce2ctl").exists()
    assert (tmp_path / "usr/local/share/bash-completion/completions/tce2ctl").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", [*documents(), *other_documents()], ids=path_of)
def test_names_in_a_document_exist(file: Path, kind: str, kernel: Path) -> None:
    wrong = list(KINDS[kind](file.read_text(), kernel))
    assert not wrong, "\n".join(wrong)


def test_documents_named_in_sources_exist() -> None:
    wrong = [f"{path_of(file)}: {name}" for top in SOURCES
             for file in (TOP / top).glob("**/*") if file.is_file()
             for name in DOCUMENT.findall(file.read_text(errors="replace"))
             if not (TOP / name).exists()]
    assert not wrong, "\n".join(wrong)


# How a C example of a page compiles: arguments of gcc, and the text around it
LIBC = (["-Wno-unused-function", f"-I{TOP / 'include/uapi'}"], "", "")
KERNEL_API = (
    ["-DH_TOO_HARD=9999", "-DPAGE_SHIFT=16", "-Wno-unused-parameter",
     *(f"-I{TOP / name}" for name in ("tests/unit/shim/dup", "tests/unit/shim/sim", "tests/unit",
                                      "include"))],
    "#include <linux/slab.h>\n#include <linux/sched.h>\n#include \"tce2_kapi.h\"\n"
    "struct job { u64 hpa; };\n"
    "long example(const struct tce2_rm_ops *ops, struct tce2_cache *cache,\n"
    "struct tce2_region *region, unsigned long ua, unsigned int shift, bool write,\n"
    "struct job *job)\n{\n", "return 0;\n}\n")
EXAMPLES = {"Documentation/client.rst": LIBC, "Documentation/kernel-api.rst": KERNEL_API}


def c_blocks(file: Path) -> list[str]:
    """Return the C examples of a document."""
    return ["\n".join(block.lines) for block in blocks(file) if block.language == "c"]


def compiled(text: str, options: list[str]) -> Done:
    """Compile C for this machine, without output."""
    return run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
               "-fsyntax-only", *options, "-x", "c", "-", stdin=text)


def test_each_page_with_c_has_a_way_to_compile_it() -> None:
    assert {path_of(file) for file in documents() if c_blocks(file)} == set(EXAMPLES)


@pytest.mark.parametrize("page", EXAMPLES)
def test_c_examples_compile(page: str) -> None:
    options, before, after = EXAMPLES[page]
    for text in c_blocks(TOP / page):
        compiled(f"{before}{text}\n{after}", options).expect(0)


@pytest.mark.parametrize("page", EXAMPLES)
def test_a_c_example_with_a_wrong_name_is_refused(page: str) -> None:
    options, before, after = EXAMPLES[page]
    text = c_blocks(TOP / page)[0]
    wrong = re.sub(r"vfio_tce2_dirty|ops->lookup", "no_such_name", text)
    assert wrong != text
    compiled(f"{before}{wrong}\n{after}", options).expect(1, "error: .*no_such_name")


def shipped(text: str) -> set[str]:
    """Return the files that a list of documents of a package names."""
    names = [name for line in text.splitlines() for name in line.removeprefix("%doc").split()]
    return {path_of(file) for name in names if (TOP / name).exists()
            for file in (TOP / name, *(TOP / name).glob("**/*.rst")) if file.is_file()}


def not_shipped(text: str) -> list[str]:
    """Return the pages that shipped pages name, but a list of documents lacks."""
    there = shipped(text)
    return [f"{page} names {name}" for page in sorted(there)
            for name in page_names((TOP / page).read_text()) if name not in there]


@pytest.mark.parametrize("package", [
    "debian/vfio-spapr-tce2-dkms.docs", "packaging/vfio-spapr-tce2-kmod.spec"])
def test_a_package_contains_each_page_that_its_pages_name(package: str) -> None:
    text = (TOP / package).read_text()
    if package.endswith(".spec"):
        text = "\n".join(re.findall(r"^%doc .*", text, re.MULTILINE))
    assert {"README", "Documentation/install.rst"} <= shipped(text)
    assert not not_shipped(text), "\n".join(not_shipped(text))


def test_a_page_missing_from_a_package_is_found() -> None:
    assert "README names Documentation/locks.rst" in not_shipped("README\nCONTRIBUTING.rst\n")


def test_each_source_with_kernel_doc_has_a_page() -> None:
    pages = "".join(file.read_text() for file in (TOP / "Documentation/reference").glob("*.rst"))
    shown = set(re.findall(r"^\.\. kernel-doc:: (\S+)$", pages, re.MULTILINE))
    assert shown == {path_of(file) for pattern in ("include/**/*.h", "src/*.c")
                     for file in TOP.glob(pattern) if "\n/**\n" in file.read_text()}


def test_no_file_names_a_package_archive() -> None:
    files = [file for top in TOP.iterdir() if top.name not in ("build", ".git")
             for file in (top, *top.glob("**/*")) if file.is_file()]
    wrong = [f"{path_of(file)}: {why}" for file in files
             for why in archives(file.read_text(errors="replace"))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("text", "kind", "sentence"), [
    ("LoPAR 7.3.27.1, LoPAR revision 2.9", "lopar", ""),
    ("LoPAR 7.3", "lopar", "LoPAR 7.3: write LoPAR and the number of a section"),
    ("LoPAR, section 7.3.27", "lopar", "write LoPAR and the number of a section"),
    ("OPAL_PCI_TCE_KILL, OPAL call 126 (OPAL_PCI_TCE_KILL), OPAL_*", "opal", ""),
    ("OPAL_PCI_TCE_KILLS", "opal", "OPAL_PCI_TCE_KILLS is not in opal-api.h"),
    ("OPAL call 44 (OPAL_PCI_TCE_KILL)", "opal", "OPAL_PCI_TCE_KILL is call 126, not 44"),
    ("H_PUT_TCE returns H_TOO_HARD, H_*", "hcalls", ""),
    ("H_PUT_TCES", "hcalls", "H_PUT_TCES is not in hvcall.h"),
    ("VFIO_IOMMU_MAP_DMA, CONFIG_VFIO_NONE, KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE", "uapi", ""),
    ("VFIO_IOMMU_MAP_DMAS", "uapi", "VFIO_IOMMU_MAP_DMAS is in no header of VFIO or KVM"),
    ("``src/view.c``, include/uapi/linux/vfio.h, tests/guest/job_*.c, /lib/modules/", "files", ""),
    ("src/views.c", "files", "src/views.c does not exist"),
    ("locks.rst, Documentation/kvm.rst, ../CONTRIBUTING.rst, reference/kapi.rst", "pages", ""),
    ("common/file.c, src/view.c, guest/job_*.c, asm/hvcall.h", "sources", ""),
    ("preflight/nope.c", "sources", "preflight/nope.c does not exist"),
    ("pnv_tce_xchg(), mm_iommu_put(), tce2_memory_hold(), mlock()", "functions", ""),
    ("pnv_no_such_function()", "functions", "there is no function pnv_no_such_function"),
    ("tce2_no_such_function()", "functions", "there is no function tce2_no_such_function"),
    ("\tnowhere.rst\tinstall", "pages", "nowhere.rst does not exist"),
    ("reference/no.rst", "pages", "reference/no.rst does not exist"),
    ("https://docs.kernel.org/driver-api/vfio.html.", "urls", ""),
    ("http://docs.kernel.org/", "urls", "http://docs.kernel.org/ is no URL of https"),
    ("https:///driver-api", "urls", "https:///driver-api is no URL of https"),
])
def test_only_wrong_names_are_reported(text: str, kind: str, sentence: str, kernel: Path) -> None:
    found = "".join(KINDS[kind](text, kernel))
    assert sentence in found if sentence else not found


def test_a_host_of_an_archive_is_found() -> None:
    assert list(archives(f"from {'deb'}.debian.{'org'}"))
    assert not list(archives("docs.kernel.org, deb/vfio, archive.py"))


def texts(found: list[Command]) -> list[tuple[int, str, bool]]:
    """Return lines, texts and marks of commands."""
    return [(command.line, command.text, command.needs_power) for command in found]


REST = """\
.. code-block:: console
   :class: power-host

   # modprobe a
   output

.. code-block:: console

   $ make a \\
         B=c  # remark
   $ make b

Text::

   make c
"""


def test_a_block_shows_commands_marks_and_output() -> None:
    found = [command for block in rest_blocks(REST) for command in commands_of(TOP, block)]
    assert texts(found) == [(4, "modprobe a", True), (9, "make a B=c", False),
                            (11, "make b", False)]
    assert [block.language for block in rest_blocks(REST)] == ["console", "console", ""]


def test_plain_text_shows_commands_and_marks() -> None:
    text = f"Install {POWER_MARK}\n\n\t# modprobe a\n\nBuild:\n\n\t$ make b  # remark\n\tmade\n"
    found = [command for block in text_blocks(text) for command in commands_of(TOP, block)]
    assert texts(found) == [(3, "modprobe a", True), (7, "make b", False)]


def test_a_command_of_plain_text_without_a_prompt_is_found() -> None:
    found = list(text_blocks("Build:\n\n\tmake nonsense ALL=1\n\nor\n\n\tmake\n\n\tmap one\n"))
    assert [is_misplaced(block) for block in found] == [True, True, False]


def test_sentences_show_commands_of_this_project() -> None:
    text = ("``make check\n  V=1`` ``tests/run -k ROW`` ``tests/run`` ``scripts/lib.sh`` "
            "``scripts/lint man`` ``ls`` ``make unit ONLY=a_true_sentence``")
    assert inline_of(text, ".rst") == ["make check V=1", "scripts/lint man"]
    assert inline_of("`make install` and ``quoted''", "") == ["make install"]


@pytest.mark.parametrize(("row", "command", "sentence"), [
    (Row("run", "", "^7"), "echo 6", "expected a line like"),
    (Row("run", "", ""), "false", "expected status 0"),
    (Row("list", "", ""), "make unit ONLY=no_such_case", "expected status 0"),
    (Row("list", "", ""), "make kernels", "starts no tests"),
    (Row("fake", "", "^vm "), "make kernels", "does not start"),
    (Row("test", "", "tests/docs/test_docs.py::test_no_such x"), "make", "there is no test"),
    (Row("test", "", "tests/release/test_release.py::test_x x"), "make", "there is no test"),
    (Row("test", "", "tests/docs/test_docs.py::test_pages_need_no_network LINK"), "make",
     "does not contain LINK"),
    (Row("none", "", ""), "make", "no reason"),
    (Row("none", "", "Your own build does it."), "make", "the document does not contain"),
], ids=["another_output", "another_status", "a_case_that_does_not_exist", "no_tests",
        "another_program", "a_missing_test", "a_missing_test_of_a_suite",
        "another_test_of_the_file", "no_reason", "no_sentence_in_the_document"])
def test_a_row_is_refused_for(row: Row, command: str, sentence: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=sentence):
        WAYS[row.how](command, row)
