"""What a larger log costs: appends and queries on a small log and on one that grows, and memory over an hour's worth of load."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil
from sqlalchemy import text

from benchmarks import servers
from benchmarks.bodies import placing
from benchmarks.context import Context
from benchmarks.floor import DATA
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Curve, Ratio, Result, Series, ratio, series
from shared.database import create_engine

SIZES = (100_000, 1_000_000, 10_000_000)
REQUESTS = 360_000
"""An hour's worth: fifty commands and fifty queries a second."""

_EVENTS_OF_AN_ORDER = 3
_ORDERS_AT_ONCE = 2_000
_WARM_UP = 0.2
_MOMENTS = 5
"""How often memory is looked at, at least, however few the requests."""
_AIM = Aim(number=8, bound=1.2, at_least=False)

_BLOCK, _CUSTOMERS = 6_000, 100
"""Of so many orders, one after the other, so many customers have placed the same number each; then come others."""

# Whole lives of orders, appended by the function that appends all others, 31 seconds apart.
_APPEND = text(f"""
WITH head AS MATERIALIZED (SELECT coalesce(max(last_position), 0) AS head FROM event_store.seals),
orders AS MATERIALIZED (SELECT n, uuidv7() AS id FROM generate_series(1, CAST(:orders AS integer)) AS n),
events AS MATERIALIZED (
    SELECT n, k, uuidv7() AS id, uuidv7()::text AS correlation,
        timestamptz '2016-01-01' + (head + n * 3 + k) * interval '31 seconds' AS at,
        CASE k WHEN 1 THEN jsonb_set(CAST(:data AS jsonb), '{{customer_name}}', to_jsonb('Customer ' || number / {_BLOCK} * {_CUSTOMERS} + number % {_CUSTOMERS}))::text
            WHEN 2 THEN '{{}}' ELSE '{{"carrier": "Yamato", "tracking_number": null}}' END AS data
    FROM orders, head, generate_series(1, 3) AS k, LATERAL (SELECT head / {_EVENTS_OF_AN_ORDER} + n AS number) AS the
)
SELECT count(*) FILTER (WHERE outcome = 'appended') FROM event_store.append(
    (SELECT array_agg('order'::text) FROM orders), (SELECT array_agg(id ORDER BY n) FROM orders), (SELECT array_agg(0) FROM orders),
    (SELECT array_agg(n ORDER BY n, k) FROM events),
    (SELECT array_agg((ARRAY['OrderPlaced', 'OrderConfirmed', 'OrderShipped'])[k] ORDER BY n, k) FROM events),
    (SELECT array_agg((ARRAY[2, 1, 1])[k]::smallint ORDER BY n, k) FROM events),
    (SELECT array_agg(id ORDER BY n, k) FROM events), (SELECT array_agg(data ORDER BY n, k) FROM events),
    (SELECT array_agg(json_build_object('correlation_id', correlation)::text ORDER BY n, k) FROM events),
    (SELECT array_agg(at ORDER BY n, k) FROM events), (SELECT array_agg(CAST(NULL AS uuid)) FROM orders)
)
""")
_HEAD = "SELECT coalesce(max(last_position), 0) FROM event_store.seals"
_PROJECTED = "SELECT coalesce(min(position), 0) FROM read_model.checkpoints"
_SAMPLE = """
SELECT order_id, placed_at AT TIME ZONE 'UTC' FROM (
    SELECT order_id, placed_at FROM read_model.order_summaries
    TABLESAMPLE BERNOULLI (least(100, 100.0 * {count} / (SELECT count(*) FROM read_model.order_summaries)))
) AS drawn ORDER BY random()
"""
_SIZES = """
SELECT CAST(CAST(relid AS regclass) AS text) AS name, pg_table_size(relid), pg_indexes_size(relid) FROM pg_stat_user_tables
WHERE CAST(CAST(relid AS regclass) AS text) IN ('event_store.events', 'event_store.seals', 'read_model.order_summaries', 'read_model.order_items') ORDER BY 1
"""


class Growth:
    """Sizes of logs, ascending, and under how many requests memory is watched."""

    def __init__(self, sizes: Sequence[int] = SIZES, requests: int = REQUESTS) -> None:
        self._sizes = sorted(sizes)
        self._requests = requests

    async def measure(self, context: Context) -> list[Result]:
        """Keep one log small, have another grow, and measure both in turn at each size."""
        small = await servers.fresh_database(context.postgres, "small_log")
        large = await servers.fresh_database(context.postgres, "large_log")
        await fill(small, self._sizes[0])
        by_size = {}
        for size in self._sizes:
            filled = await fill(large, size)
            loads, upkeep = await _compare(context, small, large)
            by_size[size] = (loads, [*filled, *upkeep])
        return [result(by_size), _stored(by_size), await _memory(context, large, self._requests)]


