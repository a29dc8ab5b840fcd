"""What a token must have to use a route: each router's access, given where it is put into its service."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.routing import Route

OPERATIONS: Final = "operations"
"""The scope of those who look after the ledger."""


@dataclass(frozen=True, slots=True)
class Access:
    """A token must have every scope of one of the options; without options, none is asked for."""

    options: Sequence[frozenset[str]]

    def admits(self, scopes: frozenset[str]) -> bool:
        """Tell whether a token of these scopes will do."""
        return any(option <= scopes for option in self.options)

    def __or__(self, other: "Access") -> "Access":
        """Give the access of whoever has either."""
        return Access((*self.options, *other.options))


OPEN: Final = Access(())
"""For what holds no data."""

ANY_TOKEN: Final = Access((frozenset(),))
"""For what is no route: to tell what is there and what is not takes a token."""


def needs(*scopes: str) -> Access:
    """Give the access of tokens that have all of these scopes."""
    return Access((frozenset(scopes),))


class Guarded(NamedTuple):
    """A router, and what its routes need."""

    router: APIRouter
    access: Access


_PAGES = re.compile(r"/|/docs|/openapi\.json|/assets/.*")
"""Pages, their files, and the API document; they are no routers' routes."""


class AccessRules:
    """Finds the access of a request as the app finds its route: the first of its method whose pattern matches the path.

    What the router takes for a route must be one here too, odd paths such as one that ends in a newline included.
    """

    def __init__(self, guarded: Iterable[Guarded]) -> None:
        patterns: dict[str, list[str]] = defaultdict(list)
        self._accesses: dict[str, list[Access]] = defaultdict(list)
        for router, access in guarded:
            for route in router.routes:
                if not isinstance(route, Route):
                    raise TypeError(f"{route!r} is no route: give each router by itself")
                for method in route.methods or ():
                    patterns[method].append(f"({_without_groups(route)})")
                    self._accesses[method].append(access)
        self._patterns = {method: re.compile("|".join(those)) for method, those in patterns.items()}

    def find(self, method: str, path: str) -> Access:
        """Give what a request needs; what is no route needs a token."""
        pattern = self._patterns.get(method)
        if pattern is not None and (match := pattern.match(path)) and match.lastindex is not None:
            return self._accesses[method][match.lastindex - 1]
        return OPEN if _PAGES.fullmatch(path) else ANY_TOKEN


def _without_groups(route: Route) -> str:
    return re.sub(r"\(\?P<\w+>", "(?:", route.path_regex.pattern)
