"""What was ever written can be read, and no event or state changes shape without a new version."""

import json
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from shared.event_log.events import DomainEvent, EventId, Position, RecordedEvent, StreamId, Version
from tests.support import golden
from tests.support.events import WHEN
from tests.support.golden import EVENTS, STATES, GoldenEvent, GoldenFileError

VERSIONS = golden.schema_versions()


def recorded(event: GoldenEvent) -> RecordedEvent:
    return RecordedEvent(
        position=Position(1),
        stream=StreamId("order", UUID(int=1)),
        version=Version(1),
        event_type=event.event_type,
        schema_version=event.schema_version,
        event_id=EventId(UUID(int=2)),
        data=json.dumps(event.data),
        metadata="{}",
        occurred_at=WHEN,
        recorded_at=WHEN,
    )


@pytest.mark.parametrize(("event_type", "version"), VERSIONS)
def test_what_a_release_wrote_reads_as_it_should(event_type: str, version: int) -> None:
    event = golden.load_event(event_type, version)
    current = EVENTS.decode(recorded(event))
    assert json.loads(current.model_dump_json()) == event.reads_as
    shown = EVENTS.to_current(recorded(event))
    assert (json.loads(shown.data), shown.schema_version) == (event.reads_as, current.schema_version)


@pytest.mark.parametrize(("event_type", "version"), VERSIONS)
def test_golden_data_fit_the_json_schema_of_their_version(event_type: str, version: int) -> None:
    event = golden.load_event(event_type, version)
    Draft202012Validator.check_schema(event.json_schema)
    Draft202012Validator(event.json_schema).validate(event.data)


@pytest.mark.parametrize("event_type", list(EVENTS.classes))
def test_no_event_changes_shape_without_a_new_version(event_type: str) -> None:
    event_class = EVENTS.classes[event_type]
    event = golden.load_event(event_type, event_class.schema_version)
    assert golden.shape(event_class) == event.json_schema, (
        f"{event_type} has another shape than version {event.schema_version} had: "
        f"give it schema_version {event.schema_version + 1} and an upcaster from {event.schema_version}"
    )


@pytest.mark.parametrize("aggregate_type", list(STATES))
def test_no_state_changes_shape_without_a_new_version(aggregate_type: str) -> None:
    state = STATES[aggregate_type]
    known = golden.load_state(aggregate_type, state.version)
    assert golden.without_prose(state.json_schema()) == known, (
        f"the state of {aggregate_type} has another shape than version {state.version} had: give it version {state.version + 1}"
    )


def test_every_golden_file_is_of_a_version_that_is_read() -> None:
    found = {path.name for path in (golden.FOLDER / "events").iterdir()}
    assert found == {golden.event_path(*version).name for version in VERSIONS}
    assert {one.name for one in (golden.FOLDER / "states").iterdir()} >= {f"{name}.v1.json" for name in STATES}


def test_nothing_is_missing() -> None:
    assert [path.name for path, _ in golden.missing()] == []


class Happened(DomainEvent):
    """Prose."""

    event_type: ClassVar = "Happened"

    title: str
    amount: int | None = None


class HappenedAgain(Happened):
    """Other prose."""

    description: str


def test_a_shape_is_of_fields_and_types_not_of_prose() -> None:
    class Reworded(DomainEvent):
        """Said otherwise."""

        event_type: ClassVar = "Happened"

        title: str
        amount: int | None = None

    assert golden.shape(Reworded) == golden.shape(Happened) != golden.shape(HappenedAgain)
    assert golden.shape(HappenedAgain)["properties"].keys() == {"title", "amount", "description"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it is missing: `make golden` adds it"),
        ("{", "it is broken .*: restore it from version control"),
        ("[]", "it must have the members"),
        ({"event_type": "OrderPlaced"}, "it must have the members"),
        ({"event_type": "OrderShipped", "schema_version": 1}, "it is for OrderShipped version 1"),
    ],
)
def test_a_broken_golden_file_is_named_with_what_to_do(tmp_path: Path, content: Any, reason: str) -> None:
    (tmp_path / "events").mkdir()
    if isinstance(content, dict) and "schema_version" in content:
        content = {**content, "data": {}, "reads_as": {}, "json_schema": {}}
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "events" / "OrderPlaced.v2.json").write_text(text, encoding="utf-8")
    with pytest.raises(GoldenFileError, match=f"^OrderPlaced.v2.json: {reason}"):
        golden.load_event("OrderPlaced", 2, tmp_path)
