# SPDX-License-Identifier: GPL-2.0-only
"""Test that scripts/check-english finds phrases in each kind of text, but not in code."""

from __future__ import annotations

import pytest

from lab.places import SCRIPTS

from runner.command import run
from runner.english import complaints, phrases

REFUSED = {
    "comment.c": "/* Free those that are left */\n",
    "second_line.h": "/*\n * Free the pages of all\n * those\n * that are left\n */\n",
    "line_comment.c": "x = 1; // for good.\n",
    "message.c": 'pr_info("the pages of those " "that are left");\n',
    "name.c": "TEST(those_that_are_left_are_freed)\n{\n}\n",
    "fixture_name.c": "TEST_F(client, those_that_are_left_are_freed)\n{\n}\n",
    "comment.py": "# Free those that are left\n",
    "docstring.py": '"""Free those that are left."""\n',
    "message.py": 'die("free those that are left")\n',
    "name.py": "def test_those_that_are_left_are_freed() -> None:\n    pass\n",
    "script": '#!/bin/sh\n# Free those that are left\n',
    "message.sh": 'die "free those that are left"\n',
    "page.rst": "A title\n=======\n\nFree those that are left.\n",
    "after_literal.rst": "See::\n\n\tthose that\n\nFree those that are left.\n",
    "note.rst": ".. note::\n\n   Free those that are left.\n",
    "brief_what.c": "/* What tables contain */\n",
    "brief_whether.h": "/**\n * tce2_is() - whether the table is empty\n */\n",
    "brief_struct.h": "/**\n * struct tce2_x - What tables contain\n */\n",
    "brief.py": '"""Whether the table is empty."""\n',
    "joined_lines.c": "// Free those\n// that are left\n",
    "joined_comments.c": "/* Free those */\n/* that are left */\n",
    "joined_by_a_macro.c": 'printf("free %" PRIu64 " once" " more\\n", x);\n',
    "joined_by_a_comment.c": 'pr_info("the pages of those " /* all */ "that are left");\n',
    "escaped.c": 'pr_info("free it once\\nmore");\n',
    "two_words.c": 'pr_info("once more: %u", x);\n',
    "signal_name.c": "TEST_F_SIGNAL(client, those_that_are_left_are_freed)\n{\n}\n",
    "trailing_comment.py": "free()  # those that are left\n",
    "joined_message.py": 'die("free those "\n    "that are left")\n',
    "apostrophes.py": "'''Whether the table is empty.'''\n",
    "short_docstring.py": '"""What works."""\n',
    "docstring_of_a_class.py": 'class A:\n    "Whether it works"\n',
    "trailing_comment.sh": "free # those that are left\n",
    "single_quotes.sh": "die 'free those that are left'\n",
    "two_lines.sh": 'die "free those \\\nthat are left"\n',
    "here_document.sh": "cat <<END\nFree those that are left\nEND\n",
    "script_of_python": "#!/usr/bin/env python3\n# Free those that are left\n",
    "brief_colon.sh": "# is_empty TABLE: whether the table is empty\n",
    "brief_parentheses.c": "/* is_empty(): whether the table is empty */\n",
    "brief_arguments.h": "/**\n * is_empty(int a) - whether the table is empty\n */\n",
    "brief_two_spaces.h": "/**\n * is_empty()  -  whether the table is empty\n */\n",
    "brief_define.h": "/**\n * define TCE2_X - whether the table is empty\n */\n",
    "brief_typedef.h": "/**\n * typedef tce2_x - whether the table is empty\n */\n",
    "brief_doc.h": "/**\n * DOC: whether the table is empty\n */\n",
    "brief_member.h": "/**\n * struct x - a table\n * @empty: whether it is empty\n */\n",
    "brief_return.h": "/**\n * f() - check\n *\n * Return: whether it is empty\n */\n",
    "NEWS": "Free those that are left.\n",
    "debian/control": "Description: driver\n Free those that are left.\n",
    "tests/unit/shim/README": "Free those that are left.\n",
    "page.8": "Free those that are left.\n",
    "question_in_a_paragraph.rst": "Is it free? Free those that are left.\n",
    "caution.rst": ".. caution::\n\n   Free those that are left.\n",
    "emphasis.rst": "Free *those* that are left.\n",
    "cell.rst": "=====  =====\nFree   those that are left\n=====  =====\n",
}

# A phrase of each row of the project's list of words to avoid
LISTED = (
    "the page is brought in", "the page is made to be there", "let others run", "pauses here",
    "the entry comes behind it", "it goes to that one", "serves instead", "takes back the map",
    "it was put back as it was", "the call says EBUSY", "the call says -EBUSY",
    "saying that EBUSY", "lets go of the page", "pinned for good", "pinned for ever",
    "pinned forever", "none but the last", "all but for one", "map it anew", "once more",
    "at the most", "at the least", "the container is served", "serves the client",
    "is whose table", "a piece of memory", "a stretch of it", "whoever holds it",
    "NULL is certain... they are certain", "the one that is closed", "of what it held",
    "for the sake of the others", "nobody knows",
)

ACCEPTED = {
    "code.c": "int those, that; those = that;\n",
    "short_string.c": 'open("anew");\n',
    "comment.c": "/* Free the remaining pages */\n",
    "char.c": "if (c == '\"') free(x); /* quoted */\n",
    "literal.rst": "Run::\n\n\tfree those that are left\n\nThe end.\n",
    "code.rst": ".. code-block:: console\n\n   free those that are left\n\nThe end.\n",
    "role.rst": "Call ``free those that are left``.\n",
    "heading.rst": "What is a window?\n=================\n\nA range.\n",
    "brief.h": "/**\n * tce2_is() - Check that the table is empty\n */\n",
    "question.rst": "| Is it free, and what is free? | A page |\n",
    "shell_code.sh": "free ${those#that} one # of them\n",
    "hash.c": "int x = 3; /* one */ char c = '#';\n",
    "whatever.c": "/* Whatever the driver returns is ignored */\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_phrase_is_refused_in(name: str) -> None:
    assert len(complaints(name, REFUSED[name], phrases())) == 1


@pytest.mark.parametrize("phrase", LISTED)
def test_the_words_to_avoid_are_refused(phrase: str) -> None:
    assert complaints("file.c", f"/* Here {phrase} */\n", phrases())


@pytest.mark.parametrize("name", ACCEPTED)
def test_no_phrase_is_refused_in(name: str) -> None:
    assert not complaints(name, ACCEPTED[name], phrases())


def test_the_line_of_a_phrase_is_counted_from_the_top_of_the_file() -> None:
    text = "\n\n/*\n * Pages are freed.\n * Free those that are left\n */\n"
    assert complaints("file.c", text, phrases())[0].startswith("file.c:5:PHRASE: 'those that'")


def test_every_phrase_has_advice() -> None:
    assert all(phrase.advice.strip() for phrase in phrases())


def test_no_file_of_this_project_has_a_phrase_to_avoid() -> None:
    run(SCRIPTS / "check-english").expect(0, "^$")
