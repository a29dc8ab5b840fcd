"""The documentation's pages, and what can be read out of their Markdown."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_CODE = re.compile(r"^ *```[^\n]*\n(.*?)^ *```$|`([^`\n]+)`", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Give every page that a reader is meant to act on; the changelog and the decisions tell of other times too."""
    told = [page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"]
    return [ROOT / "README.md", *sorted(told)]


def code(page: Path) -> str:
    """Give what a page shows as code, in blocks or in the text, one piece per line."""
    found = _CODE.finditer(page.read_text(encoding="utf-8"))
    return "\n".join(match[1] or match[2] for match in found)


def rows(page: Path) -> Iterator[list[str]]:
    """Give the rows of a page's tables, without their heads."""
    lines = [*page.read_text(encoding="utf-8").splitlines(), ""]
    for line, below in pairwise(lines):
        if line.startswith("|") and not line.startswith("|--") and not below.startswith("|--"):
            yield [cell.strip() for cell in line.strip("|").split("|")]
