"""Errors of the write side, whatever the aggregate.

DaichoError
* CommandError
  x VersionMismatch
  x ConcurrencyConflict
  x IdempotencyKeyReused
* AppendRefused
* InvalidSnapshot
"""

from shared.errors import DaichoError
from shared.event_log.events import Version


class CommandError(DaichoError):
    """Base class for commands that were not carried out, or not known to be."""


class VersionMismatch(CommandError):
    """The stream is not at the version that the client named, in `If-Match` or a line's `expected_version`."""

    def __init__(self, current_version: Version, expected_version: Version) -> None:
        self.current_version = current_version
        super().__init__(f"The expected version is {expected_version}, the current one {current_version}.")

    def members(self) -> dict[str, object]:
        """Give the current version."""
        return {"version": self.current_version}


class ConcurrencyConflict(CommandError):
    """Other commands kept changing the stream while this one was decided."""

    def __init__(self, attempts: int) -> None:
        super().__init__(f"Other commands changed it {attempts} times in a row; nothing was done. Try again.")


class IdempotencyKeyReused(CommandError):
    """The idempotency key stands for another request."""

    def __init__(self) -> None:
        super().__init__("This idempotency key was used for another request.")


class AppendRefused(DaichoError):
    """The database refused an append for its data; nothing was appended."""


class InvalidSnapshot(DaichoError):
    """A snapshot, or a cached state, does not fit the state's class; nothing was changed."""

    def __init__(self, reasons: str) -> None:
        super().__init__(
            f"the state does not parse ({reasons}): it is folded from the events instead, and a new snapshot taken; "
            "`daicho snapshots drop` removes all of them"
        )
