"""Rows that PostgreSQL itself writes as they are shown: that takes a fraction of the time in which they become objects, and these text."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Numeric,
    Subquery,
    Text,
    cast,
    func,
    literal_column,
    select,
    true,
)

_FORM: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")


def json_rows(rows: Subquery) -> tuple[FromClause, ColumnElement[Any]]:
    """Give what to select from in place of the rows, and each row as a JSON object of its columns, in their order.

    As in the answers' models, amounts are text and times are in UTC.
    """
    members = select(*(_shown(column).label(column.name) for column in rows.c)).correlate(rows).lateral()
    return rows.join(members, true()), cast(func.to_json(members.table_valued()), Text)


def _shown(column: ColumnElement[Any]) -> ColumnElement[Any]:
    match column.type:
        case Numeric():
            return cast(column, Text)
        case DateTime():
            text = func.to_char(func.timezone(literal_column("'UTC'"), column), _FORM)
            return func.replace(text, literal_column("'.000000'"), literal_column("''"))
    return column
