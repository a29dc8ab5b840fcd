"""Settings that both services take from `DAICHO_*` environment variables."""

import re
import sys
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.database import database_url

_ORIGIN = r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_URL = re.compile(_ORIGIN + r"(/[A-Za-z0-9._~%/-]*)?")


def _public_url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError("must be a URL such as https://example.com/orders")
    return url.rstrip("/")


def _origin(url: str) -> str:
    if not re.fullmatch(_ORIGIN, url.rstrip("/")):
        raise ValueError("must be an origin, a scheme and a host and perhaps a port: https://orders.example.com")
    return url.rstrip("/").lower()


PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""Where browsers reach a service; without a slash at its end."""

Origin = Annotated[str, AfterValidator(_origin)]
"""Where a page comes from, as browsers write it in `Origin`."""


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
