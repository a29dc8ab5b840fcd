"""Errors that end a `daicho` command with a message and an exit code, 1 unless the error has its own.

DaichoError
* OperatorError
  x CannotListen
  x DatabaseRefused
  x DataDirInUse
  x DataDirUnusable
  x DevelopmentKeyUnusable
  x EmbeddedPostgresFailed
  x ExportFailed
    + ExportDamaged
    + ExportUnreadable
    + FileExists
  x FileUnwritable
  x HistoryTooLate
  x LedgerOfAnother
  x LedgerUnwell
  x LogAltered
  x LogNotEmpty
  x MigrationFailed
  x NoCommandService
  x NoLedger
  x NotAllowed
  x NothingToRelayTo
  x NoSuchProjection
  x PortInUse
  x ReadModelNotEmpty
  x RebuildGivenUp
  x RebuildUnderWay
  x RoleNotLetIn
  x ServiceFailed
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from shared.database import sqlstate
from shared.errors import DaichoError

_NO_PRIVILEGE = "42501"


class OperatorError(DaichoError):
    """Base class for what stops a `daicho` command."""

    exit_code: ClassVar = 1


class DatabaseRefused(OperatorError):
    """PostgreSQL refused what the command asked for; nothing was changed."""

    def __init__(self, error: Exception) -> None:
        hint = " (the command needs the role that ran the migrations)" if sqlstate(error) == _NO_PRIVILEGE else ""
        super().__init__(f"PostgreSQL refused: {getattr(error, 'orig', error)}{hint}")


class NoLedger(OperatorError):
    """There is nothing to work on."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(f"there is no ledger in {data_dir}: `daicho up` makes one, DAICHO_DATABASE_URL names another")


class DataDirInUse(OperatorError):
    """Another `daicho up` runs on this data directory."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"`daicho up` or `daicho demo` is running on {data_dir}: stop it, or set DAICHO_DATA_DIR to another folder"
        )


class DataDirUnusable(OperatorError):
    """The data directory cannot be made or written to."""

    def __init__(self, data_dir: Path, reason: str) -> None:
        super().__init__(f"{data_dir} cannot hold the ledger: {reason}: set DAICHO_DATA_DIR to a folder of your own")


class DevelopmentKeyUnusable(OperatorError):
    """The key pair for development cannot be made or read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot hold the development keys: {reason}")


class LedgerOfAnother(OperatorError):
    """The embedded PostgreSQL's files belong to another user; nothing was touched."""

    def __init__(self, data_dir: Path, owner: str) -> None:
        super().__init__(f"the ledger in {data_dir} belongs to {owner}: run this as {owner}")


class EmbeddedPostgresFailed(OperatorError):
    """The embedded PostgreSQL does not start."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"the embedded PostgreSQL does not start; its log is {log}")


class ExportFailed(OperatorError):
    """Base class for what is wrong with an export's file."""


class FileExists(ExportFailed):
    """The file to be written is there already."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} exists: name another file, or say --force to replace it")


class FileUnwritable(OperatorError):
    """The file cannot be written; what was there before is as it was."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} cannot be written: {reason}")


class ExportUnreadable(ExportFailed):
    """The file is not an export that this release reads; nothing was changed."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} cannot be read: {reason}")


class ExportDamaged(ExportFailed):
    """The export was cut short or altered; nothing was imported."""

    exit_code = 3

    def __init__(self, file: Path, reason: object) -> None:
        super().__init__(f"{file} is not what was exported: {reason}. Nothing was imported; use an intact copy")


class LedgerUnwell(OperatorError):
    """The doctor found faults."""

    def __init__(self, faults: int) -> None:
        super().__init__(f"{faults} {'fault' if faults == 1 else 'faults'}, told above with what to do")


class LogAltered(OperatorError):
    """The log does not match its seals; `position` is the first one that does not."""

    exit_code = 3

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"the log was altered at position {position}: {reason}")


class LogNotEmpty(OperatorError):
    """An import needs an empty log; nothing was changed."""

    def __init__(self, head: int) -> None:
        super().__init__(f"the log holds {head} events: import into an empty one, such as another DAICHO_DATA_DIR")


class HistoryTooLate(OperatorError):
    """There are other events than history's in the log; nothing more of it was appended."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found}, and history comes before all else: leave --backfill out, or set DAICHO_DATA_DIR to another folder"
        )


class NoCommandService(OperatorError):
    """There is nothing to send commands to."""

    def __init__(self, url: str) -> None:
        super().__init__(f"no command service answers at {url}: `daicho up` runs one")


class NotAllowed(OperatorError):
    """The command service does not let this in."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"{url} refuses: {reason} `daicho token --scope orders:write` makes one: set DAICHO_TOKEN to it"
        )


class NothingToRelayTo(OperatorError):
    """No NATS servers are named."""

    def __init__(self) -> None:
        super().__init__("set DAICHO_RELAY_TO to the NATS servers to publish to, such as nats://127.0.0.1:4222")


class ReadModelNotEmpty(OperatorError):
    """The read model was built from another log; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the read model holds another log's events: name an empty DAICHO_READ_DATABASE_URL")


class NoSuchProjection(OperatorError):
    """There is no projection of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no projection {name!r}: there are {', '.join(known)}")


class RebuildGivenUp(OperatorError):
    """Rebuilds were given up while they were waited for; what is live is as it was."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"given up before it was done, the tables that serve are as they were: {', '.join(names)}")


class RebuildUnderWay(OperatorError):
    """A rebuild into another number of partitions has begun; it goes on."""

    def __init__(self, name: str, partitions: int) -> None:
        super().__init__(
            f"{name} is being rebuilt with --partitions {partitions}: wait, or --discard that rebuild first"
        )


class MigrationFailed(OperatorError):
    """PostgreSQL refused a migration; the schema is as it was."""

    def __init__(self, history: str, reason: object) -> None:
        super().__init__(f"the migration of the {history} schema failed, nothing was changed: {reason}")


class RoleNotLetIn(OperatorError):
    """PostgreSQL refused to let a role log in; the migrations are done."""

    def __init__(self, role: str, code: str) -> None:
        hint = ": the migrations' role may not change it" if code == _NO_PRIVILEGE else ""
        super().__init__(f"PostgreSQL refused to let the role {role} log in ({code}){hint}")


class PortInUse(OperatorError):
    """A service's port is taken."""

    def __init__(self, host: str, port: int, variable: str) -> None:
        super().__init__(f"port {port} on {host} is in use: stop what listens there, or set {variable} to another port")


class CannotListen(OperatorError):
    """A service cannot listen on its address."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host}, port {port}: {reason}: set DAICHO_HOST to an address of this machine"
        )


class ServiceFailed(OperatorError):
    """A service does not become ready."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the {name} service does not become ready: {reason}")
