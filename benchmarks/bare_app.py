"""The floor: plain FastAPI endpoints that take the same bodies, give answers of the same bytes, and do nothing."""

import json
import os
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import FastAPI, Query, Response

from command_service.orders.commands import CancelOrder, ConfirmOrder, PlaceOrder, ShipOrder
from shared.process import tune_garbage_collector

ANSWER = "DAICHO_BENCH_ANSWER"
"""The environment variable with the body of every answer to GET."""

_ANSWER = os.environ.get(ANSWER, "{}").encode()


async def place_order(command: PlaceOrder) -> Response:
    """Answer as the command service does."""
    order_id = str(command.order_id or uuid4())
    return _answer(order_id, "pending", 1, 201, {"Location": f"/orders/{order_id}"})


async def confirm_order(order_id: UUID, command: ConfirmOrder | None = None) -> Response:  # noqa: ARG001 - validated
    """Answer as the command service does."""
    return _answer(str(order_id), "confirmed", 2)


async def ship_order(order_id: UUID, command: ShipOrder | None = None) -> Response:  # noqa: ARG001 - validated
    """Answer as the command service does."""
    return _answer(str(order_id), "shipped", 3)


async def cancel_order(order_id: UUID, command: CancelOrder) -> Response:  # noqa: ARG001 - validated
    """Answer as the command service does."""
    return _answer(str(order_id), "cancelled", 2)


async def get_order(order_id: UUID) -> Response:  # noqa: ARG001 - validated
    """Answer with what the environment says."""
    return _read()


async def list_orders(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:  # noqa: ARG001 - validated
    """Answer with what the environment says."""
    return _read()


def _answer(
    order_id: str, status: str, version: int, code: int = 200, headers: dict[str, str] | None = None
) -> Response:
    content = json.dumps({"order_id": order_id, "status": status, "version": version, "position": 1})
    return Response(
        content, code, {"ETag": f'"{version}"', "Event-Position": "1", **(headers or {})}, "application/json"
    )


def _read() -> Response:
    return Response(_ANSWER, headers={"ETag": '"1"', "Event-Position": "1"}, media_type="application/json")


def create() -> FastAPI:
    """Build the app; the garbage collector is as in the services, which makes it faster."""
    app = FastAPI()
    app.post("/orders", status_code=201)(place_order)
    app.post("/orders/{order_id}/confirm")(confirm_order)
    app.post("/orders/{order_id}/ship")(ship_order)
    app.post("/orders/{order_id}/cancel")(cancel_order)
    app.get("/orders/{order_id}")(get_order)
    app.get("/orders")(list_orders)
    tune_garbage_collector()
    return app
