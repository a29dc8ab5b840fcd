"""Verifies the log: recomputes the chain of seals, outside of the database, from the rows as they are.

What a seal covers is told in `migrations/event_store/sql/0001/canonical_form.sql` and decision 6.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from daicho.errors import LogAltered
from daicho.operating import Advance

_LOCATOR_BYTES = 4
_EVENTS_AT_ONCE = 250
_SEALS_AT_ONCE = 1000

_SEALS = "SELECT first_position, last_position, digest, locators FROM event_store.seals ORDER BY last_position"

# Not event_store.canonical_form: whoever altered the log may have altered that as well. The form of a row that has lost
# a value, or has a time without end, is empty.
_EVENTS = r"""
SELECT position, coalesce(CASE WHEN isfinite(occurred_at) AND isfinite(recorded_at) THEN convert_to(
    position || E'\n' || aggregate_type || E'\n' || aggregate_id || E'\n' || version || E'\n'
    || event_type || E'\n' || schema_version || E'\n' || event_id || E'\n'
    || event_data || E'\n' || metadata || E'\n'
    || (extract(epoch FROM occurred_at) * 1000000)::bigint || E'\n'
    || (extract(epoch FROM recorded_at) * 1000000)::bigint || E'\n', 'UTF8') END, '')
FROM event_store.events ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A seal's last position and digest, kept outside of the database."""

    position: int
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read POSITION:DIGEST.

        Raises `ValueError`.
        """
        position, _, digest = text.partition(":")
        anchor = cls(int(position), bytes.fromhex(digest))
        if anchor.position < 1 or len(anchor.digest) != hashlib.sha256().digest_size:
            raise ValueError("not a seal")
        return anchor

    def __str__(self) -> str:
        """Write as POSITION:DIGEST."""
        return f"{self.position}:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that matches its seals; `head` is its last seal, if it has one."""

    events: int
    seals: int
    head: Anchor | None


async def verify(connection: "asyncpg.Connection[Any]", advance: Advance, anchor: Anchor | None = None) -> Verified:
    """Recompute the chain of seals, and hold it against an anchor if there is one.

    The caller owns the transaction, whose snapshot is what is verified. Raises `LogAltered`.
    """
    events = _events(connection)
    digest, position, seals, anchored = b"", 0, 0, anchor is None
    async for seal in connection.cursor(_SEALS, prefetch=_SEALS_AT_ONCE):
        if seal["first_position"] != position + 1:
            raise LogAltered(position + 1, f"the next seal covers {seal['first_position']}–{seal['last_position']}")
        forms = [await _form(events, expected) for expected in range(position + 1, seal["last_position"] + 1)]
        digest = hashlib.sha256(digest + b"".join(forms)).digest()
        located = [hashlib.sha256(form).digest()[:_LOCATOR_BYTES] for form in forms]
        if digest != seal["digest"] or seal["locators"] not in {None, b"".join(located)}:
            raise _altered(seal, located, is_sealed=digest == seal["digest"])
        position, seals = seal["last_position"], seals + 1
        if anchor is not None and anchor.position == position:
            if anchor.digest != digest:
                raise LogAltered(position, "its seal is not the anchor's: log and seals were both rewritten")
            anchored = True
        advance(len(forms))
    async for unsealed, _ in events:
        raise LogAltered(unsealed, "it is not sealed")
    if anchor is not None and not anchored:
        if anchor.position > position:
            lost = f"it is missing: the log ends at {position}, before the anchor's {anchor.position}"
            raise LogAltered(position + 1, f"{lost}, or the anchor is another log's")
        raise LogAltered(anchor.position, "no seal ends there, as the anchor says")
    return Verified(position, seals, Anchor(position, digest) if seals else None)


async def _events(connection: "asyncpg.Connection[Any]") -> AsyncIterator[tuple[int, bytes]]:
    """Give each event's position and canonical form."""
    async for position, form in connection.cursor(_EVENTS, prefetch=_EVENTS_AT_ONCE):
        yield position, form


async def _form(events: AsyncIterator[tuple[int, bytes]], expected: int) -> bytes:
    event = await anext(events, None)
    if event is None or event[0] != expected:
        raise LogAltered(expected, "it is missing")
    return event[1]


def _altered(seal: asyncpg.Record, located: list[bytes], *, is_sealed: bool) -> LogAltered:
    """Say which event of a seal is not what was sealed; where the digest matches, its locators are not."""
    first, last, locators = seal["first_position"], seal["last_position"], seal["locators"] or b""
    wrong = [
        first + number
        for number, locator in enumerate(located)
        if locators and locators[number * _LOCATOR_BYTES :][:_LOCATOR_BYTES] != locator
    ]
    if is_sealed:
        return LogAltered(wrong[0] if wrong else first, "it is what was sealed, but its seal's locators were altered")
    if wrong:
        more = f", nor are {len(wrong) - 1} more up to {wrong[-1]}" if len(wrong) > 1 else ""
        return LogAltered(wrong[0], f"it is not what was sealed{more}")
    if first == last:
        return LogAltered(first, "it, or its seal, is not what was sealed")
    return LogAltered(first, f"one of the events {first}–{last}, or their seal, is not what was sealed")
