"""JSON bodies without surprises: one object, no duplicate keys, exact numbers, UTF-8."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from fastapi import Request
from starlette.exceptions import HTTPException

_MAX_DIGITS = 40
"""Longest number literal read; no field of ours comes near it."""


def loads_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; fractions become `Decimal`.

    Raises `json.JSONDecodeError` for anything else, duplicate keys, NaN and infinities, number literals of more than
    40 characters and nesting too deep for the parser included.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("the body is not UTF-8", "", error.start) from error
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    if not isinstance(value, dict):
        raise json.JSONDecodeError("the body must be a JSON object", "", 0)
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise json.JSONDecodeError(f"duplicate key {json.dumps(key)}", "", 0)
            seen.add(key)
    return value


def _refuse_lone_surrogates(value: dict[str, Any]) -> None:
    """Escapes can spell half of a surrogate pair, which is no character and cannot be stored."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise json.JSONDecodeError("a lone surrogate is not a character", "", 0) from error
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error


def _integer(literal: str) -> int:
    if len(literal) > _MAX_DIGITS:
        raise json.JSONDecodeError("number too long", "", 0)
    return int(literal)


def _fraction(literal: str) -> Decimal:
    if len(literal) > _MAX_DIGITS:
        raise json.JSONDecodeError("number too long", "", 0)
    try:
        return Decimal(literal)
    except InvalidOperation as error:
        raise json.JSONDecodeError("number out of range", "", 0) from error


def _constant(literal: str) -> NoReturn:
    raise json.JSONDecodeError(f"{literal} is not JSON", "", 0)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of at most so many bytes. Raises `HTTPException` for a larger one, and for one that does not come whole."""
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise HTTPException(400, "Content-Length is no number")
    if len(declared) > _MAX_DIGITS or int(declared) > limit:
        raise HTTPException(413, f"the limit is {limit} bytes")
    body, is_whole = bytearray(), False
    while not is_whole:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "the body did not come whole")
        body += message.get("body", b"")
        if len(body) > limit:
            raise HTTPException(413, f"the limit is {limit} bytes")
        is_whole = not message.get("more_body", False)
    return bytes(body)


def has_media_type(request: Request, wanted: str) -> bool:
    """Tell whether the body is said to be of this type, in UTF-8 if that is said."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    return media_type.strip().lower() == wanted and charset in {"", "charset=utf-8"}
