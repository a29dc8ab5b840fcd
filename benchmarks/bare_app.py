"""The floor: an app of the services' shape that validates the same requests and does nothing."""

import json
import os
from uuid import UUID

from fastapi import APIRouter, FastAPI, Response

from command_service.orders.commands import PlaceOrder
from shared.ids import new_id
from shared.process import tune_garbage_collector
from shared.web.correlation import CorrelationMiddleware
from shared.web.problem_answers import install_problems
from shared.web.strict_json import StrictJsonRoute

ANSWER = "DAICHO_BENCH_ANSWER"
"""The environment variable with the answer to `GET /orders/{order_id}`."""

_ANSWER = os.environ.get(ANSWER, "{}").encode()

router = APIRouter(prefix="/orders", route_class=StrictJsonRoute)


@router.post("", status_code=201)
async def place_order(command: PlaceOrder) -> Response:
    """Answer as the command service does, having done nothing."""
    order_id = str(command.order_id or new_id())
    headers = {"ETag": '"1"', "Event-Position": "1", "Location": f"/orders/{order_id}"}
    content = json.dumps({"order_id": order_id, "status": "pending", "version": 1, "position": 1})
    return Response(content, 201, headers, media_type="application/json")


@router.get("/{order_id}")
async def get_order(order_id: UUID) -> Response:  # noqa: ARG001 - validated
    """Answer with what the environment says."""
    return Response(_ANSWER, headers={"ETag": '"1"', "Event-Position": "1"}, media_type="application/json")


def create() -> FastAPI:
    """Build the app."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.max_body_bytes = 1_048_576
    app.add_middleware(CorrelationMiddleware)
    install_problems(app, [])
    app.include_router(router)
    tune_garbage_collector()
    return app
