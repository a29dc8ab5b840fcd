"""Maps stored events to the current classes: (type, version) through a chain of pure upcasters."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from shared.errors import EventSchemaError, InvalidEventData, UnknownEventType, UnknownSchemaVersion
from shared.event_log.events import DomainEvent, RecordedEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the JSON object of one schema version into that of the next; pure."""


@dataclass(frozen=True, slots=True)
class EventRegistry:
    """The events that a release understands, by their stable names."""

    classes: Mapping[str, type[DomainEvent]]
    upcasters: Mapping[tuple[str, int], Upcaster] = field(default_factory=dict)

    @classmethod
    def of(
        cls, events: Iterable[type[DomainEvent]], upcasters: Mapping[tuple[str, int], Upcaster] | None = None
    ) -> "EventRegistry":
        """Build from classes; `upcasters` are keyed by (event type, the version they start from)."""
        return cls({event.event_type: event for event in events}, dict(upcasters or {}))

    @classmethod
    def union(cls, registries: Iterable["EventRegistry"]) -> "EventRegistry":
        """Join the registries of several aggregates."""
        classes: dict[str, type[DomainEvent]] = {}
        upcasters: dict[tuple[str, int], Upcaster] = {}
        for registry in registries:
            if twice := classes.keys() & registry.classes.keys():
                raise ValueError(f"event types registered twice: {', '.join(sorted(twice))}")
            classes.update(registry.classes)
            upcasters.update(registry.upcasters)
        return cls(classes, upcasters)

    def decode(self, recorded: RecordedEvent) -> DomainEvent:
        """Give the event as an object of its current class.

        Raises `UnknownEventType`, `UnknownSchemaVersion` or `InvalidEventData`.
        """
        event_type, version = recorded.event_type, recorded.schema_version
        event_class = self.classes.get(event_type)
        if event_class is None:
            raise UnknownEventType(
                event_type, version, recorded.event_id, "this release knows no such event: run one that does"
            )
        if version > event_class.schema_version:
            raise UnknownSchemaVersion(
                event_type,
                version,
                recorded.event_id,
                f"this release reads up to version {event_class.schema_version}: run a newer one",
            )
        try:
            if version == event_class.schema_version:
                return event_class.model_validate_json(recorded.data)
            return event_class.model_validate_json(json.dumps(self._upcast(recorded, event_class.schema_version)))
        except ValidationError as error:
            # Not its cause: that quotes the data, which are none of a log file's business.
            raise InvalidEventData(event_type, version, recorded.event_id, _reasons(error)) from None

    def to_current(self, recorded: RecordedEvent) -> RecordedEvent:
        """Give an event as the current schema version has it, for showing; one that cannot be read is left as it is.

        Its `schema_version` always tells which version's its `data` is.
        """
        event_class = self.classes.get(recorded.event_type)
        if event_class is None or recorded.schema_version >= event_class.schema_version:
            return recorded
        try:
            event = self.decode(recorded)
        except EventSchemaError:
            return recorded
        return recorded._replace(schema_version=event.schema_version, data=event.model_dump_json())

    def _upcast(self, recorded: RecordedEvent, target: int) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(recorded.data)
        if not isinstance(data, dict):
            raise InvalidEventData(recorded.event_type, recorded.schema_version, recorded.event_id, "not an object")
        for version in range(recorded.schema_version, target):
            upcaster = self.upcasters.get((recorded.event_type, version))
            if upcaster is None:
                raise UnknownSchemaVersion(
                    recorded.event_type, version, recorded.event_id, f"no upcaster from version {version}: register one"
                )
            try:
                data = upcaster(data)
            except Exception as error:  # noqa: BLE001 - pure code of others, which may fail in any way
                reason = f"the upcaster from version {version} fails on it ({type(error).__name__})"
                raise InvalidEventData(
                    recorded.event_type, recorded.schema_version, recorded.event_id, reason
                ) from None
        return data


def _reasons(error: ValidationError) -> str:
    """Say what does not fit, without the data itself."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
