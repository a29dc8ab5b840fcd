"""`daicho`: the operator's commands."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from daicho.api_documents import Documented, run_asyncapi, run_openapi
from daicho.demo_command import Demo, run_demo
from daicho.doctor_command import run_doctor
from daicho.events_command import Shown, filters, run_events
from daicho.log_commands import run_export, run_import, run_verify
from daicho.migrate import run_migrate
from daicho.parked_command import run_parked_discard, run_parked_list, run_parked_retry
from daicho.rebuild_command import Instead, run_rebuild
from daicho.relay_command import run_relay
from daicho.running import run
from daicho.settings import OperatorSettings
from daicho.snapshots_command import run_snapshots_drop, run_snapshots_status
from daicho.status_command import run_status
from daicho.token_command import known_scopes, run_token
from daicho.up import up as run_up
from daicho.verify import Anchor
from query_service.partitions import MOST
from shared.settings import load

_LAST_POSITION = 2**63 - 1
_LAST = 20
_THIRTY_DAYS = 43_200

app = typer.Typer(
    help="Daicho, an order ledger: run it and look after it. Settings come from DAICHO_* variables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command(epilog="Example: DAICHO_COMMAND_PORT=9001 daicho up")
def up(
    *,
    with_identity: Annotated[
        bool, typer.Option("--with-identity", help="Have the services ask for the tokens that `daicho token` makes.")
    ] = False,
) -> None:
    """Run PostgreSQL, the migrations and both services until Ctrl-C.

    With DAICHO_DATABASE_URL set, that server is used and no PostgreSQL is started.
    """
    run(run_up(load(OperatorSettings), with_identity=with_identity))


@app.command(epilog="Example: daicho demo --rate 5 --backfill 100000")
def demo(
    *,
    rate: Annotated[float, typer.Option(min=0.01, max=500, help="Orders a second, on average.")] = 2.0,
    backfill: Annotated[int, typer.Option(min=0, max=1_000_000, help="First load so many orders of the past.")] = 0,
    months: Annotated[int, typer.Option(min=1, max=120, help="How many months of past.")] = 6,
    orders: Annotated[int | None, typer.Option(min=0, help="End after so many orders; else with Ctrl-C.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Which orders; the same seed gives the same.")] = None,
    command_url: Annotated[
        str | None, typer.Option(help="A command service that runs; else the settings' own.")
    ] = None,
) -> None:
    """Send realistic orders to the services that run; if none do, run them, as `daicho up`, until Ctrl-C.

    History is loaded into the ledger of the settings, which must be empty.
    """
    run(run_demo(load(OperatorSettings), Demo(rate, backfill, months, orders, seed, command_url)))


@app.command(epilog="Example: DAICHO_DATABASE_URL=postgresql://postgres@db/daicho daicho migrate")
def migrate() -> None:
    """Bring both schemas of the database to what this release needs; without a server's URL, those of .data.

    With DAICHO_EVENT_SOURCE set, that of the read model alone. With DAICHO_COMMAND_ROLE_PASSWORD and DAICHO_QUERY_ROLE_PASSWORD set, the services' roles may log in with them.
    """
    settings = load(OperatorSettings)
    run(run_migrate(settings))
    typer.echo("both schemas are at head" if settings.event_source is None else "the read model's schema is at head")


@app.command(epilog="Example: daicho events --follow --type OrderShipped --json")
def events(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")] = None,
    order: Annotated[UUID | None, typer.Option(help="Only this order (or other aggregate).")] = None,
    correlation: Annotated[str | None, typer.Option(help="Only this correlation id.")] = None,
    after: Annotated[
        int | None, typer.Option(min=0, max=_LAST_POSITION, help="Start behind this position; else with the last ones.")
    ] = None,
    last: Annotated[int | None, typer.Option(min=0, max=10_000, help="How many of the last ones: 20.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, as in GET /events.")] = False,
    stored: Annotated[bool, typer.Option("--stored", help="Data as they were written, not upcast.")] = False,
) -> None:
    """Show the event log: the last events, or all behind a position, or what comes."""
    if after is not None and last is not None:
        raise typer.BadParameter("give --after or --last, not both")
    shown = Shown(
        filters(types or [], order, correlation), after, _LAST if last is None else last, follow, as_json, stored
    )
    run(run_events(_beside_the_log(), shown))


@app.command(
    epilog="Example: daicho verify --anchor 1200:5f2c…  Exit codes: 0 intact, 3 altered, 1 could not be verified."
)
def verify(
    anchor: Annotated[str | None, typer.Option(help="A seal that an earlier run printed, as POSITION:DIGEST.")] = None,
) -> None:
    """Hold every event of the log against its seals; name the first position that does not match."""
    run(run_verify(_beside_the_log(), None if anchor is None else _anchor(anchor)))


@app.command(epilog="Example: daicho export ledger.ndjson.gz")
def export(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write the whole log, with its seals, into a file: newline-delimited JSON, compressed with gzip."""
    run(run_export(_beside_the_log(), file, force=force))


