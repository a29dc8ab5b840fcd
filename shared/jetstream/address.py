"""Where a JetStream is, and how it is entered: what settings say, before anything is connected."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import DaichoError

StreamName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class NatsMissing(DaichoError):
    """The client of NATS is not installed."""

    def __init__(self) -> None:
        super().__init__("NATS needs nats-py, which is not installed: pip install 'daicho[nats]'")


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """Servers of one cluster, the stream in it, and files with credentials and the authority; URLs may hold passwords."""

    urls: Sequence[str] = field(repr=False)
    stream: str
    credentials: Path | None = None
    authority: Path | None = None


class NatsSettings(BaseSettings):
    """Where events come from, if not from PostgreSQL, and how NATS is entered."""

    model_config = SettingsConfigDict(
        env_prefix="DAICHO_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    event_source: SecretStr | None = Field(
        default=None, description="NATS servers from whose JetStream the query service has its events"
    )
    nats_stream: StreamName = Field(default="daicho", description="The stream's name")
    nats_credentials: Path | None = Field(default=None, description="A file of NATS credentials (`.creds`)")
    nats_ca: Path | None = Field(default=None, description="Certificates of who vouches for the NATS servers")

    @field_validator("event_source")
    @classmethod
    def _nats(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            nats_urls(url.get_secret_value())
        return url

    def address(self, url: SecretStr) -> NatsAddress:
        """Give where the stream is, on the servers of a URL.

        Raises `NatsMissing`.
        """
        if find_spec("nats") is None:
            raise NatsMissing
        return NatsAddress(nats_urls(url.get_secret_value()), self.nats_stream, self.nats_credentials, self.nats_ca)


def nats_urls(url: str) -> Sequence[str]:
    """Read the URLs of a cluster's servers, with commas between them; `nats://` or, encrypted, `tls://`.

    Raises `ValueError` for what is none; it does not quote the URL, which may hold a password.
    """
    urls = [one.strip() for one in url.split(",") if one.strip()]
    for one in urls:
        try:
            parts = urlsplit(one)
            is_one = parts.scheme in {"nats", "tls"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one:
            raise ValueError(
                "must be URLs such as nats://user:password@host:4222, or tls://…, with commas between them"
            )
    if not urls or len({urlsplit(one).scheme for one in urls}) > 1:
        raise ValueError("must be URLs of one scheme, nats:// or tls://")
    return urls
