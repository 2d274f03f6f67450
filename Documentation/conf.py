# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx configuration of this directory. `make docs` (scripts/docs) runs Sphinx."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
# The source of a kernel, as scripts/kernel-source unpacks it
KERNEL = Path(os.environ["KERNEL_SOURCE"])
sys.path += [str(HERE / "sphinx"), str(KERNEL / "Documentation" / "sphinx")]


def dkms_setting(name: str) -> str:
    """Return a variable of dkms.conf."""
    found = re.search(rf'^{name}="(.*)"$', (TOP / "dkms.conf").read_text(), re.MULTILINE)
    assert found, f"no {name} in dkms.conf"
    return found[1]


project = "vfio_spapr_tce2"
copyright = "GPL-2.0-only"
release = version = dkms_setting("PACKAGE_VERSION")
language = "en"

# kerneldoc and automarkup are the kernel's own
extensions = ["kerneldoc", "automarkup", "sphinx.ext.graphviz", "file_comment",
              "furo_join"]
kerneldoc_bin = str(KERNEL / "scripts" / "kernel-doc")
kerneldoc_srctree = str(TOP)
exclude_patterns = ["bench/*.txt"]
highlight_language = "none"
smartquotes = False

# Words of prototypes that are not C
c_id_attributes = ["noinstr", "__user", "__percpu"]

# Only names of this project have a page. A reference to a name of the kernel, such as
# struct iommu_table in a prototype, has no target.
nitpick_ignore_regex = [(r"c:.*", r"(?!tce2_|TCE2_).*")]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["sphinx/style.css"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
# Blue for links and labels, light on a dark page
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1f5fa8",
        "color-brand-content": "#1f5fa8",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7ab0ee",
        "color-brand-content": "#7ab0ee",
    },
}

# Text of a drawing is text, and the fonts are the reader's
graphviz_output_format = "svg"
graphviz_dot_args = [
    "-Gbgcolor=transparent", "-Gfontname=sans-serif", "-Gfontsize=12",
    "-Nfontname=sans-serif", "-Nfontsize=12", "-Nshape=box", "-Nstyle=rounded",
    "-Efontname=sans-serif", "-Efontsize=11",
]

# (page, name, brief, authors, section)
man_pages = [("client", "vfio_spapr_tce2", "VFIO IOMMU backend for sPAPR TCE v2 containers", "", 4)]
man_show_urls = True
