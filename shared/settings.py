"""Settings that both services take from `DAICHO_*` environment variables."""

import sys
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.database import database_url


class ServiceSettings(BaseSettings):
    """Base class of a service's settings: frozen, read once by its `main`."""

    model_config = SettingsConfigDict(env_prefix="DAICHO_", env_ignore_empty=True, frozen=True, extra="ignore")

    database_url: SecretStr = Field(description="PostgreSQL with the event log")
    host: str = Field(default="127.0.0.1", description="Address that the services listen on")
    database_pool_size: int = Field(default=5, ge=1, le=200, description="Connections kept to each database")

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, url: SecretStr) -> SecretStr:
        database_url(url.get_secret_value())
        return url


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **given: Any) -> S:
    """Read settings from the environment; what is not valid is named, and ends the process with code 2."""
    try:
        return settings(**given)
    except ValidationError as error:
        for one in error.errors():
            variable = f"DAICHO_{'.'.join(map(str, one['loc'])).upper()}"
            sys.stderr.write(f"{variable}: {one['msg'].removeprefix('Value error, ')}\n")
        raise SystemExit(2) from None
