"""The site that `make docs` makes: every page, and nothing from another host. The README's and the changelog's links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import DOCS, ROOT

LOADED = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
IN_STYLES = re.compile(r"""(?:url\(|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", str(DOCS), str(folder)]
    subprocess.run(command, check=True)
    return folder


def test_every_page_is_in_it(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").exists()


def test_it_loads_nothing_from_another_host(site: Path) -> None:
    for file in site.rglob("*.html"):
        assert LOADED.findall(file.read_text(encoding="utf-8")) == [], file
    for file in site.rglob("*.css"):
        assert IN_STYLES.findall(file.read_text(encoding="utf-8")) == [], file


def test_what_it_would_load_is_found_out() -> None:
    assert LOADED.findall('<script async src="https://cdn.invalid/x.js"></script><link rel=x href=//y.invalid>') == [
        "https://cdn.invalid/x.js",
        "//y.invalid",
    ]
    assert IN_STYLES.findall('@import "https://x.invalid/a.css"; src: url(//y.invalid)') == [
        "https://x.invalid/a.css",
        "//y.invalid",
    ]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_from_outside_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target