@app.command(
    "import",
    epilog="Example: DAICHO_DATA_DIR=moved daicho import ledger.ndjson.gz  Exit codes: 0 imported, 3 damaged file, 1 other.",
)
def import_(file: Annotated[Path, typer.Argument(help="A file that `daicho export` wrote.")]) -> None:
    """Read an exported log into an empty one, which is made where there is none: all of it and verified, or nothing."""
    run(run_import(_beside_the_log(), file))


@app.command(epilog="Example: DAICHO_RELAY_TO=nats://127.0.0.1:4222 daicho relay")
def relay() -> None:
    """Publish the event log to a stream of NATS JetStream, each event once and in order, until Ctrl-C.

    It goes on from where the stream ends; more than one may run, of which the others stand by.
    """
    run(run_relay(_beside_the_log()))


Projections = Annotated[list[str] | None, typer.Argument(help="Projections; without any, all.")]


@app.command(epilog="Example: daicho doctor  Exit codes: 0 nothing is at fault, 1 something is.")
def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Look for what endangers the ledger: durability, schemas, roles, guards, clock, disk, replication, connections, notifications, projections."""
    run(run_doctor(_beside_the_log(), as_json=as_json))


@app.command(epilog="Example: daicho status --watch")
def status(
    *, watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, every second, until Ctrl-C.")] = False
) -> None:
    """Show how far each projection is, what is parked, and how rebuilds go."""
    run(run_status(load(OperatorSettings), watch=watch))


@app.command(epilog="Example: daicho rebuild order_summaries")
def rebuild(
    projections: Annotated[list[str] | None, typer.Argument(help="Projections, by name.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every projection.")] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Partitions that replicas share; without it, as many as it has.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the tables from before the last rebuild.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Let the tables from before the last rebuild go.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Give up a rebuild that is under way.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
) -> None:
    """Build read models anew from the whole log, beside those that serve, and swap them in.

    A running query service goes on meanwhile. Interrupted, it goes on at the next start of either.
    """
    if bool(projections) == every:
        raise typer.BadParameter("name projections, or give --all")
    if undo + finish + discard > 1:
        raise typer.BadParameter("give one of --undo, --finish and --discard")
    if partitions is not None and (undo or finish or discard):
        raise typer.BadParameter("--partitions is for a rebuild")
    instead: Instead | None = "undo" if undo else "finish" if finish else "discard" if discard else None
    run(run_rebuild(load(OperatorSettings), projections or [], instead, partitions=partitions, wait=wait))


parked = typer.Typer(help="Events that a projection could not apply, and those behind them.", no_args_is_help=True)
app.add_typer(parked, name="parked")
Aggregate = Annotated[UUID | None, typer.Option(help="Only of this order (or other aggregate).")]


@parked.command("list", epilog="Example: daicho parked list order_summaries")
def parked_list(projections: Projections = None) -> None:
    """Show the aggregates with parked events: from where, how many, and what is wrong."""
    run(run_parked_list(load(OperatorSettings), projections or []))


@parked.command("retry", epilog="Example: daicho parked retry")
def parked_retry(projections: Projections = None, *, aggregate: Aggregate = None) -> None:
    """Apply parked events again, in order, by this release's code."""
    run(run_parked_retry(load(OperatorSettings), projections or [], aggregate))


