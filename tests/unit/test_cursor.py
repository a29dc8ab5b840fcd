"""A cursor comes back as it was made; one that is not ours, to the last bit, is refused, whatever it is."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from query_service.cursor import InvalidCursor, decode_cursor, encode_cursor

TEXT = st.text(max_size=50)
KEYS = st.lists(TEXT, max_size=3)
CURSOR = encode_cursor("q", ["2026-01-01", "12"])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def made_up(keys: Any, version: int = 2, query: str = "q") -> str:
    """Make a cursor as its module does, of anything."""
    content = keys if isinstance(keys, bytes) else json.dumps(keys, separators=(",", ":")).encode()
    checksum = hashlib.sha256(bytes([version]) + json.dumps(query).encode() + content).digest()[:8]
    return base64.urlsafe_b64encode(bytes([version]) + checksum + content).decode().rstrip("=")


def assert_refused(query: str, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(query, cursor)


@given(TEXT, KEYS)
def test_a_cursor_comes_back(query: str, keys: list[str]) -> None:
    cursor = encode_cursor(query, keys)
    assert decode_cursor(query, cursor) == keys
    assert set(cursor) <= set(ALPHABET), "it stands in a URL as it is"


def test_the_format_is_that_of_version_2() -> None:
    assert encode_cursor("q", ["2026-01-01", "12"]) == made_up(["2026-01-01", "12"])


@given(TEXT, KEYS, TEXT)
def test_a_cursor_of_another_query_is_refused(query: str, keys: list[str], other: str) -> None:
    assume(query != other)
    assert_refused(other, encode_cursor(query, keys))


@given(st.text())
def test_any_other_text_is_no_cursor(text: str) -> None:
    assert_refused("q", text)


@given(st.binary(max_size=60))
def test_any_bytes_in_base64_are_no_cursor(raw: bytes) -> None:
    assert_refused("q", base64.urlsafe_b64encode(raw).decode())


@given(st.integers(0, len(CURSOR) - 1), st.characters(codec="utf-8"))
def test_a_cursor_with_any_character_changed_is_refused(place: int, character: str) -> None:
    assume(CURSOR[place] != character)
    assert_refused("q", CURSOR[:place] + character + CURSOR[place + 1 :])


@pytest.mark.parametrize("place", range(len(CURSOR)))
def test_a_cursor_with_another_letter_anywhere_is_refused(place: int) -> None:
    """Of the last letter not every bit counts in base64; here it does."""
    for letter in set(ALPHABET) - {CURSOR[place]}:
        assert_refused("q", CURSOR[:place] + letter + CURSOR[place + 1 :])


@given(st.integers(0, len(CURSOR)), st.text(ALPHABET + "= \n", min_size=1, max_size=8))
def test_a_cursor_with_more_in_it_is_refused(place: int, more: str) -> None:
    assert_refused("q", CURSOR[:place] + more + CURSOR[place:])


@pytest.mark.parametrize("length", range(len(CURSOR)))
def test_a_cursor_cut_short_is_refused(length: int) -> None:
    assert_refused("q", CURSOR[:length])
    assert_refused("q", CURSOR[length + 1 :])


def test_a_cursor_of_another_version_is_refused() -> None:
    assert decode_cursor("q", made_up(["1"])) == ["1"]
    for version in (0, 1, 3, 255):
        assert_refused("q", made_up(["1"], version))


@pytest.mark.parametrize(
    "content", [b"", b"1", b"x", b"\xff", b'"1"', b"[5]", b"[null]", b'[["1"]]', b'{"1": "2"}', b'[ "1" ]', b'["\xc3\xa9"]', b"[" * 5000]
)  # fmt: skip
def test_another_content_with_the_right_checksum_is_refused(content: bytes) -> None:
    assert_refused("q", made_up(content))
