"""Generations of a projection's tables: the live one, the next one while it is rebuilt, the previous one after that.

Each lives in a schema of its own, under the tables' own names, so that queries, indexes and the projections' code are
the same for all. A swap moves tables from schema to schema. What is here runs in the caller's transaction.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.tables import SCHEMA
from shared.errors import DaichoError

Generation = Literal["live", "next", "previous"]

SCHEMAS: Final[Mapping[Generation, str]] = {
    "live": SCHEMA,
    "next": f"{SCHEMA}_next",
    "previous": f"{SCHEMA}_previous",
}

_OWNER = "daicho_query"
_LOCK_TIMEOUT = "250ms"

_INDEXES = text("""
SELECT t.relname AS table_name, con.conname, pg_get_constraintdef(con.oid) AS constraint, pg_get_indexdef(i.indexrelid) AS index
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.conrelid = t.oid
WHERE t.oid = to_regclass(:table)
ORDER BY i.indisprimary DESC, i.indexrelid
""")
_GRANTS = text("""
SELECT acl.privilege_type AS privilege, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
FROM pg_class c, aclexplode(c.relacl) acl LEFT JOIN pg_roles r ON r.oid = acl.grantee
WHERE c.oid = to_regclass(:table) AND acl.grantee <> c.relowner
""")
_OWNED_BY = text("SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = to_regclass(:table)")
_OPTIONS = text("SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = to_regclass(:table)")
_STATISTICS = text("""
SELECT quote_ident(attname) AS name, attstattarget AS target FROM pg_attribute
WHERE attrelid = to_regclass(:table) AND attnum > 0 AND attstattarget > 0
""")
_VIEWS = text("""
WITH RECURSIVE relations (oid, depth) AS (
    SELECT oid, 0 FROM unnest(CAST(:tables AS regclass[])) oid
    UNION
    SELECT w.ev_class, r.depth + 1
    FROM relations r
    JOIN pg_depend d ON d.refobjid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_class <> r.oid
)
SELECT n.nspname AS schema, quote_ident(v.relname) AS name, pg_get_viewdef(v.oid) AS definition,
    CASE v.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END AS kind,
    pg_has_role(v.relowner, 'USAGE') AS is_ours
FROM (SELECT oid, max(depth) AS depth FROM relations GROUP BY oid) r
JOIN pg_class v ON v.oid = r.oid AND v.relkind IN ('m', 'v')
JOIN pg_namespace n ON n.oid = v.relnamespace
ORDER BY r.depth, name
""")


class ViewsOfOthers(DaichoError):
    """Views of another schema or owner are over a projection's tables: they would stay behind with the old ones."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(names)}: these views are over tables that are to be replaced; drop them, or have them in the"
            f" schema {SCHEMA} with the owner {_OWNER}: then they come along"
        )


def on_generation(generation: Generation) -> Mapping[str, Any]:
    """Give the execution options by which the read model's tables stand for a generation's."""
    return {"schema_translate_map": {SCHEMA: SCHEMAS[generation]}}


