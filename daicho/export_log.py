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
import tempfile
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
_PART_BYTES = 4 << 20
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
    with _written(file):
        _require_writable(file, force=force)
        # Only its owner can read it; another export's is another file.
        raw = tempfile.NamedTemporaryFile(prefix=".daicho-export-", dir=file.parent, delete=False)  # noqa: SIM115
    partial = Path(raw.name)
    try:
        with raw:
            packed = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_COMPRESSION, filename="", mtime=0)
            await _write(connection, _Writer(file, packed), head, now, advance)
            with _written(file):
                packed.close()
                raw.flush()
                os.fsync(raw.fileno())
        with _written(file):
            _require_writable(file, force=force)
            partial.replace(file)
            _sync_folder(file.parent)
    finally:
        partial.unlink(missing_ok=True)


def _require_writable(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise FileExists(file)
    if file.exists() and not file.is_file():
        raise FileUnwritable(file, "it is not a regular file")


def _sync_folder(folder: Path) -> None:
    """See that the file's new name outlasts a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _written(file: Path) -> Iterator[None]:
    """Tell what the file system says, which is not what the database says."""
    try:
        yield
    except OSError as error:
        raise FileUnwritable(file, error.strerror or str(error)) from error


class _Writer:
    """Compresses what PostgreSQL sends, a part in a thread while the next one comes: two parts at most are in memory."""

    def __init__(self, file: Path, packed: gzip.GzipFile) -> None:
        self._file = file
        self._packed = packed
        self._part = io.BytesIO()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, lines: bytes) -> None:
        self._part.write(lines)
        if self._part.tell() >= _PART_BYTES:
            await self._flush()

    async def end(self) -> None:
        """Wait until everything is written."""
        await self._flush()
        await self._settled()

    async def stop(self) -> None:
        """Wait for the part that is being written, whatever becomes of it."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _flush(self) -> None:
        await self._settled()
        part, self._part = self._part, io.BytesIO()
        self._writing = asyncio.create_task(asyncio.to_thread(self._pack, part.getbuffer()))

    async def _settled(self) -> None:
        if self._writing is not None:
            await self._writing

    def _pack(self, lines: memoryview) -> None:
        with _written(self._file):
            self._packed.write(lines)


async def _write(
    connection: "asyncpg.Connection[Any]", writer: _Writer, head: int, now: datetime, advance: Advance
) -> None:
    """Write everything."""
    seals = await connection.fetchval("SELECT count(*) FROM event_store.seals WHERE last_position <= $1", head)
    try:
        await writer.write(_line({"daicho_log": FORMAT, "exported_at": format_time(now), "head": head}))
        for start in range(0, head, _POSITIONS_AT_ONCE):
            end = min(start + _POSITIONS_AT_ONCE, head)
            await connection.copy_from_query(
                _LINES, start, end, output=writer.write, format="csv", delimiter=DELIMITER, quote=QUOTE
            )
            advance(end - start)
        await writer.write(_line({"end": {"events": head, "seals": seals}}))
        await writer.end()
    finally:
        await writer.stop()


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"
