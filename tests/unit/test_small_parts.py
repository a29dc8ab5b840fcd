"""Ids and back-off."""

from itertools import islice
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.backoff import backoff
from shared.ids import derived_id, new_id, new_id_text


def test_a_derived_id_is_stable_for_ever() -> None:
    assert derived_id("a", "b") == UUID("16275ef0-f5d0-8b9d-99e0-a53277549fda")


@pytest.mark.parametrize("other", [("ab",), ("a", "bc"), ("ab", "c", ""), ("", "abc"), ("ab", "d"), ("c", "ab"), ()])
def test_a_derived_id_depends_on_where_its_parts_end(other: tuple[str, ...]) -> None:
    assert derived_id("ab", "c") != derived_id(*other)


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_a_derived_id_is_version_8_of_the_rfcs_variant(parts: list[str]) -> None:
    made = derived_id(*parts)
    assert (made.version, made.variant) == (8, RFC_4122)


@given(
    st.lists(st.text(st.characters(codec="utf-8")), max_size=3),
    st.lists(st.text(st.characters(codec="utf-8")), max_size=3),
)
def test_other_parts_make_another_id(one: list[str], other: list[str]) -> None:
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_new_ids_are_version_7_and_in_order() -> None:
    ids = [new_id() for _ in range(100)]
    assert {one.version for one in ids} == {UUID(new_id_text()).version} == {7}
    assert len(set(ids)) == 100
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)


def test_delays_double_up_to_their_limit() -> None:
    delays = list(islice(backoff(first=1.0, limit=10.0), 8))
    for delay, full in zip(delays, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert full / 2 <= delay <= full
