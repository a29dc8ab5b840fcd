"""The read model's metadata and the table that belongs to the engine; `migrations/read_model` defines them."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, func

SCHEMA = "read_model"

metadata = MetaData(schema=SCHEMA)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
