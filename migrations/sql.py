"""Runs a migration's SQL files: one file per database object."""

from pathlib import Path
from typing import Any

from alembic import op


def run_file(history: str, revision: str, name: str) -> None:
    """Run `HISTORY/sql/REVISION/NAME.sql`, which may hold several statements, in the migration's transaction."""
    script = (Path(__file__).parent / history / "sql" / revision / f"{name}.sql").read_text(encoding="utf-8")
    adapted: Any = op.get_bind().connection.dbapi_connection
    # Prepared statements hold one command each; the driver's own execute takes a script.
    adapted.run_async(lambda connection: connection.execute(script))
