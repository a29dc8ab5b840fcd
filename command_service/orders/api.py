"""The order commands over HTTP."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from command_service.bulk_http import BULK_REQUEST, BulkAnswer, handle_bulk
from command_service.command_handler import Handled
from command_service.http import CommandRoute, command_response, handle_command
from command_service.orders.commands import CancelOrder, ConfirmOrder, OrderCommand, PlaceOrder, ShipOrder
from command_service.orders.decider import OrderState
from command_service.orders.lines import LINES
from shared.event_log.events import StreamId
from shared.ids import new_id
from shared.orders.events import AGGREGATE_TYPE
from shared.orders.examples import ORDER_ID
from shared.orders.values import OrderStatus

OrderId = Annotated[UUID, Path(description="The order's id", examples=[ORDER_ID])]

router = APIRouter(prefix="/orders", tags=["orders"], route_class=CommandRoute)


class OrderAnswer(BaseModel):
    """What became of the order; `position` is that of the command's event in the log."""

    order_id: UUID = Field(description="The order's id", examples=[ORDER_ID])
    status: OrderStatus = Field(description="Where the order stands after the command", examples=["pending"])
    version: int = Field(ge=1, description="The order's version after the command, for `If-Match`", examples=[1])
    position: int = Field(ge=1, description="The position of the command's event, for `Event-Position`", examples=[1])


@router.post("", status_code=201, response_model=OrderAnswer, operation_id="placeOrder", summary="Place an order")
async def place_order(command: PlaceOrder, request: Request) -> Response:
    """Place an order: it is then pending."""
    order_id = command.order_id or new_id()
    placed = await _handle(request, order_id, command, creates=True)
    return _answer(placed, 201, f"/orders/{placed.stream.aggregate_id}")


@router.post(
    "/{order_id}/confirm", response_model=OrderAnswer, operation_id="confirmOrder", summary="Confirm a pending order"
)
async def confirm_order(order_id: OrderId, request: Request, command: ConfirmOrder | None = None) -> Response:
    """Accept the order."""
    return _answer(await _handle(request, order_id, command or ConfirmOrder()))


@router.post("/{order_id}/ship", response_model=OrderAnswer, operation_id="shipOrder", summary="Ship a confirmed order")
async def ship_order(order_id: OrderId, request: Request, command: ShipOrder | None = None) -> Response:
    """Send the order out."""
    return _answer(await _handle(request, order_id, command or ShipOrder()))


@router.post(
    "/{order_id}/cancel",
    response_model=OrderAnswer,
    operation_id="cancelOrder",
    summary="Cancel an order that has not been shipped",
)
async def cancel_order(order_id: OrderId, command: CancelOrder, request: Request) -> Response:
    """Give the order up."""
    return _answer(await _handle(request, order_id, command))


@router.post(
    "/batch",
    operation_id="sendCommands",
    summary="Send many commands",
    response_class=BulkAnswer,
    openapi_extra=BULK_REQUEST,
)
async def send_commands(request: Request) -> Response:
    """Carry out up to 1,000 commands, a line each. The answer has a line for each of them, in their order."""
    return await handle_bulk(request, AGGREGATE_TYPE, LINES, _members)


async def _handle(
    request: Request, order_id: UUID, command: OrderCommand, *, creates: bool = False
) -> Handled[OrderState]:
    return await handle_command(request, StreamId(AGGREGATE_TYPE, order_id), command, creates=creates)


def _answer(handled: Handled[OrderState], status: int = 200, location: str | None = None) -> Response:
    return command_response(handled, _members(handled), status, location)


def _members(handled: Handled[OrderState]) -> Mapping[str, str]:
    assert handled.state.status is not None
    return {"order_id": str(handled.stream.aggregate_id), "status": handled.state.status.value}
