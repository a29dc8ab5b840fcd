"""Those who follow the log through all faults: by its stream, page by page, and row by row in the database."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import aiohttp

from tests.faults.clients import Service
from tests.faults.cluster import Cluster
from tests.faults.history import History
from tests.support.sse import connected

SILENCE = 4.0
"""Seconds without a heartbeat after which a follower tries the other replica; a heartbeat comes every second."""
_PAUSE = 0.1

NEW_ROWS = """
SELECT position, md5(events::text) AS digest FROM event_store.events AS events WHERE position > :after ORDER BY position
"""


async def follow_stream(history: History, services: Sequence[Service]) -> None:
    """Follow `GET /events/stream` until cancelled, going on by `Last-Event-ID` with the next replica."""
    seen = history.followed["stream"] = []
    last, turn = 0, 0
    while True:
        port = int(services[turn % len(services)].url.rsplit(":", 1)[1])
        turn += 1
        try:
            async with asyncio.timeout(SILENCE) as limit, connected(port, last_event_id=last) as client:
                while client.status == 200 and (message := await client.next()) is not None:
                    limit.reschedule(asyncio.get_running_loop().time() + SILENCE)
                    if message.is_event:
                        seen.append((message.id, UUID(message.event["event_id"])))
                    last = message.id if "id" in message.fields else last
        except OSError:  # Broken, or silent: TimeoutError is one.
            pass
        await asyncio.sleep(_PAUSE)


async def follow_pages(history: History, services: Sequence[Service], http: aiohttp.ClientSession) -> None:
    """Follow `GET /events` until cancelled, each page from the next replica."""
    seen = history.followed["pages"] = []
    after, turn = 0, 0
    while True:
        url = services[turn % len(services)].url
        turn += 1
        try:
            async with http.get(f"{url}/events", params={"after": after, "limit": 1000}) as answer:
                if answer.status == 200:
                    page: dict[str, Any] = await answer.json()
                    seen += [(event["position"], UUID(event["event_id"])) for event in page["items"]]
                    after = page["next_after"]
        except (aiohttp.ClientError, TimeoutError):
            pass  # Asked again, of the other one.
        await asyncio.sleep(_PAUSE)


async def sample_rows(history: History, cluster: Cluster) -> None:
    """Follow the table itself until cancelled, past the highest position seen, and remember how each row looked."""
    after = 0
    while True:
        for row in await cluster.query_or_nothing(NEW_ROWS, after=after):
            history.sampled[row.position] = row.digest
            after = row.position
        await asyncio.sleep(_PAUSE)
