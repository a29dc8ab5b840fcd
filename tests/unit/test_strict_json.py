"""JSON bodies: one object, no surprises."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.strict_json import loads_object

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=5), st.booleans())
def test_an_object_is_read_as_the_standard_library_reads_it(value: dict[str, Any], ascii_only: bool) -> None:  # noqa: FBT001
    assert loads_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


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
    ],
)
def test_what_is_refused_is_told_why(body: bytes, message: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=message):
        loads_object(body)


def test_a_surrogate_pair_is_one_character() -> None:
    assert loads_object(b'{"a": "\\ud83c\\udf75"}') == {"a": "\U0001f375"}
