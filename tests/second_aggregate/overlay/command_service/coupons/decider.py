"""The coupon's commands and rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, assert_never

from pydantic import BaseModel, ConfigDict, Field, StrictInt
from shared.coupons.events import CouponEvent, CouponIssued, CouponNotFound, CouponRedeemed

from command_service.decider import Decider
from shared.errors import DaichoError


class IssueCoupon(BaseModel):
    """Give a coupon out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    percent: Annotated[StrictInt, Field(ge=1, le=100)]


class RedeemCoupon(BaseModel):
    """Use a coupon."""

    model_config = ConfigDict(frozen=True, extra="forbid")


CouponCommand = IssueCoupon | RedeemCoupon


class CouponSpent(DaichoError):
    """The coupon was used before."""


@dataclass(frozen=True, slots=True)
class CouponState:
    """Whether the coupon exists and may be used."""

    issued: bool = False
    redeemed: bool = False


def decide(command: CouponCommand, state: CouponState) -> Sequence[CouponEvent]:
    """Give the event that the command leads to; to issue an issued coupon leads to none."""
    match command:
        case IssueCoupon():
            return () if state.issued else (CouponIssued(percent=command.percent),)
        case RedeemCoupon():
            if not state.issued:
                raise CouponNotFound("There is no coupon with this id.")
            if state.redeemed:
                raise CouponSpent("The coupon was used before.")
            return (CouponRedeemed(),)
        case _:
            assert_never(command)


def evolve(_: CouponState, event: CouponEvent) -> CouponState:
    """Give the state after the event."""
    match event:
        case CouponIssued():
            return CouponState(issued=True)
        case CouponRedeemed():
            return CouponState(issued=True, redeemed=True)
        case _:
            assert_never(event)


DECIDER: Decider[CouponCommand, CouponState, CouponEvent] = Decider(CouponState(), decide, evolve)
