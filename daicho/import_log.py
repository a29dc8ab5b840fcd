"""Imports an exported log into an empty one: positions, ids and times as they were, verified before anything is kept."""

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg

from daicho.errors import ExportDamaged, ExportUnreadable, LogAltered, LogNotEmpty
from daicho.export_log import DELIMITER, FORMAT, QUOTE
from daicho.operating import Advance
from daicho.verify import Verified, verify
from shared.event_log.tables import APPEND_LOCK, CHANNEL

_LINES_AT_ONCE = 5000

_EVENTS = """
INSERT INTO event_store.events (
    position, aggregate_type, aggregate_id, version, event_type, schema_version,
    event_id, event_data, metadata, occurred_at, recorded_at
)
SELECT e.position, e.aggregate_type, e.aggregate_id, e.version, e.event_type, e.schema_version,
    e.event_id, e.data, e.metadata, e.occurred_at, e.recorded_at
FROM incoming, jsonb_to_record(line) AS e (
    position bigint, aggregate_type text, aggregate_id uuid, version integer, event_type text, schema_version smallint,
    event_id uuid, data jsonb, metadata jsonb, occurred_at timestamptz, recorded_at timestamptz
)
WHERE line ? 'position'
ORDER BY e.position
"""
_SEALS = """
INSERT INTO event_store.seals (first_position, last_position, digest, locators)
SELECT s.first_position, s.last_position, decode(s.digest, 'hex'), decode(s.locators, 'hex')
FROM incoming, jsonb_to_record(line -> 'seal') AS s (
    first_position bigint, last_position bigint, digest text, locators text
)
WHERE line ? 'seal'
"""


@dataclass(frozen=True, slots=True)
class Header:
    """What an export says of itself; `head` is its last position."""

    head: int


def read_header(file: Path) -> Header:
    """Read the first line of an export.

    Raises `ExportUnreadable`.
    """
    try:
        with _opened(file) as packed:
            content = json.loads(packed.readline())
        version, head = content["daicho_log"], content["head"]
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError) as error:
        raise ExportUnreadable(file, "it is not an export of a log") from error
    if version != FORMAT:
        raise ExportUnreadable(file, f"its format is {version}, this release reads format {FORMAT}: use a newer one")
    if not isinstance(head, int) or head < 0:
        raise ExportUnreadable(file, "its header is broken")
    return Header(head)


def _opened(file: Path) -> gzip.GzipFile:
    try:
        return gzip.open(file, "rb")
    except OSError as error:
        raise ExportUnreadable(file, error.strerror or str(error)) from error


async def import_log(
    connection: "asyncpg.Connection[Any]", file: Path, header: Header, advance: Advance, verified: Advance
) -> Verified:
    """Import into an empty log and verify it, in the caller's transaction, which is rolled back if this raises.

    `advance` is told of events read, `verified` of events verified. Raises `LogNotEmpty`, `ExportDamaged` and
    `ExportUnreadable`.
    """
    await connection.execute(f"SELECT pg_advisory_xact_lock({APPEND_LOCK})")
    head = await connection.fetchval("SELECT coalesce(max(position), 0) FROM event_store.events")
    if head or await connection.fetchval("SELECT count(*) FROM event_store.seals"):
        raise LogNotEmpty(head)
    # Left over from another log, they would be wrong.
    await connection.execute("DELETE FROM event_store.snapshots")
    await connection.execute("CREATE TEMPORARY TABLE incoming (line jsonb NOT NULL) ON COMMIT DROP")
    with _opened(file) as packed:
        end = await _load(connection, file, packed, advance)
    try:
        result = await verify(connection, verified)
    except LogAltered as error:
        raise ExportDamaged(file, error) from error
    if end != {"events": result.events, "seals": result.seals} or result.events != header.head:
        raise ExportDamaged(file, f"it tells of {header.head} events and holds {result.events}")
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(result.events))
    return result


async def _load(
    connection: "asyncpg.Connection[Any]", file: Path, packed: gzip.GzipFile, advance: Advance
) -> dict[str, int]:
    """Insert every event and seal; give what the last line says. While PostgreSQL takes a part, the next is read."""
    packed.readline()
    number = 1
    part = await _read(file, packed)
    while part:
        ahead = asyncio.create_task(_read(file, packed))
        try:
            with _refused(file, number + 1, number + len(part)):
                events, seals = await _insert(connection, part)
        finally:
            following = await ahead
        number += len(part)
        advance(events)
        if events + seals < len(part):
            if following or events + seals < len(part) - 1:
                raise ExportDamaged(file, f"up to line {number} there is one that is neither event nor seal")
            return _end(file, part[-1])
        part = following
    raise ExportDamaged(file, f"it ends at line {number}, without its last line")


async def _insert(connection: "asyncpg.Connection[Any]", part: Sequence[bytes]) -> tuple[int, int]:
    """Insert the events and seals among these lines; give how many there were of each."""
    lines = io.BytesIO(b"".join(part))
    await connection.copy_to_table("incoming", source=lines, format="csv", delimiter=DELIMITER, quote=QUOTE)
    events, seals = [await connection.execute(statement) for statement in (_EVENTS, _SEALS)]
    await connection.execute("TRUNCATE incoming")
    return int(events.split()[-1]), int(seals.split()[-1])


def _end(file: Path, line: bytes) -> dict[str, int]:
    try:
        end: dict[str, int] = json.loads(line)["end"]
    except (ValueError, TypeError, KeyError):
        raise ExportDamaged(file, "its last line is broken") from None
    return end


async def _read(file: Path, packed: gzip.GzipFile) -> list[bytes]:
    try:
        return await asyncio.to_thread(lambda: list(islice(packed, _LINES_AT_ONCE)))
    except (OSError, EOFError, zlib.error) as error:
        raise ExportDamaged(file, error) from error


@contextmanager
def _refused(file: Path, first: int, last: int) -> Iterator[None]:
    """Tell in which lines PostgreSQL found what cannot be in a log."""
    try:
        yield
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise ExportDamaged(file, f"lines {first}–{last}: {error}") from error
