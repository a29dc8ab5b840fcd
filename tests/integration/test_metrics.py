"""Metrics move with what they count, and are told while the database is away, but for what only it knows."""

from uuid import uuid4

import httpx

from command_service.postgres_store import PostgresEventStore
from tests.support.apps import query_service
from tests.support.http import get, place
from tests.support.metrics import samples
from tests.support.orders import append_orders
from tests.support.proxy import proxied
from tests.support.waiting import wait_until


async def metrics(http: httpx.AsyncClient) -> dict[str, float]:
    return samples((await http.get("/metrics")).text)


async def test_commands_count_by_what_became_of_them(commands: httpx.AsyncClient) -> None:
    where = (await place(commands, **{"Idempotency-Key": "once"})).headers["Location"]
    await place(commands, **{"Idempotency-Key": "once"})
    await commands.post(f"{where}/confirm")
    await commands.post(f"/orders/{uuid4()}/confirm")
    lines = '{"command": "PlaceOrder"}\nnonsense\n'
    await commands.post("/orders/batch", content=lines, headers={"Content-Type": "application/x-ndjson"})
    told = await metrics(commands)

    def count(command: str, outcome: str) -> float:
        return told[f'daicho_command_seconds_count{{"command": "{command}", "outcome": "{outcome}"}}']

    assert count("PlaceOrder", "done") == count("PlaceOrder", "replayed") == 1
    assert count("ConfirmOrder", "done") == count("ConfirmOrder", "order-not-found") == 1
    assert told['daicho_bulk_lines_total{"outcome": "validation-failed"}'] == 2
    assert told['daicho_state_cache_lookups_total{"result": "hit"}'] >= 1
    assert told['daicho_state_cache_lookups_total{"result": "miss"}'] == 1
    assert told["daicho_append_commits_sum"] == told["daicho_append_wait_seconds_count"] >= 3
    assert told["daicho_append_lock_wait_seconds_count"] == told["daicho_append_seconds_count"]
    assert told['daicho_pool_size{"pool": "append"}'] == 1


async def test_reads_count_by_where_their_answers_came_from(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    await append_orders(store, 3)
    head = await store.head()
    for _ in range(3):
        await get(http, "/statistics", head)
    told = await metrics(http)
    assert told['daicho_answer_cache_requests_total{"result": "miss"}'] == 1
    assert told['daicho_answer_cache_requests_total{"result": "hit"}'] == 2
    assert told["daicho_answer_cache_bytes"] > 0
    assert told["daicho_projection_batch_events_sum"] == told["daicho_log_position"] == head
    assert told["daicho_leases"] == 1


async def test_what_only_the_database_knows_is_left_out_while_it_is_away(database: str) -> None:
    async with proxied(database) as proxy, query_service(proxy.url) as http:
        listening = 'daicho_listener_connected{"listener": "log"}'

        async def is_listening(number: float) -> bool:
            return (await metrics(http))[listening] == number

        async def is_whole() -> bool:
            return "daicho_log_position" in await metrics(http)

        await wait_until(lambda: is_listening(1), "it listens")
        assert await is_whole()
        proxy.cut(stay_away=True)
        await wait_until(lambda: is_listening(0), "it listens no more")
        told = await metrics(http)
        assert not [name for name in told if name.startswith(("daicho_log_", "daicho_projection_lag"))]
        assert "daicho_leases" in told
        proxy.heal()
        await wait_until(lambda: is_listening(1), "it listens again")
        await wait_until(is_whole, "the database is asked again")
