"""The event catalogue is valid AsyncAPI 3, and says of every event what is true."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError

from query_service.event_catalogue import asyncapi_document
from query_service.orders.aggregate import ORDERS
from shared.event_log.json_form import event_json
from shared.orders.events import EVENTS
from tests.support import golden
from tests.support.orders import lifecycle
from tests.support.specs import decoded
from tests.support.tally import EVENTS as TALLY_EVENTS

SPECIFICATION = Path(__file__).parents[1] / "vendor" / "asyncapi-specs" / "3.0.0.json"
DOCUMENT = asyncapi_document({"order": ORDERS.events})


def validated(document: Any, message: str, payload: Any) -> None:
    """Hold a payload against a message's schema."""
    schema = {**document["components"]["messages"][message]["payload"], "components": document["components"]}
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(payload)


@pytest.mark.parametrize(
    "document", [DOCUMENT, asyncapi_document({"order": EVENTS, "tally": TALLY_EVENTS}), asyncapi_document({})]
)
def test_it_is_valid_asyncapi(document: Any) -> None:
    Draft7Validator(json.loads(SPECIFICATION.read_text(encoding="utf-8"))).validate(document)


def test_what_is_not_asyncapi_is_found_out() -> None:
    validator = Draft7Validator(json.loads(SPECIFICATION.read_text(encoding="utf-8")))
    changes: list[dict[str, Any]] = [{"asyncapi": "9"}, {"channels": {"x": {"adress": "/events"}}}, {"event": {}}]
    for change in changes:
        assert not validator.is_valid({**DOCUMENT, **change})


def test_it_tells_of_pages_and_of_the_stream() -> None:
    operations = DOCUMENT["operations"].values()
    channels = [DOCUMENT["channels"][one["channel"]["$ref"].rsplit("/", 1)[1]]["address"] for one in operations]
    assert sorted(channels) == ["/events", "/events/stream"]
    for one in operations:
        assert {"event_type", "aggregate_id", "correlation_id"} <= one["bindings"]["http"]["query"]["properties"].keys()


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, list):
            return [one for each in part for one in references(each)]
        if not isinstance(part, dict):
            return []
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for each in part.values() for one in references(each)]

    found = references(DOCUMENT)
    assert len(found) > 10
    for reference in found:
        target: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]
        assert target


def test_every_event_has_a_message_with_an_example_that_fits() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert messages.keys() == EVENTS.classes.keys()
    assert DOCUMENT["channels"]["events"]["messages"].keys() == messages.keys()
    for name, message in messages.items():
        assert message["examples"], name
        for example in message["examples"]:
            validated(DOCUMENT, name, example["payload"])


def test_what_the_api_gives_fits_the_catalogue_and_nothing_else_does() -> None:
    for number in range(20):
        for one in decoded(lifecycle(random.Random(number))):
            payload = json.loads(event_json(one.record))
            validated(DOCUMENT, one.record.event_type, payload)
            for change in ({"data": {"x": 1}}, {"schema_version": 9}, {"version": 0}, {"event_id": 7}):
                with pytest.raises(ValidationError):
                    validated(DOCUMENT, one.record.event_type, payload | change)


def test_each_json_schema_takes_the_golden_data_of_its_version() -> None:
    for name, event_class in EVENTS.classes.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(golden.load_event(name, event_class.schema_version).data)
