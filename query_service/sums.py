"""Tables that sum over a projection's rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.set_based import add

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Sums(Generic[R]):
    """One row per key, the sum over all rows of a projection; `of` gives what one of them adds.

    That is: rows of the table, with a value for each column in the table's order, the key's first. A key without a row
    is one whose sums are all zero.
    """

    table: Table
    of: Callable[[R], Iterable[Sequence[Any]]]


class Summing(Generic[R]):
    """Sums in memory, one entry per key, what rows that came or went add to a table."""

    def __init__(self, sums: Sums[R]) -> None:
        self._sums = sums
        self._keys = len(sums.table.primary_key.columns)
        self._added: dict[tuple[Any, ...], list[Any]] = {}

    def came(self, row: R) -> None:
        """Take a row that is new, or as it is now."""
        for key, amounts in self._split(row):
            added = self._added.setdefault(key, [0] * len(amounts))
            added[:] = [one + other for one, other in zip(added, amounts, strict=True)]

    def went(self, row: R) -> None:
        """Take a row that is no more, or as it was before."""
        for key, amounts in self._split(row):
            added = self._added.setdefault(key, [0] * len(amounts))
            added[:] = [one - other for one, other in zip(added, amounts, strict=True)]

    async def write(self, connection: AsyncConnection) -> None:
        """Add everything to the table, in the order of keys, so that those who write at once do not deadlock."""
        changed = [(*key, *amounts) for key, amounts in sorted(self._added.items()) if any(amounts)]
        if changed:
            await add(connection, self._sums.table, changed)

    def _split(self, row: R) -> Iterable[tuple[tuple[Any, ...], Sequence[Any]]]:
        for values in self._sums.of(row):
            yield tuple(values[: self._keys]), values[self._keys :]
