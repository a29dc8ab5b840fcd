"""Errors about orders that both services raise.

DaichoError
* OrderError
  x OrderNotFound
"""

from shared.errors import DaichoError


class OrderError(DaichoError):
    """Base class for errors about orders."""


class OrderNotFound(OrderError):
    """No order has this id."""

    def __init__(self) -> None:
        super().__init__("There is no order with this id.")
