"""Refuses what pages of other origins ask to be changed: browsers send simple requests without asking first (CSRF)."""

from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.identity.errors import CrossOrigin
from shared.web.identity import refuse

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({b"same-origin", b"none"})
"""Of `Sec-Fetch-Site`: from a page of ours, or from the reader, who wrote the address."""


class OriginGuard:
    """ASGI middleware; what is no browser names no origin, and is let in."""

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in _SAFE or self._is_let_in(scope):
            await self._app(scope, receive, send)
            return
        await refuse(CrossOrigin(), scope, receive, send)

    def _is_let_in(self, scope: Scope) -> bool:
        """Believe the browser's own word on the site, which no proxy makes wrong; older ones tell the origin alone."""
        headers = dict(scope["headers"])
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if origin in self._origins:
            return True
        if site is not None:
            return site in _OWN
        return origin is None or origin.partition(b"://")[2] == headers.get(b"host")
