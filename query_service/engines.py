"""The query service's connections: a pool for each purpose, so that none of them can starve another."""

from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.event_streams import CONNECTIONS
from query_service.reading import READING, SEARCHING
from query_service.settings import QuerySettings
from shared.database import create_engine, milliseconds

KEEPALIVES: Final = {"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"}
"""PostgreSQL's settings for connections that hold locks: a machine that is gone gives them up within seconds."""

_PAUSED_SECONDS = 15.0
"""Beyond the poll interval: the connection of a replica that does nothing for so long is given up."""
_LOCK_SECONDS = 10.0
_LEAST_SECONDS_OF_A_BATCH = 3.0
"""Which reading the next events, decoding them and folding them may take, however short leases are."""

_PROJECTING = {
    **KEEPALIVES,
    "lock_timeout": milliseconds(_LOCK_SECONDS),
    # What is read and written by key has one way to be done, by index, though the plan was made while the tables were small.
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    # A crash of PostgreSQL may take the last batches back, rows and checkpoint together: they are projected again.
    "synchronous_commit": "off",
}

_LEASING = {**KEEPALIVES, "lock_timeout": milliseconds(_LOCK_SECONDS), "synchronous_commit": "off"}

IN_BACKGROUND: Final = {
    **KEEPALIVES,
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
}
"""PostgreSQL's settings for work that nobody waits for: one processor at a time, the others are for those who do."""


class Engines(NamedTuple):
    """One pool for each purpose, so that none of them can starve another."""

    log: AsyncEngine
    read: AsyncEngine
    search: AsyncEngine
    project: AsyncEngine
    project_log: AsyncEngine
    listen: AsyncEngine
    listen_read: AsyncEngine
    leases: AsyncEngine
    rebuild: AsyncEngine
    retry: AsyncEngine
    refresh: AsyncEngine
    stream: AsyncEngine


def create_engines(settings: QuerySettings) -> Engines:
    """Make them; each connects at first use."""
    size = settings.database_pool_size
    paused = {
        "idle_session_timeout": milliseconds(settings.poll_interval + _PAUSED_SECONDS),
        # In the middle of a batch it keeps its leases, though they have expired, until PostgreSQL ends its session.
        "idle_in_transaction_session_timeout": milliseconds(max(settings.lease_seconds, _LEAST_SECONDS_OF_A_BATCH)),
    }
    return Engines(
        log=create_engine(settings.log_url, application_name="daicho-query-log", pool_size=size),
        read=create_engine(settings.read_url, application_name="daicho-query", pool_size=size, server_settings=READING),
        search=create_engine(
            settings.read_url, application_name="daicho-search", pool_size=size, server_settings=SEARCHING
        ),
        project=create_engine(
            settings.read_url,
            application_name="daicho-project",
            pool_size=1,
            autocommit=False,
            server_settings={**_PROJECTING, **paused},
        ),
        project_log=create_engine(settings.log_url, application_name="daicho-project-log", pool_size=1),
        listen=create_engine(settings.listen_url, application_name="daicho-listen", pool_size=1),
        listen_read=create_engine(settings.read_url, application_name="daicho-listen-read", pool_size=1),
        leases=create_engine(
            settings.read_url,
            application_name="daicho-lease",
            pool_size=1,
            autocommit=False,
            server_settings=_LEASING,
        ),
        rebuild=create_engine(
            settings.read_url,
            application_name="daicho-rebuild",
            pool_size=4,
            autocommit=False,
            statement_timeout=None,
            server_settings=IN_BACKGROUND,
        ),
        retry=create_engine(
            settings.read_url,
            application_name="daicho-retry",
            pool_size=1,
            autocommit=False,
            server_settings=IN_BACKGROUND,
        ),
        refresh=create_engine(
            settings.read_url,
            application_name="daicho-refresh",
            pool_size=1,
            autocommit=False,
            statement_timeout=None,
            server_settings=IN_BACKGROUND,
        ),
        stream=create_engine(settings.log_url, application_name="daicho-stream", pool_size=CONNECTIONS),
    )
