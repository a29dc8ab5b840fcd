"""The schemas: the services' tables are the migrated ones, and a service starts on one that serves it, and on no other."""

import asyncio
import os
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.errors import MigrationFailed
from daicho.migrate import migrate
from query_service import tables as read_model
from query_service.orders.tables import order_summaries
from shared.event_log import tables as event_store
from shared.schema import EVENT_STORE, READ_MODEL, SchemaHistory, SchemaMismatch
from tests.support.apps import ORDER, command_service, query_service
from tests.support.databases import Server, connected


@pytest.mark.parametrize(
    ("schema", "metadata", "not_ours"),
    [
        (event_store.SCHEMA, event_store.metadata, {"alembic_version"}),
        (read_model.SCHEMA, order_summaries.metadata, {"alembic_version"}),
    ],
)
async def test_the_declared_tables_are_the_migrated_ones(
    engine: AsyncEngine, schema: str, metadata: MetaData, not_ours: set[str]
) -> None:
    def differences(connection: Connection) -> list[object]:
        def ours(name: str | None, kind: str, _: object) -> bool:
            return name == schema if kind == "schema" else not (kind == "table" and name in not_ours)

        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": ours,
                # Indexes and constraints belong to the migrations alone.
                "include_object": lambda _o, _n, kind, _r, _c: kind in {"table", "column"},
                "compare_type": True,
                "compare_server_default": False,
            },
        )
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(database: str, engine: AsyncEngine) -> None:
    await migrate(database, database)
    await EVENT_STORE.require(engine)
    await READ_MODEL.require(engine)


async def test_concurrent_migrations_take_turns(postgres: Server) -> None:
    name = "concurrent_migrations"
    async with connected(postgres.admin_url, 1) as admin, admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            url = postgres.url(name)
            await asyncio.gather(*(migrate(url, url) for _ in range(3)))
            async with connected(url, 1) as engine:
                await READ_MODEL.require(engine)
        finally:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


_AT = "UPDATE {0}.alembic_version SET version_num ="
_SERVES = "CREATE OR REPLACE FUNCTION {0}.serves_from() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN"


async def _change(engine: AsyncEngine, statements: str) -> None:
    async with engine.connect() as connection:
        for statement in statements.split("; "):
            await connection.execute(text(statement))


async def test_services_run_on_a_newer_schema_that_serves_them(database: str, engine: AsyncEngine) -> None:
    for history in (EVENT_STORE, READ_MODEL):
        await _change(engine, f"{_AT} '9999'".format(history.name))
    async with query_service(database) as queries, command_service(database) as commands:
        assert (await commands.post("/orders", json=ORDER)).status_code == 201
        for service in (queries, commands):
            assert (await service.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("history", [EVENT_STORE, READ_MODEL])
@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (f"{_AT} '0001'", "run `daicho migrate`"),
        ("DROP TABLE {0}.alembic_version", "run `daicho migrate`"),
        (f"{_AT} '9999'; {_SERVES} '9998'", "which it serves no more: install a newer release"),
        (f"{_AT} '9999'; DROP FUNCTION {{0}}.serves_from()", "install a newer release"),
    ],
)
async def test_services_refuse_to_start_on_a_schema_that_does_not_serve_them(
    database: str, engine: AsyncEngine, history: SchemaHistory, change: str, advice: str
) -> None:
    await _change(engine, change.format(history.name))
    with pytest.raises(SchemaMismatch, match=f"the {history.name} schema is at .*{advice}"):
        async with query_service(database):
            pass
    if history is EVENT_STORE:
        with pytest.raises(SchemaMismatch):
            async with command_service(database):
                pass


@pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="needs a server that lets a new role in")
async def test_an_owner_without_superuser_rights_can_migrate_and_run(postgres: Server) -> None:
    """The roles exist on the test server, so its administrator grants the one that will own the read model."""
    name = f"owner_{uuid4().hex}"
    async with connected(postgres.admin_url, 1) as admin, admin.connect() as connection:
        await connection.execute(text(f"CREATE ROLE {name} CREATEROLE LOGIN"))
        await connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
        url = make_url(postgres.url(name)).set(username=name).render_as_string(hide_password=False)
        try:
            with pytest.raises(
                MigrationFailed, match=r"the read_model schema failed, nothing was changed: .*daicho_query"
            ):
                await migrate(url, url)
            await connection.execute(text(f"GRANT daicho_query TO {name}"))
            await migrate(url, url)
            async with query_service(url) as queries, command_service(url) as commands:
                position = (await commands.post("/orders", json=ORDER)).headers["Event-Position"]
                answer = await queries.get("/statistics", headers={"Event-Position": position, "Prefer": "wait=30"})
                assert answer.json()["total_count"] == 1
        finally:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            await connection.execute(text(f"DROP ROLE {name}"))
