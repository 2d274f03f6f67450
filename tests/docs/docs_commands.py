# SPDX-License-Identifier: GPL-2.0-only
"""Find the commands in the documents, and read commands.txt, which says how each is tested.

In reStructuredText a command is in a block `.. code-block:: console`, after the prompt
"$ " or, for root, "# ". Lines without a prompt are output. The option `:class: power-host`
marks a block that needs a POWER host. README is plain text: its blocks are indented by a
tab, and the paragraph before a block ends with POWER_MARK. A block without a prompt has no
language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.places import TOP

POWER_MARK = "(on a POWER host):"
POWER_CLASS = "power-host"
TABLE = TOP / "tests" / "docs" / "commands.txt"
PROMPT = re.compile(r"^([$#]) (.*)")
# Two spaces separate a remark from its command
REMARK = re.compile(r"(\t|  )\s*# .*")
DIRECTIVE = re.compile(r"^(\s*)\.\. (code-block|sourcecode|code|parsed-literal)::\s*(\S*)")
OPTION = re.compile(r"^\s+:([a-z-]+):\s*(.*)")
# A command of this project in a sentence. A script without arguments is no command, because the
# sentence may be about the file.
OWN = re.compile(r"([A-Z_]+=\S* )*(make|make .*|(scripts/|tests/run)\S* .*)")
# Words of a command that the reader replaces with the name of a test
ANY_NAME = re.compile(r"\b(a_true_sentence|[A-Z]{3,}(\.\.\.)?)(?=\s|$)")
PLAIN = re.compile(r"(?<!`)`([^`']+)`(?!`)")
INLINE = {".rst": re.compile(r"(?<!`)``([^`]+)``(?!`)"), "": PLAIN, ".md": PLAIN}
# A line that begins with a command of this project
BEGINS = re.compile(r"(?:[$#] |- run: )?"
                    r"((?:make|scripts/[\w-]+|tests/run|tce2-preflight|tce2ctl)(?: .*)?)$")
# The file with the usage of each program for administrators
USAGES = {"tce2-preflight": "tools/preflight/preflight.c", "tce2ctl": "tools/tce2ctl/tce2ctl.c"}
# The file with the options that both programs have
COMMON_OPTIONS = "tools/common/options.c"
# A target of make, not a variable or an option
TARGET = re.compile(r"[a-z][\w-]*")


@dataclass(frozen=True)
class Block:
    """A literal block. line is the number of its first line in the file."""

    line: int
    language: str
    needs_power: bool
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command of a document."""

    file: Path
    line: int
    text: str
    needs_power: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(TOP)}:{self.line}: {self.text}"


def documents() -> list[Path]:
    """Return the documents whose commands are tested."""
    return [TOP / "README", TOP / "MAINTAINERS", TOP / "CONTRIBUTING.rst",
            *sorted((TOP / "Documentation").glob("**/*.rst"))]


def indentation(line: str) -> int:
    """Return the width of the blanks at the start of a line."""
    text = line.expandtabs()
    return len(text) - len(text.lstrip())


def indented(lines: Sequence[str], start: int, margin: int) -> int:
    """Return the end of the lines from start that are empty or indented by more than margin."""
    end = start
    while end < len(lines) and (not lines[end].strip() or indentation(lines[end]) > margin):
        end += 1
    return end


def rest_blocks(text: str) -> Iterator[Block]:
    """Yield the literal blocks of a document in reStructuredText."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        found = DIRECTIVE.match(line)
        is_plain = line.rstrip().endswith("::") and not line.lstrip().startswith("..")
        if not found and not is_plain:
            continue
        margin = indentation(line)
        options = {}
        while found and number < len(lines) and (option := OPTION.match(lines[number])):
            options[option[1]] = option[2]
            number += 1
        end = indented(lines, number, margin)
        yield Block(number + 1, found[3] if found else "",
                    POWER_CLASS in options.get("class", "").split(), tuple(lines[number:end]))
        number = end


def text_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a plain text, which are indented by a tab."""
    paragraph = ""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        if not lines[number].startswith("\t"):
            paragraph = lines[number] or paragraph
            number += 1
            continue
        end = number
        while end < len(lines) and lines[end].startswith("\t"):
            end += 1
        shown = tuple(lines[number:end])
        has_prompt = any(PROMPT.match(line.strip()) for line in shown)
        yield Block(number + 1, "console" if has_prompt else "",
                    paragraph.endswith(POWER_MARK), shown)
        number = end


def blocks(file: Path) -> Iterator[Block]:
    """Yield the literal blocks of a document."""
    return (rest_blocks if file.suffix == ".rst" else text_blocks)(file.read_text())


