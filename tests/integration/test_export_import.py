"""The log moves to another database by a file: the same to the byte, or not at all."""

import asyncio
import gzip
import json
import os
import random
import re
import resource
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from daicho.errors import ExportDamaged, ExportUnreadable, LogNotEmpty, OperatorError
from daicho.export_log import export_log
from daicho.import_log import import_log, read_header
from daicho.operating import log_connection
from shared.schema import EVENT_STORE
from tests.support.apps import command_service, query_service
from tests.support.databases import Server, cloned, connected
from tests.support.http import get, place
from tests.support.orders import START, append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay, read_models

EVERYTHING = (
    "SELECT to_jsonb(e) FROM event_store.events e ORDER BY position",
    "SELECT to_jsonb(s) FROM event_store.seals s ORDER BY last_position",
)


APPEND_OF_THEN = """
    SELECT event_store.append(
        ARRAY['order'], ARRAY[gen_random_uuid()], ARRAY[0], ARRAY[1], ARRAY['OrderConfirmed'], ARRAY[1]::smallint[],
        ARRAY[gen_random_uuid()], ARRAY['{}'], ARRAY['{}'], ARRAY[now()]
    )
"""


@pytest.fixture
async def target(postgres: Server, template: str) -> AsyncIterator[str]:
    """Another database, with an empty log."""
    async with cloned(postgres, template) as url:
        yield url


async def contents(url: str) -> list[list[str]]:
    async with connected(url) as engine, engine.connect() as connection:
        return [[str(row[0]) for row in await connection.execute(text(query))] for query in EVERYTHING]


async def exported(database: str, file: Path, *options: str) -> list[str]:
    """Export; give the file's lines."""
    code, output = await daicho(database, "export", str(file), *options)
    assert code == 0, output
    return gzip.decompress(file.read_bytes()).decode().splitlines()


async def test_a_ledger_moves_whole(database: str, engine: AsyncEngine, target: str, tmp_path: Path) -> None:
    """Export, import, project again: the same log, the same read models, and commands go on where they were."""
    key = {"Idempotency-Key": "k"}
    async with command_service(database) as commands, query_service(database) as http:
        placed = await place(commands, **key)
        await commands.post(f"{placed.headers['Location']}/confirm")
        position = 2 + await append_orders(PostgresEventStore(engine), 200)
        await get(http, "/orders", position)
    file = tmp_path / "ledger.ndjson.gz"
    await exported(database, file)
    code, output = await daicho(target, "import", str(file))
    assert code == 0, output
    assert re.match(rf"{position} events in \d+ seals imported and verified", output)
    assert await contents(target) == await contents(database)
    assert (await daicho(target, "verify"))[0] == 0
    async with connected(target) as moved, command_service(target) as commands, query_service(target) as http:
        await get(http, "/orders", position)
        assert await read_models(moved) == await read_models(engine)
        again = await place(commands, **key)
        assert (again.json(), again.headers["Idempotency-Replayed"]) == (placed.json(), "true")
        shipped = await commands.post(f"{placed.headers['Location']}/ship")
        assert shipped.json()["position"] == position + 1
        await get(http, "/orders", position + 1)
        assert await assert_log_is_sound(moved) == position + 1
        await assert_read_models_equal_a_replay(moved)
    assert (await daicho(target, "verify"))[0] == 0


async def test_a_running_query_service_is_told(database: str, target: str, tmp_path: Path) -> None:
    async with command_service(database) as commands:
        await place(commands)
    await exported(database, tmp_path / "x.gz")
    async with query_service(target, poll_interval=60) as http:
        assert (await daicho(target, "import", str(tmp_path / "x.gz")))[0] == 0
        assert (await get(http, "/statistics", 1)).json()["total_count"] == 1


async def test_the_file_can_be_read_by_anyone(database: str, engine: AsyncEngine, tmp_path: Path) -> None:
    events = await append_orders(PostgresEventStore(engine), 3)
    lines = [json.loads(line) for line in await exported(database, tmp_path / "x.gz")]
    head, end = lines[0], lines[-1]
    assert (head["daicho_log"], head["head"]) == (1, events)
    seals = [line["seal"] for line in lines if "seal" in line]
    assert end == {"end": {"events": events, "seals": len(seals)}}
    assert [line["position"] for line in lines if "position" in line] == list(range(1, events + 1))
    assert seals[-1]["last_position"] == events
    assert lines[1].keys() == {
        "position", "aggregate_type", "aggregate_id", "version", "event_type", "schema_version", "event_id",
        "occurred_at", "recorded_at", "data", "metadata",
    }  # fmt: skip
    assert lines[1]["data"]["customer_name"]


