"""`python -m benchmarks.python_load METHOD URL SECONDS CONNECTIONS`: posts orders or gets a page, prints what wrk would."""

import asyncio
import statistics
import sys
import time
from typing import Any

import aiohttp

from benchmarks.load import order


async def main(method: str, url: str, seconds: float, connections: int) -> None:
    """Send requests for so many seconds on so many connections."""
    latencies: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds
    posted: dict[str, Any] = (
        {"data": order(), "headers": {"Content-Type": "application/json"}} if method == "POST" else {}
    )

    async def connection(http: aiohttp.ClientSession) -> None:
        nonlocal failed
        while (started := time.perf_counter()) < end:
            async with http.request(method, url, **posted) as answer:
                await answer.read()
                failed += answer.status >= 300  # noqa: PLR2004
            latencies.append(time.perf_counter() - started)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as http:
        await asyncio.gather(*(connection(http) for _ in range(connections)))
    percentiles = statistics.quantiles(latencies, n=100)
    print(f"50% {percentiles[49] * 1e3:.2f}ms\n99% {percentiles[98] * 1e3:.2f}ms")
    print(f"Requests/sec: {len(latencies) / seconds:.2f}")
    if failed:
        print(f"Non-2xx or 3xx responses: {failed}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
