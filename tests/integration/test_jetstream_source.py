"""A query service that has its events from JetStream: what is asked of one on PostgreSQL, asked of it as well (I4, I5, I9).

Its read model is in a database of its own that has no event store.
"""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.event_pages import EventFilters
from query_service.event_source import jetstream_source
from query_service.postgres_pages import PostgresEventPages
from shared.event_log.events import Position
from shared.jetstream.address import NatsSettings
from tests.integration.test_event_stream import (  # noqa: F401 - run here too
    test_a_message_is_the_event_as_the_log_shows_it,
    test_a_start_beyond_the_log_is_waited_for,
    test_events_are_told_apart_by_type_aggregate_and_story,
    test_it_starts_where_it_is_told_and_goes_on,
    test_without_a_start_comes_what_is_new,
)
from tests.integration.test_events_api import (  # noqa: F401 - run here too
    test_a_history_shows_a_v1_order_as_stored_and_as_it_reads_now,
    test_a_page_is_bounded_in_what_it_takes_in_memory,
    test_a_stream_that_begins_in_the_middle_is_shown_but_not_folded,
    test_events_are_found_by_type_aggregate_and_story,
    test_numbers_and_text_are_shown_exactly_as_they_are_stored,
    test_pages_are_bounded_in_bytes_too,
    test_pages_follow_each_other_to_the_end_and_on,
    test_the_log_is_not_shown_older_than_wanted,
    test_there_is_no_history_of_what_does_not_exist,
    test_what_this_release_cannot_read_is_shown_as_stored,
)
from tests.integration.test_query_api import (  # noqa: F401 - run here too
    test_orders_are_listed_newest_first,
    test_projections_tell_their_lag,
    test_statistics_follow_the_orders,
)
from tests.integration.test_read_your_writes import (  # noqa: F401 - run here too
    test_a_read_of_a_position_that_does_not_come_is_told_so,
    test_a_read_waits_for_its_position,
    test_log_routes_wait_for_a_position_too,
)
from tests.integration.test_time_travel import (  # noqa: F401 - run here too
    test_every_moment_of_every_life_is_the_state_of_then,
    test_where_clocks_went_back_what_had_occurred_by_then_counts,
)
from tests.support.apps import query_service
from tests.support.databases import Server, cloned, connected, migrated_template
from tests.support.documented import watched
from tests.support.nats import Nats, RelayedStore, relayed_store
from tests.support.orders import append_orders
from tests.support.processes import daicho
from tests.support.replay import read_models, replayed
from tests.support.served import Served, served
from tests.support.waiting import wait_until


@pytest.fixture
async def store(engine: AsyncEngine, nats_server: Nats) -> AsyncIterator[RelayedStore]:
    async with relayed_store(engine, nats_server) as store:
        yield store


@pytest.fixture(scope="module")
def read_model(postgres: Server, nats_server: Nats) -> Iterator[str]:
    """A template with a read model and no event store."""

    async def migrate(url: str) -> None:
        told = await daicho(url, "migrate", DAICHO_EVENT_SOURCE=nats_server.url)
        assert told == (0, "the read model's schema is at head\n")

    with migrated_template(postgres, migrate) as name:
        yield name


@pytest.fixture
async def reading(postgres: Server, read_model: str, store: RelayedStore) -> AsyncIterator[str]:  # noqa: ARG001 - makes the stream
    async with cloned(postgres, read_model) as url:
        yield url


@pytest.fixture
async def http(reading: str, nats_server: Nats) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(reading, event_source=SecretStr(nats_server.url)) as client:
        yield watched(client, "query")


@pytest.fixture
async def query(reading: str, nats_server: Nats) -> AsyncIterator[Served]:
    async with served(reading, event_source=SecretStr(nats_server.url)) as running:
        yield running