async def test_an_empty_log_moves_too(database: str, target: str, tmp_path: Path) -> None:
    await exported(database, tmp_path / "x.gz")
    code, output = await daicho(target, "import", str(tmp_path / "x.gz"))
    assert (code, output.splitlines()[0][:40]) == (0, "0 events in 0 seals imported and verifie")


async def test_a_file_is_not_replaced_unasked(database: str, tmp_path: Path) -> None:
    file = tmp_path / "x.gz"
    file.write_text("precious")
    code, output = await daicho(database, "export", str(file))
    assert (code, output) == (1, f"daicho: {file} exists: name another file, or say --force to replace it\n")
    assert file.read_text() == "precious"
    await exported(database, file, "--force")


async def test_an_export_that_fails_leaves_no_file(database: str, engine: AsyncEngine, tmp_path: Path) -> None:
    await append_orders(PostgresEventStore(engine), 3)
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.seals RENAME COLUMN locators TO gone"))
    code, output = await daicho(database, "export", str(tmp_path / "x.gz"))
    assert code == 1
    assert 'column "locators" does not exist' in output
    assert list(tmp_path.iterdir()) == []
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.seals RENAME COLUMN gone TO locators"))
    code, output = await daicho(database, "export", str(tmp_path / "none" / "x.gz"))
    assert (code, list(tmp_path.iterdir())) == (1, [])
    assert output == f"daicho: {tmp_path / 'none' / 'x.gz'} cannot be written: No such file or directory\n"


