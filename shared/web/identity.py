"""Lets a request through to its route if its access token allows that (RFC 6750), and tells the route whose it is."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from starlette._utils import get_route_path  # the router's own: what it makes of a path is what counts
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.hosts import is_address, is_loopback
from shared.identity.errors import (
    ForeignHost,
    IdentityError,
    InsufficientScope,
    InvalidToken,
    MissingToken,
    OffLoopback,
)
from shared.identity.verifier import Caller, TokenVerifier
from shared.web.access import OPEN, Access, AccessRules
from shared.web.problem_answers import problem_response
from shared.web.problems import SHARED_PROBLEMS, explain

_REALM = 'Bearer realm="daicho"'


class IdentityMiddleware:
    """Asks for a token wherever the rules do not say that a route is open.

    ASGI middleware in front of all that answers: answers from memory are as well guarded as routes are.
    """

    def __init__(self, app: ASGIApp, verifier: TokenVerifier, rules: AccessRules) -> None:
        self._app = app
        self._verifier = verifier
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; `user` is then its caller."""
        if scope["type"] == "http":
            access = self._rules.find(scope["method"], get_route_path(scope))
            if access is not OPEN:
                try:
                    scope["user"] = await self._caller(scope, access)
                except IdentityError as error:
                    await refuse(error, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, access: Access) -> Caller:
        caller = await self._verifier.verify(_token(scope))
        if not access.admits(caller.scopes):
            raise InsufficientScope(access.options[0])
        return caller


class LoopbackOnly:
    """Stands where no identity is asked for: what comes from outside is refused, however the server was started.

    So is what names another host than loopback or `hosts`: a page whose name was made to stand for loopback (DNS
    rebinding) is one of the service's own origin to its browser.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that came to an address of loopback, or to none that is known."""
        if scope["type"] == "http" and (error := self._refusal(scope)) is not None:
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> IdentityError | None:
        server = scope.get("server")
        if server is not None and _is_outside(server[0]):
            return OffLoopback()
        hosts = [_host(value) for name, value in scope["headers"] if name == b"host"]
        return None if all(host in self._hosts or is_loopback(host) for host in hosts) else ForeignHost()


def challenge(error: IdentityError) -> Mapping[str, str]:
    """Give the header that tells how to be let in."""
    match error:
        case MissingToken():
            return {"WWW-Authenticate": _REALM}
        case InvalidToken():
            return {"WWW-Authenticate": f'{_REALM}, error="invalid_token", error_description="{error.reason}"'}
        case InsufficientScope():
            scope = " ".join(error.needed)
            return {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'}
    return {}


async def refuse(error: IdentityError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the problem, in the place of the app."""
    explanation = explain(SHARED_PROBLEMS, error)
    assert explanation is not None
    response = problem_response(Request(scope), explanation, challenge(error))
    await response(scope, receive, send)


def _token(scope: Scope) -> bytes:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        raise MissingToken
    kind, _, token = given[0].partition(b" ")
    if len(given) > 1 or kind.lower() != b"bearer":
        raise InvalidToken("there must be one Authorization, of the kind Bearer")
    return bytes(token.strip(b" "))


@lru_cache(maxsize=64)
def _is_outside(server: str) -> bool:
    """Tell whether it is an address of a network; a name, or the path of a socket, is none."""
    return is_address(server) and not is_loopback(server)


@lru_cache(maxsize=64)
def _host(header: bytes) -> str:
    """Give the name or address of a `Host`, without its port."""
    host = header.decode("latin-1").strip().lower()
    return host.rpartition(":")[0] if re.fullmatch(r"(\[[^\]]*\]|[^:]*):[0-9]*", host) else host
