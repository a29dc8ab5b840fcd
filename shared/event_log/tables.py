"""The log's tables as the code sees them; `migrations/event_store` owns their definition."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "event_store"
CHANNEL = "daicho_events"
"""NOTIFY channel of appends; its payload is the last position, a hint only."""

APPEND_LOCK = 7234081526114
"""Advisory lock under which the log is written; `event_store.append` takes it."""

metadata = MetaData(schema=SCHEMA)

events = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("aggregate_type", Text, nullable=False),
    Column("aggregate_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("schema_version", SmallInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_data", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

seals = Table(
    "seals",
    metadata,
    Column("last_position", BigInteger, primary_key=True, autoincrement=False),
    Column("first_position", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("locators", LargeBinary),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("aggregate_type", Text, primary_key=True),
    Column("aggregate_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("state_schema_version", SmallInteger, nullable=False),
    Column("last_event_id", Uuid),
    Column("taken_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
