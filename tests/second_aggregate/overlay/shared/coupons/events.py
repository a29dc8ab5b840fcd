"""What can happen to a coupon."""

from typing import ClassVar

from shared.errors import DaichoError
from shared.event_log.events import DomainEvent
from shared.event_log.registry import EventRegistry
from shared.web.problems import Problem, Problems

AGGREGATE_TYPE = "coupon"


class CouponIssued(DomainEvent):
    """A coupon was given out; `percent` off."""

    event_type: ClassVar = "CouponIssued"

    percent: int


class CouponRedeemed(DomainEvent):
    """The coupon was used."""

    event_type: ClassVar = "CouponRedeemed"


CouponEvent = CouponIssued | CouponRedeemed

EVENTS = EventRegistry.of((CouponIssued, CouponRedeemed))


class CouponNotFound(DaichoError):
    """No coupon has this id."""


PROBLEMS: Problems = {CouponNotFound: Problem("coupon-not-found", 404, "There is no such coupon")}