async def create(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Make the next generation's tables, empty, without indexes; what was left of one goes.

    Raises `ViewsOfOthers`.
    """
    await _views(connection, tables, "live")
    await drop(connection, tables, "next")
    for table in tables:
        live, new = _name(table, "live"), _name(table, "next")
        await _run(connection, f"CREATE TABLE {new} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES)")
        await _set_options(connection, "TABLE", new, live)
        for row in await connection.execute(_STATISTICS, {"table": live}):
            await _run(connection, f"ALTER TABLE {new} ALTER COLUMN {row.name} SET STATISTICS {row.target}")
        await _own(connection, "TABLE", new, live)


async def create_indexes(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Make the next generation's indexes as the live one's are, where they are missing, and gather statistics."""
    while await create_index(connection, tables):
        pass


async def create_index(connection: AsyncConnection, tables: Sequence[Table]) -> bool:
    """Make the next index of the next generation that is missing; if none is, gather statistics and give False."""
    for table in tables:
        for statement in await _missing_indexes(connection, table.name):
            await _run(connection, statement)
            return True
    for table in tables:
        await _run(connection, f"ANALYZE {_name(table, 'next')}")
    return False


async def create_views(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Make the views in the read model's schema that are over these tables, and over one another, over the next generation's."""
    moved = [table.name for table in tables]
    for view in await _views(connection, tables, "live"):
        definition: str = view.definition.rstrip(";")
        for name in moved:
            there = rf'(?<![\w"]){re.escape(f"{SCHEMA}.{name}")}(?![\w"$])'
            definition = re.sub(there, f"{SCHEMAS['next']}.{name}", definition)
        live, new = f"{SCHEMA}.{view.name}", f"{SCHEMAS['next']}.{view.name}"
        await _run(connection, f"DROP {view.kind} IF EXISTS {new} CASCADE")
        await _run(connection, f"CREATE {view.kind} {new} AS {definition}")
        await _set_options(connection, view.kind, new, live)
        for statement in await _missing_indexes(connection, view.name):
            await _run(connection, statement)
        await _own(connection, view.kind, new, live)
        moved.append(view.name)


async def swap(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Make the next generation the live one, and the live one the previous one; an older one goes.

    Raises `ViewsOfOthers`, and an error of SQLSTATE 55P03 if queries hold on to a table for a quarter of a second: then
    try again.
    """
    await _run(connection, f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    await _run(connection, f"LOCK TABLE {', '.join(_name(table, 'live') for table in tables)} IN ACCESS EXCLUSIVE MODE")
    await drop(connection, tables, "previous")
    await _move(connection, tables, "live", "previous")
    await _move(connection, tables, "next", "live")


async def restore(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Make the previous generation the next one."""
    await _move(connection, tables, "previous", "next")


async def drop(connection: AsyncConnection, tables: Sequence[Table], generation: Generation) -> None:
    """Remove a generation that is not live, with the views over it."""
    assert generation != "live"
    for table in tables:
        await _run(connection, f"DROP TABLE IF EXISTS {_name(table, generation)} CASCADE")


async def _move(connection: AsyncConnection, tables: Sequence[Table], source: Generation, target: Generation) -> None:
    views = await _views(connection, tables, source)
    for table in tables:
        await _run(connection, f"ALTER TABLE {_name(table, source)} SET SCHEMA {SCHEMAS[target]}")
    for view in views:
        await _run(connection, f"DROP {view.kind} IF EXISTS {SCHEMAS[target]}.{view.name} CASCADE")
        await _run(connection, f"ALTER {view.kind} {SCHEMAS[source]}.{view.name} SET SCHEMA {SCHEMAS[target]}")


async def _views(connection: AsyncConnection, tables: Sequence[Table], generation: Generation) -> list[Any]:
    """Give the views over a generation's tables that are in its schema, each behind those that it is over.

    Raises `ViewsOfOthers`.
    """
    names = [_name(table, generation) for table in tables]
    found = (await connection.execute(_VIEWS, {"tables": names})).all()
    of_others = [view for view in found if view.schema not in SCHEMAS.values() or not view.is_ours]
    if others := [f"{view.schema}.{view.name}" for view in of_others]:
        raise ViewsOfOthers(others)
    return [view for view in found if view.schema == SCHEMAS[generation]]


async def _set_options(connection: AsyncConnection, kind: str, name: str, like: str) -> None:
    for row in (await connection.execute(_OPTIONS, {"table": like})).all():
        await _run(connection, f"ALTER {kind} {name} SET ({row.option})")


async def _missing_indexes(connection: AsyncConnection, name: str) -> list[str]:
    live, new = f"{SCHEMAS['live']}.{name}", f"{SCHEMAS['next']}.{name}"
    there = {_index(row, new) for row in await connection.execute(_INDEXES, {"table": new})}
    wanted = [
        _index(row, new).replace(f" ON {live} ", f" ON {new} ")
        for row in await connection.execute(_INDEXES, {"table": live})
    ]
    return [statement for statement in wanted if statement not in there]


def _index(row: Any, table: str) -> str:
    if row.conname is None:
        return str(row.index)
    return f'ALTER TABLE {table} ADD CONSTRAINT "{row.conname}" {row.constraint}'


async def _own(connection: AsyncConnection, kind: str, name: str, like: str) -> None:
    """Give a new relation the owner of another one, and the rights that others have on that."""
    owner = await connection.scalar(_OWNED_BY, {"table": like})
    await _run(connection, f"ALTER {kind} {name} OWNER TO {owner}")
    for row in (await connection.execute(_GRANTS, {"table": like})).all():
        await _run(connection, f"GRANT {row.privilege} ON {name} TO {row.grantee}")


def _name(table: Table, generation: Generation) -> str:
    return f"{SCHEMAS[generation]}.{table.name}"


async def _run(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(text(statement))
