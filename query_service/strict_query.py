"""What is refused in the parameters of any route, before their types are looked at."""

from collections import Counter
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.exceptions import RequestValidationError

_LISTS = frozenset({"status", "event_type"})
_ONCE = ("event-position", "last-event-id")


async def given_once(request: Request) -> None:
    """Refuse a parameter that is no list, or a position, given more than once: all but one would be ignored.

    And a query that is not UTF-8, of which something else would be read. Raises `RequestValidationError`.
    """
    wrong = [("header", name) for name in _ONCE if len(request.headers.getlist(name)) > 1]
    if request.scope["query_string"]:
        given = Counter(name for name, _ in request.query_params.multi_items())
        wrong += [("query", name) for name, times in given.items() if times > 1 and name not in _LISTS]
    if wrong:
        raise invalid(*wrong, because="must be given once")
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise invalid(("query",), because="must be UTF-8") from None


def invalid(*where: tuple[str, ...], because: str) -> RequestValidationError:
    """Make the error of parameters that are wrong in a way that their types do not tell."""
    return RequestValidationError([{"type": "value_error", "loc": loc, "msg": because} for loc in where])
