"""Idempotency without a second table: event ids derived from the key, a fingerprint in the metadata.

A key that has taken effect is found by the id of the first event that it led to. A key whose command was
refused left nothing behind, so that the command is decided again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.event_log.events import EventId
from shared.ids import derived_id

_ENCODER = json.JSONEncoder(sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for one request; the same key of another principal is another key.

    `fingerprint` identifies the request: a key stands for one request for ever.
    """

    principal: str
    key: str
    fingerprint: str

    def event_id(self, index: int) -> EventId:
        """Give the id of the request's event number `index`, from 0."""
        return EventId(derived_id("idempotency-key", self.principal, self.key, str(index)))


def fingerprint(method: str, path: str, body: Mapping[str, Any]) -> str:
    """Identify a request by its method, path and JSON, whatever the JSON's spacing and order of keys."""
    content = _ENCODER.encode(body)
    return hashlib.sha256(f"{method} {path}\n{content}".encode()).hexdigest()
