"""Answers from memory, and conditional requests: a layer in front of the routes that knows nothing of them.

A route's `ReadModel` notes what its answer is about; such an answer is kept and has an ETag. A hit does no I/O; those who
ask the same while it is read share the next answer.
"""

import hashlib
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_service.answer_cache import NOTE, Answer, AnswerCache, Note
from query_service.projected_position import ProjectedPosition
from query_service.shared_answers import SharedAnswers, Turn
from shared.event_log.events import Position

_MOST_DIGITS = 18
_OK = 200
_KEPT_HEADERS = (b"content-type",)


class ConditionalAnswers:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, cache: AnswerCache, projected: ProjectedPosition) -> None:
        self._app = app
        self._cache = cache
        self._projected = projected
        self._shared = SharedAnswers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or pass on and keep what comes."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        key = b"%b?%b" % (scope["raw_path"], scope["query_string"])
        headers = _Headers(scope)
        answer = self._cache.get(key)
        if answer is not None and headers.wanted is not None:
            position = max(answer.position, self._projected.value(answer.projections))
            if headers.wanted <= position:
                self._cache.hits += 1
                await _send(send, answer, position, headers)
                return
        turn: Turn | None = None
        # Who has to wait for a position has nobody else wait for it.
        if headers.wanted is not None and headers.wanted <= self._projected.value():
            found = await self._shared.take_turn(key)
            if isinstance(found, Answer) and headers.wanted <= found.position:
                self._cache.shared += 1
                await _send(send, found, found.position, headers)
                return
            turn = found if isinstance(found, Turn) else None
        tell = partial(self._shared.end, key, turn)
        try:
            await self._app(scope, receive, _Keeping(scope, send, key, self._cache, headers, tell).send)
        finally:
            tell(None)


class _Headers:
    """What of a request's headers matters here; `wanted` is None if a route has to look at it."""

    def __init__(self, scope: Scope) -> None:
        self.wanted: int | None = 0
        self.none_match = b""
        is_given = False
        for name, value in scope["headers"]:
            if name == b"event-position":
                self.wanted = int(value) if not is_given and value.isdigit() and len(value) <= _MOST_DIGITS else None
                is_given = True
            elif name == b"if-none-match":
                self.none_match += b"," + value

    def has(self, etag: str) -> bool:
        """Tell whether the client has the answer with this tag already."""
        tags = [tag.strip().removeprefix(b"W/") for tag in self.none_match.split(b",")]
        return b"*" in tags or etag.encode().removeprefix(b"W/") in tags


class _Keeping:
    """Passes a response on; one with a note is collected, kept, and perhaps answered with 304; one with an ETag that too."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        key: bytes,
        cache: AnswerCache,
        headers: _Headers,
        tell: Callable[[Answer | None], None],
    ) -> None:
        self._scope = scope
        self._tell = tell
        self._send = send
        self._key = key
        self._cache = cache
        self._headers = headers
        self._epoch = cache.epoch
        self._start: Message | None = None
        self._is_answered = False
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == _OK:
            headers = dict(message["headers"])
            if NOTE in self._scope:
                self._start = message
                return
            if b"etag" in headers and self._headers.has(headers[b"etag"].decode()):
                kept = [(name, value) for name, value in message["headers"] if not name.startswith(b"content-")]
                await _send_not_modified(self._send, kept)
                self._is_answered = True
                return
        if self._is_answered:
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._end(self._start, self._scope[NOTE])

    async def _end(self, start: MutableMapping[str, Any], note: Note) -> None:
        headers = dict(start["headers"])
        etag = headers.get(b"etag", b"").decode() or f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
        etag = etag if note.has_tag else ""
        kept = [(name, headers[name]) for name in _KEPT_HEADERS if name in headers]
        answer = Answer(note.subject, note.projections, note.position, etag, self._body, kept)
        # A position in the query is of this request alone.
        self._cache.misses += 1
        if note.can_be_kept and b"min_position" not in self._key:
            self._cache.put(self._key, answer, self._epoch)
            self._tell(answer)
        await _send(self._send, answer, note.position, self._headers)


async def _send(send: Send, answer: Answer, position: Position, request: _Headers) -> None:
    headers = [(b"etag", answer.etag.encode())] if answer.etag else []
    headers += [
        (b"event-position", b"%d" % position),
        (b"cache-control", b"private, no-cache"),
    ]
    if answer.etag and request.has(answer.etag):
        await _send_not_modified(send, headers)
        return
    headers += [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_not_modified(send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
