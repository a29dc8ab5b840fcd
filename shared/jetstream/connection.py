"""One connection to a NATS cluster, and the one place where its client's errors become Daicho's."""

import asyncio
import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.jetstream.address import NatsAddress
from shared.jetstream.errors import StreamUnavailable, StreamUnfit

_logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
_AGAIN_SECONDS = 0.2
_SILENT_SECONDS = 30.0

_NO_SUCH_STREAM = 10059
_NO_REPLICAS = 10074
_SUBJECTS_TAKEN = 10065


class Connection:
    """Connects at first use, and by itself again."""

    def __init__(self, address: NatsAddress, name: str) -> None:
        self.address = address
        self._name = name
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._said, self._silent_until = "", 0.0

    async def client(self) -> Client:
        """Give the client, connected, or connecting again. Raises `StreamUnavailable`."""
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                return await self._connect()
            return self._client

    async def context(self) -> JetStreamContext:
        """Give JetStream on the client. Raises `StreamUnavailable`."""
        return (await self.client()).jetstream(timeout=_ANSWER_SECONDS)

    async def close(self) -> None:
        """Close it, and drop what is not sent; the next use connects anew."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _log(self, what: str) -> None:
        """Log what is wrong, but the same again only now and then: the client tries several times a second."""
        if what != self._said or monotonic() > self._silent_until:
            self._said, self._silent_until = what, monotonic() + _SILENT_SECONDS
            _logger.warning("NATS: %s", what)

    async def _connect(self) -> Client:
        client = Client()
        ends_at = monotonic() + _CONNECT_SECONDS

        async def tell(error: Exception) -> None:
            self._log(str(error) or type(error).__name__)
            # Not cancelled from outside: that could leave a socket behind.
            if self._client is not client and (
                monotonic() > ends_at or isinstance(error, nats.errors.AuthorizationError)
            ):
                raise StreamUnavailable("JetStream cannot be reached") from error

        try:
            with translate_errors():
                await client.connect(
                    servers=list(self.address.urls),
                    name=self._name,
                    error_cb=tell,
                    max_reconnect_attempts=-1,
                    # In fractions of seconds too, though not so annotated.
                    reconnect_time_wait=_AGAIN_SECONDS,  # type: ignore[arg-type]
                    connect_timeout=2,
                    ping_interval=5,
                    user_credentials=str(self.address.credentials) if self.address.credentials else None,
                    tls=ssl.create_default_context(cafile=self.address.authority) if self._is_encrypted else None,
                )
        except BaseException:
            await client.close()
            raise
        self._client = client
        return client

    @property
    def _is_encrypted(self) -> bool:
        return self.address.authority is not None or self.address.urls[0].startswith("tls:")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the client's errors into `StreamUnavailable` and `StreamUnfit`; who was cancelled meanwhile ends, though."""
    try:
        with _translated():
            yield
    finally:
        _heed_cancellation()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except nats.errors.MaxPayloadError as error:
        raise StreamUnfit("an event is larger than the NATS servers take: raise their max_payload") from error
    except nats.js.errors.APIError as error:
        if error.err_code == _NO_SUCH_STREAM:
            raise StreamUnfit("there is no such stream: `daicho relay` makes it") from error
        if error.err_code == _SUBJECTS_TAKEN:
            raise StreamUnfit("another stream of this NATS account has the subjects daicho.events.>") from error
        if error.err_code == _NO_REPLICAS:
            raise StreamUnfit("the NATS server is alone: DAICHO_NATS_REPLICAS must be 1") from error
        raise StreamUnavailable(f"JetStream refuses now: {error.description or error.code}") from error
    except (nats.errors.Error, OSError, json.JSONDecodeError) as error:
        raise StreamUnavailable("JetStream cannot be reached") from error


def _heed_cancellation() -> None:
    """Raise what the client may have lost: `asyncio.wait_for`, up to Python 3.11, swallows a cancellation that comes with the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
