"""Why a command about an order is refused.

DaichoError
* OrderError (shared)
  x OrderNotFound (shared)
  x OrderAlreadyExists
  x InvalidTransition
"""

from shared.orders.errors import OrderError, OrderNotFound
from shared.orders.values import OrderStatus

__all__ = ["InvalidTransition", "OrderAlreadyExists", "OrderError", "OrderNotFound"]


class OrderAlreadyExists(OrderError):
    """The order's id is taken."""

    def __init__(self) -> None:
        super().__init__("An order with this id exists already.")


class InvalidTransition(OrderError):
    """The order's status does not allow the command."""

    def __init__(self, done: str, status: OrderStatus) -> None:
        self.status = status
        super().__init__(f"A {status} order cannot be {done}.")

    def members(self) -> dict[str, object]:
        """Give the order's status; `status` itself is the problem's HTTP status (RFC 9457)."""
        return {"order_status": self.status}