@parked.command("discard", epilog="Example: daicho parked discard order_summaries --aggregate 0199b7a4-…")
def parked_discard(
    projections: Projections = None, *, aggregate: Annotated[UUID, typer.Option(help="Of this order.")]
) -> None:
    """Give an aggregate's parked events up: later ones are applied without them. The log keeps them."""
    run(run_parked_discard(load(OperatorSettings), projections or [], aggregate))


Output = Annotated[Path | None, typer.Option(help="The file to write; without it, standard output.")]


@app.command(epilog="Example: daicho openapi query --output query.openapi.json")
def openapi(
    service: Annotated[Documented, typer.Argument(help="Whose API.")],
    *,
    output: Output = None,
) -> None:
    """Write a service's OpenAPI document, as its GET /openapi.json gives it. No database is needed."""
    run(run_openapi(service, output))


@app.command(epilog="Example: daicho asyncapi --output asyncapi.json")
def asyncapi(*, output: Output = None) -> None:
    """Write the event catalogue as an AsyncAPI document, as GET /asyncapi.json gives it. No database is needed."""
    run(run_asyncapi(output))


@app.command(epilog="Example: daicho token --scope orders:write --scope orders:read --subject aiko --minutes 60")
def token(
    *,
    scopes: Annotated[list[str], typer.Option("--scope", help="What it allows; may be repeated.")],
    subject: Annotated[str, typer.Option(help="Whose it is: the actor of what is done with it.")] = "developer",
    minutes: Annotated[int, typer.Option(min=1, max=_THIRTY_DAYS, help="For how long.")] = 60,
) -> None:
    """Make an access token for development, signed with a key pair in the data directory, which is made the first time.

    Services take it where they trust that pair, as those of `daicho up --with-identity` do.
    """
    if unknown := set(scopes) - set(known_scopes()):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(known_scopes())}")
    run(run_token(load(OperatorSettings), scopes, subject, minutes))


snapshots = typer.Typer(help="Snapshots of aggregates: a cache beside the log.", no_args_is_help=True)
app.add_typer(snapshots, name="snapshots")


@snapshots.command("status", epilog="Example: daicho snapshots status")
def snapshots_status() -> None:
    """Show how many snapshots there are, by aggregate type and state schema version."""
    run(run_snapshots_status(_beside_the_log()))


@snapshots.command(epilog="Example: daicho snapshots drop --type order")
def drop(
    aggregate_type: Annotated[str | None, typer.Option("--type", help="Only of this aggregate type.")] = None,
) -> None:
    """Remove snapshots. Nothing is lost: states are folded from their events, and snapshots taken anew."""
    run(run_snapshots_drop(_beside_the_log(), aggregate_type))


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"daicho {version('daicho')}")
        raise typer.Exit


@app.callback()
def main(
    *, _: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False
) -> None:
    """Set logging up, once for every command."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _beside_the_log() -> OperatorSettings:
    """Load the settings of a command that works on the event log's own tables."""
    settings = load(OperatorSettings)
    if settings.event_source is not None:
        raise typer.BadParameter(
            "DAICHO_EVENT_SOURCE is set: the event log is elsewhere, and this is to be run there, without it"
        )
    return settings


def _anchor(given: str) -> Anchor:
    try:
        return Anchor.parse(given)
    except ValueError:
        raise typer.BadParameter("a seal is POSITION:DIGEST, as `daicho verify` prints it") from None
