"""How PostgreSQL runs a statement: what `EXPLAIN` says, in the few numbers that tell a good plan from a bad one."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import driver

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and its parameters, as the driver was given them."""

    sql: str
    parameters: tuple[Any, ...]


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[Statement]]:
    """Give the statements that run meanwhile on an engine's connections, SQLAlchemy's and those that go to the driver."""
    run: list[Statement] = []
    fetch = driver.fetch_text

    def before(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        run.append(Statement(sql, tuple(parameters)))

    async def fetched(one: AsyncEngine, sql: str, arguments: Sequence[object]) -> Sequence[driver.Record]:
        if one is engine:
            run.append(Statement(sql, tuple(arguments)))
        return await fetch(one, sql, arguments)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    try:
        with patch.object(driver, "fetch_text", fetched):
            yield run
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was run, as `EXPLAIN (ANALYZE, BUFFERS)` tells it."""

    root: Node

    @property
    def nodes(self) -> list[Node]:
        """Every node of the plan."""
        return list(_nodes(self.root))

    @property
    def kinds(self) -> set[str]:
        """What its nodes do."""
        return {node["Node Type"] for node in self.nodes}

    @property
    def indexes(self) -> set[str]:
        """The indexes that it reads."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def tables_scanned(self) -> set[str]:
        """The tables that it reads from end to end."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}

    @property
    def blocks(self) -> int:
        """Blocks looked at, of tables and indexes, cached or not."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    def rows_read(self, table: str) -> int:
        """Rows of a table that were looked at, passed or not; what an index condition passes over shows in `blocks` only."""
        removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        return int(
            sum(
                (node["Actual Rows"] + sum(node.get(name, 0) for name in removed)) * node["Actual Loops"]
                for node in self.nodes
                if node.get("Relation Name") == table
            )
        )

    def __str__(self) -> str:
        shown = (
            "Node Type",
            "Index Name",
            "Index Cond",
            "Filter",
            "Plan Rows",
            "Actual Rows",
            "Rows Removed by Filter",
        )
        return "\n".join(str([node[name] for name in shown if name in node]) for node in self.nodes)


Explain = Callable[..., Awaitable[Plan]]


@asynccontextmanager
async def prepared(
    connection: AsyncConnection, statement: Statement, settings: Mapping[str, str]
) -> AsyncIterator[Explain]:
    """Prepare a statement, as the driver does, under PostgreSQL's settings; give what runs it and explains how.

    It runs with its own parameters, or with others.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    changes = "".join(f"SET {name} = '{value}'; " for name, value in settings.items())
    await driver.execute(f"{changes}PREPARE explained AS {statement.sql}")

    async def explain(parameters: Sequence[Any] = statement.parameters) -> Plan:
        values = ", ".join("'" + str(value).replace("'", "''") + "'" for value in parameters)
        execute = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE explained({values})"
        answer = await driver.fetchval(execute)
        (plan,) = json.loads(answer) if isinstance(answer, str) else answer
        return Plan(plan["Plan"])

    try:
        yield explain
    finally:
        await driver.execute("DEALLOCATE explained; " + "".join(f"RESET {name}; " for name in settings))


def _nodes(root: Node) -> Iterator[Node]:
    yield root
    for child in root.get("Plans", ()):
        yield from _nodes(child)