async def test_it_projects_what_is_relayed_and_serves_it_at_once(
    engine: AsyncEngine, store: RelayedStore, reading: str, nats_server: Nats
) -> None:
    """Without a poll: the relay's hint wakes it."""
    async with (
        query_service(reading, event_source=SecretStr(nats_server.url), poll_interval=30) as http,
        connected(reading) as read_engine,
    ):
        total = 0
        for seed in range(3):
            total += await append_orders(store, 40, seed=seed)
            answer = await http.get("/statistics", headers={"Event-Position": str(total), "Prefer": "wait=10"})
            assert answer.status_code == 200, answer.text
        assert await read_models(read_engine) == await replayed(engine)
        async with read_engine.connect() as connection:
            assert await connection.scalar(text("SELECT to_regnamespace('event_store')")) is None
        assert (await http.get("/health/ready")).json()["checks"]["event stream"] == "ok"


async def test_pages_are_those_that_postgresql_gives(
    engine: AsyncEngine, store: RelayedStore, nats_server: Nats
) -> None:
    await append_orders(store, 60)
    (first,) = await store.read_all(Position(0), 1)
    source = jetstream_source(NatsSettings(), SecretStr(nats_server.url), ["order"])
    pages = PostgresEventPages(engine, ["order"])
    try:
        for filters in (
            EventFilters(),
            EventFilters(event_types=["OrderShipped", "OrderCancelled"]),
            EventFilters(aggregate_id=first.stream.aggregate_id),
            EventFilters(["OrderPlaced"], first.stream.aggregate_id),
            EventFilters(correlation_id="nobody's"),
        ):
            for after, limit, max_bytes in (
                (0, 7, 10_000),
                (0, 1, 10_000),
                (3, 1, 1),
                (20, 1000, 5_000),
                (0, 1000, 10**6),
                (999, 5, 5),
            ):
                page = await source.pages.read(Position(after), limit, filters, max_bytes)
                assert page == await pages.read(Position(after), limit, filters, max_bytes), (filters, after)
    finally:
        await source.close()


async def test_a_rebuild_goes_through_the_ordinary_path(
    engine: AsyncEngine, store: RelayedStore, reading: str, nats_server: Nats
) -> None:
    total = await append_orders(store, 60)
    source = {"DAICHO_EVENT_SOURCE": nats_server.url}
    async with query_service(reading, event_source=SecretStr(nats_server.url)) as http:
        assert (await http.get("/statistics", headers={"Event-Position": str(total)})).status_code == 200
    async with connected(reading) as read_engine:
        async with read_engine.connect() as connection:
            await connection.execute(text("UPDATE read_model.order_summaries SET customer_name = 'wrong'"))
        code, told = await daicho(reading, "rebuild", "--all", **source)
        assert code == 0, told
        assert "rows of order_summaries were different" in told
        assert await read_models(read_engine) == await replayed(engine)
    code, told = await daicho(reading, "status", **source)
    assert (code, f"log at {total:,}" in told) == (0, True), told


@pytest.mark.parametrize(
    "command",
    ["doctor", "verify", "export x", "import x", "events", "relay", "snapshots status", "snapshots drop"],
)
async def test_what_works_on_the_log_is_refused_where_there_is_none(command: str) -> None:
    code, told = await daicho("postgresql://nowhere.invalid/x", *command.split(), DAICHO_EVENT_SOURCE="nats://nowhere")
    assert code == 2
    assert "the event log is elsewhere" in told


async def test_without_a_stream_it_does_not_start(database: str, nats_server: Nats) -> None:
    with pytest.raises(Exception, match="`daicho relay` makes it"):
        async with query_service(database, event_source=SecretStr(nats_server.url)):
            pass


async def test_nothing_is_lost_on_a_service_that_was_away(
    engine: AsyncEngine, store: RelayedStore, reading: str, nats_server: Nats
) -> None:
    total = 0
    for seed in range(3):
        total += await append_orders(store, 20, seed=seed)
        async with query_service(reading, event_source=SecretStr(nats_server.url), projection_batch=7) as http:
            answer = await http.get("/orders", headers={"Event-Position": str(total), "Prefer": "wait=10"})
            assert answer.status_code == 200, answer.text
    async with connected(reading) as read_engine:

        async def has_all() -> bool:
            return await read_models(read_engine) == await replayed(engine)

        await wait_until(has_all, "the read model equals a replay")
