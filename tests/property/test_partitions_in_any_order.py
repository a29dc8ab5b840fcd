"""Replicas that share partitions, look after leases, project, die and come back in any order: read models equal a replay (I5)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.databases import connected
from tests.support.orders import append_orders
from tests.support.partitioned import Replica, divide, expire
from tests.support.replay import assert_read_models_equal_a_replay

REPLICAS = 3
MOST_ROUNDS = 5

steps = st.lists(
    st.tuples(st.just("append"), st.integers(1, 12))
    | st.tuples(st.sampled_from(["look", "apply", "expire"]), st.integers(0, REPLICAS - 1))
    | st.tuples(st.just("apply all"), st.just(0)),
    max_size=25,
)
"""What is done one after the other: so many orders are appended, or one of the replicas does something, or all do at once."""


class World:
    """Some replicas on one database."""

    def __init__(self, engine: AsyncEngine, replicas: Sequence[Replica], of: int) -> None:
        self.engine = engine
        self._of = of
        self.replicas = replicas
        self._store = PostgresEventStore(engine)
        self._seed = 0

    async def holds(self, steps: Sequence[tuple[str, int]]) -> None:
        for deed, number in steps:
            match deed:
                case "append":
                    self._seed += 1
                    await append_orders(self._store, number, self._seed)
                case "look":
                    await self.replicas[number].look()
                case "expire":
                    # It still believes to hold what it had.
                    await expire(self.engine, self.replicas[number])
                case "apply":
                    await self.replicas[number].apply()
                case _:
                    await asyncio.gather(*(replica.apply() for replica in self.replicas))
        await self._share_out()
        await asyncio.gather(*(replica.drain() for replica in self.replicas))
        await assert_read_models_equal_a_replay(self.engine)

    async def _share_out(self) -> None:
        """Have all look after their leases until each partition has a holder: who gives some up is not always the last to look."""
        for _ in range(MOST_ROUNDS):
            for replica in self.replicas:
                await replica.look()
            if len({partition for replica in self.replicas for partition in replica.leases.held}) == self._of:
                return
        raise AssertionError(f"not every partition has a holder after {MOST_ROUNDS} rounds")


@pytest.mark.parametrize("of", [2, 5])
def test_any_order_of_steps(database: str, of: int) -> None:
    async def start(stack: AsyncExitStack) -> World:
        engine = await stack.enter_async_context(connected(database))
        read_engine = await stack.enter_async_context(connected(database, 2 * REPLICAS, autocommit=False))
        await divide(read_engine, of)
        connections = [await stack.enter_async_context(read_engine.connect()) for _ in range(2 * REPLICAS)]
        return World(engine, [Replica(engine, connections[2 * n : 2 * n + 2]) for n in range(REPLICAS)], of)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(start(stack))
        try:

            @settings(deadline=None, max_examples=6)
            @given(steps)
            def holds(steps: list[tuple[str, int]]) -> None:
                runner.run(world.holds(steps))

            holds()
        finally:
            runner.run(stack.aclose())
