"""Load from outside the measured process: `wrk` where it is installed, else a second Python process."""

import asyncio
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 64

_SCRIPT = Path(__file__).with_name("place_order.lua")
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of requests came to: requests a second, latencies in milliseconds, answers other than 2xx."""

    rate: float
    median: float
    p99: float
    failed: int


def generator() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else "python"


async def place_orders(url: str, seconds: float) -> Load:
    """Post orders on 64 connections for so many seconds."""
    return await _run(f"{url}/orders", seconds, _SCRIPT)


async def get(url: str, seconds: float) -> Load:
    """Get a page on 64 connections for so many seconds."""
    return await _run(url, seconds, None)


async def _run(url: str, seconds: float, script: Path | None) -> Load:
    if generator() == "wrk":
        posting = [] if script is None else ["-s", str(script)]
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", *posting, url]
    else:
        method = "GET" if script is None else "POST"
        command = [sys.executable, "-m", "benchmarks.python_load", method, url, f"{seconds:g}", str(CONNECTIONS)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with code {process.returncode}: {output}")
    return Load(
        rate=float(_find(r"Requests/sec:\s+([\d.]+)", output)),
        median=_milliseconds(_find(r"(?m)^ *50%\s+(\S+)", output)),
        p99=_milliseconds(_find(r"(?m)^ *99%\s+(\S+)", output)),
        failed=int(match[1]) if (match := re.search(r"Non-2xx or 3xx responses: (\d+)", output)) else 0,
    )


def order() -> str:
    """Give the body that is posted."""
    return _find(r"wrk\.body = '(.*)'", _SCRIPT.read_text(encoding="utf-8"))


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{pattern} is not in: {text}")
    return match[1]


def _milliseconds(latency: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", latency).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]
