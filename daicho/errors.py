"""Errors that end a `daicho` command with a message and exit code 1.

DaichoError
* OperatorError
  x DatabaseUrlMissing
  x DataDirInUse
  x EmbeddedPostgresFailed
  x MigrationFailed
  x PortInUse
  x ServiceFailed
"""

from pathlib import Path

from shared.errors import DaichoError


class OperatorError(DaichoError):
    """Base class for what stops a `daicho` command."""


class DatabaseUrlMissing(OperatorError):
    """The command needs a server that is running."""

    def __init__(self, command: str) -> None:
        super().__init__(f"`daicho {command}` needs DAICHO_DATABASE_URL; `daicho up` has a PostgreSQL of its own")


class DataDirInUse(OperatorError):
    """Another `daicho` runs on this data directory."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(f"another daicho is running on {data_dir}: stop it, or set DAICHO_DATA_DIR to another folder")


class EmbeddedPostgresFailed(OperatorError):
    """The embedded PostgreSQL does not start."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"the embedded PostgreSQL does not start; its log is {log}")


class MigrationFailed(OperatorError):
    """PostgreSQL refused a migration; the schema is as it was."""

    def __init__(self, history: str, reason: object) -> None:
        super().__init__(f"the migration of the {history} schema failed, nothing was changed: {reason}")


class PortInUse(OperatorError):
    """A service's port is taken."""

    def __init__(self, host: str, port: int, variable: str) -> None:
        super().__init__(f"port {port} on {host} is in use: stop what listens there, or set {variable} to another port")


class ServiceFailed(OperatorError):
    """A service does not become ready."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the {name} service does not become ready: {reason}")
