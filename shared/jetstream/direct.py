"""Reads of many messages by one request, which any replica of the stream answers (JetStream's batched direct get)."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.event_log.events import Position, RecordedEvent
from shared.jetstream.connection import Connection, translate_errors
from shared.jetstream.errors import StreamUnavailable, StreamUnfit
from shared.jetstream.message import decode

_SILENCE_SECONDS = 2.0
"""How long nothing may come before a read is given up."""

_MAX_BYTES = 4 * 1024 * 1024
"""Where what is sent for one request ends, so that what is on its way is bounded (I10)."""

_NOT_FOUND, _END = "404", "204"


class Read(NamedTuple):
    """Events, and how many more there are behind them."""

    events: Sequence[RecordedEvent]
    pending: int


@dataclass(slots=True)
class _Answer:
    """What has come for one request, and the headers that end it."""

    messages: list[Msg] = field(default_factory=list)
    end: Mapping[str, str] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Direct:
    """Reads from the stream of a connection; answers come to one subject, and are told apart by its last token."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answers: dict[str, _Answer] = {}
        self._numbers = count(1)
        self._inbox: tuple[Client, str] | None = None
        self._subscribing = asyncio.Lock()

    async def read(self, after: Position, limit: int, subject: str | None = None) -> Read:
        """Give events past a position, in order, of a subject or all: fewer than so many where they are large.

        All is as the replica has it that answers, which may be behind. Raises `StreamUnavailable`.
        """
        request: dict[str, object] = {"seq": after + 1, "batch": limit, "max_bytes": _MAX_BYTES}
        if subject is not None:
            request["next_by_subj"] = subject
        client, inbox = await self._subscribed()
        number, answer = str(next(self._numbers)), _Answer()
        self._answers[number] = answer
        try:
            with translate_errors():
                asked = f"$JS.API.DIRECT.GET.{self._connection.address.stream}"
                await client.publish(asked, json.dumps(request).encode(), reply=f"{inbox}.{number}")
                await _whole(answer)
        finally:
            del self._answers[number]
        pending = int((answer.end or {}).get("Nats-Num-Pending", 0))
        return Read([_event(message) for message in answer.messages], pending)

    async def _subscribed(self) -> tuple[Client, str]:
        client = await self._connection.client()
        async with self._subscribing:
            if self._inbox is None or self._inbox[0] is not client:
                inbox = client.new_inbox()
                with translate_errors():
                    await client.subscribe(f"{inbox}.*", cb=self._take)
                self._inbox = client, inbox
            return self._inbox

    async def _take(self, message: Msg) -> None:
        answer = self._answers.get(message.subject.rpartition(".")[2])
        if answer is None:
            return
        if message.headers is not None and "Status" in message.headers:
            answer.end = message.headers
            answer.ended.set()
        else:
            answer.messages.append(message)


async def _whole(answer: _Answer) -> None:
    """Return when an answer is whole; it may take long, but not stand still."""
    while answer.end is None:
        so_far = len(answer.messages)
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                await answer.ended.wait()
        except TimeoutError:
            if len(answer.messages) == so_far:
                raise StreamUnavailable("no replica of the stream answers") from None
    if (status := answer.end["Status"]) not in {_NOT_FOUND, _END}:
        raise StreamUnavailable(f"JetStream refuses to be read: {status} {answer.end.get('Description', '')}")


def _event(message: Msg) -> RecordedEvent:
    event = decode(message.data)
    if (message.headers or {}).get("Nats-Sequence") != str(event.position):
        raise StreamUnfit(f"the stream has the event of position {event.position} in another place")
    return event
