"""Verifies access tokens: signature, issuer, audience and times, once for each token."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from shared.identity.errors import InvalidToken, KeysUnavailable
from shared.identity.key_set import ALGORITHMS
from shared.identity.key_source import KeySource

_LEEWAY = 30.0
"""Seconds that the clocks of the issuer and of this machine may be apart."""
_MOST_KNOWN = 10_000
_LONGEST_TOKEN = 16_384
_LONGEST_SUBJECT = 255
_TYPES = frozenset({"JWT", "AT+JWT", "APPLICATION/AT+JWT"})
"""What a token may say it is (RFC 9068), in capitals; one that says nothing is taken too."""
_NEEDED = ["exp", "iss", "aud", "sub"]

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it is not valid yet"),
    (jwt.InvalidAudienceError, "it is for another audience"),
    (jwt.InvalidIssuerError, "it is of another issuer"),
    (jwt.InvalidSignatureError, "its signature does not match"),
    (jwt.MissingRequiredClaimError, f"it must have {', '.join(_NEEDED)}"),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as Starlette's `BaseUser` has it, what they may do, and until when (seconds since 1970)."""

    identity: str
    scopes: frozenset[str]
    expires: float
    is_authenticated: bool = True

    @property
    def display_name(self) -> str:
        """Who it is, to read."""
        return self.identity


class TokenVerifier:
    """Tells whose a token is; a token that was verified is known by its hash until it expires or the keys change."""

    def __init__(self, source: KeySource, issuer: str, audience: str, clock: Callable[[], float] = time.time) -> None:
        self.source = source
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._keys = source.keys
        self._known: dict[bytes, Caller] = {}

    async def verify(self, token: bytes) -> Caller:
        """Give the caller whose token it is.

        Raises `InvalidToken`, and `KeysUnavailable` while there are no keys.
        """
        if self._keys is not self.source.keys:
            self._keys = self.source.keys
            self._known.clear()
        digest = hashlib.sha256(token).digest()
        caller = self._known.get(digest)
        if caller is None or caller.expires + _LEEWAY <= self._clock():
            caller = await self._verify(token)
            self._remember(digest, caller)
        return caller

    async def _verify(self, token: bytes) -> Caller:
        if len(token) > _LONGEST_TOKEN:
            raise InvalidToken("it is too long")
        try:
            header = jwt.get_unverified_header(token)
            return _caller(self._decode(token, await self._key(header)))
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "it is not a token of ours")
            raise InvalidToken(reason) from None

    async def _key(self, header: dict[str, Any]) -> jwt.PyJWK:
        """Give the key that a token says it is signed with; an unknown one may be new."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise InvalidToken("its algorithm is not taken")
        if str(header.get("typ", "JWT")).upper() not in _TYPES:
            raise InvalidToken("it is not an access token")
        if (key := self.source.keys.find(key_id, algorithm)) is None:
            await self.source.refresh()
            if self.source.is_empty:
                raise KeysUnavailable("Access tokens cannot be verified right now.")
            key = self.source.keys.find(key_id, algorithm)
        if key is None:
            raise InvalidToken("it is signed with an unknown key")
        return key

    def _decode(self, token: bytes, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audience=self._audience,
            leeway=_LEEWAY,
            options={"require": _NEEDED, "strict_aud": False},
        )

    def _remember(self, digest: bytes, caller: Caller) -> None:
        if len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = caller


def _caller(claims: dict[str, Any]) -> Caller:
    subject, scope = claims["sub"], claims.get("scope", "")
    if not (isinstance(subject, str) and 0 < len(subject) <= _LONGEST_SUBJECT and subject.isprintable()):
        raise InvalidToken(f"its sub must be 1 to {_LONGEST_SUBJECT} printable characters")
    if not isinstance(scope, str):
        raise InvalidToken("its scope must be a text")
    return Caller(subject, frozenset(scope.split()), float(claims["exp"]))
