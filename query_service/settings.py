"""Settings of the query service."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.database_url import database_url
from shared.jetstream.address import NatsSettings
from shared.settings import PublicUrl, ServiceSettings

MAX_WAIT = 30.0
"""Seconds that a read may wait for a position at most, whatever it wishes."""


class QuerySettings(NatsSettings, ServiceSettings):
    """What the query service reads from the environment."""

    service = "daicho-query"

    read_database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL with the read model, if it is another than the event log's"
    )
    listen_database_url: SecretStr | None = Field(
        default=None, description="A direct connection to the event log, where a pooler sits in front of it"
    )
    query_port: int = Field(default=8002, ge=1, le=65535, description="Port of the query service")
    projection_batch: int = Field(default=1000, ge=1, le=100_000, description="Most events in one projection step")
    poll_interval: float = Field(
        default=1.0, gt=0, le=60, description="Seconds between looks at the log when nothing notifies"
    )
    lease_seconds: float = Field(
        default=3.0,
        ge=0.3,
        le=60,
        description="Seconds without a sign of life after which a replica's partitions are projected by others",
    )
    read_deadline: float = Field(
        default=10.0, gt=0, le=300, description="Seconds in which a read is answered, once the read model is far enough"
    )
    max_waiting_reads: int = Field(
        default=10_000, ge=1, description="Requests that may wait for a position; more get 503"
    )
    max_streams: int = Field(default=2000, ge=1, description="Clients of `GET /events/stream`; more get 503")
    stream_ring_bytes: int = Field(
        default=16 * 1024 * 1024, ge=0, description="Memory for the last events, from which streams are fed"
    )
    stream_stall: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds in which a stream's client must take 64 KiB, or is dropped"
    )
    heartbeat: float = Field(
        default=15.0, gt=0, le=3600, description="Seconds of silence after which a stream shows that it lives"
    )

    answer_cache_bytes: int = Field(
        default=64 * 1024 * 1024, ge=0, description="Memory for answers, each kept until an event affects it; 0: none"
    )

    refresh_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Seconds between refreshes of what analytics are read from"
    )
    rebuild_processes: int = Field(
        default=0, ge=0, le=64, description="Processes that load a projection being rebuilt; 0: one per core"
    )
    keep_previous: int = Field(
        default=86_400,
        ge=0,
        description="Seconds for which a rebuild can be undone at once: the tables before it are kept",
    )

    command_url: PublicUrl | None = Field(
        default=None, description="The command service as browsers reach it; without it the dashboard only shows"
    )

    @field_validator("read_database_url", "listen_database_url")
    @classmethod
    def _also_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            database_url(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _room_beside_streams(self) -> Self:
        if self.max_streams >= self.max_connections:
            raise ValueError(
                "DAICHO_MAX_STREAMS must be less than DAICHO_MAX_CONNECTIONS: each stream keeps a connection"
            )
        return self

    @property
    def grace_seconds(self) -> float:
        """How long the slowest read takes: it waits for its position, and has its deadline."""
        return self.read_deadline + MAX_WAIT

    @property
    def stop_seconds(self) -> float:
        """How long the service takes to end."""
        return self.grace_seconds

    @property
    def log_url(self) -> str:
        """The event log's URL."""
        return self.database_url.get_secret_value()

    @property
    def read_url(self) -> str:
        """The read model's URL."""
        return (self.read_database_url or self.database_url).get_secret_value()

    @property
    def listen_url(self) -> str:
        """The URL that LISTENs."""
        return (self.listen_database_url or self.database_url).get_secret_value()
