"""The pages of the reference that are written from code; `python -m tests.support.reference` writes them anew."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from daicho.cli import app
from query_service.app import AGGREGATES
from shared.event_log.events import DomainEvent
from tests.support import golden

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

_OF_THE_SHELL = {"install_completion", "show_completion"}
"""Options that every command of this library has."""

_EVENTS = """\
# Events

What can happen, as `data` of an event holds it. `event_type` and `schema_version` name its shape; [events change by new
versions](../decisions/0008-schema-evolution.md), and what was stored is never rewritten. `GET /events` and `GET /asyncapi.json` show the current
version, `GET /events?schema=stored` what was written. This page is written by `make reference`.

Around `data`, each event has:

| Member | |
|---|---|
| `position` | its place in the whole log: 1, 2, 3 … |
| `event_id` | a UUID, unique in the log |
| `aggregate_type`, `aggregate_id` | its stream |
| `version` | its place in its stream: 1, 2, 3 … |
| `event_type`, `schema_version` | the shape of `data` |
| `occurred_at` | when it was decided, in UTC |
| `data` | what happened, as below |
| `metadata` | `correlation_id`, `causation_id`, and where there is one `actor`, `traceparent`, `idempotency_fingerprint` |
"""

_COMMAND_LINE = """\
# The command line

The commands work on the ledger in the data directory, running or not, or on the server that `DAICHO_DATABASE_URL` names
([settings](settings.md)). They end with 0 when all is well, 1 when not, 2 for options or settings that are not valid, 3 for a log or a file that
was altered, and 128 and the signal's number when a signal ended them, but for `daicho up`, which a signal stops with 0; what is wrong is one
line on the error stream. This page is written by `make reference`.
"""


def events_page() -> str:
    """Write every event type, in each of its schema versions."""
    parts = [_EVENTS]
    for aggregate in AGGREGATES:
        for event_class in aggregate.events.classes.values():
            parts += [f"## {event_class.event_type}\n", f"{event_class.__doc__}\n"]
            parts += [
                part for version in range(event_class.schema_version, 0, -1) for part in _version(event_class, version)
            ]
    return "\n".join(parts)


def _version(event_class: type[DomainEvent], version: int) -> Iterator[str]:
    event = golden.load_event(event_class.event_type, version)
    yield f"### {event.event_type}, version {version}\n"
    if version < event_class.schema_version:
        added = [
            f"`{name}`: `{json.dumps(event.reads_as[name])}`" for name in event.reads_as.keys() - event.data.keys()
        ]
        yield f"Reads as version {event_class.schema_version}, with {', '.join(added) or 'the same members'}.\n"
    rows = [f"| `{name}` | {kind} |" for name, kind in _members(event.json_schema, event.json_schema.get("$defs", {}))]
    yield "\n".join(["| Member | Type |", "|---|---|", *rows, ""]) if rows else "No members.\n"
    yield f"```json\n{json.dumps(event.data, indent=2, ensure_ascii=False)}\n```\n"


def _members(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give the members of an object, those within them too, each with its type in words."""
    for name, member in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, _kind(member)
        inner = _object(member, definitions)
        yield from _members(inner, definitions, f"{path}[]." if "items" in member else f"{path}.")


def _kind(member: Mapping[str, Any]) -> str:
    if "anyOf" in member:
        return " or ".join(_kind(one) for one in member["anyOf"])
    return "object" if "$ref" in member else str(member["type"])


def _object(member: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the object that a member is, may be, or has as items; an empty one where there is none."""
    candidates = (member, member.get("items", {}), *member.get("anyOf", ()))
    references = (one["$ref"].rsplit("/", 1)[1] for one in candidates if "$ref" in one)
    return next((definitions[name] for name in references), {})


def command_line_page() -> str:
    """Write every command with its options."""
    return "\n".join([_COMMAND_LINE, *_commands("daicho", typer.main.get_command(app))])


def _commands(name: str, command: Any) -> Iterator[str]:
    """Write a command, or those of a group."""
    commands: Mapping[str, Any] = getattr(command, "commands", {})
    if name != "daicho":
        yield f"## `{name}`\n"
        yield f"{command.help}\n"
    elif command.params:
        yield _table(command.params)
    for part, one in commands.items():
        yield from _commands(f"{name} {part}", one)
    if not commands:
        if command.params:
            yield _table(command.params)
        example, _, told = (command.epilog or "").removeprefix("Example: ").partition("  ")
        if example:
            yield f"```\n{example}\n```\n"
        if told:
            yield f"{told}\n"


def _table(parameters: Any) -> str:
    rows = [
        f"| {_names(one)} | {one.help}{_needed(one)}{_range(one)}{_default(one)} |"
        for one in parameters
        if one.name not in _OF_THE_SHELL
    ]
    return "\n".join(["| | |", "|---|---|", *rows, ""])


def _needed(parameter: Any) -> str:
    return " Needed." if parameter.required and parameter.param_type_name == "option" else ""


def _range(parameter: Any) -> str:
    low, high = (getattr(parameter.type, bound, None) for bound in ("min", "max"))
    if high is not None and high < 2**63 - 1:
        return f" {low:,} to {high:,}."
    return "" if low is None else f" {low:,} or more."


def _default(parameter: Any) -> str:
    value = parameter.default
    return f" By default {value}." if isinstance(value, int | float | str) and not isinstance(value, bool) else ""


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.name.upper()
        return f"`{name}`" if parameter.required else f"`[{name}…]`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


PAGES: Mapping[str, Callable[[], str]] = {"events.md": events_page, "command-line.md": command_line_page}


def main() -> None:
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
