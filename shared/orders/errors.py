"""Errors about orders that both services raise.

DaichoError
* OrderError
  x OrderNotFound
    + NoSuchVersion
    + NotYetPlaced
"""

from shared.errors import DaichoError
from shared.event_log.events import Position


class OrderError(DaichoError):
    """Base class for errors about orders."""


class OrderNotFound(OrderError):
    """No order has this id."""

    def __init__(self, position: Position | None = None, reason: str = "There is no order with this id.") -> None:
        self.position = position
        super().__init__(reason)

    def members(self) -> dict[str, object]:
        """Give the position up to which a read model knows of none."""
        return {} if self.position is None else {"position": self.position}


class NoSuchVersion(OrderNotFound):
    """The order has not come to this version."""

    def __init__(self, version: int, current_version: int) -> None:
        super().__init__(reason=f"The order is at version {current_version}; there is no version {version} yet.")


class NotYetPlaced(OrderNotFound):
    """The order was placed later than that."""

    def __init__(self) -> None:
        super().__init__(reason="The order had not been placed then.")