async def test_an_altered_log_replaces_no_backup(database: str, engine: AsyncEngine, tmp_path: Path) -> None:
    await append_orders(PostgresEventStore(engine), 3)
    file = tmp_path / "x.gz"
    file.write_text("precious")
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        await connection.execute(text("UPDATE event_store.events SET event_type = 'Other' WHERE position = 2"))
    code, output = await daicho(database, "export", str(file), "--force")
    assert (code, output.startswith("daicho: the log was altered at position 2: ")) == (3, True)
    assert file.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x" * 300, "File name too long"), (".", "it is not a regular file"), ("/dev/null", "it is not")],
)
async def test_what_cannot_be_a_file_is_named(database: str, tmp_path: Path, name: str, reason: str) -> None:
    code, output = await daicho(database, "export", str(tmp_path / name), "--force")
    assert (code, f"cannot be written: {reason}" in output) == (1, True)
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_leaves_what_was_there(database: str, engine: AsyncEngine, tmp_path: Path) -> None:
    await append_orders(PostgresEventStore(engine), 200)
    file = tmp_path / "x.gz"
    file.write_text("precious")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daicho", "export", str(file), "--force",
        env={**os.environ, "DAICHO_DATABASE_URL": database}, stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )  # fmt: skip
    _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (1, f"daicho: {file} cannot be written: File too large\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


async def test_exports_into_one_file_do_not_mix(database: str, engine: AsyncEngine, tmp_path: Path) -> None:
    """Several at once: the file that stays is whole."""
    await append_orders(PostgresEventStore(engine), 300)
    file = tmp_path / "x.gz"

    async def export() -> None:
        async with log_connection(database) as connection, connection.transaction(isolation="repeatable_read"):
            head = await connection.fetchval("SELECT max(position) FROM event_store.events")
            await export_log(connection, file, head, START, lambda _: None, force=True)

    await asyncio.gather(*(export() for _ in range(4)))
    lines = unpacked(file)
    assert (
        json.loads(lines[-1])["end"]["events"]
        == json.loads(lines[0])["head"]
        == await PostgresEventStore(engine).head()
    )
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture
async def good(database: str, engine: AsyncEngine, tmp_path: Path) -> Path:
    """An export of several seals."""
    store, file = PostgresEventStore(engine), tmp_path / "good.gz"
    await append_orders(store, 30, seed=1)
    for number in range(3):
        await store.append([commit(UUID(int=number), 0, placed())])
    async with log_connection(database) as connection, connection.transaction():
        await export_log(connection, file, await store.head(), START, lambda _: None, force=False)
    return file


def unpacked(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().splitlines()


def packed(lines: list[str]) -> bytes:
    return gzip.compress("".join(f"{line}\n" for line in lines).encode())


def _replaced(old: str, new: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        number = next(number for number, line in enumerate(lines) if number > 20 and old in line)
        return [*lines[:number], lines[number].replace(old, new, 1), *lines[number + 1 :]]

    return change


ALTERED: dict[str, Callable[[list[str]], list[str]]] = {
    "a digit in an event": _replaced('"quantity": 1', '"quantity": 2'),
    "a time": _replaced("2026-03-01T", "2026-03-02T"),
    "a position": _replaced('"position" : 25,', '"position" : 9925,'),
    "an event that is a seal too": lambda lines: [*lines[:20], lines[20][:-1] + ', "seal": {}}', *lines[21:]],
    "a locator": lambda lines: [re.sub(r'("locators" : ".{8}).', r"\1z", line) for line in lines],
    "another locator": lambda lines: [
        re.sub(r'("locators" : ").{8}', r"\g<1>00000000", line) if number > 20 else line
        for number, line in enumerate(lines)
    ],
    "a digest": _replaced('"digest" : "', '"digest" : "00'),
    "not json": _replaced('"event_type"', "event_type"),
    "not an object": lambda lines: [*lines[:20], "[]", *lines[20:]],
    "a scalar seal": lambda lines: [*lines[:20], '{"seal": 7}', *lines[20:]],
    "a nul": _replaced("order", "\\u0000"),
    "a quote of the transport": _replaced("order", "\x01"),
    "no uuid": _replaced('"event_id" : "', '"event_id" : "x'),
    "an event without a type": _replaced('"event_type"', '"event_kind"'),
    "an event twice": lambda lines: [*lines[:20], lines[19], *lines[20:]],
    "an event missing": lambda lines: [*lines[:20], *lines[21:]],
    "a seal missing": lambda lines: [line for number, line in enumerate(lines) if number != _first_seal(lines)],
    "two events changed places": lambda lines: [
        _at(lines[21], lines[20]) if number == 20 else _at(lines[20], lines[21]) if number == 21 else line
        for number, line in enumerate(lines)
    ],
    "the last lines missing": lambda lines: lines[:-10],
    "the last line missing": lambda lines: lines[:-1],
    "the last line broken": lambda lines: [*lines[:-1], '{"end": 7}'],
    "everything but the head missing": lambda lines: lines[:1],
    "the end in the middle": lambda lines: [lines[0], *lines[-1:], *lines[1:-1]],
    "the last line cut short": lambda lines: [*lines[:-1], lines[-1][:-5]],
    "something behind the end": lambda lines: [*lines, lines[1]],
}


def _first_seal(lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines) if '"seal"' in line)


def _at(line: str, place: str) -> str:
    """Give a line the position of another."""
    position = json.loads(place)["position"]
    return re.sub(r'"position" : \d+', f'"position" : {position}', line)


async def test_an_altered_export_is_refused_and_nothing_is_imported(good: Path, target: str, tmp_path: Path) -> None:
    lines, file = unpacked(good), tmp_path / "bad.gz"
    for name, change in ALTERED.items():
        altered = change(lines)
        assert altered != lines, name
        file.write_bytes(packed(altered))
        with naming(name):
            await refused(file, target, ExportDamaged, "Nothing was imported")


async def test_a_file_cut_short_or_with_a_bit_flipped_is_refused(good: Path, target: str, tmp_path: Path) -> None:
    whole, file, randomness = good.read_bytes(), tmp_path / "bad.gz", random.Random(7)
    cuts = [whole[: int(len(whole) * kept)] for kept in (0.01, 0.3, 0.6, 0.999)]
    flips = []
    for _ in range(15):
        flipped = bytearray(whole)
        flipped[randomness.randrange(10, len(whole))] ^= 1 << randomness.randrange(8)
        flips.append(bytes(flipped))
    for number, content in enumerate([*cuts, *flips]):
        file.write_bytes(content)
        with naming(f"case {number}"):
            await refused(file, target, ExportDamaged, "Nothing was imported")


async def test_a_file_without_a_last_line_break_is_refused(good: Path, target: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.gz"
    file.write_bytes(gzip.compress(gzip.decompress(good.read_bytes())[:-1]))
    await refused(file, target, ExportDamaged, "its last line is cut short")


@contextmanager
def naming(case: str) -> Iterator[None]:
    """Tell the case with whatever fails in it."""
    try:
        yield
    except BaseException as error:
        error.add_note(case)
        raise


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not an export of a log"),
        (b"hello", "it is not an export of a log"),
        (
            gzip.compress(b'{"daicho_log": 1, "head": ' + b" " * 20_000 + b"1}\n", mtime=0),
            "it is not an export of a log",
        ),
        (gzip.compress(b'{"daicho_log": 1, "head": true}\n', mtime=0), "its header is broken"),
        (gzip.compress(b"", mtime=0), "it is not an export of a log"),
        (gzip.compress(b'{"x": 1}\n', mtime=0), "it is not an export of a log"),
        (gzip.compress(b"[]\n", mtime=0), "it is not an export of a log"),
        (gzip.compress(b'{"daicho_log": 2, "head": 1}\n', mtime=0), "its format is 2, this release reads format 1"),
        (gzip.compress(b'{"daicho_log": 1, "head": "x"}\n', mtime=0), "its header is broken"),
        (None, "No such file or directory"),
    ],
)
async def test_what_is_no_export_is_named(target: str, tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "bad.gz"
    if content is not None:
        file.write_bytes(content)
    await refused(file, target, ExportUnreadable, reason)


async def refused(file: Path, target: str, error: type[OperatorError], message: str) -> None:
    """See that an import raises this and leaves the log empty."""
    with pytest.raises(error, match=message):
        header = read_header(file)
        async with log_connection(target) as connection, connection.transaction():
            await import_log(connection, file, header, lambda _: None, lambda _: None)
    assert await contents(target) == [[], []]


async def test_a_log_that_is_not_empty_is_left_alone(good: Path, target: str) -> None:
    async with command_service(target) as commands:
        await place(commands)
    before = await contents(target)
    with pytest.raises(LogNotEmpty, match="the log holds 1 events: import into an empty one"):
        async with log_connection(target) as connection, connection.transaction():
            file = good
            await import_log(connection, file, read_header(file), lambda _: None, lambda _: None)
    code, output = await daicho(target, "import", str(good))
    assert (code, output.startswith("daicho: the log holds 1 events")) == (1, True)
    assert await contents(target) == before


async def test_a_log_of_an_older_release_is_left_as_it_is(good: Path, postgres: Server) -> None:
    """What cannot be imported into is not migrated either."""

    def to_first_revision(connection: Connection) -> None:
        config = EVENT_STORE.config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    async with cloned(postgres, "template1") as url:
        async with connected(url, autocommit=False) as old, old.begin() as connection:
            await connection.run_sync(to_first_revision)
        async with connected(url) as old:
            async with old.connect() as connection:
                await connection.execute(text(APPEND_OF_THEN))
            code, output = await daicho(url, "import", str(good))
            assert (code, output.startswith("daicho: the log holds 1 events")) == (1, True)
            async with old.connect() as connection:
                assert await connection.scalar(text("SELECT version_num FROM event_store.alembic_version")) == "0001"
                assert await connection.scalar(text("SELECT to_regclass('read_model.checkpoints')")) is None
        assert (await daicho(url, "migrate"))[0] == 0
        assert (await daicho(url, "verify"))[1].startswith("1 events in 1 seals: nothing was altered")


async def test_a_damaged_file_has_an_exit_code_of_its_own(good: Path, target: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.gz"
    file.write_bytes(packed(unpacked(good)[:-1]))
    code, output = await daicho(target, "import", str(file))
    assert (code, "is not what was exported" in output) == (3, True)


async def test_a_read_model_of_another_log_is_refused(good: Path, target: str, postgres: Server, template: str) -> None:
    async with cloned(postgres, template) as other:
        async with command_service(other) as commands, query_service(other) as http:
            await place(commands)
            await get(http, "/orders", 1)
        file = str(good)
        code, output = await daicho(target, "import", file, DAICHO_READ_DATABASE_URL=other)
    assert (code, "the read model holds another log's events" in output) == (1, True)
    assert await contents(target) == [[], []]


async def test_snapshots_left_over_from_another_log_go(good: Path, target: str) -> None:
    async with connected(target) as engine, engine.connect() as connection:
        await connection.execute(
            text("INSERT INTO event_store.snapshots VALUES ('order', gen_random_uuid(), 1, '{}', 1)")
        )
        assert (await daicho(target, "import", str(good)))[0] == 0
        assert await connection.scalar(text("SELECT count(*) FROM event_store.snapshots")) == 0


@pytest.mark.timeout(180)
@pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL")
async def test_a_ledger_moves_between_data_directories_while_nothing_runs(
    database: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    await append_orders(PostgresEventStore(engine), 50)
    await exported(database, tmp_path / "one.gz")
    home = {"DAICHO_DATA_DIR": str(tmp_path / "new")}
    code, output = await daicho(None, "import", str(tmp_path / "one.gz"), **home)
    assert code == 0, output
    code, output = await daicho(None, "export", str(tmp_path / "two.gz"), **home)
    assert code == 0, output
    one, two = ((tmp_path / name).read_bytes() for name in ("one.gz", "two.gz"))
    assert gzip.decompress(one).splitlines()[1:] == gzip.decompress(two).splitlines()[1:]
    assert (await daicho(None, "verify", **home))[0] == 0
    code, output = await daicho(None, "verify", DAICHO_DATA_DIR=str(tmp_path / "none"))
    assert (code, output) == (
        1, f"daicho: there is no ledger in {tmp_path / 'none'}: `daicho up` makes one, DAICHO_DATABASE_URL names another\n",
    )  # fmt: skip
