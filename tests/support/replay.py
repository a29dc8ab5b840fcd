"""A fresh replay of the log in plain Python, to hold read models against (I5). It shares no code with the projections."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

Rows = list[dict[str, Any]]

QUERIES = {
    "order_summaries": "SELECT * FROM read_model.order_summaries ORDER BY order_id",
    "order_details": "SELECT * FROM read_model.order_details ORDER BY order_id",
    "order_items": "SELECT * FROM read_model.order_items ORDER BY order_id, line_number",
    "sales_by_day": "SELECT * FROM read_model.sales_by_day ORDER BY day",
    "order_totals": "SELECT * FROM read_model.order_totals ORDER BY status",
}


async def read_models(engine: AsyncEngine) -> dict[str, Rows]:
    """Give every row of the read models."""
    async with engine.connect() as connection:
        return {
            name: [dict(row._mapping) for row in await connection.execute(text(query))]
            for name, query in QUERIES.items()
        }


async def replayed(engine: AsyncEngine) -> dict[str, Rows]:
    """Give the rows that the log's events lead to."""
    async with engine.connect() as connection:
        query = "SELECT * FROM event_store.events WHERE aggregate_type = 'order' ORDER BY position"
        return replay(await connection.execute(text(query)))


def replay(events: Iterable[Any]) -> dict[str, Rows]:
    """Give the rows that these events of orders lead to, in the order of `QUERIES`."""
    summaries: dict[Any, dict[str, Any]] = {}
    details: dict[Any, dict[str, Any]] = {}
    items: Rows = []
    for event in events:
        _replay(event, summaries, details, items)
    totals: dict[str, Rows] = defaultdict(list)
    for summary in summaries.values():
        totals[summary["status"]].append(summary)
    return {
        "order_summaries": [summaries[key] for key in sorted(summaries)],
        "order_details": [details[key] for key in sorted(details)],
        "order_items": sorted(items, key=lambda item: (item["order_id"], item["line_number"])),
        "sales_by_day": _by_day(summaries.values()),
        "order_totals": [
            {"status": status, "count": len(rows), "total_amount": sum(row["total_amount"] for row in rows)}
            for status, rows in sorted(totals.items())
        ],
    }


def _by_day(summaries: Iterable[dict[str, Any]]) -> Rows:
    days: dict[Any, dict[str, Any]] = {}
    for summary in summaries:
        for name in ("placed", "shipped"):
            if summary[f"{name}_at"] is not None:
                day = summary[f"{name}_at"].astimezone(UTC).date()
                empty = {"placed_count": 0, "placed_revenue": 0, "shipped_count": 0, "shipped_revenue": 0}
                row = days.setdefault(day, {"day": day, **empty})
                row[f"{name}_count"] += 1
                row[f"{name}_revenue"] += summary["total_amount"]
    return [days[day] for day in sorted(days)]


def _replay(event: Any, summaries: dict[Any, Any], details: dict[Any, Any], items: Rows) -> None:
    order_id, data = event.aggregate_id, event.event_data
    if event.event_type == "OrderPlaced":
        lines = [
            {
                "order_id": order_id,
                "line_number": number,
                "product_name": line["product_name"],
                "quantity": line["quantity"],
                "unit_price": Decimal(line["unit_price"]),
                "subtotal": Decimal(line["unit_price"]) * line["quantity"],
            }
            for number, line in enumerate(data["items"], 1)
        ]
        items += lines
        summaries[order_id] = {
            "order_id": order_id,
            "customer_name": data["customer_name"],
            "total_amount": sum((line["subtotal"] for line in lines), Decimal(0)),
            "status": "pending",
            "item_count": len(lines),
            "placed_at": event.occurred_at,
            "confirmed_at": None,
            "shipped_at": None,
            "cancelled_at": None,
            "version": event.version,
        }
        details[order_id] = {
            "order_id": order_id,
            "shipping_address": data.get("shipping_address"),
            "carrier": None,
            "tracking_number": None,
            "cancellation_reason": None,
        }
        return
    status = {"OrderConfirmed": "confirmed", "OrderShipped": "shipped", "OrderCancelled": "cancelled"}[event.event_type]
    summaries[order_id] |= {"status": status, f"{status}_at": event.occurred_at, "version": event.version}
    if status == "shipped":
        details[order_id] |= {"carrier": data["carrier"], "tracking_number": data["tracking_number"]}
    if status == "cancelled":
        details[order_id]["cancellation_reason"] = data["reason"]


async def assert_read_models_equal_a_replay(engine: AsyncEngine) -> None:
    """I5, for the case that both log and read model are in this database."""
    found, wanted = await read_models(engine), await replayed(engine)
    for name, rows in wanted.items():
        assert len(found[name]) == len(rows), name
        for one, other in zip(found[name], rows, strict=True):
            assert one == other, name


async def assert_log_is_sound(engine: AsyncEngine) -> int:
    """I2 and I3; gives the number of events."""
    async with engine.connect() as connection:
        count, last = (
            await connection.execute(text("SELECT count(*), coalesce(max(position), 0) FROM event_store.events"))
        ).one()
        assert count == last, "positions are 1 … N"
        holes = "SELECT count(*) FROM event_store.events GROUP BY aggregate_type, aggregate_id HAVING count(*) <> max(version)"
        assert not (await connection.execute(text(holes))).all(), "versions are 1 … n in each stream"
        sealed = "SELECT coalesce(sum(last_position - first_position + 1), 0) FROM event_store.seals"
        assert await connection.scalar(text(sealed)) == count, "every event is sealed once"
    return int(count)
