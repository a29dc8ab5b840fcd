"""However requests are cut and pipelined: one answer for each, in their order, and none that is not documented. I1, I10."""

import asyncio
from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.test_slow_clients import connected, said
from tests.support.served import serving

_GARBAGE = [b"\0\r\n\r\n", b"GET\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\na: " + b"x" * 40_000]
Conversation = tuple[list[bytes], bytes, Sequence[int]]
_BODIES = st.binary(max_size=200)


def echo() -> FastAPI:
    """Give an app that answers each request with its number, most of them later than the next one comes."""
    app = FastAPI()

    @app.api_route("/{number}", methods=["GET", "POST"])
    async def answer(number: int, request: Request) -> Response:
        body = await request.body()
        for _ in range(number % 3):
            await asyncio.sleep(0)
        return Response(b"<%d:%d>" % (number, len(body)))

    return app


@st.composite
def _conversations(draw: st.DrawFn) -> Conversation:
    """Draw the answers to requests, these and what comes after them, and where the requests are cut."""
    requests = []
    for number in range(draw(st.integers(0, 6))):
        body = draw(_BODIES)
        if draw(st.booleans()):
            framing = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        else:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            framing = b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunk
        head = b"%b /%d HTTP/1.1\r\nHost: localhost\r\n" % (draw(st.sampled_from([b"GET", b"POST"])), number)
        requests.append((head + framing, b"<%d:%d>" % (number, len(body))))
    then = draw(st.sampled_from(_GARBAGE))
    size = sum(len(one) for one, _ in requests)
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=5)))
    return [answer for _, answer in requests], b"".join(one for one, _ in requests) + then, cuts


@given(st.lists(_conversations(), min_size=1, max_size=20))
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_request_is_answered_once_and_in_its_turn(conversations: list[Conversation]) -> None:
    for (answers, _, _), received in zip(conversations, asyncio.run(_all(conversations)), strict=True):
        parts = received.split(b"HTTP/1.1 ")[1:]
        own, others = parts[: len(answers)], parts[len(answers) :]
        assert [part[:3] for part in own] == [b"200"] * len(answers)
        assert [part.partition(b"\r\n\r\n")[2] for part in own] == answers
        assert [part[:3] for part in others] in ([], [b"400"], [b"431"])
        assert others or answers, "what came last is told, if nothing came before it"


async def _all(conversations: list[Conversation]) -> list[bytes]:
    async with serving(echo()) as (port, _):
        return await asyncio.gather(*(_ask(port, content, cuts) for _, content, cuts in conversations))


async def _ask(port: int, content: bytes, cuts: Sequence[int]) -> bytes:
    async with connected(port) as (reader, writer):
        received = asyncio.create_task(said(reader))
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            writer.write(content[start:end])
            await asyncio.sleep(0)
        return await received
