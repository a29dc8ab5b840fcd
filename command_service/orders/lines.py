"""The lines of a bulk request about orders."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from command_service.bulk_lines import CommandLine
from command_service.orders.commands import CancelOrder, ConfirmOrder, PlaceOrder, ShipOrder
from shared.event_log.events import StreamId
from shared.ids import new_id
from shared.orders.events import AGGREGATE_TYPE
from shared.orders.examples import ORDER_ID


class PlaceOrderLine(CommandLine, PlaceOrder):
    """Place an order."""

    success: ClassVar[int] = 201
    creates: ClassVar[bool] = True

    command: Literal["PlaceOrder"] = Field(description="What to do")

    def stream(self) -> StreamId:
        """Give the order's stream, a new one if the line names none."""
        return StreamId(AGGREGATE_TYPE, self.order_id or new_id())


class _OfAnOrder(CommandLine):
    """Base class of what is done with an order that is there."""

    order_id: UUID = Field(description="The order's id", examples=[ORDER_ID])

    def stream(self) -> StreamId:
        """Give the order's stream."""
        return StreamId(AGGREGATE_TYPE, self.order_id)


class ConfirmOrderLine(_OfAnOrder, ConfirmOrder):
    """Accept a pending order."""

    path: ClassVar[str] = "/{order_id}/confirm"

    command: Literal["ConfirmOrder"] = Field(description="What to do")


class ShipOrderLine(_OfAnOrder, ShipOrder):
    """Send a confirmed order out."""

    path: ClassVar[str] = "/{order_id}/ship"

    command: Literal["ShipOrder"] = Field(description="What to do")


class CancelOrderLine(_OfAnOrder, CancelOrder):
    """Give up an order that has not been shipped."""

    path: ClassVar[str] = "/{order_id}/cancel"

    command: Literal["CancelOrder"] = Field(description="What to do")


OrderLine = Annotated[
    PlaceOrderLine | ConfirmOrderLine | ShipOrderLine | CancelOrderLine, Field(discriminator="command")
]
LINES: TypeAdapter[OrderLine] = TypeAdapter(OrderLine)
