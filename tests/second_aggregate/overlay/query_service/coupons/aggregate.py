"""Coupons over HTTP, and as the composition root takes them."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict
from query_service.coupons.projection import COUPONS_PROJECTION, coupons
from shared.coupons.events import AGGREGATE_TYPE, EVENTS, PROBLEMS, CouponNotFound
from sqlalchemy import ColumnElement, Select, select

from query_service.aggregate import Aggregate
from query_service.read_your_writes import ReadRoute, read_model
from shared.event_log.events import StreamId

router = APIRouter(prefix="/coupons", tags=["coupons"], route_class=ReadRoute)


class CouponAnswer(BaseModel):
    """One coupon."""

    model_config = ConfigDict(from_attributes=True)

    coupon_id: UUID
    percent: int
    redeemed: bool


@router.get("/{coupon_id}", response_model=CouponAnswer, operation_id="getCoupon")
async def get_coupon(coupon_id: UUID, request: Request) -> Response:
    """Give one coupon."""
    read, coupon = await read_model(request), StreamId(AGGREGATE_TYPE, coupon_id)
    position, row = await read.fetch_one(_coupon, [COUPONS_PROJECTION.name], coupon)
    if row is None:
        raise CouponNotFound("There is no coupon with this id.")
    content = CouponAnswer.model_validate(row).model_dump_json()
    return Response(content, headers={"Event-Position": str(position)}, media_type="application/json")


def _coupon(coupon_id: ColumnElement[UUID]) -> Select[Any]:
    return select(coupons).where(coupons.c.coupon_id == coupon_id)


COUPONS = Aggregate(AGGREGATE_TYPE, "coupons:read", EVENTS, (COUPONS_PROJECTION,), router, PROBLEMS)
