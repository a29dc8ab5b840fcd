"""Commands, options, settings, requests, targets and files that pages name are there."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr

from command_service import app as command_app
from command_service.settings import CommandSettings
from daicho.cli import app
from daicho.settings import OperatorSettings
from query_service import app as query_app
from query_service.settings import QuerySettings
from tests.support.pages import DOCS, ROOT, code, pages

SETTINGS = {
    f"DAICHO_{name.upper()}"
    for settings in (CommandSettings, QuerySettings, OperatorSettings)
    for name in settings.model_fields
}
URL = SecretStr("postgresql://nowhere.invalid/none")
APPS = (
    command_app.create_app(CommandSettings(database_url=URL)),
    query_app.create_app(QuerySettings(database_url=URL)),
)
ROUTES = {
    ("GET", "/openapi.json"),
    *(
        (method.upper(), re.sub(r"{\w+}", "{}", path))
        for one in APPS
        for path, methods in one.openapi()["paths"].items()
        for method in methods
    ),
}
OVERLAY = ROOT / "tests" / "second_aggregate" / "overlay"
LINE = re.compile(r"(?:^ *|[;&(] ?)(?:DAICHO_\w+=\S+ )*daicho ([^#|;&\n]*)", re.MULTILINE)
PATHS = re.compile(r"\b(?:tests|shared|command_service|query_service|migrations|benchmarks|daicho|docs)/[\w./-]*\w")
EACH_PAGE = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


@EACH_PAGE
def test_commands_and_options_exist(page: Path) -> None:
    for line in LINE.findall(code(page)):
        command: Any = typer.main.get_command(app)
        words = line.split()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= known, line
        assert not words or words[0].startswith("-") or not hasattr(command, "commands") or words[0] in "…[", line


@EACH_PAGE
def test_settings_exist(page: Path) -> None:
    assert set(re.findall(r"DAICHO_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8"))) <= SETTINGS


@EACH_PAGE
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    lines = re.findall(r"(?:^| )make ((?:[a-z]+ ?)+)", code(page), re.MULTILINE)
    assert {word for line in lines for word in line.split()} <= targets


@EACH_PAGE
def test_requests_have_a_route(page: Path) -> None:
    asked = re.findall(r"\b(GET|POST) (/[^\s`?,]*)", page.read_text(encoding="utf-8"))
    assert {(method, re.sub(r"{\w+}|…", "{}", path).rstrip(".")) for method, path in asked} <= ROUTES


@EACH_PAGE
def test_files_exist(page: Path) -> None:
    for path in PATHS.findall(code(page)):
        assert (ROOT / path).exists() or (OVERLAY / path).exists(), path


def test_the_composition_roots_are_as_shown() -> None:
    """But for the entry that is added to them."""
    shown = code(DOCS / "how-to" / "add-an-aggregate.md")
    for package in ("command_service", "query_service"):
        entry = next(
            line for line in (ROOT / package / "app.py").read_text("utf-8").splitlines() if "= (ORDERS,)" in line
        )
        assert entry.replace("(ORDERS,)", "(ORDERS, COUPONS)") in shown
