"""`daicho events`: the log on the terminal, as lines for people or as JSON, once or as it grows."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import typer

from daicho.ledger import opened
from daicho.operating import refusals
from daicho.settings import OperatorSettings
from query_service.app import AGGREGATES
from query_service.event_pages import EventFilters
from query_service.postgres_pages import PostgresEventPages
from shared.database import create_engine
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.json_form import event_json, format_time
from shared.event_log.listener import EventListener
from shared.event_log.registry import EventRegistry
from shared.schema import EVENT_STORE
from shared.supervision import Supervisor

_PAGE = 500
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What of the log is shown, and how; without `after`, the `last` events."""

    filters: EventFilters
    after: int | None
    last: int
    follow: bool
    as_json: bool
    as_stored: bool


async def run_events(settings: OperatorSettings, shown: Shown) -> None:
    """Print events; with `follow`, also those that come, until cancelled."""
    async with opened(settings) as ledger:
        engine = create_engine(ledger.log_url, application_name="daicho-events", pool_size=2)
        try:
            await EVENT_STORE.require(engine)
            pages = PostgresEventPages(engine, [aggregate.aggregate_type for aggregate in AGGREGATES])
            woken = asyncio.Event()
            async with Supervisor() as supervisor:
                if shown.follow:
                    supervisor.start("listener", EventListener(engine, woken.set).run)
                with refusals():
                    await _print(pages, shown, woken)
        finally:
            await engine.dispose()


async def _print(pages: PostgresEventPages, shown: Shown, woken: asyncio.Event) -> None:
    registry = EventRegistry.union(aggregate.events for aggregate in AGGREGATES)
    after = Position(shown.after or 0)
    found = 0
    if shown.after is None:
        page = await pages.read_last(shown.last, shown.filters)
        found = _echo(page.events, registry, shown)
        after = page.searched
    while True:
        woken.clear()
        if shown.after is not None or shown.follow:
            count, after = await _drain(pages, shown, registry, after)
            found += count
        if not shown.follow:
            if not found:
                typer.echo("no event matches", err=True)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await woken.wait()


async def _drain(
    pages: PostgresEventPages, shown: Shown, registry: EventRegistry, after: Position
) -> tuple[int, Position]:
    """Print everything past a position; give how many events, and the position up to which the log was searched."""
    count = 0
    while True:
        page = await pages.read(after, _PAGE, shown.filters)
        count += _echo(page.events, registry, shown)
        after = page.searched
        if not page.events:
            return count, after


def _echo(events: Sequence[RecordedEvent], registry: EventRegistry, shown: Shown) -> int:
    for event in events:
        current = event if shown.as_stored else registry.to_current(event)
        typer.echo(event_json(current) if shown.as_json else line(current))
    return len(events)


def line(event: RecordedEvent) -> str:
    """Write an event for people: position, time, stream and version, what happened, to what end."""
    data = json.dumps(json.loads(event.data), ensure_ascii=False)
    name = typer.style(f"{event.event_type} v{event.schema_version}", bold=True)
    stream = f"{event.stream.aggregate_type} {event.stream.aggregate_id} @{event.version}"
    return f"{event.position:>8}  {format_time(event.occurred_at)}  {stream}  {name}  {data}"


def filters(event_types: list[str], order: UUID | None, correlation: str | None) -> EventFilters:
    """Build the filters that the options mean."""
    return EventFilters(event_types or None, order, correlation)
