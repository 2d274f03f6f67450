# SPDX-License-Identifier: GPL-2.0-only
"""The directive file-comment: the comment at the top of a C source, as text.

kernel-doc ignores these comments, because they start with one asterisk. `.. file-comment::
src/view.c` shows the first comment of more than one line. Words that reStructuredText
would take for markup are shown as they are.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# docutils has no types in Debian 12
from docutils import nodes  # type: ignore[import]
from docutils.parsers.rst import Directive  # type: ignore[import]
from docutils.statemachine import StringList  # type: ignore[import]

COMMENT = re.compile(r"^/\*\n(.*?)^ \*/$", re.MULTILINE | re.DOTALL)
# The start of a list
ITEM = re.compile(r"(?:- |\d+\. )")


def is_table(text: str) -> bool:
    """Check that an indented text is a table, and no list."""
    is_list = ITEM.match(text.lstrip()) and not re.search(r"\S\t", text)
    return text[:1].isspace() and not is_list


def comment_of(text: str) -> list[str]:
    """Return the paragraphs of the first comment of more than one line.

    A table with an empty line is one paragraph.
    """
    found = COMMENT.search(text)
    lines = [re.sub(r"^ \* ?", "", line) for line in found[1].splitlines()] if found else []
    paragraphs: list[str] = []
    for each in re.split(r"\n\n+", "\n".join(lines)):
        if paragraphs and is_table(paragraphs[-1]) and is_table(each):
            paragraphs[-1] += f"\n\n{each}"
        else:
            paragraphs.append(each)
    return [each for each in paragraphs if each.strip()]


def escaped(text: str) -> str:
    """Return a text with each character that could start or end markup escaped."""
    return re.sub(r"([\\*`|]|_(?!\w))", r"\\\1", text)


def rest_of(paragraph: str) -> Iterator[str]:
    """Yield a paragraph in reStructuredText. Indented lines are a list or a table."""
    for is_indented, group in itertools.groupby(
            paragraph.splitlines(), lambda line: not line or line[0].isspace()):
        text = "\n".join(group)
        plain = textwrap.dedent(text.expandtabs())
        if is_indented and is_table(text):
            yield from (".. code-block:: none", "", *textwrap.indent(plain, "   ").splitlines())
        else:
            yield from escaped(plain).splitlines()
        yield ""


class FileComment(Directive):  # type: ignore[misc]
    """.. file-comment:: PATH, from the top directory."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """Return the comment's paragraphs."""
        name = self.arguments[0]
        env = self.state.document.settings.env
        file = Path(env.config.kerneldoc_srctree) / name
        env.note_dependency(str(file))
        paragraphs = comment_of(file.read_text())
        if not paragraphs:
            raise self.error(f"{name} has no comment of more than one line")
        lines = [line for each in paragraphs for line in rest_of(each)]
        node = nodes.container(classes=["file-comment"])
        self.state.nested_parse(StringList(lines, source=name), 0, node)
        return [node]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("file-comment", FileComment)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
