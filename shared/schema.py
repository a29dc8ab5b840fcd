"""The two schema histories, and the check that a database's schemas serve this release."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import translate_errors
from shared.errors import DaichoError, DatabaseUnavailable


class SchemaMismatch(DaichoError):
    """The database's schema does not serve this release."""


@dataclass(frozen=True, slots=True)
class SchemaHistory:
    """One Alembic history; its name is that of its folder under `migrations` and of its schema."""

    name: str

    def config(self) -> Config:
        """Make Alembic's configuration for this history; no file is read."""
        config = Config()
        config.set_main_option("script_location", str(Path(str(files("migrations"))) / self.name))
        config.set_main_option("path_separator", "os")
        return config

    def heads(self) -> set[str]:
        """Give the revisions that this release needs."""
        return _heads(self)

    def current(self, connection: Connection) -> set[str]:
        """Give the revisions that the database is at."""
        context = MigrationContext.configure(connection, opts={"version_table_schema": self.name})
        return set(context.get_current_heads())

    async def require(self, engine: AsyncEngine) -> None:
        """Return if the database's schema serves this release: it is the release's own, or a newer one that says so.

        Raises `SchemaMismatch`, which says what to do, and `DatabaseUnavailable`.
        """
        try:
            found = await self._found(engine)
        except DatabaseUnavailable:
            # A pooled connection may have been broken.
            found = await self._found(engine)
        own, known = self.heads(), _known(self)
        at = f"the {self.name} schema is at {_names(found.revisions)}, this release's is {_names(own)}"
        if found.revisions <= known:
            if found.revisions != own:
                raise SchemaMismatch(f"{at}: run `daicho migrate`")
        elif found.serves_from not in known:
            raise SchemaMismatch(f"{at}, which it serves no more: install a newer release")

    async def _found(self, engine: AsyncEngine) -> "_Found":
        with translate_errors():
            async with engine.connect() as connection:
                revisions = await connection.run_sync(self.current)
                if revisions <= _known(self):
                    return _Found(revisions)
                try:
                    return _Found(revisions, await connection.scalar(text(f"SELECT {self.name}.serves_from()")))
                except ProgrammingError:  # There is no such function: this is no schema of Daicho's.
                    return _Found(revisions)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a database is at, and where this release does not know that, the oldest revision that it serves."""

    revisions: set[str]
    serves_from: str | None = None


@cache
def _known(history: SchemaHistory) -> set[str]:
    """Give every revision up to this release's."""
    return {one.revision for one in ScriptDirectory.from_config(history.config()).walk_revisions()}


@cache
def _heads(history: SchemaHistory) -> set[str]:
    return set(ScriptDirectory.from_config(history.config()).get_heads())


EVENT_STORE = SchemaHistory("event_store")
READ_MODEL = SchemaHistory("read_model")


def _names(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "nothing"
