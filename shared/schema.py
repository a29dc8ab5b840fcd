"""The two schema histories, and the check that a database stands at their heads."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import translate_errors
from shared.errors import DaichoError, DatabaseUnavailable


class SchemaNotAtHead(DaichoError):
    """The database's schema is not the one that this release needs."""

    def __init__(self, history: str, found: set[str], wanted: set[str]) -> None:
        self.history = history
        super().__init__(
            f"the {history} schema is at {_names(found)}, this release needs {_names(wanted)}: run `daicho migrate`"
        )


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

    async def require_head(self, engine: AsyncEngine) -> None:
        """Raise `SchemaNotAtHead` unless the database stands at this release's head, or `DatabaseUnavailable`."""
        try:
            found = await self._found(engine)
        except DatabaseUnavailable:
            # A pooled connection may have been broken.
            found = await self._found(engine)
        if found != (wanted := self.heads()):
            raise SchemaNotAtHead(self.name, found, wanted)

    async def _found(self, engine: AsyncEngine) -> set[str]:
        with translate_errors():
            async with engine.connect() as connection:
                return await connection.run_sync(self.current)


@cache
def _heads(history: SchemaHistory) -> set[str]:
    return set(ScriptDirectory.from_config(history.config()).get_heads())


EVENT_STORE = SchemaHistory("event_store")
READ_MODEL = SchemaHistory("read_model")


def _names(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "nothing"
