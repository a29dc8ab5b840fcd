"""`daicho snapshots`: how many there are, and removing them."""

import typer
from rich.console import Console
from rich.table import Table

from daicho.ledger import opened
from daicho.operating import log_connection
from daicho.settings import OperatorSettings

_STATUS = """
SELECT aggregate_type, state_schema_version, count(*) AS snapshots, sum(octet_length(state::text)) AS bytes,
    max(taken_at) AS newest
FROM event_store.snapshots GROUP BY 1, 2 ORDER BY 1, 2
"""


async def run_snapshots_status(settings: OperatorSettings) -> None:
    """Print a table of the snapshots by aggregate type and state schema version."""
    async with opened(settings) as ledger, log_connection(ledger.log_url) as connection:
        rows = await connection.fetch(_STATUS)
    table = Table("aggregate", "state schema", "snapshots", "bytes", "newest")
    for row in rows:
        newest = f"{row['newest']:%Y-%m-%d %H:%M:%S}Z"
        table.add_row(
            row["aggregate_type"],
            str(row["state_schema_version"]),
            f"{row['snapshots']:,}",
            f"{row['bytes']:,}",
            newest,
        )
    if rows:
        Console().print(table)
    else:
        typer.echo("there are no snapshots")


async def run_snapshots_drop(settings: OperatorSettings, aggregate_type: str | None) -> None:
    """Remove the snapshots of one aggregate type, or all; states are then folded from events, and snapshots taken anew."""
    async with opened(settings) as ledger, log_connection(ledger.log_url) as connection:
        done = await connection.execute(
            "DELETE FROM event_store.snapshots WHERE $1::text IS NULL OR aggregate_type = $1", aggregate_type
        )
    typer.echo(f"{int(done.split()[-1]):,} snapshots dropped")
