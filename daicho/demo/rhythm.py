"""When a shop is busy: over a day, a week, months of growth. Pure; all times are in UTC."""

import math
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

DAY_SECONDS = 60.0
"""In live traffic a day passes in a minute: an order placed is confirmed and shipped while one watches."""
TIME_LAPSE = timedelta(days=1).total_seconds() / DAY_SECONDS

_BY_HOUR = (3, 2, 1, 1, 1, 2, 4, 8, 12, 15, 17, 18, 19, 17, 16, 16, 17, 18, 20, 22, 21, 16, 10, 6)
_BY_WEEKDAY = (1.1, 1.05, 1.0, 1.0, 1.05, 0.9, 0.8)
_GROWTH = 2.0
"""How many orders a day there are at the end for each one at the beginning."""
_OPENS, _CLOSES = 8, 18
_CLOSED_ON = 6
_MORNING = 1.5
"""In hours after opening, what was left lying overnight is done."""
_SWELL = 0.5


def placings(randomness: random.Random, count: int, since: datetime, until: datetime) -> Sequence[datetime]:
    """Give the times at which so many orders are placed, in order."""
    hours = max(int((until - since) / timedelta(hours=1)), 1)
    hour = (until - since) / hours
    starts = [since + number * hour for number in range(hours)]
    days = dict.fromkeys(start.date() for start in starts)
    weather = {day: randomness.uniform(0.8, 1.2) * _campaign(randomness) for day in days}
    weights = [
        _BY_HOUR[start.hour] * _BY_WEEKDAY[start.weekday()] * weather[start.date()] * _GROWTH ** (number / hours)
        for number, start in enumerate(starts)
    ]
    chosen = randomness.choices(starts, weights, k=count)
    return sorted(start + randomness.random() * hour for start in chosen)


def _campaign(randomness: random.Random) -> float:
    """Give what a day's orders are multiplied by: one day in thirty or so is special."""
    return 1.8 if randomness.random() < 1 / 30 else 1.0


def at_work(at: datetime) -> datetime:
    """Give this time, if someone is at work then, else one in the next morning; never an earlier one."""
    if _OPENS <= at.hour < _CLOSES and at.weekday() != _CLOSED_ON:
        return at
    past_hour = at - at.replace(minute=0, second=0, microsecond=0)
    opening = at.replace(hour=_OPENS, minute=0, second=0, microsecond=0)
    if at.hour >= _CLOSES or at.weekday() == _CLOSED_ON:
        opening += timedelta(days=1)
    if opening.weekday() == _CLOSED_ON:
        opening += timedelta(days=1)
    return opening + _MORNING * past_hour


def arrivals(randomness: random.Random, rate: float) -> Iterator[float]:
    """Give the seconds from the start at which live orders come, without end: at random, `rate` a second on average.

    They swell and ebb by half over a minute, as they do over a day.
    """
    at = 0.0
    while True:
        at += randomness.expovariate(rate * (1 + _SWELL * math.sin(math.tau * at / DAY_SECONDS)))
        yield at
