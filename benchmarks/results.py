"""What a benchmark finds: series measured in turn, round by round, and ratios of two of them, held against aims."""

import statistics
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Aim(_Part):
    """What a ratio should come to; `number` is that of the aim."""

    number: int
    bound: float
    at_least: bool = True

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio is on the right side of the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


class Series(_Part):
    """One thing measured, a value for each round."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)


class Ratio(_Part):
    """Two series divided, round by round."""

    name: str
    values: tuple[float, ...]
    aim: Aim | None = None

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)


class Curve(_Part):
    """A series over something else, for a plot."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Result(_Part):
    """One benchmark's finding; `skipped` tells why there is none."""

    name: str
    title: str
    settings: str = ""
    series: tuple[Series, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    curves: tuple[Curve, ...] = ()
    axes: tuple[str, str] = ("", "")
    notes: tuple[str, ...] = ()
    skipped: str | None = None


def ratio(name: str, above: Sequence[float], below: Sequence[float], aim: Aim | None = None) -> Ratio:
    """Divide round by round: neighbours in time share what else went on in the machine."""
    return Ratio(name=name, values=tuple(a / b for a, b in zip(above, below, strict=True)), aim=aim)


def series(name: str, unit: str, values: Sequence[float]) -> Series:
    """Name the values of one thing."""
    return Series(name=name, unit=unit, values=tuple(values))


def percentile(values: Sequence[float], hundredths: int) -> float:
    """Give the value that so many of a hundred do not exceed; 0 of none."""
    ascending = sorted(values)
    return ascending[(len(ascending) - 1) * hundredths // 100] if ascending else 0.0


def spread(found: Series | Ratio) -> str:
    """Write a median with the least and the greatest."""
    low, high = min(found.values), max(found.values)
    return f"{_number(found.median)} ({_number(low)}–{_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"  # noqa: PLR2004 - what reads well
