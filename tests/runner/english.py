# SPDX-License-Identifier: GPL-2.0-only
"""Find phrases that make a reader read twice, in comments, messages, names and documents."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.places import TOP

PHRASES = Path(__file__).with_suffix(".txt")
# Files with text of others, with the phrases themselves, or with figures
SKIPPED = re.compile(r"COPYING$|debian/copyright$|Documentation/bench/.*\.(json|svg|txt)$"
                     r"|tests/runner/english\.txt$|tests/evidence/test_english\.py$")
C_FILE = re.compile(r"\.([chS]|cocci)$")
PYTHON = re.compile(r"#!\S*[/ ]python3?\b")
# Files that are text as a whole; of a manual page and of a control file, each line
DOCUMENT = re.compile(r"\.(rst|md|txt|[1-9])$"
                      r"|(^|/)(README[^/]*|NEWS|MAINTAINERS|changelog|control)$")

# A comment, a docstring, a description of kernel-doc or a result must not begin with these words
QUESTION = r"(what(?!ever)|whether|which|how (?:often|many|much|long)|who(?:se)?|where(?!ver|as))\b"
BRIEF = re.compile(
    r"(?:\A\W*|"                                                    # the first word of the text
    r"^\W*(?:(?:struct|union|enum|typedef|define|DOC:?)\s+)?"       # name() - , name: , DOC: name -
    r"[\w.]+(?:\([^)\n]*\))?(?: [A-Z[][\w\]|.=-]*)*\s*(?: -|--|—|:)\s+|"
    r"^\W*@[\w.]+:\s+|^\W*Return:?\s+|^\.Nd\s+|\\-\s+)" + QUESTION, re.I | re.M)
C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'', re.S)
# Between strings that the compiler joins: comments, and macros such as PRIu64
JOINT = re.compile(r"(?:\s|\w|\\)*", re.S)
C_TEST = re.compile(r"^TEST(?:_F|_F_SIGNAL|_SIGNAL)?\((?:\w+,\s*)?(\w{8,})", re.M)
LITERAL = re.compile(r"::\s*$")
# Directives whose contents are no text
CODE_DIRECTIVE = re.compile(r"\.\. (code-block|code|literalinclude|graphviz|raw|math|highlight"
                            r"|toctree|include|kernel-doc|parsed-literal)::")
# From the start of a line, a cell or a sentence to a question mark
QUESTION_OF_READER = re.compile(r"(?:[^.!?:\t ]| (?! ))*\?")


@dataclass(frozen=True)
class Phrase:
    """A phrase to avoid, and the advice."""

    pattern: re.Pattern[str]
    advice: str


@dataclass(frozen=True)
class Passage:
    """Consecutive lines of prose. line is the number of the first one."""

    line: int
    text: str
    is_comment: bool = False


def phrases() -> list[Phrase]:
    """Read the list of phrases."""
    rows = [line.split("\t") for line in PHRASES.read_text().splitlines()
            if line and not line.startswith("#")]
    return [Phrase(re.compile(pattern.replace(" ", r"\s+"), re.I), advice)
            for pattern, advice in rows]


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _bare(comment: str) -> str:
    """Remove the marks of a comment in C from each line."""
    comment = re.sub(r"^/\*+|\*+/$|^//+", "", comment)
    return re.sub(r"^[ \t]*\*[ \t]?", "", comment, flags=re.M)


def _is_prose(text: str) -> bool:
    """Check that a string has two words."""
    return len(re.findall(r"[A-Za-z]{2,}", text)) >= 2


def _readable(string: str) -> str:
    """Replace the escapes of a string by blanks, so that words stay separate."""
    return re.sub(r"\\[nrt]", " ", string)


def _comments_in_c(text: str) -> Iterator[Passage]:
    """Find comments; join comments of one line that follow one another."""
    last: Passage | None = None
    end = 0
    for found in C_TOKEN.finditer(text):
        token = found.group()
        if not token.startswith("/"):
            continue
        is_joined = (last is not None and re.fullmatch(r"[ \t]*\n[ \t]*", text[end:found.start()])
                     and "\n" not in token and not token.startswith("/**"))
        if last and is_joined:
            last = Passage(last.line, f"{last.text}\n{_bare(token)}", is_comment=True)
        else:
            if last:
                yield last
            last = Passage(_line_of(text, found.start()), _bare(token), is_comment=True)
        end = found.end()
    if last:
        yield last


def _strings_in_c(text: str) -> Iterator[Passage]:
    """Find strings; join strings that the compiler joins."""
    last: Passage | None = None
    end = 0
    code = re.sub(r"/\*.*?\*/", lambda comment: re.sub(r"[^\n]", " ", comment.group()), text,
                  flags=re.S)
    for found in C_TOKEN.finditer(code):
        token = found.group()
        if not token.startswith('"'):
            continue
        if last and JOINT.fullmatch(code[end:found.start()]):
            last = Passage(last.line, last.text + _readable(token[1:-1]))
        else:
            if last:
                yield last
            last = Passage(_line_of(text, found.start()), _readable(token[1:-1]))
        end = found.end()
    if last:
        yield last


def _in_c(text: str) -> Iterator[Passage]:
    yield from _comments_in_c(text)
    yield from (passage for passage in _strings_in_c(text) if _is_prose(passage.text))
    for found in C_TEST.finditer(text):
        yield Passage(_line_of(text, found.start()), found.group(1).replace("_", " "))


def _docstring_lines(text: str) -> set[int]:
    """Return the lines at which docstrings begin."""
    nodes = [node for node in ast.walk(ast.parse(text))
             if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    return {node.body[0].lineno for node in nodes
            if node.body and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and isinstance(node.body[0].value.value, str)}


def _strings_in_python(text: str) -> Iterator[Passage]:
    """Find strings; join adjacent ones, as Python does."""
    docstrings = _docstring_lines(text)
    last: Passage | None = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            bare = re.sub(r"^\w*(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$", "", token.string)
            line = token.start[0]
            last = (Passage(last.line, last.text + bare, last.is_comment) if last
                    else Passage(line, bare, line in docstrings))
        elif token.type not in (tokenize.NL, tokenize.COMMENT):
            if last:
                yield last
            last = None
    if last:
        yield last


def _in_python(text: str) -> Iterator[Passage]:
    yield from (passage for passage in _strings_in_python(text)
                if passage.is_comment or _is_prose(passage.text))
    comments = {token.start[0]: token.string for token
                in tokenize.generate_tokens(io.StringIO(text).readline)
                if token.type == tokenize.COMMENT}
    yield from _joined({line: comment.lstrip("#").strip() for line, comment in comments.items()
                        if not comment.startswith("#!")})
    for found in re.finditer(r"^\s*def test_(\w+)", text, re.M):
        yield Passage(_line_of(text, found.start(1)), found.group(1).replace("_", " "))


def _joined(comments: dict[int, str]) -> Iterator[Passage]:
    """Join comments of adjacent lines; comments maps the number of a line to its text."""
    start, lines = 0, list[str]()
    for number in sorted(comments):
        if lines and (number != start + len(lines) or not comments[number]):
            yield Passage(start, "\n".join(lines), is_comment=True)
            lines = []
        if comments[number]:
            start = start if lines else number
            lines.append(comments[number])
    if lines:
        yield Passage(start, "\n".join(lines), is_comment=True)


def _in_shell(text: str) -> Iterator[Passage]:
    """Find comments, quoted strings and here-documents."""
    comments = {}
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"(?:\s*|.*?[\s;])#(?!!)(?:\s+|$)(.*)", line):
            comments[number] = found.group(1).strip()
    yield from _joined(comments)
    for found in re.finditer(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", text, re.S):
        string = found.group()[1:-1].replace("\\\n", " ")
        if "\n" not in string and _is_prose(string):
            yield Passage(_line_of(text, found.start()), string)
    for found in re.finditer(r"<<-?\s*['\"]?(\w+)['\"]?.*?\n(.*?)^\t*\1$", text, re.S | re.M):
        yield Passage(_line_of(text, found.start(2)), found.group(2))


def _in_document(text: str) -> Iterator[Passage]:
    """Find paragraphs of text or reStructuredText, without literal blocks."""
    start, lines = 0, list[str]()
    literal: int | None = None
    opened: int | None = None
    for number, line in enumerate([*text.splitlines(), ""], 1):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if line.strip() and literal is None:
            start = start if lines else number
            # A heading or a cell may be the reader's question
            bare = re.sub(r"``[^`]*``", "``", line).replace("*", " ")
            lines.append(QUESTION_OF_READER.sub(" ", bare))
            opened = None
            directive = re.match(r"\s*\.\. [\w-]+::", line)
            if CODE_DIRECTIVE.match(line.strip()) or (LITERAL.search(line) and not directive):
                opened = indent
        elif lines:
            yield Passage(start, "\n".join(lines))
            lines, literal, opened = [], opened, None


def passages(name: str, text: str) -> list[Passage]:
    """Return all prose of a file, by the kind that its name or its first line tells."""
    if C_FILE.search(name):
        return list(_in_c(text))
    if name.endswith(".py") or PYTHON.match(text):
        return list(_in_python(text))
    if DOCUMENT.search(name):
        return list(_in_document(text))
    return list(_in_shell(text))


def complaints(name: str, text: str, avoided: list[Phrase]) -> list[str]:
    """Return a line for each phrase to avoid, PATH:LINE:TYPE: TEXT."""
    found = []
    for passage in passages(name, text):
        for phrase in avoided:
            for match in phrase.pattern.finditer(passage.text):
                line = passage.line + passage.text.count("\n", 0, match.start())
                words = " ".join(match.group().split())
                found.append((line, f"{name}:{line}:PHRASE: '{words}': {phrase.advice}"))
        if passage.is_comment:
            for brief in BRIEF.finditer(passage.text):
                line = passage.line + passage.text.count("\n", 0, brief.start(1))
                found.append((line, f"{name}:{line}:BRIEF: '{brief.group(1)}': "
                                    f"begin with a verb, or with the noun"))
    return [text for _, text in sorted(found)]


def _files(top: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                            cwd=top, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.splitlines() if not SKIPPED.match(name)]


def main(names: Sequence[str]) -> int:
    """Check the files that are named, or all files of this project."""
    avoided = phrases()
    failed = 0
    for name in names or _files(TOP):
        file = TOP / name
        if not file.is_file():
            continue
        for line in complaints(name, file.read_text(errors="replace"), avoided):
            print(line)
            failed = 1
    return failed
