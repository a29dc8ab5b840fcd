"""Imports an exported log into an empty one: positions, ids and times as they were, verified before anything is kept."""

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from daicho.errors import ExportDamaged, ExportUnreadable, LogAltered, LogNotEmpty
from daicho.export_log import DELIMITER, FORMAT, QUOTE
from daicho.operating import Advance
from daicho.verify import Verified, verify
from shared.event_log.tables import APPEND_LOCK, CHANNEL

_PART_BYTES = 4 << 20
_LONGEST_LINE = 256 << 20
"""PostgreSQL takes no longer JSON."""
_LONGEST_HEADER = 10_000
_MAGIC = b"\x1f\x8b"
_NO_EXPORT = "it is not an export of a log"

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

    Raises `ExportUnreadable`, and `ExportDamaged` for a gzip file that breaks off in it.
    """
    _require_gzip(file)
    with _opened(file) as packed, _unpacked(file):
        line = packed.readline(_LONGEST_HEADER)
    try:
        content = json.loads(line)
        version, head = content["daicho_log"], content["head"]
    except (ValueError, TypeError, KeyError) as error:
        raise ExportUnreadable(file, _NO_EXPORT) from error
    if version != FORMAT:
        raise ExportUnreadable(
            file,
            f"its format is {version}, this release reads format {FORMAT}: import it with the release that exported it",
        )
    if type(head) is not int or head < 0:
        raise ExportUnreadable(file, "its header is broken")
    return Header(head)


def _require_gzip(file: Path) -> None:
    try:
        with file.open("rb") as raw:
            is_gzip = raw.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise ExportUnreadable(file, error.strerror or str(error)) from error
    if not is_gzip:
        raise ExportUnreadable(file, _NO_EXPORT)


def _opened(file: Path) -> gzip.GzipFile:
    try:
        return gzip.open(file, "rb")
    except OSError as error:
        raise ExportUnreadable(file, error.strerror or str(error)) from error


@contextmanager
def _unpacked(file: Path) -> Iterator[None]:
    """Tell what gzip says of a file that was cut short or altered."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise ExportDamaged(file, error) from error


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
    """Insert every event and seal; give what the last line says."""
    packed.readline(_LONGEST_HEADER)
    number, end = 1, b""
    async with aclosing(_parts(file, packed)) as parts:
        async for part in parts:
            lines = part.count(b"\n")
            with _refused(file, number + 1, number + lines):
                events, seals = await _insert(connection, part)
            number += lines
            advance(events)
            others = lines - events - seals
            if end or others > 1:
                raise ExportDamaged(file, f"up to line {number} there is one that is neither event nor seal")
            if others:
                end = part[:-1].rpartition(b"\n")[2]
    if not end:
        raise ExportDamaged(file, f"it ends at line {number}, without its last line")
    return _end(file, end)


async def _parts(file: Path, packed: gzip.GzipFile) -> AsyncGenerator[bytes]:
    """Give whole lines, some megabytes at a time; while PostgreSQL takes them, the next are read."""
    part, rest = await asyncio.to_thread(_next_part, file, packed, b"")
    while part:
        ahead = asyncio.create_task(asyncio.to_thread(_next_part, file, packed, rest))
        try:
            yield part
        finally:
            await asyncio.gather(ahead, return_exceptions=True)
        part, rest = ahead.result()


def _next_part(file: Path, packed: gzip.GzipFile, rest: bytes) -> tuple[bytes, bytes]:
    """Give the next whole lines, none at the end, and what was read of the line behind them."""
    while True:
        with _unpacked(file):
            read = packed.read(_PART_BYTES)
        if not read and rest:
            raise ExportDamaged(file, "its last line is cut short")
        part, newline, more = read.rpartition(b"\n")
        if newline or not read:
            return rest + part + newline, more
        rest += more
        if len(rest) > _LONGEST_LINE:
            raise ExportDamaged(file, "a line is longer than any event can be")


async def _insert(connection: "asyncpg.Connection[Any]", part: bytes) -> tuple[int, int]:
    """Insert the events and seals among these lines; give how many there were of each."""
    source = io.BytesIO(part)
    await connection.copy_to_table("incoming", source=source, format="csv", delimiter=DELIMITER, quote=QUOTE)
    events, seals = [await connection.execute(statement) for statement in (_EVENTS, _SEALS)]
    await connection.execute("TRUNCATE incoming")
    return int(events.split()[-1]), int(seals.split()[-1])


def _end(file: Path, line: bytes) -> dict[str, int]:
    try:
        end: dict[str, int] = json.loads(line)["end"]
    except (ValueError, TypeError, KeyError):
        raise ExportDamaged(file, "its last line is broken") from None
    return end


@contextmanager
def _refused(file: Path, first: int, last: int) -> Iterator[None]:
    """Tell in which lines PostgreSQL found what cannot be in a log."""
    try:
        yield
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise ExportDamaged(file, f"lines {first}–{last}: {error}") from error
