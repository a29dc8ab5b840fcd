"""Views over read models, ours and others': none is lost, or shows something older, when a rebuild is swapped in."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.generations import ViewsOfOthers
from query_service.projected_position import ProjectedPosition
from query_service.views import ViewRefresher
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.http import get
from tests.support.orders import append_orders
from tests.support.projecting import projected
from tests.support.rebuilding import rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

OURS = (
    "CREATE VIEW read_model.names WITH (security_barrier) AS SELECT order_id, customer_name FROM read_model.order_summaries",
    (
        'CREATE MATERIALIZED VIEW read_model."Longest" AS SELECT max(length(n.customer_name)) AS longest, i.product_name'
        " FROM read_model.names n JOIN read_model.order_items i USING (order_id) GROUP BY i.product_name"
    ),
    'CREATE UNIQUE INDEX longest_key ON read_model."Longest" (product_name)',
    'CREATE VIEW read_model.top AS SELECT longest FROM read_model."Longest" JOIN read_model.names ON true LIMIT 1',
    *(f"ALTER TABLE read_model.{name} OWNER TO daicho_query" for name in ("names", '"Longest"', "top")),
)
OTHERS = (
    "CREATE SCHEMA reporting",
    "CREATE VIEW reporting.customers AS SELECT customer_name FROM read_model.order_summaries",
)


async def run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def column(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).scalars())


async def test_views_over_views_come_along(database: str, engine: AsyncEngine) -> None:
    """The rebuilt tables are what they show, whichever of the projections that they are over is rebuilt."""
    await projected(database, engine)
    await run(engine, *OURS)
    about = (
        "SELECT viewname || definition FROM pg_views WHERE schemaname = 'read_model' ORDER BY 1",
        "SELECT matviewname || definition FROM pg_matviews WHERE schemaname = 'read_model' ORDER BY 1",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'read_model' ORDER BY 1",
        (
            "SELECT concat(relname, relowner::regrole, reloptions) FROM pg_class"
            " WHERE relnamespace = 'read_model'::regnamespace AND relkind IN ('r', 'm', 'v') ORDER BY 1"
        ),
    )
    before = [await column(engine, query) for query in about]
    async with rebuilding(database) as rebuilt:
        for names in (("order_summaries",), ("order_items",), ()):
            await run(engine, "UPDATE read_model.order_summaries SET customer_name = 'x'")
            await rebuilt.request(*names)
            await rebuilt.rebuilder().rebuild()
            async with rebuilt.read_engine.begin() as connection:
                await connection.execute(text('REFRESH MATERIALIZED VIEW CONCURRENTLY read_model."Longest"'))
            names_now = "SELECT customer_name FROM read_model.{} ORDER BY 1"
            assert await column(engine, names_now.format("names")) == await column(
                engine, names_now.format("order_summaries")
            )
            assert await column(engine, "SELECT longest FROM read_model.top") != []
    assert [await column(engine, query) for query in about] == before
    await assert_read_models_equal_a_replay(engine)


async def test_a_view_of_others_is_not_left_on_old_tables(database: str, engine: AsyncEngine) -> None:
    """It would show what was, and go with the old tables; so whoever asked is told, before anything is done."""
    await projected(database, engine)
    await run(engine, *OTHERS)
    async with rebuilding(database) as rebuilt:
        await rebuilt.request("order_summaries")
        with pytest.raises(ViewsOfOthers, match=r"reporting\.customers"):
            await rebuilt.rebuilder().rebuild()
        assert await column(engine, "SELECT to_regclass('read_model_next.order_summaries')::text") == [None]
        assert len(await column(engine, "SELECT customer_name FROM reporting.customers")) > 0
        await run(engine, "DROP VIEW reporting.customers")
        await rebuilt.rebuilder().rebuild()
    assert await column(engine, "SELECT state FROM read_model.checkpoints WHERE generation <> 'live'") == ["kept"]


async def test_a_view_of_another_owner_is_as_bad(database: str, engine: AsyncEngine) -> None:
    """The service's role could not move it, and would try for ever."""
    await projected(database, engine)
    await run(engine, "CREATE VIEW read_model.mine AS SELECT customer_name FROM read_model.order_summaries")
    await run(engine, "ALTER ROLE daicho_query LOGIN")
    as_service = make_url(database).set(username="daicho_query").render_as_string(hide_password=False)
    async with rebuilding(as_service) as rebuilt:
        await rebuilt.request("order_summaries")
        with pytest.raises(ViewsOfOthers, match=r"read_model\.mine.*owner daicho_query"):
            await rebuilt.rebuilder().rebuild()
        await run(engine, "ALTER VIEW read_model.mine OWNER TO daicho_query")
        await rebuilt.rebuilder().rebuild()
    assert len(await column(engine, "SELECT customer_name FROM read_model.mine")) > 0


