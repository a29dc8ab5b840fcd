"""`python -m benchmarks.python_load URL SECONDS CONNECTIONS`: posts orders, prints what wrk would."""

import asyncio
import statistics
import sys
import time

import aiohttp

from benchmarks.load import order


async def main(url: str, seconds: float, connections: int) -> None:
    """Post for so many seconds on so many connections."""
    latencies: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds
    body = order()

    async def connection(http: aiohttp.ClientSession) -> None:
        nonlocal failed
        while (started := time.perf_counter()) < end:
            async with http.post(f"{url}/orders", data=body, headers={"Content-Type": "application/json"}) as answer:
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
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
