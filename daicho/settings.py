"""Settings of the command line."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.database_url import database_url
from shared.jetstream.address import NatsSettings, nats_urls


class OperatorSettings(NatsSettings):
    """What `daicho` reads from the environment. Without a database URL it runs a PostgreSQL of its own."""

    database_url: SecretStr | None = Field(default=None, description="PostgreSQL with the event log")
    read_database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL with the read model, if it is another"
    )
    listen_database_url: SecretStr | None = Field(
        default=None, description="A direct connection to the event log, where a pooler sits in front of it"
    )
    command_role_password: SecretStr | None = Field(
        default=None, description="Password with which `daicho migrate` lets the role daicho_command log in"
    )
    query_role_password: SecretStr | None = Field(
        default=None, description="Password with which `daicho migrate` lets the role daicho_query log in"
    )
    relay_to: SecretStr | None = Field(default=None, description="NATS servers to which `daicho relay` publishes")
    nats_replicas: int = Field(default=3, ge=1, le=5, description="Servers that each keep the whole stream")
    data_dir: Path = Field(default=Path(".data"), description="Where the embedded PostgreSQL keeps its files")
    host: str = Field(default="127.0.0.1", description="Address that the services listen on")
    command_port: int = Field(default=8001, ge=1, le=65535, description="Port of the command service")
    query_port: int = Field(default=8002, ge=1, le=65535, description="Port of the query service")

    token_issuer: str | None = Field(default=None, description="Whose access tokens are taken: their `iss`")
    token_audience: str = Field(default="daicho", description="What access tokens must be for: their `aud`")
    token: SecretStr | None = Field(default=None, description="Access token that `daicho demo` sends")

    @field_validator("database_url", "read_database_url", "listen_database_url")
    @classmethod
    def _postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            database_url(url.get_secret_value())
        return url

    @field_validator("relay_to")
    @classmethod
    def _relay_to_nats(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            nats_urls(url.get_secret_value())
        return url

    @field_validator("command_role_password", "query_role_password")
    @classmethod
    def _ascii(cls, password: SecretStr | None) -> SecretStr | None:
        # What else a password may be needs normalising first, as RFC 4013 has it.
        if password is not None and not (
            password.get_secret_value().isascii() and password.get_secret_value().isprintable()
        ):
            raise ValueError("must be printable ASCII")
        return password

    @field_validator("query_port")
    @classmethod
    def _another(cls, port: int, others: ValidationInfo) -> int:
        if port == others.data.get("command_port"):
            raise ValueError("is the command service's port: give each its own")
        return port

    @property
    def read_url(self) -> str | None:
        """The read model's URL, if it is not in the event log's database."""
        return self.read_database_url.get_secret_value() if self.read_database_url else None

    @property
    def listen_url(self) -> str | None:
        """The URL that LISTENs, if it is another than the event log's."""
        return self.listen_database_url.get_secret_value() if self.listen_database_url else None
