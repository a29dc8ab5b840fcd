"""A key pair for development: who has it signs access tokens that services take which trust its public key."""

import hashlib
import json
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from daicho.errors import DevelopmentKeyUnusable
from daicho.settings import OperatorSettings

_ISSUER = "daicho-development"


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """The pair, and where the services find its public half."""

    private: Ed25519PrivateKey
    key_set: Path
    issuer: str
    audience: str

    @property
    def variables(self) -> Mapping[str, str]:
        """Give what has a service take the tokens."""
        return {
            "DAICHO_TOKEN_ISSUER": self.issuer,
            "DAICHO_TOKEN_AUDIENCE": self.audience,
            "DAICHO_JWKS_FILE": str(self.key_set),
        }

    def sign(self, subject: str, scopes: Sequence[str], seconds: int) -> str:
        """Give an access token (RFC 9068) that is valid from now on."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + seconds,
            "jti": str(uuid4()),
        }
        return jwt.encode(claims, self.private, "EdDSA", {"kid": _public(self.private)["kid"], "typ": "at+jwt"})


def development_keys(settings: OperatorSettings) -> DevelopmentKeys:
    """Give the pair of the data directory; the first time it is made. The private half is its owner's alone to read.

    Raises `DevelopmentKeyUnusable`.
    """
    folder = settings.data_dir.absolute() / "identity"
    key_set = folder / "jwks.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private = _private(folder / "private.pem")
        _replace(key_set, json.dumps({"keys": [_public(private)]}) + "\n")
    except OSError as error:
        raise DevelopmentKeyUnusable(folder, error.strerror or str(error)) from error
    return DevelopmentKeys(private, key_set, settings.token_issuer or _ISSUER, settings.token_audience)


def _private(path: Path) -> Ed25519PrivateKey:
    """Read the private key, or make it: of two who do so at once, one makes it."""
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        made = _written_beside(path, pem)
        try:
            os.link(made, path)
        except FileExistsError:
            pass  # The other one's is as good.
        finally:
            made.unlink()
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise DevelopmentKeyUnusable(path, "it is no private key of ours: remove it to have another made")
    return key


def _replace(path: Path, text: str) -> None:
    """Write a file that readers see whole, if it is not as it should be already."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        made = _written_beside(path, text.encode())
        made.chmod(0o644)
        made.replace(path)


def _written_beside(path: Path, content: bytes) -> Path:
    """Write a new file that its owner alone can read."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
        return Path(file.name)


def _public(private: Ed25519PrivateKey) -> Mapping[str, str]:
    """Give the public half as a JSON Web Key, named by its thumbprint (RFC 7638)."""
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = {"crv": "Ed25519", "kty": "OKP", "x": _base64(raw)}
    thumbprint = hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).digest()
    return {**key, "kid": _base64(thumbprint), "alg": "EdDSA", "use": "sig"}


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
