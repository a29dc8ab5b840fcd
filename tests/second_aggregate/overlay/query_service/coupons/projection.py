"""`coupons`: one row per coupon."""

from typing import NamedTuple, assert_never, cast
from uuid import UUID

from shared.coupons.events import CouponEvent, CouponIssued, CouponRedeemed
from sqlalchemy import Boolean, Column, Integer, Table, Uuid

from query_service.projection import DecodedEvent
from query_service.row_projection import RowProjection
from query_service.tables import metadata

coupons = Table(
    "coupons",
    metadata,
    Column("coupon_id", Uuid, primary_key=True),
    Column("percent", Integer, nullable=False),
    Column("redeemed", Boolean, nullable=False),
)


class Coupon(NamedTuple):
    """One row of `coupons`."""

    coupon_id: UUID
    percent: int
    redeemed: bool


def fold(row: Coupon | None, decoded: DecodedEvent) -> Coupon:
    """Give the row after an event."""
    event = cast("CouponEvent", decoded.event)
    match event:
        case CouponIssued(percent=percent):
            return Coupon(decoded.record.stream.aggregate_id, percent, redeemed=False)
        case CouponRedeemed():
            if row is None:
                raise LookupError("a coupon was redeemed that was not issued")
            return row._replace(redeemed=True)
        case _:
            assert_never(event)


COUPONS_PROJECTION = RowProjection(
    name="coupons",
    version=1,
    event_types=frozenset({CouponIssued.event_type, CouponRedeemed.event_type}),
    table=coupons,
    row_type=Coupon,
    fold=fold,
)
