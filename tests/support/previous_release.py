"""The release before this one, out of the repository's history: what upgrades are tried with."""

import asyncio
import shutil
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

VERSION = "0.1.0"
COMMIT = "602a98c"
"""Where it was released. Whoever releases the next version puts that one here."""


_REPOSITORY = Path(__file__).parents[2]


async def unpacked(folder: Path) -> Path:
    """Put its files into a folder, and give that; skip the test where the history is not at hand."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git")
    pipe = asyncio.subprocess.PIPE
    archive = await asyncio.create_subprocess_exec(git, "archive", COMMIT, stdout=pipe, stderr=pipe, cwd=_REPOSITORY)
    content, error = await archive.communicate()
    if archive.returncode:
        pytest.skip(f"release {VERSION} is not in this clone's history: {error.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(content)) as files:
        files.extractall(folder, filter="data")
    return folder


async def migrate(release: Path, url: str) -> None:
    """Run its `daicho migrate`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daicho", "migrate", env={"DAICHO_DATABASE_URL": url}, cwd=release
    )
    assert await process.wait() == 0
