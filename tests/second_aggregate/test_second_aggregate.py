"""A second aggregate adds three folders, one migration and one entry per composition root; it changes no engine file.

The product is copied, `overlay` laid over it, and the two composition roots given their entry. Both services
then run from the copy. The import rules and the types hold there too.
"""

import asyncio
import filecmp
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.processes import service
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay

pytestmark = pytest.mark.walks

ROOT = Path(__file__).parents[2]
OVERLAY = Path(__file__).parent / "overlay"
PACKAGES = ("command_service", "query_service", "shared", "daicho", "migrations")


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A copy of the product with the second aggregate in it."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(OVERLAY, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("command_service", "query_service"):
        root = tmp_path / package / "app.py"
        before = root.read_text(encoding="utf-8")
        entry = f"from {package}.coupons.aggregate import COUPONS\nfrom {package}.orders.aggregate import ORDERS\n"
        after = before.replace(f"from {package}.orders.aggregate import ORDERS\n", entry)
        after = after.replace("= (ORDERS,)\n", "= (ORDERS, COUPONS)\n")
        assert len(after.splitlines()) == len(before.splitlines()) + 1
        root.write_text(after, encoding="utf-8")
    return tmp_path


def test_no_other_file_is_changed(product: Path) -> None:
    added = {path.relative_to(OVERLAY) for path in OVERLAY.rglob("*") if path.is_file()}
    files = [path.relative_to(product) for path in product.rglob("*") if path.is_file()]
    changed = {path for path in files if not _same(product / path, ROOT / path)}
    roots = {Path(f"{package}/app.py") for package in ("command_service", "query_service")}
    assert changed == roots | {path for path in added if "__pycache__" not in path.parts}
    assert {path.parts[:2] for path in added if path.parts[0] != "migrations"} == {
        (package, "coupons") for package in ("command_service", "query_service", "shared")
    }


def _same(one: Path, other: Path) -> bool:
    return other.exists() and filecmp.cmp(one, other, shallow=False)


@pytest.mark.timeout(300)
async def test_import_rules_and_types_hold(product: Path) -> None:
    for command in (["lint-imports"], ["mypy", "-p", "command_service", "-p", "query_service", "-p", "shared"]):
        code, output = await _run(product, str(Path(sys.executable).parent / command[0]), *command[1:])
        assert code == 0, output


@pytest.mark.timeout(180)
async def test_both_aggregates_work_side_by_side(product: Path, database: str, engine: AsyncEngine) -> None:
    code, output = await _run(product, sys.executable, "-m", "daicho", "migrate", DAICHO_DATABASE_URL=database)
    assert code == 0, output
    async with (
        service("command", database, product) as writer,
        service("query", database, product) as reader,
        _client(writer.url) as commands,
        _client(reader.url) as queries,
    ):
        coupon = f"/coupons/{uuid4()}"
        issued = await commands.put(coupon, json={"percent": 10}, headers={"Idempotency-Key": "k"})
        assert (issued.status_code, issued.headers["ETag"]) == (200, '"1"')
        again = await commands.put(coupon, json={"percent": 10}, headers={"Idempotency-Key": "k"})
        assert (again.text, again.headers["Event-Position"]) == (issued.text, "1")
        placed = await commands.post("/orders", json=ORDER)
        redeemed = await commands.post(f"{coupon}/redeem")
        assert redeemed.json()["position"] == 3
        spent = await commands.post(f"{coupon}/redeem")
        assert (spent.status_code, spent.json()["type"]) == (409, "urn:daicho:problem:coupon-spent")
        assert (await commands.post(f"/coupons/{uuid4()}/redeem")).status_code == 404
        once_more = await commands.put(coupon, json={"percent": 10}, headers={"Idempotency-Key": "k"})
        assert (once_more.text, once_more.headers["Idempotency-Replayed"]) == (issued.text, "true")
        position = {"Event-Position": "3"}
        read = await queries.get(coupon, headers=position)
        assert (read.json()["percent"], read.json()["redeemed"]) == (10, True)
        assert (await queries.get(placed.headers["Location"], headers=position)).json()["status"] == "pending"
        names = [projection["name"] for projection in (await queries.get("/projections")).json()]
        assert names == ["order_summaries", "order_details", "order_items", "coupons"]
    assert await assert_log_is_sound(engine) == 3
    await assert_read_models_equal_a_replay(engine)


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


async def _run(folder: Path, *command: str, **environment: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
