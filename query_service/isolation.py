"""Finds the aggregates whose events cannot be applied, so that all others go on."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.projection import DecodedEvent
from shared.database import is_connection_failure, sqlstate
from shared.errors import DaichoError, EventSchemaError
from shared.event_log.events import RecordedEvent

_DATA = ("22", "23")
"""SQLSTATE classes: a value that does not fit, a constraint that is violated."""
_OF_THE_DRIVER = "22000"
"""SQLSTATE of values that the driver itself cannot send; it quotes them."""

Events = Sequence[DecodedEvent]
"""One aggregate's, in order."""


class Poison(NamedTuple):
    """Events of one aggregate that cannot be applied, in order.

    `error` tells what is wrong with the first; None: it is behind others.
    """

    records: Sequence[RecordedEvent]
    error: str | None


def is_poison(error: Exception) -> bool:
    """Tell whether the events are to blame, as opposed to the database or the machine."""
    if isinstance(error, DaichoError):
        return isinstance(error, EventSchemaError)
    if isinstance(error, DBAPIError) or sqlstate(error):
        return sqlstate(error).startswith(_DATA)
    return not isinstance(error, SQLAlchemyError | MemoryError) and not is_connection_failure(error)


def by_aggregate(events: Events) -> list[Events]:
    """Split events by aggregate, each one's in order."""
    streams: dict[object, list[DecodedEvent]] = defaultdict(list)
    for decoded in events:
        streams[decoded.record.stream].append(decoded)
    return list(streams.values())


async def isolate(
    connection: AsyncConnection,
    aggregates: Sequence[Events],
    write: Callable[[Sequence[Events]], Awaitable[None]],
) -> list[Poison]:
    """Write what can be written, each try in a savepoint, and give the rest.

    Halves what fails until one aggregate is left; of that one, the longest beginning that can be written is. Raises
    what is not the events' fault.
    """
    error = await _try(connection, aggregates, write)
    if error is None:
        return []
    if len(aggregates) > 1:
        middle = len(aggregates) // 2
        return [
            *await isolate(connection, aggregates[:middle], write),
            *await isolate(connection, aggregates[middle:], write),
        ]
    (events,) = aggregates
    for end in range(len(events) - 1, 0, -1):
        shorter = await _try(connection, [events[:end]], write)
        if shorter is None:
            return [Poison([decoded.record for decoded in events[end:]], error)]
        error = shorter
    return [Poison([decoded.record for decoded in events], error)]


async def _try(
    connection: AsyncConnection, aggregates: Sequence[Events], write: Callable[[Sequence[Events]], Awaitable[None]]
) -> str | None:
    """Give what is wrong with the events, if anything is."""
    try:
        async with connection.begin_nested():
            await write(aggregates)
    except Exception as error:
        if not is_poison(error):
            raise
        return describe(error)
    return None


def describe(error: Exception) -> str:
    """Say what is wrong, without the data."""
    if sqlstate(error) == _OF_THE_DRIVER:
        return "a value does not fit its column"
    if sqlstate(error):
        return f"PostgreSQL refuses it: {str(getattr(error, 'orig', error)).splitlines()[0]}"
    return f"{type(error).__name__}: {error}"
