"""Coupons over HTTP, and as the composition root takes them."""

from uuid import UUID

from command_service.coupons.decider import DECIDER, CouponSpent, CouponState, IssueCoupon, RedeemCoupon
from fastapi import APIRouter, Request, Response
from shared.coupons.events import AGGREGATE_TYPE, EVENTS, PROBLEMS

from command_service.aggregate import Aggregate
from command_service.http import CommandRoute, command_response, handle_command
from command_service.snapshots import StateSchema
from shared.event_log.events import StreamId
from shared.web.problems import Problem

router = APIRouter(prefix="/coupons", tags=["coupons"], route_class=CommandRoute)


@router.put("/{coupon_id}", operation_id="issueCoupon")
async def issue_coupon(coupon_id: UUID, command: IssueCoupon, request: Request) -> Response:
    """Give a coupon out."""
    handled = await handle_command(request, StreamId(AGGREGATE_TYPE, coupon_id), command)
    return command_response(handled, {"coupon_id": str(coupon_id)})


@router.post("/{coupon_id}/redeem", operation_id="redeemCoupon")
async def redeem_coupon(coupon_id: UUID, request: Request) -> Response:
    """Use a coupon."""
    handled = await handle_command(request, StreamId(AGGREGATE_TYPE, coupon_id), RedeemCoupon())
    return command_response(handled, {"coupon_id": str(coupon_id)})


COUPONS = Aggregate(
    AGGREGATE_TYPE,
    "coupons:write",
    DECIDER,
    StateSchema(CouponState),
    EVENTS,
    router,
    {**PROBLEMS, CouponSpent: Problem("coupon-spent", 409, "The coupon was used before")},
)
