"""The head of an answer goes out with its body, or by itself where the body lets wait."""

import asyncio
from typing import cast

from shared.web.transports import JoinedWrites


class Written:
    """A transport that tells what was written to it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


async def _turn() -> None:
    """Let the event loop run what is ready."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _joined() -> tuple[Written, JoinedWrites]:
    transport = Written()
    return transport, JoinedWrites(cast("asyncio.Transport", transport), asyncio.get_running_loop())


async def test_a_head_and_the_body_behind_it_are_one_write() -> None:
    transport, joined = _joined()
    joined.write(b"head ")
    joined.write(b"body")
    assert transport.writes == [b"head body"]
    await _turn()
    joined.write(b" more")
    assert transport.writes == [b"head body", b" more"]


async def test_a_head_does_not_wait_for_a_body_that_comes_later() -> None:
    transport, joined = _joined()
    joined.write(b"head ")
    await _turn()
    assert transport.writes == [b"head "]
    joined.write(b"body")
    assert transport.writes == [b"head ", b"body"]


async def test_what_is_held_is_written_before_the_end() -> None:
    transport, joined = _joined()
    joined.write(b"head")
    joined.close()
    assert (transport.writes, transport.is_closed) == ([b"head"], True)
    await _turn()
    assert transport.writes == [b"head"]


async def test_nothing_is_written_to_a_connection_that_has_ended() -> None:
    transport, joined = _joined()
    joined.write(b"head")
    transport.close()
    await _turn()
    assert transport.writes == []


async def test_a_connection_that_is_cut_is_sent_nothing_more() -> None:
    transport, joined = _joined()
    joined.write(b"head")
    joined.abort()
    await _turn()
    assert (transport.writes, transport.is_aborted) == ([], True)
