"""The answers that a page would ask for first, asked for in its stead: so it is complete after one round trip."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from fastapi import FastAPI

_SECONDS = 1.0
"""A page does not wait longer: what is missing it asks for itself, and says so if there is no answer."""


async def first_answers(app: FastAPI, paths: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Give what the app itself answers to these GET requests, as they are; only what succeeds, and in time."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False) as client:
        answers = await asyncio.gather(*(_get(client, path) for path in paths))
    return {path: answer for path, answer in zip(paths, answers, strict=True) if answer is not None}


async def _get(client: httpx.AsyncClient, path: str) -> Mapping[str, Any] | None:
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await client.get(path)
    except TimeoutError:
        return None
    if not answer.is_success:
        return None
    headers = answer.headers
    return {"body": answer.json(), "position": int(headers["Event-Position"]), "etag": headers.get("ETag")}
