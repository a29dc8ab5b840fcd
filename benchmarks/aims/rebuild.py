"""A rebuild of all read models, beside the same rows made by pure SQL, live batches, and a transaction per event."""

import random
from datetime import timedelta
from time import perf_counter
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import servers
from benchmarks.context import Context
from benchmarks.results import Aim, Result, ratio, series
from command_service.postgres_store import PostgresEventStore
from query_service import checkpoints
from query_service.batches import Batches
from query_service.orders.aggregate import ORDERS
from query_service.rebuild import requests
from query_service.rebuild.processes import LoadProcesses
from query_service.rebuild.rebuilder import Rebuilder
from query_service.settings import QuerySettings
from shared.database import create_engine
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS
from shared.settings import load
from tests.support.orders import commit, lifecycle

EVENTS_A_SECOND = 50_000
"""For each second that legs last, so many events are in the log."""

ONE_BY_ONE = 1000

TABLES = ("order_summaries", "order_details", "order_items", "order_totals", "sales_by_day")

PURE_SQL = """
INSERT INTO ceiling.order_summaries
SELECT p.aggregate_id, p.event_data ->> 'customer_name', l.total,
    CASE last.event_type WHEN 'OrderPlaced' THEN 'pending' WHEN 'OrderConfirmed' THEN 'confirmed'
        WHEN 'OrderShipped' THEN 'shipped' ELSE 'cancelled' END,
    l.lines, p.occurred_at, last.confirmed_at, last.shipped_at, last.cancelled_at, last.version
FROM event_store.events p
CROSS JOIN LATERAL (
    SELECT count(*) AS lines, sum((i ->> 'quantity')::numeric * (i ->> 'unit_price')::numeric) AS total
    FROM jsonb_array_elements(p.event_data -> 'items') AS i
) AS l
JOIN (
    SELECT aggregate_id, max(version) AS version, (array_agg(event_type ORDER BY version DESC))[1] AS event_type,
        max(occurred_at) FILTER (WHERE event_type = 'OrderConfirmed') AS confirmed_at,
        max(occurred_at) FILTER (WHERE event_type = 'OrderShipped') AS shipped_at,
        max(occurred_at) FILTER (WHERE event_type = 'OrderCancelled') AS cancelled_at
    FROM event_store.events GROUP BY aggregate_id
) AS last USING (aggregate_id)
WHERE p.event_type = 'OrderPlaced';

INSERT INTO ceiling.order_details
SELECT p.aggregate_id, nullif(p.event_data -> 'shipping_address', 'null'::jsonb), s.event_data ->> 'carrier',
    s.event_data ->> 'tracking_number', c.event_data ->> 'reason'
FROM event_store.events p
LEFT JOIN event_store.events s ON s.aggregate_id = p.aggregate_id AND s.event_type = 'OrderShipped'
LEFT JOIN event_store.events c ON c.aggregate_id = p.aggregate_id AND c.event_type = 'OrderCancelled'
WHERE p.event_type = 'OrderPlaced';

INSERT INTO ceiling.order_items
SELECT p.aggregate_id, i.number, i.line ->> 'product_name', (i.line ->> 'quantity')::integer,
    (i.line ->> 'unit_price')::numeric, (i.line ->> 'quantity')::numeric * (i.line ->> 'unit_price')::numeric
FROM event_store.events p, jsonb_array_elements(p.event_data -> 'items') WITH ORDINALITY AS i (line, number)
WHERE p.event_type = 'OrderPlaced';

INSERT INTO ceiling.order_totals SELECT status, count(*), sum(total_amount) FROM ceiling.order_summaries GROUP BY 1;

INSERT INTO ceiling.sales_by_day
SELECT day, sum(placed), sum(placed_total), sum(shipped), sum(shipped_total) FROM (
    SELECT (placed_at AT TIME ZONE 'UTC')::date AS day, 1 AS placed, total_amount AS placed_total, 0 AS shipped, 0 AS shipped_total
    FROM ceiling.order_summaries
    UNION ALL
    SELECT (shipped_at AT TIME ZONE 'UTC')::date, 0, 0, 1, total_amount FROM ceiling.order_summaries WHERE shipped_at IS NOT NULL
) AS orders GROUP BY 1;
"""


async def measure(context: Context) -> list[Result]:
    """Measure rebuild and pure SQL in turn; the rows that pure SQL makes are held against the rebuilt ones."""
    url = await servers.fresh_database(context.postgres, "rebuild")
    log_engine = create_engine(url, application_name="daicho-bench", pool_size=4, statement_timeout=None)
    engine = create_engine(url, application_name="daicho-bench", pool_size=4, autocommit=False, statement_timeout=None)
    try:
        head = await fill(log_engine, int(EVENTS_A_SECOND * context.seconds))
        return [await _measure(context, url, log_engine, engine, head)]
    finally:
        await engine.dispose()
        await log_engine.dispose()


