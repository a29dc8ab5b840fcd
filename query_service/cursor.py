"""Opaque cursors for keyset pagination."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from shared.errors import DaichoError

_VERSION = 1
_CHECKSUM_BYTES = 8


class InvalidCursor(DaichoError):
    """A cursor was altered, comes from another query, or is none."""

    def __init__(self) -> None:
        super().__init__("Use the next_cursor of an answer to the same query, as it is.")


def encode_cursor(query: str, keys: Sequence[str]) -> str:
    """Make the cursor that stands after the row with these sort keys, in the query of this name."""
    content = json.dumps([_VERSION, query, *keys]).encode()
    return base64.urlsafe_b64encode(_checksum(content) + content).decode().rstrip("=")


def decode_cursor(query: str, cursor: str) -> list[str]:
    """Give the sort keys in a cursor of this query.

    Raises `InvalidCursor`.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    checksum, content = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
    if checksum != _checksum(content):
        raise InvalidCursor
    try:
        version, name, *keys = json.loads(content)
    except (ValueError, TypeError) as error:
        raise InvalidCursor from error
    if version != _VERSION or name != query or not all(isinstance(key, str) for key in keys):
        raise InvalidCursor
    return list(keys)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECKSUM_BYTES]
