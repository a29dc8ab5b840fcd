"""What those who look after the command service ask of it."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from shared.web.metrics import metrics_response

router = APIRouter(tags=["operations"])


@router.get("/metrics", operation_id="getMetrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """Tell how many commands came, what became of them and how long they took, in Prometheus's text format."""
    return metrics_response(request)
