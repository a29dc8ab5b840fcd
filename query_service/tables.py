"""The read model's metadata and the tables that belong to the engine; `migrations/read_model` defines them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid, false, func
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "read_model"
CHANNEL = "daicho_projected"
"""NOTIFY channel of what projecting has changed."""

RESET = "reset"
"""Payload of a notification that the read model was changed otherwise than by the next events."""

metadata = MetaData(schema=SCHEMA)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Text, primary_key=True, server_default="live"),
    Column("partition", Integer, primary_key=True, server_default="0"),
    Column("partitions", Integer, nullable=False, server_default="1"),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="following"),
    Column("has_parked", Boolean, nullable=False, server_default=false()),
    Column("run", Uuid),
    Column("started_at", DateTime(timezone=True)),
    Column("started_from", BigInteger, nullable=False, server_default="0"),
    Column("report", JSONB(none_as_null=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

leases = Table(
    "leases",
    metadata,
    Column("partitions", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("holder", Uuid),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", DateTime(timezone=True), nullable=False, server_default="-infinity"),
)

replicas = Table(
    "replicas",
    metadata,
    Column("replica", Uuid, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

rebuild_ranges = Table(
    "rebuild_ranges",
    metadata,
    Column("run", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("aggregate_type", Text, nullable=False),
    Column("first_id", Uuid, nullable=False),
    Column("last_id", Uuid, nullable=False),
    Column("estimate", BigInteger, nullable=False),
    Column("events", BigInteger),
)

parked_events = Table(
    "parked_events",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Text, primary_key=True, server_default="live"),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("aggregate_type", Text, nullable=False),
    Column("aggregate_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
