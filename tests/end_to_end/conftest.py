"""Fixtures of the end-to-end tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="daicho-up-"))
    yield folder
    shutil.rmtree(folder)
