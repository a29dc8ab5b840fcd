"""Identifiers that Daicho makes."""

import hashlib
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Make a UUIDv7: unique, and in order of time."""
    return uuid7()


def new_id_text() -> str:
    """Make a UUIDv7 as text."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> UUID:
    """Make the UUIDv8 that stands for these parts, always the same: 122 bits of their SHA-256."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    bits = int.from_bytes(digest.digest()[:16], "big")
    bits = bits & ~(0xF << 76) | (8 << 76)
    bits = bits & ~(0x3 << 62) | (2 << 62)
    return UUID(int=bits)
