"""What clients asked and were told, and what was done to the system meanwhile. Nothing here judges: the checker does."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

Kind = Literal["place", "confirm", "ship", "cancel"]


class Outcome(StrEnum):
    """What a client knows after a try of a command."""

    DONE = "done"
    REFUSED = "refused"
    """It was told that nothing was done, or could not even connect."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Try:
    """A command sent once; `told` is the answer's status and slug, or what broke."""

    service: str
    started: float
    ended: float
    outcome: Outcome
    told: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the body of a success says."""

    order_id: UUID
    status: str
    version: int
    position: int


@dataclass(slots=True)
class Command:
    """A command, sent again with the same key until its outcome is known; its id is its correlation id."""

    id: str
    client: int
    kind: Kind
    order_id: UUID | None
    body: Mapping[str, Any]
    key: str | None = None
    expected_version: int | None = None
    tries: list[Try] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """Acknowledged once is done; only what was refused at every try is refused."""
        if self.acknowledged:
            return Outcome.DONE
        if all(one.outcome == Outcome.REFUSED for one in self.tries):
            return Outcome.REFUSED
        return Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class OrderRead:
    """`GET /orders/{id}` with `Event-Position: wanted`, by a client that knows of `known_version`; 404 has version 0."""

    client: int
    service: str
    at: float
    order_id: UUID
    wanted: int
    known_version: int
    code: int
    position: int = 0
    version: int = 0
    status: str | None = None


@dataclass(frozen=True, slots=True)
class StatisticsRead:
    """`GET /statistics` with `Event-Position: wanted`, answered with 200."""

    client: int
    service: str
    at: float
    wanted: int
    position: int
    total_count: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What the nemesis did, and from when to when."""

    name: str
    what: str
    started: float
    ended: float


@dataclass(slots=True)
class History:
    """All of a run; times are seconds since it began."""

    commands: list[Command] = field(default_factory=list)
    reads: list[OrderRead] = field(default_factory=list)
    statistics: list[StatisticsRead] = field(default_factory=list)
    followed: dict[str, list[tuple[int, UUID]]] = field(default_factory=dict)
    """Position and id of each event, as each follower of the log received it."""
    sampled: dict[int, str] = field(default_factory=dict)
    """A digest of each row of the log, by position, as it was first seen."""
    broken_reads: list[tuple[float, str]] = field(default_factory=list)
    """When a read got a 500, and which."""
    faults: list[Fault] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Give the seconds since the run began."""
        return time.monotonic() - self.begun


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of `event_store.events`; the digest is over all of its columns."""

    position: int
    aggregate_type: str
    aggregate_id: UUID
    version: int
    event_type: str
    event_id: UUID
    event_data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    occurred_at: datetime
    digest: str

    @property
    def command(self) -> str:
        """The id of the command that led to it."""
        return str(self.metadata.get("correlation_id"))


@dataclass(frozen=True, slots=True)
class Ending:
    """The system when everything has come to rest.

    `baseline`: the head before the run; `verified`: what `daicho verify` said against the log, if it did.
    """

    rows: Sequence[LogRow]
    baseline: int
    read_models: Mapping[str, Sequence[Mapping[str, Any]]]
    verified: str | None = None
