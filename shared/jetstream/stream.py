"""The stream: made, held against what it must be, and asked where it ends."""

from collections.abc import Iterator

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from shared.event_log.events import Position
from shared.jetstream.connection import Connection, translate_errors
from shared.jetstream.errors import StreamUnfit
from shared.jetstream.message import SUBJECTS

_DUPLICATE_SECONDS = 120.0


class Stream:
    """The stream of an address; what it is asked, its leader answers. All raise `StreamUnavailable`, of which `StreamUnfit`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.name = connection.address.stream

    async def ensure(self, replicas: int) -> Position:
        """Make it, if there is none, with so many replicas; give its head."""
        context = await self._connection.context()
        with translate_errors():
            try:
                await context.stream_info(self.name)
            except NotFoundError:
                await context.add_stream(_config(self.name, replicas))
        return await self.check(replicas)

    async def check(self, replicas: int = 1) -> Position:
        """Give its head, if it is as it must be."""
        info = await self._info()
        for fault in _faults(info, replicas):
            raise StreamUnfit(f"the stream {self.name} {fault}")
        return Position(info.state.last_seq)

    async def head(self) -> Position:
        """Give the position of its last event; 0 if it is empty."""
        return Position((await self._info()).state.last_seq)

    async def count(self, subject: str) -> tuple[Position, int]:
        """Give its head, and how many events of a subject it has by then."""
        state = (await self._info(subject)).state
        return Position(state.last_seq), (state.subjects or {}).get(subject, 0)

    async def _info(self, subject: str | None = None) -> StreamInfo:
        context = await self._connection.context()
        with translate_errors():
            return await context.stream_info(self.name, subjects_filter=subject)


def _config(name: str, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=name,
        description="Daicho's event log: an event's sequence is its position",
        subjects=[f"{SUBJECTS}.>"],
        storage=StorageType.FILE,
        num_replicas=replicas,
        retention=RetentionPolicy.LIMITS,
        # What is full refuses, and forgets nothing.
        discard=DiscardPolicy.NEW,
        duplicate_window=_DUPLICATE_SECONDS,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
    )


def _faults(info: StreamInfo, replicas: int) -> Iterator[str]:
    config, state = info.config, info.state
    if config.subjects != [f"{SUBJECTS}.>"]:
        yield f"has other subjects than {SUBJECTS}.>"
    if config.storage != StorageType.FILE or config.retention != RetentionPolicy.LIMITS or config.no_ack:
        yield "does not keep what it is given: its storage must be file, its retention limits"
    if config.max_age or (config.max_msgs or -1) > 0 or config.max_msgs_per_subject > 0:
        yield "forgets events: it must have no limit of age or number"
    if config.discard != DiscardPolicy.NEW:
        yield "forgets events when it is full: it must discard new ones"
    if not (config.deny_delete and config.deny_purge):
        yield "lets events be removed: it must deny delete and purge"
    if not config.allow_direct:
        yield "cannot be read by position: it must allow direct access"
    if (config.num_replicas or 1) < replicas:
        yield f"has {config.num_replicas} of {replicas} replicas: give it more, or set DAICHO_NATS_REPLICAS"
    if state.messages != state.last_seq:
        yield f"lacks events: it has {state.messages}, and ends with position {state.last_seq}"
