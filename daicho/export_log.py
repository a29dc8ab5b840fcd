"""Exports the log: newline-delimited JSON, compressed with gzip, with the seals.

The first line is the header. Then come the events in order of position, each seal behind the last event that it
covers, and a last line that tells how many there were. Data and metadata are written as PostgreSQL writes `jsonb`, so
that they are sealed the same wherever they are imported.
"""

import asyncio
import gzip
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from daicho.errors import FileExists, FileUnwritable
from daicho.operating import Advance
from shared.event_log.json_form import format_time

FORMAT = 1
DELIMITER, QUOTE = "\x02", "\x01"
"""For COPY of whole lines as CSV: neither character can be in JSON, so nothing is quoted."""

_POSITIONS_AT_ONCE = 5000
_COMPRESSION = 3

_LINES = """
SELECT line FROM (
    SELECT position AS place, 0 AS kind, json_build_object(
        'position', position, 'aggregate_type', aggregate_type, 'aggregate_id', aggregate_id, 'version', version,
        'event_type', event_type, 'schema_version', schema_version, 'event_id', event_id,
        'occurred_at', occurred_at, 'recorded_at', recorded_at, 'data', event_data, 'metadata', metadata
    )::text AS line
    FROM event_store.events WHERE position > $1 AND position <= $2
    UNION ALL
    SELECT last_position, 1, json_build_object('seal', json_build_object(
        'first_position', first_position, 'last_position', last_position,
        'digest', encode(digest, 'hex'), 'locators', encode(locators, 'hex')
    ))::text
    FROM event_store.seals WHERE last_position > $1 AND last_position <= $2
) AS lines ORDER BY place, kind
"""


async def export_log(
    connection: "asyncpg.Connection[Any]", file: Path, head: int, now: datetime, advance: Advance, *, force: bool
) -> None:
    """Write the log up to `head` into a file, which appears once it is whole.

    The caller owns the transaction, whose snapshot is what is exported. Raises `FileExists` and `FileUnwritable`.
    """
    if file.exists() and not force:
        raise FileExists(file)
    partial = file.with_name(f"{file.name}.partial")
    with _written(file):
        raw = partial.open("wb")
    try:
        with raw:
            packed = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_COMPRESSION, filename="", mtime=0)
            await _write(connection, file, packed, head, now, advance)
            with _written(file):
                packed.close()
                raw.flush()
                os.fsync(raw.fileno())
        with _written(file):
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _written(file: Path) -> Iterator[None]:
    """Tell what the file system says, which is not what the database says."""
    try:
        yield
    except OSError as error:
        raise FileUnwritable(file, error.strerror or str(error)) from error


async def _write(
    connection: "asyncpg.Connection[Any]", file: Path, packed: gzip.GzipFile, head: int, now: datetime, advance: Advance
) -> None:
    """Write everything; while one part is compressed, PostgreSQL makes the next."""
    seals = await connection.fetchval("SELECT count(*) FROM event_store.seals WHERE last_position <= $1", head)
    header = {"daicho_log": FORMAT, "exported_at": format_time(now), "head": head}
    writing = asyncio.create_task(asyncio.to_thread(_pack, file, packed, _line(header)))
    try:
        for start in range(0, head, _POSITIONS_AT_ONCE):
            end = min(start + _POSITIONS_AT_ONCE, head)
            part = io.BytesIO()
            await connection.copy_from_query(
                _LINES, start, end, output=part, format="csv", delimiter=DELIMITER, quote=QUOTE
            )
            await writing
            writing = asyncio.create_task(asyncio.to_thread(_pack, file, packed, part.getbuffer()))
            advance(end - start)
    finally:
        await writing
    await asyncio.to_thread(_pack, file, packed, _line({"end": {"events": head, "seals": seals}}))


def _pack(file: Path, packed: gzip.GzipFile, lines: bytes | memoryview) -> None:
    with _written(file):
        packed.write(lines)


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"