async def fill(url: str, size: int) -> list[Series]:
    """Append until the log has so many events; give the rate."""
    engine = create_engine(url, application_name="daicho-bench", pool_size=1, statement_timeout=None)
    started = await servers.number(url, _HEAD)
    head, clock = started, time.perf_counter()
    try:
        async with engine.connect() as connection:
            while head < size:
                wanted = min(_ORDERS_AT_ONCE, -(-(size - int(head)) // _EVENTS_OF_AN_ORDER))
                appended = await connection.scalar(_APPEND, {"orders": wanted, "data": DATA})
                if appended != wanted:
                    raise AssertionError(f"{appended} of {wanted} orders were appended")
                head += wanted * _EVENTS_OF_AN_ORDER
    finally:
        await engine.dispose()
    seconds = time.perf_counter() - clock
    return [series("imported in bulk", "events/s", [(head - started) / seconds])] if head > started else []


async def _upkeep(url: str) -> list[Series]:
    """Vacuum; give how long it took, and the sizes of tables and their indexes."""
    started = time.perf_counter()
    await servers.execute(url, "VACUUM (ANALYZE)")
    found = [series("VACUUM (ANALYZE)", "s", [time.perf_counter() - started])]
    for name, table, indexes in await servers.execute(url, _SIZES):
        found += [series(f"{name}", "MB", [_megabytes(table)]), series(f"{name}, indexes", "MB", [_megabytes(indexes)])]
    return found


async def _compare(context: Context, small: str, large: str) -> tuple[dict[str, list[Load]], list[Series]]:
    """Measure the same requests on both logs in turn; queries read tables, for their cache has no bytes.

    Gives the upkeep of the large one too, of when everything is projected.
    """
    async with AsyncExitStack() as stack:
        folder, legs, upkeep = Path(stack.enter_context(TemporaryDirectory())), {}, list[Series]()
        for name, url in (("small", small), ("large", large)):
            environment = context.environment(url, DAICHO_ANSWER_CACHE_BYTES="0")
            command, _ = await stack.enter_async_context(servers.service("command", environment))
            query, _ = await stack.enter_async_context(servers.service("query", environment))
            await _caught_up(url)
            upkeep = await _upkeep(url)
            drawn = await _drawn(url, folder, name, int(20_000 * context.seconds))
            for what, requests in _requests(context, command, query, drawn).items():
                legs[f"{what}, {name}"] = requests
        for requests in legs.values():
            await send(requests, 1.0)
        loads = await context.in_turn({name: partial(send, one, context.seconds) for name, one in legs.items()})
        return loads, upkeep


class _Drawn(NamedTuple):
    """Files with what requests ask for, one each: drawn from the whole read model, each perhaps many times."""

    orders: Path
    moments: Path
    customers: Path


def _requests(context: Context, command: str, query: str, drawn: _Drawn) -> dict[str, Requests]:
    tokens = context.tokens(CONNECTIONS)
    read = partial(Requests, urls=(query,), method="GET", tokens=tuple(tokens))
    return {
        "placing an order": placing(command, tokens=tokens),
        "one order": read(path="/orders/{id}", ids=drawn.orders),
        "an order's history": read(path="/orders/{id}/history", ids=drawn.orders),
        "the 50 before a moment": read(path="/orders?limit=50&placed_to={id}", ids=drawn.moments),
        "50 of one customer": read(path="/orders?limit=50&customer_name=Customer%20{id}", ids=drawn.customers),
        # On one connection: those who ask at once would share an answer.
        "statistics": read(path="/statistics", connections=1),
    }


async def _drawn(url: str, folder: Path, name: str, count: int) -> _Drawn:
    found = await servers.execute(url, _SAMPLE.format(count=count))
    size = await servers.number(url, "SELECT count(*) FROM read_model.order_summaries")
    customers = [str(number) for number in range(int(size) // _BLOCK * _CUSTOMERS)]
    random.Random(size).shuffle(customers)
    return _Drawn(
        _written(folder / f"{name}-orders", [str(one) for one, _ in found], count),
        _written(folder / f"{name}-moments", [f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" for _, at in found], count),
        _written(folder / f"{name}-customers", customers, count),
    )


def _written(path: Path, values: Sequence[str], count: int) -> Path:
    path.write_text("\n".join((list(values) * (1 + count // len(values)))[:count]), "utf-8")
    return path


async def _caught_up(url: str) -> None:
    """Wait until the read models have come to the end of the log; fail if they stop moving."""
    last, moved = -1.0, time.perf_counter()
    while (projected := await servers.number(url, _PROJECTED)) < await servers.number(url, _HEAD):
        if projected > last:
            last, moved = projected, time.perf_counter()
        if time.perf_counter() - moved > 60:  # noqa: PLR2004 - a batch takes well under a second
            raise RuntimeError(f"the read models stay at {projected:.0f}")
        await asyncio.sleep(0.5)


def result(by_size: dict[int, tuple[dict[str, list[Load]], list[Series]]]) -> Result:
    """Sum up what was measured at each size."""
    sizes = list(by_size)
    loads, _ = by_size[sizes[-1]]
    whats = [name.removesuffix(", small") for name in loads if name.endswith(", small")]
    found, ratios, curves = [], [], []
    for what in whats:
        costs = {size: _costs(by_size[size][0], what, sizes[0], size) for size in sizes}
        ratios.append(costs[sizes[-1]].model_copy(update={"aim": _AIM}))
        curves.append(Curve(name=what, x=tuple(sizes), y=tuple(costs[size].median for size in sizes)))
        found += [
            series(f"{what}, {size} log", "requests/s", [load.rate for load in loads[f"{what}, {size}"]])
            for size in ("small", "large")
        ]
    return Result(
        name="growth",
        title="A growing log",
        settings=f"a log of {sizes[0]:,} events beside one of {' and then '.join(f'{size:,}' for size in sizes)}, by whole lives of orders, to both of which "
        f"placing adds as it is measured; {CONNECTIONS} connections, each request for something else; statistics, which are the same for all, on one; "
        "answers are read from tables",
        series=tuple(found),
        ratios=tuple(ratios),
        curves=tuple(curves),
        axes=("events in the log", "cost, as times that of the small log"),
        notes=() if sizes[-1] >= SIZES[-1] else (f"The aim is that of a log of {SIZES[-1]:,} events: this run went as far as {sizes[-1]:,}, and tells of no more.",),
    )  # fmt: skip


def _costs(loads: dict[str, list[Load]], what: str, few: int, many: int) -> Ratio:
    """Divide the time of a request on the large log by that on the small one."""
    small, large = ([load.rate for load in loads[f"{what}, {size}"]] for size in ("small", "large"))
    return ratio(f"cost of {what}, {many:,} events / {few:,}", small, large)


def _stored(by_size: dict[int, tuple[dict[str, list[Load]], list[Series]]]) -> Result:
    return Result(
        name="stored",
        title="What a log takes to keep",
        series=tuple(
            one.model_copy(update={"name": f"{size:,} events: {one.name}"})
            for size, (_, upkeep) in by_size.items() for one in upkeep
        ),
    )  # fmt: skip


async def _memory(context: Context, url: str, requests: int) -> Result:
    """Send so many requests, half of them commands, as fast as they are answered; watch both services' resident memory."""
    environment, tokens = context.environment(url), context.tokens(CONNECTIONS // 2)
    sizes: dict[str, list[float]] = {"command service": [], "query service": []}
    sent, at = 0, list[int]()
    with TemporaryDirectory() as folder:
        async with (
            servers.service("command", environment) as (command, command_pid),
            servers.service("query", environment) as (query, query_pid),
        ):
            processes = dict(zip(sizes, map(psutil.Process, (command_pid, query_pid)), strict=True))
            await _caught_up(url)
            drawn = await _drawn(url, Path(folder), "memory", 100_000)
            placed = placing(command, tokens=tokens).model_copy(update={"connections": CONNECTIONS // 2})
            read = Requests(
                urls=(query,),
                method="GET",
                path="/orders/{id}",
                ids=drawn.orders,
                tokens=tuple(tokens),
                connections=CONNECTIONS // 2,
            )
            start: int | None = None
            while start is None or sent < at[start] + requests or len(at) <= start + _MOMENTS:
                loads = await asyncio.gather(send(placed, 5.0), send(read, 5.0))
                sent += sum(load.answers for load in loads)
                at.append(sent)
                for name, process in processes.items():
                    sizes[name].append(process.memory_info().rss / 2**20)
                if start is None and sent >= requests * _WARM_UP:
                    start = len(at) - 1
    return Result(
        name="memory",
        title="Memory under load",
        settings=f"{sent:,} requests, half commands and half queries; those before the first {at[start]:,} warm the services up, and fill their caches in part",
        series=tuple(series(f"{name}, resident", "MiB", found[start:]) for name, found in sizes.items()),
        ratios=tuple(
            Ratio(name=f"{name}, after {sent:,} requests / after {at[start]:,}", values=(found[-1] / found[start],), aim=Aim(number=8, bound=1.1, at_least=False))
            for name, found in sizes.items()
        ),
        curves=tuple(Curve(name=name, x=tuple(map(float, at)), y=tuple(found)) for name, found in sizes.items()),
        axes=("requests", "MiB resident"),
        notes=() if requests >= REQUESTS else (f"The aim is that of {REQUESTS:,} requests: this run sent {sent:,}, and tells of no more.",),
    )  # fmt: skip


def _megabytes(size: object) -> float:
    return float(str(size)) / 1e6
