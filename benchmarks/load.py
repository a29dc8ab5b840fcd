"""Load from outside the measured process: requests of one kind, as fast as they are answered or at a fixed rate."""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

CONNECTIONS = 64


class Requests(BaseModel):
    """What is sent. `{key}` in the body or the headers is made anew for each request, and for each line of a body.

    `{id}` in the path is drawn from the file `ids`, each line once; when there are no more, the load ends. Each connection
    sends one of the tokens and goes to one of the URLs, in turn. With `rate`, requests are due at fixed times whether or not
    earlier ones are answered, and latency counts from then on; without, a connection sends when it has its answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: tuple[str, ...]
    path: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: str = ""
    lines: int = 1
    tokens: tuple[str, ...] = ()
    ids: Path | None = None
    connections: int = CONNECTIONS


class Load(BaseModel):
    """What came of it: answers a second, latencies in milliseconds.

    `generator` is the share of a core that sending took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: int
    rate: float
    median: float
    p99: float
    generator: float
    failed: dict[int, int]


async def send(requests: Requests, seconds: float, rate: float | None = None) -> Load:
    """Send for so many seconds, from a process of its own. Raises `RuntimeError` if any answer is no success."""
    command = [sys.executable, "-m", "benchmarks.generator", f"{seconds:g}", f"{rate or 0:g}"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    output, _ = await process.communicate(requests.model_dump_json().encode())
    if process.returncode:
        raise RuntimeError(f"the load generator ended with code {process.returncode}")
    load = Load.model_validate_json(output)
    if load.failed:
        raise RuntimeError(f"{requests.method} {requests.path} failed: {load.failed} (0: no answer)")
    return load
