"""The event catalogue: every event as JSON Schema, in an AsyncAPI 3 document."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.event_log.events import DomainEvent
from shared.event_log.json_form import EventForm
from shared.event_log.registry import EventRegistry

_REF = "#/components/schemas/"
_CHANNELS = {
    "events": (
        "/events",
        "The event log, in pages",
        "Read over HTTP in pages: `after` is the position behind which a page starts.",
    ),
    "eventStream": (
        "/events/stream",
        "The event log, as it grows",
        (
            "Server-Sent Events: `id` is the position, `event` the type, `data` the payload. Who reconnects with"
            " `Last-Event-ID` misses nothing; a block with an id and no data tells how far the stream has come."
        ),
    ),
}
_AFTER = {"type": "integer", "minimum": 0, "description": "Events past this position"}
_OPERATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "listEvents": ("events", {"after": _AFTER, "limit": {"type": "integer", "minimum": 1, "maximum": 1000}}),
    "streamEvents": ("eventStream", {"after": _AFTER}),
}
_FILTERS = {
    "event_type": {"type": "array", "items": {"type": "string"}, "description": "Events of these types"},
    "aggregate_id": {"type": "string", "format": "uuid", "description": "Events of this aggregate"},
    "correlation_id": {"type": "string", "description": "Events of this correlation"},
    "schema": {"enum": ["current", "stored"], "description": "Upcast to the current version, or as stored"},
}

_INFO = {
    "title": "Daicho events",
    "version": version("daicho"),
    "description": (
        "Every change of every aggregate, in one order: positions 1, 2, 3 … without a gap. Whoever reads past the last "
        "position that they have seen misses nothing and sees nothing twice."
    ),
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}


def asyncapi_document(registries: Mapping[str, EventRegistry]) -> dict[str, Any]:
    """Describe the events of these aggregate types; messages and schemas are named as the events are."""
    classes = {
        name: (aggregate_type, event_class)
        for aggregate_type, registry in registries.items()
        for name, event_class in registry.classes.items()
    }
    models: list[type[BaseModel]] = [EventForm, *(event_class for _, event_class in classes.values())]
    refs, definitions = models_json_schema(
        [(model, "serialization") for model in models], ref_template=f"{_REF}{{model}}"
    )
    schemas = dict(definitions["$defs"])
    messages = {
        name: _message(
            aggregate_type, event_class, refs[event_class, "serialization"], refs[EventForm, "serialization"]
        )
        for name, (aggregate_type, event_class) in classes.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "channels": {name: _channel(*about, messages) for name, about in _CHANNELS.items()},
        "operations": {
            operation: _operation(channel, query, messages) for operation, (channel, query) in _OPERATIONS.items()
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _channel(address: str, title: str, description: str, messages: Iterable[str]) -> dict[str, Any]:
    return {
        "address": address,
        "title": title,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(channel: str, query: Mapping[str, Any], messages: Iterable[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"Give the events past a position, in order: {channel}.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        "bindings": {
            "http": {
                "method": "GET",
                "query": {"type": "object", "properties": {**query, **_FILTERS}},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _message(
    aggregate_type: str, event_class: type[DomainEvent], data: Mapping[str, Any], form: Mapping[str, Any]
) -> dict[str, Any]:
    name = event_class.event_type
    return {
        "name": name,
        "title": name,
        "summary": (event_class.__doc__ or name).strip().splitlines()[0],
        "contentType": "application/json",
        "correlationId": {"location": "$message.payload#/metadata/correlation_id"},
        "payload": {
            "allOf": [
                form,
                {
                    "type": "object",
                    "properties": {
                        "aggregate_type": {"const": aggregate_type},
                        "event_type": {"const": name},
                        "schema_version": {"const": event_class.schema_version},
                        "data": data,
                    },
                },
            ]
        },
        "examples": [
            {"name": name, "payload": example_event(aggregate_type, event_class, example)}
            for example in event_class.model_json_schema().get("examples", ())
        ],
    }


def example_event(
    aggregate_type: str, event_class: type[DomainEvent], data: Mapping[str, Any], number: int = 1
) -> dict[str, Any]:
    """Give an event as the API shows it, with these data; the one of this number in its stream and in the log."""
    return {
        "position": number,
        "event_id": f"0199b7a4-7c00-7000-8000-0000000000e{number}",
        "aggregate_type": aggregate_type,
        "aggregate_id": "0199b7a4-7c00-7000-8000-000000000001",
        "version": number,
        "event_type": event_class.event_type,
        "schema_version": event_class.schema_version,
        "occurred_at": "2026-01-02T03:04:05.678901Z",
        "data": data,
        "metadata": {
            "correlation_id": "0199b7a4-7c00-7000-8000-0000000000c1",
            "causation_id": "0199b7a4-7c00-7000-8000-0000000000c2",
        },
    }
