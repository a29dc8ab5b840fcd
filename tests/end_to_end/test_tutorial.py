"""The tutorial's commands, run as it says from `make up` to Ctrl-C, show what it shows."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.processes import free_port
from tests.support.walkthrough import ROOT, walking

TUTORIAL = ROOT / "docs" / "tutorial.md"

pytestmark = [
    pytest.mark.load,
    pytest.mark.walks,
    pytest.mark.timeout(300),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
    pytest.mark.skipif(not (ROOT / ".venv" / "bin" / "daicho").exists(), reason="needs the environment of `make up`"),
    *(pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}") for tool in ("curl", "make")),
]


async def test_it_goes_from_a_first_order_to_a_rebuilt_read_model(data_dir: Path) -> None:
    commands, queries = str(free_port()), str(free_port())
    settings = {"DAICHO_DATA_DIR": str(data_dir), "DAICHO_COMMAND_PORT": commands, "DAICHO_QUERY_PORT": queries}
    async with walking(settings, {":8001": f":{commands}", ":8002": f":{queries}"}) as walk:
        await walk.through(TUTORIAL.read_text(encoding="utf-8"))
    assert "stopping" in walk.terminals["terminal-1"].output
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
