# SPDX-License-Identifier: GPL-2.0-only
"""Test that scripts/check-english finds phrases in each kind of text, but not in code."""

from __future__ import annotations

import re

import pytest

from lab.places import SCRIPTS

from runner.command import run
from runner.english import Phrase, complaints, phrases

# The only phrase to avoid, for the cases about kinds of text
BAD = [Phrase(re.compile(r"bad\s+words"), "good words")]

REFUSED = {
    "comment.c": "/* Free bad words */\n",
    "second_line.h": "/*\n * Free the pages of all\n * bad\n * words\n */\n",
    "line_comment.c": "x = 1; // bad words.\n",
    "message.c": 'pr_info("the pages of bad " "words");\n',
    "name.c": "TEST(bad_words_are_freed)\n{\n}\n",
    "fixture_name.c": "TEST_F(client, bad_words_are_freed)\n{\n}\n",
    "comment.py": "# Free bad words\n",
    "docstring.py": '"""Free bad words."""\n',
    "message.py": 'die("free bad words")\n',
    "name.py": "def test_bad_words_are_freed() -> None:\n    pass\n",
    "script": '#!/bin/sh\n# Free bad words\n',
    "message.sh": 'die "free bad words"\n',
    "page.rst": "A title\n=======\n\nFree bad words.\n",
    "after_literal.rst": "See::\n\n\tbad words\n\nFree bad words.\n",
    "note.rst": ".. note::\n\n   Free bad words.\n",
    "brief_what.c": "/* What tables contain */\n",
    "brief_whether.h": "/**\n * tce2_is() - whether the table is empty\n */\n",
    "brief_struct.h": "/**\n * struct tce2_x - What tables contain\n */\n",
    "brief.py": '"""Whether the table is empty."""\n',
    "joined_lines.c": "// Free bad\n// words\n",
    "joined_comments.c": "/* Free bad */\n/* words */\n",
    "joined_by_a_macro.c": 'printf("free %" PRIu64 " bad" " words\\n", x);\n',
    "joined_by_a_comment.c": 'pr_info("the pages of bad " /* all */ "words");\n',
    "escaped.c": 'pr_info("free it bad\\nwords");\n',
    "two_words.c": 'pr_info("bad words: %u", x);\n',
    "signal_name.c": "TEST_F_SIGNAL(client, bad_words_are_freed)\n{\n}\n",
    "trailing_comment.py": "free()  # bad words\n",
    "joined_message.py": 'die("free bad "\n    "words")\n',
    "apostrophes.py": "'''Whether the table is empty.'''\n",
    "short_docstring.py": '"""What works."""\n',
    "docstring_of_a_class.py": 'class A:\n    "Whether it works"\n',
    "trailing_comment.sh": "free # bad words\n",
    "single_quotes.sh": "die 'free bad words'\n",
    "two_lines.sh": 'die "free bad \\\nwords"\n',
    "here_document.sh": "cat <<END\nFree bad words\nEND\n",
    "script_of_python": "#!/usr/bin/env python3\n# Free bad words\n",
    "brief_colon.sh": "# is_empty TABLE: whether the table is empty\n",
    "brief_parentheses.c": "/* is_empty(): whether the table is empty */\n",
    "brief_arguments.h": "/**\n * is_empty(int a) - whether the table is empty\n */\n",
    "brief_two_spaces.h": "/**\n * is_empty()  -  whether the table is empty\n */\n",
    "brief_define.h": "/**\n * define TCE2_X - whether the table is empty\n */\n",
    "brief_typedef.h": "/**\n * typedef tce2_x - whether the table is empty\n */\n",
    "brief_doc.h": "/**\n * DOC: whether the table is empty\n */\n",
    "brief_member.h": "/**\n * struct x - a table\n * @empty: whether it is empty\n */\n",
    "brief_return.h": "/**\n * f() - check\n *\n * Return: whether it is empty\n */\n",
    "NEWS": "Free bad words.\n",
    "debian/control": "Description: driver\n Free bad words.\n",
    "tests/unit/shim/README": "Free bad words.\n",
    "page.8": "Free bad words.\n",
    "question_in_a_paragraph.rst": "Is it free? Free bad words.\n",
    "caution.rst": ".. caution::\n\n   Free bad words.\n",
    "emphasis.rst": "Free *bad* words.\n",
    "cell.rst": "=====  =====\nFree   bad words\n=====  =====\n",
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
    "code.c": "static bad words;\n",
    "short_string.c": 'open("anew");\n',
    "comment.c": "/* Free the remaining pages */\n",
    "char.c": "if (c == '\"') free(x); /* quoted */\n",
    "literal.rst": "Run::\n\n\tfree bad words\n\nThe end.\n",
    "code.rst": ".. code-block:: console\n\n   free bad words\n\nThe end.\n",
    "role.rst": "Call ``free bad words``.\n",
    "heading.rst": "What is a window?\n=================\n\nA range.\n",
    "brief.h": "/**\n * tce2_is() - Check that the table is empty\n */\n",
    "question.rst": "| Is it free, and what is free? | A page |\n",
    "shell_code.sh": "free bad words # of a page\n",
    "hash.c": "int x = 3; /* one */ char c = '#';\n",
    "whatever.c": "/* Whatever the driver returns is ignored */\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_phrase_is_refused_in(name: str) -> None:
    assert len(complaints(name, REFUSED[name], BAD)) == 1


@pytest.mark.parametrize("phrase", LISTED)
def test_the_words_to_avoid_are_refused(phrase: str) -> None:
    assert complaints("file.c", f"/* Here {phrase} */\n", phrases())


@pytest.mark.parametrize("name", ACCEPTED)
def test_no_phrase_is_refused_in(name: str) -> None:
    assert not complaints(name, ACCEPTED[name], [*BAD, *phrases()])


def test_the_line_of_a_phrase_is_counted_from_the_top_of_the_file() -> None:
    text = "\n\n/*\n * Pages are freed.\n * Free bad words\n */\n"
    assert complaints("file.c", text, BAD)[0].startswith("file.c:5:PHRASE: 'bad words'")


def test_every_phrase_has_advice() -> None:
    assert all(phrase.advice.strip() for phrase in phrases())


def test_no_file_of_this_project_has_a_phrase_to_avoid() -> None:
    run(SCRIPTS / "check-english").expect(0, "^$")
