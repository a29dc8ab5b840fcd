"""Settings that both services take from `DAICHO_*` environment variables."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.database_url import database_url
from shared.hosts import is_loopback, uvicorn_host
from shared.identity.key_set import KeySet
from shared.identity.key_source import keys_of_file, keys_of_url
from shared.identity.verifier import TokenVerifier
from shared.logs import LogFormat, LogLevel, configure_logs
from shared.tracing import Traces, require_exporter

_HOST = r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])"
_ORIGIN = rf"https?://{_HOST}(:[0-9]{{1,5}})?"
_URL = re.compile(_ORIGIN + r"(/[A-Za-z0-9._~%/-]*)?")


def _public_url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError("must be a URL such as https://example.com/orders")
    return url.rstrip("/")


def _origin(url: str) -> str:
    if not re.fullmatch(_ORIGIN, url.rstrip("/")):
        raise ValueError("must be an origin, a scheme and a host and perhaps a port: https://orders.example.com")
    return url.rstrip("/").lower()


def _host_name(name: str) -> str:
    if not re.fullmatch(_HOST, name):
        raise ValueError("must be a name or an address, without a port: orders.example.com")
    return name.lower()


def _split(listed: object) -> object:
    return tuple(one.strip() for one in listed.split(",") if one.strip()) if isinstance(listed, str) else listed


PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""Where browsers reach a service; without a slash at its end."""

Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)]
"""Where pages come from, as browsers write it in `Origin`; in the environment with commas between them."""

HostNames = Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], NoDecode, BeforeValidator(_split)]
"""Names that a service is reached by, as in `Host`, without ports."""


class IdentitySettings(BaseSettings):
    """Whose access tokens are taken; without an issuer, requests are let in without."""

    model_config = SettingsConfigDict(
        env_prefix="DAICHO_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    token_issuer: str | None = Field(default=None, description="Whose access tokens are taken: their `iss`")
    token_audience: str = Field(default="daicho", description="What access tokens must be for: their `aud`")
    jwks_url: str | None = Field(default=None, description="Where the issuer publishes its keys")
    jwks_file: Path | None = Field(default=None, description="The issuer's keys in a file, instead of a URL")

    @field_validator("jwks_url")
    @classmethod
    def _encrypted(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
            if not is_safe or not parts.hostname or "@" in parts.netloc:
                raise ValueError("must be an https URL without a password; http is for loopback")
        return url

    @field_validator("jwks_file")
    @classmethod
    def _with_keys(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                KeySet.parse(path.read_bytes())
            except OSError as error:
                raise ValueError(f"cannot be read: {error.strerror}") from error
        return path

    @model_validator(mode="after")
    def _whole(self) -> Self:
        sources = sum(source is not None for source in (self.jwks_url, self.jwks_file))
        if self.token_issuer is not None and sources != 1:
            raise ValueError("DAICHO_TOKEN_ISSUER needs one of DAICHO_JWKS_URL and DAICHO_JWKS_FILE")
        if self.token_issuer is None and sources:
            raise ValueError("DAICHO_JWKS_URL and DAICHO_JWKS_FILE need DAICHO_TOKEN_ISSUER")
        return self

    def verifier(self) -> TokenVerifier | None:
        """Give what verifies access tokens, if any are asked for."""
        if self.token_issuer is None:
            return None
        if self.jwks_url is not None:
            source = keys_of_url(self.jwks_url)
        else:
            assert self.jwks_file is not None
            source = keys_of_file(self.jwks_file)
        return TokenVerifier(source, self.token_issuer, self.token_audience)


class ServiceSettings(IdentitySettings):
    """Base class of a service's settings: frozen, read once by its `main`. `service` is what traces and logs call it."""

    service: ClassVar[str]

    database_url: SecretStr = Field(description="PostgreSQL with the event log")
    host: str = Field(default="127.0.0.1", description="Address that the services listen on")
    allowed_hosts: HostNames = Field(
        default=(), description="Names beside those of loopback that a service without identity answers under"
    )
    database_pool_size: int = Field(default=5, ge=1, le=200, description="Connections kept to each database")
    max_requests: int = Field(default=256, ge=1, description="Requests worked on at once; more get 503")
    max_connections: int = Field(default=4096, ge=1, description="Clients connected at once")
    receive_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds in which a client must have sent its request"
    )
    drain_seconds: float = Field(
        default=0.0, ge=0, le=300, description="Seconds for which a service that is told to end still takes requests"
    )
    log_format: LogFormat = Field(
        default="auto", description="How logs are written; auto: text on a terminal, else JSON"
    )
    log_level: LogLevel = Field(default="warning", description="What is logged; info: each command and batch too")
    traces: Annotated[Traces, AfterValidator(require_exporter)] = Field(
        default="off", description="Where OpenTelemetry's traces go"
    )

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, url: SecretStr) -> SecretStr:
        database_url(url.get_secret_value())
        return url


S = TypeVar("S", bound=BaseSettings)
V = TypeVar("V", bound=ServiceSettings)


def load(settings: type[S], **given: Any) -> S:
    """Read settings from the environment; what is not valid is named, and ends the process with code 2."""
    try:
        return settings(**given)
    except ValidationError as error:
        for one in error.errors():
            variable = f"DAICHO_{'.'.join(map(str, one['loc'])).upper()}: " if one["loc"] else ""
            sys.stderr.write(f"{variable}{one['msg'].removeprefix('Value error, ')}\n")
        raise SystemExit(2) from None


def load_service(settings: type[V]) -> V:
    """Read a service's settings as `load`, then `require_identity`, and have the process log as they say."""
    loaded = load(settings)
    require_identity(loaded)
    configure_logs(loaded.service, loaded.log_format, loaded.log_level)
    return loaded


def require_identity(settings: ServiceSettings) -> None:
    """End the process with code 2 if the service would be reached from other machines and asks nobody who they are."""
    outside = [host for host in (uvicorn_host(), settings.host) if host is not None and not is_loopback(host)]
    if outside and settings.token_issuer is None:
        sys.stderr.write(
            f"DAICHO_HOST: {outside[0]} is not loopback, so others reach the service: have it ask for access tokens by "
            "DAICHO_TOKEN_ISSUER and either DAICHO_JWKS_URL or DAICHO_JWKS_FILE\n"
        )
        raise SystemExit(2)
