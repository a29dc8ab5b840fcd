"""Why a request is not let through.

DaichoError
* IdentityError
  x CrossOrigin
  x ForeignHost
  x InsufficientScope
  x InvalidToken
  x KeysUnavailable
  x MissingToken
  x OffLoopback

Their texts are read by whoever sent the request: they tell what is wrong with it, and nothing of the keys or the token.
"""

from collections.abc import Iterable

from shared.errors import DaichoError


class IdentityError(DaichoError):
    """Base class for what keeps a request from its route."""


class MissingToken(IdentityError):
    """The request has no access token."""

    def __init__(self) -> None:
        super().__init__("This needs an access token: Authorization: Bearer TOKEN.")


class InvalidToken(IdentityError):
    """The access token is none, or not for us, or not now; the reason is plain ASCII without quotes."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The access token is refused: {reason}.")


class InsufficientScope(IdentityError):
    """The access token is good, and does not allow this."""

    def __init__(self, needed: Iterable[str]) -> None:
        self.needed = tuple(sorted(needed))
        super().__init__(f"This needs an access token with the scope {' '.join(self.needed)}.")


class KeysUnavailable(IdentityError):
    """The keys that tokens are verified with could not be read."""


class CrossOrigin(IdentityError):
    """A page of another origin, which is not let in, asks for something to be changed."""

    def __init__(self) -> None:
        super().__init__("Pages of other origins may not ask for this.")


class ForeignHost(IdentityError):
    """A service that asks for no identity was asked by a name that is not known to stand for it."""

    def __init__(self) -> None:
        super().__init__(
            "Without identity, requests are answered under names of loopback, and of DAICHO_ALLOWED_HOSTS, only."
        )


class OffLoopback(IdentityError):
    """The request came from outside to a service that asks for no identity."""

    def __init__(self) -> None:
        super().__init__("Without identity, requests are answered on loopback only.")
