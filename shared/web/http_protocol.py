"""uvicorn's protocol with a limit: `uvicorn --http shared.web.http_protocol:BoundedHttp`."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 32_768
"""Of a request's line and headers together; tokens take a few thousand."""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Answers a request whose head is too large with 431 and closes the connection; uvicorn would go on reading it.

    Counting is done only where more has come at once, or in pieces, than a head may have.
    """

    _unfinished = 0
    """Bytes received of a head that has not ended."""
    _chunk = 0
    _is_too_large = False

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._chunk = self._unfinished + len(data)
        self._unfinished = self._chunk
        super().data_received(data)
        if self._unfinished > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """See that the head was not too large; raising ends the parser's work, and `send_400_response` follows."""
        self._unfinished = 0
        if self._chunk > MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self._is_too_large = True
                raise ValueError("the head is too large")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See a request's end."""
        self._unfinished = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be read."""
        if self._is_too_large:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()
