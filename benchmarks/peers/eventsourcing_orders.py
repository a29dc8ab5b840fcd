"""Orders kept by the library `eventsourcing`, in its default mode: each save locks the table and commits.

Its mode with database functions (`POSTGRES_ENABLE_DB_FUNCTIONS`) is faster; readers of its log may miss events of concurrent
writers then, so it is not measured.
"""

import json
import os
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from fastapi import FastAPI, Response

from benchmarks.bodies import ADDRESS, ITEMS
from command_service.orders.commands import PlaceOrder

URL = "DAICHO_BENCH_DATABASE_URL"


class Order(Aggregate):
    """An order that can be placed."""

    @event("Placed")
    def __init__(
        self, customer_name: str, items: list[dict[str, Any]], shipping_address: dict[str, Any] | None
    ) -> None:
        self.customer_name = customer_name
        self.items = items
        self.shipping_address = shipping_address
        self.status = "pending"


class Orders(Application):
    """The orders of one database."""

    def place(self, customer: str, items: list[dict[str, Any]], address: dict[str, Any] | None) -> tuple[UUID, int]:
        """Save a new order; give its id and its position."""
        order = Order(customer, items, address)
        recordings = self.save(order)
        return order.id, recordings[-1].notification.id


def orders(url: str) -> Orders:
    """Connect to a database; pool sizes are the library's own."""
    parts = urlsplit(url)
    return Orders(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path[1:],
            "POSTGRES_HOST": parse_qs(parts.query)["host"][0],
            "POSTGRES_USER": parts.username or "postgres",
            "POSTGRES_PASSWORD": "not asked for",
        }
    )


def create() -> FastAPI:
    """Put it behind FastAPI, whose threads run what blocks."""
    app, store = FastAPI(), orders(os.environ[URL])

    @app.post("/orders", status_code=201)
    def place_order(command: PlaceOrder) -> Response:
        plain = command.model_dump(mode="json")
        order_id, position = store.place(plain["customer_name"], plain["items"], plain["shipping_address"])
        content = {"order_id": str(order_id), "status": "pending", "version": 1, "position": position}
        return Response(json.dumps(content), 201, media_type="application/json")

    return app


def appends_a_second(url: str, seconds: float, threads: int) -> float:
    """Save orders from so many threads; give the rate."""
    store, count, end = orders(url), [0] * threads, time.perf_counter() + seconds

    def save(number: int) -> None:
        while time.perf_counter() < end:
            store.place("Aiko Tanaka", ITEMS, ADDRESS)
            count[number] += 1

    store.place("Aiko Tanaka", ITEMS, ADDRESS)
    started = time.perf_counter()
    running = [threading.Thread(target=save, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    elapsed = time.perf_counter() - started
    store.close()
    return sum(count) / elapsed
