"""A reverse proxy as operators put one in front of replicas: it asks who is ready, and sends no request a second time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

import aiohttp
from aiohttp import web

from tests.support.processes import free_port

CHECKS_EVERY = 0.2
_OF_A_CONNECTION = {"connection", "host", "transfer-encoding", "content-length", "keep-alive"}


class Balancer:
    """Spreads requests over the replicas that are ready; a request that fails on its way is answered with 502."""

    def __init__(self, replicas: Sequence[str], http: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._http = http
        self._ready = dict.fromkeys(replicas, False)
        self._turns = cycle(replicas)

    async def watch(self, replica: str) -> None:
        """Ask one again and again whether it is ready."""
        while True:
            await self.check(replica)
            await asyncio.sleep(CHECKS_EVERY)

    async def check(self, replica: str) -> None:
        """Ask one whether it is ready."""
        self._ready[replica] = await self._is_ready(replica)

    async def knows(self, replica: str) -> bool:
        """Tell whether requests are sent to that replica."""
        return self._ready[replica]

    async def serve(self, request: web.BaseRequest) -> web.Response:
        """Pass one request on."""
        replica = next((one for one in (next(self._turns) for _ in self._ready) if self._ready[one]), None)
        if replica is None:
            return web.Response(status=502, text="no replica is ready")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_A_CONNECTION}
        body = await request.read() if request.body_exists else None
        try:
            async with self._http.request(
                request.method, replica + request.path_qs, headers=headers, data=body
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_A_CONNECTION}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=repr(error))

    async def _is_ready(self, replica: str) -> bool:
        try:
            async with self._http.get(f"{replica}/health/ready") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def balanced(*replicas: str) -> AsyncIterator[Balancer]:
    """Run a proxy in front of replicas while this lasts; it has asked them once before it serves."""
    async with aiohttp.ClientSession() as http:
        port = free_port()
        balancer = Balancer(replicas, http, f"http://127.0.0.1:{port}")
        for replica in replicas:
            await balancer.check(replica)
        runner = web.ServerRunner(web.Server(balancer.serve))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        watching = [asyncio.create_task(balancer.watch(replica)) for replica in replicas]
        try:
            yield balancer
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await runner.cleanup()
