"""What mkdocs has to know to build its site (mkdocs.yml) from pages that are written to be read on a code host.

Links lead to the same places in both: headings get the anchors that GitHub gives them, and what stands outside of docs/
is linked to the code host. Folders in the navigation stand for all their pages: a new check needs no line there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LINK = re.compile(r"(?<=\]\()((?:\.\./)+[^)\s#]+)(#[^)\s]*)?(?=\))")
CODE = re.compile(r"`[^`\n]*`")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def anchor(heading: str, separator: str) -> str:
    """Return the anchor of a heading, made as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_config(config: Any) -> Any:
    """Give headings GitHub's anchors, and put the pages of folders into the navigation."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = anchor
    config.nav = [_section(entry) for entry in config.nav]
    return config


def _section(entry: Any) -> Any:
    if isinstance(entry, str):
        return entry
    [(title, inner)] = entry.items()
    if not isinstance(inner, str) or not inner.endswith("/"):
        return entry
    # README.md before all others: it is the index of its folder
    pages = sorted((DOCS / inner).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
    return {title: [f"{inner}{page.name}" for page in pages]}


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page as Markdown of mkdocs: its links, and bars in the code of tables."""
    folder = posixpath.dirname(page.file.src_uri)
    pieces = FENCED.split(markdown)
    pieces[::2] = [_prose(text, folder, config.extra["repository"]) for text in pieces[::2]]
    return "".join(pieces)


def _prose(text: str, folder: str, repository: str) -> str:
    def outside(match: re.Match[str]) -> str:
        path, heading = posixpath.normpath(posixpath.join("docs", folder, match[1])), match[2] or ""
        if path.startswith("docs/"):
            return match[0]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"docs/{folder} links to {match[0]}, which is not there")
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{repository}/{kind}/main/{path}{heading}"

    # GitHub takes a bar in code for the end of a cell, unless it is escaped; mkdocs shows the escape
    lines = (CODE.sub(_bar, line) if line.startswith("|") else line for line in text.split("\n"))
    return LINK.sub(outside, "\n".join(lines))


def _bar(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")
