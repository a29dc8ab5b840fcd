"""A story's steps as requests of the command service, the wrong ones included. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from command_service.orders.commands import CancelOrder, ConfirmOrder, OrderCommand, PlaceOrder, ShipOrder
from daicho.demo.stories import Mistake, Story


@dataclass(frozen=True, slots=True)
class Known:
    """What the client knows of its order from the last answer; `path` is its Location."""

    path: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A POST."""

    path: str
    body: dict[str, Any]
    headers: Mapping[str, str]


def request(story: Story, number: int, known: Known) -> Request:
    """Make the request of the story's step `number`, from 0."""
    step = story.steps[number]
    body = step.command.model_dump(mode="json", exclude_none=True)
    if step.mistake is Mistake.WRONG_QUANTITY:
        body["items"][0]["quantity"] = 0
    intent = number - 1 if step.mistake is Mistake.TWICE else number
    headers = {"Idempotency-Key": f"{story.name}-{intent}", "X-Correlation-ID": story.name}
    if not isinstance(step.command, PlaceOrder):
        version = known.version - 1 if step.mistake is Mistake.STALE else known.version
        headers["If-Match"] = f'"{version}"'
    return Request(_path(step.command, known), body, headers)


def _path(command: OrderCommand, known: Known) -> str:
    match command:
        case PlaceOrder():
            return "/orders"
        case ConfirmOrder():
            return f"{known.path}/confirm"
        case ShipOrder():
            return f"{known.path}/ship"
        case CancelOrder():
            return f"{known.path}/cancel"
        case _:
            assert_never(command)
