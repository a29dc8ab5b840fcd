"""The public keys of an issuer of tokens, as a JSON Web Key Set (RFC 7517) has them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Those that are taken, whatever a token or a key says: no shared secrets (HS256), and never `none`."""

_PUBLIC_MEMBERS = frozenset({"kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"})
_LEAST_RSA_BITS = 2048


class KeySet:
    """Keys by what a token's header says of its own; those that are for other uses or algorithms are left out."""

    def __init__(self, keys: Sequence[jwt.PyJWK]) -> None:
        self._keys = keys

    @classmethod
    def parse(cls, text: bytes) -> "KeySet":
        """Read a JSON Web Key Set.

        Raises `ValueError` if it is none, or has no key that can be used.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("is not JSON") from None
        match content:
            case {"keys": [*given]}:
                keys = [key for one in given if isinstance(one, dict) and (key := _key(one))]
            case _:
                raise ValueError("is not a JSON Web Key Set")
        if not keys:
            raise ValueError(f"has no public key for {', '.join(ALGORITHMS)}")
        return cls(keys)

    def find(self, key_id: object, algorithm: object) -> jwt.PyJWK | None:
        """Give the key of this id for this algorithm, without an id the only one for it; None if it is not certain."""
        of_it = [key for key in self._keys if key.algorithm_name == algorithm]
        found = [key for key in of_it if key_id is None or key.key_id == key_id]
        return found[0] if len(found) == 1 else None


def _key(given: Mapping[str, Any]) -> jwt.PyJWK | None:
    """Give a key that signatures of ours can be verified with; what is private of it is not kept."""
    if given.get("use", "sig") != "sig" or not isinstance(given.get("kid"), str | None):
        return None
    try:
        key = jwt.PyJWK({name: value for name, value in given.items() if name in _PUBLIC_MEMBERS})
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, LookupError):
        return None
    is_weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS
    return key if key.algorithm_name in ALGORITHMS and not is_weak else None
