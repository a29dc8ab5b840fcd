"""Errors about orders that both services raise.

DaichoError
* OrderError
  x OrderNotFound
"""

from shared.errors import DaichoError
from shared.event_log.events import Position


class OrderError(DaichoError):
    """Base class for errors about orders."""


class OrderNotFound(OrderError):
    """No order has this id."""

    def __init__(self, position: Position | None = None) -> None:
        self.position = position
        super().__init__("There is no order with this id.")

    def members(self) -> dict[str, object]:
        """Give the position up to which a read model knows of none."""
        return {} if self.position is None else {"position": self.position}
