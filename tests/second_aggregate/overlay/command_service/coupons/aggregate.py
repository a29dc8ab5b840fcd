"""Coupons over HTTP, and as the composition root takes them."""

from typing import Annotated
from uuid import UUID

from command_service.coupons.decider import DECIDER, CouponCommand, CouponSpent, CouponState, IssueCoupon, RedeemCoupon
from fastapi import APIRouter, Depends, Response
from shared.coupons.events import AGGREGATE_TYPE, EVENTS, PROBLEMS, CouponEvent

from command_service.aggregate import Aggregate
from command_service.http import CommandRoute, Commands, command_response, commands_of
from shared.event_log.events import StreamId
from shared.web.problems import Problem

router = APIRouter(prefix="/coupons", tags=["coupons"], route_class=CommandRoute)

Coupons = Annotated[Commands[CouponCommand, CouponState, CouponEvent], Depends(commands_of(AGGREGATE_TYPE))]


@router.put("/{coupon_id}", operation_id="issueCoupon")
async def issue_coupon(coupon_id: UUID, command: IssueCoupon, coupons: Coupons) -> Response:
    """Give a coupon out."""
    handled = await coupons.handle(StreamId(AGGREGATE_TYPE, coupon_id), command)
    return command_response(handled, {"coupon_id": str(coupon_id)})


@router.post("/{coupon_id}/redeem", operation_id="redeemCoupon")
async def redeem_coupon(coupon_id: UUID, coupons: Coupons) -> Response:
    """Use a coupon."""
    handled = await coupons.handle(StreamId(AGGREGATE_TYPE, coupon_id), RedeemCoupon())
    return command_response(handled, {"coupon_id": str(coupon_id)})


COUPONS = Aggregate(
    AGGREGATE_TYPE,
    DECIDER,
    EVENTS,
    router,
    {**PROBLEMS, CouponSpent: Problem("coupon-spent", 409, "The coupon was used before")},
)
