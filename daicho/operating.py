"""What the commands that work on the log share: a connection of their own, and progress on the terminal."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from daicho.errors import DatabaseRefused
from shared.database import create_engine, translate_errors
from shared.schema import EVENT_STORE

Advance = Callable[[int], None]
"""Told how many more are done."""


@asynccontextmanager
async def log_connection(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Give a connection to the event log, in UTC, whose statements may take any time.

    Raises `SchemaMismatch`, `DatabaseUnavailable`, and `DatabaseRefused` for what PostgreSQL refuses while this lasts.
    """
    engine = create_engine(url, application_name="daicho-operate", pool_size=1, statement_timeout=None)
    try:
        await EVENT_STORE.require(engine)
        with refusals(), translate_errors():
            async with engine.connect() as pooled:
                connection: asyncpg.Connection[Any] = (await pooled.get_raw_connection()).driver_connection  # type: ignore[assignment]
                await connection.execute("SET TIME ZONE 'UTC'")
                yield connection
    finally:
        await engine.dispose()


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what PostgreSQL refuses into `DatabaseRefused`."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError) as error:
        raise DatabaseRefused(error) from error


class _Rate(ProgressColumn):
    """So many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Give the rate, once there is one."""
        return Text(f"{task.speed:,.0f} {self._unit}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def progress(total: int, *steps: str, unit: str = "events") -> Iterator[list[Advance]]:
    """Show a bar for each step on the terminal's error stream while this lasts; nothing where there is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        yield [partial(bars.advance, bars.add_task(step, total=total)) for step in steps]
