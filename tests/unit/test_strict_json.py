"""JSON bodies: one object, no surprises."""

import json
import sys
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.strict_json import loads_object

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


@given(st.dictionaries(TEXT, VALUES, max_size=3), st.booleans())
def test_an_object_is_read_as_the_standard_library_reads_it(value: dict[str, Any], ascii_only: bool) -> None:  # noqa: FBT001
    body = json.dumps(value, ensure_ascii=ascii_only)
    assert loads_object(body.encode()) == json.loads(body, parse_float=Decimal)


@given(VALUES.filter(lambda value: not isinstance(value, dict)))
def test_any_other_value_is_refused(value: object) -> None:
    with pytest.raises(json.JSONDecodeError, match="must be a JSON object"):
        loads_object(json.dumps(value).encode())


@given(TEXT, SCALARS, SCALARS, st.lists(st.sampled_from(['{"in": %s}', "[0, %s]", '{"in": [%s, {}]}']), max_size=6))
def test_a_duplicate_key_is_refused_at_any_depth(key: str, one: object, other: object, around: list[str]) -> None:
    body = f"{{{json.dumps(key)}: {json.dumps(one)}, {json.dumps(key, ensure_ascii=False)}: {json.dumps(other)}}}"
    for outer in around:
        body = outer % body
    with pytest.raises(json.JSONDecodeError, match="duplicate key"):
        loads_object(f'{{"outer": {body}}}'.encode())


def test_fractions_are_exact() -> None:
    value = loads_object(b'{"a": 0.1, "b": 1e2, "c": 1.50}')
    assert {name: str(number) for name, number in value.items()} == {"a": "0.1", "b": "1E+2", "c": "1.50"}


@pytest.mark.parametrize("literal", ["1" * 40, "-" + "1" * 39, "0." + "1" * 38])
def test_a_number_of_40_characters_is_read(literal: str) -> None:
    assert loads_object(f'{{"a": {literal}}}'.encode()) == {"a": Decimal(literal)}


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with suppress(json.JSONDecodeError):
        assert isinstance(loads_object(body), dict)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", "must be a JSON object"),
        (b"\xef\xbb\xbf{}", "Expecting value"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": 1, "a": 1}', 'duplicate key "a"'),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', 'duplicate key "a"'),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": ' + b"1" * 41 + b"}", "number too long"),
        (b'{"a": 1.' + b"1" * 41 + b"}", "number too long"),
        (b'{"a": 1e99999999999999999999}', "number out of range"),
        (b'{"a": "\\ud800"}', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'"{}"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{} {}", "Extra data"),
        (b"{'a': 1}", "Expecting property name"),
        (b'{"a": 1,}', "Expecting property name|Illegal trailing comma"),
        (b'{"a": "\x00"}', "control character"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"{\x00}\x00", "Expecting property name"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": -' + b"1" * 40 + b"}", "number too long"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "number too long"),
        (b'{"a": 01}', "Expecting ',' delimiter"),
    ],
)
def test_what_is_refused_is_told_why(body: bytes, message: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=message):
        loads_object(body)


def test_a_surrogate_pair_is_one_character() -> None:
    assert loads_object(b'{"a": "\\ud83c\\udf75"}') == {"a": "\U0001f375"}


def test_an_object_with_escapes_is_read_or_refused_at_any_depth() -> None:
    for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 1):
        with suppress(json.JSONDecodeError):
            loads_object(b'{"a":' * depth + b'"\\u0041"' + b"}" * depth)
