"""Clients generated from the committed documents place an order and read it, over HTTP, in the services' own types."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.processes import service
from tests.unit.test_api_documents import COMMITTED

pytestmark = [pytest.mark.load, pytest.mark.walks, pytest.mark.timeout(300)]


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which packages can be imported; what was is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in sys.modules.keys() - before:
        if name.startswith("client_of_"):
            del sys.modules[name]


async def generate(folder: Path, name: str) -> None:
    """Generate a client's package from a committed document; it may not warn of anything that it cannot read."""
    config = f"package_name_override: client_of_{name}\npost_hooks: []\n"
    # The generator knows no lines of JSON: their text is sent as it is.
    config += "content_type_overrides:\n  application/x-ndjson: application/octet-stream\n"
    (folder / "config.yml").write_text(config, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--meta", "none", "--fail-on-warning",
        "--path", str(COMMITTED / f"{name}.openapi.json"), "--config", str(folder / "config.yml"),
        "--output-path", str(folder / f"client_of_{name}"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


def part(name: str) -> ModuleType:
    """Import a module of a generated client."""
    return importlib.import_module(f"client_of_{name}")


async def test_a_generated_client_reads_the_order_that_another_placed(clients: Path, database: str) -> None:
    await asyncio.gather(generate(clients, "command"), generate(clients, "query"))
    models = part("command.models")
    order = models.PlaceOrder(
        customer_name="Aiko Tanaka", items=[models.Item(product_name="Sencha", quantity=2, unit_price="12.50")]
    )
    async with service("command", database) as writer, service("query", database) as reader:
        async with part("command").Client(writer.url) as commands:
            placed = await part("command.api.orders.place_order").asyncio_detailed(
                client=commands, body=order, idempotency_key="generated"
            )
            again = await part("command.api.orders.place_order").asyncio_detailed(
                client=commands, body=order, idempotency_key="generated"
            )
            refused = await part("command.api.orders.ship_order").asyncio(placed.parsed.order_id, client=commands)
        assert (placed.status_code, placed.parsed.status, placed.parsed.version) == (201, "pending", 1)
        assert (again.parsed, again.headers["Idempotency-Replayed"]) == (placed.parsed, "true")
        assert isinstance(refused, models.InvalidTransitionProblem)
        assert (refused.status, refused.order_status) == (409, "pending")
        async with part("query").Client(reader.url) as queries:
            read = await part("query.api.orders.get_order").asyncio_detailed(
                placed.parsed.order_id, client=queries, event_position=placed.parsed.position, prefer="wait=30"
            )
            unread = await part("query.api.orders.list_orders").asyncio(
                client=queries, min_position=99, prefer="wait=0"
            )
        assert (read.status_code, int(read.headers["Event-Position"])) == (200, placed.parsed.position)
        assert (read.parsed.order_id, read.parsed.total_amount) == (placed.parsed.order_id, "25.00")
        assert [(line.product_name, line.quantity) for line in read.parsed.items] == [("Sencha", 2)]
        assert isinstance(unread, part("query.models").ReadModelBehindProblem)
        assert unread.min_position == 99
