"""Fixtures: an empty store in memory, and a command handler over it."""

import pytest

from command_service.memory_store import InMemoryEventStore
from tests.support.events import WHEN
from tests.unit.handlers import Handler, a_handler


@pytest.fixture
def store() -> InMemoryEventStore:
    return InMemoryEventStore(lambda: WHEN)


@pytest.fixture
def handler(store: InMemoryEventStore) -> Handler:
    return a_handler(store)
