"""An issuer of access tokens, good and bad ones, and what has a service trust it."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER = "https://issuer.example"
AUDIENCE = "daicho"
ALL_SCOPES = "orders:write orders:read operations"
WITHOUT_TOKENS = "DAICHO_TEST_WITHOUT_TOKENS"
"""The variable that tells schemathesis that a service asks for no identity: what its document says of tokens does not hold there."""

_MAKE: Mapping[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class SigningKey:
    """A key pair of an issuer."""

    def __init__(self, key_id: str, algorithm: str = "ES256", private: Any = None) -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self.private = _MAKE[algorithm]() if private is None else private

    @property
    def public(self) -> dict[str, Any]:
        """The public half, as a key set has it."""
        algorithm = get_default_algorithms()[self.algorithm]
        return {**json.loads(algorithm.to_jwk(self.private.public_key())), "kid": self.key_id, "use": "sig"}

    def token(self, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Give a token that is good for all; claims that are changed to None are left out."""
        claims = {name: value for name, value in {**good_claims(), **changes}.items() if value is not None}
        return jwt.encode(claims, self.private, self.algorithm, {"kid": self.key_id, **(headers or {})})


def good_claims() -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "aiko", "scope": ALL_SCOPES, "iat": now, "exp": now + 86_400}


def key_set(*keys: SigningKey) -> bytes:
    return json.dumps({"keys": [key.public for key in keys]}).encode()


def unsigned(algorithm: Any = "none", **changes: Any) -> str:
    """Give a token without a signature that says it is of this algorithm."""
    header = {"alg": algorithm, "kid": "one", **changes}
    return ".".join((encoded(header), encoded(good_claims()), ""))


def encoded(part: Any) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def trusting(folder: Path, *keys: SigningKey) -> dict[str, Any]:
    """Give the settings of a service that trusts these keys, from a file."""
    path = folder / "jwks.json"
    if not path.exists() or path.read_bytes() != key_set(*keys):
        path.write_bytes(key_set(*keys))
    return {"token_issuer": ISSUER, "jwks_file": path}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