def commands_of(file: Path, block: Block) -> Iterator[Command]:
    """Yield the commands of a block; a backslash continues a line."""
    if block.language != "console":
        return
    first, text = 0, ""
    for number, line in enumerate(block.lines, block.line):
        if text:
            text += " " + line.strip()
        elif found := PROMPT.match(line.strip()):
            first, text = number, found[2]
        else:
            continue
        text = REMARK.sub("", text).strip()
        if text.endswith("\\"):
            text = text[:-1].strip()
            continue
        yield Command(file, first, text, block.needs_power)
        text = ""


def commands(file: Path) -> list[Command]:
    """Return the commands in the blocks of a document."""
    return [command for block in blocks(file) for command in commands_of(file, block)]


def inline(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Yield each command of this project in the sentences of a text, after its position.

    A command with ANY_NAME in place of a real name is left out.
    """
    for found in INLINE[suffix].finditer(text):
        words = " ".join(found[1].split())
        if OWN.fullmatch(words) and not ANY_NAME.search(words):
            yield found.start(), words


def inline_of(text: str, suffix: str) -> list[str]:
    """Return the commands of this project in the sentences of a text."""
    return [words for _, words in inline(text, suffix)]


def inline_commands(file: Path) -> list[Command]:
    """Return the commands of this project in the sentences of a document."""
    text = file.read_text()
    return [Command(file, text.count("\n", 0, place) + 1, words, False)
            for place, words in inline(text, file.suffix)]


@dataclass(frozen=True)
class Row:
    """A row of the table: how the commands that match a pattern are tested."""

    how: str
    pattern: str
    detail: str

    def matches(self, command: str) -> bool:
        """Check that the row matches a command."""
        return re.fullmatch(self.pattern, command) is not None

    def __str__(self) -> str:
        return f"{self.how}: {self.pattern}"


def read_table(text: str) -> list[Row]:
    """Return the rows; tabs separate the columns."""
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            how, pattern, *detail = re.split(r"\t+", line)
            rows.append(Row(how, pattern, " ".join(detail)))
    return rows


def documented() -> list[Command]:
    """Return the commands of all documents that do not need a POWER host."""
    return [command for file in documents()
            for command in (*commands(file), *inline_commands(file)) if not command.needs_power]


def other_documents() -> list[Path]:
    """Return the files with commands in blocks of another kind."""
    return [*sorted((TOP / ".github").glob("**/*.md")), TOP / ".github/workflows/ci.yml",
            TOP / "tools/preflight/tce2-preflight.8", TOP / "tools/tce2ctl/tce2ctl.8"]


def begun(text: str, suffix: str) -> Iterator[str]:
    """Yield the commands of this project that a line or a quotation contains."""
    for line in text.splitlines():
        if found := BEGINS.match(line.strip().removeprefix(".Dl ")):
            yield found[1]
    if suffix in INLINE:
        yield from inline_of(text, suffix)


def unknown_parts(command: str) -> Iterator[str]:
    """Yield the targets, scripts and options of a command that do not exist.

    Each part of a line counts. Targets of the build tree of a kernel are not known.
    """
    for part in re.split(r"[;&|]+", command):
        words = [word for word in part.split() if not re.match(r"[A-Z_]+=", word)]
        if not words:
            continue
        program, arguments = words[0], words[1:]
        if program == "make":
            yield from unknown_targets(arguments)
        elif program.startswith(("scripts/", "tests/", "./")) and not (TOP / program).is_file():
            yield f"there is no {program}"
        elif program in USAGES:
            yield from unknown_options(program, arguments)


def unknown_options(program: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the options that the usage of a program for administrators lacks.

    The arguments of QEMU or DPDK follow --guest or --dpdk.
    """
    usage = "".join((TOP / file).read_text() for file in (USAGES[program], COMMON_OPTIONS))
    for word in arguments:
        name = word.partition("=")[0]
        # The table of options has letters without a dash: { 'm', "--module", ...
        row = f"{{ '{name[1:]}', " if re.fullmatch("-[a-zA-Z]", name) else f'"{name}"'
        if word.startswith("-") and row not in usage:
            yield f"{program} has no option {word}"
        if word in ("--guest", "--dpdk"):
            return


def unknown_targets(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the targets that the Makefile of a make command lacks."""
    place = TOP
    if "-C" in arguments:
        at = arguments.index("-C")
        place = TOP / arguments[at + 1]
        arguments = [*arguments[:at], *arguments[at + 2:]]
        # The source or the build tree of a kernel
        if place == TOP / "linux" or str(place).startswith("/lib/modules/"):
            return
    if not (place / "Makefile").exists():
        yield f"there is no Makefile in {place}"
        return
    text = (place / "Makefile").read_text()
    included = re.findall(r"^include ([\w./-]+)$", text, re.MULTILINE)
    text += "".join((place / file).read_text() for file in included)
    rules = re.findall(r"^([\w .-]+?):(?!=)", text, re.MULTILINE)
    known = {name for rule in rules for name in rule.split()}
    yield from (f"make has no target {word}" for word in arguments
                if TARGET.fullmatch(word) and word not in known)
