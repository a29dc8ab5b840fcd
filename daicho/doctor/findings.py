"""What the doctor's checks are given, and what they give."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.projection_statuses import ProjectionStatuses
from shared.database import AnyRow

Verdict = Literal["ok", "look", "fault"]
"""`look`: nothing is broken, and somebody should know. `fault`: events, answers or the service are in danger."""


class Finding(NamedTuple):
    """What a check found; `remedy` is empty where all is well."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """A ledger as the doctor sees it. `disk` gives the bytes free and in all where its files are on this machine."""

    log: AsyncEngine
    read: AsyncEngine
    listen: AsyncEngine
    statuses: ProjectionStatuses
    disk: Callable[[], tuple[int, int]] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


Check = Callable[[Patient, AsyncConnection], Awaitable[list[Finding]]]


async def fetch(connection: AsyncConnection, query: str) -> Sequence[AnyRow]:
    """Give the rows of a query."""
    return (await connection.execute(text(query))).all()
