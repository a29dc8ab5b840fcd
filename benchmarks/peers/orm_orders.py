"""Orders kept the way of the design that Daicho grew from: a transaction per event through the ORM, projected in the same process."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI, Response
from sqlalchemy import ForeignKey, Numeric, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from command_service.orders.commands import PlaceOrder
from shared.database_url import database_url

URL = "DAICHO_BENCH_DATABASE_URL"

Money = Numeric(10, 2)


class Base(DeclarativeBase):
    """Base class of the tables."""


class Event(Base):
    """One row of the log."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("aggregate_id", "aggregate_type", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    aggregate_id: Mapped[UUID]
    aggregate_type: Mapped[str]
    event_type: Mapped[str] = mapped_column(index=True)
    event_data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    version: Mapped[int]
    occurred_at: Mapped[datetime] = mapped_column(index=True)


class Summary(Base):
    """One order, for lists."""

    __tablename__ = "order_summaries"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_name: Mapped[str]
    total_amount: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str]
    item_count: Mapped[int]
    placed_at: Mapped[datetime]


class Details(Base):
    """One order, in full."""

    __tablename__ = "order_details"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Item(Base):
    """One line of an order."""

    __tablename__ = "order_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("order_details.order_id"), index=True)
    product_name: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Money)
    subtotal: Mapped[Decimal] = mapped_column(Money)


async def _append(session: AsyncSession, order_id: UUID, data: dict[str, Any]) -> Event:
    """Check the version and insert, in a transaction."""
    async with session.begin():
        query = select(func.max(Event.version)).where(Event.aggregate_id == order_id, Event.aggregate_type == "order")
        if await session.scalar(query):
            raise ValueError("the order exists")
        now = datetime.now(UTC).replace(tzinfo=None)
        event = Event(
            aggregate_id=order_id,
            aggregate_type="order",
            event_type="OrderPlaced",
            event_data=data,
            version=1,
            occurred_at=now,
        )
        session.add(event)
    return event


async def _project(session: AsyncSession, event: Event) -> None:
    """Apply the event to the read models, in the next transaction."""
    order_id, data = event.aggregate_id, event.event_data
    lines = [(line["product_name"], line["quantity"], Decimal(line["unit_price"])) for line in data["items"]]
    total = sum((quantity * price for _, quantity, price in lines), Decimal())
    summary = {"customer_name": data["customer_name"], "status": "pending", "placed_at": event.occurred_at}
    async with session.begin():
        session.add(Summary(order_id=order_id, total_amount=total, item_count=len(lines), **summary))
        session.add(Details(order_id=order_id, shipping_address=data["shipping_address"]))
        await session.flush()
        session.add_all(
            Item(order_id=order_id, product_name=name, quantity=quantity, unit_price=price, subtotal=quantity * price)
            for name, quantity, price in lines
        )


def create() -> FastAPI:
    """Build the app."""
    engine = create_async_engine(database_url(os.environ[URL]), pool_size=20, max_overflow=44)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders", status_code=201)
    async def place_order(command: PlaceOrder) -> Response:
        async with sessions() as session:
            event = await _append(session, command.order_id or uuid4(), command.model_dump(mode="json"))
            await _project(session, event)
        content = {"order_id": str(event.aggregate_id), "status": "pending", "version": 1, "position": event.id}
        return Response(json.dumps(content), 201, media_type="application/json")

    return app