async def fill(engine: AsyncEngine, events: int) -> int:
    """Append whole lives of orders, many at a time; give the head."""
    store, randomness = PostgresEventStore(engine), random.Random(1)
    while (head := await store.head()) < events:
        await store.append([commit(uuid4(), 0, *lifecycle(randomness)) for _ in range(400)])
    return head


async def _measure(context: Context, url: str, log_engine: AsyncEngine, engine: AsyncEngine, head: int) -> Result:
    alone = await _live(log_engine, engine, 1, ONE_BY_ONE)
    live = await _live(log_engine, engine, 1000, None)

    async def rebuilt() -> float:
        return head / await _rebuild(url, log_engine, engine)

    async def by_pure_sql() -> float:
        rate = head / await pure_sql(log_engine)
        await require_same(log_engine)
        return rate

    rates = await context.in_turn({"rebuild": rebuilt, "pure SQL, INSERT … SELECT": by_pure_sql})
    rebuilds = rates["rebuild"]
    return Result(
        name="rebuild",
        title="Rebuilding every read model",
        settings=f"a log of {head:,} events; as many processes as cores; pure SQL makes the same rows, which are compared",
        series=(
            *(series(name, "events/s", found) for name, found in rates.items()),
            series("live, batches of 1,000, once", "events/s", [live]),
            series("live, a transaction per event, once", "events/s", [alone]),
        ),
        ratios=(
            ratio("rebuild / pure SQL", rebuilds, rates["pure SQL, INSERT … SELECT"], Aim(number=5, bound=0.6)),
            ratio("rebuild / a transaction per event", rebuilds, [alone] * len(rebuilds)),
        ),
    )


async def _live(log_engine: AsyncEngine, engine: AsyncEngine, size: int, most: int | None) -> float:
    """Project live, in batches of this size; give the rate."""
    batches = Batches(PostgresEventLog(log_engine), EVENTS, ORDERS.projections, size)
    async with engine.begin() as connection:
        await checkpoints.register(connection, ORDERS.projections)
    started, count = perf_counter(), 0
    async with engine.connect() as connection:
        while most is None or count < most:
            applied = await batches.apply_next(connection)
            count += applied.events
            if not applied.events:
                break
    return count / (perf_counter() - started)


async def _rebuild(url: str, log_engine: AsyncEngine, engine: AsyncEngine) -> float:
    settings = load(QuerySettings, database_url=url)
    log = PostgresEventLog(log_engine)
    batches = Batches(log, EVENTS, ORDERS.projections, 1000)
    rebuilder = Rebuilder(
        log, log_engine, engine, {"order": ORDERS.projections}, batches, LoadProcesses(settings).load, timedelta(days=1)
    )
    started = perf_counter()
    async with engine.begin() as connection:
        await requests.request(connection, ORDERS.projections)
    if not await rebuilder.rebuild():
        raise AssertionError("somebody else rebuilds")
    return perf_counter() - started


async def pure_sql(engine: AsyncEngine) -> float:
    """Make the same rows by SQL alone, in a schema of its own; give the seconds."""
    async with engine.connect() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS ceiling CASCADE"))
        started = perf_counter()
        await connection.execute(text("CREATE SCHEMA ceiling"))
        for table in TABLES:
            await connection.execute(text(f"CREATE TABLE ceiling.{table} (LIKE read_model.{table} INCLUDING ALL)"))
        for statement in PURE_SQL.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement))
        return perf_counter() - started


async def one_by_one(log_engine: AsyncEngine, engine: AsyncEngine) -> float:
    """Give the rate of a transaction per event, in a read model that is set back for it."""
    async with engine.begin() as connection:
        for table in (*TABLES, "checkpoints"):
            await connection.execute(text(f"TRUNCATE read_model.{table}"))
    return await _live(log_engine, engine, 1, ONE_BY_ONE)


async def require_same(engine: AsyncEngine) -> None:
    """Raise if pure SQL made other rows than the read model has."""
    async with engine.connect() as connection:
        for table in TABLES:
            one, other = f"TABLE ceiling.{table}", f"TABLE read_model.{table}"
            query = f"SELECT count(*) FROM (({one} EXCEPT {other}) UNION ALL ({other} EXCEPT {one})) AS differing"
            if await connection.scalar(text(query)):
                raise AssertionError(f"{table} differs")
