"""Settings of the command service."""

from pydantic import Field

from shared.settings import Origins, ServiceSettings


class CommandSettings(ServiceSettings):
    """What the command service reads from the environment."""

    service = "daicho-command"

    command_port: int = Field(default=8001, ge=1, le=65535, description="Port of the command service")
    max_body_bytes: int = Field(default=1_048_576, ge=1024, description="Largest request body")
    max_bulk_bytes: int = Field(default=4_194_304, ge=1024, description="Largest body of a bulk request")
    bulk_requests: int = Field(
        default=4, ge=1, le=64, description="Bulk requests that are carried out at once; more wait for their turn"
    )
    queue_commits: int = Field(default=2048, ge=1, description="Commands that may wait to be appended; more get 503")
    batch_commits: int = Field(default=256, ge=1, le=10_000, description="Most commands in one append")
    command_deadline: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Seconds in which a command is answered: decided, sent and known to have taken effect",
    )
    state_cache_bytes: int = Field(
        default=67_108_864, ge=0, description="Memory for the states of aggregates that were just changed; 0: none"
    )
    cors_origins: Origins = Field(
        default=(), description="Origins of the pages that may send commands, with commas between them"
    )

    @property
    def grace_seconds(self) -> float:
        """How long the slowest request takes, which is a bulk request: its turn, its body, its lines' begin, and their end."""
        return 4 * self.command_deadline

    @property
    def stop_seconds(self) -> float:
        """How long the service takes to end: after the last answer, what was sent to the log is waited for."""
        return self.grace_seconds + self.command_deadline
