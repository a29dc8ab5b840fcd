"""Live traffic: stories told to a command service over HTTP, as many at once as there are orders under way."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import httpx

from daicho.demo.requests import Known, Request, request
from daicho.demo.rhythm import TIME_LAPSE, arrivals
from daicho.demo.stories import Mistake, Story, story
from daicho.demo.tally import Tally
from shared.backoff import backoff

_UNDER_WAY = 20_000
"""Most stories at once; beyond that, orders wait to be placed."""


@dataclass(slots=True)
class Traffic:
    """Orders at a rate, a second: the stories of a seed from number `first` on, `orders` of them or without end."""

    http: httpx.AsyncClient
    seed: int
    rate: float
    first: int = 0
    orders: int | None = None
    tally: Tally = field(default_factory=Tally)
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Place orders and see each to its end. After the last of them, nothing more is waited for: the rest happens at once."""
        loop = asyncio.get_running_loop()
        started, room = loop.time(), asyncio.Semaphore(_UNDER_WAY)
        numbers = count(self.first) if self.orders is None else range(self.first, self.first + self.orders)
        times = arrivals(random.Random(self.seed), self.rate)
        async with asyncio.TaskGroup() as stories:
            for number, at in zip(numbers, times, strict=False):
                await room.acquire()
                await _pause(self._stopped, started + at - loop.time())
                if self._stopped.is_set():
                    break
                stories.create_task(self._tell(story(self.seed, number))).add_done_callback(lambda _: room.release())
            self._hurried.set()

    def stop(self) -> None:
        """Have `run` end, once the requests under way are answered; orders are left as they are."""
        self._stopped.set()
        self._hurried.set()

    async def _tell(self, one: Story) -> None:
        """Send a story's requests one after the other; it ends where somebody else has changed its order."""
        known = Known()
        for number, step in enumerate(one.steps):
            await _pause(self._hurried, step.after.total_seconds() / TIME_LAPSE)
            answer, again = await self._answer(request(one, number, known))
            if answer is None:
                return
            if not answer.is_success:
                self.tally.refused += 1
                if step.mistake is None:
                    return
                continue
            if step.mistake is Mistake.TWICE or ("Idempotency-Replayed" in answer.headers and not again):
                self.tally.repeated += 1
            else:
                self.tally.count(step.command)
            known = Known(answer.headers.get("Location", known.path), answer.json()["version"])

    async def _answer(self, one: Request) -> tuple[httpx.Response | None, bool]:
        """Send a request until it is answered other than with "later"; say if it was sent again. None if stopped."""
        delays = backoff(first=0.2, limit=5.0)
        again = False
        while not self._stopped.is_set():
            delay = next(delays)
            try:
                answer = await self.http.post(one.path, json=one.body, headers=one.headers)
            except httpx.TransportError:
                pass  # With its key, it can be sent again whatever became of it.
            else:
                if not answer.is_server_error:
                    return answer, again
                later = answer.headers.get("Retry-After", "")
                delay = int(later) if later.isdecimal() else delay
            again = True
            self.tally.put_off += 1
            await _pause(self._stopped, delay)
        return None, again


async def _pause(unless: asyncio.Event, seconds: float) -> None:
    """Wait so many seconds, or until the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0)):
            await unless.wait()
