"""The golden files of event and state schemas; `python -m tests.support.golden` adds those that are missing."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_service.app import AGGREGATES as COMMAND_AGGREGATES
from command_service.snapshots import StateSchema
from query_service.app import AGGREGATES as QUERY_AGGREGATES
from shared.errors import DaichoError
from shared.event_log.events import DomainEvent
from shared.event_log.registry import EventRegistry

FOLDER = Path(__file__).parents[1] / "golden"
EVENTS = EventRegistry.union(aggregate.events for aggregate in QUERY_AGGREGATES)
STATES: Mapping[str, StateSchema[Any]] = {one.aggregate_type: one.state for one in COMMAND_AGGREGATES}

_PROSE = {"title", "description", "examples"}


class GoldenFileError(DaichoError):
    """A golden file is missing or broken."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}; see tests/golden/README.md")


@dataclass(frozen=True, slots=True)
class GoldenEvent:
    """One golden file of an event."""

    event_type: str
    schema_version: int
    data: Any
    reads_as: Any
    json_schema: Any


def event_path(event_type: str, schema_version: int, folder: Path = FOLDER) -> Path:
    return folder / "events" / f"{event_type}.v{schema_version}.json"


def state_path(aggregate_type: str, version: int, folder: Path = FOLDER) -> Path:
    return folder / "states" / f"{aggregate_type}.v{version}.json"


def load_event(event_type: str, schema_version: int, folder: Path = FOLDER) -> GoldenEvent:
    """Read the golden file of a schema version.

    Raises `GoldenFileError`.
    """
    path = event_path(event_type, schema_version, folder)
    content = _load(path)
    names = set(GoldenEvent.__slots__)
    if not isinstance(content, dict) or content.keys() != names:
        raise GoldenFileError(path, f"it must have the members {', '.join(sorted(names))}")
    golden = GoldenEvent(**content)
    if (golden.event_type, golden.schema_version) != (event_type, schema_version):
        raise GoldenFileError(path, f"it is for {golden.event_type} version {golden.schema_version}")
    return golden


def load_state(aggregate_type: str, version: int, folder: Path = FOLDER) -> Any:
    """Read the golden JSON Schema of a state.

    Raises `GoldenFileError`.
    """
    return _load(state_path(aggregate_type, version, folder))


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GoldenFileError(path, "it is missing: `make golden` adds it, if the version is new") from None
    except ValueError as error:
        raise GoldenFileError(path, f"it is broken ({error}): restore it from version control") from error


def shape(event_class: type[DomainEvent]) -> Any:
    """Give the JSON Schema of what an event class writes, without its prose."""
    return without_prose(event_class.model_json_schema(mode="serialization"))


def without_prose(schema: Any) -> Any:
    """Leave out what may change without the data changing; properties keep their names, whatever those are."""
    if isinstance(schema, list):
        return [without_prose(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: without_prose(one) for key, one in value.items()}
        if name in {"properties", "$defs"}
        else without_prose(value)
        for name, value in schema.items()
        if name not in _PROSE
    }


def schema_versions() -> list[tuple[str, int]]:
    """Give every (event type, schema version) that this release reads."""
    return [(name, version) for name, one in EVENTS.classes.items() for version in range(1, one.schema_version + 1)]


def missing(folder: Path = FOLDER) -> Iterator[tuple[Path, Any]]:
    """Give the golden files of current versions that are not there, with their content."""
    for name, event_class in EVENTS.classes.items():
        path = event_path(name, event_class.schema_version, folder)
        example = event_class.model_json_schema().get("examples", [None])[0]
        if not path.exists():
            yield (
                path,
                {
                    "event_type": name,
                    "schema_version": event_class.schema_version,
                    "data": example,
                    "reads_as": example,
                    "json_schema": shape(event_class),
                },
            )
    for name, state in STATES.items():
        path = state_path(name, state.version, folder)
        if not path.exists():
            yield path, without_prose(state.json_schema())


def main() -> None:
    for path, content in missing():
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        sys.stdout.write(f"added {path.relative_to(FOLDER.parents[1])}\n")


if __name__ == "__main__":
    main()
