"""The pages of the reference that are written from code are what `make reference` would write."""

import pytest

from shared.event_log.json_form import EventForm
from tests.support.pages import DOCS, rows
from tests.support.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), (
        f"{name} is behind the code: run `make reference`"
    )


def test_the_members_around_data_are_documented() -> None:
    named = " ".join(row[0] for row in rows(DOCS / "reference" / "events.md"))
    for member in EventForm.model_fields:
        assert f"`{member}`" in named