async def test_a_superuser_leaves_views_their_owners(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    await run(engine, "CREATE VIEW read_model.mine AS SELECT customer_name FROM read_model.order_summaries")
    owner = "SELECT viewowner FROM pg_views WHERE viewname = 'mine' AND schemaname = 'read_model'"
    before = await column(engine, owner)
    async with rebuilding(database) as rebuilt:
        await rebuilt.request("order_summaries")
        await rebuilt.rebuilder().rebuild()
    assert await column(engine, owner) == before != ["daicho_query"]


async def test_a_view_made_while_rebuilding_holds_the_swap_up(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with rebuilding(database) as rebuilt:

        async def load(work: UUID) -> None:
            await rebuilt.load(work)
            await run(engine, *OTHERS)

        await rebuilt.request("order_summaries")
        with pytest.raises(ViewsOfOthers, match=r"reporting\.customers"):
            await rebuilt.rebuilder(load).rebuild()
        live = "SELECT generation FROM read_model.checkpoints WHERE projection = 'order_summaries' ORDER BY 1"
        assert await column(engine, live) == ["live", "next"]
        await run(engine, "DROP VIEW reporting.customers")
        await rebuilt.rebuilder().rebuild()
        assert await column(engine, live) == ["live", "previous"]
    await assert_read_models_equal_a_replay(engine)


async def test_analytics_do_not_go_back_over_a_swap(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """I9: the live view is not refreshed beyond the one that is to take its place."""
    await append_orders(store, 10)
    async with connected(database, autocommit=False) as mine, query_service(database, refresh_seconds=0.05) as http:
        await get(http, "/analytics/statuses", await store.head())

        async def views_are_made() -> bool:
            return await column(engine, "SELECT to_regclass('read_model_next.order_statistics')::text") != [None]

        async with mine.connect() as query:
            # A long query holds the swap up.
            await query.execute(text("SELECT 1 FROM read_model.order_summaries"))
            assert (await http.post("/projections/order_summaries/rebuild")).status_code == 202
            await wait_until(views_are_made, "the next generation has its view")
            await append_orders(store, 5, seed=2)
            head = await store.head()
            await get(http, "/orders", head)
            projected_to, refreshed = ProjectedPosition(1), ProjectedPosition(1)
            projected_to.advance({"order_summaries": head})
            refresher = ViewRefresher(mine, {"order_statistics": ["order_summaries"]}, projected_to, refreshed, 1)
            await refresher.refresh("order_statistics")
            shown = refreshed.value(["order_statistics"])
            await query.rollback()

        async def is_swapped() -> bool:
            return (await column(engine, "SELECT 1 FROM read_model.checkpoints WHERE generation = 'previous'")) == [1]

        await wait_until(is_swapped, "the rebuilt generation is live")
        assert int((await get(http, "/analytics/statuses", 0)).headers["Event-Position"]) >= shown
        assert (await get(http, "/analytics/statuses", head)).status_code == 200
