"""The settings that are documented are those that there are, with their defaults."""

import re

from pydantic_core import PydanticUndefined

from command_service.settings import CommandSettings
from daicho.settings import OperatorSettings
from query_service.settings import QuerySettings
from tests.support.pages import DOCS, rows

FIELDS = {
    f"DAICHO_{name.upper()}": field.default
    for settings in (CommandSettings, QuerySettings, OperatorSettings)
    for name, field in settings.model_fields.items()
}
DOCUMENTED = {name.strip("`"): default for name, default, *_ in rows(DOCS / "reference" / "settings.md")}


def test_every_setting_is_documented_and_no_other() -> None:
    assert DOCUMENTED.keys() == FIELDS.keys()


def test_each_has_the_default_that_is_documented() -> None:
    for name, default in FIELDS.items():
        if default in (None, (), PydanticUndefined):
            assert not DOCUMENTED[name].startswith("`"), name
        else:
            shown = re.match(r"`([^`]*)`", DOCUMENTED[name])
            assert shown is not None, name
            assert shown[1] == (f"{default:g}" if isinstance(default, float) else str(default)), name
