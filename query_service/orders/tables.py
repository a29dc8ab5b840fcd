"""The read models of orders; `migrations/read_model` owns their definition."""

from sqlalchemy import ARRAY, BigInteger, Column, Date, DateTime, Integer, MetaData, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from query_service.tables import SCHEMA, metadata

order_summaries = Table(
    "order_summaries",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("customer_name", Text, nullable=False),
    Column("total_amount", Numeric(10, 2), nullable=False),
    Column("status", Text, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("shipped_at", DateTime(timezone=True)),
    Column("cancelled_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
)

order_totals = Table(
    "order_totals",
    metadata,
    Column("status", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("total_amount", Numeric(24, 2), nullable=False),
)

sales_by_day = Table(
    "sales_by_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("placed_count", BigInteger, nullable=False),
    Column("placed_revenue", Numeric(24, 2), nullable=False),
    Column("shipped_count", BigInteger, nullable=False),
    Column("shipped_revenue", Numeric(24, 2), nullable=False),
)

# A materialized view, so of no metadata that is held against the migrated tables.
order_statistics = Table(
    "order_statistics",
    MetaData(schema=SCHEMA),
    Column("status", Text),
    Column("count", BigInteger),
    Column("total_revenue", Numeric(24, 2)),
    Column("average_order_value", Numeric(24, 2)),
    Column("position", BigInteger),
    Column("parked", ARRAY(BigInteger)),
    Column("refreshed_at", DateTime(timezone=True)),
)

order_details = Table(
    "order_details",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("shipping_address", JSONB(none_as_null=True)),
    Column("carrier", Text),
    Column("tracking_number", Text),
    Column("cancellation_reason", Text),
)

order_items = Table(
    "order_items",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("line_number", Integer, primary_key=True, autoincrement=False),
    Column("product_name", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric(10, 2), nullable=False),
    Column("subtotal", Numeric(10, 2), nullable=False),
)
