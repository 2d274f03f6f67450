# SPDX-License-Identifier: GPL-2.0-only
"""Join the script and the style sheet of Debian's furo with the files that they import.

Debian 12 ships them as upstream writes them, before its bundler has run. A browser does not
import a module in a script that is no module, and the style sheet imports a file by its path
on Debian's web servers. The sheet also lacks the dark colours for readers who have set
nothing but their system.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

IMPORTED_SCRIPT = re.compile(r'^import \w+ from "\./([\w-]+\.js)";\n')
IMPORTED_SHEET = re.compile(r"^@import url\((/javascript/[\w./-]+)\);\n")
DARK = re.compile(r'body\[data-theme="dark"\] (\{.*?\})', re.DOTALL)
# The directory that a web server of Debian shows as /javascript
JAVASCRIPT = Path("/usr/share/javascript")


def join(file: Path, pattern: re.Pattern[str], directory: Path) -> None:
    """Replace the import in the first line of a file by the text of the imported file."""
    text = file.read_text()
    if found := pattern.match(text):
        name = found[1].removeprefix("/javascript/")
        file.write_text((directory / name).read_text() + text[found.end():])


def add_dark_colours(file: Path) -> None:
    """Use the dark colours if the reader's system is dark."""
    text = file.read_text()
    if (found := DARK.search(text)) and "prefers-color-scheme" not in text:
        file.write_text(f"{text}\n@media not print {{ @media (prefers-color-scheme: dark) {{\n"
                        f'body:not([data-theme="light"]) {found[1]} }} }}\n')


def finish(app: Any, error: Exception | None) -> None:
    """Change the copies in the directory of the HTML pages."""
    static = Path(app.outdir) / "_static"
    if error or app.builder.format != "html":
        return
    join(static / "scripts" / "furo.js", IMPORTED_SCRIPT, static / "scripts")
    join(static / "styles" / "furo.css", IMPORTED_SHEET, JAVASCRIPT)
    add_dark_colours(static / "styles" / "furo.css")


def setup(app: Any) -> dict[str, bool]:
    """Register the last step of a build."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
