"""uvicorn's protocol with bounds: on heads, on slow clients, on connections, and on requests at once."""

import asyncio
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.web.admission import Admission
from shared.web.refusals import MALFORMED, NOTHING_CAME, TOO_LARGE, Refusal, overloaded, refused_connection, unreadable
from shared.web.transports import JoinedWrites, TimedFlow

MAX_HEAD_BYTES: Final = 32_768
"""Of a request's line and headers together; tokens take a few thousand."""

_LEAST_TAKEN = 65_536
"""Bytes that a client must take in `send_seconds`."""

_MOST_PIPELINED = 100
"""Requests of one connection that wait for the answer to the one before."""


class _Refused:
    """Stands for a request that has been answered here, and that no app has seen."""

    response_started = response_complete = True

    def __init__(self) -> None:
        self.message_event = asyncio.Event()


class BoundedHttp(HttpToolsProtocol):
    """Refuses what is too much while it has cost next to nothing, and holds on to no client that is too slow.

    A head that is too large is answered with 431; counting is done only where more has come at once, or in pieces,
    than a head may have. A request too many gets its 503 here, for a tenth of what an app would take to say so.
    """

    _unfinished = 0
    """Bytes received of a head that has not ended."""
    _chunk = 0
    _is_too_large = False
    _is_receiving = True
    _is_in_body = False
    _is_ending = False
    """Nothing is read any more; the connection ends with the answers to what came before."""
    _running: RequestResponseCycle | None = None
    """The last request that an app was started for; `cycle` is the last one that came."""
    _overdue: asyncio.TimerHandle | None = None
    """Ends the connection if a request has not come whole by then."""
    _stalled: asyncio.TimerHandle | None = None
    """Ends the connection if the client has not taken enough by then."""
    _unsent = 0

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        # The app's, where it has one: what its lifespan gives is there before any connection.
        self._admission: Admission = self.app_state.setdefault("admission", Admission())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a client in; where there are too many, the one that has been silent for longest has to go."""
        super().connection_made(transport)
        self.flow = TimedFlow(transport, self.loop.time, self._has_been_paused)
        if len(self.connections) > self._admission.bounds.connections and not self._make_room():
            problem = self._admission.refusal("/")
            self.transport.write(refused_connection(problem, self.server_state.default_headers))
            self.end()
            return
        self._admission.idle[self] = None
        self._expect_a_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """See a client go."""
        self._admission.idle.pop(self, None)
        for timer in (self._overdue, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self.transport.is_closing() or self._is_ending:
            return
        self._admission.idle.pop(self, None)
        self._chunk = self._unfinished + len(data)
        self._unfinished = self._chunk
        super().data_received(data)
        if self._unfinished > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._end_with(TOO_LARGE)
        if not self._is_waiting_for_more():
            self._has_come()
        elif self._overdue is None:
            self._expect_a_request()

    def on_message_begin(self) -> None:
        """See a request's start."""
        self._is_receiving = True
        self._has_come()  # What went before it. Where it does not come whole at once, its own time runs from then on.
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See that the head was not too large, which raising ends the parser's work over, and that there is room."""
        self._unfinished = 0
        if self._chunk > MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self._is_too_large = True
                raise ValueError("the head is too large")
        self._read_path()
        if len(self.pipeline) >= _MOST_PIPELINED:
            self.transport.abort()  # uvicorn would queue as many as come.
        if self.transport.is_closing():
            return
        if self._admission.refuses(len(self.tasks) - self._admission.aside) and self._can_be_refused_here():
            self._refuse_request()
            return
        super().on_headers_complete()
        self._is_in_body = True
        if self._admission.is_stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unfinished = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See a request's end."""
        self._unfinished = 0
        self._is_receiving = self._is_in_body = False
        if self.transport.is_closing():
            return
        super().on_message_complete()
        if self.cycle.response_complete and self.timeout_keep_alive_task is None:
            self.on_response_complete()  # It was answered before its body had come.

    def on_response_complete(self) -> None:
        """See an answer's end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.end()
        elif self.timeout_keep_alive_task is not None:
            self._admission.idle[self] = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn has one message only
        """Answer what could not be read."""
        self._end_with(TOO_LARGE if self._is_too_large else MALFORMED)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that is not used."""
        self.end()

    def pause_writing(self) -> None:
        """See that the client takes less than it is sent."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self._admission.bounds.send_seconds, self._require_progress)

    def resume_writing(self) -> None:
        """See that the client has taken enough."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def _require_progress(self) -> None:
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent > before - _LEAST_TAKEN:
            self.transport.abort()
        else:
            self._stalled = self.loop.call_later(self._admission.bounds.send_seconds, self._require_progress)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if cycle.scope["method"] != "HEAD":  # Its head is all that there is.
            cycle.transport = cast("asyncio.Transport", JoinedWrites(self.transport, self.loop))
        super()._start_asgi_task(cycle, app)

    def _is_waiting_for_more(self) -> bool:
        """Tell whether a request has begun, or what came is none; not whether a connection is kept for the next."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        is_answered = cycle is None or cycle.response_complete
        return not self._is_ending and (self._is_receiving or (is_answered and self.timeout_keep_alive_task is None))

    def _expect_a_request(self) -> None:
        self._has_come()
        self._overdue = self.loop.call_later(self._admission.bounds.receive_seconds, self._give_up)

    def _has_been_paused(self, seconds: float) -> None:
        """Give a client the time back in which it was us who did not read."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = self.loop.call_at(self._overdue.when() + seconds, self._give_up)

    def _has_come(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _give_up(self) -> None:
        """End a connection whose request is too slow in coming; not where it is us who have stopped reading."""
        if self.flow.read_paused:
            self._expect_a_request()
        else:
            self._end_with(NOTHING_CAME)

    def _end_with(self, refusal: Refusal) -> None:
        """Read no more, and tell why; where earlier requests are not answered, their answers come, and nothing else."""
        if self.transport.is_closing():
            return
        unanswered = self._unanswered()
        if unanswered is not None:
            self._is_ending = True
            self._has_come()
            self.cycle = unanswered
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if not (self._is_in_body and self.cycle.response_started):
            self.transport.write(unreadable(refusal, self.server_state.default_headers))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.end()

    def _unanswered(self) -> RequestResponseCycle | None:
        """Give the last request that has come whole and is not answered; what has not come whole is left out."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and self.pipeline and cycle.more_body:
            self.pipeline.popleft()
            cycle = self.pipeline[0][0] if self.pipeline else self._running
        return None if cycle is None or cycle.response_complete or cycle.more_body else cycle

    def end(self) -> None:
        """Close the connection once the client has taken what it was sent, which it may not take for ever."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self._admission.bounds.send_seconds, self.transport.abort)

    def _make_room(self) -> bool:
        oldest: BoundedHttp | None = next(iter(self._admission.idle), None)
        if oldest is not None:
            del self._admission.idle[oldest]
            oldest.end()
        return oldest is not None

    def _can_be_refused_here(self) -> bool:
        """Tell whether it is none to be answered always, behind none that is not answered, and of no page's (CORS)."""
        before = cast("RequestResponseCycle | None", self.cycle)
        if before is not None and not before.response_complete:
            return False
        return self._admission.counts(self._path) and not any(name == b"origin" for name, _ in self.headers)

    def _read_path(self) -> None:
        """Read the path as the app will; an address without any is that of the root (RFC 9112, 3.2.2)."""
        url = httptools.parse_url(self.url)
        if url.path is None:
            self.url = b"/" if url.query is None else b"/?" + url.query
        self._path = unquote((url.path or b"/").decode("ascii"))

    def _refuse_request(self) -> None:
        if self.flow.write_paused:
            self.transport.abort()  # It takes no answers, and each request would leave one more here.
            return
        self.scope["method"] = self.parser.get_method().decode("ascii")
        is_last = self.expect_100_continue or self._admission.is_stopping or not self.parser.should_keep_alive()
        defaults = self.server_state.default_headers
        self.cycle = cast("RequestResponseCycle", _Refused())
        self._is_in_body = True
        self.transport.write(
            overloaded(cast("Scope", self.scope), self._admission.refusal(self._path), defaults, is_last=is_last)
        )
        if is_last:
            self.transport.close()
        self.on_response_complete()
