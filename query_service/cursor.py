"""Opaque cursors for keyset pagination."""

import base64
import hashlib
import json
from collections.abc import Sequence

from shared.errors import DaichoError

_VERSION = bytes([2])
"""Of the format. A cursor of another version is refused: pagination starts anew after such a release."""

_CHECKSUM_BYTES = 8


class InvalidCursor(DaichoError):
    """A cursor was altered, comes from another query, or is none."""

    def __init__(self) -> None:
        super().__init__("Use the next_cursor of an answer to the same query, as it is.")


def encode_cursor(query: str, keys: Sequence[str]) -> str:
    """Make the cursor that stands after the row with these sort keys, in the query of this name.

    The name says all that the query's rows depend on. It is in the checksum only, so a cursor tells its keys and
    holds for its own query alone.

    The checksum finds what was altered, cut, or taken from elsewhere. It is not keyed: whoever computes it is shown
    rows after keys of their own choice, which a filter on those keys shows them as well. A secret would guard nothing,
    and would have to be shared by all replicas and outlast restarts.
    """
    content = json.dumps(keys, separators=(",", ":")).encode()
    checksum = hashlib.sha256(_VERSION + json.dumps(query).encode() + content).digest()[:_CHECKSUM_BYTES]
    return base64.urlsafe_b64encode(_VERSION + checksum + content).decode().rstrip("=")


def decode_cursor(query: str, cursor: str) -> list[str]:
    """Give the sort keys in a cursor of this query.

    Raises `InvalidCursor`.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        keys = json.loads(raw[len(_VERSION) + _CHECKSUM_BYTES :])
    except (ValueError, RecursionError) as error:
        raise InvalidCursor from error
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InvalidCursor
    # Only the very text that was given out is taken: base64 and JSON have other spellings of the same.
    if encode_cursor(query, keys) != cursor:
        raise InvalidCursor
    return keys
